//! An entry as JSON: how it is written down for all schedulers to read, and shown to people. What somebody wrote by hand and makes
//! no sense is an error for that entry, and for no other.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::entry::{BadEntry, Entry, Missed, Overlap};
use super::when::{BadWhen, Tick, When};
use crate::duration;
use crate::message::Args;
use crate::queue::{Priority, Queue};

/// Finds a queue by its name.
pub type FindQueue = fn(&str) -> Option<Queue>;

/// An entry, written down. One of `cron`, `every` and `at`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenEntry {
    /// The cron pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The time zone of the pattern; none is UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tz: Option<String>,
    /// Every so often, like `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// Once, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<i64>,
    /// The task's name.
    pub task: String,
    /// Where it waits.
    pub queue: String,
    /// 0 to 3; none is normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Args by position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Value>,
    /// Args by keyword.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub kwargs: Map<String, Value>,
    /// After how long a run is too late, like `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The most that it is fired later than its ticks, like `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<String>,
    /// `skip`, `run-once`, or `run-all:1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<String>,
    /// `allow`, `skip`, or `queue-one`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// When it was added, in seconds since 1970; none is when a scheduler first sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

/// The most that an entry may be fired later than its ticks.
const MOST_JITTER: Duration = duration::hours(24);
/// The last second of the year 9999: later moments have no date to show.
const LAST_MOMENT: i64 = 253_402_300_799;

impl WrittenEntry {
    /// Reads JSON.
    ///
    /// # Errors
    /// [`BadEntry::Written`].
    pub fn read(id: &str, json: &str) -> Result<Self, BadEntry> {
        // Not the library's text: it repeats what it cannot read, and args stand there.
        serde_json::from_str(json).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            bad(
                id,
                format!("it is not what is written of an entry, at {place}"),
            )
        })
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("string keys and JSON values always serialize")
    }

    /// The entry that is meant.
    ///
    /// # Errors
    /// [`BadEntry`]: what makes no sense, with what to write instead.
    pub fn entry(&self, id: &str, find: FindQueue) -> Result<Entry, BadEntry> {
        let queue = find(&self.queue)
            .ok_or_else(|| bad(id, format!("there is no queue {:?}", self.queue)))?;
        let args = Args {
            positional: self.args.clone(),
            keyword: self.kwargs.clone(),
        };
        let mut entry = Entry::named(id, self.when(id)?, &self.task, queue, args)?;
        if let Some(priority) = self.priority {
            entry.priority = Priority::from_number(priority.into());
        }
        if let Some(missed) = &self.missed {
            entry.missed = missed_of(missed).map_err(|why| bad(id, why))?;
        }
        if let Some(overlap) = &self.overlap {
            entry.overlap = overlap_of(overlap).map_err(|why| bad(id, why))?;
        }
        let time = |text: &String| duration::parse(text).map_err(|why| bad(id, why));
        entry.jitter = self
            .jitter
            .as_ref()
            .map(time)
            .transpose()?
            .unwrap_or_default();
        if entry.jitter > MOST_JITTER {
            let why = "jitter is at most 24h: for more, give each entry times of its own";
            return Err(bad(id, why.to_owned()));
        }
        entry.expires = self.expires.as_ref().map(time).transpose()?;
        if entry.expires.is_some_and(|after| after.is_zero()) {
            let why = "expires is more than 0: every run would be too late at once";
            return Err(bad(id, why.to_owned()));
        }
        entry.since = self.since.map(Tick::at);
        Ok(entry)
    }

    fn when(&self, id: &str) -> Result<When, BadEntry> {
        let in_entry = |source: BadWhen| BadEntry::When {
            id: id.to_owned(),
            source,
        };
        match (&self.cron, &self.every, self.at) {
            (Some(cron), None, None) => {
                When::cron(cron, self.tz.as_deref().unwrap_or("UTC")).map_err(in_entry)
            }
            (None, Some(every), None) => {
                let every = duration::parse(every).map_err(|why| bad(id, why))?;
                When::every(every).map_err(in_entry)
            }
            (None, None, Some(at)) if (0..=LAST_MOMENT).contains(&at) => Ok(When::at(Tick::at(at))),
            (None, None, Some(_)) => {
                let why = "at is seconds since 1970, in a year up to 9999";
                Err(bad(id, why.to_owned()))
            }
            _ => Err(bad(id, "it says one of cron, every and at".to_owned())),
        }
    }
}

