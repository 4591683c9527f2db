//! A waiting room: where the messages of a level wait, in their order, for which a limit has no place. Pure; it stores nothing.

use std::fmt;

use crate::hash::stable;
use crate::queue::{Level, Queue};

/// How many rooms a level has. A room is a queue on the broker, and keys come from users: so their number has a bound, and two
/// gates in a thousand share one. Then they wait for each other, and nothing worse.
pub(crate) const ROOMS: u16 = 1024;

/// A waiting room of one level of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Room {
    queue: Queue,
    level: Level,
    number: u16,
}

impl Room {
    /// The room of what waits before this gate. A gate's name may be anything: only its hash goes on.
    #[must_use]
    pub fn of(queue: Queue, level: Level, gate: &str) -> Self {
        let hash = stable(gate.as_bytes());
        let folded = (hash ^ (hash >> 32)) % u64::from(ROOMS);
        let number = u16::try_from(folded).unwrap_or_default();
        Self {
            queue,
            level,
            number,
        }
    }

    /// The room that was written down as this; none when it is none of the queue's.
    #[must_use]
    pub fn named(queue: Queue, name: &str) -> Option<Self> {
        let (level, number) = name.split_once('-')?;
        let (level, number): (u8, u16) = (level.parse().ok()?, number.parse().ok()?);
        let level = queue.every_level().find(|each| each.number() == level)?;
        (number < ROOMS).then_some(Self {
            queue,
            level,
            number,
        })
    }

    /// Whose it is.
    #[must_use]
    pub const fn queue(&self) -> Queue {
        self.queue
    }

    /// The level that what waits here belongs to.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Its number on its level.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }
}

/// Its name within its queue: `2-17`.
impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.level, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Queue = Queue::named("q").levels(4);

    #[test]
    fn a_room_is_found_again_by_its_name_and_whatever_the_key() {
        for (gate, level) in [("render:0", 0), ("", 3), ("mail:1:ünï\n\0 key", 2)] {
            let room = Room::of(QUEUE, QUEUE.level_numbered(level), gate);
            assert_eq!(Room::named(QUEUE, &room.to_string()), Some(room));
            assert!(room.number() < ROOMS);
        }
        for none in ["", "1", "4-1", "1-1024", "a-b", "1-1-1"] {
            assert_eq!(Room::named(QUEUE, none), None, "{none:?}");
        }
    }

    #[test]
    fn a_room_is_the_same_in_every_version() {
        let numbers = ["two:0", "own:0:a", "own:0:b"]
            .map(|gate| Room::of(QUEUE, QUEUE.level_numbered(0), gate).number());
        assert_eq!(numbers, [324, 585, 32]);
    }
}
