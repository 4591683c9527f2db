//! Cases about what is sent: stored or refused, whole, once, and counted.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use super::support::{
    ack, consume, declared, fresh_queue, message, next, parcel, publish, settled_depth, within,
};
use crate::broker::{
    Broker, DeadLetter, Headers, MAX_DELAY, Obituary, Parcel, PublishError, Verdict,
};
use crate::message::MAX_BODY_BYTES;
use crate::outcome::DeadReason;
use crate::queue::Queue;

/// Publish, consume, ack: then nothing is left.
///
/// # Panics
/// When the promise is broken.
pub async fn acked_messages_are_gone(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let sent = parcel(queue, 0, Duration::ZERO);
    broker.publish(sent.clone()).await.expect("stored");
    let mut consumer = consume(broker, queue, 10).await;
    let delivery = next(&mut *consumer).await;
    assert_eq!(delivery.body, sent.body);
    assert!(
        !delivery.redelivered,
        "the first delivery says that it is not"
    );
    ack(delivery).await.expect("the channel lives");
    drop(consumer);
    let depth = settled_depth(broker, queue, |depth| depth.consumers == [0]).await;
    assert_eq!((depth.ready, depth.dead), (vec![0], 0));
}

/// A message for a queue that nobody declared is an error, and so is a dead letter for one.
///
/// # Panics
/// When the promise is broken.
pub async fn unroutable_is_an_error(broker: &dyn Broker) {
    let queue = fresh_queue(1);
    let to_work = broker.publish(parcel(queue, 0, Duration::ZERO)).await;
    assert!(
        matches!(to_work, Err(PublishError::Unroutable { .. })),
        "{to_work:?}"
    );
    let dead = Parcel::dead(queue, None, b"x".to_vec(), [].into(), &obituary());
    let to_dead = broker.publish(dead).await;
    assert!(
        matches!(to_dead, Err(PublishError::Unroutable { .. })),
        "{to_dead:?}"
    );
    // And it breaks nothing for those that come after it.
    let queue = declared(broker, 1).await;
    publish(broker, queue, 0).await;
}

/// A body over the limit is refused with its size, before it can break a channel.
///
/// # Panics
/// When the promise is broken.
pub async fn too_large_is_refused(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let mut parcel = parcel(queue, 0, Duration::ZERO);
    parcel.body = vec![b'x'; MAX_BODY_BYTES + 1];
    let refused = broker.publish(parcel).await;
    assert!(
        matches!(refused, Err(PublishError::TooLarge { .. })),
        "{refused:?}"
    );
    publish(broker, queue, 0).await;
    settled_depth(broker, queue, |depth| depth.ready == [1]).await;
}

/// A delay that no broker can wait is refused.
///
/// # Panics
/// When the promise is broken.
pub async fn a_delay_beyond_the_limit_is_refused(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    for delay in [MAX_DELAY + Duration::from_millis(1), Duration::MAX] {
        let refused = broker.publish(parcel(queue, 0, delay)).await;
        assert!(
            matches!(refused, Err(PublishError::DelayTooLong { .. })),
            "{delay:?}: {refused:?}"
        );
    }
    broker
        .publish(parcel(queue, 0, MAX_DELAY))
        .await
        .expect("the longest delay is taken");
    settled_depth(broker, queue, |depth| depth.ready == [0]).await;
}

/// Headers arrive as they were sent.
///
/// # Panics
/// When the promise is broken.
pub async fn headers_travel_unchanged(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let mut sent = parcel(queue, 0, Duration::ZERO);
    let extra = [
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tité", "Größe 🎬"),
        ("empty", ""),
    ];
    sent.headers
        .extend(extra.map(|(name, value)| (name.to_owned(), value.to_owned())));
    broker.publish(sent.clone()).await.expect("stored");
    let mut consumer = consume(broker, queue, 1).await;
    let delivery = next(&mut *consumer).await;
    for (name, value) in &sent.headers {
        let received = delivery.headers.get(name);
        assert_eq!(received.as_deref(), Some(&**value), "header {name}");
    }
    ack(delivery).await.expect("the channel lives");
}

