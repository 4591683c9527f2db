//! When things are due, by table: the clock put forward and back in two zones, ends of months, leap days. Times on the left are
//! what the clock on the wall shows where it matters, and UTC otherwise.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::duration::{hours, minutes, seconds};

fn tick(utc: &str) -> Tick {
    let time: Timestamp = utc.parse().expect("a time in UTC");
    Tick::at(time.as_second())
}

/// The first ticks after a moment, as the clock of the zone shows them, with its offset.
fn shown(pattern: &str, zone: &str, after: &str, many: usize) -> Vec<String> {
    let when = When::cron(pattern, zone).expect("a pattern");
    let zone = TimeZone::get(zone).expect("a zone");
    let show = |tick: Tick| {
        let time = zoned(tick, &zone).expect("in range");
        time.strftime("%m-%d %H:%M:%S %:z").to_string()
    };
    let ticks = std::iter::successors(when.next(tick(after)), |tick| when.next(*tick));
    ticks.take(many).map(show).collect()
}

struct Case {
    why: &'static str,
    pattern: &'static str,
    zone: &'static str,
    after: &'static str,
    expected: &'static [&'static str],
}

fn check(cases: &[Case]) {
    for case in cases {
        let found = shown(case.pattern, case.zone, case.after, case.expected.len());
        assert_eq!(found, case.expected, "{}: {}", case.why, case.pattern);
    }
}

#[test]
fn clocks_put_forward() {
    check(&[
        Case {
            why: "Lisbon, 29 March 2026: 01:00 becomes 02:00; a fixed time that does not exist runs right after",
            pattern: "0 30 1 * * *",
            zone: "Europe/Lisbon",
            after: "2026-03-27T12:00:00Z",
            expected: &[
                "03-28 01:30:00 +00:00",
                "03-29 02:00:00 +01:00",
                "03-30 01:30:00 +01:00",
            ],
        },
        Case {
            why: "New York, 8 March 2026: 02:00 becomes 03:00; 02:30 does not exist",
            pattern: "0 30 2 * * *",
            zone: "America/New_York",
            after: "2026-03-07T12:00:00Z",
            expected: &["03-08 03:00:00 -04:00", "03-09 02:30:00 -04:00"],
        },
        Case {
            why: "a step follows the wall: nothing in the hour that is not there",
            pattern: "0 */30 * * * *",
            zone: "America/New_York",
            after: "2026-03-08T06:15:00Z",
            expected: &[
                "03-08 01:30:00 -05:00",
                "03-08 03:00:00 -04:00",
                "03-08 03:30:00 -04:00",
            ],
        },
        Case {
            why: "a time beside the jump is not moved",
            pattern: "0 0 3 * * *",
            zone: "Europe/Lisbon",
            after: "2026-03-28T12:00:00Z",
            expected: &["03-29 03:00:00 +01:00", "03-30 03:00:00 +01:00"],
        },
    ]);
}

#[test]
fn clocks_put_back() {
    check(&[
        Case {
            why: "Lisbon, 25 October 2026: 02:00 becomes 01:00; a fixed time that comes twice runs the first time",
            pattern: "0 30 1 * * *",
            zone: "Europe/Lisbon",
            after: "2026-10-24T12:00:00Z",
            expected: &["10-25 01:30:00 +01:00", "10-26 01:30:00 +00:00"],
        },
        Case {
            why: "New York, 1 November 2026: 02:00 becomes 01:00; 01:30 comes twice",
            pattern: "0 30 1 * * *",
            zone: "America/New_York",
            after: "2026-10-31T12:00:00Z",
            expected: &["11-01 01:30:00 -04:00", "11-02 01:30:00 -05:00"],
        },
        Case {
            why: "a step follows the wall: both times",
            pattern: "0 */30 * * * *",
            zone: "America/New_York",
            after: "2026-11-01T04:45:00Z",
            expected: &[
                "11-01 01:00:00 -04:00",
                "11-01 01:30:00 -04:00",
                "11-01 01:00:00 -05:00",
                "11-01 01:30:00 -05:00",
                "11-01 02:00:00 -05:00",
            ],
        },
    ]);
}

