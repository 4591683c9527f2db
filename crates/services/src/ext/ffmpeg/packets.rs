//! What only the packets of a recording tell: whether its pictures say when they are shown, and whether a stream that says nothing
//! of its length breaks off inside a packet.
//!
//! It deliberately looks at a few of the first and the last, and only where containers leave such things open.

use tokio_util::sync::CancellationToken;

use super::{Ffmpeg, MediaError, MediaSource, Probe, explained, packets_json};

/// The containers that leave it open, by the start of their names.
const LOOKED_INTO: [&str; 3] = ["avi", "mpeg", "mpegts"];
/// The first ones, and in a stream those that are at the end: whoever asks for a time beyond it gets them.
const FIRST: &str = "%+#16";
const FIRST_AND_LAST: &str = "%+#16,999999%";
const MAX_JSON: usize = 1024 * 1024;

impl Ffmpeg {
    /// Completes `probe`, or says that the file is cut off.
    pub(super) async fn look_at_packets(
        &self,
        cancel: &CancellationToken,
        source: &MediaSource,
        probe: &mut Probe,
    ) -> Result<(), MediaError> {
        if !LOOKED_INTO.contains(&&*probe.format) {
            return Ok(());
        }
        let which = match &*probe.format {
            "mpegts" => FIRST_AND_LAST,
            _ => FIRST,
        };
        let run = self
            .ffprobe()
            .args(["-read_intervals", which])
            .args([
                "-show_entries",
                packets_json::ENTRIES,
                "-of",
                "json=compact=1",
            ])
            .args(source.input_args());
        let answer = run.collect(cancel, MAX_JSON).await;
        let answer = answer.map_err(|error| explained(source, error))?;
        let found =
            packets_json::parse(&answer.stdout, probe).map_err(|reason| MediaError::NotMedia {
                name: source.name(),
                reason,
            })?;
        if found.end_inside {
            return Err(MediaError::Unsupported {
                name: source.name(),
                reason: "it is damaged or cut off, it ends inside a packet".to_owned(),
            });
        }
        probe.encoding.untimed = found.untimed;
        Ok(())
    }
}
