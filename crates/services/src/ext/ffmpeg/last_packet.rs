//! When the last packet of a recording comes: all of it is read, and nothing decoded.
//!
//! It deliberately knows packets only: what cannot be decoded at the end is there all the same.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Ffmpeg, FrameRate, MediaError, MediaSource, Probe, explained};

/// Since the start of the recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LastPacket {
    /// When it begins to be shown, or heard.
    pub(super) begins: Duration,
    /// When it does not any more.
    pub(super) ends: Duration,
}

impl Ffmpeg {
    /// The last packet of the pictures and the sound, whichever is later. All zero if there is none.
    pub(super) async fn last_packet(
        &self,
        cancel: &CancellationToken,
        source: &MediaSource,
        probe: &Probe,
    ) -> Result<LastPacket, MediaError> {
        let pictures = probe.video.as_ref().map(|stream| stream.index);
        let sound = probe.audio.as_ref().map(|stream| stream.index);
        let streams = [pictures, sound].into_iter().flatten();
        let mut packets = Packets::default();
        self.ffmpeg()
            .args(source.input_args())
            .args(streams.flat_map(|index| ["-map".to_owned(), format!("0:{index}")]))
            .args(["-c", "copy", "-f", "framecrc", "-"])
            .run(cancel, |line| packets.line(line))
            .await
            .map_err(|error| explained(source, error))?;
        Ok(packets.last)
    }
}

/// Lines of ffmpeg's `framecrc`: the units of time of each stream, then the packets.
#[derive(Default)]
struct Packets {
    units: [Option<FrameRate>; 2],
    last: LastPacket,
}

impl Packets {
    fn line(&mut self, line: &str) {
        if let Some(unit) = line.strip_prefix("#tb ") {
            self.unit(unit);
        } else if let Some(found) = self.packet(line) {
            self.last.begins = self.last.begins.max(found.begins);
            self.last.ends = self.last.ends.max(found.ends);
        }
    }

    /// `0: 1/12800`
    fn unit(&mut self, line: &str) -> Option<()> {
        let (stream, unit) = line.split_once(": ")?;
        let at = self.units.get_mut(stream.parse::<usize>().ok()?)?;
        *at = FrameRate::parse(unit.trim());
        Some(())
    }

    /// `0,      50176,      50688,        512,     3354, 0x5f3c`: the stream, when it is decoded, and shown, and for how long. What
    /// tells no time is far below zero.
    fn packet(&self, line: &str) -> Option<LastPacket> {
        let mut fields = line.split(',').map(|field| field.trim().parse::<i64>());
        let stream = usize::try_from(fields.next()?.ok()?).ok()?;
        let (decoded, shown) = (fields.next()?.ok()?, fields.next()?.ok()?);
        let long = fields.next()?.ok()?.max(0);
        let unit = (*self.units.get(stream)?)?;
        let seconds = |ticks: i64| {
            let seconds = ticks as f64 * f64::from(unit.num) / f64::from(unit.den);
            Duration::try_from_secs_f64(seconds).unwrap_or_default()
        };
        let begins = decoded.max(shown);
        Some(LastPacket {
            begins: seconds(begins),
            ends: seconds(begins.saturating_add(long)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_of_all_streams() {
        let lines = "#software: Lavf59.27.100\n#tb 0: 1/25\n#media_type 0: video\n#tb 1: 1/1000\n\
            0,          0, -9223372036854775808,        1,     2007, 0xf6ade610\n\
            0,         74,         75,        5,       12, 0x1513038c, F=0x0\n\
            1,       2900,       2900,       20,      318, 0xd8c6990c, S=1,       10\n\
            0,         75,         74,        1,       12, 0x1513038c\n\
            1,      -1000,      -1000,       20,      318, 0xd8c6990c\n\
            7,       9999,       9999,       20,      318, 0xd8c6990c\nnonsense\n1,\n";
        let mut packets = Packets::default();
        lines.lines().for_each(|line| packets.line(line));
        let expected = LastPacket {
            begins: Duration::from_secs(3),
            ends: Duration::from_millis(3200),
        };
        assert_eq!(packets.last, expected);
    }
}
