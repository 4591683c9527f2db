//! ffmpeg and ffprobe as child processes.
//!
//! Every call runs in its `ext.ffmpeg.<op>` span with the clip it is for. It deliberately decides
//! nothing about cuts (see [`crate::cuts`]), retries nothing, and links no FFmpeg library: a
//! process can be killed, a library call cannot.

mod asset;
mod audio;
mod error;
mod filter;
mod image;
mod image_header;
mod last_packet;
mod look;
mod loudness;
mod making;
mod mutes;
mod packets;
mod packets_json;
mod pictures;
mod probe;
mod probe_json;
mod progress;
mod proxy;
mod render;
mod silence;
mod silence_lines;
mod source;
mod speech;
#[cfg(test)]
mod tests;
mod version;
mod wav;
mod web;
mod whole;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::part::PartFile;
use crate::process::{ChildProcess, Exit, ProcessError};

pub use asset::{AssetCall, SoundFormat};
pub use error::MediaError;
pub use image::{PictureFormat, PictureJob};
pub use look::{Codec, Look, Muted};
pub use loudness::{Gain, Loudness};
pub use pictures::Sprite;
pub use probe_json::{AudioStream, Encoding, FrameRate, Probe, VideoStream};
pub use proxy::ProxyJob;
pub use render::CutJob;
pub use silence::SilenceSettings;
pub use source::MediaSource;
pub use version::Versions;
pub use web::{Stream, WebPlan};

/// The container formats read. Playlists and lists of files are not among them: an upload must
/// not make ffmpeg open other files or hosts.
const FORMATS: &str =
    "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,wav,w64,mp3,aac,flac,asf,mxf,aiff,caf";

/// For whom a call is made, and what stops it.
#[derive(Debug, Clone, Copy)]
pub struct ClipCall<'a> {
    /// The clip, as it appears on the span.
    pub clip_file_uuid: Uuid,
    /// Fires when the task is to stop: the process and its group are then ended and reaped.
    pub cancel: &'a CancellationToken,
}

/// The most memory of its own that ffmpeg gets: several times what a 4K encode takes, and less than a file can ask for.
const FFMPEG_MEMORY: u64 = 12 << 30;
/// The same for ffprobe, which decodes nothing.
const FFPROBE_MEMORY: u64 = 2 << 30;

/// An installed ffmpeg with its ffprobe. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    tools: Arc<Tools>,
}

#[derive(Debug)]
struct Tools {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
    versions: OnceCell<Versions>,
}

impl Ffmpeg {
    /// `ffmpeg` and `ffprobe` as `PATH` has them. Nothing is looked for yet: see [`Ffmpeg::check`].
    #[must_use]
    pub fn in_path() -> Self {
        Self::at("ffmpeg", "ffprobe")
    }

    /// These programs. Nothing is looked for yet: see [`Ffmpeg::check`].
    #[must_use]
    pub fn at(ffmpeg: impl Into<PathBuf>, ffprobe: impl Into<PathBuf>) -> Self {
        let (ffmpeg, ffprobe) = (ffmpeg.into(), ffprobe.into());
        let tools = Tools {
            ffmpeg,
            ffprobe,
            versions: OnceCell::new(),
        };
        Self {
            tools: Arc::new(tools),
        }
    }

    /// Runs each program once, the first time, and gives the versions they give themselves. Makes no span: it is meant for the start of a process.
    ///
    /// # Errors
    ///
    /// [`MediaError::Process`] if either is missing or does not run.
    pub async fn check(&self) -> Result<&Versions, MediaError> {
        let versions = async {
            let Tools {
                ffmpeg, ffprobe, ..
            } = &*self.tools;
            let (ffmpeg, ffprobe) = tokio::try_join!(version::of(ffmpeg), version::of(ffprobe))?;
            Ok(Versions { ffmpeg, ffprobe })
        };
        // Boxed: it is awaited once, and its callers' futures need not have room for two processes.
        let versions = Box::pin(versions);
        self.tools.versions.get_or_try_init(|| versions).await
    }

    fn ffmpeg(&self) -> ChildProcess {
        ChildProcess::new(&self.tools.ffmpeg)
            .memory(FFMPEG_MEMORY)
            .args(["-hide_banner", "-nostdin", "-loglevel", "warning"])
    }

    fn ffprobe(&self) -> ChildProcess {
        ChildProcess::new(&self.tools.ffprobe)
            .memory(FFPROBE_MEMORY)
            .args(["-hide_banner", "-loglevel", "warning"])
    }
}

/// `file:<path>`: a name is then neither an option nor a protocol, whatever it starts with.
fn file_arg(path: &Path) -> OsString {
    let mut arg = OsString::from("file:");
    arg.push(path);
    arg
}

/// Turns the failure of a process that was reading `source` into what it says about the source.
fn explained(source: &MediaSource, error: ProcessError) -> MediaError {
    let told = match &error {
        // Killed by a signal, its earlier warnings explain nothing.
        ProcessError::Failed {
            exit: Exit::Code(_),
            stderr_tail,
            ..
        } => MediaError::said(source, stderr_tail),
        _ => None,
    };
    told.unwrap_or(MediaError::Process(error))
}

/// Gives a finished output its own name.
async fn keep(part: PartFile, to: &Path) -> Result<(), MediaError> {
    part.commit().await.map_err(|source| MediaError::Io {
        doing: "rename the finished part file to",
        path: to.to_owned(),
        source,
    })
}
