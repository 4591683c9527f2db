//! How far ffmpeg is, from the lines of `-progress`.
//!
//! It deliberately reads only `out_time_us`. (`out_time_ms` is in microseconds as well, whatever
//! its name says.)

use std::time::Duration;

use super::{MediaError, MediaSource};

/// How much shorter than asked an output may be: frames at the end that never came.
pub(super) const MAX_MISSING: Duration = Duration::from_secs(1);

/// So little is missing of what nobody cut off: a few pictures. ffmpeg does not count how long the last one is shown.
pub(super) const UNNOTICED: Duration = Duration::from_millis(200);

/// ffmpeg calls it success when its input just ends, as an upload that was cut off does.
pub(super) fn complete(source: &MediaSource, missing: Duration) -> Result<(), MediaError> {
    if missing <= MAX_MISSING {
        return Ok(());
    }
    let seconds = missing.as_secs_f64();
    Err(MediaError::Unsupported {
        name: source.name(),
        reason: format!("it is damaged or cut off, the last {seconds:.1} s are missing"),
    })
}

/// How far ffmpeg is, if the line tells. Before the first frame that is `N/A`, or far below zero.
pub(super) fn out_time_us(line: &str) -> Option<i64> {
    line.trim().strip_prefix("out_time_us=")?.parse().ok()
}

/// Turns lines into fractions that never go back.
pub(super) struct Progress {
    expected_us: f64,
    last: f64,
}

impl Progress {
    /// `expected` is the length of the whole output.
    pub(super) fn towards(expected: Duration) -> Self {
        Self {
            // Never zero: it divides.
            expected_us: expected.as_micros().max(1) as f64,
            last: 0.0,
        }
    }

    /// The fraction done, 0.0 to 1.0, if `line` tells of progress.
    pub(super) fn line(&mut self, line: &str) -> Option<f64> {
        let fraction = (out_time_us(line)? as f64 / self.expected_us).clamp(0.0, 1.0);
        if fraction <= self.last {
            return None;
        }
        self.last = fraction;
        Some(fraction)
    }

    /// How much of the expected output is missing so far.
    pub(super) fn missing(&self) -> Duration {
        let missing_us = self.expected_us * (1.0 - self.last);
        Duration::from_micros(missing_us as u64)
    }

    /// 1.0, unless it was told already: the output may be a little shorter than expected.
    pub(super) fn end(self) -> Option<f64> {
        (self.last < 1.0).then_some(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_steps_forward_are_told() {
        let table = [
            ("frame=1", None),
            ("out_time_us=N/A", None),
            ("out_time_us=-9223372036854775807", None),
            ("out_time_us=0", None),
            ("out_time_ms=1000000", None),
            ("out_time_us=1000000", Some(0.25)),
            ("out_time_us=900000", None),
            ("progress=continue", None),
            ("out_time_us=2000000\r", Some(0.5)),
            ("out_time_us=4100000", Some(1.0)),
            ("out_time_us=4200000", None),
        ];
        let mut progress = Progress::towards(Duration::from_secs(4));
        for (line, expected) in table {
            assert_eq!(progress.line(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_missing() {
        let mut progress = Progress::towards(Duration::from_secs(4));
        assert_eq!(progress.missing(), Duration::from_secs(4));
        progress.line("out_time_us=3000000");
        assert_eq!(progress.missing(), Duration::from_secs(1));
        progress.line("out_time_us=5000000");
        assert_eq!(progress.missing(), Duration::ZERO);
    }

    #[test]
    fn an_expected_length_of_zero_does_not_divide() {
        let mut progress = Progress::towards(Duration::ZERO);
        assert_eq!(progress.line("out_time_us=5"), Some(1.0));
    }

    proptest::proptest! {
        #[test]
        fn it_is_monotonic_and_a_fraction(
            expected in 0u64..10_000_000, lines in proptest::collection::vec("(out_time_us=)?-?[0-9]{1,20}", 0..30),
        ) {
            let mut progress = Progress::towards(Duration::from_micros(expected));
            let mut last = 0.0;
            for line in &lines {
                if let Some(fraction) = progress.line(line) {
                    proptest::prop_assert!(last < fraction && fraction <= 1.0);
                    last = fraction;
                }
            }
        }
    }
}
