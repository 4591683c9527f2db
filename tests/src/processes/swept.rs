//! What a worker that was killed leaves in scratch is gone when the next one has started, however soon that is: of a role that has no
//! use for it in another attempt. What is of use there stands in `killed.rs`, `resumed.rs` and `retrimmed.rs`.

use nix::sys::signal::Signal;
use sapari_tasks::{AnalyzeProject, Role};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::support::{INTERVIEW, Process, Space, until};

/// Kicks an analysis that never comes to its end: whoever is to put the clip into words takes what is sent, and says nothing.
async fn endless_analysis(space: Space) -> (Space, TcpListener) {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = silent.local_addr().expect("bound");
    let space = space.with("SAPARI_WHISPER_URL", &format!("http://{place}/v1"));
    let clip_file_uuid = Uuid::new_v4();
    let task = AnalyzeProject {
        project_uuid: Uuid::new_v4(),
        clip_file_uuid,
        clip_key: format!("clips/{clip_file_uuid}/interview.mp4"),
        export_uuid: None,
    };
    space.store(&task.clip_key, INTERVIEW.as_ref());
    let broker = space.broker().await;
    let declared = broker.declare(Role::Analysis.queue()).await;
    declared.expect("declared");
    let tasks = space.tasks(&broker).await;
    tasks.kick(task).await.expect("kicked");
    (space, silent)
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
    let worker = space.start("sapari-analysis", &[]).ready().await;
    until("an analysis under way", || !at_work(space).is_empty()).await;
    let [directory] = &at_work(space)[..] else {
        panic!("one task, one directory: {:?}", space.files("scratch"));
    };
    (worker, directory.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_left_is_gone_when_the_next_one_starts_at_once() {
    let (space, _silent) = endless_analysis(Space::new()).await;
    let (killed, left) = working(&space).await;
    // Beside it lies what is nobody's business to remove.
    let not_ours = space.path("scratch/holiday");
    std::fs::create_dir(&not_ours).expect("writable");
    killed.signal(Signal::SIGKILL);
    assert_eq!(killed.ended().await.code, None, "killed");
    assert!(space.path("scratch").join(&left).exists());

    let next = space.start("sapari-analysis", &[]);
    let words = "removed what killed processes left behind";
    let line = next.stderr.message(words).await;
    assert_eq!(line["fields"]["directories"], 1, "{line}");
    assert!(!space.path("scratch").join(&left).exists());
    assert!(not_ours.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_worker_works_in_is_left_alone() {
    let (space, _silent) = endless_analysis(Space::new()).await;
    let (_alive, in_use) = working(&space).await;
    let next = space.start("sapari-proxy", &[]);
    let before = next
        .stderr
        .until("it has started", |line| line.contains("ready"));
    let before = before.await.concat();
    assert!(!before.contains("left behind"), "{before}");
    assert!(space.path("scratch").join(&in_use).exists());
}
