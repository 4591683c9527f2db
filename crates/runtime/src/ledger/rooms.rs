//! Rooms: which waiting rooms hold something, so that other workers take from them, too, and those that start later. A mirror of
//! what the broker has, not the truth: a worker that finds a room empty says so, and one that is forgotten empties itself.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;
use crate::broker::Room;
use crate::queue::Queue;

/// How long a room is remembered of which nobody speaks: as long as anything may stay in it.
pub(crate) const ROOM_REMEMBERED: Duration = Duration::from_secs(86_400);

/// Which waiting rooms hold something.
#[async_trait]
pub trait Rooms {
    /// These hold something.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn fill_rooms(&self, queue: Queue, rooms: &BTreeSet<Room>) -> Result<(), LedgerError>;

    /// Nothing was found in this one.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn empty_room(&self, room: Room) -> Result<(), LedgerError>;

    /// Those of a queue that may hold something.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn rooms(&self, queue: Queue) -> Result<BTreeSet<Room>, LedgerError>;
}
