//! The embedded broker: queues in this process, for one file programs, `sapari`-less tests and demos.
//! Same promises as a real one but durability: it ends with the process. Delays follow `tokio::time`, so tests can pause them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{
    Broker, BrokerError, Consumer, DeadLetter, Delivery, Depth, Destination, Headers, Judge, Lost,
    MAX_DELAY, Parcel, PublishError, Receipt, Verdict, queued_at, replay_refused,
};
use crate::message::{MAX_BODY_BYTES, Route};
use crate::queue::{Level, MAX_LEVELS, Queue};

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
}

#[derive(Default)]
struct QueueState {
    ready: BTreeMap<Level, VecDeque<Stored>>,
    delayed: BTreeMap<(Instant, u64), (Level, Stored)>,
    dead: VecDeque<DeadLetter>,
    consumers: u64,
    sequence: u64,
}

#[derive(Clone)]
struct Stored {
    body: Vec<u8>,
    headers: Headers,
    redelivered: bool,
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
            state.ready.entry(level).or_default().push_front(again);
        }
        self.changed.notify_waiters();
    }
}

impl QueueState {
    fn len(&self) -> usize {
        self.ready.values().map(VecDeque::len).sum::<usize>() + self.delayed.len()
    }

    fn store(&mut self, route: Route, stored: Stored) {
        if route.delay.is_zero() {
            self.ready.entry(route.level).or_default().push_back(stored);
        } else {
            self.sequence += 1;
            self.delayed.insert(
                (Instant::now() + route.delay, self.sequence),
                (route.level, stored),
            );
        }
    }

    fn keep(&mut self, to: Destination, stored: Stored) {
        match to {
            Destination::Work(route) => self.store(route, stored),
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
                self.ready.entry(level).or_default().push_back(stored);
            }
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
        self.delayed.first_key_value().map(|((due, _), _)| *due)
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
        let unsettled = Arc::new(Unsettled::default());
        Ok(Box::new(MemoryConsumer {
            broker: self.clone(),
            queue,
            prefetch: prefetch.max(1),
            unsettled,
            stopped: false,
        }))
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

impl Destination {
    pub(crate) fn queue(&self) -> Queue {
        match self {
            Self::Work(route) => route.queue,
            Self::Dead(queue) => *queue,
        }
    }
}

struct MemoryConsumer {
    broker: MemoryBroker,
    queue: Queue,
    prefetch: u16,
    unsettled: Arc<Unsettled>,
    stopped: bool,
}

/// How many deliveries of each level a consumer has given out that are not settled.
#[derive(Default)]
struct Unsettled([AtomicU16; MAX_LEVELS as usize]);

impl Unsettled {
    fn at(&self, level: Level) -> &AtomicU16 {
        &self.0[usize::from(level.number())]
    }
}

impl MemoryConsumer {
    /// What is ready now, or else when to look again.
    fn take(&self) -> Result<Delivery, Option<Instant>> {
        let taken = self.broker.with_queue(self.queue, |state| {
            state.release_due(Instant::now());
            let may_take = |level| self.unsettled.at(level).load(Ordering::SeqCst) < self.prefetch;
            state.take_highest(may_take).ok_or_else(|| state.next_due())
        });
        let (level, stored) = taken.unwrap_or(Err(None))?;
        self.unsettled.at(level).fetch_add(1, Ordering::SeqCst);
        let (shared, unsettled) = (Arc::clone(&self.broker.shared), Arc::clone(&self.unsettled));
        let receipt = MemoryReceipt {
            shared,
            queue: self.queue,
            level,
            unsettled,
            stored: Some(stored.clone()),
        };
        Ok(Delivery::new(
            stored.body,
            stored.headers,
            level,
            stored.redelivered,
            Box::new(receipt),
        ))
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        if self.stopped {
            return None;
        }
        loop {
            // Registered before looking, so that a message stored in between still wakes it.
            let changed = self.broker.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.take() {
                Ok(delivery) => return Some(delivery),
                Err(None) => changed.await,
                Err(Some(due)) => {
                    tokio::select! { () = changed => {}, () = sleep_until(due) => {} }
                }
            }
        }
    }

    async fn stop(&mut self) {
        self.stopped = true;
    }
}

impl Drop for MemoryConsumer {
    fn drop(&mut self) {
        self.broker
            .with_queue(self.queue, |state| state.consumers -= 1);
    }
}

/// Holds the message until it is settled; dropped unsettled, the message goes back, as with a worker that died.
struct MemoryReceipt {
    shared: Arc<Shared>,
    queue: Queue,
    level: Level,
    unsettled: Arc<Unsettled>,
    stored: Option<Stored>,
}

#[async_trait]
impl Receipt for MemoryReceipt {
    async fn ack(mut self: Box<Self>) -> Result<(), Lost> {
        self.stored = None;
        Ok(())
    }

    async fn hand_back(self: Box<Self>) -> Result<(), Lost> {
        Ok(())
    }
}

impl Drop for MemoryReceipt {
    fn drop(&mut self) {
        self.unsettled.at(self.level).fetch_sub(1, Ordering::SeqCst);
        match self.stored.take() {
            Some(stored) => self.shared.give_back(self.queue, self.level, stored),
            // Settled: there is room for another one within the prefetch.
            None => self.shared.changed.notify_waiters(),
        }
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
