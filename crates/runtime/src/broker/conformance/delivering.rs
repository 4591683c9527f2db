//! Cases about what is delivered: in which order, how much at a time, when, and again after it was not settled.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::support::{
    ack, consume, declared, hand_back, id, next, parcel, publish, pushed, settled_depth, within,
};
use crate::broker::Broker;

/// The prefetch of one slot that reads far ahead.
const READ_AHEAD: u16 = 65;

/// How long nothing may come, for a case to believe that nothing comes.
const SILENCE: Duration = Duration::from_millis(300);

/// Among what is ready, the highest level comes first, whatever was published first.
///
/// # Panics
/// When the promise is broken.
pub async fn the_highest_level_comes_first(broker: &dyn Broker) {
    let queue = declared(broker, 4).await;
    for level in [0, 2, 1, 3] {
        publish(broker, queue, level).await;
    }
    let mut consumer = consume(broker, queue, 1).await;
    pushed(broker, queue).await;
    for expected in [3, 2, 1, 0] {
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.level.number(), expected);
        ack(delivery).await.expect("the channel lives");
    }
}

/// With a backlog on several levels, no message starts before one of a higher level.
///
/// # Panics
/// When the promise is broken.
pub async fn a_backlog_comes_strictly_by_level(broker: &dyn Broker) {
    for prefetch in [1, READ_AHEAD] {
        let queue = declared(broker, 4).await;
        for _ in 0..10 {
            for level in [0, 3, 1] {
                publish(broker, queue, level).await;
            }
        }
        settled_depth(broker, queue, |depth| depth.ready == [10, 10, 0, 10]).await;
        let mut consumer = consume(broker, queue, prefetch).await;
        let mut levels = Vec::new();
        for _ in 0..30 {
            let delivery = next(&mut *consumer).await;
            levels.push(delivery.level.number());
            ack(delivery).await.expect("the channel lives");
        }
        let expected: Vec<u8> = [[3; 10], [1; 10], [0; 10]].concat();
        assert_eq!(levels, expected, "prefetch {prefetch}");
    }
}

/// A worker without a free slot gives what it cannot start to one that can, however far it reads ahead.
///
/// # Panics
/// When the promise is broken.
pub async fn a_busy_worker_keeps_nothing_from_an_idle_one(broker: &dyn Broker) {
    for prefetch in [1, READ_AHEAD] {
        let queue = declared(broker, 4).await;
        publish(broker, queue, 1).await;
        let mut busy = consume(broker, queue, prefetch).await;
        let running = next(&mut *busy).await;
        let mut idle = consume(broker, queue, 1).await;
        for _ in 0..4 {
            publish(broker, queue, 3).await;
        }
        let all_start = async {
            for _ in 0..4 {
                ack(next(&mut *idle).await)
                    .await
                    .expect("the channel lives");
            }
        };
        let none_is_kept = async {
            tokio::select! {
                () = all_start => {}
                () = busy.hand_back_what_waits() => unreachable!("it never returns"),
            }
        };
        within("the idle consumer gets them all", none_is_kept).await;
        ack(running).await.expect("still its own");
    }
}

/// A message that is handed back comes again, on its own level, and says that it was delivered before; as often as one likes.
///
/// # Panics
/// When the promise is broken.
pub async fn handed_back_comes_again_on_its_level(broker: &dyn Broker) {
    let queue = declared(broker, 4).await;
    let sent = publish(broker, queue, 2).await;
    let mut consumer = consume(broker, queue, 1).await;
    for round in 0..40 {
        let delivery = next(&mut *consumer).await;
        assert_eq!((id(&delivery), delivery.level.number()), (sent.clone(), 2));
        assert_eq!(delivery.redelivered, round > 0, "round {round}");
        hand_back(delivery).await.expect("the channel lives");
    }
    ack(next(&mut *consumer).await)
        .await
        .expect("the channel lives");
    drop(consumer);
    let gone = |depth: &crate::broker::Depth| depth.consumers == [0; 4];
    let depth = settled_depth(broker, queue, gone).await;
    assert_eq!((depth.ready, depth.dead), (vec![0; 4], 0));
}

/// What a consumer took along when it went away comes to another one.
///
/// # Panics
/// When the promise is broken.
pub async fn abandoned_comes_again(broker: &dyn Broker) {
    let queue = declared(broker, 2).await;
    let sent = publish(broker, queue, 1).await;
    let mut first = consume(broker, queue, 1).await;
    drop(next(&mut *first).await);
    drop(first);
    let mut second = consume(broker, queue, 1).await;
    let delivery = next(&mut *second).await;
    assert_eq!(
        (id(&delivery), delivery.level.number(), delivery.redelivered),
        (sent, 1, true)
    );
    ack(delivery).await.expect("the channel lives");
}

