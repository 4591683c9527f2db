//! The life of one lead: what is known is read, then ticks are fired as they come due and settled under the number of the lead, until
//! somebody else leads, a server is away, or the process ends. A tick is fired before it is settled: between the two, its stub stands
//! for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::fire::{BatonLost, Fired};
use super::planner::{Due, Known, Planner};
use super::scheduler::{LEASE, Scheduler};
use super::written::WrittenEntry;
use crate::broker::{Baton, BrokerError, PublishError};
use crate::ledger::{LedgerError, Written};
use crate::queue::Queue;

/// How often a leader renews its lease, and hears of entries that were added or paused.
const BEAT: Duration = Duration::from_millis(500);
/// The most ticks that are fired before they are settled.
const MOST_IN_BATCH: usize = 1000;
/// A clock that differs by so much from the time that has passed was set.
const SET: i64 = 2000;

/// Why a lead ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("another scheduler leads")]
    Deposed,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(
        "the baton was lost while messages were in flight: their stubs will tell which arrived"
    )]
    Lost(#[source] PublishError),
}

impl From<BatonLost> for Ended {
    fn from(BatonLost(error): BatonLost) -> Self {
        Self::Lost(error)
    }
}

/// One lead.
pub(super) struct Lead<'a> {
    scheduler: &'a Scheduler,
    baton: &'a dyn Baton,
    number: u64,
    planner: Planner,
    /// Messages that have arrived, and whose ticks are not settled.
    arrived: HashSet<String>,
    /// Queues that are there.
    declared: BTreeSet<Queue>,
    /// The added entries as they are written, by id.
    added: BTreeMap<String, String>,
    version: u64,
}