/// Five hundred publishes at once all arrive, each exactly once.
///
/// # Panics
/// When the promise is broken.
pub async fn a_burst_arrives_exactly_once(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let published = within(
        "500 confirms",
        join_all((0..500).map(|_| publish(broker, queue, 0))),
    )
    .await;
    let sent: BTreeSet<String> = published.into_iter().collect();
    let mut consumer = consume(broker, queue, 100).await;
    let mut arrived = BTreeSet::new();
    while arrived.len() < sent.len() {
        let delivery = next(&mut *consumer).await;
        assert!(
            arrived.insert(super::support::id(&delivery)),
            "a message came twice"
        );
        ack(delivery).await.expect("the channel lives");
    }
    assert_eq!(arrived, sent);
    drop(consumer);
    settled_depth(broker, queue, |depth| {
        depth.consumers == [0] && depth.ready == [0]
    })
    .await;
}

/// Dead letters keep body and headers and say why; looking at them leaves them there, in their order.
///
/// # Panics
/// When the promise is broken.
pub async fn dead_letters_keep_everything(broker: &dyn Broker) {
    let queue = declared(broker, 4).await;
    let (first, second) = (message(), message());
    for message in [&first, &second] {
        let headers = [("traceparent".to_owned(), "00-x".to_owned())].into();
        let dead = Parcel::dead(queue, Some(message), message.encode(), headers, &obituary());
        broker.publish(dead).await.expect("stored");
    }
    for _ in 0..30 {
        settled_depth(broker, queue, |depth| depth.dead == 2).await;
        let letters = broker
            .dead_letters(queue, 10)
            .await
            .expect("a declared queue");
        let ids: Vec<_> = letters
            .iter()
            .map(|letter| letter.task_id().unwrap_or_default())
            .collect();
        assert_eq!(ids, [first.id.as_str(), second.id.as_str()]);
        assert_eq!(letters[0].body, first.encode());
        assert_eq!(
            (letters[0].reason(), letters[0].attempts()),
            (Some("permanent"), Some(3))
        );
        assert_eq!(letters[0].headers["traceparent"], "00-x");
    }
    settled_depth(broker, queue, |depth| depth.dead == 2).await;
    assert_eq!(
        broker
            .dead_letters(queue, 1)
            .await
            .expect("a declared queue")
            .len(),
        1
    );
}

/// Dead letters are replayed, dropped and kept one by one: a replay is the same message on its level, what is kept stays in
/// its order, and a limit leaves the younger ones alone.
///
/// # Panics
/// When the promise is broken.
pub async fn dead_letters_are_replayed_dropped_and_kept(broker: &dyn Broker) {
    let queue = declared(broker, 4).await;
    let messages = [message(), message(), message(), message(), message()];
    for message in &messages {
        let dead = Parcel::dead(
            queue,
            Some(message),
            message.encode(),
            Headers::new(),
            &obituary(),
        );
        broker.publish(dead).await.expect("stored");
    }
    let [kept, replayed, dropped, also_kept, beyond] = messages.each_ref().map(|m| m.id.as_str());
    settled_depth(broker, queue, |depth| depth.dead == 5).await;
    let mut judge = |letter: &DeadLetter| match letter.task_id() {
        Some(id) if id == replayed => {
            Verdict::Replay(Box::new(letter.replay(queue).expect("a message")))
        }
        Some(id) if id == dropped => Verdict::Drop,
        _ => Verdict::Keep,
    };
    let seen = broker.review_dead(queue, 4, &mut judge).await;
    assert_eq!(seen.expect("a declared queue"), 4);
    settled_depth(broker, queue, |depth| depth.dead == 3).await;
    let letters = broker
        .dead_letters(queue, 10)
        .await
        .expect("a declared queue");
    let ids: Vec<_> = letters.iter().filter_map(DeadLetter::task_id).collect();
    assert_eq!(ids, [kept, also_kept, beyond]);
    let mut until_kept = |letter: &DeadLetter| match letter.task_id() {
        Some(id) if id == also_kept => Verdict::Enough,
        _ => Verdict::Keep,
    };
    let seen = broker.review_dead(queue, 10, &mut until_kept).await;
    assert_eq!(
        seen.expect("a declared queue"),
        2,
        "the last was not looked at"
    );
    for _ in 0..20 {
        let again = broker.dead_letters(queue, 10).await;
        let again = again.expect("a declared queue").len();
        assert_eq!(again, 3, "what was looked at is there for the next look");
    }

    let mut consumer = broker.consume(queue, 1).await.expect("consumes");
    let delivery = next(&mut *consumer).await;
    assert_eq!(delivery.level.number(), obituary().level);
    assert_eq!(super::support::id(&delivery), replayed);
    ack(delivery).await.expect("acked");
    consumer.stop().await;
}

