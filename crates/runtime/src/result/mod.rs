//! What the runtime asks of a result store, and the record in it: TaskIQ's JSON, so that a Python caller reads it unchanged.
//! Waiting is pushed: nobody polls.

#[cfg(feature = "testing")]
pub mod conformance;
pub mod memory;
mod record;
pub mod redis;
pub mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use record::{Failure, Record};

use crate::error::BoxError;
use crate::ledger::Ledger;
use crate::message::{KickMoment, MessageId};

/// The largest result that is stored, in bytes.
pub const MAX_RESULT_BYTES: usize = 8 * 1024 * 1024;

/// Which record of an id somebody waits for: one id may have been kicked more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// Whichever is there.
    Any,
    /// One of this kick or of a later one. A record that does not say is meant, too: those of Python's kicks never do.
    From(KickMoment),
}

impl Meant {
    /// Whether this record is meant.
    #[must_use]
    pub fn is(self, record: &Record) -> bool {
        let kicked = record.kick.as_deref().and_then(KickMoment::read);
        match (self, kicked) {
            (Self::From(first), Some(kicked)) => kicked >= first,
            (Self::From(_), None) | (Self::Any, _) => true,
        }
    }
}

/// A place where results are kept for a while.
#[async_trait]
pub trait Results: Send + Sync + fmt::Debug + 'static {
    /// Stores the record for `ttl` and wakes whoever waits for it. A later record replaces it. In the ledger, the kick that the
    /// record is of has come to its end with it: both or neither.
    ///
    /// # Errors
    /// [`ResultError`]: the store cannot be reached, or the record is too large.
    async fn save(&self, id: &MessageId, record: &Record, ttl: Duration)
    -> Result<(), ResultError>;

    /// The record, if it is there.
    ///
    /// # Errors
    /// [`ResultError`]: the store cannot be reached, or what is stored is not a result.
    async fn load(&self, id: &MessageId) -> Result<Option<Record>, ResultError>;

    /// Takes the record away, if it is there: before a message is run anew under the same id.
    ///
    /// # Errors
    /// [`ResultError::Unreachable`].
    async fn forget(&self, id: &MessageId) -> Result<(), ResultError>;

    /// Waits until a record that is meant is there: at once if it is already. Has no deadline of its own; cancel-safe.
    ///
    /// # Errors
    /// [`ResultError`]: what is stored is not a result. A store that is away for a while is waited for.
    async fn wait_for(&self, id: &MessageId, meant: Meant) -> Result<Record, ResultError>;

    /// Waits until a record is there, of whichever kick of the id.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    async fn wait(&self, id: &MessageId) -> Result<Record, ResultError> {
        self.wait_for(id, Meant::Any).await
    }

    /// Gives an end, `kept` from now, to records that somebody stored without one. Returns how many there were.
    ///
    /// # Errors
    /// [`ResultError::Unreachable`].
    async fn prune(&self, kept: Duration) -> Result<u64, ResultError>;

    /// The ledger that stands beside the results, in the same server.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// Answers when the store does.
    ///
    /// # Errors
    /// [`ResultError::Unreachable`] when it does not.
    async fn ping(&self) -> Result<(), ResultError>;
}

/// A result that could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The URL is not one of a result store.
    #[error("{0}")]
    BadUrl(String),
    /// No connection, or no answer in time.
    #[error("the result store at {place} cannot be reached; is it running?")]
    Unreachable {
        /// Host and port, never the password.
        place: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The store answered with a refusal.
    #[error("the result store at {place} refuses this process; check user, password and database")]
    Refused {
        /// Host and port, never the password.
        place: String,
        /// Its answer.
        #[source]
        source: BoxError,
    },
    /// The record is over the limit.
    #[error(
        "the result has {bytes} bytes and the limit is {limit}; put large things into storage and return their key"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most that is stored.
        limit: usize,
    },
    /// What is stored under the id is not TaskIQ's JSON.
    #[error(
        "what is stored for {id} is not a result in TaskIQ's JSON; is another serializer in use?"
    )]
    Unreadable {
        /// The id.
        id: MessageId,
        /// Where in the bytes it went wrong.
        #[source]
        source: serde_json::Error,
    },
}
