//! The broker is killed or stopped and comes again: what it had confirmed is there, delayed or not, and workers go on.

use std::time::Duration;

use sapari_fault_worker::{Jot, Nap, now_us};
use sapari_runtime::message::MessageId;

use super::ground::{Ground, drained};
use crate::processes::support::PATIENCE;
use crate::servers;

const DELAY: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn broker_killed_loses_neither_what_waits_nor_what_is_delayed_nor_what_runs() {
    let mut broker = servers::broker().await;
    let ground = Ground::on(&broker.url()).await;
    let client = ground.client().await;
    let worker = ground.worker().await;
    let jot = || client.tasks.kick(Jot::default());
    let kicked_us = now_us();
    let delayed = jot().delay(DELAY).await.expect("kicked");
    let naps = (0..20).map(|_| Nap { millis: 3000 });
    let naps = client.tasks.kick_all(naps).await.expect("kicked");
    let ids: Vec<MessageId> = naps.iter().map(|handle| handle.id().clone()).collect();
    broker.remember_queues().await;
    ground.begun(&ids, 8).await;

    broker.kill().await;
    broker.start().await;
    for handle in &naps {
        handle.output().within(PATIENCE).await.expect("done");
    }
    delayed.output().within(PATIENCE).await.expect("done");
    let notes = ground.notes();
    let begun = notes.iter().find(|note| note.id == delayed.id().as_str());
    let waited = begun.expect("it ran").at_us - kicked_us;
    println!("a delay of {DELAY:?} over a kill: {waited} us");
    assert!(
        waited >= DELAY.as_micros(),
        "it came {waited} us after the kick"
    );

    broker.stop().await;
    broker.start().await;
    let after = client.tasks.kick(Jot::default()).await.expect("kicked");
    after.output().within(PATIENCE).await.expect("done");
    drained(worker).await;
    client.all_settled().await;
    assert_eq!(ground.runs(&ids), ids.len(), "each has run once");
}
