//! A delay as the route through the ladder: 32 bits, one step of the ladder each. Pure; declares and sends nothing.

use std::time::Duration;

use crate::broker::{MAX_DELAY, PublishError};

/// What the lowest step of the ladder waits.
pub(super) const UNIT: Duration = Duration::from_millis(100);
/// How many steps the ladder has.
pub(super) const STEPS: u8 = 32;

/// The delay in units, rounded up: a message never comes early.
pub(super) fn units(delay: Duration) -> Result<u32, PublishError> {
    let units = delay.as_nanos().div_ceil(UNIT.as_nanos());
    u32::try_from(units).map_err(|_| PublishError::DelayTooLong {
        delay,
        limit: MAX_DELAY,
    })
}

/// The key that leads a message over the steps whose bit is set and then to `target`.
pub(super) fn routing_key(units: u32, target: &str) -> String {
    let mut key = String::with_capacity(usize::from(STEPS) * 2 + target.len());
    for step in (0..STEPS).rev() {
        key.push(if units >> step & 1 == 1 { '1' } else { '0' });
        key.push('.');
    }
    key + target
}

/// How long a step of the ladder holds a message, in milliseconds.
pub(super) fn step_millis(step: u8) -> i64 {
    (UNIT.as_millis() as i64) << step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_to_the_unit() {
        let table = [
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(99), 1),
            (Duration::from_millis(100), 1),
            (Duration::from_millis(101), 2),
            (Duration::from_secs(1), 10),
            (Duration::new(1, 1), 11),
            (Duration::from_secs(86_400), 864_000),
            (MAX_DELAY, u32::MAX),
        ];
        for (delay, expected) in table {
            assert_eq!(units(delay).expect("short enough"), expected, "{delay:?}");
        }
    }

    #[test]
    fn a_delay_beyond_the_ladder_is_a_typed_error() {
        for delay in [MAX_DELAY + Duration::from_nanos(1), Duration::MAX] {
            assert!(
                matches!(units(delay), Err(PublishError::DelayTooLong { .. })),
                "{delay:?}"
            );
        }
    }

    #[test]
    fn the_steps_of_the_set_bits_add_up_to_the_delay() {
        for delay in [1_u32, 2, 3, 10, 255, 864_000, u32::MAX] {
            let key = routing_key(delay, "target");
            let bits = key.split('.').take(32).enumerate();
            let waited: i64 = bits
                .filter(|(_, bit)| *bit == "1")
                .map(|(i, _)| step_millis(31 - i as u8))
                .sum();
            assert_eq!(waited, i64::from(delay) * 100);
        }
    }

    #[test]
    fn the_key_is_32_bits_and_the_target() {
        assert_eq!(
            routing_key(5, "app.q.3"),
            "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.1.app.q.3"
        );
        assert_eq!(routing_key(u32::MAX, "").len(), 64);
    }
}
