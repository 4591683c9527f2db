//! What the cases share: queues nobody else uses, messages, and waiting that ends.

use std::future::Future;
use std::time::Duration;

use serde_json::Map;
use tokio::time::timeout;

use crate::broker::{Broker, Consumer, Delivery, Depth, Lost, Parcel};
use crate::message::{Args, Labels, Message, MessageId, Route};
use crate::queue::Queue;

/// The most that one step of a case may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks at a depth: no broker tells when it changes.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// A queue that nobody else uses. Its name lives as long as the process: queues are declared as constants elsewhere.
#[must_use]
pub fn fresh_queue(levels: u8) -> Queue {
    let name = format!("case-{}", MessageId::new());
    Queue::named(Box::leak(name.into_boxed_str())).levels(levels)
}

/// A message that says nothing.
#[must_use]
pub fn message() -> Message {
    let args = Args {
        positional: Vec::new(),
        keyword: Map::new(),
    };
    Message {
        id: MessageId::new(),
        task: "case".to_owned(),
        labels: Labels::default(),
        args,
    }
}

/// A parcel with a message for a level of the queue.
///
/// # Panics
/// When the queue has no such level.
#[must_use]
pub fn parcel(queue: Queue, level: u8, delay: Duration) -> Parcel {
    let level = queue
        .every_level()
        .find(|each| each.number() == level)
        .expect("a level of the queue");
    Parcel::of(
        &message(),
        Route {
            queue,
            level,
            delay,
        },
    )
    .expect("a small message")
}

/// The next delivery.
///
/// # Panics
/// When there is none in time.
pub async fn next(consumer: &mut dyn Consumer) -> Delivery {
    within("a delivery", consumer.next())
        .await
        .expect("the consumer is not stopped")
}

/// Acks, as settling does.
///
/// # Errors
/// [`Lost`], when the broker took the message back.
pub async fn ack(delivery: Delivery) -> Result<(), Lost> {
    let (_, _, receipt) = delivery.take_apart();
    within("an ack", receipt.ack()).await
}

/// Hands back, as settling does.
///
/// # Errors
/// [`Lost`], when the broker took the message back.
pub async fn hand_back(delivery: Delivery) -> Result<(), Lost> {
    let (_, _, receipt) = delivery.take_apart();
    within("a hand-back", receipt.hand_back()).await
}

/// Asks for the depth until it is as expected: brokers count what was just settled a moment later.
///
/// # Panics
/// When it does not become so in time.
pub async fn settled_depth(
    broker: &dyn Broker,
    queue: Queue,
    expected: impl Fn(&Depth) -> bool,
) -> Depth {
    let mut last = Depth::default();
    let asking = async {
        loop {
            let depth = broker.depth(queue).await.expect("a declared queue");
            if expected(&depth) {
                return depth;
            }
            last = depth;
            tokio::time::sleep(ASK_AGAIN).await;
        }
    };
    let answer = timeout(PATIENCE, asking).await;
    answer.unwrap_or_else(|_| panic!("the depth of {queue} stays {last:?}"))
}

/// The event, or a panic that names it.
pub(super) async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// Publishes one message to level 0 and returns its id.
pub(super) async fn publish(broker: &dyn Broker, queue: Queue, level: u8) -> String {
    let parcel = parcel(queue, level, Duration::ZERO);
    let id = parcel.id.clone();
    within("a confirm", broker.publish(parcel))
        .await
        .expect("a declared queue takes messages");
    id
}

/// A declared queue that nobody else uses.
pub(super) async fn declared(broker: &dyn Broker, levels: u8) -> Queue {
    let queue = fresh_queue(levels);
    within("a declaration", broker.declare(queue))
        .await
        .expect("the broker declares");
    queue
}

/// A consumer of the queue.
pub(super) async fn consume(broker: &dyn Broker, queue: Queue, prefetch: u16) -> Box<dyn Consumer> {
    within("a consumer", broker.consume(queue, prefetch))
        .await
        .expect("the broker lets us consume")
}

/// The id of the message that was delivered.
pub(super) fn id(delivery: &Delivery) -> String {
    let id = delivery.headers.get("task_id");
    id.expect("a header of every message").into_owned()
}

/// Waits until a broker that pushes has pushed what the prefetch allows. One that is asked for each message has nothing to push.
pub(super) async fn pushed(broker: &dyn Broker, queue: Queue) {
    if broker.system() == "memory" {
        return;
    }
    settled_depth(broker, queue, |depth| {
        depth.ready.iter().all(|ready| *ready == 0)
    })
    .await;
    // The broker has let go of them; some more round trips, and they have crossed the socket on the other connection, too.
    for _ in 0..20 {
        within("the depth", broker.depth(queue))
            .await
            .expect("a declared queue");
    }
}
