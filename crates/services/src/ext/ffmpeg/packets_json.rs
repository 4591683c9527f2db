//! What ffprobe's JSON says about the first and the last packets of a recording.
//!
//! It deliberately finds nothing where the packets are not of one mind: what is damaged inside may end anywhere.

use serde::Deserialize;

use super::Probe;

/// The fields asked of ffprobe, for `-show_entries`.
pub(super) const ENTRIES: &str =
    "packet=stream_index,pts,pos:stream=index,has_b_frames:format=size";

/// The lengths of an MPEG-TS packet: plain, with a time before it, and with a checksum after it.
const LENGTHS: [u64; 3] = [188, 192, 204];
/// What of it is not an addition.
const PLAIN: u64 = 188;

/// What the packets tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Packets {
    /// The pictures are stored in another order than they are shown in, by so many, and not all tell when they are shown.
    pub(super) untimed: Option<u32>,
    /// The file ends before its last packet of MPEG-TS does.
    pub(super) end_inside: bool,
}

/// Reads ffprobe's answer. `Err` is the reason in words.
pub(super) fn parse(json: &[u8], probe: &Probe) -> Result<Packets, String> {
    let answer: Answer = serde_json::from_slice(json)
        .map_err(|error| format!("ffprobe's answer is not understood: {error}"))?;
    let size = answer
        .format
        .size
        .as_deref()
        .and_then(|text| text.parse().ok());
    let positions: Vec<u64> = answer.packets.iter().filter_map(Packet::position).collect();
    let is_stream = probe.format == "mpegts";
    Ok(Packets {
        untimed: untimed(&answer, probe),
        end_inside: is_stream && size.is_some_and(|size| ends_inside(&positions, size)),
    })
}

fn untimed(answer: &Answer, probe: &Probe) -> Option<u32> {
    let index = probe.video.as_ref()?.index;
    let stream = answer.streams.iter().find(|stream| stream.index == index)?;
    let mut pictures = answer
        .packets
        .iter()
        .filter(|packet| packet.stream_index == index);
    let is_untimed = stream.has_b_frames > 0 && pictures.any(|packet| packet.pts.is_none());
    is_untimed.then_some(stream.has_b_frames)
}

/// Whether whatever lengths fit the positions of packets leave a part of one at the end.
fn ends_inside(positions: &[u64], size: u64) -> bool {
    let rest = |length: u64| {
        // ffmpeg counts from the end of what is plain: what comes after that was before the next.
        let mut starts = positions.iter().map(|at| at + length - PLAIN);
        let first = starts.next()?;
        let in_step = starts.all(|start| start % length == first % length);
        in_step.then(|| size.checked_sub(first).map(|rest| rest % length))?
    };
    let rests: Vec<u64> = LENGTHS.into_iter().filter_map(rest).collect();
    !rests.is_empty() && rests.iter().all(|rest| (1..PLAIN).contains(rest))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    packets: Vec<Packet>,
    #[serde(default)]
    streams: Vec<Stream>,
    format: Format,
}

#[derive(Deserialize)]
struct Packet {
    stream_index: u32,
    pts: Option<i64>,
    pos: Option<String>,
}

impl Packet {
    fn position(&self) -> Option<u64> {
        self.pos.as_deref()?.parse().ok()
    }
}

#[derive(Deserialize)]
struct Stream {
    index: u32,
    #[serde(default)]
    has_b_frames: u32,
}

#[derive(Deserialize)]
struct Format {
    size: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::super::VideoStream;
    use super::*;

    #[test]
    fn a_stream_that_ends_inside_a_packet() {
        let table: [(&[u64], u64, bool); 10] = [
            (&[564, 582_048], 588_628, false),
            (&[564, 349_868], 353_176, true),
            // With a time before each packet, which is counted to it.
            (&[576, 594_432], 602_112, false),
            (&[576, 357_312], 361_267, true),
            // With a checksum after it.
            (&[632_588, 635_852], 638_724, false),
            (&[632_588, 635_852], 638_724 - 16, false),
            (&[632_588, 635_852], 638_724 - 17, true),
            // Something is before the first packet, or in the middle.
            (&[664, 582_148], 588_728, false),
            (&[664, 582_048], 588_700, false),
            (&[], 1000, false),
        ];
        for (positions, size, expected) in table {
            assert_eq!(
                ends_inside(positions, size),
                expected,
                "{positions:?} {size}"
            );
        }
    }

    #[test]
    fn pictures_that_do_not_tell_when_they_are_shown() {
        let probe = Probe {
            duration: std::time::Duration::from_secs(1),
            video: Some(VideoStream {
                index: 1,
                width: 2,
                height: 2,
                fps: None,
            }),
            audio: None,
            format: "avi".to_owned(),
            encoding: Default::default(),
        };
        let untimed = |packets: &str, delay: u32| {
            let json = format!(
                r#"{{"packets":[{packets}],"streams":[{{"index":0}},{{"index":1,"has_b_frames":{delay}}}],"format":{{"size":"9"}}}}"#
            );
            parse(json.as_bytes(), &probe).unwrap().untimed
        };
        let (told, untold) = (r#"{"stream_index":1,"pts":3}"#, r#"{"stream_index":1}"#);
        assert_eq!(untimed(&[told, untold].join(","), 2), Some(2));
        assert_eq!(untimed(untold, 0), None);
        assert_eq!(untimed(told, 2), None);
        assert_eq!(untimed(r#"{"stream_index":0}"#, 2), None);
        assert!(parse(b"", &probe).is_err());
    }
}
