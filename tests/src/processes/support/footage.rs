//! Footage of every kind that people upload, made by ffmpeg on the spot, and what ffprobe says of what became of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::INTERVIEW;

/// Two seconds of moving picture.
pub(crate) const PICTURE: [&str; 4] = [
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=640x360:rate=25:duration=2",
];
/// Two seconds of a tone.
pub(crate) const SOUND: [&str; 4] = [
    "-f",
    "lavfi",
    "-i",
    "sine=frequency=440:sample_rate=48000:duration=2",
];

/// Makes a file with ffmpeg.
pub(crate) fn made(directory: &Path, name: &str, args: &[&[&str]]) -> PathBuf {
    let path = directory.join(name);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-y"])
        .args(args.concat())
        .arg(&path);
    let output = ffmpeg.output().expect("ffmpeg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    path
}

/// A part of another file's bytes.
pub(crate) fn cut_off(from: &Path, name: &str, share: f64) -> PathBuf {
    let whole = std::fs::read(from).expect("readable");
    let kept = (whole.len() as f64 * share) as usize;
    written(from.parent().expect("a directory"), name, &whole[..kept])
}

pub(crate) fn written(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, bytes).expect("writable");
    path
}

/// The sample with every thousandth byte of its second half turned over.
pub(crate) fn damaged(directory: &Path, name: &str) -> PathBuf {
    let mut bytes = std::fs::read(INTERVIEW).expect("the sample");
    let half = bytes.len() / 2;
    bytes[half..]
        .iter_mut()
        .step_by(1000)
        .for_each(|byte| *byte = !*byte);
    written(directory, name, &bytes)
}

/// What a file is made of.
#[derive(Debug, PartialEq)]
pub(crate) struct Made {
    /// Codec, pixel format, width and height of the pictures.
    pub(crate) video: Option<(String, String, i64, i64)>,
    /// The codec of the sound.
    pub(crate) audio: Option<String>,
    pub(crate) seconds: f64,
    /// How far apart the ends of pictures and sound are, in seconds.
    pub(crate) apart: f64,
    /// Nothing turns it when it is shown.
    pub(crate) is_upright: bool,
    /// The head stands before the film.
    pub(crate) is_streamable: bool,
}

/// Looks at a file.
pub(crate) fn look(path: &Path) -> Made {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_streams",
            "-show_format",
            "-of",
            "json",
        ])
        .arg(path)
        .output()
        .expect("ffprobe is installed");
    let found: Value = serde_json::from_slice(&output.stdout).expect("ffprobe prints JSON");
    let streams = found["streams"].as_array().cloned().unwrap_or_default();
    let stream = |kind: &str| streams.iter().find(|stream| stream["codec_type"] == kind);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0)
    };
    let video = stream("video").map(|video| {
        let side = |name: &str| video[name].as_i64().expect("a size");
        (
            text(&video["codec_name"]),
            text(&video["pix_fmt"]),
            side("width"),
            side("height"),
        )
    });
    let ends = ["video", "audio"].map(|kind| stream(kind).map(|it| number(&it["duration"])));
    let bytes = std::fs::read(path).expect("readable");
    let at = |name: &[u8]| bytes.windows(4).position(|four| four == name);
    Made {
        video,
        audio: stream("audio").map(|audio| text(&audio["codec_name"])),
        seconds: number(&found["format"]["duration"]),
        apart: match ends {
            [Some(video), Some(audio)] => (video - audio).abs(),
            _ => 0.0,
        },
        is_upright: !String::from_utf8_lossy(&output.stdout).contains("rotation"),
        is_streamable: at(b"moov") < at(b"mdat"),
    }
}
