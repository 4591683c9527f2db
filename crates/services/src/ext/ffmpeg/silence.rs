//! Finding the silences of a recording.
//!
//! It deliberately reports what is quiet, not what is speech: which silences are cut is decided
//! in [`crate::cuts`].

use std::path::Path;
use std::time::Duration;

use sapari_telemetry::{Traced, ext_span};

use super::silence_lines::SilenceLines;
use super::{ClipCall, Ffmpeg, MediaError, MediaSource, explained};
use crate::cuts::Silence;

/// What counts as silence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SilenceSettings {
    /// Sound below this level is silence, in decibels of full scale (negative).
    pub noise_db: f32,
    /// A shorter silence is not reported.
    pub min: Duration,
}

impl Default for SilenceSettings {
    /// Chosen on the sample interview. At -25 dB its breath grows to 1.0 s and would be cut, at
    /// -30 dB it is 0.85 s; from -35 dB down the result hardly changes. The highest of those
    /// leaves the most room for the noise of a real microphone.
    fn default() -> Self {
        Self {
            noise_db: -35.0,
            min: Duration::from_millis(500),
        }
    }
}

impl Ffmpeg {
    /// Finds the silences of a local audio file, in order.
    ///
    /// Times are exact to a millisecond or better in the first 1000 s, to 10 ms up to 10 000 s,
    /// and to 100 ms after: ffmpeg prints six digits.
    ///
    /// # Cancel safety
    ///
    /// A dropped future kills the process; nothing is left behind.
    ///
    /// # Errors
    ///
    /// [`MediaError::NoAudio`], or as [`Ffmpeg::probe`].
    pub async fn detect_silences(
        &self,
        call: ClipCall<'_>,
        wav: &Path,
        settings: SilenceSettings,
    ) -> Result<Vec<Silence>, MediaError> {
        let span = ext_span!(ffmpeg.detect_silences { clip_file_uuid = %call.clip_file_uuid });
        self.detected(call, wav, settings).traced(span).await
    }

    async fn detected(
        &self,
        call: ClipCall<'_>,
        wav: &Path,
        settings: SilenceSettings,
    ) -> Result<Vec<Silence>, MediaError> {
        let source = MediaSource::File(wav.to_owned());
        let probe = self.probed(call.cancel, &source).await?;
        if probe.audio.is_none() {
            return Err(MediaError::NoAudio {
                name: source.name(),
            });
        }
        let mut lines = SilenceLines::default();
        self.ffmpeg()
            .args(source.input_args())
            .args(["-vn", "-af", &filter(settings), "-f", "null", "-"])
            .run(call.cancel, |line| lines.line(line))
            .await
            .map_err(|error| explained(&source, error))?;
        Ok(lines.finish(probe.duration))
    }
}

fn filter(settings: SilenceSettings) -> String {
    format!(
        "silencedetect=noise={}dB:d={},ametadata=mode=print:file=-",
        settings.noise_db,
        settings.min.as_secs_f64()
    )
}
