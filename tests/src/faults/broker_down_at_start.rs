//! A worker that starts before its servers: it waits and says so, and gives up at its boot deadline.

use std::time::Duration;

use sapari_fault_worker::Nap;
use tokio::time::Instant;

use super::ground::{Ground, drained};
use crate::processes::support::{Ended, PATIENCE, json};
use crate::proxy::Proxy;
use crate::servers;

const WAITING: &str = "waiting for the server to come up";

#[tokio::test(flavor = "multi_thread")]
async fn broker_down_at_start_exits_with_69_after_the_boot_deadline() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let place = nobody.local_addr().expect("bound");
    drop(nobody);
    let ground = Ground::shared().through(&format!("amqp://{place}"));
    let since = Instant::now();
    let ended = ground.start(&["--boot-deadline", "3s"]).ended().await;
    let took = since.elapsed();
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let said = said(&ended);
    assert!((1..=4).contains(&said), "once a second at most: {ended:?}");
    let last = ended.stderr.last().expect("a sentence");
    assert!(
        last.starts_with("error: ") && last.contains(&place.to_string()),
        "{last}"
    );
}

fn said(ended: &Ended) -> usize {
    let waits = |line: &&String| json(line)["message"] == WAITING;
    ended.stderr.iter().filter(waits).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_down_at_start_is_waited_for() {
    let broker = servers::broker().await;
    let proxy = Proxy::before(&broker.place()).await;
    proxy.refuse();
    let through = format!("amqp://127.0.0.1:{}", proxy.port());
    let ground = Ground::on(&broker.url()).await.through(&through);
    let client = ground.client().await;
    let worker = ground.start(&[]);
    worker.stderr.message(WAITING).await;
    proxy.resume();
    let worker = worker.ready().await;
    let nap = client.tasks.kick(Nap { millis: 0 }).await.expect("kicked");
    nap.output().within(PATIENCE).await.expect("done");
    drained(worker).await;
}
