//! What a handler may ask of its surroundings: who it is, whether it must end, and to kick other tasks.
//! It cannot settle the message: returning is how a handler says how it ended.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::client::Tasks;
use crate::job::Job;
use crate::message::{Labels, MessageId};

/// A handler's surroundings. Cheap to clone.
#[derive(Clone)]
pub struct TaskContext {
    job: Arc<Job>,
    tasks: Tasks,
}

impl TaskContext {
    pub(crate) fn new(job: Arc<Job>, tasks: Tasks) -> Self {
        Self { job, tasks }
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
