//! What a broker cannot do, and why. None of it shows a password, or what a message says.

use std::time::Duration;

use crate::error::BoxError;

/// A broker that cannot be reached, or refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The URL is not one of a broker.
    #[error("{0}")]
    BadUrl(String),
    /// A namespace or queue that cannot be a name on the broker.
    #[error("{name:?} cannot be a name on the broker: {rule}")]
    BadName {
        /// What was to be a name.
        name: String,
        /// What a name is made of.
        rule: &'static str,
    },
    /// No connection.
    #[error("the broker at {place} cannot be reached; is it running?")]
    Unreachable {
        /// Host and port, never the password.
        place: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The queue is not there.
    #[error(
        "the broker cannot {action}: it was never declared; start its worker once, so that it is"
    )]
    NoQueue {
        /// What was asked of it.
        action: String,
        /// Its answer.
        #[source]
        source: BoxError,
    },
    /// The broker answered with a refusal.
    #[error("the broker refused to {action}")]
    Refused {
        /// What was asked of it.
        action: String,
        /// Its answer.
        #[source]
        source: BoxError,
    },
}

pub(crate) fn replay_refused(error: PublishError) -> BrokerError {
    BrokerError::Refused {
        action: "take a replayed message".to_owned(),
        source: error.into(),
    }
}

/// A message that is not known to be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// No queue took it: nothing was stored.
    #[error(
        "no queue takes messages for {queue}; start its worker once, so that the queue is declared"
    )]
    Unroutable {
        /// The queue's name on the broker.
        queue: String,
    },
    /// The broker said no: nothing was stored.
    #[error("the broker refused the message for {queue}; it may be full")]
    Nacked {
        /// The queue's name on the broker.
        queue: String,
    },
    /// The message is over the limit: nothing was sent.
    #[error(
        "the message has {bytes} bytes and the limit is {limit}; put large things into storage and send their key"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most that is sent.
        limit: usize,
    },
    /// The delay is beyond what a broker can wait: nothing was sent.
    #[error(
        "a delay of {delay:?} is over the limit of {limit:?}; keep such dates in a database, and kick when they are near"
    )]
    DelayTooLong {
        /// What was asked for.
        delay: Duration,
        /// The longest delay, [`MAX_DELAY`](super::MAX_DELAY).
        limit: Duration,
    },
    /// No confirm came in time: it may or may not be stored. Kick again with the same id.
    #[error(
        "the broker did not confirm within {0:?}; it may be blocked by an alarm. Kick again with the same id"
    )]
    Timeout(Duration),
    /// The connection went away, and did not come back in time for another try: the message may or may not be stored. Kick
    /// again with the same id.
    #[error("the connection was lost before the broker confirmed. Kick again with the same id")]
    Disconnected(#[source] BoxError),
}

impl PublishError {
    /// Whether the same message may be taken later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::TooLarge { .. } | Self::DelayTooLong { .. })
    }

    /// A low-cardinality name for spans and metrics.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Unroutable { .. } => "Unroutable",
            Self::Nacked { .. } => "Nacked",
            Self::TooLarge { .. } => "TooLarge",
            Self::DelayTooLong { .. } => "DelayTooLong",
            Self::Timeout(_) => "Timeout",
            Self::Disconnected(_) => "Disconnected",
        }
    }
}
