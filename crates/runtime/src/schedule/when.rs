//! When an entry is due: a cron pattern in a time zone, every so often, or once. Whole seconds, as functions of time alone, so
//! that any number of schedulers come to the same ticks. What was fired is not known here.
//!
//! The rule for clocks that are put forward or back, which is croner's:
//!
//! - A pattern with a fixed hour and minute runs once a day. A time that does not exist, because the clock jumps over it, runs
//!   at the first moment after the jump; a time that exists twice runs the first time.
//! - A pattern with a wildcard or a step in its seconds, minutes or hours follows the clock on the wall: nothing in an hour that
//!   does not exist, and again in an hour that comes twice.
//! - `every` knows no wall clock: it counts seconds since 1970.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::hash;

/// Seconds, minutes, hours, days, months, weekdays.
const MOST_FIELDS: usize = 6;
/// The longest time between two ticks of `every`.
const LONGEST_EVERY: Duration = Duration::from_secs(366 * 24 * 3600);

/// A moment at which an entry is due: whole seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(i64);

impl Tick {
    /// The tick at so many seconds since 1970.
    #[must_use]
    pub const fn at(seconds: i64) -> Self {
        Self(seconds)
    }

    /// The last whole second before or at this time.
    #[must_use]
    pub fn before(time: SystemTime) -> Self {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => seconds(since),
            Err(ahead) => -seconds(ahead.duration()),
        })
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// The tick so many seconds later.
    #[must_use]
    pub(crate) const fn forward(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The tick so much earlier.
    #[must_use]
    pub fn back(self, time: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(time.as_secs()))
    }
}

/// A moment as RFC 3339 has it, like `2027-01-31T08:00:00Z` or with an offset.
impl FromStr for Tick {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time: Result<Timestamp, _> = text.parse();
        let wrong = |_| {
            format!("{text:?} is no moment up to the year 9998; write it like 2027-01-31T08:00:00Z")
        };
        time.map(|time| Self(time.as_second())).map_err(wrong)
    }
}

/// In UTC, as RFC 3339 has it.
impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_second(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} s since 1970", self.0),
        }
    }
}

/// When an entry is due.
#[derive(Debug, Clone)]
pub struct When(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Cron { cron: Box<Cron>, zone: TimeZone },
    Every(i64),
    At(Tick),
}

/// A time that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadWhen {
    /// Not a pattern.
    #[error(
        "{pattern:?} is no cron pattern: {why}; write five fields, or six with seconds before them, like \"0 */15 * * * *\""
    )]
    Pattern {
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A pattern whose time never comes.
    #[error("{0:?} never comes: no date fits it")]
    Never(String),
    /// Not a zone.
    #[error("{0:?} is no time zone; write its IANA name, like Europe/Lisbon")]
    Zone(String),
    /// Not whole seconds, or too few or too many.
    #[error("every {0:?} is not possible: whole seconds, from 1 s to 366 days")]
    Every(Duration),
}

impl When {
    /// At the times of a cron pattern, by the clocks of a zone. Five fields, or six with seconds before them; or `@hourly`, `@daily`,
    /// `@weekly`, `@monthly`, `@yearly`, each at its first moment.
    ///
    /// # Errors
    /// [`BadWhen`]: not a pattern, one that never comes, or not a zone.
    pub fn cron(pattern: &str, zone: &str) -> Result<Self, BadWhen> {
        let bad = |why: String| BadWhen::Pattern {
            pattern: pattern.to_owned(),
            why,
        };
        // croner takes a seventh for the year. What comes in certain years is no schedule, and would stay behind when they are over.
        if pattern.split_whitespace().count() > MOST_FIELDS {
            return Err(bad("no field is for the year".to_owned()));
        }
        let cron = Cron::from_str(pattern).map_err(|error| bad(error.to_string()))?;
        let zone = zone_named(zone)?;
        let when = Self(Kind::Cron {
            cron: Box::new(cron),
            zone,
        });
        // 1970 rather than now: whether it is possible does not depend on today.
        match when.next(Tick(0)) {
            Some(_) => Ok(when),
            None => Err(BadWhen::Never(pattern.to_owned())),
        }
    }

    /// Every so often, counted from 1970: `every(minutes(1))` is due at each full minute.
    ///
    /// # Errors
    /// [`BadWhen::Every`].
    pub fn every(time: Duration) -> Result<Self, BadWhen> {
        let whole = time.subsec_nanos() == 0 && !time.is_zero() && time <= LONGEST_EVERY;
        match i64::try_from(time.as_secs()) {
            Ok(seconds) if whole => Ok(Self(Kind::Every(seconds))),
            _ => Err(BadWhen::Every(time)),
        }
    }

