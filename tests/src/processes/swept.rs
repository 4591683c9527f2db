//! What a worker that was killed leaves in scratch is gone when the next one has started, however soon that is.

use nix::sys::signal::Signal;
use sapari_tasks::{Role, TrimAsset};
use uuid::Uuid;

use super::support::{Process, Space, long_clip, until};

/// Kicks an edit that takes long: every frame of five minutes is encoded.
async fn long_edit(space: &Space) {
    let asset_file_uuid = Uuid::new_v4();
    let task = TrimAsset {
        asset_file_uuid,
        asset_key: format!("assets/{asset_file_uuid}/long.mp4"),
        to_key: format!("assets/{asset_file_uuid}/trimmed.mp4"),
        from_us: 0,
        to_us: 300_000_000,
    };
    space.store(&task.asset_key, &long_clip(&space.path("tmp")));
    let broker = space.broker().await;
    let declared = broker.declare(Role::AssetEdit.queue()).await;
    declared.expect("declared");
    let tasks = space.tasks(&broker).await;
    tasks.kick(task).await.expect("kicked");
}

/// The directories of the tasks under way, if each has something in it.
fn at_work(space: &Space) -> Vec<String> {
    let files = space.files("scratch");
    let mut directories: Vec<String> = files
        .iter()
        .filter_map(|file| Some(file.split_once('/')?.0.to_owned()))
        .collect();
    directories.dedup();
    directories
}

async fn working(space: &Space) -> (Process, String) {
    let worker = space.start("sapari-asset-edit", &[]).ready().await;
    until("an edit under way", || !at_work(space).is_empty()).await;
    let [directory] = &at_work(space)[..] else {
        panic!("one task, one directory: {:?}", space.files("scratch"));
    };
    (worker, directory.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_left_is_gone_when_the_next_one_starts_at_once() {
    let space = Space::new();
    long_edit(&space).await;
    let (killed, left) = working(&space).await;
    // Beside it lies what is nobody's business to remove.
    let not_ours = space.path("scratch/holiday");
    std::fs::create_dir(&not_ours).expect("writable");
    killed.signal(Signal::SIGKILL);
    assert_eq!(killed.ended().await.code, None, "killed");
    assert!(space.path("scratch").join(&left).exists());

    let next = space.start("sapari-asset-edit", &[]);
    let words = "removed what killed processes left behind";
    let line = next.stderr.message(words).await;
    assert_eq!(line["fields"]["directories"], 1, "{line}");
    assert!(!space.path("scratch").join(&left).exists());
    assert!(not_ours.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_worker_works_in_is_left_alone() {
    let space = Space::new();
    long_edit(&space).await;
    let (_alive, in_use) = working(&space).await;
    let next = space.start("sapari-proxy", &[]);
    let before = next
        .stderr
        .until("it has started", |line| line.contains("ready"));
    let before = before.await.concat();
    assert!(!before.contains("left behind"), "{before}");
    assert!(space.path("scratch").join(&in_use).exists());
}
