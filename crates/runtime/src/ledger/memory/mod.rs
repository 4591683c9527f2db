//! The ledger in this process: for embedded workers, tests and demos. It ends with the process; times follow `tokio::time`.

mod checkpoints;
mod pages;
mod schedules;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use pages::{Kept, Pages, State};

use super::rooms::ROOM_REMEMBERED;
use super::runs::{REMEMBERED, TOLD_FOR};
use super::{
    Cancel, Cancels, Entry, Gate, GateKind, LedgerError, LeftBehind, Limits, News, Progress,
    Registry, Reserved, Rooms, Run, Runs, Sighting, Standing, Uniques, WorkerReport,
};
use crate::broker::Room;
use crate::message::MessageId;
use crate::queue::Queue;

/// The ledger in this process. Cheap to clone: clones share it.
#[derive(Clone, Default)]
pub(crate) struct MemoryLedger {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    // A std mutex: held for a few map operations, never across an await.
    pages: Mutex<Pages>,
    /// How often something has changed.
    changes: watch::Sender<u64>,
}

impl MemoryLedger {
    /// The kick has come to its end: copies of it are not run as long as its record is kept.
    pub(crate) fn finish(&self, id: &MessageId, kick: &str, kept: Duration) {
        let kick = kick.to_owned();
        let replayed = false;
        self.lock()
            .write_run(id, State::Finished { kick, replayed }, kept);
    }

    /// The record of this message is taken away, for it to run anew.
    pub(crate) fn replay(&self, id: &MessageId) {
        if let Some(run) = self.lock().runs.get_mut(id)
            && let State::Finished { replayed, .. } = &mut run.value
        {
            *replayed = true;
        }
    }

