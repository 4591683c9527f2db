//! Cancels: which messages are not to run, or not to run on. Every worker keeps a copy and is told when it changes, so that
//! a message costs no question before it starts.

use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;
use crate::message::MessageId;

/// How long a cancel is remembered: a message that waits longer than this in a delay is run all the same.
pub(crate) const CANCEL_REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// A message that is not to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// Which.
    pub id: MessageId,
    /// When it was asked for, in milliseconds since 1970: a later kick of the same id is not meant.
    pub at: u64,
}

/// What became of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAnswer {
    /// Every worker is told. A message that waits is settled as cancelled when it arrives.
    Requested,
    /// It had come to its end before.
    AlreadyEnded,
}

/// Which messages are not to run.
#[async_trait]
pub trait Cancels {
    /// Asks for the end of a message, queued or running, wherever it is.
    ///
    /// # Errors
    /// [`LedgerError`]: nobody knows whether the workers will be told.
    async fn cancel(&self, cancel: &Cancel) -> Result<(), LedgerError>;

    /// The cancels asked for at or after `since`, in milliseconds since 1970; 0 for all that are remembered.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn cancels(&self, since: u64) -> Result<Vec<Cancel>, LedgerError>;

    /// Whether a cancel of this message was asked for and is not carried out yet.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn is_cancelled(&self, id: &MessageId) -> Result<bool, LedgerError>;

    /// The cancel has been carried out.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn cancelled(&self, id: &MessageId) -> Result<(), LedgerError>;

    /// Listens for changes that workers should look at: a cancel, a pause, a freed place.
    fn listen(&self) -> Box<dyn News>;
}

/// Says that something may have changed.
#[async_trait]
pub trait News: Send {
    /// Returns when something may have changed since the last call. It may return too often, and too late by a while when the
    /// server was away: look now and then all the same. Cancel-safe.
    async fn heard(&mut self);
}
