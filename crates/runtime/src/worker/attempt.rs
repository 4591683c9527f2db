//! One attempt, from bytes to a settled message, all of it inside the task's span.
//! Bytes that do not decode and names that nobody knows are outcomes like any other: no message is dropped in silence.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sapari_telemetry::trace_id_of;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, Span};

use super::engine::Engine;
use super::plan::Registered;
use super::reception::Reception;
use super::settle::{Ending, settle};
use crate::broker::{Delivery, Receipt};
use crate::context::TaskContext;
use crate::duration::seconds;
use crate::error::TaskError;
use crate::job::Job;
use crate::message::{Message, MessageId, Undecodable};
use crate::middleware::{Core, TIDY_UP};
use crate::outcome::{DeadReason, Outcome};
use crate::panics;
use crate::result::{Failure, Record};
use crate::stop::Stop;
use crate::task::Policy;

/// How long a slot rests after settling itself panicked: the message goes back, and must not go round as fast as it can.
const REST: Duration = seconds(5);

/// Runs and settles one delivery. The slot is free again when this ends.
pub(super) async fn attempt(engine: Arc<Engine>, delivery: Delivery, slot: OwnedSemaphorePermit) {
    // The handler's panics are caught further in, and are failures. One that reaches this is a bug of the runtime: the receipt
    // is dropped, which hands the message back.
    if let Err(panic) = panics::catch_async(receive_and_run(&engine, delivery)).await {
        tracing::error!(error = %panic.into_error(), "the runtime panicked around a task; please report it");
        sleep(REST).await;
    }
    drop(slot);
}

async fn receive_and_run(engine: &Arc<Engine>, delivery: Delivery) {
    let (reception, receipt) = Reception::of(delivery);
    let claim = async {
        match reception.id() {
            Some(id) => Some(engine.running.claim(&id).await),
            None => None,
        }
    };
    let _claim = tokio::select! {
        biased;
        claim = claim => claim,
        // The worker ends: what has not begun does not begin.
        () = engine.interrupt.cancelled() => return super::settle::hand_back(receipt).await,
    };
    match record_of_a_finished(engine, &reception).await {
        Some(Ok(_)) => acknowledge_duplicate(&reception, receipt).await,
        finished => {
            let failure = finished.and_then(Result::err);
            let span = reception.span(engine);
            run_and_settle(engine, reception, receipt, failure, span.clone())
                .instrument(span)
                .await;
        }
    }
}

/// What is stored for a redelivered message: a worker finished it and died before the ack. Its output is not made twice;
/// its failure may not have reached the dead-letter queue, so it is settled once more, without running.
async fn record_of_a_finished(
    engine: &Engine,
    reception: &Reception,
) -> Option<Result<Box<RawValue>, Failure>> {
    let message = reception.message.as_ref().ok()?;
    if !reception.redelivered {
        return None;
    }
    let stored = engine.servers.results.load(&message.id).await;
    // A record of another kick with the same id says nothing about this one.
    let of_this = |record: &Record| record.kick.as_deref() == Some(&*reception.kick());
    let record = stored.ok().flatten().filter(of_this);
    record.map(|record| record.outcome)
}

async fn acknowledge_duplicate(reception: &Reception, receipt: Box<dyn Receipt>) {
    let id = reception.id();
    let task_id = id.as_ref().map_or("", MessageId::as_str);
    tracing::info!(
        task_id,
        "redelivered after it had finished: acked, not run again"
    );
    super::settle::ack(receipt).await;
}

async fn run_and_settle(
    engine: &Arc<Engine>,
    reception: Reception,
    receipt: Box<dyn Receipt>,
    failure: Option<Failure>,
    span: Span,
) {
    let begun = Instant::now();
    let (outcome, policy) = match (&reception.message, reception.known(engine), failure) {
        (Err(reason), _, _) => (undecodable(reason), Policy::DEFAULT),
        (Ok(_), _, Some(failure)) => (dead_already(&failure), Policy::DEFAULT),
        (Ok(message), None, None) => (unknown(message), Policy::DEFAULT),
        (Ok(message), Some(registered), None) => {
            let job = reception.job(engine, message, registered, span.clone());
            (run(engine, &job, registered).await, job.policy)
        }
    };
    let ending = Ending {
        outcome,
        policy,
        took: begun.elapsed(),
        trace_id: trace_id_of(&span),
    };
    settle(engine, reception, receipt, ending, &span).await;
}

/// Runs the stack, unless the worker ends first and the handler does not answer to that.
async fn run(engine: &Engine, job: &Arc<Job>, registered: &Registered) -> Outcome {
    let body = Body {
        registered,
        cx: TaskContext::new(Arc::clone(job), engine.client.clone()),
    };
    tokio::select! {
        biased;
        outcome = engine.stack.run(job, &body) => outcome,
        () = abandoned(&job.stop) => Outcome::Interrupted,
    }
}

async fn abandoned(stop: &Stop) {
    stop.worker_asked().await;
    sleep(TIDY_UP).await;
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
            (self.registered.run)(job.message.args.clone(), self.cx.clone()).await;
        output.map_or_else(Outcome::Failed, Outcome::Done)
    }
}

fn undecodable(reason: &Undecodable) -> Outcome {
    Outcome::Dead {
        reason: DeadReason::Undecodable,
        error: TaskError::permanent(reason.to_string()),
    }
}

fn unknown(message: &Message) -> Outcome {
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