    fn tell(&self) {
        self.shared.changes.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        // Whole between any two statements, so a panic elsewhere leaves nothing half done.
        self.shared
            .pages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Runs for MemoryLedger {
    async fn begin(
        &self,
        run: &Run,
        lease: Duration,
        hold_back: Option<u32>,
    ) -> Result<Standing, LedgerError> {
        Ok(self.lock().begin(run, lease, hold_back))
    }

    async fn renew(&self, runs: &[Run], lease: Duration) -> Result<(), LedgerError> {
        let mut pages = self.lock();
        runs.iter().for_each(|run| pages.renew(run, lease));
        Ok(())
    }

    async fn sent_on(&self, run: &Run, to: u32) -> Result<(), LedgerError> {
        let (kick, hop) = (run.kick.clone(), to);
        self.lock()
            .write_run(&run.id, State::SentOn { kick, hop }, REMEMBERED);
        Ok(())
    }

    async fn release(&self, run: &Run) -> Result<(), LedgerError> {
        let mut pages = self.lock();
        if pages.holds(run) {
            pages.runs.remove(&run.id);
        }
        Ok(())
    }

    async fn left_behind(&self, ago: Duration) -> Result<Vec<LeftBehind>, LedgerError> {
        let (pages, now) = (self.lock(), Instant::now());
        let left = pages.runs.iter().filter_map(|(id, kept)| {
            let State::Running { run, until, .. } = kept.get()? else {
                return None;
            };
            let ended = now.checked_duration_since(*until)?;
            (ended >= ago && ended <= TOLD_FOR).then(|| LeftBehind {
                id: id.clone(),
                task: run.task.clone(),
                worker: run.worker.clone(),
                ended,
            })
        });
        Ok(left.collect())
    }

    async fn sighting(&self, id: &MessageId) -> Result<Option<Sighting>, LedgerError> {
        let pages = self.lock();
        Ok(pages.run(id).map(|state| match state {
            State::Running { run, until, starts } => {
                let (worker, starts) = (run.worker.clone(), *starts);
                if *until > Instant::now() {
                    Sighting::Running { worker, starts }
                } else {
                    Sighting::Abandoned { worker, starts }
                }
            }
            State::SentOn { hop, .. } => Sighting::SentOn { hop: *hop },
            State::Finished { replayed: true, .. } => Sighting::Replayed,
            State::Finished { .. } => Sighting::Finished,
        }))
    }
}

#[async_trait]
impl Cancels for MemoryLedger {
    async fn cancel(&self, cancel: &Cancel) -> Result<(), LedgerError> {
        self.lock()
            .cancels
            .insert(cancel.id.clone(), cancel.clone());
        self.tell();
        Ok(())
    }

    async fn cancels(&self, since: u64) -> Result<Vec<Cancel>, LedgerError> {
        let pages = self.lock();
        let young = pages.cancels.values().filter(|cancel| cancel.at >= since);
        Ok(young.cloned().collect())
    }

    async fn is_cancelled(&self, id: &MessageId) -> Result<bool, LedgerError> {
        Ok(self.lock().cancels.contains_key(id))
    }

    async fn cancelled(&self, id: &MessageId) -> Result<(), LedgerError> {
        self.lock().cancels.remove(id);
        Ok(())
    }

    fn listen(&self) -> Box<dyn News> {
        let (ledger, changes) = (self.clone(), self.shared.changes.subscribe());
        Box::new(Listener {
            _ledger: ledger,
            changes,
        })
    }
}

struct Listener {
    /// Keeps the sender alive.
    _ledger: MemoryLedger,
    changes: watch::Receiver<u64>,
}

#[async_trait]
impl News for Listener {
    async fn heard(&mut self) {
        // The sender lives as long as this does.
        let _ = self.changes.changed().await;
    }
}

#[async_trait]
impl Uniques for MemoryLedger {
    async fn reserve(
        &self,
        key: &str,
        id: &MessageId,
        window: Duration,
    ) -> Result<Reserved, LedgerError> {
        let mut pages = self.lock();
        if let Some(other) = pages.uniques.get(key).and_then(Kept::get) {
            return Ok(match other == id {
                true => Reserved::Mine,
                false => Reserved::Taken(other.clone()),
            });
        }
        pages.sweep_now_and_then();
        pages
            .uniques
            .insert(key.to_owned(), Kept::for_long(id.clone(), window));
        Ok(Reserved::Mine)
    }

    async fn replace(
        &self,
        key: &str,
        id: &MessageId,
        window: Duration,
    ) -> Result<Option<MessageId>, LedgerError> {
        let mut pages = self.lock();
        let before = pages
            .uniques
            .insert(key.to_owned(), Kept::for_long(id.clone(), window));
        Ok(before.and_then(|kept| kept.get().cloned()))
    }

    async fn holder(&self, key: &str) -> Result<Option<MessageId>, LedgerError> {
        Ok(self.lock().uniques.get(key).and_then(Kept::get).cloned())
    }

    async fn give_up(&self, key: &str, id: &MessageId) -> Result<(), LedgerError> {
        let mut pages = self.lock();
        if pages.uniques.get(key).is_some_and(|kept| kept.value == *id) {
            pages.uniques.remove(key);
        }
        Ok(())
    }
}

#[async_trait]
impl Limits for MemoryLedger {
    async fn enter(
        &self,
        gates: &[Gate],
        token: &str,
        lease: Duration,
    ) -> Result<Entry, LedgerError> {
        let mut pages = self.lock();
        let closed = gates
            .iter()
            .enumerate()
            .filter_map(|(number, gate)| Some((pages.closed_for(gate, token)?, number)))
            .max();
        if let Some((after, gate)) = closed {
            return Ok(Entry::Wait { after, gate });
        }
        gates.iter().for_each(|gate| pages.pass(gate, token, lease));
        Ok(Entry::Passed)
    }

    async fn stay(&self, places: &[(Gate, String)], lease: Duration) -> Result<(), LedgerError> {
        let mut pages = self.lock();
        let at_once = |gate: &Gate| matches!(gate.kind, GateKind::AtOnce(_));
        for (gate, token) in places.iter().filter(|(gate, _)| at_once(gate)) {
            pages.pass(gate, token, lease);
        }
        Ok(())
    }

    async fn leave(&self, gates: &[Gate], token: &str) -> Result<(), LedgerError> {
        {
            let mut pages = self.lock();
            for gate in gates {
                if let Some(places) = pages.places.get_mut(&gate.name) {
                    places.remove(token);
                    if places.is_empty() {
                        pages.places.remove(&gate.name);
                    }
                }
            }
        }
        self.tell();
        Ok(())
    }
}

#[async_trait]
impl Rooms for MemoryLedger {
    async fn fill_rooms(&self, _queue: Queue, rooms: &BTreeSet<Room>) -> Result<(), LedgerError> {
        let mut pages = self.lock();
        for room in rooms {
            pages
                .rooms
                .insert(*room, Kept::for_long((), ROOM_REMEMBERED));
        }
        Ok(())
    }

    async fn empty_room(&self, room: Room) -> Result<(), LedgerError> {
        self.lock().rooms.remove(&room);
        Ok(())
    }

    async fn rooms(&self, queue: Queue) -> Result<BTreeSet<Room>, LedgerError> {
        let mut pages = self.lock();
        pages.rooms.retain(|_, kept| kept.get().is_some());
        let rooms = pages.rooms.keys().copied();
        Ok(rooms.filter(|room| room.queue() == queue).collect())
    }
}

#[async_trait]
impl Registry for MemoryLedger {
    async fn report(&self, report: &WorkerReport, ttl: Duration) -> Result<(), LedgerError> {
        let key = (report.queue.clone(), report.worker.clone());
        self.lock()
            .workers
            .insert(key, Kept::for_long(report.clone(), ttl));
        Ok(())
    }

    async fn sign_off(&self, worker: &str) -> Result<(), LedgerError> {
        self.lock().workers.retain(|(_, name), _| name != worker);
        Ok(())
    }

    async fn workers(&self) -> Result<Vec<WorkerReport>, LedgerError> {
        let pages = self.lock();
        Ok(pages
            .workers
            .values()
            .filter_map(Kept::get)
            .cloned()
            .collect())
    }

    async fn set_paused(&self, queue: &str, paused: bool) -> Result<(), LedgerError> {
        {
            let mut pages = self.lock();
            match paused {
                true => pages.paused.insert(queue.to_owned()),
                false => pages.paused.remove(queue),
            };
        }
        self.tell();
        Ok(())
    }

    async fn paused(&self) -> Result<BTreeSet<String>, LedgerError> {
        Ok(self.lock().paused.clone())
    }

    async fn set_progress(
        &self,
        progress: &[(MessageId, Progress, Duration)],
    ) -> Result<(), LedgerError> {
        let mut pages = self.lock();
        for (id, progress, ttl) in progress {
            pages.sweep_now_and_then();
            pages
                .progress
                .insert(id.clone(), Kept::for_long(progress.clone(), *ttl));
        }
        Ok(())
    }

    async fn progress(&self, id: &MessageId) -> Result<Option<Progress>, LedgerError> {
        Ok(self.lock().progress.get(id).and_then(Kept::get).cloned())
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryLedger")
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::ledger::conformance::exercise;

    #[tokio::test(start_paused = true)]
    async fn keeps_every_promise_of_a_ledger() {
        exercise(&MemoryLedger::default()).await;
    }
}
