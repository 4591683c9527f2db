//! How long a delivery waits here for a slot before it goes back: shorter the first times, so that an urgent message passes many
//! busy workers within a second; longer once it has been round, because then nobody has a slot. Pure.

use std::time::Duration;

use lapin::types::{AMQPValue, FieldTable};

/// The first times.
const SHORT: Duration = Duration::from_millis(100);
/// After [`ROUNDS`].
const LONG: Duration = Duration::from_millis(400);
/// How often a message goes back after a short while. Beyond that, a full house costs next to nothing.
const ROUNDS: i64 = 8;
/// How often a quorum queue has handed it out before; the second is the name since RabbitMQ 4.3.
const COUNTS: [&str; 2] = ["x-acquired-count", "x-delivery-count"];

/// For a delivery with these headers. Of a queue that does not count, every delivery is held long.
pub(super) fn hold(headers: Option<&FieldTable>, redelivered: bool) -> Duration {
    match headers.and_then(count).or((!redelivered).then_some(0)) {
        Some(before) if before < ROUNDS => SHORT,
        _ => LONG,
    }
}

fn count(headers: &FieldTable) -> Option<i64> {
    let mut counts = COUNTS.iter().filter_map(|name| headers.inner().get(*name));
    counts.find_map(|value| match value {
        AMQPValue::LongLongInt(count) => Some(*count),
        AMQPValue::LongInt(count) => Some((*count).into()),
        AMQPValue::LongUInt(count) => Some((*count).into()),
        AMQPValue::ShortInt(count) => Some((*count).into()),
        AMQPValue::ShortUInt(count) => Some((*count).into()),
        AMQPValue::ShortShortInt(count) => Some((*count).into()),
        AMQPValue::ShortShortUInt(count) => Some((*count).into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_longer_once_it_has_been_round() {
        let headers = |name: &str, count| {
            let mut headers = FieldTable::default();
            headers.insert(name.into(), AMQPValue::LongLongInt(count));
            headers
        };
        let (fresh, round) = (headers(COUNTS[1], 7), headers(COUNTS[1], 8));
        let since_4_3 = headers(COUNTS[0], 8);
        let table = [
            (None, false, SHORT),
            (None, true, LONG),
            (Some(&fresh), true, SHORT),
            (Some(&round), true, LONG),
            (Some(&since_4_3), true, LONG),
        ];
        for (headers, redelivered, expected) in table {
            assert_eq!(hold(headers, redelivered), expected, "{headers:?}");
        }
    }
}
