//! Looking at what waits, which must change nothing that matters: nothing is lost, nothing changes its place.

use std::time::{Duration, SystemTime};

use super::support::{ack, consume, declared, fresh_queue, next, parcel, settled_depth, within};
use crate::broker::{Broker, BrokerError};
use crate::message::label;
use crate::queue::Queue;

/// When the head of each level was queued can be asked for as often as one likes; the messages stay in their order.
///
/// # Panics
/// When the promise is broken.
pub async fn the_oldest_is_seen_and_keeps_its_place(broker: &dyn Broker) {
    let queue = declared(broker, 3).await;
    let oldest = async || broker.oldest(queue).await.expect("a declared queue");
    assert_eq!(oldest().await, [None, None, None]);
    let ids = [
        queued(broker, queue, "1000.5").await,
        queued(broker, queue, "2000").await,
        queued(broker, queue, "3000").await,
    ];
    let untold = parcel(queue, 0, Duration::ZERO);
    broker.publish(untold).await.expect("stored");
    let first = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(1000.5);
    for _ in 0..40 {
        // What was looked at goes back a moment later.
        settled_depth(broker, queue, |depth| depth.ready == [1, 3, 0]).await;
        assert_eq!(within("a look", oldest()).await, [None, Some(first), None]);
    }
    settled_depth(broker, queue, |depth| depth.ready == [1, 3, 0]).await;
    let mut consumer = consume(broker, queue, 1).await;
    for id in ids {
        let delivery = next(&mut *consumer).await;
        assert_eq!(super::support::id(&delivery), id, "they keep their order");
        ack(delivery).await.expect("the channel lives");
    }
}

/// Whoever asks for a queue that nobody declared is told so, and can tell that from a broker that is away.
///
/// # Panics
/// When the promise is broken.
pub async fn a_queue_that_was_never_declared_is_said_to_be_none(broker: &dyn Broker) {
    let queue = fresh_queue(2);
    let depth = broker.depth(queue).await.map(drop);
    let oldest = broker.oldest(queue).await.map(drop);
    for asked in [depth, oldest] {
        assert!(
            matches!(asked, Err(BrokerError::NoQueue { .. })),
            "{asked:?}"
        );
    }
}

/// Publishes a message to level 1 that says when it was queued, and returns its id.
async fn queued(broker: &dyn Broker, queue: Queue, at: &str) -> String {
    let mut parcel = parcel(queue, 1, Duration::ZERO);
    let id = parcel.id.clone();
    parcel
        .headers
        .insert(label::QUEUED_AT.to_owned(), at.to_owned());
    broker.publish(parcel).await.expect("stored");
    id
}
