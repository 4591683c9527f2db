//! Signals in the middle of a render: nothing is lost, no attempt is burnt, what was fetched is kept, no ffmpeg is left behind.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sapari_runtime::broker::conformance::settled_depth;
use sapari_runtime::broker::{Broker, Depth};
use sapari_runtime::message::MessageId;
use sapari_tasks::{EditList, Kept, RenderExport, Role};
use uuid::Uuid;

use super::support::{Process, Space, alive, long_clip, until};

const FIVE_MINUTES: u32 = 300;
/// What ffmpeg has written when rendering has begun: more than a header.
const ENOUGH: u64 = 64 * 1024;
/// Less than what is left of the render by then: an ffmpeg that is gone so soon did not end by itself.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A render that takes long, waiting in its queue.
pub(crate) struct Waiting {
    pub(crate) space: Space,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) id: MessageId,
    /// Of the export.
    pub(crate) key: String,
}

impl Waiting {
    pub(crate) async fn kicked() -> Self {
        Self::kicked_in(Space::new(), FIVE_MINUTES).await
    }

    /// A render of the first seconds of the clip.
    pub(crate) async fn kicked_in(space: Space, seconds: u32) -> Self {
        Self::kicked_for(space, seconds, None).await
    }

    async fn kicked_for(space: Space, seconds: u32, expires: Option<Duration>) -> Self {
        let broker = space.broker().await;
        let queue = Role::Render.queue();
        broker.declare(queue).await.expect("declared");
        let task = long_render(&space, seconds);
        let key = task.key();
        let tasks = space.tasks(&broker).await;
        let kick = tasks.kick(task);
        let kick = match expires {
            Some(after) => kick.expires(after),
            None => kick,
        };
        let id = kick.await.expect("kicked").id().clone();
        Self {
            space,
            broker,
            id,
            key,
        }
    }

    /// A worker that has begun to render: there is an ffmpeg, and what it writes grows.
    pub(crate) async fn worker_at_work(&self, args: &[&str]) -> (Process, Pid) {
        let worker = self.space.start("sapari-render", args);
        until("an export that grows", || self.export_bytes() > ENOUGH).await;
        let ffmpeg = worker.children("ffmpeg");
        assert_eq!(ffmpeg.len(), 1, "one ffmpeg renders");
        (worker, ffmpeg[0])
    }

    fn export_bytes(&self) -> u64 {
        let files = self.space.files("scratch");
        let exports = files
            .iter()
            .filter(|name| name.ends_with("export.mp4.unfinished"));
        let sizes =
            exports.filter_map(|name| self.space.path("scratch").join(name).metadata().ok());
        sizes.map(|file| file.len()).sum()
    }

    /// The message is where it was, and nothing else came of it.
    async fn assert_handed_back(&self) {
        let back = |depth: &Depth| depth.ready == [0, 0, 1, 0];
        let depth = settled_depth(&*self.broker, Role::Render.queue(), back).await;
        assert_eq!(depth.dead, 0);
        let objects = self.space.files("storage");
        let expected = |name: &String| name.starts_with("clips/") || name.starts_with("projects/");
        assert!(
            objects.len() == 2 && objects.iter().all(expected),
            "no export and no .part: {objects:?}"
        );
    }
}

fn long_render(space: &Space, seconds: u32) -> RenderExport {
    let (project_uuid, clip_file_uuid) = (Uuid::new_v4(), Uuid::new_v4());
    let clip_key = format!("clips/{clip_file_uuid}/long.mp4");
    space.store(&clip_key, &long_clip(&space.path("tmp")));
    let kept = Kept::between(Duration::ZERO, Duration::from_secs(seconds.into()));
    let edits = EditList::new(project_uuid, (clip_file_uuid, &clip_key), vec![kept]);
    let file = space.path("tmp/edits.json");
    std::fs::write(&file, serde_json::to_vec(&edits).expect("JSON")).expect("writable");
    space.store(&EditList::key(project_uuid), &file);
    RenderExport::new(Uuid::new_v4(), project_uuid)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_in_the_middle_of_a_render_kills_ffmpeg_and_hands_the_message_back() {
    let waiting = Waiting::kicked().await;
    // The second round shows that another worker can take what the first one handed back.
    for round in ["first", "second"] {
        let (worker, ffmpeg) = waiting.worker_at_work(&["--drain-grace", "0s"]).await;
        worker.signal(Signal::SIGTERM);
        let line = worker.stderr.message("interrupted: handed back").await;
        assert_eq!(line["task"], "render_export", "{line}");
        assert_eq!(line["attempt"], 1, "no attempt is burnt: {line}");
        let ended = worker.ended().await;
        assert_eq!(ended.code, Some(0), "{round} worker: {ended:?}");
        assert!(!alive(ffmpeg), "{round} worker left ffmpeg behind");
        waiting.assert_handed_back().await;
        let scratch = waiting.space.files("scratch");
        assert!(
            scratch.len() == 1 && scratch[0].contains("/clip-"),
            "{round} worker leaves the clip to the next, and nothing half done: {scratch:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let waiting = Waiting::kicked().await;
    let (worker, ffmpeg) = waiting.worker_at_work(&["--drain-grace", "10m"]).await;
    worker.signal(Signal::SIGTERM);
    let heard = |line: &str| line.contains("signal received");
    worker.stderr.until("the first signal", heard).await;
    assert!(alive(ffmpeg), "within the grace the render goes on");
    worker.signal(Signal::SIGTERM);
    let ended = worker.ended().await;
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let leaving = tokio::time::timeout(AT_ONCE, until("ffmpeg's end", || !alive(ffmpeg)));
    let gone = leaving.await.is_ok();
    waiting.assert_handed_back().await;
    assert!(gone, "ffmpeg renders on for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_leaves_no_ffmpeg_behind() {
    let waiting = Waiting::kicked().await;
    let (worker, ffmpeg) = waiting.worker_at_work(&["--drain-grace", "10m"]).await;
    worker.signal(Signal::SIGKILL);
    let ended = worker.ended().await;
    assert_eq!(ended.code, None, "killed: {ended:?}");
    let leaving = tokio::time::timeout(AT_ONCE, until("ffmpeg's end", || !alive(ffmpeg)));
    assert!(leaving.await.is_ok(), "ffmpeg renders on for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_render_whose_time_is_over_leaves_nothing() {
    let time = Duration::from_secs(6);
    let waiting = Waiting::kicked_for(Space::new(), FIVE_MINUTES, Some(time)).await;
    let (worker, ffmpeg) = waiting.worker_at_work(&[]).await;
    let dead = |depth: &Depth| depth.dead == 1;
    settled_depth(&*waiting.broker, Role::Render.queue(), dead).await;
    assert!(!alive(ffmpeg), "it renders on");
    let nothing = || waiting.space.files("scratch").is_empty();
    until("an empty scratch directory", nothing).await;
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.ended().await.code, Some(0));
}
