//! The embedded broker: queues in this process, for one file programs, `sapari`-less tests and demos.
//! Same promises as a real one but durability: it ends with the process. Delays follow `tokio::time`, so tests can pause them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{
    Broker, BrokerError, Consumer, DeadLetter, Delivery, Depth, Destination, Headers, Lost, Parcel,
    PublishError, Receipt,
};
use crate::message::Route;
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

    fn take_highest(&mut self) -> Option<(Level, Stored)> {
        let (level, messages) = self
            .ready
            .iter_mut()
            .rev()
            .find(|(_, messages)| !messages.is_empty())?;
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
        let unroutable = || PublishError::Unroutable {
            queue: queue.name().to_owned(),
        };
        let stored = Stored {
            body: parcel.body,
            headers: parcel.headers,
            redelivered: false,
        };
        self.with_queue(queue, |state| match parcel.to {
            _ if state.len() >= CAPACITY => Err(PublishError::Nacked {
                queue: queue.name().to_owned(),
            }),
            Destination::Work(route) => {
                state.store(route, stored);
                Ok(())
            }
            Destination::Dead(_) => {
                state.dead.push_back(DeadLetter {
                    body: stored.body,
                    headers: stored.headers,
                });
                Ok(())
            }
        })
        .ok_or_else(unroutable)??;
        self.shared.changed.notify_waiters();
        Ok(())
    }

    async fn consume(
        &self,
        queue: Queue,
        _prefetch: u16,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        self.declare(queue).await?;
        self.with_queue(queue, |state| state.consumers += 1);
        Ok(Box::new(MemoryConsumer {
            broker: self.clone(),
            queue,
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

    async fn dead_letters(
        &self,
        queue: Queue,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, BrokerError> {
        self.with_queue(queue, |state| {
            state.dead.iter().take(limit).cloned().collect()
        })
        .ok_or_else(|| undeclared(queue))
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

fn undeclared(queue: Queue) -> BrokerError {
    BrokerError::Refused {
        action: format!("look at queue {queue}"),
        source: "it was never declared".into(),
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
    stopped: bool,
}

impl MemoryConsumer {
    /// What is ready now, or else when to look again.
    fn take(&self) -> Result<Delivery, Option<Instant>> {
        let taken = self.broker.with_queue(self.queue, |state| {
            state.release_due(Instant::now());
            state.take_highest().ok_or_else(|| state.next_due())
        });
        let (level, stored) = taken.unwrap_or(Err(None))?;
        let receipt = MemoryReceipt {
            shared: Arc::clone(&self.broker.shared),
            queue: self.queue,
            level,
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
        loop {
            if self.stopped {
                return None;
            }
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
        if let Some(stored) = self.stored.take() {
            self.shared.give_back(self.queue, self.level, stored);
        }
    }
}
