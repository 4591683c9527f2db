//! Cases about a consumer that may hold more while messages are finished within moments. How much it holds is its own business:
//! what must not change is seen here.

use std::collections::BTreeSet;

use super::support::{ack, consume, declared, id, next, publish, settled_depth, within};
use crate::broker::{Broker, Consumer};
use crate::queue::Queue;

/// To begin with, and at most.
const FEW: u16 = 2;
const MANY: u16 = 600;
/// So many short ones make a consumer hold more.
const STREAM: usize = 800;

/// Levels are as strict as ever while a consumer comes to hold more.
///
/// # Panics
/// When the promise is broken.
pub async fn levels_stay_strict_while_more_is_held(broker: &dyn Broker) {
    let queue = declared(broker, 4).await;
    let each = STREAM / 4;
    for _ in 0..each {
        futures_util::future::join_all([0, 3, 1].map(|level| publish(broker, queue, level))).await;
    }
    let all = [each as u64, each as u64, 0, each as u64];
    settled_depth(broker, queue, |depth| depth.ready == all).await;
    let mut consumer = consume(broker, queue, FEW).await;
    consumer.may_hold(MANY);
    for expected in [3, 1, 0] {
        for number in 0..each {
            let delivery = next(&mut *consumer).await;
            assert_eq!(delivery.level.number(), expected, "number {number}");
            ack(delivery).await.expect("the channel lives");
        }
    }
}

/// A stream of short ones, and then a long one: all come once, there is a consumer all the while, what the busy worker holds
/// starts on an idle one, and what it runs stays its own.
///
/// # Panics
/// When the promise is broken.
pub async fn what_is_held_behind_a_long_one_starts_elsewhere(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let mut busy = consume(broker, queue, FEW).await;
    busy.may_hold(MANY);
    let story = async {
        let mut seen = BTreeSet::new();
        publish_many(broker, queue, STREAM).await;
        take(&mut *busy, STREAM, &mut seen).await;

        let behind = 40;
        publish_many(broker, queue, behind + 1).await;
        let running = next(&mut *busy).await;
        assert!(seen.insert(id(&running)), "it came once before");
        let mut idle = consume(broker, queue, 1).await;
        tokio::select! {
            () = take(&mut *idle, behind, &mut seen) => {}
            () = busy.hand_back_what_waits() => unreachable!("it never returns"),
        }
        ack(running).await.expect("still its own");
    };
    tokio::select! {
        () = within("the end", story) => {}
        () = a_consumer_is_there(broker, queue) => unreachable!("it watches for ever"),
    }
}

async fn publish_many(broker: &dyn Broker, queue: Queue, count: usize) {
    futures_util::future::join_all((0..count).map(|_| publish(broker, queue, 0))).await;
}

/// Takes so many that were never seen before, and acks them.
async fn take(consumer: &mut dyn Consumer, count: usize, seen: &mut BTreeSet<String>) {
    for number in 0..count {
        let delivery = next(consumer).await;
        assert!(seen.insert(id(&delivery)), "number {number} came before");
        ack(delivery).await.expect("the channel lives");
    }
}

async fn a_consumer_is_there(broker: &dyn Broker, queue: Queue) {
    loop {
        let depth = broker.depth(queue).await.expect("a declared queue");
        assert!(depth.consumers[0] > 0, "nobody consumes");
        tokio::task::yield_now().await;
    }
}
