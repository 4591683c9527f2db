//! The real ffmpeg on the sample interview, and on what is no video.
//!
//! It deliberately fails where ffmpeg is missing: a skipped test would look like a passed one.

mod cancel;
mod limits;
mod looks;
mod reading;
mod sample;
mod sync;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::cuts::Segment;
use crate::process::ChildProcess;
use crate::scratch::Scratch;

/// Long enough for a loaded machine; reached only when a test fails.
const BOUND: Duration = Duration::from_secs(120);

async fn ffmpeg() -> Ffmpeg {
    let ffmpeg = Ffmpeg::in_path();
    let found = ffmpeg.check().await.map(drop);
    found.expect("these tests need ffmpeg and ffprobe in PATH (Debian: apt-get install ffmpeg)");
    ffmpeg
}

fn call(cancel: &CancellationToken) -> ClipCall<'_> {
    ClipCall {
        clip_file_uuid: Uuid::now_v7(),
        cancel,
    }
}

fn scratch() -> Scratch {
    Scratch::new(&std::env::temp_dir(), "ffmpeg-test").unwrap()
}

fn interview() -> MediaSource {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/media/interview.mp4"
    );
    MediaSource::File(PathBuf::from(path))
}

/// Makes an input with ffmpeg itself.
async fn make(args: &[&str], to: &Path) {
    let run = ChildProcess::new("ffmpeg").args(["-hide_banner", "-nostdin", "-loglevel", "error"]);
    let run = run.args(args).arg(to);
    run.run(&CancellationToken::new(), |_| {}).await.unwrap();
}

/// Keeps these stretches of a recording, one after the other, as they come.
async fn cut(source: &MediaSource, keep: &[Segment], to: &Path) -> Result<Duration, MediaError> {
    let (ffmpeg, cancel) = (ffmpeg().await, CancellationToken::new());
    let probe = ffmpeg.probe(call(&cancel), source).await?;
    let job = CutJob {
        source,
        probe: &probe,
        keep,
        to,
        look: Look::default(),
    };
    ffmpeg.render_cuts(call(&cancel), job, |_| {}).await
}

/// Of a recording, from one millisecond to another.
fn stretch((from, to): (u64, u64)) -> Segment {
    Segment {
        from: Duration::from_millis(from),
        to: Duration::from_millis(to),
    }
}

/// The durations of the first video and audio stream, in seconds.
async fn stream_seconds(file: &Path) -> (f64, f64) {
    let mut found = [0.0; 2];
    for (at, kind) in ["v:0", "a:0"].into_iter().enumerate() {
        let run = ChildProcess::new("ffprobe")
            .args(["-v", "error", "-select_streams", kind])
            .args(["-show_entries", "stream=duration", "-of", "csv=p=0"])
            .arg(file);
        let out = run.collect(&CancellationToken::new(), 1000).await.unwrap();
        found[at] = String::from_utf8(out.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
    }
    (found[0], found[1])
}
