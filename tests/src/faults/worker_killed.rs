//! A worker dies with what it runs: the message runs again after the lease, and is dead once it has taken three workers along.

use std::time::Duration;

use nix::sys::signal::Signal;
use sapari_fault_worker::{Crash, Jot, Nap, Note, QUEUE, now_us};
use sapari_runtime::broker::conformance::settled_depth;
use sapari_runtime::handle::OutputError;

use super::ground::{Ground, drained};
use crate::processes::support::PATIENCE;

const LEASE: Duration = Duration::from_secs(1);
/// What follows the lease: the delay ladder's steps, and a busy machine.
const AFTER_THE_LEASE: Duration = Duration::from_secs(4);
const ALONE: [&str; 4] = ["--slots", "1", "--lease", "1s"];

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_three_times_by_a_message_buries_it_as_poison() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let crash = client.tasks.kick(Crash::default()).await.expect("kicked");
    let beside = client.tasks.kick(Jot::default()).await.expect("kicked");
    for death in 1..=3 {
        let ended = ground.start(&ALONE).ended().await;
        assert_eq!(ended.code, None, "an abort is a signal: {ended:?}");
        assert_eq!(ground.runs(&[crash.id().clone()]), death);
    }
    let worker = ground.start(&ALONE).ready().await;
    let Err(OutputError::Failed(failure)) = crash.output().within(PATIENCE).await else {
        panic!("a failure was expected")
    };
    assert_eq!(failure.reason.as_deref(), Some("poison"), "{failure:?}");
    beside.output().within(PATIENCE).await.expect("done");
    drained(worker).await;
    let empty = |depth: &sapari_runtime::broker::Depth| depth.ready == [0; 4] && depth.dead == 1;
    settled_depth(&*client.broker, QUEUE, empty).await;
    assert_eq!(ground.runs(&[crash.id().clone()]), 3, "no fourth time");
    assert_eq!(ground.runs(&[beside.id().clone()]), 1);

    let letters = client.broker.dead_letters(QUEUE, 9).await;
    let letter = &letters.expect("readable")[0];
    assert_eq!(letter.reason(), Some("poison"));
    assert_eq!(letter.task_id(), Some(crash.id().as_str()));
    let error = letter.error().expect("an error");
    assert!(error.starts_with("3 workers died"), "{error}");
    let trace = letter.trace_id().expect("a trace id");
    assert_eq!(trace.len(), 32, "{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_in_the_middle_another_runs_it_again_after_the_lease() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let worker = ground.start(&ALONE).ready().await;
    let nap = client.tasks.kick(Nap { millis: 3000 }).await;
    let nap = nap.expect("kicked");
    let id = [nap.id().clone()];
    ground.begun(&id, 1).await;
    let other = ground.start(&ALONE).ready().await;
    let killed_us = now_us();
    worker.signal(Signal::SIGKILL);
    ground.begun(&id, 2).await;
    assert!(nap.output().within(PATIENCE).await.expect("done"));
    worker.ended().await;
    let other_pid = other.pid().as_raw();
    drained(other).await;
    client.all_settled().await;

    let notes = ground.notes();
    let of = |moment: &str| {
        let notes = notes.iter().filter(|note| note.moment == moment);
        notes.collect::<Vec<&Note>>()
    };
    let (begun, ended) = (of("begun"), of("ended"));
    assert_eq!((begun.len(), ended.len()), (2, 1), "{notes:?}");
    assert_eq!(i32::try_from(begun[1].pid), Ok(other_pid));
    assert_eq!(begun[1].attempt, 1, "no attempt is burnt");
    let waited = begun[1].at_us - killed_us;
    println!("run again {waited} us after the kill, at a lease of {LEASE:?}");
    assert!(
        waited < (LEASE + AFTER_THE_LEASE).as_micros(),
        "{waited} us"
    );
}

/// The innocent run beside the crasher whenever it takes their worker along; at the third start each of them is alone.
#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_by_one_of_four_only_that_one_is_poison() {
    const FOUR: [&str; 4] = ["--slots", "4", "--lease", "1s"];
    let ground = Ground::shared();
    let client = ground.client().await;
    let naps = (0..3).map(|_| Nap { millis: 1500 });
    let naps = client.tasks.kick_all(naps).await.expect("kicked");
    let ids: Vec<_> = naps.iter().map(|nap| nap.id().clone()).collect();
    let worker = ground.start(&FOUR).ready().await;
    ground.begun(&ids, 3).await;
    let crash = client.tasks.kick(Crash { millis: 500 }).await;
    let crash = crash.expect("kicked");
    let mut deaths = vec![worker.ended().await];
    for _ in 2..=3 {
        deaths.push(ground.start(&FOUR).ended().await);
    }
    assert!(
        deaths.iter().all(|ended| ended.code.is_none()),
        "{deaths:?}"
    );
    let worker = ground.start(&FOUR).ready().await;
    let Err(OutputError::Failed(failure)) = crash.output().within(PATIENCE).await else {
        panic!("a failure was expected")
    };
    assert_eq!(failure.reason.as_deref(), Some("poison"), "{failure:?}");
    for nap in &naps {
        assert!(nap.output().within(PATIENCE).await.expect("innocent"));
    }
    drained(worker).await;
    let empty = |depth: &sapari_runtime::broker::Depth| depth.ready == [0; 4] && depth.dead == 1;
    settled_depth(&*client.broker, QUEUE, empty).await;
    assert_eq!(ground.runs(&[crash.id().clone()]), 3);
    let runs = ground.runs(&ids);
    println!("three innocent messages were begun {runs} times beside one that died three times");
    assert!((6..=9).contains(&runs), "{:?}", ground.notes());
}
