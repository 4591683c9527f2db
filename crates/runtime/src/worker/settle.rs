//! The only place that acks, hands back or dead-letters: what an outcome means for result store and broker.
//! Order is the promise: result, then what follows, then the ack, which is the last I/O of a message's life.

use std::time::Duration;

use sapari_telemetry::trace_id_of;
use tokio::time::sleep;
use tracing::Span;

use super::conclude::{conclude, free_key, leave_gates, let_go, sent_on};
use super::engine::Engine;
use super::log::report;
use super::reception::Reception;
use super::running::{Place, Underway};
use super::trying::{LONGEST_PAUSE, keep_trying};
use crate::broker::{Delivery, Obituary, Parcel, PublishError, Receipt};
use crate::client::unix_seconds_after;
use crate::error::TaskError;
use crate::history::{self, FailedAttempt};
use crate::message::{Message, MessageId, Route, label};
use crate::middleware::trace;
use crate::outcome::{DeadReason, Outcome};
use crate::result::{Record, ResultError};
use crate::task::Policy;

/// What an attempt came to, and what settling needs to know beside it.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    /// Its place in the table of what is under way; none for what was never admitted.
    pub(super) place: Option<Place>,
    pub(super) policy: Policy,
    /// Whether its handler was begun.
    pub(super) ran: bool,
    pub(super) took: Duration,
    pub(super) trace_id: Option<String>,
}

impl Ending {
    /// The end of a message that is not run at all.
    pub(super) fn without_running(
        outcome: Outcome,
        place: Option<Place>,
        policy: Policy,
        span: &Span,
    ) -> Self {
        Self {
            outcome,
            place,
            policy,
            ran: false,
            took: Duration::ZERO,
            trace_id: trace_id_of(span),
        }
    }

    pub(super) fn underway(&self) -> Option<&Underway> {
        self.place.as_ref().map(|place| &*place.underway)
    }
}

/// Why an outcome could not be carried out.
enum Unsettled {
    /// It never can be: the end, with this reason.
    Hopeless(DeadReason, TaskError),
    /// A server was away for too long.
    Away(String),
}

/// Carries the outcome out. Whatever fails on the way, the message is either settled or back in its queue.
pub(super) async fn settle(
    engine: &Engine,
    reception: Reception,
    receipt: Box<dyn Receipt>,
    ending: Ending,
    span: &Span,
) {
    let carried_out = match carry_out(engine, &reception, &ending, span).await {
        Err(Unsettled::Hopeless(reason, error)) if !ending.outcome.is_dead() => {
            let outcome = Outcome::Dead { reason, error };
            let ending = Ending { outcome, ..ending };
            return Box::pin(settle(engine, reception, receipt, ending, span)).await;
        }
        other => other,
    };
    match carried_out {
        Ok(Last::Ack) => {
            engine.counts.note_settled(ending.outcome.error().is_some());
            engine.score.settled(engine, &reception, &ending);
            finish(receipt, &ending, span).await;
        }
        Ok(Last::HandBack) => {
            engine.score.settled(engine, &reception, &ending);
            give_up(receipt, &ending, span).await
        }
        Err(why) => Box::pin(unsettled(engine, receipt, ending, &why, span)).await,
    }
}

async fn unsettled(
    engine: &Engine,
    receipt: Box<dyn Receipt>,
    ending: Ending,
    why: &Unsettled,
    span: &Span,
) {
    tracing::warn!(error = why.sentence(), "could not be settled: handed back");
    let_go(engine, &ending).await;
    // What cannot even be buried must not go round as fast as it can.
    sleep(LONGEST_PAUSE).await;
    let outcome = Outcome::Interrupted;
    give_up(receipt, &Ending { outcome, ..ending }, span).await;
}

impl Unsettled {
    fn sentence(&self) -> String {
        match self {
            Self::Hopeless(_, error) => error.sentence(),
            Self::Away(why) => why.clone(),
        }
    }
}

/// How the message leaves this worker.
enum Last {
    Ack,
    HandBack,
}

async fn carry_out(
    engine: &Engine,
    reception: &Reception,
    ending: &Ending,
    span: &Span,
) -> Result<Last, Unsettled> {
    // Boxed: what seldom happens must not make every attempt larger.
    match &ending.outcome {
        Outcome::Done(output) => {
            let record = || Record::done(output.clone(), ending.took);
            end(engine, reception, ending, record).await
        }
        Outcome::Cancelled { why } => {
            let record = || Record::cancelled(*why, ending.took);
            Box::pin(end(engine, reception, ending, record)).await
        }
        Outcome::Retry { after, .. } => {
            let change = Message::next_attempt;
            Box::pin(again(engine, reception, ending, *after, change, span)).await
        }
        Outcome::Snooze { after } => {
            let change = |message| message;
            Box::pin(again(engine, reception, ending, *after, change, span)).await
        }
        Outcome::Dead { reason, error } => {
            Box::pin(bury(engine, reception, ending, *reason, error)).await
        }
        // A stack without `retry` leaves failures undecided: without a decision there is no second attempt.
        Outcome::Failed(error) => {
            let reason = DeadReason::Exhausted;
            Box::pin(bury(engine, reception, ending, reason, error)).await
        }
        Outcome::Interrupted => {
            Box::pin(let_go(engine, ending)).await;
            Ok(Last::HandBack)
        }
    }
}

