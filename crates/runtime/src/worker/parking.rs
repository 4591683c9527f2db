//! Deliveries over a limit: they wait here without a slot, in a line for each gate, and keep their place before those that come
//! later. Bounded; what finds no room here waits in a room on the broker. It asks no ledger: it only says whose turn it may be.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::broker::{Delivery, Room};
use crate::ledger::Gate;
use crate::queue::Level;

/// The most that wait here on each level of what came by the consumer: its window is larger by as much.
pub(super) const PER_LEVEL: usize = 128;
/// The most of them in one line: one gate's crowd takes a quarter of a level, and others find room beside it.
pub(super) const PER_LINE: usize = 32;
/// How long a delivery that could start waits for a slot here before it goes back, for a worker that has one.
const HOLD: Duration = Duration::from_millis(400);

/// Deliveries over a limit.
#[derive(Default)]
pub(super) struct Parking {
    // A std mutex: held for one operation on the lists, never across an await.
    lists: Mutex<Lists>,
    changed: Notify,
}

#[derive(Default)]
struct Lists {
    waiting: VecDeque<Parked>,
    /// The gates before which somebody is having a turn: nobody may overtake there.
    trying: Vec<String>,
    /// Nobody parks any more.
    ended: bool,
}

/// What a delivery waits for.
pub(super) struct Wait {
    /// The gate that is closed. It stands in this gate's line.
    pub(super) gate: String,
    /// The waiting room behind that line.
    pub(super) room: Room,
    /// When to try again if nobody says that a place is free.
    pub(super) time: Duration,
}

/// Where in the line a delivery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// To the end, if there is room. What was delivered before goes before what was not.
    Arrived,
    /// To the end: taken from a room by somebody who knows how much there is room for.
    Fetched,
    /// It had its turn in vain: to the front.
    Back,
    /// It had its turn, and found another gate closed: to the front of that one's line, if there is room.
    Moved,
}

/// A delivery that is about to start, and its turn if it waited here for a place in a limit.
pub(super) struct Taken {
    pub(super) delivery: Delivery,
    pub(super) turn: Option<Turn>,
}

impl From<Delivery> for Taken {
    fn from(delivery: Delivery) -> Self {
        Self {
            delivery,
            turn: None,
        }
    }
}

/// The turn of a delivery that waited: its line waits until this is dropped.
pub(super) struct Turn {
    parking: Arc<Parking>,
    gate: String,
}

impl Turn {
    /// Where a delivery goes that had this turn and found this gate closed.
    pub(super) fn place_before(&self, gate: &str) -> Place {
        match self.gate == gate {
            true => Place::Back,
            false => Place::Moved,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.parking.lock().end_turn(&self.gate);
        self.parking.changed.notify_one();
    }
}

struct Parked {
    delivery: Delivery,
    gate: String,
    room: Room,
    due: Instant,
}

impl Parking {
    /// Parks a delivery; gives it back when there is no room.
    pub(super) fn park(
        &self,
        delivery: Delivery,
        wait: Wait,
        place: Place,
    ) -> Result<(), Box<Delivery>> {
        let mut lists = self.lock();
        if lists.ended || !lists.has_room(&delivery, &wait.gate, place) {
            return Err(Box::new(delivery));
        }
        let at = lists.place(&delivery, &wait.gate, place);
        let parked = Parked {
            delivery,
            gate: wait.gate,
            room: wait.room,
            due: Instant::now() + wait.time,
        };
        lists.waiting.insert(at, parked);
        drop(lists);
        self.changed.notify_one();
        Ok(())
    }