/// A list or a range in minutes or hours is no fixed time: the clock on the wall is followed.
#[test]
fn lists_and_ranges_where_clocks_jump() {
    check(&[
        Case {
            why: "New York: of two times, none exists on 8 March, and neither is moved",
            pattern: "0 0,30 2 * * *",
            zone: "America/New_York",
            after: "2026-03-08T00:00:00Z",
            expected: &["03-09 02:00:00 -04:00", "03-09 02:30:00 -04:00"],
        },
        Case {
            why: "of a list of hours, the one that does not exist is left out",
            pattern: "0 30 1,2 * * *",
            zone: "America/New_York",
            after: "2026-03-08T00:00:00Z",
            expected: &[
                "03-08 01:30:00 -05:00",
                "03-09 01:30:00 -04:00",
                "03-09 02:30:00 -04:00",
            ],
        },
        Case {
            why: "a range that spans the jump",
            pattern: "0 0 1-3 * * *",
            zone: "America/New_York",
            after: "2026-03-08T00:00:00Z",
            expected: &[
                "03-08 01:00:00 -05:00",
                "03-08 03:00:00 -04:00",
                "03-09 01:00:00 -04:00",
            ],
        },
        Case {
            why: "of a list of hours, the one that comes twice runs twice",
            pattern: "0 30 1,3 * * *",
            zone: "America/New_York",
            after: "2026-11-01T00:00:00Z",
            expected: &[
                "11-01 01:30:00 -04:00",
                "11-01 01:30:00 -05:00",
                "11-01 03:30:00 -05:00",
            ],
        },
    ]);
}

#[test]
fn a_day_of_the_month_or_a_day_of_the_week() {
    check(&[
        Case {
            why: "both are given: either is enough, as in every cron; 1 February 2026 is a Sunday",
            pattern: "0 0 0 1 * MON",
            zone: "UTC",
            after: "2026-01-31T00:00:00Z",
            expected: &[
                "02-01 00:00:00 +00:00",
                "02-02 00:00:00 +00:00",
                "02-09 00:00:00 +00:00",
            ],
        },
        Case {
            why: "one of them is *: the other decides",
            pattern: "0 0 0 1 * *",
            zone: "UTC",
            after: "2026-01-31T00:00:00Z",
            expected: &["02-01 00:00:00 +00:00", "03-01 00:00:00 +00:00"],
        },
        Case {
            why: "a plus before the day of the week: both; the next first that is a Monday",
            pattern: "0 0 0 1 * +MON",
            zone: "UTC",
            after: "2026-01-31T00:00:00Z",
            expected: &["06-01 00:00:00 +00:00", "02-01 00:00:00 +00:00"],
        },
    ]);
}

#[test]
fn ends_of_months_and_leap_days() {
    check(&[
        Case {
            why: "29 February comes every four years",
            pattern: "0 0 12 29 2 *",
            zone: "UTC",
            after: "2026-01-01T00:00:00Z",
            expected: &["02-29 12:00:00 +00:00"],
        },
        Case {
            why: "the 31st is skipped where there is none",
            pattern: "0 0 0 31 * *",
            zone: "UTC",
            after: "2026-01-31T00:00:00Z",
            expected: &[
                "03-31 00:00:00 +00:00",
                "05-31 00:00:00 +00:00",
                "07-31 00:00:00 +00:00",
            ],
        },
        Case {
            why: "L is the last day, in a leap year, too",
            pattern: "0 0 0 L 2 *",
            zone: "UTC",
            after: "2027-01-01T00:00:00Z",
            expected: &[
                "02-28 00:00:00 +00:00",
                "02-29 00:00:00 +00:00",
                "02-28 00:00:00 +00:00",
            ],
        },
        Case {
            why: "five fields have no seconds",
            pattern: "59 23 31 12 *",
            zone: "UTC",
            after: "2026-12-31T23:58:59Z",
            expected: &["12-31 23:59:00 +00:00", "12-31 23:59:00 +00:00"],
        },
    ]);
    let leap = When::cron("0 0 12 29 2 *", "UTC").expect("a pattern");
    let next = leap.next(tick("2028-02-29T12:00:00Z"));
    assert_eq!(next, Some(tick("2032-02-29T12:00:00Z")));
}