impl<'a> Lead<'a> {
    /// Takes the lead and reads what is known.
    pub(super) async fn begin(
        scheduler: &'a Scheduler,
        baton: &'a dyn Baton,
    ) -> Result<Self, Ended> {
        let number = scheduler.book.take_lead(&scheduler.who, LEASE).await?;
        let mut lead = Self {
            scheduler,
            baton,
            number,
            planner: Planner::new(),
            arrived: baton.stubs().await?,
            declared: BTreeSet::new(),
            added: BTreeMap::new(),
            version: 0,
        };
        lead.read().await?;
        Ok(lead)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    async fn read(&mut self) -> Result<(), Ended> {
        let (book, now) = (&self.scheduler.book, self.scheduler.clock.now());
        let known = book.settled_ticks().await?;
        let mut begun = Vec::new();
        for entry in &self.scheduler.entries {
            let id = entry.id().to_owned();
            let known = known.get(&id).copied();
            begun.extend(
                self.planner
                    .put(entry.clone(), known, now)
                    .map(|it| (id, it)),
            );
        }
        let own = &self.scheduler.entries;
        let posted = own
            .iter()
            .map(|it| (it.id.clone(), WrittenEntry::from(it).json()));
        book.post_timetable(&posted.collect::<Vec<_>>()).await?;
        self.settle(begun).await?;
        self.hear(book.written().await?, &known).await
    }

    /// Adds, replaces and removes entries as it is written.
    async fn hear(
        &mut self,
        written: Written,
        known: &BTreeMap<String, Known>,
    ) -> Result<(), Ended> {
        let now = self.scheduler.clock.now();
        let gone: Vec<String> = self.added.keys().cloned().collect();
        for id in gone.iter().filter(|id| !written.added.contains_key(*id)) {
            self.planner.remove(id);
            self.added.remove(id);
        }
        let mut begun = Vec::new();
        for (id, json) in &written.added {
            if self.added.get(id) == Some(json) {
                continue;
            }
            let before = self.planner.get(id).map(|(entry, last)| Known {
                last,
                of: entry.when.fingerprint(),
            });
            self.added.insert(id.clone(), json.clone());
            match self.scheduler.added_entry(id, json) {
                Ok(entry) => {
                    let known = before.or(known.get(id).copied());
                    let new = self.planner.put(entry, known, now);
                    begun.extend(new.map(|it| (id.clone(), it)));
                }
                Err(error) => {
                    self.planner.remove(id);
                    tracing::error!(%error, "an added entry is left out: remove it, or add it anew");
                }
            }
        }
        let ids: Vec<String> = self.planner.ids().map(str::to_owned).collect();
        for id in ids {
            self.planner.pause(&id, written.paused.contains(&id));
        }
        self.version = written.version;
        self.settle(begun).await
    }

    /// Fires until `shutdown`.
    pub(super) async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), Ended> {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::start(self.scheduler);
        loop {
            self.fire_what_is_due(shutdown).await?;
            self.note();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = sleep_until(self.next()) => {}
                () = self.scheduler.wake.notified() => {}
                _ = beats.tick() => {
                    watch.look(self.scheduler);
                    self.beat().await?;
                }
            }
        }
    }

    /// When to look again, if nothing else happens before.
    fn next(&self) -> Instant {
        let wait = self
            .planner
            .next()
            .map(|at| at - self.scheduler.clock.now());
        // A beat comes before, and finds out whether the clock was set meanwhile.
        let wait = wait.and_then(|wait| u64::try_from(wait).ok().or(Some(0)));
        Instant::now() + wait.map_or(BEAT * 2, Duration::from_millis).min(BEAT * 2)
    }

    async fn beat(&mut self) -> Result<(), Ended> {
        let Scheduler { book, who, .. } = self.scheduler;
        if !self.baton.is_held() {
            return Err(Ended::Lost(PublishError::Disconnected(
                "the connection of the baton is gone".into(),
            )));
        }
        let version = book.keep_lead(who, self.number, LEASE).await?;
        if version.ok_or(Ended::Deposed)? != self.version {
            let written = book.written().await?;
            self.hear(written, &BTreeMap::new()).await?;
        }
        Ok(())
    }

    async fn fire_what_is_due(&mut self, shutdown: &CancellationToken) -> Result<(), Ended> {
        while !shutdown.is_cancelled() {
            let due = self
                .planner
                .plan_some(self.scheduler.clock.now(), MOST_IN_BATCH);
            if due.is_empty() {
                break;
            }
            self.fire(due).await?;
        }
        Ok(())
    }

    async fn fire(&mut self, due: Vec<Due>) -> Result<(), Ended> {
        let firing = due.iter().filter(|due| !due.fire.is_empty());
        let queues: BTreeSet<Queue> = firing.map(|due| due.entry.queue).collect();
        for queue in &queues {
            if self.declared.insert(*queue) {
                self.scheduler.broker.declare(*queue).await?;
            }
        }
        let gun = &self.scheduler.gun;
        let fired = gun.fire(self.baton, due, &mut self.arrived).await?;
        let missing = match queues.is_empty() {
            true => BTreeSet::new(),
            false => self.baton.missing(&queues).await?,
        };
        self.conclude(fired, &missing).await?;
        if !missing.is_empty() {
            // What went there went nowhere: it is declared, and fired again.
            tracing::warn!(?missing, "queues were gone: declaring them again");
            self.declared.retain(|queue| !missing.contains(queue));
        }
        if self.arrived.is_empty() && !queues.is_empty() {
            self.baton.forget_stubs().await?;
        }
        Ok(())
    }

    async fn conclude(
        &mut self,
        fired: Vec<Fired>,
        missing: &BTreeSet<Queue>,
    ) -> Result<(), Ended> {
        let now = self.scheduler.clock.now();
        let (mut done, mut settled) = (Vec::new(), Vec::new());
        for fired in fired {
            match fired {
                Fired::Settled(due) if missing.contains(&due.entry.queue) => self.forget(&due),
                Fired::Settled(due) => {
                    let of = due.entry.when.fingerprint();
                    let last = due.last;
                    settled.push((due.entry.id.clone(), Known { last, of }));
                    done.push(due);
                }
                Fired::Waits(due) => self.planner.waits(due.entry.id(), now),
                Fired::Refused(due) => self.planner.refused(due.entry.id(), now),
            }
        }
        self.settle(settled).await?;
        for due in done {
            self.planner.settled(due.entry.id(), due.last);
            self.forget(&due);
            self.tell(&due);
            self.remove_if_over(&due).await?;
        }
        Ok(())
    }

    fn forget(&mut self, due: &Due) {
        for tick in &due.fire {
            self.arrived.remove(due.entry.message_id(*tick).as_str());
        }
    }

    fn tell(&self, due: &Due) {
        let (metrics, task) = (&self.scheduler.gun.metrics, due.entry.task());
        metrics.missed(task, due.missed as u64);
        metrics.overlapped(task, due.overlapped as u64);
        if due.missed > 0 {
            let (entry, missed, policy) = (due.entry.id(), due.missed, due.entry.missed);
            tracing::warn!(entry, missed, %policy, "ticks were missed, and are let go");
        }
    }

    /// An added entry that comes once is over.
    async fn remove_if_over(&mut self, due: &Due) -> Result<(), Ended> {
        let id = due.entry.id();
        if due.entry.when.is_once() && self.added.contains_key(id) {
            self.scheduler.book.remove_entry(id).await?;
        }
        Ok(())
    }

    async fn settle(&self, settled: Vec<(String, Known)>) -> Result<(), Ended> {
        if settled.is_empty() {
            return Ok(());
        }
        let book = &self.scheduler.book;
        match book.settle_ticks(self.number, &settled).await? {
            true => Ok(()),
            false => Err(Ended::Deposed),
        }
    }

    fn note(&self) {
        let (next, entries) = (self.planner.next(), self.planner.ids().count());
        self.scheduler.note_lead(self.number, next, entries);
    }
}

/// Whether the clock on the wall goes as fast as time does.
struct Watch {
    wall: i64,
    time: Instant,
}

impl Watch {
    fn start(scheduler: &Scheduler) -> Self {
        Self {
            wall: scheduler.clock.now(),
            time: Instant::now(),
        }
    }

    fn look(&mut self, scheduler: &Scheduler) {
        let before = std::mem::replace(self, Self::start(scheduler));
        let passed = i64::try_from(before.time.elapsed().as_millis()).unwrap_or(i64::MAX);
        let set = self.wall - before.wall - passed;
        if set.abs() >= SET {
            tracing::warn!(
                seconds = set / 1000,
                "the clock was set: nothing is fired twice, and what it jumped over counts as missed"
            );
        }
    }
}
