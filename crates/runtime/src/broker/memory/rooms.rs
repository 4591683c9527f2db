//! Waiting rooms in this process. What is handed back takes its old place; what everybody forgot goes back to its level.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::{Duration, Instant};

use super::{Shared, Stored};
use crate::broker::{Delivery, Lost, Receipt, Room};
use crate::queue::Level;

/// How long a message stays in a room at most, as on a real broker.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);

/// The rooms of one queue.
#[derive(Default)]
pub(super) struct Rooms {
    waiting: BTreeMap<Room, BTreeMap<u64, Waiting>>,
    sequence: u64,
}

#[derive(Clone)]
struct Waiting {
    stored: Stored,
    until: Instant,
}

impl Rooms {
    pub(super) fn len(&self) -> usize {
        self.waiting.values().map(BTreeMap::len).sum()
    }

    pub(super) fn count(&self, room: Room) -> u64 {
        self.waiting.get(&room).map_or(0, BTreeMap::len) as u64
    }

    pub(super) fn add(&mut self, room: Room, stored: Stored) {
        self.sequence += 1;
        let until = Instant::now() + FORGOTTEN_AFTER;
        self.put(room, self.sequence, Waiting { stored, until });
    }

    fn put(&mut self, room: Room, place: u64, waiting: Waiting) {
        self.waiting.entry(room).or_default().insert(place, waiting);
    }

    fn take(&mut self, room: Room) -> Option<(u64, Waiting)> {
        let waiting = self.waiting.get_mut(&room)?;
        let first = waiting.pop_first();
        if waiting.is_empty() {
            self.waiting.remove(&room);
        }
        first
    }

    /// What has been here for too long.
    pub(super) fn forgotten(&mut self, now: Instant) -> Vec<(Level, Stored)> {
        let mut forgotten = Vec::new();
        for (room, waiting) in &mut self.waiting {
            while waiting
                .first_key_value()
                .is_some_and(|(_, first)| first.until <= now)
            {
                let first = waiting.pop_first();
                forgotten.extend(first.map(|(_, first)| (room.level(), first.stored)));
            }
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        forgotten
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        let firsts = self
            .waiting
            .values()
            .filter_map(|waiting| waiting.values().next());
        firsts.map(|first| first.until).min()
    }
}

/// The first of a room.
pub(super) fn take(shared: &Arc<Shared>, room: Room) -> Option<Delivery> {
    let (place, waiting) = shared
        .lock()
        .get_mut(room.queue().name())?
        .rooms
        .take(room)?;
    let Stored {
        body,
        headers,
        redelivered,
        ..
    } = waiting.stored.clone();
    let receipt = RoomReceipt {
        shared: Arc::clone(shared),
        room,
        place,
        waiting: Some(waiting),
    };
    let level = room.level();
    let delivery = Delivery::new(
        body,
        Box::new(headers),
        level,
        redelivered,
        Box::new(receipt),
    );
    Some(delivery.out_of(room))
}

/// Holds the message until it is settled; dropped unsettled, the message goes back to its place.
struct RoomReceipt {
    shared: Arc<Shared>,
    room: Room,
    place: u64,
    waiting: Option<Waiting>,
}

#[async_trait]
impl Receipt for RoomReceipt {
    async fn ack(mut self: Box<Self>) -> Result<(), Lost> {
        self.waiting = None;
        Ok(())
    }

    async fn hand_back(self: Box<Self>) -> Result<(), Lost> {
        Ok(())
    }
}

impl Drop for RoomReceipt {
    fn drop(&mut self) {
        let Some(mut waiting) = self.waiting.take() else {
            return;
        };
        waiting.stored.redelivered = true;
        if let Some(state) = self.shared.lock().get_mut(self.room.queue().name()) {
            state.rooms.put(self.room, self.place, waiting);
        }
        // Whoever waits for what is forgotten may have to wait less.
        self.shared.changed.notify_waiters();
    }
}
