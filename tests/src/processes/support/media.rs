//! Videos: the sample, one that takes long to render, and what ffprobe says of a result.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The sample: 26.5 s, of which about 16.5 s are kept.
pub(crate) const INTERVIEW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/media/interview.mp4");

/// How long a video is, as ffprobe measures it, in seconds.
#[derive(Debug)]
pub(crate) struct Film {
    pub(crate) whole: f64,
    pub(crate) video: f64,
    pub(crate) audio: f64,
}

impl Film {
    /// Fails unless it is the sample without its silences, picture and sound equally long.
    #[track_caller]
    pub(crate) fn assert_cut_interview(&self) {
        assert!((self.whole - 16.5).abs() <= 0.3, "{self:?}");
        assert!((self.video - self.audio).abs() <= 0.1, "{self:?}");
    }
}

/// Measures a video.
pub(crate) fn film(path: &Path) -> Film {
    let entries = "format=duration:stream=codec_type,duration";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "json"])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let found: Value = serde_json::from_slice(&output.stdout).expect("ffprobe prints JSON");
    let streams = found["streams"].as_array().expect("streams");
    let stream = |kind: &str| {
        let of_kind = streams.iter().find(|stream| stream["codec_type"] == kind);
        seconds(of_kind.expect("one of each kind"))
    };
    Film {
        whole: seconds(&found["format"]),
        video: stream("video"),
        audio: stream("audio"),
    }
}

fn seconds(of: &Value) -> f64 {
    let text = of["duration"].as_str().expect("a duration");
    text.parse().expect("a number")
}

/// Five minutes, made in under a second by repeating ten seconds; rendering them takes twenty times as long.
pub(crate) fn long_clip(directory: &Path) -> PathBuf {
    let (seed, clip) = (directory.join("seed.mp4"), directory.join("long.mp4"));
    let picture = "testsrc2=size=640x360:rate=25:duration=10";
    let sound = "sine=frequency=440:sample_rate=48000:duration=10";
    let mut make = Command::new("ffmpeg");
    make.args(["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]);
    make.args(["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]);
    run(make.arg(&seed));
    let mut repeat = Command::new("ffmpeg");
    repeat.args(["-stream_loop", "29", "-i"]).arg(&seed);
    run(repeat.args(["-c", "copy"]).arg(&clip));
    clip
}

fn run(ffmpeg: &mut Command) {
    let output = ffmpeg.output().expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