    /// The first of these gates before which others wait that go before a delivery of this level.
    pub(super) fn line_before<'g>(&self, level: Level, gates: &'g [Gate]) -> Option<&'g Gate> {
        let lists = self.lock();
        let before = |gate: &&Gate| {
            let waits =
                |parked: &Parked| parked.delivery.level >= level && parked.gate == gate.name;
            lists.trying.contains(&gate.name) || lists.waiting.iter().any(waits)
        };
        gates.iter().find(before)
    }

    /// How many wait here before the gates of a room.
    pub(super) fn count(&self, room: Room) -> usize {
        let lists = self.lock();
        let waiting = lists.waiting.iter();
        waiting.filter(|parked| parked.room == room).count()
    }

    /// The first whose turn it may be, highest level first.
    pub(super) fn take_due(self: &Arc<Self>) -> Option<Taken> {
        let mut lists = self.lock();
        let place = lists.first_due(Instant::now())?;
        let parked = lists.waiting.remove(place)?;
        lists.trying.push(parked.gate.clone());
        drop(lists);
        let turn = Turn {
            parking: Arc::clone(self),
            gate: parked.gate,
        };
        Some(Taken {
            delivery: parked.delivery,
            turn: Some(turn),
        })
    }

    /// The level of the first whose turn it may be.
    pub(super) fn level_due(&self) -> Option<Level> {
        let lists = self.lock();
        let place = lists.first_due(Instant::now())?;
        lists.waiting.get(place).map(|parked| parked.delivery.level)
    }

    /// A place may have become free: the first of each line may try.
    pub(super) fn try_again(&self) {
        let mut lists = self.lock();
        let now = Instant::now();
        let mut seen: HashSet<String> = HashSet::new();
        for parked in &mut lists.waiting {
            if !seen.contains(&parked.gate) {
                seen.insert(parked.gate.clone());
                parked.due = parked.due.min(now);
            }
        }
        drop(lists);
        self.changed.notify_one();
    }

    /// Returns when it may be somebody's turn. Cancel-safe.
    pub(super) async fn due(&self) {
        loop {
            let changed = self.changed.notified();
            let next = self.lock().next_due();
            match next {
                Some(due) if due <= Instant::now() => return,
                Some(due) => tokio::select! { () = changed => {}, () = sleep_until(due) => {} },
                None => changed.await,
            }
        }
    }

    /// For while no slot is free: takes out what could have started and waited too long. Never returns nothing; cancel-safe.
    pub(super) async fn overdue(self: &Arc<Self>) -> Taken {
        loop {
            let changed = self.changed.notified();
            let next = self.lock().next_due().map(|due| due + HOLD);
            match next {
                Some(at) if at <= Instant::now() => {
                    if let Some(taken) = self.take_due() {
                        return taken;
                    }
                    changed.await;
                }
                Some(at) => tokio::select! { () = changed => {}, () = sleep_until(at) => {} },
                None => changed.await,
            }
        }
    }

    /// All that was taken from this room, in its order.
    pub(super) fn take_all_of(&self, room: Room) -> Vec<Delivery> {
        self.take_if(|parked| parked.delivery.room == Some(room))
    }

    /// Drops those whose channel is gone: the broker has them again, and delivers them again.
    pub(super) fn drop_lost(&self) {
        drop(self.take_if(|parked| parked.delivery.is_lost()));
    }

    /// Everything, for when the worker ends: nothing parks from now on.
    pub(super) fn clear(&self) -> Vec<Delivery> {
        self.lock().ended = true;
        self.take_if(|_| true)
    }

    fn take_if(&self, wanted: impl Fn(&Parked) -> bool) -> Vec<Delivery> {
        let mut lists = self.lock();
        let (taken, kept): (VecDeque<_>, _) = std::mem::take(&mut lists.waiting)
            .into_iter()
            .partition(wanted);
        lists.waiting = kept;
        taken.into_iter().map(|parked| parked.delivery).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        // Whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lists {
    fn has_room(&self, delivery: &Delivery, gate: &str, place: Place) -> bool {
        let level = delivery.level;
        let on_level = || self.waiting.iter().filter(|p| p.delivery.level == level);
        let line = || on_level().filter(|parked| parked.gate == gate).count();
        let by_consumer = || on_level().filter(|p| p.delivery.room.is_none()).count();
        match place {
            Place::Fetched | Place::Back => true,
            Place::Moved => line() < PER_LINE,
            // What comes again was here, or in another worker, before what waits behind it now.
            Place::Arrived if delivery.redelivered => by_consumer() < PER_LEVEL,
            Place::Arrived => line() < PER_LINE && by_consumer() < PER_LEVEL,
        }
    }

    fn place(&self, delivery: &Delivery, gate: &str, place: Place) -> usize {
        let level = delivery.level;
        // What comes again goes before what is here for the first time; what was in a room, behind what never was.
        let passes = |other: &Delivery| match place {
            Place::Back | Place::Moved => true,
            Place::Arrived => delivery.redelivered && (other.room.is_some() || !other.redelivered),
            Place::Fetched => delivery.redelivered && other.room.is_some() && !other.redelivered,
        };
        let in_vain = matches!(place, Place::Back | Place::Moved);
        let before = |other: &Parked| {
            let same = other.delivery.level == level && (in_vain || other.gate == gate);
            other.delivery.level < level || same && passes(&other.delivery)
        };
        let found = self.waiting.iter().position(before);
        found.unwrap_or(self.waiting.len())
    }

    /// The next in this line has as long to find a slot as the one before it had.
    fn end_turn(&mut self, gate: &str) {
        if let Some(place) = self.trying.iter().position(|tried| tried == gate) {
            self.trying.swap_remove(place);
        }
        let now = Instant::now();
        let mut line = self.waiting.iter_mut().filter(|p| p.gate == gate);
        if let Some(next) = line.next() {
            next.due = next.due.max(now);
        }
    }

    /// The places of those that have nobody of their line before them on their level, in order.
    fn firsts(&self) -> impl Iterator<Item = (usize, &Parked)> {
        let mut seen: HashSet<(Level, &str)> = HashSet::new();
        self.waiting.iter().enumerate().filter(move |(_, parked)| {
            let first = seen.insert((parked.delivery.level, parked.gate.as_str()));
            first && !self.trying.contains(&parked.gate)
        })
    }

    /// The place of the first whose turn it may be.
    fn first_due(&self, now: Instant) -> Option<usize> {
        let due = self.firsts().find(|(_, parked)| parked.due <= now);
        due.map(|(place, _)| place)
    }

    /// When it may be somebody's turn.
    fn next_due(&self) -> Option<Instant> {
        self.firsts().map(|(_, parked)| parked.due).min()
    }
}

#[cfg(test)]
mod tests;
