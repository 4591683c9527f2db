//! How loud a recording is, as people hear it (EBU R128), and what it takes to make it so loud.
//!
//! It deliberately changes the volume of the whole alike: what was quiet beside the rest stays so.
//! Only peaks that would then be distorted are held down.

use sapari_telemetry::{Traced, ext_span};
use serde::{Deserialize, Serialize};

use super::{ClipCall, CutJob, Ffmpeg, MediaError, explained, filter, render};

/// True peaks above this are held down: encoders overshoot a little.
const CEILING_DB: f64 = -1.0;
/// What is quieter is silence, and no gain makes speech of it.
const SILENCE_LUFS: f64 = -60.0;

/// Of a recording in which nothing is heard.
const NO_PEAK_DB: f64 = -200.0;

/// How loud a recording is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loudness {
    /// Integrated over its whole length, in LUFS.
    pub integrated: f64,
    /// Its highest true peak, in decibels of full scale.
    pub peak: f64,
}

/// How much louder or quieter a recording becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    db: f64,
    /// Whether there are peaks to be held down.
    limits: bool,
}

impl Loudness {
    /// What makes it this loud; none for silence.
    #[must_use]
    pub fn gain_to(self, lufs: f64) -> Option<Gain> {
        let db = lufs - self.integrated;
        (self.integrated > SILENCE_LUFS).then_some(Gain {
            db,
            limits: self.peak + db > CEILING_DB,
        })
    }
}

impl Gain {
    /// What the joined sound goes through.
    pub(super) fn filters(self) -> String {
        let volume = format!("volume={:.2}dB", self.db);
        if !self.limits {
            return volume;
        }
        let ceiling = 10_f64.powf(CEILING_DB / 20.0);
        format!("{volume},alimiter=limit={ceiling:.4}:level=false")
    }
}

impl Ffmpeg {
    /// Measures how loud what `job` keeps of its source is, mutes included; `job.to` and the gain
    /// of the look are not looked at. None if there is no sound.
    ///
    /// # Cancel safety
    ///
    /// A dropped future kills the process; nothing is left behind.
    ///
    /// # Errors
    ///
    /// As [`Ffmpeg::render_cuts`].
    pub async fn measure_loudness(
        &self,
        call: ClipCall<'_>,
        job: CutJob<'_>,
    ) -> Result<Option<Loudness>, MediaError> {
        let span = ext_span!(ffmpeg.measure_loudness { clip_file_uuid = %call.clip_file_uuid });
        self.measured(call, job).traced(span).await
    }

    async fn measured(
        &self,
        call: ClipCall<'_>,
        job: CutJob<'_>,
    ) -> Result<Option<Loudness>, MediaError> {
        let Some(stream) = &job.probe.audio else {
            return Ok(None);
        };
        let segments = render::segments(&job)?;
        job.source.check().await?;
        let graph = filter::sound_alone(stream, &segments, &job.look);
        let script = self.script(&graph, job.to).await?;
        let mut told = Told::default();
        self.ffmpeg()
            .args(job.source.input_args())
            .args(script.args())
            .args(["-map", "[a]", "-f", "null", "-"])
            .run(call.cancel, |line| told.line(line))
            .await
            .map_err(|error| explained(job.source, error))?;
        Ok(told.loudness())
    }
}

/// What the lines of the measuring filter say; each tells of all that was heard so far.
#[derive(Default)]
struct Told {
    integrated: Option<f64>,
    peak: Option<f64>,
}

impl Told {
    fn line(&mut self, line: &str) {
        let Some((key, value)) = line.trim().split_once('=') else {
            return;
        };
        let value = || value.parse().ok();
        match key {
            "lavfi.r128.I" => self.integrated = value().or(self.integrated),
            // An amplitude.
            "lavfi.r128.true_peak" => {
                let db = value().map(|amplitude: f64| 20.0 * amplitude.log10());
                self.peak = db.map(|db| db.max(NO_PEAK_DB)).or(self.peak);
            }
            _ => {}
        }
    }

    fn loudness(self) -> Option<Loudness> {
        Some(Loudness {
            integrated: self.integrated?,
            peak: self.peak.unwrap_or(NO_PEAK_DB),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let mut told = Told::default();
        for line in [
            "frame:0  pts:0  pts_time:0",
            "lavfi.r128.I=-70.000",
            "lavfi.r128.true_peak=0.000",
            "lavfi.r128.M=-20.1",
            "lavfi.r128.I=-21.073",
            "lavfi.r128.true_peaks_ch0=0.9",
            "lavfi.r128.true_peak=0.500\r",
        ] {
            told.line(line);
        }
        let found = told.loudness().unwrap();
        assert_eq!(found.integrated, -21.073);
        assert!((found.peak + 6.02).abs() < 0.01, "{found:?}");
        assert_eq!(Told::default().loudness(), None);
    }

    #[test]
    fn peaks_are_held_down_only_where_there_would_be_any() {
        let speech = |peak| Loudness {
            integrated: -20.0,
            peak,
        };
        let filters = |gain: Option<Gain>| gain.map(Gain::filters);
        let quiet = filters(speech(-8.0).gain_to(-16.0));
        assert_eq!(quiet.as_deref(), Some("volume=4.00dB"));
        let loud = filters(speech(-3.0).gain_to(-16.0));
        assert_eq!(
            loud.as_deref(),
            Some("volume=4.00dB,alimiter=limit=0.8913:level=false")
        );
        let silence = Loudness {
            integrated: -70.0,
            peak: NO_PEAK_DB,
        };
        assert_eq!(silence.gain_to(-16.0), None);
    }
}
