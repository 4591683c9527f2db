//! Unique keys: which message stands for a piece of work that is to be asked for once.

use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;
use crate::message::MessageId;

/// What became of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// The key is this message's now.
    Mine,
    /// Another message has it.
    Taken(MessageId),
}

/// Which message stands for a key.
#[async_trait]
pub trait Uniques {
    /// Takes the key for a message, for as long as `window`, unless another has it.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn reserve(
        &self,
        key: &str,
        id: &MessageId,
        window: Duration,
    ) -> Result<Reserved, LedgerError>;

    /// Takes the key for a message whoever has it: the last one wins. Returns who had it.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn replace(
        &self,
        key: &str,
        id: &MessageId,
        window: Duration,
    ) -> Result<Option<MessageId>, LedgerError>;

    /// Who has the key.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn holder(&self, key: &str) -> Result<Option<MessageId>, LedgerError>;

    /// Gives the key back, if it is this message's.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn give_up(&self, key: &str, id: &MessageId) -> Result<(), LedgerError>;
}
