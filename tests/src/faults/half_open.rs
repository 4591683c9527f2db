//! A connection that stands while nothing passes: only the heartbeat can tell.

use std::time::Duration;

use sapari_fault_worker::Nap;
use tokio::time::Instant;

use super::ground::{Ground, drained};
use crate::processes::support::PATIENCE;
use crate::proxy::Proxy;
use crate::servers;

/// Seconds between heartbeats; the worker's own default is longer.
const HEARTBEAT: u64 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn connection_or_channel_lost_without_a_goodbye_is_noticed_by_the_heartbeat() {
    let broker = servers::broker().await;
    let proxy = Proxy::before(&broker.place()).await;
    let through = format!("amqp://127.0.0.1:{}?heartbeat={HEARTBEAT}", proxy.port());
    let ground = Ground::on(&broker.url()).await.through(&through);
    let client = ground.client().await;
    let worker = ground.worker().await;
    let nap = client
        .tasks
        .kick(Nap { millis: 1000 })
        .await
        .expect("kicked");
    ground.begun(&[nap.id().clone()], 1).await;
    proxy.half_open();
    let since = Instant::now();
    worker
        .stderr
        .message("the connection to the broker was lost; reconnecting")
        .await;
    let noticed = since.elapsed();
    println!("noticed after {noticed:?} at a heartbeat of {HEARTBEAT} s");
    assert!(noticed < Duration::from_secs(3 * HEARTBEAT), "{noticed:?}");
    worker.stderr.message("connected to the broker again").await;
    assert!(nap.output().within(PATIENCE).await.expect("done"));
    let last = client.tasks.kick(Nap { millis: 0 }).await.expect("kicked");
    last.output().within(PATIENCE).await.expect("done");
    drained(worker).await;
    client.all_settled().await;
    assert_eq!(ground.runs(&[nap.id().clone()]), 1);
}
