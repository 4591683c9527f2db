//! Sound made small enough to be sent to whoever hears words in it.
//!
//! It deliberately has no choice of format: Opus at 24 kbit/s keeps speech, and an hour has 11 MB.

use std::path::Path;

use sapari_telemetry::{Traced, ext_span};

use super::{ClipCall, Ffmpeg, MediaError, MediaSource, explained, file_arg, keep};
use crate::part::PartFile;

impl Ffmpeg {
    /// Writes the sound of a local WAV to `to`, as Ogg Opus.
    ///
    /// # Cancel safety
    ///
    /// `to` appears only when it is whole; a dropped future kills the process and removes
    /// `<to>.unfinished`.
    ///
    /// # Errors
    ///
    /// As [`Ffmpeg::probe`].
    pub async fn compress_speech(
        &self,
        call: ClipCall<'_>,
        wav: &Path,
        to: &Path,
    ) -> Result<(), MediaError> {
        let span = ext_span!(ffmpeg.compress_speech { clip_file_uuid = %call.clip_file_uuid });
        self.compressed(call, wav, to).traced(span).await
    }

    async fn compressed(
        &self,
        call: ClipCall<'_>,
        wav: &Path,
        to: &Path,
    ) -> Result<(), MediaError> {
        let source = MediaSource::File(wav.to_owned());
        let part = PartFile::of(to);
        self.ffmpeg()
            .args(source.input_args())
            .args(["-c:a", "libopus", "-b:a", "24k", "-application", "voip"])
            .args(["-map_metadata", "-1", "-f", "ogg", "-y"])
            .arg(file_arg(part.path()))
            .run(call.cancel, |_| {})
            .await
            .map_err(|error| explained(&source, error))?;
        keep(part, to).await
    }
}
