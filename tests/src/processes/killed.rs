//! kill -9 of the proxy worker and of the download worker: what was made is not made again, and of what was being fetched only the rest is.

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

    let worker = space.start("sapari-proxy", &LEASE);
    let made = [
        "proxy/probe_clip",
        "proxy/encode_proxy",
        "proxy/make_poster",
    ];
    let kept = kept(&space.results().await.ledger(), handle.id(), &made).await;
    kill(worker).await;
    assert!(
        !kept.contains(&"proxy/make_thumbnails".to_owned()),
        "killed too late"
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
    let film = std::fs::read(INTERVIEW).expect("the sample");
    let half = film.len() - film.len() / 2;
    let web = Web::serving(&[("/clip.mp4", Answer::Half(film.clone()))]).await;
    let receiver = Receiver::start().await;
    let space = Space::new()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())
        .with("SAPARI_FETCH_ALLOW", "127.0.0.1")
        // So that the killed worker would not have asked for the rest itself.
        .with("SAPARI_FETCH_STALL", "10m")
        .with("SAPARI_YT_DLP", "off");
    let broker = space.broker().await;
    let handle = kick_download(&space, &broker, web.url("/clip.mp4")).await;

    let worker = space.start("sapari-download", &LEASE);
    until_there(&space, ".fetching", half).await;
    kill(worker).await;

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
