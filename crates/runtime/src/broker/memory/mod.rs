//! The embedded broker: queues in this process, for one file programs, `sapari`-less tests and demos.
//! Same promises as a real one but durability: it ends with the process. Delays follow `tokio::time`, so tests can pause them.

mod baton;
mod consumer;
mod rooms;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use baton::{MemoryBaton, Shelf};
use consumer::MemoryConsumer;
use rooms::Rooms;

use super::{
    Baton, Broker, BrokerError, Consumer, DeadLetter, Delivery, Depth, Destination, Headers, Judge,
    MAX_DELAY, Parcel, PublishError, Room, Verdict, queued_at, replay_refused,
};
use crate::message::{MAX_BODY_BYTES, Route};
use crate::queue::{Level, Queue};

/// The most messages that one queue holds before publishing to it is refused.
const CAPACITY: usize = 1_000_000;

/// Queues in this process. Cheap to clone: clones share the queues.
#[derive(Clone, Default)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    // A std mutex: held for a few map operations, never across an await.
    queues: Mutex<HashMap<&'static str, QueueState>>,
    changed: Notify,
    baton: Shelf,
}

#[derive(Default)]
struct QueueState {
    ready: BTreeMap<Level, VecDeque<Stored>>,
    delayed: BTreeMap<(Instant, u64), (Level, Stored)>,
    rooms: Rooms,
    dead: VecDeque<DeadLetter>,
    consumers: u64,
    sequence: u64,
}

#[derive(Clone)]
struct Stored {
    body: Vec<u8>,
    headers: Headers,
    redelivered: bool,
    /// Its place among all that were ever ready on its queue.
    place: u64,
}

impl MemoryBroker {
    /// A broker without queues.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A broker on which these queues are declared.
    #[must_use]
    pub fn with_queues(queues: impl IntoIterator<Item = Queue>) -> Self {
        let broker = Self::new();
        broker.shared.lock().extend(
            queues
                .into_iter()
                .map(|queue| (queue.name(), QueueState::default())),
        );
        broker
    }

    /// Whether nothing waits anywhere, delayed or not; dead letters and what is being run do not count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.lock().values().all(|state| state.len() == 0)
    }

    fn with_queue<T>(&self, queue: Queue, action: impl FnOnce(&mut QueueState) -> T) -> Option<T> {
        self.shared.lock().get_mut(queue.name()).map(action)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, QueueState>> {
        // The maps are consistent between any two statements, so a panic elsewhere leaves nothing half done.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, queue: Queue, level: Level, stored: Stored) {
        if let Some(state) = self.lock().get_mut(queue.name()) {
            let again = Stored {
                redelivered: true,
                ..stored
            };
            state.take_back(level, again);
        }
        self.changed.notify_waiters();
    }
}

impl QueueState {
    fn len(&self) -> usize {
        let ready: usize = self.ready.values().map(VecDeque::len).sum();
        ready + self.delayed.len() + self.rooms.len()
    }

    fn store(&mut self, route: Route, stored: Stored) {
        if route.delay.is_zero() {
            self.make_ready(route.level, stored);
        } else {
            self.sequence += 1;
            self.delayed.insert(
                (Instant::now() + route.delay, self.sequence),
                (route.level, stored),
            );
        }
    }

    fn make_ready(&mut self, level: Level, stored: Stored) {
        self.sequence += 1;
        let place = self.sequence;
        let ready = self.ready.entry(level).or_default();
        ready.push_back(Stored { place, ..stored });
    }

    /// What comes back is before all that is younger.
    fn take_back(&mut self, level: Level, stored: Stored) {
        let ready = self.ready.entry(level).or_default();
        let younger = ready.iter().position(|other| other.place > stored.place);
        ready.insert(younger.unwrap_or(ready.len()), stored);
    }

    fn keep(&mut self, to: Destination, stored: Stored) {
        match to {
            Destination::Work(route) => self.store(route, stored),
            Destination::Aside(room) => self.rooms.add(room, stored),
            Destination::Dead(_) => self.dead.push_back(DeadLetter {
                body: stored.body,
                headers: stored.headers,
            }),
        }
    }

    fn release_due(&mut self, now: Instant) {
        while self
            .delayed
            .first_key_value()
            .is_some_and(|((due, _), _)| *due <= now)
        {
            if let Some((_, (level, stored))) = self.delayed.pop_first() {
                self.make_ready(level, stored);
            }
        }
        for (level, stored) in self.rooms.forgotten(now) {
            self.make_ready(level, stored);
        }
    }

    fn take_highest(&mut self, may_take: impl Fn(Level) -> bool) -> Option<(Level, Stored)> {
        let fits = |(level, messages): &(&Level, &mut VecDeque<Stored>)| {
            !messages.is_empty() && may_take(**level)
        };
        let (level, messages) = self.ready.iter_mut().rev().find(fits)?;
        messages.pop_front().map(|stored| (*level, stored))
    }

    fn next_due(&self) -> Option<Instant> {
        let due = self.delayed.first_key_value().map(|((due, _), _)| *due);
        due.into_iter().chain(self.rooms.next_due()).min()
    }
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryBroker")
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn declare(&self, queue: Queue) -> Result<(), BrokerError> {
        self.shared.lock().entry(queue.name()).or_default();
        Ok(())
    }

