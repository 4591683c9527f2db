//! From ticks that are due to confirmed messages: whether an earlier run stands against it, the message, its span, the publish with
//! the baton. It writes nothing down: what became of each entry is a value.

use std::collections::HashSet;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, stream};
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
use crate::ledger::{LedgerError, Reserved};
use crate::message::{Labels, Message, MessageId, Route, label, new_kick, unix_seconds};
use crate::outbound::Outbound;

/// How many messages wait for their confirms at once.
const IN_FLIGHT: usize = 512;
/// How long a run that nobody hears of any more stands against the next.
const RUN_FORGOTTEN: Duration = hours(24);
/// What all messages for one tick have as their kick: whoever fires it, it is one.
const KICK: &str = "tick";

/// A kick under way: of which entry it is, the message's id, and what became of it.
type Shot<'a> = Pin<Box<dyn Future<Output = (usize, String, Result<(), KickError>)> + Send + 'a>>;

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
    /// Some of it was refused, and may be taken later.
    Refused(Due),
}

/// The connection went away under it: what arrived is not known, and told by the stubs alone.
pub(super) struct BatonLost(pub(super) PublishError);

impl Gun {
    /// Fires what is due, except for ticks whose messages had `arrived` before. Adds to it what arrives.
    pub(super) async fn fire(
        &self,
        baton: &dyn Baton,
        due: Vec<Due>,
        arrived: &mut HashSet<String>,
    ) -> Result<Vec<Fired>, BatonLost> {
        let mut shots = Vec::new();
        let mut fired = Vec::new();
        for due in due {
            match self.admit(due).await {
                Fired::Settled(due) => {
                    shots.extend(due.fire.iter().map(|tick| (fired.len(), *tick)));
                    fired.push(Fired::Settled(due));
                }
                other => fired.push(other),
            }
        }
        let mut wanted: Vec<Shot<'_>> = Vec::new();
        for (number, tick) in shots {
            let Fired::Settled(due) = &fired[number] else {
                continue;
            };
            let id = due.entry.message_id(tick).to_string();
            if !arrived.contains(&id) {
                wanted.push(Box::pin(self.shoot(baton, &due.entry, tick, number)));
            }
        }
        let shots = stream::iter(wanted).buffer_unordered(IN_FLIGHT);
        let shots: Vec<_> = shots.collect().await;
        let mut refused = HashSet::new();
        let mut lost = None;
        for (number, id, shot) in shots {
            match shot {
                Ok(()) => drop(arrived.insert(id)),
                Err(KickError::Publish(
                    error @ (PublishError::Disconnected(_) | PublishError::Timeout(_)),
                )) => lost = Some(error),
                Err(error) if may_pass(&error) => {
                    tracing::warn!(id, %error, "a tick was not fired: trying again");
                    refused.insert(number);
                }
                Err(error) => tracing::error!(id, %error, "a tick cannot be fired: it is let go"),
            }
        }
        match lost {
            Some(error) => Err(BatonLost(error)),
            None => Ok(apart(fired, &refused)),
        }
    }

    /// Whether an earlier run of the entry stands against it.
    async fn admit(&self, due: Due) -> Fired {
        if due.fire.is_empty() || due.entry.overlap == Overlap::Allow {
            return Fired::Settled(due);
        }
        match self.reserve(&due.entry, due.fire[0]).await {
            Ok(true) => Fired::Settled(only_the_first(due)),
            Ok(false) if due.entry.overlap == Overlap::QueueOne => Fired::Waits(due),
            Ok(false) => Fired::Settled(Due {
                overlapped: due.overlapped + due.fire.len(),
                fire: Vec::new(),
                ..due
            }),
            Err(error) => {
                tracing::warn!(entry = due.entry.id(), %error, "whether its earlier run goes on is not known");
                Fired::Refused(due)
            }
        }
    }

    /// The key that a run of the entry holds until its end.
    async fn reserve(&self, entry: &Entry, tick: Tick) -> Result<bool, LedgerError> {
        let (ledger, id, key) = (self.tasks.ledger(), entry.message_id(tick), key_of(entry));
        match ledger.reserve(&key, &id, RUN_FORGOTTEN).await? {
            Reserved::Mine => Ok(true),
            Reserved::Taken(other) if ledger.is_cancelled(&other).await? => {
                // What was cancelled stands for nothing any more, although it has not been settled yet.
                ledger.replace(&key, &id, RUN_FORGOTTEN).await?;
                Ok(true)
            }
            Reserved::Taken(_) => Ok(false),
        }
    }

    async fn shoot(
        &self,
        baton: &dyn Baton,
        entry: &Entry,
        tick: Tick,
        number: usize,
    ) -> (usize, String, Result<(), KickError>) {
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
        (number, entry.message_id(tick).to_string(), kicked)
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

fn apart(fired: Vec<Fired>, refused: &HashSet<usize>) -> Vec<Fired> {
    let numbered = fired.into_iter().enumerate();
    let sorted = numbered.map(|(number, fired)| match fired {
        Fired::Settled(due) if refused.contains(&number) => Fired::Refused(due),
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