#[test]
fn nicknames_are_the_first_moment_of_what_they_name() {
    let first = |pattern, expected| Case {
        why: "in the zone of the entry; 1 January 2027 is a Friday, 3 January a Sunday",
        pattern,
        zone: "Europe/Lisbon",
        after: "2026-12-31T12:30:00Z",
        expected,
    };
    check(&[
        first("@hourly", &["12-31 13:00:00 +00:00"]),
        first("@daily", &["01-01 00:00:00 +00:00"]),
        first("@weekly", &["01-03 00:00:00 +00:00"]),
        first(
            "@monthly",
            &["01-01 00:00:00 +00:00", "02-01 00:00:00 +00:00"],
        ),
        first("@yearly", &["01-01 00:00:00 +00:00"]),
    ]);
    for none in ["@reboot", "@midnight", "@every 5m"] {
        When::cron(none, "UTC").expect_err(none);
    }
}

#[test]
fn a_pattern_has_five_fields_or_six() {
    for wrong in ["", "* * * *", "0 0 0 1 1 * 2030", "0 0 0 1 1 * *"] {
        let said = When::cron(wrong, "UTC").expect_err(wrong).to_string();
        assert!(said.contains("five fields, or six"), "{said}");
    }
}

#[test]
fn every_counts_from_1970_and_once_comes_once() {
    let every = When::every(minutes(15)).expect("a period");
    assert_eq!(every.next(Tick::at(0)), Some(Tick::at(900)));
    assert_eq!(every.next(Tick::at(899)), Some(Tick::at(900)));
    assert_eq!(every.next(Tick::at(-1)), Some(Tick::at(0)));
    assert_eq!(
        every.latest(Tick::at(0), Tick::at(2000)),
        Some(Tick::at(1800))
    );
    assert_eq!(every.latest(Tick::at(1800), Tick::at(2000)), None);
    let once = When::at(Tick::at(50));
    assert_eq!(once.next(Tick::at(49)), Some(Tick::at(50)));
    assert_eq!(once.next(Tick::at(50)), None);
    assert_eq!(once.latest(Tick::at(0), Tick::at(49)), None);
    for bad in [Duration::ZERO, Duration::from_millis(1500), hours(24 * 367)] {
        assert_eq!(
            When::every(bad).expect_err("no period"),
            BadWhen::Every(bad)
        );
    }
}

#[test]
fn times_are_told_as_they_are_written() {
    let cron = When::cron("0 0 3 * * *", "Europe/Lisbon").expect("a pattern");
    assert_eq!(cron.to_string(), "0 0 3 * * * Europe/Lisbon");
    assert_eq!(
        (cron.pattern(), cron.zone()),
        (Some("0 0 3 * * *"), Some("Europe/Lisbon"))
    );
    let elsewhere = cron.clone().in_zone("UTC").expect("a zone");
    assert_eq!(elsewhere.to_string(), "0 0 3 * * * UTC");
    assert_ne!(cron.fingerprint(), elsewhere.fingerprint());
    assert_eq!(
        When::every(seconds(90)).expect("a period").to_string(),
        "every 90s"
    );
    assert_eq!(
        "2027-01-31T09:00:00+01:00".parse(),
        Ok(tick("2027-01-31T08:00:00Z"))
    );
    assert!("tomorrow".parse::<Tick>().is_err());
    assert_eq!(When::at(Tick::at(0)).to_string(), "at 1970-01-01T00:00:00Z");
}

proptest! {
    /// The last tick of a stretch is the one that going through it finds, around the jumps of clocks, too.
    #[test]
    fn looking_back_agrees_with_looking_forward(
        pattern in prop::sample::select(vec![
            "0 30 1 * * *", "0 30 2 * * *", "0 */20 * * * *", "0 0 0 31 * *", "30 15 1,2,3 * * *",
        ]),
        zone in prop::sample::select(vec!["Europe/Lisbon", "America/New_York", "UTC"]),
        from in prop::sample::select(vec!["2026-03-07T00:00:00Z", "2026-03-28T00:00:00Z", "2026-10-24T00:00:00Z", "2026-10-31T00:00:00Z"]),
        upto in 0i64..3 * 24 * 3600,
    ) {
        let when = When::cron(pattern, zone).expect("a pattern");
        let after = tick(from);
        let upto = Tick::at(after.seconds() + upto);
        prop_assert_eq!(when.latest(after, upto), when.between(after, upto).last());
    }
}
