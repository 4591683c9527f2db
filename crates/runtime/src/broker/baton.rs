//! The baton: who holds it publishes what the clock asks for, and nobody else. It is the broker's own, because only the broker
//! knows when the last byte of a holder that died has been dealt with. Each message that is published with it leaves a stub, under
//! its id, until the stubs are forgotten: the next holder reads there what had arrived and was not written down.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;

use super::{BrokerError, Parcel, PublishError};
use crate::queue::Queue;

/// A baton of one name. One process holds it; it ends with the process, or with its connection.
#[async_trait]
pub trait Baton: Send + Sync {
    /// Tries to get it. `false`: another process holds it. Getting it again while it is held changes nothing.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached or refuses.
    async fn take(&mut self) -> Result<bool, BrokerError>;

    /// Whether it is held now, as far as this process knows.
    fn is_held(&self) -> bool;

    /// Publishes a message without a delay, and leaves its stub: both or neither. `Ok` means that the broker has confirmed it. What
    /// was in flight when the connection broke is not repeated: the next one who takes the baton can look for its stub. A queue
    /// that is not there goes unnoticed; see [`missing`](Self::missing).
    ///
    /// # Errors
    /// [`PublishError`]: it was refused, or nobody knows whether it arrived.
    async fn publish(&self, parcel: Parcel) -> Result<(), PublishError>;

    /// Which of these queues are not there, so that messages to them went nowhere.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached.
    async fn missing(&self, queues: &BTreeSet<Queue>) -> Result<BTreeSet<Queue>, BrokerError>;

    /// The ids of all messages that were published with it, by whomever, since the stubs were last forgotten.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached.
    async fn stubs(&self) -> Result<HashSet<String>, BrokerError>;

    /// Forgets the stubs: what they told is written down elsewhere.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker cannot be reached.
    async fn forget_stubs(&self) -> Result<(), BrokerError>;

    /// Lets it go, for another process to take.
    async fn let_go(&mut self);
}
