//! From ticks that are due to confirmed messages: whether an earlier run stands against it, the message, its span, the publish with
//! the baton. It writes nothing down: what became of each entry is a value.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt, stream};
use sapari_telemetry::ScheduleMetrics;
use sapari_telemetry::framework::{self, FireSpan};
use tracing::Instrument;

use super::clock::Clock;
use super::entry::{Entry, Overlap};
use super::planner::Due;
use super::when::Tick;
use crate::broker::{Baton, PublishError};
use crate::client::{KickError, Tasks, unix_seconds_after};
use crate::duration::hours;
use crate::handle::AnyHandle;
use crate::ledger::{LedgerError, Reserved, Sighting};
use crate::message::{Labels, Message, MessageId, Route, label, new_kick, unix_seconds};
use crate::outbound::Outbound;

/// How many messages wait for their confirms at once.
const IN_FLIGHT: usize = 512;
/// How long a run that nobody hears of any more stands against the next.
const RUN_FORGOTTEN: Duration = hours(24);
/// What all messages for one tick have as their kick: whoever fires it, it is one.
const KICK: &str = "tick";

/// A kick under way.
type Shot<'a> = Pin<Box<dyn Future<Output = Hit> + Send + 'a>>;

/// A kick that came to its end.
struct Hit {
    /// The place of its entry among those that are fired.
    number: usize,
    tick: Tick,
    kicked: Result<(), KickError>,
}

/// Fires ticks.
pub(super) struct Gun {
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    pub(super) metrics: ScheduleMetrics,
}

/// What became of the ticks of one entry.
pub(super) enum Fired {
    /// All of it is done, up to the tick that the plan said.
    Settled(Due),
    /// An earlier run goes on: later.
    Waits(Due),
    /// Some of it was refused, and may be taken later; the rest has arrived.
    Refused(Due, Vec<Tick>),
}

