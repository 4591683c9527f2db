//! A memory alarm: a kick waits up to its timeout and then is a typed error; what runs is acked all the same.

use std::time::Duration;

use sapari_fault_worker::Nap;
use sapari_runtime::broker::PublishError;
use sapari_runtime::client::KickError;
use tokio::time::Instant;

use super::ground::{Ground, drained};
use crate::processes::support::{PATIENCE, until};
use crate::servers;

const LIMIT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn broker_blocks_publishers_a_kick_is_an_error_in_time_and_acks_go_through() {
    let mut broker = servers::broker().await;
    let ground = Ground::on(&broker.url()).await;
    let kicking = ground.client_with(LIMIT).await;
    // Of its own: the broker blocks a connection once it publishes, and then answers nothing on it.
    let looking = ground.client().await;
    let nap = kicking
        .tasks
        .kick(Nap { millis: 1000 })
        .await
        .expect("kicked");
    let id = nap.id().clone();

    broker.block_publishes().await;
    let worker = ground.worker().await;
    for _ in 0..2 {
        let since = Instant::now();
        let blocked = kicking.tasks.kick(Nap { millis: 0 }).await.err();
        let took = since.elapsed();
        assert!(
            matches!(blocked, Some(KickError::Publish(PublishError::Timeout(_)))),
            "{blocked:?}"
        );
        assert!((LIMIT..2 * LIMIT).contains(&took), "{took:?}");
    }
    assert!(nap.output().within(PATIENCE).await.expect("done"));
    until("an acked message", || ground.notes().len() >= 2).await;
    drained(worker).await;
    // What was not acked would be ready again. The kicks that failed may be stored, but not before the alarm is over.
    looking.all_settled().await;

    broker.take_publishes().await;
    let after = kicking.tasks.kick(Nap { millis: 0 }).await.expect("kicked");
    let worker = ground.worker().await;
    after.output().within(PATIENCE).await.expect("done");
    drained(worker).await;
    assert_eq!(ground.runs(&[id]), 1);
}
