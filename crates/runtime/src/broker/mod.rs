//! What the runtime asks of a message broker, and nothing about any particular one.
//! Settling is consumed by value, so a delivery is acked once or not at all; only `worker::settle` may do it.

mod aging;
mod baton;
mod beside;
#[cfg(feature = "testing")]
pub mod conformance;
mod dead;
mod error;
mod liveness;
pub mod memory;
mod prefetch;
pub mod rabbitmq;
pub(crate) mod reach;
mod room;
pub mod url;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

pub(crate) use prefetch::{most_held, prefetch};

pub use baton::Baton;
pub use beside::Beside;
pub(crate) use error::replay_refused;
pub use error::{BrokerError, PublishError};

pub use dead::{DeadLetter, Judge, NotReplayable, Obituary, Verdict};
pub(crate) use liveness::Beat;
pub use liveness::{Connections, LevelLiveness, Liveness};
pub use room::Room;

use crate::message::{MAX_BODY_BYTES, Message, Route, label};
use crate::queue::{Level, Queue};

/// The longest delay that a broker takes: 13.6 years.
pub const MAX_DELAY: Duration = Duration::from_millis(u32::MAX as u64 * 100);

/// Text headers beside a body.
pub type Headers = BTreeMap<String, String>;

/// A place where messages wait until a worker takes them.
#[async_trait]
pub trait Broker: Send + Sync + fmt::Debug + 'static {
    /// Makes sure that the queue, its levels and its dead-letter queue exist. Idempotent.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached or refuses.
    async fn declare(&self, queue: Queue) -> Result<(), BrokerError>;

    /// Stores one message durably: `Ok` means that the broker has confirmed it. A publish that was in flight when a connection
    /// broke is repeated, so that there may be a copy with the same id and kick.
    /// Cancel-safe in the sense that a message is published whole or not at all; a dropped call may have published.
    ///
    /// # Errors
    /// [`PublishError`]: it was refused, or nobody knows whether it arrived.
    async fn publish(&self, parcel: Parcel) -> Result<(), PublishError>;

    /// Starts to take messages from every level of the queue, at most `prefetch` unsettled ones per level.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached or refuses.
    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError>;

    /// The first of those that wait in a room, or nothing when nobody does, or the room was never made. What is handed back is
    /// the first again. A message that waits there for a day comes back to its level by itself.
    /// Not cancel-safe for its order: a message that was on its way to a call that is dropped goes back.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached or refuses.
    async fn take_aside(&self, room: Room) -> Result<Option<Delivery>, BrokerError>;

    /// Makes a room before anything is to wait there: the first message in a new one may take seconds to count as stored. By
    /// default that is all the same to a broker, and nothing is made.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached or refuses.
    async fn make_room(&self, _room: Room) -> Result<(), BrokerError> {
        Ok(())
    }

    /// How many wait in these rooms, for each that has any. What a worker has taken does not count.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached.
    async fn count_aside(&self, rooms: &BTreeSet<Room>)
    -> Result<BTreeMap<Room, u64>, BrokerError>;

    /// How many messages wait, and how many consumers there are, now.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached or the queue does not exist.
    async fn depth(&self, queue: Queue) -> Result<Depth, BrokerError>;

    /// When the message at the head of each level was queued; index 0 is level 0. `None` where nothing is ready, and where the
    /// head does not say. A message that waited out a delay counts from its end.
    ///
    /// This is for people, now and then: a broker that can only show a message by handing it out marks it as redelivered, sends
    /// its whole body, and gives the one behind it to whoever takes a message in that moment. What is looked at keeps its place,
    /// and takes it again a moment after this has returned.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached or the queue does not exist.
    async fn oldest(&self, queue: Queue) -> Result<Vec<Option<SystemTime>>, BrokerError>;

    /// Goes through the dead letters of a queue, oldest first, at most `limit` of them, and does with each what `judge` says.
    /// Returns how many it went through. What is kept stays in its order. A broker that cannot look at a letter in its place may hold all of
    /// them until it returns: others see fewer meanwhile.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached, the queue does not exist, or a replay is refused. What was judged
    /// before stays done; a letter that was being replayed is never lost, but may then stand in both queues.
    async fn review_dead(
        &self,
        queue: Queue,
        limit: usize,
        judge: Judge<'_>,
    ) -> Result<usize, BrokerError>;

    /// Up to `limit` of the oldest dead letters, left where they are.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached or the queue does not exist.
    async fn dead_letters(
        &self,
        queue: Queue,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, BrokerError> {
        let mut letters = Vec::new();
        let mut keep = |letter: &DeadLetter| {
            letters.push(letter.clone());
            Verdict::Keep
        };
        self.review_dead(queue, limit, &mut keep).await?;
        Ok(letters)
    }

    /// A baton for whoever publishes by the clock; not taken yet.
    fn baton(&self) -> Box<dyn Baton>;

    /// Closes the connections; what is unsettled goes back to its queue.
    async fn close(&self);

    /// How the connections are now; for health, so it neither waits nor asks the broker.
    fn connections(&self) -> Connections {
        Connections::default()
    }

    /// What `declare` makes for the queue, a line each, for people.
    fn describe(&self, queue: Queue) -> Vec<String>;

    /// The broker's name in `messaging.system`.
    fn system(&self) -> &'static str;
}