/// A consumer holds no more than its prefetch unsettled, on each level; an ack makes room.
///
/// # Panics
/// When the promise is broken.
pub async fn prefetch_bounds_what_is_unsettled(broker: &dyn Broker) {
    let queue = declared(broker, 2).await;
    for level in [0, 0, 0, 0, 0, 1] {
        publish(broker, queue, level).await;
    }
    let mut consumer = consume(broker, queue, 2).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut *consumer).await);
    }
    let levels: Vec<u8> = held
        .iter()
        .map(|delivery| delivery.level.number())
        .collect();
    assert_eq!(
        levels.iter().filter(|level| **level == 0).count(),
        2,
        "{levels:?}"
    );
    settled_depth(broker, queue, |depth| depth.ready == [3, 0]).await;
    assert!(
        timeout(SILENCE, consumer.next()).await.is_err(),
        "more than the prefetch was delivered"
    );
    let low = held
        .iter()
        .position(|delivery| delivery.level.number() == 0)
        .expect("two are low");
    ack(held.swap_remove(low)).await.expect("the channel lives");
    held.push(next(&mut *consumer).await);
    settled_depth(broker, queue, |depth| depth.ready == [2, 0]).await;
}

/// A `next` that is dropped while it waits takes nothing with it.
///
/// # Panics
/// When the promise is broken.
pub async fn a_cancelled_next_takes_nothing(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let mut consumer = consume(broker, queue, 10).await;
    let mut sent = BTreeSet::new();
    for _ in 0..20 {
        // Polled once, then dropped: by chance before, at, or after the arrival of what was just published.
        let polled =
            std::future::poll_fn(|cx| std::task::Poll::Ready(consumer.next().as_mut().poll(cx)));
        if let std::task::Poll::Ready(Some(delivery)) = polled.await {
            assert!(sent.remove(&id(&delivery)));
            ack(delivery).await.expect("the channel lives");
        }
        sent.insert(publish(broker, queue, 0).await);
    }
    while !sent.is_empty() {
        let delivery = next(&mut *consumer).await;
        assert!(sent.remove(&id(&delivery)));
        ack(delivery).await.expect("the channel lives");
    }
}

/// `stop` ends the stream, hands back what was received but not given out, and leaves what runs the right to ack.
///
/// # Panics
/// When the promise is broken.
pub async fn stop_hands_back_what_was_buffered(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    for _ in 0..10 {
        publish(broker, queue, 0).await;
    }
    let mut first = consume(broker, queue, 5).await;
    let running = next(&mut *first).await;
    within("stop", first.stop()).await;
    assert!(
        within("the end", first.next()).await.is_none(),
        "a stopped consumer gives nothing"
    );
    settled_depth(broker, queue, |depth| {
        depth.ready == [9] && depth.consumers[0] <= 1
    })
    .await;

    let mut second = consume(broker, queue, 20).await;
    let mut others = BTreeSet::new();
    while others.len() < 9 {
        let delivery = next(&mut *second).await;
        others.insert(id(&delivery));
        ack(delivery).await.expect("the channel lives");
    }
    assert!(
        !others.contains(&id(&running)),
        "what runs is not given to another one"
    );
    ack(running).await.expect("its channel is still open");
    drop((first, second));
    settled_depth(broker, queue, |depth| {
        depth.consumers == [0] && depth.ready == [0]
    })
    .await;
}

/// A delayed message comes to its own level, and not before its time.
///
/// # Panics
/// When the promise is broken.
pub async fn a_delay_is_waited_out_on_its_level(broker: &dyn Broker) {
    let queue = declared(broker, 4).await;
    let mut consumer = consume(broker, queue, 10).await;
    for (level, millis) in [(2, 50), (0, 300), (3, 700)] {
        let delay = Duration::from_millis(millis);
        let sent = parcel(queue, level, delay);
        let before = Instant::now();
        broker.publish(sent.clone()).await.expect("stored");
        let delivery = next(&mut *consumer).await;
        assert!(
            before.elapsed() >= delay,
            "came after {:?}, not {delay:?}",
            before.elapsed()
        );
        assert_eq!((id(&delivery), delivery.level.number()), (sent.id, level));
        assert_eq!(delivery.body, sent.body);
        ack(delivery).await.expect("the channel lives");
    }
}

/// A long delay does not hold up a short one that was published after it.
///
/// # Panics
/// When the promise is broken.
pub async fn a_short_delay_overtakes_a_long_one(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let mut consumer = consume(broker, queue, 10).await;
    let (long, short) = (Duration::from_millis(2500), Duration::from_millis(100));
    let start = Instant::now();
    let mut expected = Vec::new();
    for delay in [long, short] {
        let sent = parcel(queue, 0, delay);
        expected.insert(0, sent.id.clone());
        broker.publish(sent).await.expect("stored");
    }
    for (sent, delay) in expected.into_iter().zip([short, long]) {
        let delivery = next(&mut *consumer).await;
        assert_eq!(id(&delivery), sent);
        assert!(start.elapsed() >= delay);
        ack(delivery).await.expect("the channel lives");
    }
}
