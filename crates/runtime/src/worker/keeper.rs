//! What goes on beside the attempts: renews their claims, tells who is alive and what it runs, hears of cancels and pauses,
//! writes progress down, takes from waiting rooms, and holds the watchdog. It goes on while the worker drains, and ends with it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::census;
use super::engine::{self, Engine};
use super::heard::is_meant;
use super::over_limit;
use super::watchdog::Watchdog;
use crate::ledger::{Cancel, Gate, LedgerError, Run, WorkerReport};
use crate::message::unix_seconds;

/// How often the slots of stuck attempts are given away.
const GIVE_EVERY: Duration = Duration::from_secs(1);
/// The least time between two writes of progress: what is said in between is never written.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// The most attempts that a report names.
const MOST_NAMED: usize = 50;
/// A cancel may be heard late by as much, because clocks differ: it is asked for again.
const OVERLAP: u64 = 10_000;
/// How many beats pass between two looks at all cancels there are.
const LOOK_AT_ALL_EVERY: u64 = 20;
/// How long the first look at the ledger may take; a worker starts without one, too.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// How long signing off may take.
const SIGN_OFF: Duration = Duration::from_secs(1);

/// The tasks beside the attempts. Dropped, they end.
pub(super) struct Keeper {
    tasks: JoinSet<()>,
    _watchdog: Watchdog,
}

/// Starts them, after a first look at what is cancelled and paused.
pub(super) async fn start(engine: &Arc<Engine>) -> Keeper {
    let mut beat = Beat::new(Arc::clone(engine));
    if let Ok(Err(error)) = timeout(FIRST_LOOK, beat.look()).await {
        tracing::warn!(%error, "cancels and pauses are not known yet");
    }
    over_limit::suspect_rooms(engine);
    let mut tasks = JoinSet::new();
    tasks.spawn(beat.run());
    tasks.spawn(give_slots_away(Arc::clone(engine)));
    tasks.spawn(write_progress(Arc::clone(engine)));
    tasks.spawn(census::keep_counting(Arc::clone(engine)));
    tasks.spawn(over_limit::fetch(Arc::clone(engine)));
    let watchdog = Watchdog::start(engine);
    Keeper {
        tasks,
        _watchdog: watchdog,
    }
}

impl Keeper {
    /// Ends them and signs the worker off.
    pub(super) async fn stop(mut self, engine: &Engine) {
        self.tasks.shutdown().await;
        // Its report runs out if nobody hears of this.
        let _ = timeout(SIGN_OFF, engine.ledger.sign_off(&engine.name)).await;
    }
}

/// What is done every third of a lease.
struct Beat {
    engine: Arc<Engine>,
    started_at: f64,
    number: u64,
    /// The time of the latest cancel heard of, in milliseconds since 1970.
    heard_until: u64,
    settled_before: u64,
    per_minute: f64,
}

