//! A cancel reaches a message wherever it is: in its queue, or running on any worker, with its child processes.

use std::time::Duration;

use nix::sys::signal::killpg;
use nix::unistd::{Pid, getpgid};
use sapari_fault_worker::{Jot, Nap};
use sapari_runtime::broker::conformance::settled_depth;
use sapari_runtime::ledger::CancelAnswer;
use sapari_runtime::result::Record;
use sapari_tasks::Role;
use tokio::time::Instant;

use super::ground::{Ground, drained};
use crate::processes::stopping::Waiting;
use crate::processes::support::{PATIENCE, until};

/// From the command to the end of ffmpeg: it is told at once, and killed if it does not listen.
const BOUND: Duration = Duration::from_secs(10);

fn assert_cancelled(record: &Record) {
    let failure = record.outcome.as_ref().expect_err("no output");
    assert!(failure.is_cancelled(), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_of_a_running_render_ends_its_whole_process_group() {
    let waiting = Waiting::kicked().await;
    let (worker, ffmpeg) = waiting.worker_at_work(&["--drain-grace", "30s"]).await;
    // Its leash leads the group, and nothing of the worker's is in it.
    let group = getpgid(Some(ffmpeg)).expect("it lives");
    assert!(![ffmpeg, worker.pid()].contains(&group), "{group}");
    assert!(group_lives(group));
    let since = Instant::now();
    let (space, id) = (&waiting.space, waiting.id.as_str());
    let asked = space.sapari(&["cancel", id, "--wait", "60s"]).ended().await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert_eq!(asked.stdout.last(), Some(&format!("{id}  cancelled")));
    until("the end of ffmpeg", || !group_lives(group)).await;
    let took = since.elapsed();
    println!("ffmpeg's process group is gone {took:?} after the command began");
    assert!(took < BOUND, "{took:?}");
    let tasks = space.tasks(&waiting.broker).await;
    let record = tasks.handle_named(waiting.id.clone()).record();
    assert_cancelled(&record.within(PATIENCE).await.expect("a record"));
    drained(worker).await;
    let empty = settled_depth(&*waiting.broker, Role::Render.queue(), |depth| {
        depth.ready == [0; 4] && depth.consumers == [0; 4]
    });
    assert_eq!(empty.await.dead, 0, "nothing died");
    assert!(space.files("scratch").is_empty(), "nothing is left behind");
}

fn group_lives(leader: Pid) -> bool {
    killpg(leader, None).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_of_a_queued_message_is_heard_by_a_worker_that_starts_later() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let cancelled = client.tasks.kick(Jot::default()).await.expect("kicked");
    let other = client.tasks.kick(Jot::default()).await.expect("kicked");
    let answer = cancelled.cancel().await.expect("told");
    assert_eq!(answer, CancelAnswer::Requested);
    let worker = ground.worker().await;
    other.output().within(PATIENCE).await.expect("done");
    let id = cancelled.id().clone();
    let record = cancelled.into_any().record().within(PATIENCE).await;
    assert_cancelled(&record.expect("a record"));
    drained(worker).await;
    client.all_settled().await;
    assert_eq!(ground.runs(&[id]), 0);
}

/// Whoever cancels knows neither worker; the other one's attempt goes on.
#[tokio::test(flavor = "multi_thread")]
async fn cancel_of_a_running_message_finds_its_worker_among_others() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let alone = ["--slots", "1"];
    let workers = [
        ground.start(&alone).ready().await,
        ground.start(&alone).ready().await,
    ];
    let naps = [60_000, 60_000].map(|millis| Nap { millis });
    let naps = client.tasks.kick_all(naps).await.expect("kicked");
    let ids: Vec<_> = naps.iter().map(|nap| nap.id().clone()).collect();
    ground.begun(&ids, 2).await;
    let mut pids: Vec<u32> = ground.notes().iter().map(|note| note.pid).collect();
    pids.dedup();
    assert_eq!(pids.len(), 2, "one on each");

    let asked = ground.sapari(&["cancel", ids[1].as_str(), "--wait", "60s"]);
    let asked = asked.ended().await;
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let ended: Vec<_> = ground
        .notes()
        .into_iter()
        .filter(|note| note.moment == "ended")
        .collect();
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0].id, ids[1].as_str());

    let answer = naps[0].cancel().await.expect("told");
    assert_eq!(answer, CancelAnswer::Requested);
    for worker in workers {
        drained(worker).await;
    }
    client.all_settled().await;
    assert_eq!(ground.runs(&ids), 2);
}
