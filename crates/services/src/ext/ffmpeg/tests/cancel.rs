//! A render that is stopped leaves no process and no file.

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::cuts::Segment;

/// Ten minutes of film, made in a second: ten seconds of it, repeated without encoding.
async fn long_film(scratch: &Scratch) -> MediaSource {
    let short = scratch.path("short.mp4").unwrap();
    let long = scratch.path("long.mp4").unwrap();
    let film = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=d=10:s=640x360",
        "-f",
        "lavfi",
        "-i",
        "sine=d=10",
    ];
    make(&[&film[..], &["-preset", "ultrafast"]].concat(), &short).await;
    let short = short.to_str().unwrap();
    make(&["-stream_loop", "59", "-i", short, "-c", "copy"], &long).await;
    MediaSource::File(long)
}

const LEASH_AND_FFMPEG: usize = 2;

/// The live processes that name `path` among their arguments. Zombies have none.
fn processes_with(path: &Path) -> Vec<i32> {
    let needle = path.as_os_str().as_encoded_bytes();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names = |pid: &i32| {
        let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        args.windows(needle.len()).any(|window| window == needle)
    };
    pids.filter(names).collect()
}

struct Film {
    scratch: Scratch,
    source: MediaSource,
    probe: Probe,
    to: PathBuf,
}

impl Film {
    async fn new(ffmpeg: &Ffmpeg) -> Self {
        let scratch = scratch();
        let source = long_film(&scratch).await;
        let never = CancellationToken::new();
        let probe = ffmpeg.probe(call(&never), &source).await.unwrap();
        let to = scratch.path("out.mp4").unwrap();
        Self {
            scratch,
            source,
            probe,
            to,
        }
    }

    async fn render(
        &self,
        ffmpeg: &Ffmpeg,
        cancel: &CancellationToken,
        progress: impl FnMut(f64) + Send,
    ) -> Result<Duration, MediaError> {
        let keep = [Segment {
            from: Duration::ZERO,
            to: self.probe.duration,
        }];
        let job = CutJob {
            source: &self.source,
            probe: &self.probe,
            keep: &keep,
            to: &self.to,
            look: Look::default(),
        };
        ffmpeg.render_cuts(call(cancel), job, progress).await
    }

    fn left_nothing(&self) {
        assert!(!self.to.exists() && !self.scratch.path("out.mp4.unfinished").unwrap().exists());
    }
}

#[tokio::test]
async fn cancelling_a_render_ends_ffmpeg() {
    let ffmpeg = ffmpeg().await;
    let film = Film::new(&ffmpeg).await;
    let cancel = CancellationToken::new();
    let mut running = 0;
    let render = film.render(&ffmpeg, &cancel, |fraction| {
        assert!(fraction < 1.0);
        running = running.max(processes_with(&film.to).len());
        cancel.cancel();
    });
    let error = timeout(BOUND, render).await.unwrap().unwrap_err();
    assert!(error.is_cancelled() && !error.is_permanent(), "{error}");
    assert_eq!(running, LEASH_AND_FFMPEG);
    // Reaped before it returned: nothing to wait for.
    assert_eq!(processes_with(&film.to), Vec::<i32>::new());
    film.left_nothing();
}

#[tokio::test]
async fn dropping_a_render_kills_ffmpeg() {
    let ffmpeg = ffmpeg().await;
    let film = std::sync::Arc::new(Film::new(&ffmpeg).await);
    let (told, mut is_running) = mpsc::channel(1);
    let task = tokio::spawn({
        let film = film.clone();
        async move {
            let never = CancellationToken::new();
            film.render(&ffmpeg, &never, |_| {
                let _ = told.try_send(());
            })
            .await
        }
    });
    timeout(BOUND, is_running.recv()).await.unwrap().unwrap();
    assert_eq!(processes_with(&film.to).len(), LEASH_AND_FFMPEG);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    // SIGKILL was sent; its end has no event we could wait for, as nobody holds the child now.
    let gone = async {
        while !processes_with(&film.to).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, gone).await.unwrap();
    film.left_nothing();
}
