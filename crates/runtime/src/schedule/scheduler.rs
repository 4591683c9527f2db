//! A scheduler: one of any number. It stands by until it gets the broker's baton, then leads until that ends, and stands by again. It
//! ends only when it is told to: a server that is away is waited for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sapari_telemetry::ScheduleMetrics;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::entry::{BadEntry, Entry, Overlap};
use super::fire::Gun;
use super::lead::{Ended, Lead};
use super::standby::{SILENT, Standby};
use super::timetable::Timetable;
use super::written::{FindQueue, WrittenEntry};
use crate::broker::{Baton, Broker};
use crate::client::Tasks;
use crate::ledger::Schedules;
use crate::result::Results;
use crate::upkeep;
use crate::vitals::{SchedulerState, Stand, Vitals};
use crate::worker::name_of_process;

/// How long a leader that says nothing still counts as one, for those who ask. Who fires is the baton's to say.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// How often one that stands by looks whether somebody leads.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often the leader counts stuck runs.
const COUNT_EVERY: Duration = Duration::from_secs(30);

/// What is said of entries that ask for what cannot be known.
const NOT_KNOWN: &str = "without Redis nobody knows whether an earlier run goes on: these entries are fired although one may";

/// A scheduler that has not started.
pub struct Scheduler {
    pub(super) who: String,
    pub(super) entries: Vec<Entry>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) book: Arc<dyn Schedules>,
    pub(super) gun: Gun,
    pub(super) clock: Clock,
    pub(super) wake: Arc<Notify>,
    find: FindQueue,
    vitals: Vitals,
    /// Nobody can say whether an earlier run goes on.
    blind: bool,
}

impl Scheduler {
    /// A scheduler of a timetable, and of the entries that are added at run time to one of the queues that `find` knows.
    ///
    /// # Errors
    /// [`BadEntry`]: an entry of the timetable that cannot be meant.
    pub fn new(
        timetable: Timetable,
        find: FindQueue,
        broker: Arc<dyn Broker>,
        results: Arc<dyn Results>,
    ) -> Result<Self, BadEntry> {
        let clock = Clock::system();
        let book: Arc<dyn Schedules> = results.ledger();
        let gun = Gun {
            tasks: Tasks::new(Arc::clone(&broker), results),
            clock: clock.clone(),
            metrics: ScheduleMetrics::new(),
        };
        Ok(Self {
            who: name_of_process("scheduler"),
            entries: timetable.entries()?,
            broker,
            book,
            gun,
            clock,
            wake: Arc::default(),
            find,
            vitals: Vitals::new(),
            blind: false,
        })
    }

    /// Keeps what it must remember there, instead of beside the results.
    #[must_use]
    pub fn book(mut self, book: Arc<dyn Schedules>) -> Self {
        self.book = book;
        self
    }

    /// Has no ledger that it shares with workers, so that nobody can say whether an earlier run of an entry goes on: every entry
    /// is fired as if its overlap were [`Overlap::Allow`]. Says so, once for the timetable, and for an added entry when it is read.
    #[must_use]
    pub fn without_ledger(mut self) -> Self {
        self.blind = true;
        let entries = std::mem::take(&mut self.entries);
        let mut asked = Vec::new();
        for entry in entries {
            if entry.overlap != Overlap::Allow {
                asked.push(entry.id.clone());
            }
            self.entries.push(entry.overlap(Overlap::Allow));
        }
        if !asked.is_empty() {
            let entries = asked.join(", ");
            tracing::warn!(entries, "{NOT_KNOWN}");
        }
        self
    }