impl Beat {
    fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            started_at: unix_seconds(),
            number: 0,
            heard_until: 0,
            settled_before: 0,
            per_minute: 0.0,
        }
    }

    async fn run(mut self) {
        let mut news = self.engine.ledger.listen();
        let mut beats = interval(self.engine.lease / 3);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                biased;
                _ = beats.tick() => self.beat().await,
                () = news.heard() => self.look().await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "the ledger is not up to date");
            }
        }
    }

    async fn beat(&mut self) -> Result<(), LedgerError> {
        self.renew().await?;
        self.engine.owed.settle(&*self.engine.ledger).await;
        let report = self.report();
        self.engine
            .ledger
            .report(&report, self.engine.lease)
            .await?;
        self.number += 1;
        self.compare_rooms().await?;
        self.look().await
    }

    /// Which rooms hold something: says what this worker knows, and hears what the others do.
    async fn compare_rooms(&self) -> Result<(), LedgerError> {
        let engine = &self.engine;
        let filled = engine.rooms.filled();
        engine.ledger.fill_rooms(engine.queue, &filled).await?;
        engine
            .rooms
            .learn(&engine.ledger.rooms(engine.queue).await?);
        Ok(())
    }

    /// Renews what is held; a run that was not worth a claim when it began gets one now.
    async fn renew(&self) -> Result<(), LedgerError> {
        let engine = &self.engine;
        let all = engine.running.all();
        let old = |age: Duration| age >= engine.lease / 3;
        let lasting = all
            .iter()
            .filter(|underway| !underway.is_waiting())
            .filter(|underway| underway.is_claimed() || old(underway.age()));
        let runs: Vec<Run> = lasting
            .map(|underway| {
                underway.note_claimed();
                underway.run.clone()
            })
            .collect();
        engine.ledger.renew(&runs, engine.lease).await?;
        let places: Vec<(Gate, String)> = all
            .iter()
            .flat_map(|underway| {
                let token = &underway.run.token;
                underway
                    .gates
                    .iter()
                    .map(move |gate| (gate.clone(), token.clone()))
            })
            .collect();
        engine.ledger.stay(&places, engine.lease).await
    }

    /// Hears of cancels and pauses, and lets those over a limit try again.
    async fn look(&mut self) -> Result<(), LedgerError> {
        let engine = &self.engine;
        let all = self.number.is_multiple_of(LOOK_AT_ALL_EVERY) || self.heard_until == 0;
        let since = if all {
            0
        } else {
            self.heard_until.saturating_sub(OVERLAP)
        };
        let cancels = engine.ledger.cancels(since).await?;
        self.heard_until = cancels
            .iter()
            .map(|cancel| cancel.at)
            .fold(self.heard_until, u64::max);
        let new = match all {
            true => engine.heard.replace(cancels),
            false => engine.heard.add(cancels),
        };
        new.iter().for_each(|cancel| call_off(engine, cancel));
        let paused = engine.ledger.paused().await?;
        engine
            .heard
            .set_paused(paused.contains(engine.queue.name()));
        engine.parking.try_again();
        Ok(())
    }

    fn report(&mut self) -> WorkerReport {
        let engine = &self.engine;
        let (settled, failed) = engine.counts.so_far();
        let seconds = (engine.lease / 3).as_secs_f64();
        let now = (settled - self.settled_before) as f64 * 60.0 / seconds;
        // Half of it is gone after about twenty seconds.
        self.per_minute += (now - self.per_minute) * (seconds / 30.0).min(1.0);
        self.settled_before = settled;
        WorkerReport {
            worker: engine.name.clone(),
            queue: engine.queue.name().to_owned(),
            host: engine::host(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            seen_at: unix_seconds(),
            slots: engine.slot_count.into(),
            in_use: engine.in_use.load(Ordering::Relaxed),
            state: state(engine).to_owned(),
            settled,
            failed,
            per_minute: self.per_minute,
            running: engine.running.busy(MOST_NAMED),
        }
    }
}

fn state(engine: &Engine) -> &'static str {
    if engine.draining.load(Ordering::Acquire) {
        "draining"
    } else if engine.heard.is_paused() {
        "paused"
    } else {
        "running"
    }
}

fn call_off(engine: &Engine, cancel: &Cancel) {
    engine
        .running
        .cancel(&cancel.id, |run| is_meant(cancel.at, &run.kick));
}

/// Gives the slots of stuck attempts to others.
async fn give_slots_away(engine: Arc<Engine>) {
    let mut looks = interval(GIVE_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        for underway in engine.running.all() {
            if underway.is_stuck() {
                let slots = underway.take_slots();
                engine.slots.add_permits(slots as usize);
                engine.in_use.fetch_sub(slots, Ordering::Relaxed);
            }
        }
    }
}

/// Writes down what tasks say of their progress, all of them at once and not too often.
async fn write_progress(engine: Arc<Engine>) {
    loop {
        engine.progress.notified().await;
        let said = engine.running.said();
        if said.is_empty() {
            continue;
        }
        if let Err(error) = engine.ledger.set_progress(&said).await {
            tracing::debug!(%error, "progress was not written");
        }
        sleep(PROGRESS_EVERY).await;
    }
}
