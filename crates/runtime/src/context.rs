//! What a handler may ask of its surroundings: who it is, whether it must end, and to kick other tasks.
//! It cannot settle the message: returning is how a handler says how it ended.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::client::Tasks;
use crate::error::TaskError;
use crate::job::Job;
use crate::ledger::Progress;
use crate::message::{Labels, MessageId};
use crate::middleware::retry;
use crate::pipeline::Shelf;
use crate::worker::running::Underway;

/// The most that a progress detail may take as JSON, in bytes.
const MAX_DETAIL_BYTES: usize = 16 * 1024;

/// A handler's surroundings. Cheap to clone.
#[derive(Clone)]
pub struct TaskContext {
    job: Arc<Job>,
    tasks: Tasks,
    underway: Arc<Underway>,
    written: Arc<Notify>,
    shelf: Arc<Shelf>,
}

/// What makes a handler's own effects idempotent: see [`TaskContext::fence`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The same for every attempt at one kick: a key under which an effect is done once.
    pub key: String,
    /// Greater in each attempt that the runtime sent on: what has seen a greater one refuses a smaller one.
    pub number: u64,
}

impl TaskContext {
    pub(crate) fn new(
        job: Arc<Job>,
        tasks: Tasks,
        underway: Arc<Underway>,
        written: Arc<Notify>,
        shelf: Arc<Shelf>,
    ) -> Self {
        Self {
            job,
            tasks,
            underway,
            written,
            shelf,
        }
    }

    /// Says how far the task is: a fraction in 0..=1, and anything beside it. Cheap, and never waits: the last word is written
    /// down every half a second or so, where the handle and a TaskIQ client find it. A detail of over 16 KiB is left out.
    pub fn progress(&self, fraction: f64, detail: impl Serialize) {
        let detail = serde_json::to_value(detail).unwrap_or_default();
        let detail = match detail.to_string().len() {
            0..=MAX_DETAIL_BYTES => detail,
            _ => Value::Null,
        };
        self.note_progress(fraction, detail);
    }

    /// The same, with a detail that is known to be small.
    pub(crate) fn note_progress(&self, fraction: f64, detail: Value) {
        self.underway.say(Progress::started(fraction, detail));
        self.written.notify_one();
    }

    /// Where pipelines keep what their steps came to.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Which kick of the message's id this is.
    pub(crate) fn kick(&self) -> &str {
        &self.underway.run.kick
    }

    /// Something is kept of the steps of this message, or may be: its end must clear it.
    pub(crate) fn note_kept(&self) {
        self.underway.note_kept();
    }

    /// What earlier attempts left is known, and whether any of it lies in the depot.
    pub(crate) fn note_looked(&self, in_depot: bool) {
        self.underway.note_looked();
        if in_depot {
            self.underway.note_in_depot();
        }
    }

    /// Something of this message is on its way into the depot.
    pub(crate) fn note_in_depot(&self) {
        self.underway.note_in_depot();
    }

    /// What makes the handler's own effects idempotent, where the runtime's at-least-once is not enough.
    #[must_use]
    pub fn fence(&self) -> Fence {
        let run = &self.underway.run;
        Fence {
            key: format!("{}/{}", run.id, run.kick),
            number: run.hop.into(),
        }
    }

    /// The id of the message, the same for every attempt.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.job.message.id
    }

    /// Which attempt this is, 1 the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.job.attempt
    }

    /// Whether a failure now is the end.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.job.is_last_attempt()
    }

    /// Whether another attempt comes after this one, if it ends now: with `error`, or dropped. What that one would have use for can be
    /// left lying. A message that is handed back comes again whatever the error is; one that was cancelled does not.
    /// If it says yes, the end of the message clears the role's depot, whoever brings it about.
    #[must_use]
    pub fn comes_again(&self, error: Option<&TaskError>) -> bool {
        let kind = error.map(TaskError::kind);
        let again = retry::comes_again(self.job.stop.reason(), kind, self.is_last_attempt());
        if again {
            // Should its end come all the same, because no time is left, say, then that takes away what was left lying.
            self.note_kept();
            self.note_in_depot();
        }
        again
    }

    /// What travelled beside the args.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.job.message.labels
    }

    /// Trips when the attempt must end: its deadline has passed, or the worker goes away. Give it to child processes.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        self.job.stop.token()
    }

    /// Kicks other tasks, inside this task's trace.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The attempt's span.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.job.span
    }
}