/// The message has come to its end, with nothing to follow but its result.
async fn end(
    engine: &Engine,
    reception: &Reception,
    ending: &Ending,
    record: impl FnOnce() -> Record,
) -> Result<Last, Unsettled> {
    free_key(engine, reception).await;
    if ending.policy.keeps_result() {
        match output_before(engine, reception, ending).await? {
            Some(stored) => store(engine, reception, stored, ending).await?,
            None => save(engine, reception, record(), ending).await?,
        }
    }
    conclude(engine, reception, ending).await;
    Ok(Last::Ack)
}

/// What an earlier kick of the same id has left, if this one did not even run: an output is not lost to a cancel that came after
/// it. It is stored again, as the end of this kick, too.
async fn output_before(
    engine: &Engine,
    reception: &Reception,
    ending: &Ending,
) -> Result<Option<Record>, Unsettled> {
    let (Some(id), false) = (reception.id(), ending.ran) else {
        return Ok(None);
    };
    match stored(engine, &id).await {
        Ok(record) => Ok(record.filter(|record| record.outcome.is_ok())),
        Err(error) => Err(Unsettled::Away(error.to_string())),
    }
}

/// What is stored under this id, if anything that can be read is.
pub(super) async fn stored(engine: &Engine, id: &MessageId) -> Result<Option<Record>, ResultError> {
    let stored = keep_trying(
        || engine.servers.results.load(id),
        |error| !matches!(error, ResultError::Unreadable { .. }),
    );
    match stored.await {
        Err(ResultError::Unreadable { .. }) => Ok(None),
        other => other,
    }
}

async fn save(
    engine: &Engine,
    reception: &Reception,
    record: Record,
    ending: &Ending,
) -> Result<(), Unsettled> {
    let history = history_of(engine, reception, ending, None);
    store(engine, reception, record.after(history), ending).await
}

async fn store(
    engine: &Engine,
    reception: &Reception,
    record: Record,
    ending: &Ending,
) -> Result<(), Unsettled> {
    let ttl = ending.policy.keep_result;
    let (Some(id), false) = (reception.id(), ttl.is_zero()) else {
        return Ok(());
    };
    let record = record.of_kick(Some(&reception.kick));
    let record = match &reception.message {
        Ok(message) => record.of_task(&message.task),
        Err(_) => record,
    };
    let saved = keep_trying(
        || engine.servers.results.save(&id, &record, ttl),
        |error| !matches!(error, ResultError::TooLarge { .. }),
    );
    saved.await.map_err(|error| match error {
        too_large @ ResultError::TooLarge { .. } => {
            Unsettled::Hopeless(DeadReason::ResultTooLarge, TaskError::permanent(too_large))
        }
        other => Unsettled::Away(other.to_string()),
    })
}

/// The failed attempts so far, this one included if it ran and failed.
fn history_of(
    engine: &Engine,
    reception: &Reception,
    ending: &Ending,
    delay: Option<Duration>,
) -> Vec<FailedAttempt> {
    let Ok(message) = &reception.message else {
        return Vec::new();
    };
    match (ending.outcome.error(), ending.underway()) {
        (Some(error), Some(underway)) => {
            let latest = FailedAttempt::now(underway.attempt, &engine.name, error, delay);
            history::with(&message.labels, latest)
        }
        _ => history::of(&message.labels),
    }
}

/// The same message once more, on its own queue and level, after a pause that the broker keeps.
async fn again(
    engine: &Engine,
    reception: &Reception,
    ending: &Ending,
    after: Duration,
    change: impl FnOnce(Message) -> Message,
    span: &Span,
) -> Result<Last, Unsettled> {
    let Ok(message) = &reception.message else {
        return Ok(Last::HandBack);
    };
    let mut message = change(Message::clone(message)).next_hop();
    let labels = &mut message.labels;
    labels.set_float(label::QUEUED_AT, unix_seconds_after(after));
    let kick = match ending.place {
        Some(_) => reception.kick.clone(),
        None => reception.kick_from_now_on(),
    };
    labels.set_text(label::KICK, kick);
    if ending.place.is_some() {
        // What has started is not superseded any more.
        labels.remove(label::DEBOUNCE);
    }
    if matches!(ending.outcome, Outcome::Retry { .. }) {
        history::write(labels, &history_of(engine, reception, ending, Some(after)));
    }
    // The next attempt is a sibling under the kick; without a kick that was traced, this attempt is where the trace began.
    trace::carry_on(&*reception.headers, labels, span);
    let hop = message.hop();
    let route = route(engine, reception, after);
    publish(engine, Parcel::of(&message, route).map_err(unpublished)?).await?;
    // Told only once the next one is there: a copy of this one may then be thrown away.
    sent_on(engine, ending, hop).await;
    leave_gates(engine, ending).await;
    Ok(Last::Ack)
}