impl From<&Entry> for WrittenEntry {
    fn from(entry: &Entry) -> Self {
        let time = |time: Duration| format!("{}ms", time.as_millis());
        Self {
            cron: entry.when.pattern().map(str::to_owned),
            tz: entry.when.zone().map(str::to_owned),
            every: entry.when.period().map(|it| format!("{}s", it.as_secs())),
            at: entry.when.moment().map(Tick::seconds),
            task: entry.task.clone(),
            queue: entry.queue.name().to_owned(),
            priority: Some(entry.priority.number()),
            args: entry.args.positional.clone(),
            kwargs: entry.args.keyword.clone(),
            expires: entry.expires.map(time),
            jitter: (!entry.jitter.is_zero()).then(|| time(entry.jitter)),
            missed: Some(entry.missed.to_string()),
            overlap: Some(entry.overlap.to_string()),
            since: entry.since.map(Tick::seconds),
        }
    }
}

fn bad(id: &str, why: String) -> BadEntry {
    BadEntry::Written {
        id: id.to_owned(),
        why,
    }
}

/// Reads a policy as it is written: `skip`, `run-once`, `run-all:1h`.
///
/// # Errors
/// One sentence with what may be written.
pub fn missed_of(text: &str) -> Result<Missed, String> {
    match text.split_once(':') {
        None if text == "skip" => Ok(Missed::Skip),
        None if text == "run-once" => Ok(Missed::RunOnce),
        Some(("run-all", window)) => {
            let window = duration::parse(window)?;
            Ok(Missed::RunAll { window })
        }
        _ => Err(format!(
            "{text:?} says nothing about missed ticks; write skip, run-once, or run-all:1h"
        )),
    }
}

/// Reads a policy as it is written: `allow`, `skip`, `queue-one`.
///
/// # Errors
/// One sentence with what may be written.
pub fn overlap_of(text: &str) -> Result<Overlap, String> {
    match text {
        "allow" => Ok(Overlap::Allow),
        "skip" => Ok(Overlap::Skip),
        "queue-one" => Ok(Overlap::QueueOne),
        _ => Err(format!(
            "{text:?} says nothing about overlap; write allow, skip or queue-one"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::{hours, seconds};

    fn queue(name: &str) -> Option<Queue> {
        (name == "q").then_some(Queue::named("q"))
    }

    fn entry(when: When) -> Entry {
        let keyword = [("x".to_owned(), Value::from(1))].into_iter().collect();
        let args = Args {
            positional: Vec::new(),
            keyword,
        };
        Entry::named("e", when, "t", Queue::named("q"), args).expect("an entry")
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let all = Missed::RunAll { window: hours(1) };
        let cron = When::cron("0 0 3 * * *", "Europe/Lisbon").expect("a pattern");
        let table = [
            entry(cron)
                .missed(all)
                .jitter(seconds(7))
                .priority(Priority::High),
            entry(When::every(seconds(90)).expect("a period")).overlap(Overlap::QueueOne),
            entry(When::at(Tick::at(1_800_000_000))),
        ];
        for entry in table {
            let written = WrittenEntry::from(&entry);
            let read = WrittenEntry::read("e", &written.json()).expect("JSON");
            let again = read.entry("e", queue).expect("an entry");
            assert_eq!(format!("{again:?}"), format!("{entry:?}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_said_without_the_args() {
        let table = [
            (
                "s3cret",
                "it is not what is written of an entry, at line 1 column 1",
            ),
            (
                r#"{"task":"t","queue":"q","s3cret":1}"#,
                "not what is written",
            ),
            (r#"{"task":"t","queue":"q"}"#, "one of cron, every and at"),
            (
                r#"{"task":"t","queue":"q","every":"1m","at":5}"#,
                "one of cron, every and at",
            ),
            (
                r#"{"task":"t","queue":"z","every":"1m"}"#,
                "there is no queue \"z\"",
            ),
            (
                r#"{"task":"t","queue":"q","every":"1w"}"#,
                "write it like 500ms",
            ),
            (
                r#"{"task":"t","queue":"q","cron":"99 * * * *"}"#,
                "is no cron pattern",
            ),
            (
                r#"{"task":"t","queue":"q","every":"1m","missed":"all"}"#,
                "run-all:1h",
            ),
            (
                r#"{"task":"t","queue":"q","every":"1m","overlap":"no"}"#,
                "queue-one",
            ),
            (
                r#"{"task":"t","queue":"q","every":"1m","jitter":"9999999999999h"}"#,
                "at most 24h",
            ),
            (
                r#"{"task":"t","queue":"q","every":"1m","expires":"0s"}"#,
                "expires is more than 0",
            ),
            (
                r#"{"task":"t","queue":"q","cron":"0 0 0 1 1 * 2030"}"#,
                "no field is for the year; write five fields, or six",
            ),
            (
                r#"{"task":"t","queue":"q","at":9223372036854775807}"#,
                "up to 9999",
            ),
        ];
        for (json, words) in table {
            let meant = WrittenEntry::read("e", json).and_then(|it| it.entry("e", queue));
            let said = meant.expect_err(json).to_string();
            assert!(
                said.starts_with("entry e: ") && said.contains(words),
                "{said}"
            );
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
