//! Queues, levels and priorities as plain values.
//! What a queue is called on a broker, and of what type it is, is the broker's business.

use std::fmt;

/// The most levels a queue can have.
pub const MAX_LEVELS: u8 = 4;

/// One role's queue: a name and one to four priority levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    name: &'static str,
    levels: u8,
}

impl Queue {
    /// A queue with a single level.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self { name, levels: 1 }
    }

    /// The same queue with `levels` priority levels.
    ///
    /// # Panics
    /// When `levels` is not 1 to [`MAX_LEVELS`]; in a constant, that is a compile error.
    #[must_use]
    pub const fn levels(self, levels: u8) -> Self {
        assert!(
            levels >= 1 && levels <= MAX_LEVELS,
            "a queue has 1 to 4 levels"
        );
        Self {
            name: self.name,
            levels,
        }
    }

    /// The queue's name, without level or prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// How many levels the queue has.
    #[must_use]
    pub const fn level_count(self) -> u8 {
        self.levels
    }

    /// The level at which a message of this priority waits: its own, or the highest that the queue has.
    #[must_use]
    pub fn level(self, priority: Priority) -> Level {
        Level((priority as u8).min(self.levels - 1))
    }

    /// The level of this number, or the highest that the queue has.
    #[must_use]
    pub fn level_numbered(self, number: u8) -> Level {
        Level(number.min(self.levels - 1))
    }

    /// Every level, highest first: the order in which a free slot looks for work.
    pub fn every_level(self) -> impl DoubleEndedIterator<Item = Level> {
        (0..self.levels).rev().map(Level)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A priority level of one queue, 0 the lowest. Only a [`Queue`] hands them out, so a level always exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// The level as a number, 0 the lowest.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much a message matters beside the others of its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Work that nobody waits for.
    Low = 0,
    /// The usual.
    #[default]
    Normal = 1,
    /// A person waits for it.
    High = 2,
    /// Before everything else.
    Urgent = 3,
}

impl Priority {
    /// The priority of a TaskIQ `priority` label: numbers outside 0..=3 mean the nearest.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        match number {
            ..=0 => Self::Low,
            1 => Self::Normal,
            2 => Self::High,
            _ => Self::Urgent,
        }
    }

    /// 0 to 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_beyond_the_queues_levels_waits_at_its_highest() {
        let table = [
            (1, Priority::Urgent, 0),
            (1, Priority::Low, 0),
            (2, Priority::High, 1),
            (4, Priority::Low, 0),
            (4, Priority::Urgent, 3),
        ];
        for (levels, priority, expected) in table {
            assert_eq!(
                Queue::named("q").levels(levels).level(priority).number(),
                expected
            );
        }
    }

    #[test]
    fn free_slots_look_at_the_highest_level_first() {
        let order: Vec<u8> = Queue::named("q")
            .levels(3)
            .every_level()
            .map(Level::number)
            .collect();
        assert_eq!(order, [2, 1, 0]);
    }

    #[test]
    fn labels_outside_the_range_mean_the_nearest_priority() {
        assert_eq!(Priority::from_number(-7), Priority::Low);
        assert_eq!(Priority::from_number(2), Priority::High);
        assert_eq!(Priority::from_number(99), Priority::Urgent);
    }
}
