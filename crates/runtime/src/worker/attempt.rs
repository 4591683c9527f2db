//! One attempt, from bytes to a settled message, all of it inside the task's span.
//! Bytes that do not decode and names that nobody knows are outcomes like any other: no message is dropped in silence.

use std::sync::Arc;

use async_trait::async_trait;
use sapari_telemetry::trace_id_of;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, Span};

use super::intake::Engine;
use super::plan::Registered;
use super::settle::{Ending, settle};
use crate::broker::{Delivery, Headers, Receipt};
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::job::Job;
use crate::message::{Message, Undecodable};
use crate::middleware::trace::{self, Origin};
use crate::middleware::{Core, TIDY_UP};
use crate::outcome::{DeadReason, Outcome};
use crate::queue::Level;
use crate::stop::Stop;

/// A delivery whose bytes have been read.
pub(super) struct Reception {
    pub(super) message: Result<Message, Undecodable>,
    pub(super) body: Vec<u8>,
    pub(super) headers: Headers,
    pub(super) level: Level,
    pub(super) redelivered: bool,
}

/// Runs and settles one delivery. The slot is free again when this ends.
pub(super) async fn attempt(engine: Arc<Engine>, delivery: Delivery, slot: OwnedSemaphorePermit) {
    let (reception, receipt) = Reception::of(delivery);
    match already_finished(&engine, &reception).await {
        true => acknowledge_duplicate(&reception, receipt).await,
        false => {
            let span = reception.span(&engine);
            run_and_settle(&engine, reception, receipt, span.clone())
                .instrument(span)
                .await;
        }
    }
    drop(slot);
}

async fn run_and_settle(
    engine: &Arc<Engine>,
    reception: Reception,
    receipt: Box<dyn Receipt>,
    span: Span,
) {
    let begun = Instant::now();
    let (outcome, policy) = match (&reception.message, reception.known(engine)) {
        (Err(reason), _) => (undecodable(reason), None),
        (Ok(message), None) => (unknown(message), None),
        (Ok(message), Some(registered)) => {
            let job = reception.job(engine, message, registered, span.clone());
            (run(engine, &job, registered).await, Some(job.policy))
        }
    };
    let ending = Ending {
        outcome,
        policy: policy.unwrap_or_default(),
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

/// A redelivered message whose result is stored was finished by a worker that could not ack it.
async fn already_finished(engine: &Engine, reception: &Reception) -> bool {
    match &reception.message {
        Ok(message) if reception.redelivered => {
            matches!(engine.servers.results.load(&message.id).await, Ok(Some(_)))
        }
        _ => false,
    }
}

async fn acknowledge_duplicate(reception: &Reception, receipt: Box<dyn Receipt>) {
    let id = reception
        .message
        .as_ref()
        .map(|message| message.id.as_str())
        .unwrap_or_default();
    tracing::info!(
        task_id = id,
        "redelivered after it had finished: acked, not run again"
    );
    super::settle::ack(receipt).await;
}

impl Reception {
    fn of(delivery: Delivery) -> (Self, Box<dyn Receipt>) {
        let (level, redelivered) = (delivery.level, delivery.redelivered);
        let (body, headers, receipt) = delivery.take_apart();
        let message = Message::decode(&body);
        (
            Self {
                message,
                body,
                headers,
                level,
                redelivered,
            },
            receipt,
        )
    }

    fn known<'e>(&self, engine: &'e Engine) -> Option<&'e Registered> {
        let message = self.message.as_ref().ok()?;
        engine.tasks.get(message.task.as_str())
    }

    fn span(&self, engine: &Engine) -> Span {
        let origin = Origin {
            system: engine.servers.broker.system(),
            queue: engine.queue,
            level: self.level,
            redelivered: self.redelivered,
            headers: &self.headers,
            parenting: engine.parenting,
        };
        match (&self.message, self.known(engine)) {
            (Err(_), _) => trace::undecodable_span(&origin),
            (Ok(message), None) => trace::unknown_task_span(&origin, message),
            (Ok(message), Some(task)) => {
                trace::task_span(&origin, message, &task.policy.overridden_by(message))
            }
        }
    }

    fn job(
        &self,
        engine: &Engine,
        message: &Message,
        registered: &Registered,
        span: Span,
    ) -> Arc<Job> {
        Arc::new(Job {
            message: message.clone(),
            queue: engine.queue,
            level: self.level,
            attempt: message.attempt(),
            policy: registered.policy.overridden_by(message),
            stop: Stop::under(&engine.interrupt),
            span,
        })
    }
}
