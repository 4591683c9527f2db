//! Limits and unique kicks count over processes, and what a killed worker held comes back after its lease.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use sapari_fault_worker::{Ask, Nap, Note, Pair, now_us};

use super::ground::{Ground, drained};
use crate::processes::support::PATIENCE;

const LEASE: [&str; 2] = ["--lease", "2s"];
/// The lease, and some looks at the limit, which are a second apart.
const SOON_AFTER: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_with_both_places_of_a_limit_others_go_on_after_the_lease() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let first = ground.start(&LEASE).ready().await;
    let naps = (0..5).map(|_| Pair { millis: 1500 });
    let all = client.tasks.kick_all(naps).await.expect("kicked");
    let ids: Vec<_> = all.iter().map(|handle| handle.id().clone()).collect();
    ground.begun(&ids, 2).await;
    let other = ground.start(&LEASE).ready().await;
    first.signal(Signal::SIGKILL);
    let killed_us = now_us();
    first.ended().await;
    for handle in &all {
        handle.output().within(PATIENCE).await.expect("done");
    }
    let pid = u32::try_from(other.pid().as_raw()).expect("a process id");
    drained(other).await;
    client.all_settled().await;

    let notes = ground.notes();
    let mut by_other = notes.iter().filter(|note| note.pid == pid);
    let waited = by_other
        .next()
        .expect("it ran some")
        .at_us
        .saturating_sub(killed_us);
    println!("the places of a killed worker were free after {waited} us");
    assert!(waited < SOON_AFTER.as_micros(), "{waited} us");
    assert!(most_at_once(&notes, pid) <= 2, "{notes:?}");
    assert_eq!(
        ground.runs(&ids),
        ids.len() + 2,
        "the two that were killed ran again"
    );
}

fn most_at_once(notes: &[Note], pid: u32) -> usize {
    let (mut now, mut most) = (HashSet::new(), 0);
    for note in notes.iter().filter(|note| note.pid == pid) {
        match &*note.moment {
            "begun" => now.insert(&note.id),
            _ => now.remove(&note.id),
        };
        most = most.max(now.len());
    }
    most
}

/// Two workers and this process are three clients that kick the same work.
#[tokio::test(flavor = "multi_thread")]
async fn unique_kicks_of_several_processes_are_one_message() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let workers = [ground.worker().await, ground.worker().await];
    let asks = (0..20).map(|_| Ask {
        key: "mine".to_owned(),
    });
    let asks = client.tasks.kick_all(asks).await.expect("kicked");
    let answers = asks.iter().map(|ask| ask.output().within(PATIENCE));
    let answers = join_all(answers.map(IntoFuture::into_future)).await;
    let answers: Vec<(String, bool)> = answers.into_iter().map(|it| it.expect("done")).collect();
    let nap = client.tasks.kick(Nap { millis: 3000 });
    let mine = nap.unique_for(PATIENCE).by("mine").await.expect("asked");
    assert!(!mine.is_new(), "theirs still runs");
    let mine = mine.handle();
    let new = answers.iter().filter(|(_, is_new)| *is_new).count();
    assert_eq!(new, 1, "{answers:?}");
    assert!(
        answers.iter().all(|(id, _)| id == mine.id().as_str()),
        "{answers:?}"
    );
    let asked_by: HashSet<u32> = ground.notes().iter().map(|note| note.pid).collect();
    assert_eq!(asked_by.len(), 2, "both workers have asked");
    assert!(mine.output().within(PATIENCE).await.expect("done"));

    let again = client.tasks.kick(Nap { millis: 0 });
    let again = again.unique_for(PATIENCE).by("mine").await.expect("asked");
    assert!(again.is_new(), "the first one has ended");
    again
        .handle()
        .output()
        .within(PATIENCE)
        .await
        .expect("done");
    for worker in workers {
        drained(worker).await;
    }
    client.all_settled().await;
    assert_eq!(ground.runs(&[mine.id().clone()]), 1);
}
