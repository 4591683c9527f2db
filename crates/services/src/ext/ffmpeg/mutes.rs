//! What is heard, or not, where the source's sound is muted.
//!
//! It deliberately works before the cuts, in times of the source, so that a stretch that is cut inside needs no care.

use std::fmt::Write;
use std::time::Duration;

use super::filter::seconds;
use super::{AudioStream, Look, Muted};
use crate::cuts::Segment;

/// How exact the edges are: volumes are set for a frame of sound, and usual frames last 20 ms.
const FRAMES_PER_SECOND: u32 = 1000;
/// Usual frames again: whatever follows has less to do.
const USUAL_FRAME: &str = "asetnsamples=n=1024:p=0";

/// `prepare`, which ends with a comma, and what mutes after it; a comma again, unless something was mixed in.
pub(super) fn muted(prepare: String, stream: &AudioStream, look: &Look<'_>) -> String {
    if look.mutes.is_empty() {
        return prepare;
    }
    let frame = (stream.sample_rate / FRAMES_PER_SECOND).max(1);
    let fine = format!("asetnsamples=n={frame}:p=0");
    let within = any_of(look.mutes);
    let silence = format!("{fine},volume=volume=0:enable='{within}'");
    match look.muted {
        Muted::Silence => format!("{prepare}{silence},{USUAL_FRAME},"),
        Muted::Bleep => {
            // Both alike: a mixer that has to choose may make one channel of two.
            let layout = if stream.channels == 1 {
                "mono"
            } else {
                "stereo"
            };
            let rate = stream.sample_rate;
            let form = format!("aformat=sample_rates={rate}:channel_layouts={layout}");
            format!(
                "sine=frequency=1000:sample_rate={rate},{form},{fine},\
                 volume=volume=0:enable='not({within})'[tone];\n\
                 {prepare}{form},{silence}[said];\n\
                 [said][tone]amix=inputs=2:duration=first:normalize=0,{USUAL_FRAME},"
            )
        }
    }
}

/// True within any of the stretches: numbers only.
fn any_of(stretches: &[Segment]) -> String {
    let mut out = String::new();
    for stretch in stretches
        .iter()
        .filter(|stretch| stretch.length() > Duration::ZERO)
    {
        let plus = if out.is_empty() { "" } else { "+" };
        let (from, to) = (seconds(stretch.from), seconds(stretch.to));
        // Writing to a String cannot fail.
        let _ = write!(out, "{plus}gte(t,{from})*lt(t,{to})");
    }
    if out.is_empty() { "0".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEREO: AudioStream = AudioStream {
        index: 1,
        sample_rate: 44_100,
        channels: 2,
    };

    fn stretch(from: u64, to: u64) -> Segment {
        Segment {
            from: Duration::from_millis(from),
            to: Duration::from_millis(to),
        }
    }

    #[test]
    fn nothing_is_muted_without_mutes() {
        assert_eq!(muted("a,".to_owned(), &STEREO, &Look::default()), "a,");
    }

    #[test]
    fn silence_has_edges_of_a_millisecond() {
        let mutes = [stretch(1000, 1500), stretch(7, 7), stretch(2000, 2001)];
        let look = Look {
            mutes: &mutes,
            ..Look::default()
        };
        let expected = "a,asetnsamples=n=44:p=0,volume=volume=0:enable='gte(t,1.000000)*lt(t,1.500000)\
                        +gte(t,2.000000)*lt(t,2.001000)',asetnsamples=n=1024:p=0,";
        assert_eq!(muted("a,".to_owned(), &STEREO, &look), expected);
    }

    #[test]
    fn a_bleep_has_the_channels_of_the_sound() {
        let mutes = [stretch(0, 1)];
        let look = Look {
            mutes: &mutes,
            muted: Muted::Bleep,
            ..Look::default()
        };
        for (channels, layout) in [(1, "mono"), (2, "stereo"), (6, "stereo")] {
            let stream = AudioStream { channels, ..STEREO };
            let text = muted("a,".to_owned(), &stream, &look);
            assert_eq!(
                text.matches(&format!("channel_layouts={layout}")).count(),
                2
            );
        }
    }
}
