//! Taking from queues in this process: the highest level first, within a prefetch, and what settles a delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::{MemoryBroker, Shared, Stored};
use crate::broker::aging::Aging;
use crate::broker::{Consumer, Delivery, Liveness, Lost, Receipt};
use crate::queue::{Level, MAX_LEVELS, Queue};

/// Takes from one queue.
pub(super) struct MemoryConsumer {
    broker: MemoryBroker,
    queue: Queue,
    prefetch: u16,
    unsettled: Arc<Unsettled>,
    aging: Aging,
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
    pub(super) fn new(broker: MemoryBroker, queue: Queue, prefetch: u16) -> Self {
        Self {
            broker,
            queue,
            prefetch: prefetch.max(1),
            unsettled: Arc::default(),
            aging: Aging::default(),
            stopped: false,
        }
    }

    fn take_aged(&mut self) -> Option<Delivery> {
        let now = Instant::now();
        let mut aged = self
            .queue
            .every_level()
            .rev()
            .filter(|level| self.aging.is_due(*level, now));
        let delivery = aged.find_map(|aged| self.take(|level| level == aged).ok())?;
        self.note_served(delivery.level);
        Some(delivery)
    }

    fn note_served(&mut self, level: Level) {
        if self.aging.is_off() {
            return;
        }
        let waiting = self.broker.with_queue(self.queue, |state| {
            let some = state
                .ready
                .iter()
                .filter(|(_, messages)| !messages.is_empty());
            some.map(|(level, _)| *level).collect::<Vec<_>>()
        });
        let waiting = waiting.unwrap_or_default().into_iter();
        self.aging.served(level, waiting, Instant::now());
    }

    /// What is ready now, or else when to look again.
    fn take(&self, wanted: impl Fn(Level) -> bool) -> Result<Delivery, Option<Instant>> {
        let taken = self.broker.with_queue(self.queue, |state| {
            state.release_due(Instant::now());
            let room = |level| self.unsettled.at(level).load(Ordering::SeqCst) < self.prefetch;
            let may_take = |level| wanted(level) && room(level);
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
            Box::new(stored.headers),
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
        if let Some(aged) = self.take_aged() {
            return Some(aged);
        }
        loop {
            // Registered before looking, so that a message stored in between still wakes it.
            let shared = Arc::clone(&self.broker.shared);
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.take(|_| true) {
                Ok(delivery) => {
                    self.note_served(delivery.level);
                    return Some(delivery);
                }
                Err(None) => changed.await,
                Err(Some(due)) => {
                    tokio::select! { () = changed => {}, () = sleep_until(due) => {} }
                }
            }
        }
    }

    fn age_after(&mut self, after: Duration) {
        self.aging.set(after);
    }

    fn take_above(&mut self, level: Level) -> Option<Delivery> {
        self.take(|other| other > level).ok()
    }

    /// Nothing stands between it and its queues.
    fn liveness(&self) -> Liveness {
        Liveness::of(self.queue)
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
