//! SIGTERM: no more is taken, what runs gets its grace on a connection that lives, and what is interrupted goes back as it was.

use std::time::Duration;

use nix::sys::signal::Signal;
use sapari_fault_worker::{Deaf, Jot, Nap};
use sapari_runtime::broker::conformance::settled_depth;
use tokio::time::Instant;

use super::ground::{Ground, drained};
use crate::processes::support::{PATIENCE, broker_url};

/// Far over what a test takes: nobody can have waited for a lease to run out.
const LEASE: &str = "10m";
const DRAINING: &str = "draining: no new work is taken";
/// From a worker's readiness to its first attempt at what was handed back.
const AT_ONCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_stops_the_intake_and_lets_an_attempt_within_the_grace_end() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let worker = ground.start(&["--drain-grace", "30s"]).ready().await;
    let nap = client.tasks.kick(Nap { millis: 2000 }).await;
    let nap = nap.expect("kicked");
    ground.begun(&[nap.id().clone()], 1).await;
    worker.signal(Signal::SIGTERM);
    worker.stderr.message(DRAINING).await;
    let late = client.tasks.kick(Jot::default()).await.expect("kicked");
    assert!(
        nap.output().within(PATIENCE).await.expect("done"),
        "in its sleep"
    );
    let ended = worker.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    settled_depth(&*client.broker, sapari_fault_worker::QUEUE, |depth| {
        depth.ready.iter().sum::<u64>() == 1
    })
    .await;
    assert_eq!(ground.runs(&[late.id().clone()]), 0, "it came too late");
    let next = ground.worker().await;
    late.output().within(PATIENCE).await.expect("done");
    drained(next).await;
    client.all_settled().await;
    assert_eq!(ground.runs(&[nap.id().clone()]), 1);
}

/// More often than a message may kill its worker.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_beyond_the_grace_hands_back_at_once_and_is_no_death() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let deaf = client.tasks.kick(Deaf { millis: 5000 }).await;
    let deaf = deaf.expect("kicked");
    let id = [deaf.id().clone()];
    let impatient = ["--drain-grace", "0s", "--lease", LEASE];
    for stops in 1..=5 {
        let worker = ground.start(&impatient).ready().await;
        let since = Instant::now();
        ground.begun(&id, stops).await;
        let waited = since.elapsed();
        assert!(waited < AT_ONCE, "stop {stops}: {waited:?}");
        worker.signal(Signal::SIGTERM);
        let line = worker.stderr.message("interrupted: handed back").await;
        assert_eq!(line["attempt"], 1, "{line}");
        let ended = worker.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let last = ground.start(&impatient).ready().await;
    deaf.output().within(PATIENCE).await.expect("done");
    last.stderr.message("done").await;
    let ended_well = client.tasks.kick(Jot::default()).await.expect("kicked");
    ended_well.output().within(PATIENCE).await.expect("done");
    drained(last).await;
    client.all_settled().await;
    let notes = ground.notes();
    assert!(notes.iter().all(|note| note.attempt == 1), "{notes:?}");
    assert_eq!(ground.runs(&id), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_keeps_the_connection_alive_until_the_ack() {
    let url = broker_url();
    let mark = if url.contains('?') { '&' } else { '?' };
    let ground = Ground::shared().through(&format!("{url}{mark}heartbeat=2"));
    let client = ground.client().await;
    let worker = ground.start(&["--drain-grace", "30s"]).ready().await;
    // Five heartbeats: the broker gives a silent connection two.
    let nap = client.tasks.kick(Nap { millis: 10_000 }).await;
    let nap = nap.expect("kicked");
    ground.begun(&[nap.id().clone()], 1).await;
    worker.signal(Signal::SIGTERM);
    assert!(
        nap.output().within(PATIENCE).await.expect("done"),
        "in its sleep"
    );
    let ended = worker.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lost = |line: &String| line.contains("lost") || line.contains("not acked");
    assert!(!ended.stderr.iter().any(lost), "{ended:?}");
    client.all_settled().await;
    assert_eq!(ground.runs(&[nap.id().clone()]), 1);
}
