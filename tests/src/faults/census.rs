//! One worker of a queue counts it for the metrics of all; killed, another does.

use nix::sys::signal::Signal;
use sapari_fault_worker::Nap;

use super::ground::Ground;
use crate::processes::support::within;

const WAITING: &str = "taskiq_queue_depth{level=\"1\",queue=\"faults\"}";

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_that_counted_the_queue_another_counts_it() {
    let ground = Ground::shared();
    let workers = [
        ground.start(&["--slots", "1"]),
        ground.start(&["--slots", "1"]),
    ];
    let [first, second] = workers;
    let (first, second) = (first.ready().await, second.ready().await);
    let client = ground.client().await;
    // More than two workers hold.
    let naps = (0..400).map(|_| Nap { millis: 120_000 });
    client.tasks.kick_all(naps).await.expect("kicked");

    let (one, other) = (first.health().await, second.health().await);
    let first_counts = within("one of them counts", async {
        tokio::select! {
            () = one.until_metric(WAITING, 30.0) => true,
            () = other.until_metric(WAITING, 30.0) => false,
        }
    })
    .await;
    let (counts, watches) = if first_counts {
        ((first, one), other)
    } else {
        ((second, other), one)
    };
    let page = watches.get("/metrics").await;
    assert_eq!(page.metric(WAITING), None, "one tells for all");
    let (counts, health) = counts;
    let consumers = "taskiq_queue_consumers{queue=\"faults\"}";
    assert_eq!(health.get("/metrics").await.metric(consumers), Some(2.0));
    counts.signal(Signal::SIGKILL);
    watches.until_metric(WAITING, 30.0).await;
}
