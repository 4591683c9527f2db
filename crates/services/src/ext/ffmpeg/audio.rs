//! The sound of a recording alone, as speech recognition wants it.
//!
//! It deliberately has no choice of format: 16 kHz, mono, 16 bit is what every consumer here reads.

use std::path::Path;

use sapari_telemetry::{Traced, ext_span};

use super::making::Making;
use super::whole::Of;
use super::{ClipCall, Ffmpeg, MediaError, MediaSource, Probe};

/// Fills gaps, and a late start, with silence: times in the WAV are then times in the recording.
pub(super) const ON_THE_TIMELINE: &str = "aresample=async=1:first_pts=0";

impl Ffmpeg {
    /// Writes the sound of `source` to `to`, as WAV with 16 kHz, mono, 16 bit (about 1.9 MB per
    /// minute). `progress` gets the fraction done, rising, up to 1.0 at success.
    ///
    /// # Cancel safety
    ///
    /// `to` appears only when it is whole; a dropped future kills the process and removes
    /// `<to>.unfinished`.
    ///
    /// # Errors
    ///
    /// [`MediaError::NoAudio`] if `probe` found no sound, [`MediaError::Unsupported`] if `source` is cut
    /// off, or as [`Ffmpeg::probe`].
    pub async fn extract_audio(
        &self,
        call: ClipCall<'_>,
        source: &MediaSource,
        probe: &Probe,
        to: &Path,
        progress: impl FnMut(f64) + Send,
    ) -> Result<(), MediaError> {
        let span = ext_span!(ffmpeg.extract_audio { clip_file_uuid = %call.clip_file_uuid });
        let work = self.extracted(call, source, probe, to, progress);
        work.traced(span).await
    }

    async fn extracted(
        &self,
        call: ClipCall<'_>,
        source: &MediaSource,
        probe: &Probe,
        to: &Path,
        mut progress: impl FnMut(f64) + Send,
    ) -> Result<(), MediaError> {
        let Some(audio) = &probe.audio else {
            return Err(MediaError::NoAudio {
                name: source.name(),
            });
        };
        let stream = format!("0:{}", audio.index);
        let command = self
            .ffmpeg()
            .args(source.input_args())
            .args(["-map", &stream, "-af", ON_THE_TIMELINE])
            .args(["-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le"])
            .args(["-map_metadata", "-1", "-f", "wav"]);
        let making = Making {
            source,
            to,
            length: probe.duration,
        };
        let made = making.by(command, call.cancel, &mut progress).await?;
        self.whole(call.cancel, (source, probe), (Of::Sound, &made))
            .await?;
        made.keep(progress).await
    }
}
