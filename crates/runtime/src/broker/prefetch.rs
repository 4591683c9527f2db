//! How many messages of each level a worker holds, running ones included: a pure function of its slots.
//!
//! Few slots say that tasks are long: what is held beside those that run could start elsewhere, so it is as little as keeps a
//! slot from waiting for the broker. Many slots say that tasks are short: then the broker must be far ahead of them to stream.
//! That is where a worker begins; a broker that pushes may go up to the most once it sees that tasks are short.
//! What waits without a slot for longer than the hold time goes back in any case.

/// The most that is held ahead of the slots; more makes a drain no faster.
const MOST_AHEAD: u32 = 600;

/// For so many slots, to begin with.
pub(crate) fn prefetch(slots: u16) -> u16 {
    let slots = u32::from(slots.max(1));
    let ahead = (slots * slots / 2).clamp(slots, MOST_AHEAD.max(slots));
    u16::try_from(slots + ahead).unwrap_or(u16::MAX)
}

/// For so many slots, when tasks are seen to be short.
pub(crate) fn most_held(slots: u16) -> u16 {
    let slots = u32::from(slots.max(1));
    u16::try_from(slots + MOST_AHEAD.max(slots)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_slots_hold_little_and_many_hold_enough_to_stream() {
        let table = [
            (0, 2),
            (1, 2),
            (2, 4),
            (4, 12),
            (16, 144),
            (64, 664),
            (200, 800),
            (2000, 4000),
            (u16::MAX, u16::MAX),
        ];
        for (slots, expected) in table {
            assert_eq!(prefetch(slots), expected, "{slots} slots");
        }
    }

    #[test]
    fn more_slots_never_hold_less() {
        let held: Vec<u16> = (1..2000).map(prefetch).collect();
        assert!(held.is_sorted());
        assert!((1..2000).all(|slots| prefetch(slots) > slots));
        assert!((0..=u16::MAX).all(|slots| prefetch(slots) <= most_held(slots)));
        assert_eq!([1, 16, 200, 2000].map(most_held), [601, 616, 800, 4000]);
    }
}
