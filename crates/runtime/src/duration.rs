//! Durations that read as they are said: `minutes(30)`, usable in constants.
//! Nothing but constructors; arithmetic is `std::time::Duration`'s.

use std::time::Duration;

/// `n` seconds.
#[must_use]
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` minutes.
#[must_use]
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// `n` hours.
#[must_use]
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

/// A duration as people type it: `500ms`, `5s`, `2m`, `1h`, `7d` (of 24 hours), `90` (seconds).
///
/// # Errors
/// One sentence with examples.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(not_a_duration(text)),
    };
    let number: f64 = number.parse().map_err(|_| not_a_duration(text))?;
    Duration::try_from_secs_f64(number * scale).map_err(|_| not_a_duration(text))
}

fn not_a_duration(text: &str) -> String {
    format!("{text:?} is not a duration; write it like 500ms, 5s, 2m, 1h or 7d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_type_them() {
        let table = [
            ("500ms", 500),
            ("5s", 5_000),
            ("1.5m", 90_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("90", 90_000),
        ];
        for (text, ms) in table {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "s",
            "5 s",
            "-1s",
            "1w",
            "1e3",
            "..",
            "99999999999999999999h",
        ] {
            assert!(parse(text).is_err(), "{text} was taken for a duration");
        }
    }
}