/// However often dead letters are looked at, all of them or the first few, they stay in their order; and what is removed are the oldest.
///
/// # Panics
/// When the promise is broken.
pub async fn dead_letters_stay_in_their_order(broker: &dyn Broker) {
    // More than a client would hold at once, and than have ids of one length.
    const LETTERS: u64 = 300;
    let queue = declared(broker, 1).await;
    let messages: Vec<_> = (0..LETTERS).map(|_| message()).collect();
    for message in &messages {
        let body = message.encode();
        let dead = Parcel::dead(queue, Some(message), body, Headers::new(), &obituary());
        broker.publish(dead).await.expect("stored");
    }
    settled_depth(broker, queue, |depth| depth.dead == LETTERS).await;
    let expected: Vec<_> = messages.iter().map(|message| message.id.as_str()).collect();
    for limit in [300, 3, 12, 1, 270, 300] {
        assert_eq!(dead_ids(broker, queue, limit).await, expected[..limit]);
    }
    let mut drop = |_: &DeadLetter| Verdict::Drop;
    let dropped = broker.review_dead(queue, 2, &mut drop).await;
    assert_eq!(dropped.expect("a declared queue"), 2);
    let left: Vec<_> = expected[2..].iter().skip(1).step_by(2).copied().collect();
    let mut judge = |letter: &DeadLetter| match letter.task_id() {
        Some(id) if left.contains(&id) => Verdict::Keep,
        _ => Verdict::Drop,
    };
    let judged = broker.review_dead(queue, 298, &mut judge).await;
    assert_eq!(judged.expect("a declared queue"), 298);
    assert_eq!(dead_ids(broker, queue, 300).await, left);
}

async fn dead_ids(broker: &dyn Broker, queue: Queue, limit: usize) -> Vec<String> {
    let letters = broker.dead_letters(queue, limit).await;
    let letters = letters.expect("a declared queue");
    let ids = letters.iter().filter_map(DeadLetter::task_id);
    ids.map(str::to_owned).collect()
}

/// Depth counts what is ready on each level, the consumers, and the dead; for an unknown queue it is an error.
///
/// # Panics
/// When the promise is broken.
pub async fn depth_counts_everything(broker: &dyn Broker) {
    let queue = declared(broker, 3).await;
    publish(broker, queue, 0).await;
    publish(broker, queue, 2).await;
    publish(broker, queue, 2).await;
    let depth = settled_depth(broker, queue, |depth| depth.ready == [1, 0, 2]).await;
    assert_eq!((depth.consumers, depth.dead), (vec![0, 0, 0], 0));
    let (one, two) = (
        consume(broker, queue, 1).await,
        consume(broker, queue, 1).await,
    );
    settled_depth(broker, queue, |depth| depth.consumers == [2, 2, 2]).await;
    drop((one, two));
    settled_depth(broker, queue, |depth| {
        depth.consumers == [0, 0, 0] && depth.ready == [1, 0, 2]
    })
    .await;
    assert!(
        broker.depth(fresh_queue(1)).await.is_err(),
        "an unknown queue has no depth"
    );
}

/// Declaring again keeps what waits.
///
/// # Panics
/// When the promise is broken.
pub async fn declaring_twice_changes_nothing(broker: &dyn Broker) {
    let queue = declared(broker, 2).await;
    publish(broker, queue, 1).await;
    broker.declare(queue).await.expect("declared again");
    settled_depth(broker, queue, |depth| depth.ready == [0, 1]).await;
}

/// What one connection published, another one counts and consumes.
///
/// # Panics
/// When the promise is broken.
pub async fn another_connection_sees_the_same_queue(broker: &dyn Broker, other: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let sent = publish(broker, queue, 0).await;
    settled_depth(other, queue, |depth| depth.ready == [1]).await;
    let mut consumer = consume(other, queue, 1).await;
    let delivery = next(&mut *consumer).await;
    assert_eq!(super::support::id(&delivery), sent);
    ack(delivery).await.expect("the channel lives");
}

fn obituary() -> Obituary {
    let error = vec!["broken".to_owned(), "for good".to_owned()];
    Obituary {
        reason: DeadReason::Permanent,
        error,
        attempts: 3,
        trace_id: None,
        level: 0,
    }
}