/// Why firing came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misfire {
    /// The connection went away under it: what arrived is not known, and told by the stubs alone.
    #[error(transparent)]
    BatonLost(PublishError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Gun {
    /// Fires what is due.
    pub(super) async fn fire(
        &self,
        baton: &dyn Baton,
        due: Vec<Due>,
    ) -> Result<Vec<Fired>, Misfire> {
        let admitted = self.admit_all(due).await?;
        let mut wanted: Vec<Shot<'_>> = Vec::new();
        for (number, fired) in admitted.iter().enumerate() {
            if let Fired::Settled(due) = fired {
                let shots = due.fire.iter().map(|tick| (number, *tick));
                wanted.extend(shots.map(|(number, tick)| -> Shot<'_> {
                    Box::pin(self.shoot(baton, &due.entry, tick, number))
                }));
            }
        }
        let hits = stream::iter(wanted).buffer_unordered(IN_FLIGHT);
        let hits: Vec<Hit> = hits.collect().await;
        self.conclude(admitted, hits).await
    }

    async fn conclude(&self, fired: Vec<Fired>, hits: Vec<Hit>) -> Result<Vec<Fired>, Misfire> {
        let mut outcome = Outcome::default();
        let mut arrived: BTreeMap<usize, Vec<Tick>> = BTreeMap::new();
        for Hit {
            number,
            tick,
            kicked,
        } in hits
        {
            match kicked {
                Ok(()) => arrived.entry(number).or_default().push(tick),
                Err(KickError::Publish(
                    error @ (PublishError::Disconnected(_) | PublishError::Timeout(_)),
                )) => outcome.lost = Some(error),
                Err(error) if may_pass(&error) => outcome.refuse(number, error),
                Err(error) => outcome.let_go(number, tick, error),
            }
        }
        outcome.say(&fired);
        self.free_keys(&fired, &outcome.let_go).await?;
        match outcome.lost {
            Some(error) => Err(Misfire::BatonLost(error)),
            None => Ok(apart(fired, &outcome.refused, arrived)),
        }
    }

    /// What was let go runs never: the next tick must not wait for it.
    async fn free_keys(&self, fired: &[Fired], ticks: &[(usize, Tick)]) -> Result<(), LedgerError> {
        for (number, tick) in ticks {
            let Fired::Settled(Due { entry, .. }) = &fired[*number] else {
                continue;
            };
            if entry.overlap != Overlap::Allow {
                let (key, id) = (key_of(entry), entry.message_id(*tick));
                self.tasks.ledger().give_up(&key, &id).await?;
            }
        }
        Ok(())
    }

    /// Whether earlier runs stand against it; those who do not ask are not looked at.
    async fn admit_all(&self, due: Vec<Due>) -> Result<Vec<Fired>, LedgerError> {
        let asks = |due: &Due| {
            due.entry.overlap != Overlap::Allow && (!due.fire.is_empty() || due.missed > 0)
        };
        let (asking, free): (Vec<_>, Vec<_>) = due.into_iter().partition(asks);
        let mut admitted: Vec<Fired> = free.into_iter().map(Fired::Settled).collect();
        let asking = asking.into_iter().map(|due| self.admit(due));
        let asked: Vec<Fired> = stream::iter(asking)
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await?;
        admitted.extend(asked);
        Ok(admitted)
    }

    async fn admit(&self, due: Due) -> Result<Fired, LedgerError> {
        let waits = due.entry.overlap == Overlap::QueueOne;
        let Some(first) = due.fire.first().copied() else {
            // Ticks that were missed while an earlier run went on wait for its end: nobody may have been there to write that down.
            return match self.is_free(&due).await? {
                false if waits => Ok(Fired::Waits(due)),
                _ => Ok(Fired::Settled(due)),
            };
        };
        match self.reserve(&due, first).await? {
            true => Ok(Fired::Settled(only_the_first(due))),
            false if waits => Ok(Fired::Waits(due)),
            false => Ok(Fired::Settled(Due {
                overlapped: due.overlapped + due.fire.len(),
                fire: Vec::new(),
                ..due
            })),
        }
    }

    /// Takes the key that a run of the entry holds until its end, if no other run does.
    async fn reserve(&self, due: &Due, tick: Tick) -> Result<bool, LedgerError> {
        let (ledger, id) = (self.tasks.ledger(), due.entry.message_id(tick));
        let key = key_of(&due.entry);
        match ledger.reserve(&key, &id, RUN_FORGOTTEN).await? {
            Reserved::Mine => Ok(true),
            Reserved::Taken(other) if self.goes_on(due, &other).await? => Ok(false),
            Reserved::Taken(_) => {
                ledger.replace(&key, &id, RUN_FORGOTTEN).await?;
                Ok(true)
            }
        }
    }

    /// Whether no earlier run holds the key; one that stands for nothing is taken off it.
    async fn is_free(&self, due: &Due) -> Result<bool, LedgerError> {
        let (ledger, key) = (self.tasks.ledger(), key_of(&due.entry));
        let Some(holder) = ledger.holder(&key).await? else {
            return Ok(true);
        };
        if self.goes_on(due, &holder).await? {
            return Ok(false);
        }
        ledger.give_up(&key, &holder).await?;
        Ok(true)
    }

    /// Whether what holds the key is a run that is still to end. It is not when its message was never sent, because a leader died between
    /// the two; when it was cancelled; and when it has ended, and its worker could not say so to the key.
    async fn goes_on(&self, due: &Due, holder: &MessageId) -> Result<bool, LedgerError> {
        let tick = due.entry.tick_of(holder);
        if tick.is_some_and(|tick| due.was_never_fired(tick)) {
            return Ok(false);
        }
        let ledger = self.tasks.ledger();
        let ended = matches!(ledger.sighting(holder).await?, Some(Sighting::Finished));
        Ok(!ended && !ledger.is_cancelled(holder).await?)
    }

    async fn shoot(&self, baton: &dyn Baton, entry: &Entry, tick: Tick, number: usize) -> Hit {
        let due = tick.seconds() * 1000 + i64::try_from(entry.offset().as_millis()).unwrap_or(0);
        let lag = || u64::try_from(self.clock.now() - due).unwrap_or(0);
        let (at, scheduled) = (lag(), tick.to_string());
        let span = framework::fire_span(&FireSpan {
            schedule_id: &entry.id,
            cron: entry.when.pattern(),
            scheduled_time: &scheduled,
            lag_ms: at,
        });
        let outbound = outbound(entry, tick, at, &scheduled);
        let kicked = self.tasks.kick_with(baton, outbound).instrument(span).await;
        if kicked.is_ok() {
            self.metrics.fired(&entry.task, lag() as f64 / 1000.0);
        }
        Hit {
            number,
            tick,
            kicked,
        }
    }
}

