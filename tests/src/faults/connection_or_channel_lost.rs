//! The connection or the channel is lost while attempts run: they run on, once, and their results and acks arrive.

use std::time::Duration;

use sapari_fault_worker::Nap;
use sapari_runtime::message::MessageId;

use super::ground::{Ground, drained};
use crate::processes::support::PATIENCE;
use crate::proxy::Proxy;
use crate::servers;

/// As many as the worker has slots.
const SLOTS: usize = 8;

/// Far over the three seconds after which the private broker closes a channel.
const LONG: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn connection_or_channel_lost_running_attempts_end_once() {
    let broker = servers::broker().await;
    let proxy = Proxy::before(&broker.place()).await;
    let through = format!("amqp://127.0.0.1:{}", proxy.port());
    let ground = Ground::on(&broker.url()).await.through(&through);
    let client = ground.client().await;
    let worker = ground.worker().await;
    let naps = (0..SLOTS).map(|_| Nap { millis: 2000 });
    let handles = client.tasks.kick_all(naps).await.expect("kicked");
    let ids: Vec<MessageId> = handles.iter().map(|handle| handle.id().clone()).collect();
    ground.begun(&ids, SLOTS).await;
    for _ in 0..3 {
        proxy.cut();
        worker.stderr.message("connected to the broker again").await;
    }
    for handle in &handles {
        assert!(
            handle.output().within(PATIENCE).await.expect("done"),
            "nobody woke it"
        );
    }
    worker
        .stderr
        .message("came again: acked, not run again")
        .await;
    // A message of its own shows that the worker still takes some; without it, what was not acked would come again.
    let last = client.tasks.kick(Nap { millis: 0 }).await.expect("kicked");
    last.output().within(PATIENCE).await.expect("done");
    ground.settled(&client, worker).await;
    assert_eq!(ground.runs(&ids), SLOTS, "each has run once");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_or_channel_lost_to_the_consumer_timeout_a_long_task_ends_once() {
    let broker = servers::broker().await;
    let ground = Ground::on(&broker.url()).await;
    let client = ground.client().await;
    let lease = ["--lease", "3s"];
    let worker = ground.start(&lease).ready().await;
    let millis = u64::try_from(LONG.as_millis()).expect("a few seconds");
    let long = client.tasks.kick(Nap { millis }).await.expect("kicked");
    ground.begun(&[long.id().clone()], 1).await;
    let other = ground.start(&lease).ready().await;
    worker
        .stderr
        .message("the consumer was lost; consuming again")
        .await;
    // The channel's consumer went with it, so the copy comes to the other worker, which knows of the run by its claim only.
    let copy = other.stderr.message("came again while it runs").await;
    assert_eq!(copy["fields"]["task_id"], long.id().as_str(), "{copy}");
    assert!(
        long.output().within(PATIENCE).await.expect("done"),
        "nobody woke it"
    );
    let acked = "came again: acked, not run again";
    tokio::select! {
        _ = worker.stderr.message(acked) => {}
        _ = other.stderr.message(acked) => {}
    }
    drained(worker).await;
    ground.settled(&client, other).await;
    assert_eq!(ground.runs(&[long.id().clone()]), 1);
}
