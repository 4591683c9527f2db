//! What waits in a worker's queue, as it was last counted. Values only: counting is the worker's.

use std::time::SystemTime;

use crate::queue::Level;

/// A queue, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Its levels, highest first.
    pub levels: Vec<LevelCensus>,
    /// How many dead letters lie in its dead-letter queue.
    pub dead: u64,
}

/// A level of a queue, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelCensus {
    /// Which.
    pub level: Level,
    /// How many messages wait for a worker, or for a place in a limit.
    pub ready: u64,
    /// How many workers consume it.
    pub consumers: u64,
    /// When the first of those that wait was queued, as far as it was looked at.
    pub oldest: Option<SystemTime>,
}