/// A stream of deliveries from all levels of one queue.
#[async_trait]
pub trait Consumer: Send {
    /// The next delivery, from the highest level that has one. `None`: the consumer is gone for good.
    /// Cancel-safe: a call that is dropped takes nothing.
    async fn next(&mut self) -> Option<Delivery>;

    /// A delivery that is here already and waits on a level above this one; takes nothing else.
    fn take_above(&mut self, level: Level) -> Option<Delivery> {
        let _ = level;
        None
    }

    /// From now on may hold up to so many messages of a level, while they are finished within moments: how many that is follows
    /// from how fast they are. Without it the prefetch stays what it was. A broker that hands out only what is asked for has
    /// nothing to do.
    fn may_hold(&mut self, many: u16) {
        let _ = many;
    }

    /// From now on lets a level through once that was passed over for so long; without it, levels are strict.
    fn age_after(&mut self, after: Duration) {
        let _ = after;
    }

    /// For while no slot is free: hands back what has been received and has waited too long for one, so that another worker
    /// can start it. Never returns; cancel-safe. A broker that hands out only what is asked for has nothing to do.
    async fn hand_back_what_waits(&mut self) {
        std::future::pending().await
    }

    /// Whether it still takes messages: a handle to ask, from any thread, for as long as somebody wants to know.
    fn liveness(&self) -> Liveness;

    /// Takes no more, and hands back what was received but not given out.
    async fn stop(&mut self);
}

/// A message on its way to a broker: body, headers, and where it goes.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Where it goes.
    pub to: Destination,
    /// The id of the message; empty when nobody could read it.
    pub id: String,
    /// What is sent.
    pub body: Vec<u8>,
    /// What stands beside it.
    pub headers: Headers,
    /// The priority it was kicked with, 0 to 3.
    pub priority: u8,
}

/// Where a parcel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To a level of a queue, perhaps after a delay.
    Work(Route),
    /// To the end of a waiting room, which is made if it is not there.
    Aside(Room),
    /// To the dead-letter queue of a queue.
    Dead(Queue),
}

impl Destination {
    pub(crate) fn queue(&self) -> Queue {
        match self {
            Self::Work(route) => route.queue,
            Self::Aside(room) => room.queue(),
            Self::Dead(queue) => *queue,
        }
    }
}

impl Parcel {
    /// A message and its route. Every label also stands in a header, as TaskIQ has it.
    ///
    /// # Errors
    /// [`PublishError::TooLarge`] when the body exceeds [`MAX_BODY_BYTES`].
    pub fn of(message: &Message, route: Route) -> Result<Self, PublishError> {
        let body = message.encode();
        if body.len() > MAX_BODY_BYTES {
            return Err(PublishError::TooLarge {
                bytes: body.len(),
                limit: MAX_BODY_BYTES,
            });
        }
        let mut headers: Headers = message
            .labels
            .headers()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        headers.insert("task_id".to_owned(), message.id.to_string());
        headers.insert("task_name".to_owned(), message.task.clone());
        let priority = message.priority().unwrap_or_default().number();
        Ok(Self {
            to: Destination::Work(route),
            id: message.id.to_string(),
            body,
            headers,
            priority,
        })
    }

