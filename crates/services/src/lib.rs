//! What the tasks of the system call: ffmpeg and ffprobe as child processes, object storage,
//! mail servers, files from the web, and the pure decisions between them.
//!
//! It deliberately knows no broker, no queue and no task: a handler asks, this crate does, and
//! every outbound call runs in its own `ext.<service>.<op>` span. It retries nothing either; its
//! errors say with `is_permanent()` whether a retry could heal them.

pub mod captions;
mod cause;
pub mod cuts;
pub mod ext;
mod hash;
mod media;
mod part;
pub mod process;
mod redact;
pub mod scratch;
mod waveform;

pub use captions::Cue;
pub use cause::Cause;
pub use cuts::{CutFault, CutSettings, Segment, Silence, after_cuts, keep_segments, total};
pub use ext::ffmpeg::{
    AssetCall, AudioStream, ClipCall, Codec, CutJob, Encoding, Ffmpeg, FrameRate, Gain, Look,
    Loudness, MediaError, MediaSource, Muted, PictureFormat, PictureJob, Probe, ProxyJob,
    SilenceSettings, SoundFormat, Sprite, Versions, VideoStream, WebPlan,
};
pub use ext::http::{
    AddressRule, BadNetwork, FetchError, FetchJob, FetchLimits, Fetched, Http, Network,
};
pub use ext::openai::{
    Answer, BadEndpoint, BadPrice, Chat, Endpoint, Heard, ModelError, Price, Question, Used,
    Whisper, Word,
};
pub use ext::smtp::{Handed, Letter, MailError, Mailer, MailerError};
pub use ext::storage::{CHECKPOINTS, Held, Storage, StorageError, Subject};
pub use ext::ytdlp::{PageError, Ytdlp};
pub use media::{Clip, Media, MediaDepot, data_dir};
pub use process::{ChildProcess, Collected, Exit, ProcessError};
pub use scratch::{Scratch, ScratchError};
pub use waveform::Waveform;
