//! One attempt, from bytes to a settled message, all of it inside the task's span.
//! Bytes that do not decode and names that nobody knows are outcomes like any other: no message is dropped in silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sapari_telemetry::trace_id_of;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};
use tracing::Instrument;

use super::admit::{Course, admit, expired};
use super::alone::alone;
use super::engine::Engine;
use super::over_limit;
use super::parking::Taken;
use super::plan::Registered;
use super::reception::Reception;
use super::running::{Place, Underway};
use super::settle::{self, Ending, settle};
use crate::broker::Receipt;
use crate::context::TaskContext;
use crate::duration::seconds;
use crate::error::TaskError;
use crate::job::Job;
use crate::message::{Message, Undecodable};
use crate::middleware::Core;
use crate::outcome::{DeadReason, Outcome};
use crate::panics;
use crate::result::Failure;
use crate::task::Policy;

/// How long a slot rests after settling itself panicked: the message goes back, and must not go round as fast as it can.
const REST: Duration = seconds(5);

/// The slots of one attempt. Given back when dropped, unless the watchdog gave them to others because the attempt is stuck.
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    in_use: Arc<AtomicU32>,
}

impl Slot {
    pub(super) fn of(permit: OwnedSemaphorePermit, engine: &Engine) -> Self {
        let slot = Self {
            permit: Some(permit),
            in_use: Arc::clone(&engine.in_use),
        };
        slot.in_use.fetch_add(slot.count(), Ordering::Relaxed);
        slot
    }

    fn count(&self) -> u32 {
        let permits = self
            .permit
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        u32::try_from(permits).unwrap_or(u32::MAX)
    }

    /// Gives them back: others may have them, although the attempt is not at its end.
    pub(super) fn give_back(&mut self) {
        self.in_use.fetch_sub(self.count(), Ordering::Relaxed);
        self.permit = None;
    }

    /// Has these from now on.
    pub(super) fn take(&mut self, permit: OwnedSemaphorePermit) {
        self.give_back();
        self.permit = Some(permit);
        self.in_use.fetch_add(self.count(), Ordering::Relaxed);
    }

    /// They were given to others meanwhile.
    fn is_gone(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.forget();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.in_use.fetch_sub(self.count(), Ordering::Relaxed);
    }
}

/// Runs and settles one delivery. The slot is free again when this ends, or once only its result is to be stored.
pub(super) async fn attempt(engine: Arc<Engine>, taken: Taken, mut slot: Slot) {
    // The handler's panics are caught further in, and are failures. One that reaches this is a bug of the runtime: the receipt
    // is dropped, which hands the message back.
    if let Err(panic) = panics::catch_async(receive(&engine, taken, &mut slot)).await {
        tracing::error!(error = %panic.into_error(), "the runtime panicked around a task; please report it");
        sleep(REST).await;
    }
}

async fn receive(engine: &Arc<Engine>, taken: Taken, slot: &mut Slot) {
    let (mut reception, receipt) = Reception::of(taken.delivery);
    reception.turn = taken.turn;
    if engine.interrupt.is_cancelled() {
        // The worker ends: what has not begun does not begin.
        return settle::hand_back(receipt).await;
    }
    let mut course = course(engine, &mut reception).await;
    if let Course::LastChance(place, policy) = course {
        // It has its place in its limits, and keeps it while it waits.
        reception.turn = None;
        // Boxed: what seldom happens must not make every attempt larger.
        course = Box::pin(alone(engine, &reception, place, policy, slot)).await;
    }
    if !matches!(course, Course::OverLimit(..)) {
        // It has its place, or needs none: the next of its kind may try.
        reception.turn = None;
    }
    // Boxed: what seldom happens must not make every attempt larger.
    match course {
        Course::Run(place, policy) => {
            run_and_settle(engine, reception, receipt, place, policy, slot).await
        }
        Course::Settle(outcome, place, policy) => {
            Box::pin(settle_unrun(
                engine, reception, receipt, outcome, place, policy,
            ))
            .await
        }
        Course::Finished => Box::pin(settle_once_more(engine, reception, receipt)).await,
        Course::Superseded => {
            let why = "a later copy counts";
            Box::pin(settle::acknowledge_copy(&reception, receipt, why)).await
        }
        Course::Copy(after) => {
            Box::pin(settle::come_back(engine, &reception, receipt, after)).await
        }
        Course::OverLimit(closed) => {
            Box::pin(over_limit::wait(engine, reception, receipt, closed, slot)).await
        }
        // Without being alone it does not begin.
        Course::HandBack | Course::LastChance(..) => settle::hand_back(receipt).await,
    }
}

/// Settles what comes to its end without running.
async fn settle_unrun(
    engine: &Engine,
    reception: Reception,
    receipt: Box<dyn Receipt>,
    outcome: Outcome,
    place: Option<Place>,
    policy: Policy,
) {
    let span = reception.span(engine);
    let ending = Ending::without_running(outcome, place, policy, &span);
    async {
        if let Outcome::Snooze { after } = ending.outcome {
            tracing::warn!(
                ?after,
                "no handler for this task in this worker: it waits for one that has it"
            );
        }
        settle(engine, reception, receipt, ending, &span).await;
    }
    .instrument(span.clone())
    .await;
}

async fn course(engine: &Engine, reception: &mut Reception) -> Course {
    match &reception.message {
        Err(reason) => Course::Settle(undecodable(reason), None, Policy::DEFAULT),
        Ok(message) => {
            let message = Arc::clone(message);
            match engine.tasks.get(message.task.as_str()) {
                Some(registered) => admit(engine, reception, &message, registered).await,
                None => Course::Settle(unknown(engine, reception, &message), None, Policy::DEFAULT),
            }
        }
    }
}

