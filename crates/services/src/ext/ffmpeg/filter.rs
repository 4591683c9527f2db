//! The filter graph that keeps some segments of a recording and drops the rest, and gives what is kept its look.
//!
//! It deliberately re-times every segment from its own start, not from its first frame: a frame
//! that comes late in the source comes late in the output, and sound and picture stay together.

use std::fmt::Write;
use std::time::Duration;

use super::mutes;
use super::{AudioStream, FrameRate, Gain, Look, Probe, VideoStream};
use crate::cuts::Segment;

/// The graph and the names of its outputs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Graph {
    pub(super) text: String,
    /// `[v]`, `[a]`, or both.
    pub(super) outputs: Vec<&'static str>,
}

/// The segments on the frames of the video, so that sound and picture of each are equally long
/// and none needs filling at a join. What becomes empty goes.
pub(super) fn on_frames(segments: &[Segment], fps: Option<FrameRate>) -> Vec<Segment> {
    let snap = |time: Duration| Duration::from_micros(nearest_frame(micros(time), fps));
    let snapped = segments.iter().map(|segment| Segment {
        from: snap(segment.from),
        to: snap(segment.to),
    });
    snapped
        .filter(|segment| segment.from < segment.to)
        .collect()
}

fn nearest_frame(time_us: u64, fps: Option<FrameRate>) -> u64 {
    let Some(FrameRate { num, den }) = fps else {
        return time_us;
    };
    let (num, den_us) = (u128::from(num), u128::from(den) * 1_000_000);
    let frame = (u128::from(time_us) * num + den_us / 2) / den_us;
    let snapped = (frame * den_us + num / 2) / num;
    u64::try_from(snapped).unwrap_or(time_us)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Builds the graph over input 0. `segments` must be ordered and not empty.
pub(super) fn graph(probe: &Probe, segments: &[Segment], look: &Look<'_>) -> Graph {
    let video = probe
        .video
        .as_ref()
        .map(|stream| Track::video(stream, look, &timing(probe)));
    let audio = probe.audio.as_ref().map(|stream| {
        let finish = look.gain.map(Gain::filters);
        Track::audio(stream, look, finish.unwrap_or_else(|| "anull".to_owned()))
    });
    let tracks: Vec<Track> = [video, audio].into_iter().flatten().collect();
    joined(&tracks, segments)
}

/// The graph of what is heard, without a gain, measured and put on stdout.
pub(super) fn sound_alone(stream: &AudioStream, segments: &[Segment], look: &Look<'_>) -> Graph {
    let measure = "ebur128=peak=true:metadata=1,ametadata=mode=print:file=-".to_owned();
    joined(&[Track::audio(stream, look, measure)], segments)
}

/// The filters, each with a comma, by which pictures come when they are to be shown, and often enough to be cut anywhere.
fn timing(probe: &Probe) -> String {
    match probe.encoding.repeated {
        Some(FrameRate { num, den }) => format!("{}fps={num}/{den},", on_time(probe)),
        None => on_time(probe),
    }
}

/// The filter, with a comma, that shows pictures when they are to be shown: ffmpeg goes by when each was stored, if AVI does not tell
/// more. Empty for those that are on time.
pub(super) fn on_time(probe: &Probe) -> String {
    let fps = probe.video.as_ref().and_then(|video| video.fps);
    match (probe.encoding.untimed, fps) {
        (Some(frames), Some(fps)) if probe.format == "avi" => {
            format!("setpts=PTS-{frames}*{}/{}/TB,", fps.den, fps.num)
        }
        _ => String::new(),
    }
}

fn joined(tracks: &[Track], segments: &[Segment]) -> Graph {
    let mut text = String::new();
    for track in tracks {
        track.push_split(&mut text, segments.len());
        for (number, segment) in segments.iter().enumerate() {
            track.push_trim(&mut text, number, *segment);
        }
    }
    push_concat(&mut text, tracks, segments.len());
    Graph {
        text,
        outputs: tracks.iter().map(|track| track.output).collect(),
    }
}

/// How one kind of stream is named and filtered.
struct Track {
    letter: char,
    /// From the stream of the input to the split, which follows at once.
    prepare: String,
    split: &'static str,
    trim: &'static str,
    set_pts: &'static str,
    /// After the concat.
    finish: String,
    output: &'static str,
}

impl Track {
    fn video(stream: &VideoStream, look: &Look<'_>, timing: &str) -> Self {
        Self {
            letter: 'v',
            prepare: format!("[0:{}]{timing}", stream.index),
            split: "split",
            trim: "trim",
            set_pts: "setpts",
            finish: look.video_filters(stream),
            output: "[v]",
        }
    }

    fn audio(stream: &AudioStream, look: &Look<'_>, finish: String) -> Self {
        // Gaps, and a late start, become silence: else each would pull the rest forward.
        let on_the_timeline = format!("[0:{}]aresample=async=1:first_pts=0,", stream.index);
        Self {
            letter: 'a',
            prepare: mutes::muted(on_the_timeline, stream, look),
            split: "asplit",
            trim: "atrim",
            set_pts: "asetpts",
            finish,
            output: "[a]",
        }
    }

    fn push_split(&self, out: &mut String, count: usize) {
        push(out, format_args!("{}{}={count}", self.prepare, self.split));
        for number in 0..count {
            push(out, format_args!("[{}in{number}]", self.letter));
        }
        out.push_str(";\n");
    }

    fn push_trim(&self, out: &mut String, number: usize, segment: Segment) {
        let (from, to) = (seconds(segment.from), seconds(segment.to));
        let Self {
            letter,
            trim,
            set_pts,
            ..
        } = self;
        push(
            out,
            format_args!(
                "[{letter}in{number}]{trim}=start={from}:end={to},\
                 {set_pts}=round(PTS-{from}/TB)[{letter}{number}];\n"
            ),
        );
    }
}

fn push_concat(out: &mut String, tracks: &[Track], count: usize) {
    for number in 0..count {
        for track in tracks {
            push(out, format_args!("[{}{number}]", track.letter));
        }
    }
    let has = |letter| u8::from(tracks.iter().any(|track| track.letter == letter));
    push(
        out,
        format_args!("concat=n={count}:v={}:a={}", has('v'), has('a')),
    );
    for track in tracks {
        push(out, format_args!("[{}all]", track.letter));
    }
    for track in tracks {
        push(
            out,
            format_args!(";\n[{}all]{}{}", track.letter, track.finish, track.output),
        );
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

pub(super) fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(from_us: u64, to_us: u64) -> Segment {
        Segment {
            from: Duration::from_micros(from_us),
            to: Duration::from_micros(to_us),
        }
    }

    fn probe(video: bool, audio: bool) -> Probe {
        Probe {
            duration: Duration::from_secs(10),
            video: video.then_some(VideoStream {
                index: 0,
                width: 640,
                height: 360,
                fps: None,
            }),
            audio: audio.then_some(AudioStream {
                index: 1,
                sample_rate: 48_000,
                channels: 2,
            }),
            format: String::new(),
            encoding: Default::default(),
        }
    }

    #[test]
    fn two_segments_with_sound_and_picture() {
        let graph = graph(
            &probe(true, true),
            &[segment(0, 1_500_000), segment(2_000_001, 3_000_000)],
            &Look::default(),
        );
        let expected = "\
[0:0]split=2[vin0][vin1];
[vin0]trim=start=0.000000:end=1.500000,setpts=round(PTS-0.000000/TB)[v0];
[vin1]trim=start=2.000001:end=3.000000,setpts=round(PTS-2.000001/TB)[v1];
[0:1]aresample=async=1:first_pts=0,asplit=2[ain0][ain1];
[ain0]atrim=start=0.000000:end=1.500000,asetpts=round(PTS-0.000000/TB)[a0];
[ain1]atrim=start=2.000001:end=3.000000,asetpts=round(PTS-2.000001/TB)[a1];
[v0][a0][v1][a1]concat=n=2:v=1:a=1[vall][aall];
[vall]crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0,format=yuv420p[v];
[aall]anull[a]";
        assert_eq!(graph.text, expected);
        assert_eq!(graph.outputs, ["[v]", "[a]"]);
    }

    #[test]
    fn a_missing_stream_is_left_out() {
        let silent = graph(&probe(true, false), &[segment(0, 1)], &Look::default());
        assert!(!silent.text.contains("atrim") && silent.text.contains("concat=n=1:v=1:a=0[vall]"));
        assert_eq!(silent.outputs, ["[v]"]);
        let blind = graph(&probe(false, true), &[segment(0, 1)], &Look::default());
        assert!(!blind.text.contains("]trim") && blind.text.contains("concat=n=1:v=0:a=1[aall]"));
        assert_eq!(blind.outputs, ["[a]"]);
    }

    #[test]
    fn times_go_to_the_nearest_frame() {
        let rate = |num, den| Some(FrameRate { num, den });
        let table = [
            (3_400_880, rate(25, 1), 3_400_000),
            (3_420_000, rate(25, 1), 3_440_000),
            (1_000_000, rate(30_000, 1001), 1_001_000),
            (1_001_001, rate(24_000, 1001), 1_001_000),
            (123_456, None, 123_456),
        ];
        for (time, fps, expected) in table {
            assert_eq!(nearest_frame(time, fps), expected, "{time}");
        }
        let snapped = on_frames(&[segment(0, 1000), segment(39_000, 81_000)], rate(25, 1));
        assert_eq!(snapped, [segment(40_000, 80_000)]);
    }

    proptest::proptest! {
        #[test]
        fn snapping_moves_by_at_most_half_a_frame_and_stays_there(
            time in 0u64..100_000_000_000, num in 1u32..240_000, den in 1u32..2002,
        ) {
            let fps = Some(FrameRate { num, den });
            let snapped = nearest_frame(time, fps);
            let frame = u128::from(den) * 1_000_000 / u128::from(num);
            proptest::prop_assert!(u128::from(snapped.abs_diff(time)) <= frame / 2 + 2);
            proptest::prop_assert_eq!(nearest_frame(snapped, fps), snapped);
        }

        #[test]
        fn every_segment_is_split_trimmed_and_joined_once(count in 1usize..40) {
            let segments: Vec<_> = (0..count as u64).map(|n| segment(n * 10, n * 10 + 5)).collect();
            let text = graph(&probe(true, true), &segments, &Look::default()).text;
            proptest::prop_assert_eq!(text.matches("]trim=").count(), count);
            proptest::prop_assert_eq!(text.matches("atrim=").count(), count);
            for label in (0..count).flat_map(|n| [format!("[v{n}]"), format!("[a{n}]"), format!("[vin{n}]")]) {
                proptest::prop_assert_eq!(text.matches(&label).count(), 2);
            }
        }
    }
}