fn route(engine: &Engine, reception: &Reception, delay: Duration) -> Route {
    Route {
        queue: engine.queue,
        level: reception.level,
        delay,
    }
}

/// A copy of a message that is under way elsewhere comes back later, as it is: if its run dies, it takes that one's place.
pub(super) async fn come_back(
    engine: &Engine,
    reception: &Reception,
    receipt: Box<dyn Receipt>,
    after: Duration,
) {
    let Ok(message) = &reception.message else {
        return hand_back(receipt).await;
    };
    tracing::info!(task_id = %message.id, ?after, "came again while it runs");
    let mut message = Message::clone(message);
    message
        .labels
        .set_text(label::KICK, reception.kick_from_now_on());
    trace::keep(&*reception.headers, &mut message.labels);
    let parcel = Parcel::of(&message, route(engine, reception, after));
    move_on(engine, parcel, receipt, std::future::ready(())).await;
}

/// The same message elsewhere on the broker, and then no more here: what dies in between leaves both.
pub(super) async fn move_on(
    engine: &Engine,
    parcel: Result<Parcel, PublishError>,
    receipt: Box<dyn Receipt>,
    once_stored: impl Future<Output = ()>,
) {
    let published = match parcel.map_err(unpublished) {
        Ok(parcel) => tokio::select! {
            biased;
            published = publish(engine, parcel) => published,
            // The worker ends: another one may look at it.
            () = engine.interrupt.cancelled() => return hand_back(receipt).await,
        },
        Err(error) => Err(error),
    };
    match published {
        Ok(()) => {
            once_stored.await;
            ack(receipt).await;
        }
        Err(why) => {
            tracing::warn!(
                error = why.sentence(),
                "a message could not be moved: handed back"
            );
            sleep(LONGEST_PAUSE).await;
            hand_back(receipt).await;
        }
    }
}

/// Acks a copy that is not to be run.
pub(super) async fn acknowledge_copy(
    reception: &Reception,
    receipt: Box<dyn Receipt>,
    why: &'static str,
) {
    let id = reception.id();
    let task_id = id.as_ref().map_or("", MessageId::as_str);
    tracing::info!(task_id, why, "came again: acked, not run again");
    ack(receipt).await;
}

async fn bury(
    engine: &Engine,
    reception: &Reception,
    ending: &Ending,
    reason: DeadReason,
    error: &TaskError,
) -> Result<Last, Unsettled> {
    free_key(engine, reception).await;
    let record = Record::dead(reason, error, ending.took);
    save(engine, reception, record, ending).await?;
    let message = reception.message.as_ref().ok().map(AsRef::as_ref);
    let obituary = Obituary {
        reason,
        error: error.chain().collect(),
        attempts: message.map_or(1, Message::attempt),
        trace_id: ending.trace_id.clone(),
        level: reception.level.number(),
    };
    let parcel = Parcel::dead(
        engine.queue,
        message,
        reception.body.clone(),
        reception.headers.headers(),
        &obituary,
    );
    publish(engine, parcel).await?;
    conclude(engine, reception, ending).await;
    Ok(Last::Ack)
}

async fn publish(engine: &Engine, parcel: Parcel) -> Result<(), Unsettled> {
    let published = keep_trying(
        || engine.servers.broker.publish(parcel.clone()),
        PublishError::may_pass,
    );
    published.await.map_err(unpublished)
}

fn unpublished(error: PublishError) -> Unsettled {
    if error.may_pass() {
        return Unsettled::Away(error.to_string());
    }
    Unsettled::Hopeless(DeadReason::Unpublishable, TaskError::permanent(error))
}

async fn finish(receipt: Box<dyn Receipt>, ending: &Ending, span: &Span) {
    trace::record(span, &ending.outcome);
    report(ending);
    ack(receipt).await;
}

/// Acks: the last I/O of a message's life.
pub(super) async fn ack(receipt: Box<dyn Receipt>) {
    if let Err(lost) = receipt.ack().await {
        tracing::warn!(%lost, "not acked: it will be recognised by its result");
    }
}

async fn give_up(receipt: Box<dyn Receipt>, ending: &Ending, span: &Span) {
    trace::record(span, &ending.outcome);
    report(ending);
    hand_back(receipt).await;
}

/// Hands back what was never looked at.
pub(super) async fn hand_back_unread(delivery: Delivery) {
    let (_, _, receipt) = delivery.take_apart();
    hand_back(receipt).await;
}

/// Hands back: for any worker, from the start.
pub(super) async fn hand_back(receipt: Box<dyn Receipt>) {
    if let Err(lost) = receipt.hand_back().await {
        tracing::debug!(%lost, "not handed back");
    }
}
