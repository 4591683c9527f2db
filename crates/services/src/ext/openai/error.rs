//! How a call to a model can fail.
//!
//! It keeps codes, never sentences: endpoints repeat what they were given, a prompt or a key.

use std::path::PathBuf;
use std::time::Duration;

use super::endpoint::Status;

/// Why a model gave no answer. No message holds a prompt, a transcript or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The endpoint does not take the call: a wrong key, an unknown model, no money left. Permanent.
    #[error("{place} refused the call with {status}: check key, model and account")]
    Refused {
        /// Which endpoint.
        place: String,
        /// Its status and code.
        status: Status,
    },
    /// It cannot answer now. A retry may help, after what it asked for.
    #[error("{place} is busy or broken, it answered {status}")]
    Busy {
        /// Which endpoint.
        place: String,
        /// Its status and code.
        status: Status,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// It could not be reached, or the connection ended. A retry may help.
    #[error("{place} gave no answer: {cause}")]
    NoAnswer {
        /// Which endpoint.
        place: String,
        /// What happened.
        cause: String,
    },
    /// It answered, and not as the dialect says. A retry may help.
    #[error("{place} answered something else than expected: {reason}")]
    Malformed {
        /// Which endpoint.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The sound is larger than an endpoint takes. Permanent.
    #[error(
        "the sound has {bytes} bytes, more than the {limit} that an endpoint takes: cut the clip into parts"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The most that is sent.
        limit: u64,
    },
    /// A local file could not be read. A retry may help.
    #[error("could not read {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The task was asked to end.
    #[error("the call was given up because its task is to end")]
    Cancelled,
}

impl ModelError {
    /// Whether no retry can heal this.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::TooLarge { .. })
    }

    /// When the endpoint asked to be called again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
