//! The life of one lead: what is known is read, then ticks are fired as they come due and settled under the number of the lead, until
//! somebody else leads, a server is away, or the process ends. A tick is fired before it is settled: between the two, its stub stands
//! for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::entry::entry_and_tick;
use super::fire::{Fired, Misfire};
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
    #[error("what is settled cannot be written down: the result store does not answer")]
    Silent,
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(
        "the baton was lost while messages were in flight: their stubs will tell which arrived"
    )]
    Lost(#[source] PublishError),
}

impl From<Misfire> for Ended {
    fn from(misfire: Misfire) -> Self {
        match misfire {
            Misfire::BatonLost(error) => Self::Lost(error),
            Misfire::Ledger(error) => Self::Ledger(error),
        }
    }
}

/// One lead.
pub(super) struct Lead<'a> {
    scheduler: &'a Scheduler,
    baton: &'a dyn Baton,
    number: u64,
    planner: Planner,
    /// Queues that are there.
    declared: BTreeSet<Queue>,
    /// Queues that entries fire into, as long as nobody has looked whether they are there.
    wanted: BTreeSet<Queue>,
    /// Queues that the broker refuses to make.
    refused: BTreeSet<Queue>,
    /// The added entries as they are written, by id.
    added: BTreeMap<String, String>,
    version: u64,
    /// How many entries are settled up to a time ahead of the clock.
    ahead: usize,
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
            declared: BTreeSet::new(),
            wanted: BTreeSet::new(),
            refused: BTreeSet::new(),
            added: BTreeMap::new(),
            version: 0,
            ahead: 0,
        };
        lead.read().await?;
        lead.read_stubs().await?;
        Ok(lead)
    }

    /// What arrived under an earlier lead, and was not settled. All other stubs tell nothing, and are forgotten.
    async fn read_stubs(&mut self) -> Result<(), Ended> {
        let stubs = self.baton.stubs().await?;
        for stub in &stubs {
            if let Some((entry, tick)) = entry_and_tick(stub) {
                self.planner.arrived(entry, tick);
            }
        }
        if !stubs.is_empty() {
            self.forget_stubs().await?;
        }
        Ok(())
    }

    /// Unless there are some that still stand for a tick.
    async fn forget_stubs(&self) -> Result<(), Ended> {
        if !self.planner.has_arrived() {
            self.baton.forget_stubs().await?;
        }
        Ok(())
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
            self.added.remove(id);
            self.leave_out(id);
        }
        let mut begun = Vec::new();
        for (id, json) in &written.added {
            if self.added.get(id) == Some(json) {
                continue;
            }
            let before = self.planner.get(id).map(|(entry, last)| Known {
                last,
                of: entry.when.fingerprint(),
                waits: false,
            });
            self.added.insert(id.clone(), json.clone());
            match self.scheduler.added_entry(id, json) {
                Ok(entry) => {
                    let known = before.or(known.get(id).copied());
                    let new = self.planner.put(entry, known, now);
                    begun.extend(new.map(|it| (id.clone(), it)));
                }
                Err(error) => {
                    self.leave_out(id);
                    tracing::error!(%error, "an added entry is left out: remove it, or add it anew");
                }
            }
        }
        let ids: Vec<String> = self.planner.ids().map(str::to_owned).collect();
        for id in ids {
            self.planner.pause(&id, written.paused.contains(&id));
        }
        self.version = written.version;
        self.settle(begun).await?;
        self.wanted = self.planner.queues();
        self.clear_away().await
    }

    /// An added entry is none, or none any more. One of the timetable's that has its id stays.
    fn leave_out(&mut self, id: &str) {
        if !self.scheduler.is_own(id) {
            self.planner.remove(id);
        }
    }

    /// Added entries that came once, and whose leader died before it took them away; or whose time had passed when they were added.
    async fn clear_away(&mut self) -> Result<(), Ended> {
        let over = self.added.keys().filter(|id| self.planner.is_over(id));
        for id in over.cloned().collect::<Vec<_>>() {
            self.take_away(&id).await?;
        }
        Ok(())
    }

    async fn take_away(&mut self, id: &str) -> Result<(), Ended> {
        if let Some(written) = self.added.get(id).filter(|_| !self.scheduler.is_own(id)) {
            self.scheduler.book.remove_entry_as(id, written).await?;
            tracing::info!(entry = id, "an entry that comes once is over");
        }
        Ok(())
    }

    /// Fires until `shutdown`.
    pub(super) async fn run(&mut self, shutdown: &CancellationToken) -> Result<(), Ended> {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::start(self.scheduler);
        loop {
            self.fire_some().await?;
            self.note();
            // Beats come before what is due: with more of that than can be fired, nobody would hear of a pause, and the lease would end.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                _ = beats.tick() => {
                    if watch.saw_it_set(self.scheduler) {
                        // What waits by the old time is read anew.
                        return Ok(());
                    }
                    self.beat().await?;
                }
                () = sleep_until(self.next()) => {}
                () = self.scheduler.wake.notified() => {}
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
        self.look_ahead();
        let version = book.keep_lead(who, self.number, LEASE).await?;
        if version.ok_or(Ended::Deposed)? != self.version {
            let written = book.written().await?;
            self.hear(written, &BTreeMap::new()).await?;
        }
        self.declare_ahead().await
    }

    /// Makes one of the queues before it is needed, unless something is due soon. To make one takes as long as firing hundreds of ticks,
    /// and those that are due with the first of a queue would wait for it.
    async fn declare_ahead(&mut self) -> Result<(), Ended> {
        self.wanted.retain(|queue| !self.declared.contains(queue));
        if self.next() < Instant::now() + BEAT / 2 {
            return Ok(());
        }
        match self.wanted.pop_first() {
            Some(queue) => self.declare(queue).await.map(drop),
            None => Ok(()),
        }
    }

    /// Somebody must hear why nothing is fired after a clock was wrong. A day's worth and more is not waited for.
    fn look_ahead(&mut self) {
        let ahead = self.planner.ahead(self.scheduler.clock.now());
        if ahead > self.ahead {
            tracing::warn!(
                entries = ahead,
                "entries were fired up to a time ahead of the clock, and wait for it: is the clock right?"
            );
        }
        self.ahead = ahead;
    }

    /// Fires what is due, or a part of it that takes no long time.
    async fn fire_some(&mut self) -> Result<(), Ended> {
        let now = self.scheduler.clock.now();
        let due = self.planner.plan_some(now, MOST_IN_BATCH);
        if due.is_empty() {
            return Ok(());
        }
        let due = self.with_queues(due).await?;
        let firing = due.iter().filter(|due| !due.fire.is_empty());
        let queues: BTreeSet<Queue> = firing.map(|due| due.entry.queue).collect();
        let fired = self.scheduler.gun.fire(self.baton, due).await?;
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
        if !queues.is_empty() {
            self.forget_stubs().await?;
        }
        Ok(())
    }

    /// Declares the queues that are needed. What is for one that the broker refuses is looked at later, and stops nothing else.
    async fn with_queues(&mut self, due: Vec<Due>) -> Result<Vec<Due>, Ended> {
        let mut refused = BTreeSet::new();
        let firing = due.iter().filter(|due| !due.fire.is_empty());
        for queue in firing.map(|due| due.entry.queue).collect::<BTreeSet<_>>() {
            if !self.declared.contains(&queue) && !self.declare(queue).await? {
                refused.insert(queue);
            }
        }
        let fits = |due: &Due| due.fire.is_empty() || !refused.contains(&due.entry.queue);
        let (usable, later): (Vec<_>, Vec<_>) = due.into_iter().partition(fits);
        let now = self.scheduler.clock.now();
        for due in later {
            self.planner.refused(due.entry.id(), now);
        }
        Ok(usable)
    }

    /// Whether it is there now.
    async fn declare(&mut self, queue: Queue) -> Result<bool, Ended> {
        match self.scheduler.broker.declare(queue).await {
            Ok(()) => {
                self.declared.insert(queue);
                self.refused.remove(&queue);
                Ok(true)
            }
            Err(error @ (BrokerError::Refused { .. } | BrokerError::BadName { .. })) => {
                if self.refused.insert(queue) {
                    let queue = queue.name();
                    tracing::error!(queue, %error, "entries of a queue are not fired: the broker refuses to make it");
                }
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
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
                Fired::Settled(due) if missing.contains(&due.entry.queue) => {}
                Fired::Settled(due) => {
                    let of = due.entry.when.fingerprint();
                    let last = due.last;
                    let waits = false;
                    settled.push((due.entry.id.clone(), Known { last, of, waits }));
                    done.push(due);
                }
                Fired::Waits(due) => {
                    let id = due.entry.id();
                    settled.extend(self.planner.waits(id, now).map(|it| (id.to_owned(), it)));
                }
                Fired::Refused(due, arrived) => {
                    for tick in arrived {
                        self.planner.arrived(due.entry.id(), tick);
                    }
                    self.planner.refused(due.entry.id(), now);
                }
            }
        }
        self.settle(settled).await?;
        for due in done {
            self.planner.settled(due.entry.id(), due.last);
            self.tell(&due);
            self.remove_if_over(&due).await?;
        }
        Ok(())
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
        match due.entry.when.is_once() {
            true => self.take_away(due.entry.id()).await,
            false => Ok(()),
        }
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
        let (next, entries) = (self.planner.earliest(), self.planner.len());
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

    fn saw_it_set(&mut self, scheduler: &Scheduler) -> bool {
        let before = std::mem::replace(self, Self::start(scheduler));
        let passed = i64::try_from(before.time.elapsed().as_millis()).unwrap_or(i64::MAX);
        let set = self.wall - before.wall - passed;
        if set.abs() >= SET {
            tracing::warn!(
                seconds = set / 1000,
                "the clock was set: nothing is fired twice, and what it jumped over counts as missed"
            );
        }
        set.abs() >= SET
    }
}
