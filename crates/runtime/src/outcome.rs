//! What one attempt came to: a plain value, decided by handler and middleware, carried out by settle.
//! No I/O here and none implied: an `Outcome` does nothing until it is settled.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::error::TaskError;

/// What one attempt came to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The handler returned; its output as JSON.
    Done(Box<RawValue>),
    /// The handler failed; nobody has decided yet what that means.
    Failed(TaskError),
    /// Run again after a pause; counts as an attempt.
    Retry {
        /// Why this attempt failed.
        error: TaskError,
        /// The pause before the next one.
        after: Duration,
    },
    /// Run again after a pause; counts as nothing.
    Snooze {
        /// The pause.
        after: Duration,
    },
    /// The end: to the dead-letter queue.
    Dead {
        /// Why it is the end.
        reason: DeadReason,
        /// The last error.
        error: TaskError,
    },
    /// The worker is going away: handed back, no attempt counted.
    Interrupted,
    /// It is not wanted any more: the end, without a dead letter.
    Cancelled {
        /// Why not: somebody cancelled it, or a later kick took its place.
        why: Cancelled,
    },
}

/// Why a message is not wanted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// Somebody cancelled it.
    Asked,
    /// A later kick with the same key took its place.
    Superseded,
}

impl Cancelled {
    /// The reason as it stands in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Asked => "the task was cancelled",
            Self::Superseded => "a later kick with the same key took the task's place",
        }
    }
}

impl Outcome {
    /// The word for it on spans and metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Retry { .. } => "retry",
            Self::Snooze { .. } => "snooze",
            Self::Dead { .. } => "dead",
            Self::Interrupted => "interrupted",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        matches!(self, Self::Dead { .. } | Self::Failed(_))
    }

    /// The error behind it, if there is one.
    #[must_use]
    pub fn error(&self) -> Option<&TaskError> {
        match self {
            Self::Failed(error) | Self::Retry { error, .. } | Self::Dead { error, .. } => {
                Some(error)
            }
            Self::Done(_) | Self::Snooze { .. } | Self::Interrupted | Self::Cancelled { .. } => {
                None
            }
        }
    }
}

/// Why a message went to the dead-letter queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadReason {
    /// The error says that no retry can heal it.
    Permanent,
    /// Every attempt that the policy allows has failed.
    Exhausted,
    /// The args do not fit the task.
    BadArgs,
    /// No handler of this name in this worker.
    UnknownTask,
    /// The bytes are not a message.
    Undecodable,
    /// The output is larger than a result may be.
    ResultTooLarge,
    /// It was to run again, but the broker can never take it: too large, or delayed for too long.
    Unpublishable,
    /// It killed its worker, time and again.
    Poison,
    /// It was too late to run.
    Expired,
}

impl DeadReason {
    /// Every reason there is.
    pub const ALL: [Self; 9] = [
        Self::Permanent,
        Self::Exhausted,
        Self::BadArgs,
        Self::UnknownTask,
        Self::Undecodable,
        Self::ResultTooLarge,
        Self::Unpublishable,
        Self::Poison,
        Self::Expired,
    ];

    /// The reason of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The reason as it stands in headers, spans and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::BadArgs => "bad_args",
            Self::UnknownTask => "unknown_task",
            Self::Undecodable => "undecodable",
            Self::ResultTooLarge => "result_too_large",
            Self::Unpublishable => "unpublishable",
            Self::Poison => "poison",
            Self::Expired => "expired",
        }
    }
}
