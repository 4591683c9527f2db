//! Silences from what `silencedetect` notes on the frames and `ametadata` prints.
//!
//! ffmpeg prints times with six digits in all: past 1000 s they are exact to 10 ms, past 10 000 s
//! to 100 ms. It deliberately does not correct that; the padding of a cut is wider.

use std::time::Duration;

use crate::cuts::Silence;

/// Collects the silences of one recording, line by line.
#[derive(Default)]
pub(super) struct SilenceLines {
    open: Option<Duration>,
    found: Vec<Silence>,
}

impl SilenceLines {
    pub(super) fn line(&mut self, line: &str) {
        let Some((key, value)) = line.trim().split_once('=') else {
            return;
        };
        match key {
            "lavfi.silence_start" => self.open = seconds(value),
            "lavfi.silence_end" => {
                if let (Some(from), Some(to)) = (self.open.take(), seconds(value)) {
                    self.close(from, to);
                }
            }
            _ => {}
        }
    }

    /// The silences inside a recording of `duration`. One that runs to the end was never closed
    /// by ffmpeg: it ends here.
    pub(super) fn finish(mut self, duration: Duration) -> Vec<Silence> {
        if let Some(from) = self.open.take() {
            self.close(from, duration);
        }
        for silence in &mut self.found {
            silence.to = silence.to.min(duration);
        }
        self.found.retain(|silence| silence.from < silence.to);
        self.found
    }

    fn close(&mut self, from: Duration, to: Duration) {
        self.found.push(Silence { from, to });
    }
}

/// A silence at the very start may begin a little before zero.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(lines: &str, duration_ms: u64) -> Vec<(u128, u128)> {
        let mut collect = SilenceLines::default();
        lines.lines().for_each(|line| collect.line(line));
        let found = collect.finish(Duration::from_millis(duration_ms));
        found
            .iter()
            .map(|s| (s.from.as_millis(), s.to.as_millis()))
            .collect()
    }

    #[test]
    fn pairs_and_the_open_end() {
        let text = "frame:28   pts:57344   pts_time:3.584\nlavfi.silence_start=3.15088\n\
            frame:48   pts:98304   pts_time:6.144\nlavfi.silence_end=6.1475\n\
            lavfi.silence_duration=2.99662\nlavfi.silence_start=23.6767\n";
        assert_eq!(parsed(text, 26_474), [(3150, 6147), (23_676, 26_474)]);
    }

    #[test]
    fn odd_lines() {
        let table: [(&str, &[(u128, u128)]); 6] = [
            ("", &[]),
            ("lavfi.silence_end=2", &[]),
            (
                "lavfi.silence_start=-0.0013\nlavfi.silence_end=1",
                &[(0, 1000)],
            ),
            ("lavfi.silence_start=nan\nlavfi.silence_end=1e300", &[]),
            ("lavfi.silence_start=12", &[]),
            (
                "lavfi.silence_start=9\nlavfi.silence_end=11",
                &[(9000, 10_000)],
            ),
        ];
        for (text, expected) in table {
            assert_eq!(parsed(text, 10_000), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_printed_silences_lie_inside(
            lines in proptest::collection::vec(
                "(lavfi\\.silence_(start|end)=)?(-?[0-9]{1,5}(\\.[0-9]{1,5})?|nan|inf|N/A)", 0..20),
            duration in 0u64..100_000,
        ) {
            for (from, to) in parsed(&lines.join("\n"), duration) {
                proptest::prop_assert!(from <= to && to <= u128::from(duration));
            }
        }
    }
}
