//! Edits of an asset: a stretch of it, or its sound alone.
//!
//! It deliberately has no cuts of its own: a trim is a render of one segment.

use sapari_telemetry::{Traced, ext_span};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use std::path::Path;
use std::time::Duration;

use super::audio::ON_THE_TIMELINE;
use super::making::Making;
use super::whole::Of;
use super::{CutJob, Ffmpeg, MediaError, MediaSource, Probe, render};

/// For which asset a call is made, and what stops it.
#[derive(Debug, Clone, Copy)]
pub struct AssetCall<'a> {
    /// The asset, as it appears on the span.
    pub asset_file_uuid: Uuid,
    /// Fires when the task is to stop: the process and its group are then ended and reaped.
    pub cancel: &'a CancellationToken,
}

/// What a sound file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundFormat {
    /// AAC in an MP4.
    M4a,
    /// MP3.
    Mp3,
    /// Uncompressed, 16 bit.
    Wav,
}

impl SoundFormat {
    fn args(self) -> &'static [&'static str] {
        match self {
            Self::M4a => &[
                "-c:a",
                "aac",
                "-b:a",
                "192k",
                "-movflags",
                "+faststart",
                "-f",
                "mp4",
            ],
            Self::Mp3 => &["-c:a", "libmp3lame", "-q:a", "2", "-f", "mp3"],
            Self::Wav => &["-c:a", "pcm_s16le", "-f", "wav"],
        }
    }
}

impl Ffmpeg {
    /// As [`Ffmpeg::probe`], for an asset.
    ///
    /// # Errors
    ///
    /// As [`Ffmpeg::probe`].
    pub async fn probe_asset(
        &self,
        call: AssetCall<'_>,
        source: &MediaSource,
    ) -> Result<Probe, MediaError> {
        let span = ext_span!(ffmpeg.probe { asset_file_uuid = %call.asset_file_uuid });
        self.probed(call.cancel, source).traced(span).await
    }

    /// As [`Ffmpeg::render_cuts`], for an asset.
    ///
    /// # Cancel safety
    ///
    /// As [`Ffmpeg::render_cuts`].
    ///
    /// # Errors
    ///
    /// As [`Ffmpeg::render_cuts`].
    pub async fn trim_asset(
        &self,
        call: AssetCall<'_>,
        job: CutJob<'_>,
        progress: impl FnMut(f64) + Send,
    ) -> Result<Duration, MediaError> {
        let span = ext_span!(ffmpeg.trim { asset_file_uuid = %call.asset_file_uuid });
        self.rendered(call.cancel, job, progress).traced(span).await
    }

    /// Writes the sound of `source` to `to`, with the rate and the channels that it has, and gives its length: beside pictures, it may end
    /// before they do.
    ///
    /// # Cancel safety
    ///
    /// `to` appears only when it is whole; a dropped future kills the process and removes
    /// `<to>.unfinished`.
    ///
    /// # Errors
    ///
    /// [`MediaError::NoAudio`] if `probe` found no sound, [`MediaError::Unsupported`] if the source
    /// is cut off, or as [`Ffmpeg::probe`].
    pub async fn extract_sound(
        &self,
        call: AssetCall<'_>,
        (source, probe): (&MediaSource, &Probe),
        (format, to): (SoundFormat, &Path),
        progress: impl FnMut(f64) + Send,
    ) -> Result<Duration, MediaError> {
        let span = ext_span!(ffmpeg.extract_audio { asset_file_uuid = %call.asset_file_uuid });
        let work = self.sound_extracted(call.cancel, (source, probe), (format, to), progress);
        work.traced(span).await
    }

    async fn sound_extracted(
        &self,
        cancel: &CancellationToken,
        (source, probe): (&MediaSource, &Probe),
        (format, to): (SoundFormat, &Path),
        mut progress: impl FnMut(f64) + Send,
    ) -> Result<Duration, MediaError> {
        let stream = probe.audio.as_ref().ok_or_else(|| MediaError::NoAudio {
            name: source.name(),
        })?;
        let stream = format!("0:{}", stream.index);
        let command = self
            .ffmpeg()
            .args(source.input_args())
            .args(["-map", &stream, "-af", ON_THE_TIMELINE])
            .args(render::WITHOUT_METADATA)
            .args(format.args());
        let making = Making {
            source,
            to,
            length: probe.duration,
        };
        let made = making.by(command, cancel, &mut progress).await?;
        self.whole(cancel, (source, probe), (Of::Sound, &made))
            .await?;
        let length = made.length();
        made.keep(progress).await?;
        Ok(length)
    }
}