/// A worker finished it and died before the ack. Its output is not made twice; its failure may not have reached the
/// dead-letter queue, so it is settled once more, without running.
async fn settle_once_more(engine: &Arc<Engine>, reception: Reception, receipt: Box<dyn Receipt>) {
    let stored = match reception.id() {
        Some(id) => settle::stored(engine, &id).await,
        None => Ok(None),
    };
    // Nobody can say now whether its failure was buried: it stays until somebody can.
    let Ok(stored) = stored else {
        return settle::hand_back(receipt).await;
    };
    match stored.map(|record| record.outcome) {
        Some(Err(failure)) if !failure.is_cancelled() => {
            let outcome = dead_already(&failure);
            settle_unrun(engine, reception, receipt, outcome, None, Policy::DEFAULT).await;
        }
        _ => {
            settle::acknowledge_copy(&reception, receipt, "redelivered after it had finished").await
        }
    }
}

async fn run_and_settle(
    engine: &Arc<Engine>,
    reception: Reception,
    receipt: Box<dyn Receipt>,
    place: Place,
    policy: Policy,
    slot: &mut Slot,
) {
    let span = reception.span(engine);
    let Ok(message) = &reception.message else {
        return;
    };
    let Some(registered) = engine.tasks.get(message.task.as_str()) else {
        return;
    };
    let job = reception.job(engine, message, &place.underway, policy, span.clone());
    let underway = Arc::clone(&place.underway);
    underway.note_slots(slot.count());
    async {
        let begun = Instant::now();
        let outcome = run(engine, &job, registered, &place).await;
        let ending = Ending {
            outcome,
            place: Some(place),
            policy,
            ran: true,
            took: begun.elapsed(),
            trace_id: trace_id_of(&span),
        };
        let beside = settle_beside(engine, &ending, &underway, slot);
        settle(engine, reception, receipt, ending, &span).await;
        if beside.is_none() && !takes_slots_back(&underway) {
            slot.is_gone();
        }
    }
    .instrument(span.clone())
    .await;
}

/// What is done only waits for the store from here on: meanwhile its slots run the next, unless too many wait so already. Its
/// claim, its place among what is under way, and its message are kept until it is settled.
fn settle_beside(
    engine: &Engine,
    ending: &Ending,
    underway: &Underway,
    slot: &mut Slot,
) -> Option<OwnedSemaphorePermit> {
    if !matches!(ending.outcome, Outcome::Done(_)) || !ending.policy.keeps_result() {
        return None;
    }
    let place = Arc::clone(&engine.settling).try_acquire_owned().ok()?;
    if takes_slots_back(underway) {
        slot.give_back();
    } else {
        slot.is_gone();
    }
    Some(place)
}

/// False when its slots were given to others.
fn takes_slots_back(underway: &Underway) -> bool {
    let has_them = underway.take_slots() > 0;
    if !has_them {
        tracing::warn!(task_id = %underway.run.id, task = underway.task, "a stuck attempt has ended after all");
    }
    has_them
}

async fn run(engine: &Engine, job: &Arc<Job>, registered: &Registered, place: &Place) -> Outcome {
    let cx = TaskContext::new(
        Arc::clone(job),
        engine.client.clone(),
        Arc::clone(&place.underway),
        Arc::clone(&engine.progress),
        Arc::clone(&engine.shelf),
    );
    // Only what the handler does is the handler's: before it there are waits, and after it there is settling.
    place.underway.note_handling(job.time_limit);
    let outcome = engine.stack.run(job, &Body { registered, cx }).await;
    place.underway.note_handled();
    outcome
}

/// The handler, innermost in the stack.
struct Body<'a> {
    registered: &'a Registered,
    cx: TaskContext,
}

#[async_trait]
impl Core for Body<'_> {
    async fn run(&self, job: &Job) -> Outcome {
        let output: Result<Box<RawValue>, TaskError> =
            (self.registered.run)(Arc::clone(&job.message), self.cx.clone()).await;
        output.map_or_else(Outcome::Failed, Outcome::Done)
    }
}

fn undecodable(reason: &Undecodable) -> Outcome {
    Outcome::Dead {
        reason: DeadReason::Undecodable,
        error: TaskError::permanent(reason.to_string()),
    }
}

/// A name that nobody here knows waits for a worker that does, as in a rolling deploy, and is dead only after a while.
fn unknown(engine: &Engine, reception: &mut Reception, message: &Message) -> Outcome {
    let left = message.time_left();
    if left == Some(Duration::ZERO) {
        return expired(message);
    }
    let waited = reception.unknown_for();
    if waited < engine.unknown_wait {
        let after = super::unknown_pause(waited).min(engine.unknown_wait - waited);
        let after = left.map_or(after, |left| after.min(left));
        reception.note_unknown_for(waited + after);
        return Outcome::Snooze { after };
    }
    let sentence = format!(
        "no handler for task {:?} in this worker; deploy one, or correct the name",
        message.task
    );
    Outcome::Dead {
        reason: DeadReason::UnknownTask,
        error: TaskError::permanent(sentence),
    }
}

fn dead_already(failure: &Failure) -> Outcome {
    let reason = failure.reason.as_deref().and_then(DeadReason::named);
    Outcome::Dead {
        reason: reason.unwrap_or(DeadReason::Exhausted),
        error: TaskError::permanent(failure.chain.join(": ")),
    }
}