    /// Once.
    #[must_use]
    pub fn at(tick: Tick) -> Self {
        Self(Kind::At(tick))
    }

    /// The same pattern by the clocks of another zone; `every` and `at` know none.
    ///
    /// # Errors
    /// [`BadWhen::Zone`].
    pub fn in_zone(self, name: &str) -> Result<Self, BadWhen> {
        let zone = zone_named(name)?;
        Ok(match self.0 {
            Kind::Cron { cron, .. } => Self(Kind::Cron { cron, zone }),
            other => Self(other),
        })
    }

    /// Whether it comes only once.
    #[must_use]
    pub fn is_once(&self) -> bool {
        matches!(self.0, Kind::At(_))
    }

    /// The cron pattern, if it is one.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        match &self.0 {
            Kind::Cron { cron, .. } => Some(cron.as_str()),
            _ => None,
        }
    }

    /// The name of the zone, if it goes by clocks on a wall.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        match &self.0 {
            Kind::Cron { zone, .. } => zone.iana_name().or(Some("UTC")),
            _ => None,
        }
    }

    /// How often, if it is every so often.
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        match self.0 {
            Kind::Every(seconds) => Some(Duration::from_secs(seconds.unsigned_abs())),
            _ => None,
        }
    }

    /// The moment, if it comes once.
    #[must_use]
    pub fn moment(&self) -> Option<Tick> {
        match self.0 {
            Kind::At(tick) => Some(tick),
            _ => None,
        }
    }

    /// The first tick after this one.
    #[must_use]
    pub fn next(&self, after: Tick) -> Option<Tick> {
        match &self.0 {
            Kind::Cron { cron, zone } => {
                let found = cron.find_next_occurrence(&zoned(after, zone)?, false);
                Some(Tick(found.ok()?.timestamp().as_second()))
            }
            Kind::Every(seconds) => {
                let passed = after.0.div_euclid(*seconds);
                Some(Tick(passed.checked_add(1)?.checked_mul(*seconds)?))
            }
            Kind::At(tick) => (*tick > after).then_some(*tick),
        }
    }

    /// The ticks after the first and up to the second, the earliest first.
    pub fn between(&self, after: Tick, upto: Tick) -> impl Iterator<Item = Tick> {
        let up_to_then = move |tick: &Tick| *tick <= upto;
        let first = self.next(after).filter(up_to_then);
        std::iter::successors(first, move |tick| self.next(*tick).filter(up_to_then))
    }

    /// The last tick of those.
    #[must_use]
    pub fn latest(&self, after: Tick, upto: Tick) -> Option<Tick> {
        let from = match &self.0 {
            Kind::Cron { cron, zone } => {
                // Looking back is a guess around a jump of the clock; looking forward from a day before it is what counts.
                let found = cron.find_previous_occurrence(&zoned(upto, zone)?, true);
                let guess = found.map_or(after.0, |found| found.timestamp().as_second());
                let nearby = self.between(after.max(Tick(guess - 1)), upto).last();
                if nearby.is_some() {
                    return nearby;
                }
                after.max(Tick(guess - 24 * 3600))
            }
            Kind::Every(seconds) => after.max(Tick(upto.0 - seconds)),
            Kind::At(_) => after,
        };
        self.between(from, upto).last()
    }

    /// Changes when this does: an entry that is due at other times begins anew.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        hash::stable(self.to_string().as_bytes())
    }
}

/// A zone of the IANA database. What else lies among its files means another one on each machine, or counts leap seconds.
fn zone_named(name: &str) -> Result<TimeZone, BadWhen> {
    let bad = || BadWhen::Zone(name.to_owned());
    let lower = name.to_ascii_lowercase();
    let is_local = matches!(&*lower, "localtime" | "posixrules");
    if is_local || lower.starts_with("right/") || lower.starts_with("posix/") {
        return Err(bad());
    }
    TimeZone::get(name).map_err(|_| bad())
}

fn zoned(tick: Tick, zone: &TimeZone) -> Option<Zoned> {
    Some(Timestamp::from_second(tick.0).ok()?.to_zoned(zone.clone()))
}

/// As people write it.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Cron { cron, .. } => {
                write!(f, "{} {}", cron.as_str(), self.zone().unwrap_or("UTC"))
            }
            Kind::Every(seconds) => write!(f, "every {seconds}s"),
            Kind::At(tick) => write!(f, "at {tick}"),
        }
    }
}

#[cfg(test)]
mod tests;