    async fn publish(&self, parcel: Parcel) -> Result<(), PublishError> {
        let queue = parcel.to.queue();
        refuse_beyond_limits(&parcel)?;
        let unroutable = || PublishError::Unroutable {
            queue: queue.name().to_owned(),
        };
        let stored = Stored {
            body: parcel.body,
            headers: parcel.headers,
            redelivered: false,
            place: 0,
        };
        self.with_queue(queue, |state| {
            if state.len() >= CAPACITY {
                return Err(PublishError::Nacked {
                    queue: queue.name().to_owned(),
                });
            }
            state.keep(parcel.to, stored);
            Ok(())
        })
        .ok_or_else(unroutable)??;
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        self.declare(queue).await?;
        self.with_queue(queue, |state| state.consumers += 1);
        Ok(Box::new(MemoryConsumer::new(self.clone(), queue, prefetch)))
    }

    async fn take_aside(&self, room: Room) -> Result<Option<Delivery>, BrokerError> {
        Ok(rooms::take(&self.shared, room))
    }

    async fn count_aside(
        &self,
        rooms: &BTreeSet<Room>,
    ) -> Result<BTreeMap<Room, u64>, BrokerError> {
        let count = |room: &Room| {
            let waiting = self.with_queue(room.queue(), |state| state.rooms.count(*room));
            waiting
                .filter(|count| *count > 0)
                .map(|count| (*room, count))
        };
        Ok(rooms.iter().filter_map(count).collect())
    }

    async fn depth(&self, queue: Queue) -> Result<Depth, BrokerError> {
        let depth = self.with_queue(queue, |state| {
            state.release_due(Instant::now());
            let count = |level| state.ready.get(&level).map_or(0, VecDeque::len) as u64;
            Depth {
                ready: queue.every_level().rev().map(count).collect(),
                consumers: vec![state.consumers; usize::from(queue.level_count())],
                dead: state.dead.len() as u64,
            }
        });
        depth.ok_or_else(|| undeclared(queue))
    }

    async fn oldest(&self, queue: Queue) -> Result<Vec<Option<SystemTime>>, BrokerError> {
        let oldest = self.with_queue(queue, |state| {
            state.release_due(Instant::now());
            let head = |level| state.ready.get(&level).and_then(VecDeque::front);
            let at = |level| queued_at(&head(level)?.headers);
            queue.every_level().rev().map(at).collect()
        });
        oldest.ok_or_else(|| undeclared(queue))
    }

    async fn review_dead(
        &self,
        queue: Queue,
        limit: usize,
        judge: Judge<'_>,
    ) -> Result<usize, BrokerError> {
        let taken = self.with_queue(queue, |state| std::mem::take(&mut state.dead));
        let mut letters = taken.ok_or_else(|| undeclared(queue))?;
        let (mut kept, mut seen, mut refused) = (VecDeque::new(), 0, None);
        while seen < limit && refused.is_none() {
            let Some(letter) = letters.pop_front() else {
                break;
            };
            seen += 1;
            match judge(&letter) {
                Verdict::Keep => kept.push_back(letter),
                Verdict::Enough => {
                    kept.push_back(letter);
                    break;
                }
                Verdict::Drop => {}
                Verdict::Replay(parcel) => {
                    refused = self.publish(*parcel).await.err();
                    kept.extend(refused.is_some().then_some(letter));
                }
            }
        }
        kept.append(&mut letters);
        // Those that died meanwhile are younger.
        self.with_queue(queue, |state| {
            kept.append(&mut state.dead);
            state.dead = kept;
        });
        refused.map_or(Ok(seen), |error| Err(replay_refused(error)))
    }

    fn baton(&self) -> Box<dyn Baton> {
        Box::new(MemoryBaton::new(self.clone()))
    }

    async fn close(&self) {}

    fn describe(&self, queue: Queue) -> Vec<String> {
        let levels = queue
            .every_level()
            .map(|level| format!("{queue}.{level}  in memory"));
        levels
            .chain([format!("{queue}.dead  in memory, dead letters")])
            .collect()
    }

    fn system(&self) -> &'static str {
        "memory"
    }
}

/// What RabbitMQ would not take either.
fn refuse_beyond_limits(parcel: &Parcel) -> Result<(), PublishError> {
    let Destination::Work(route) = parcel.to else {
        return Ok(());
    };
    if route.delay > MAX_DELAY {
        return Err(PublishError::DelayTooLong {
            delay: route.delay,
            limit: MAX_DELAY,
        });
    }
    if parcel.body.len() > MAX_BODY_BYTES {
        return Err(PublishError::TooLarge {
            bytes: parcel.body.len(),
            limit: MAX_BODY_BYTES,
        });
    }
    Ok(())
}

fn undeclared(queue: Queue) -> BrokerError {
    BrokerError::NoQueue {
        action: format!("show queue {queue}"),
        source: "there is no queue of this name in this process".into(),
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::broker::conformance::exercise;

    #[tokio::test(start_paused = true)]
    async fn keeps_every_promise_of_a_broker() {
        let broker = MemoryBroker::new();
        exercise(async || Arc::new(broker.clone()) as Arc<dyn Broker>).await;
    }
}