impl Tasks {
    /// Kicks the task of an entry now, beside its schedule: no tick is settled by it, and no earlier run stands against it.
    ///
    /// # Errors
    /// [`KickError`].
    pub async fn run_now(&self, entry: &Entry) -> Result<AnyHandle, KickError> {
        let now = Tick::before(SystemTime::now());
        let mut outbound = outbound(entry, now, 0, &now.to_string());
        let id = format!("cron:{}:now-{}", entry.id, MessageId::new());
        let id = MessageId::try_from(id).expect("an entry's id is short and printable");
        outbound.message.id = id.clone();
        outbound.message.labels.set_text(label::KICK, new_kick());
        outbound.message.labels.remove(label::UNIQUE);
        self.kick_outbound(outbound).await
    }
}

fn key_of(entry: &Entry) -> String {
    format!("schedule {}", entry.id)
}

fn may_pass(error: &KickError) -> bool {
    match error {
        KickError::Publish(error) => error.may_pass(),
        _ => false,
    }
}

/// The first tick is the earlier run of those behind it.
fn only_the_first(due: Due) -> Due {
    let behind = due.fire.len() - 1;
    match due.entry.overlap {
        Overlap::QueueOne if behind > 0 => Due {
            last: due.fire[0],
            fire: vec![due.fire[0]],
            ..due
        },
        _ => Due {
            overlapped: due.overlapped + behind,
            fire: vec![due.fire[0]],
            ..due
        },
    }
}

/// What became of a batch, beside what arrived.
#[derive(Default)]
struct Outcome {
    lost: Option<PublishError>,
    /// Entries of which something was refused, and the first reason.
    refused: HashSet<usize>,
    refusal: Option<KickError>,
    /// Ticks that cannot be fired, and the first reason.
    let_go: Vec<(usize, Tick)>,
    reason: Option<KickError>,
}

impl Outcome {
    fn refuse(&mut self, number: usize, error: KickError) {
        self.refused.insert(number);
        self.refusal.get_or_insert(error);
    }

    fn let_go(&mut self, number: usize, tick: Tick, error: KickError) {
        self.let_go.push((number, tick));
        self.reason.get_or_insert(error);
    }

    /// One line for each kind: a broker that is full refuses all that is due, once a second.
    fn say(&self, fired: &[Fired]) {
        let name = |number: usize| match &fired[number] {
            Fired::Settled(due) | Fired::Waits(due) | Fired::Refused(due, _) => due.entry.id(),
        };
        if let (Some(error), Some(first)) = (&self.refusal, self.refused.iter().min()) {
            let (entries, entry) = (self.refused.len(), name(*first));
            tracing::warn!(entries, entry, %error, "ticks were not fired: trying again");
        }
        if let (Some(error), Some((first, _))) = (&self.reason, self.let_go.first()) {
            let (ticks, entry) = (self.let_go.len(), name(*first));
            tracing::error!(ticks, entry, %error, "ticks cannot be fired: they are let go");
        }
    }
}

fn apart(
    fired: Vec<Fired>,
    refused: &HashSet<usize>,
    mut arrived: BTreeMap<usize, Vec<Tick>>,
) -> Vec<Fired> {
    let numbered = fired.into_iter().enumerate();
    let sorted = numbered.map(|(number, fired)| match fired {
        Fired::Settled(due) if refused.contains(&number) => {
            Fired::Refused(due, arrived.remove(&number).unwrap_or_default())
        }
        other => other,
    });
    sorted.collect()
}

fn outbound(entry: &Entry, tick: Tick, lag: u64, scheduled: &str) -> Outbound {
    let mut labels = Labels::default();
    if let Some(after) = entry.expires {
        labels.set_float(label::EXPIRES_AT, unix_seconds_after(after));
    }
    labels.set_int(label::PRIORITY, i64::from(entry.priority.number()));
    labels.set_float(label::QUEUED_AT, unix_seconds());
    labels.set_text(label::KICK, KICK);
    labels.set_text(label::SCHEDULE_ID, &entry.id);
    labels.set_text(label::SCHEDULED_TIME, scheduled);
    labels.set_int(label::SCHEDULE_LAG, i64::try_from(lag).unwrap_or(i64::MAX));
    if let Some(pattern) = entry.when.pattern() {
        labels.set_text(label::SCHEDULE_CRON, pattern);
    }
    if entry.overlap != Overlap::Allow {
        labels.set_text(label::UNIQUE, key_of(entry));
    }
    let route = Route {
        queue: entry.queue,
        level: entry.queue.level(entry.priority),
        delay: Duration::ZERO,
    };
    Outbound {
        message: Message {
            id: entry.message_id(tick),
            task: entry.task.clone(),
            labels,
            args: entry.args.clone(),
        },
        route,
    }
}