    /// A message on its way to a room, as it came: what it is, how it is traced and since when it waits stay the same.
    #[must_use]
    pub(crate) fn aside(room: Room, message: &Message, body: Vec<u8>, headers: Headers) -> Self {
        let mut headers = headers;
        // What the broker wrote about earlier lives must not follow the message into the next one.
        headers.retain(|name, _| !name.starts_with("x-"));
        Self {
            to: Destination::Aside(room),
            id: message.id.to_string(),
            body,
            headers,
            priority: message.priority().unwrap_or_default().number(),
        }
    }
}

/// A message as received, owning the right to settle it.
///
/// Dropped unsettled, it goes back to its queue when the consumer's channel closes: nothing is lost, but nothing is prompt either.
pub struct Delivery {
    /// The bytes as they came.
    pub body: Vec<u8>,
    /// The headers as they came.
    pub headers: Box<dyn Beside>,
    /// The level it waited on.
    pub level: Level,
    /// Whether the broker says that it was delivered before.
    pub redelivered: bool,
    /// The waiting room that it was taken from; none for what came by a consumer.
    pub room: Option<Room>,
    receipt: Box<dyn Receipt>,
}

impl Delivery {
    /// A delivery as a broker builds it.
    #[must_use]
    pub fn new(
        body: Vec<u8>,
        headers: Box<dyn Beside>,
        level: Level,
        redelivered: bool,
        receipt: Box<dyn Receipt>,
    ) -> Self {
        Self {
            body,
            headers,
            level,
            redelivered,
            room: None,
            receipt,
        }
    }

    /// The same, as taken from a waiting room.
    #[must_use]
    pub(crate) fn out_of(mut self, room: Room) -> Self {
        self.room = Some(room);
        self
    }

    /// Whether its channel is gone: the broker delivers it again, and it is not to be started here.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.receipt.is_lost()
    }

    /// Splits off the right to settle, so that it can outlive the bytes.
    pub(crate) fn take_apart(self) -> (Vec<u8>, Box<dyn Beside>, Box<dyn Receipt>) {
        (self.body, self.headers, self.receipt)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("level", &self.level)
            .field("redelivered", &self.redelivered)
            .finish_non_exhaustive()
    }
}

/// The right to settle one delivery, once.
#[async_trait]
pub trait Receipt: Send + Sync {
    /// The message is finished with. The broker may be told together with others, a moment later: `Ok` means that it is the
    /// next that the delivery's channel says, and is no promise that the channel lives so long. Once the consumer was stopped,
    /// `Ok` means that it was said.
    ///
    /// # Errors
    /// [`Lost`]: the channel of the delivery is gone, and the broker will deliver the message again.
    async fn ack(self: Box<Self>) -> Result<(), Lost>;

    /// The message goes back to its queue and level, for any worker.
    ///
    /// # Errors
    /// [`Lost`]: the channel of the delivery is gone; the message is on its way back anyway.
    async fn hand_back(self: Box<Self>) -> Result<(), Lost>;

    /// Whether the channel of the delivery is known to be gone.
    fn is_lost(&self) -> bool {
        false
    }
}

/// A delivery whose channel is gone: the broker has taken the message back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the delivery's channel is gone; the broker delivers the message again")]
pub struct Lost;

/// How much waits on a queue now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Depth {
    /// Messages ready per level; index 0 is level 0.
    pub ready: Vec<u64>,
    /// Consumers per level; index 0 is level 0.
    pub consumers: Vec<u64>,
    /// Messages in the dead-letter queue.
    pub dead: u64,
}

/// When a message says that it was queued.
fn queued_at(headers: &Headers) -> Option<SystemTime> {
    let seconds: f64 = headers.get(label::QUEUED_AT)?.parse().ok()?;
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}
