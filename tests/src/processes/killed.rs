//! A proxy worker and a download worker that go, by kill -9 or in a drain: what was made is not made again, and of what was being fetched
//! only the rest is.

use nix::sys::signal::Signal;
use sapari_runtime::broker::Broker;
use sapari_runtime::handle::Handle;
use sapari_runtime::ledger::Ledger;
use sapari_runtime::message::MessageId;
use sapari_tasks::{DownloadMedia, MakeProxy, Role};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use super::support::footage::look;
use super::support::{
    INTERVIEW, PATIENCE, Process, Receiver, Space, long_clip, outcomes, steps, until, within,
};
use crate::web::{Answer, Web};

/// Soon after a worker was killed, its message is another one's.
pub(super) const LEASE: [&str; 2] = ["--lease", "1s"];
/// The pause between two looks at the ledger.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub(super) async fn kill(worker: Process) {
    worker.signal(Signal::SIGKILL);
    assert_eq!(worker.ended().await.code, None, "killed");
}

/// How a worker goes in the middle of its work.
#[derive(Clone, Copy)]
enum Going {
    Killed,
    /// As in a deploy, with a grace that is over at once.
    Drained,
}

impl Going {
    fn worker(self, space: &Space, binary: &str) -> Process {
        let args = [LEASE[0], LEASE[1], "--drain-grace", "0s"];
        match self {
            Self::Killed => space.start(binary, &LEASE),
            Self::Drained => space.start(binary, &args),
        }
    }

    async fn end(self, worker: Process) {
        match self {
            Self::Killed => kill(worker).await,
            Self::Drained => {
                worker.signal(Signal::SIGTERM);
                assert_eq!(worker.ended().await.code, Some(0), "drained");
            }
        }
    }
}

/// Kicks the download of what lies there; the queues of all that follows on it are made.
pub(super) async fn kick_download(
    space: &Space,
    broker: &Arc<dyn Broker>,
    url: String,
) -> Handle<DownloadMedia> {
    for role in [Role::Download, Role::Proxy, Role::Analysis] {
        broker.declare(role.queue()).await.expect("declared");
    }
    let task = DownloadMedia {
        project_uuid: Uuid::new_v4(),
        clip_file_uuid: Uuid::new_v4(),
        url,
        clip_key: "clips/interview.mp4".to_owned(),
        export_uuid: None,
    };
    space.tasks(broker).await.kick(task).await.expect("kicked")
}

/// Waits until a scratch file whose name ends so has just so many bytes.
pub(super) async fn until_there(space: &Space, name: &str, bytes: usize) {
    let there = || {
        let files = space.files("scratch");
        let file = files.iter().find(|file| file.ends_with(name));
        let meta = file.and_then(|file| space.path("scratch").join(file).metadata().ok());
        meta.is_some_and(|meta| meta.len() == bytes as u64)
    };
    until("the first half", there).await;
}

/// Looks until these steps of the message are kept, and returns all that are.
pub(super) async fn kept(ledger: &Arc<dyn Ledger>, id: &MessageId, wanted: &[&str]) -> Vec<String> {
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    within("what is kept of the steps", async {
        loop {
            looks.tick().await;
            let kept = ledger.kept_steps(id, PATIENCE).await.expect("a ledger");
            if wanted.iter().all(|step| kept.contains_key(*step)) {
                return kept.into_keys().collect();
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_make_thumbnails_and_the_proxy_is_not_made_again() {
    the_proxy_is_not_made_again(Going::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_during_make_thumbnails_and_the_proxy_is_not_made_again() {
    the_proxy_is_not_made_again(Going::Drained).await;
}

async fn the_proxy_is_not_made_again(going: Going) {
    let receiver = Receiver::start().await;
    let space = Space::new().with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint());
    let task = MakeProxy {
        project_uuid: Uuid::new_v4(),
        clip_file_uuid: Uuid::new_v4(),
        clip_key: "clips/long.mp4".to_owned(),
    };
    let proxy = space.object(&task.key("proxy.mp4"));
    // Five minutes: copied in no time, and then every picture of it is looked at for the sheet.
    space.store(&task.clip_key, &long_clip(&space.path("tmp")));
    let broker = space.broker().await;
    broker.declare(Role::Proxy.queue()).await.expect("declared");
    let tasks = space.tasks(&broker).await;
    let handle = tasks.kick(task).await.expect("kicked");

    let worker = going.worker(&space, "sapari-proxy");
    let made = [
        "proxy/probe_clip",
        "proxy/encode_proxy",
        "proxy/make_poster",
    ];
    let kept = kept(&space.results().await.ledger(), handle.id(), &made).await;
    going.end(worker).await;
    assert!(
        !kept.contains(&"proxy/make_thumbnails".to_owned()),
        "gone too late"
    );

    let worker = space.start("sapari-proxy", &LEASE);
    let found = outcomes(&receiver, worker.pid(), "make_proxy").await;
    let expected = steps(&[
        ("probe_clip", "resumed"),
        ("encode_proxy", "resumed"),
        ("make_poster", "resumed"),
        ("make_thumbnails", "done"),
        ("store_proxy", "done"),
    ]);
    assert_eq!(found, expected);
    let manifest = handle.output().within(PATIENCE).await.expect("an output");
    let sheet = manifest.thumbnails.expect("it has pictures");
    assert_eq!(sheet.tiles, 100);
    let file = look(&proxy);
    assert!(
        (file.seconds - 300.0).abs() < 0.5 && file.apart < 0.1,
        "{file:?}"
    );
    assert_eq!(
        space.files("scratch"),
        [""; 0],
        "the message has come to its end"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_during_fetch_media_and_only_the_rest_is_fetched() {
    only_the_rest_is_fetched(Going::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_during_fetch_media_and_only_the_rest_is_fetched() {
    only_the_rest_is_fetched(Going::Drained).await;
}

async fn only_the_rest_is_fetched(going: Going) {
    let film = std::fs::read(INTERVIEW).expect("the sample");
    let half = film.len() - film.len() / 2;
    let web = Web::serving(&[("/clip.mp4", Answer::Half(film.clone()))]).await;
    let receiver = Receiver::start().await;
    let space = Space::new()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())
        .with("SAPARI_FETCH_ALLOW", "127.0.0.1")
        // So that the worker that goes would not have asked for the rest itself.
        .with("SAPARI_FETCH_STALL", "10m")
        .with("SAPARI_YT_DLP", "off");
    let broker = space.broker().await;
    let handle = kick_download(&space, &broker, web.url("/clip.mp4")).await;

    let worker = going.worker(&space, "sapari-download");
    until_there(&space, ".fetching", half).await;
    going.end(worker).await;

    let worker = space.start("sapari-download", &LEASE);
    let found = outcomes(&receiver, worker.pid(), "download_media").await;
    let expected = [
        ("fetch_media", "done"),
        ("probe_media", "done"),
        ("store_media", "done"),
    ];
    assert_eq!(found, steps(&expected));
    assert_eq!(web.ranges(), [String::new(), format!("{half}-")]);
    let downloaded = handle.output().within(PATIENCE).await.expect("an output");
    let stored = std::fs::read(space.object(&downloaded.clip_key)).expect("stored");
    assert!(stored == film, "another file: {downloaded:?}");
}