    /// Goes by another clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.gun.clock = clock.clone();
        self.clock = clock;
        self
    }

    /// Notes how it is there.
    #[must_use]
    pub fn vitals(mut self, vitals: Vitals) -> Self {
        self.vitals = vitals;
        self
    }

    /// What wakes it, to look at the clock. It wakes by itself when a tick is due; a wake-up too many does no harm.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut baton = self.broker.baton();
        let mut standby = Standby::default();
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                _ = looks.tick() => {}
            }
            let taken = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                taken = self.try_to_lead(&mut *baton, &mut standby) => taken,
            };
            match taken {
                Ok(true) => self.lead(&mut *baton, &shutdown).await,
                Ok(false) => self.stand(self.by()),
                Err(ended) => self.stand(Stand::Away(ended.to_string())),
            }
        }
        baton.let_go().await;
    }

    /// Whether it got the baton. Without the book it could not lead, and does not try.
    async fn try_to_lead(
        &self,
        baton: &mut dyn Baton,
        standby: &mut Standby,
    ) -> Result<bool, Ended> {
        let leader = self.book.leader().await?;
        if !standby.tries(leader.as_ref(), &self.who, Instant::now()) {
            return Ok(false);
        }
        let taken = baton.take().await?;
        match taken {
            true => *standby = Standby::default(),
            false => standby.was_refused(Instant::now()),
        }
        Ok(taken)
    }

    /// It would take over, if it can.
    fn by(&self) -> Stand {
        match self.broker.connections().up {
            true => Stand::By,
            false => Stand::Away("a connection to the broker is down".to_owned()),
        }
    }

    async fn lead(&self, baton: &mut dyn Baton, shutdown: &CancellationToken) {
        let ended = tokio::select! {
            ended = self.one_lead(&*baton, shutdown) => ended,
            silent = self.silence_of_the_book() => Err(silent),
            never = self.watch_runs() => match never {},
        };
        // Said first: to let go of the baton of a broker that is away, too, takes a while.
        match &ended {
            Ok(_) => {}
            Err(Ended::Deposed) => self.stand(Stand::By),
            Err(error) => self.stand(Stand::Away(error.to_string())),
        }
        // Whoever sees that nobody leads shall find the baton free.
        baton.let_go().await;
        if let Ok(number) = ended {
            // Without it, the lease ends it.
            let _ = self.book.give_up_lead(number).await;
        }
    }

    /// Leads until `shutdown`, or until there is something to begin anew for, and gives the number of the lead.
    async fn one_lead(
        &self,
        baton: &dyn Baton,
        shutdown: &CancellationToken,
    ) -> Result<u64, Ended> {
        let mut lead = Lead::begin(self, baton).await?;
        tracing::info!(lead = lead.number(), "this scheduler leads");
        lead.run(shutdown).await?;
        Ok(lead.number())
    }

    /// Resolves when the book does not answer: the lead cannot be renewed, and another one that has the book shall have the baton. Asked
    /// apart, because one answer that the lead waits for takes longer than others wait for a leader.
    async fn silence_of_the_book(&self) -> Ended {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            match timeout(SILENT, self.book.leader()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => return Ended::Silent,
            }
        }
    }

    /// Counts stuck runs while it leads: one tells for all, and it lives where no worker may.
    async fn watch_runs(&self) -> Infallible {
        let ledger = self.gun.tasks.ledger();
        let mut looks = interval(COUNT_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if self.blind {
                continue;
            }
            match upkeep::stuck_runs(&*ledger, upkeep::TAKEN_UP_WITHIN).await {
                Ok(stuck) => self.vitals.stuck_runs(Some(stuck.len())),
                // What is not known any more is not told.
                Err(_) => self.vitals.stuck_runs(None),
            }
        }
    }

    pub(super) fn added_entry(&self, id: &str, json: &str) -> Result<Entry, BadEntry> {
        if self.is_own(id) {
            let why =
                "the timetable has an entry of this id, which stays as it is: remove the added one";
            let (id, why) = (id.to_owned(), why.to_owned());
            return Err(BadEntry::Written { id, why });
        }
        let entry = WrittenEntry::read(id, json)?.entry(id, self.find)?;
        if !self.blind || entry.overlap == Overlap::Allow {
            return Ok(entry);
        }
        tracing::warn!(entries = id, "{NOT_KNOWN}");
        Ok(entry.overlap(Overlap::Allow))
    }

    /// Whether the timetable has an entry of this id.
    pub(super) fn is_own(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| entry.id() == id)
    }

    pub(super) fn note_lead(&self, number: u64, next: Option<i64>, entries: usize) {
        self.vitals.schedules(SchedulerState {
            stand: Stand::Leads(number),
            next,
            entries,
            stuck_runs: None,
        });
    }

    /// Says it once, where it changes.
    fn stand(&self, stand: Stand) {
        let before = self.vitals.look().scheduler.unwrap_or_default();
        if before.stand != stand {
            match &stand {
                Stand::Away(why) => tracing::warn!(why, "this scheduler cannot lead: trying again"),
                _ => tracing::info!("this scheduler stands by"),
            }
        }
        self.vitals.schedules(SchedulerState { stand, ..before });
    }
}
