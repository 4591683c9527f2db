//! kill -9 in the middle of a long render: the next attempt goes on where the killed one was, and the export is whole.

use nix::sys::signal::Signal;

use super::stopping::Waiting;
use super::support::{Receiver, Space, alive, film, outcomes, steps, until};

/// How much of the clip is kept: long enough to be killed in, short enough to be rendered once more.
const KEPT_SECONDS: u32 = 90;
/// What the frames of the video may move a cut by, and the last packet of sound.
const TOLERANCE: f64 = 0.1;

/// A render whose first worker was killed while it cut.
struct Killed {
    receiver: Receiver,
    waiting: Waiting,
}

impl Killed {
    async fn in_apply_cuts() -> Self {
        let receiver = Receiver::start().await;
        let space = Space::new().with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
        let waiting = Waiting::kicked_in(space, KEPT_SECONDS).await;
        let (worker, ffmpeg) = waiting.worker_at_work(&["--lease", "1s"]).await;
        worker.signal(Signal::SIGKILL);
        assert_eq!(worker.ended().await.code, None, "killed");
        until("ffmpeg's end, which goes with its worker", || {
            !alive(ffmpeg)
        })
        .await;
        Self { receiver, waiting }
    }

    /// Lets another worker render it, with its scratch files there, and gives what each of its steps came to.
    async fn rendered_by_another(&self, scratch: &str) -> Vec<(String, String)> {
        let scratch = self.waiting.space.path(scratch).display().to_string();
        let args = ["--lease", "1s", "--scratch-dir", &scratch];
        let worker = self.waiting.space.start("sapari-render", &args);
        outcomes(&self.receiver, worker.pid(), "render_export").await
    }

    fn assert_whole(&self) {
        let export = film(&self.waiting.space.object(&self.waiting.key));
        let expected = f64::from(KEPT_SECONDS);
        for seconds in [export.whole, export.video, export.audio] {
            assert!((seconds - expected).abs() <= TOLERANCE, "{export:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_apply_cuts_and_neither_probe_nor_download_is_repeated() {
    let killed = Killed::in_apply_cuts().await;
    let outcomes = killed.rendered_by_another("scratch").await;
    let expected = steps(&[
        ("probe_clips", "resumed"),
        ("download_clips", "resumed"),
        ("measure_loudness", "skipped"),
        ("apply_cuts", "done"),
        ("upload_export", "done"),
    ]);
    assert_eq!(outcomes, expected);
    killed.assert_whole();
    let left = killed.waiting.space.files("scratch");
    assert!(left.is_empty(), "the message has come to its end: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_apply_cuts_and_another_machine_only_downloads_again() {
    let killed = Killed::in_apply_cuts().await;
    let outcomes = killed.rendered_by_another("scratch-of-another").await;
    let expected = steps(&[
        ("probe_clips", "resumed"),
        ("download_clips", "done"),
        ("measure_loudness", "skipped"),
        ("apply_cuts", "done"),
        ("upload_export", "done"),
    ]);
    assert_eq!(outcomes, expected);
    killed.assert_whole();
}
