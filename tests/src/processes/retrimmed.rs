//! kill -9 in the middle of a long trim: the next attempt does not look at the asset again, and the recording is whole. When what was
//! trimmed could not be stored, the next worker does not trim it again. When no worker survives it, nothing of it is left.

use sapari_runtime::handle::{Handle, OutputError};
use sapari_runtime::ledger::Sighting;
use sapari_tasks::{Role, TrimAsset};
use uuid::Uuid;

use super::killed::{LEASE, LOOK_AGAIN, kept, kill};
use super::support::{
    PATIENCE, Process, Receiver, Space, alive, film, long_clip, outcomes, steps, until, within,
};

/// How much of the asset is kept: long enough to be killed in, short enough to be trimmed once more.
const KEPT_SECONDS: u32 = 60;
/// What the frames of the video may move a cut by, and the last packet of sound.
const TOLERANCE: f64 = 0.1;
/// What ffmpeg has written when trimming has begun: more than a header.
const ENOUGH: u64 = 64 * 1024;

/// How many workers a message may kill, unless its task says otherwise.
const WORKER_DEATHS: u32 = 3;

/// A trim that takes long, waiting in its queue.
struct Waiting {
    receiver: Receiver,
    space: Space,
    handle: Handle<TrimAsset>,
}

impl Waiting {
    async fn kicked() -> Self {
        let receiver = Receiver::start().await;
        let space = Space::new().with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
        let task = TrimAsset {
            asset_file_uuid: Uuid::new_v4(),
            asset_key: "assets/long.mp4".to_owned(),
            to_key: "made/trimmed.mp4".to_owned(),
            from_us: 0,
            to_us: u64::from(KEPT_SECONDS) * 1_000_000,
        };
        space.store(&task.asset_key, &long_clip(&space.path("tmp")));
        let broker = space.broker().await;
        let declared = broker.declare(Role::AssetEdit.queue()).await;
        declared.expect("declared");
        let handle = space.tasks(&broker).await.kick(task).await.expect("kicked");
        Self {
            receiver,
            space,
            handle,
        }
    }

    fn worker(&self) -> Process {
        self.space.start("sapari-asset-edit", &LEASE)
    }

    /// Waits until it runs, and so many starts of it have had no end.
    async fn started(&self, wanted: u32) {
        let ledger = self.space.results().await.ledger();
        let mut looks = tokio::time::interval(LOOK_AGAIN);
        within("a start", async {
            loop {
                looks.tick().await;
                let seen = ledger.sighting(self.handle.id()).await.expect("a ledger");
                if matches!(seen, Some(Sighting::Running { starts, .. }) if starts == wanted) {
                    return;
                }
            }
        })
        .await;
    }

    /// How many directories lie in scratch.
    fn directories(&self) -> usize {
        let scratch = std::fs::read_dir(self.space.path("scratch"));
        scratch.map_or(0, Iterator::count)
    }

    /// How large what is being made has become.
    fn made_bytes(&self) -> u64 {
        let files = self.space.files("scratch");
        let made = files
            .iter()
            .filter(|name| name.ends_with("/made.unfinished"));
        let sizes = made.filter_map(|name| self.space.path("scratch").join(name).metadata().ok());
        sizes.map(|file| file.len()).sum()
    }

    async fn trimmed_by(&self, worker: Process) -> Vec<(String, String)> {
        outcomes(&self.receiver, worker.pid(), "trim_asset").await
    }

    async fn assert_whole(self) {
        let stored = self.handle.output().within(PATIENCE).await;
        let stored = stored.expect("an output");
        let trimmed = film(&self.space.object(&stored.key));
        let expected = f64::from(KEPT_SECONDS);
        for seconds in [stored.seconds, trimmed.whole, trimmed.video, trimmed.audio] {
            assert!((seconds - expected).abs() <= TOLERANCE, "{trimmed:?}");
        }
        let left = self.space.files("scratch");
        assert!(left.is_empty(), "the message has come to its end: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_trim_asset_and_the_asset_is_not_probed_again() {
    let waiting = Waiting::kicked().await;
    let worker = waiting.worker();
    until("a recording that grows", || waiting.made_bytes() > ENOUGH).await;
    let ffmpeg = worker.children("ffmpeg");
    assert_eq!(ffmpeg.len(), 1, "one ffmpeg trims");
    kill(worker).await;
    until("ffmpeg's end, which goes with its worker", || {
        !alive(ffmpeg[0])
    })
    .await;

    let found = waiting.trimmed_by(waiting.worker()).await;
    let expected = [
        ("probe_asset", "resumed"),
        ("trim_asset", "done"),
        ("store_recording", "done"),
    ];
    assert_eq!(found, steps(&expected));
    waiting.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_before_it_is_stored_and_the_asset_is_not_trimmed_again() {
    let waiting = Waiting::kicked().await;
    // A file where a directory of storage is to be: nothing can be stored under it.
    let in_the_way = waiting.space.object("made");
    std::fs::write(&in_the_way, b"in the way").expect("writable");
    let worker = waiting.worker();
    let ledger = waiting.space.results().await.ledger();
    let made = ["trim/probe_asset", "trim/trim_asset"];
    kept(&ledger, waiting.handle.id(), &made).await;
    kill(worker).await;
    std::fs::remove_file(&in_the_way).expect("it is there");

    let found = waiting.trimmed_by(waiting.worker()).await;
    let expected = [
        ("probe_asset", "resumed"),
        ("trim_asset", "resumed"),
        ("store_recording", "done"),
    ];
    assert_eq!(found, steps(&expected));
    waiting.assert_whole().await;
}

/// What was left for the next attempt goes when there is none to come.
#[tokio::test(flavor = "multi_thread")]
async fn what_kills_its_workers_leaves_nothing_in_scratch() {
    let waiting = Waiting::kicked().await;
    for start in 1..=WORKER_DEATHS {
        let worker = waiting.worker();
        waiting.started(start).await;
        until("its scratch directory", || waiting.directories() == 1).await;
        kill(worker).await;
    }
    let _last = waiting.worker();
    let ended = waiting.handle.output().within(PATIENCE).await;
    let Err(OutputError::Failed(failure)) = ended else {
        panic!("it killed {WORKER_DEATHS} workers: {ended:?}")
    };
    assert_eq!(failure.reason.as_deref(), Some("poison"));
    until("an empty scratch", || waiting.directories() == 0).await;
}
