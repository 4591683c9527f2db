//! A timetable as it is written: entries in the order of their lines, each shaped by what follows it. A mistake is kept, and said
//! when the timetable is asked for its entries.

use std::collections::BTreeSet;
use std::time::Duration;

use super::entry::{BadEntry, Entry, Missed, Overlap};
use super::when::{BadWhen, Tick, When};
use crate::queue::Priority;
use crate::task::Task;

/// The entries that are part of a program.
///
/// ```
/// use sapari_runtime::prelude::*;
/// use sapari_runtime::schedule::{Missed, Overlap, Timetable};
///
/// #[derive(Serialize, Deserialize)]
/// struct Sweep { floor: u8 }
///
/// impl Task for Sweep {
///     const NAME: &'static str = "sweep";
///     const QUEUE: Queue = Queue::named("house");
///     type Output = ();
/// }
///
/// let timetable = Timetable::in_utc()
///     .cron("0 */15 * * * *", Sweep { floor: 0 })
///     .cron("0 0 3 * * *", Sweep { floor: 1 }).named("sweep-upstairs").tz("Europe/Lisbon").missed(Missed::RunOnce)
///     .every(minutes(1), Sweep { floor: 2 }).named("sweep-attic").overlap(Overlap::Skip);
/// assert_eq!(timetable.entries().unwrap().len(), 3);
/// ```
#[derive(Debug, Default)]
pub struct Timetable {
    zone: Option<String>,
    lines: Vec<Result<Entry, BadEntry>>,
}

impl Timetable {
    /// A timetable whose patterns go by UTC, unless they say otherwise.
    #[must_use]
    pub fn in_utc() -> Self {
        Self::default()
    }

    /// A timetable whose patterns go by the clocks of a zone, unless they say otherwise.
    #[must_use]
    pub fn in_zone(zone: impl Into<String>) -> Self {
        Self {
            zone: Some(zone.into()),
            lines: Vec::new(),
        }
    }

    /// A task at the times of a cron pattern. The entry is called like the task.
    #[must_use]
    pub fn cron<T: Task>(self, pattern: &str, task: T) -> Self {
        let when = When::cron(pattern, self.zone.as_deref().unwrap_or("UTC"));
        self.line(when, task)
    }

    /// A task every so often.
    #[must_use]
    pub fn every<T: Task>(self, time: Duration, task: T) -> Self {
        self.line(When::every(time), task)
    }

    /// A task once, at this moment. It is made up for when nobody could fire it then.
    #[must_use]
    pub fn at<T: Task>(self, moment: Tick, task: T) -> Self {
        self.line(Ok(When::at(moment)), task)
    }

    /// The entry before goes by the clocks of another zone.
    #[must_use]
    pub fn tz(self, zone: &str) -> Self {
        self.change(|entry| match entry.when.clone().in_zone(zone) {
            Ok(when) => Ok(Entry { when, ..entry }),
            Err(source) => Err(BadEntry::When {
                id: entry.id,
                source,
            }),
        })
    }

    /// The entry before is called like this; needed when a task stands there twice.
    #[must_use]
    pub fn named(self, id: &str) -> Self {
        self.change(|entry| {
            let renamed =
                Entry::named(id, entry.when.clone(), "", entry.queue, entry.args.clone())?;
            Ok(Entry {
                id: renamed.id,
                ..entry
            })
        })
    }

    /// As [`Entry::missed`], for the entry before.
    #[must_use]
    pub fn missed(self, missed: Missed) -> Self {
        self.change(|entry| Ok(entry.missed(missed)))
    }

    /// As [`Entry::overlap`], for the entry before.
    #[must_use]
    pub fn overlap(self, overlap: Overlap) -> Self {
        self.change(|entry| Ok(entry.overlap(overlap)))
    }

    /// As [`Entry::jitter`], for the entry before.
    #[must_use]
    pub fn jitter(self, most: Duration) -> Self {
        self.change(|entry| Ok(entry.jitter(most)))
    }

    /// As [`Entry::priority`], for the entry before.
    #[must_use]
    pub fn priority(self, priority: Priority) -> Self {
        self.change(|entry| Ok(entry.priority(priority)))
    }

    /// An entry that was made by itself.
    #[must_use]
    pub fn entry(mut self, entry: Entry) -> Self {
        self.lines.push(Ok(entry));
        self
    }

    /// All entries.
    ///
    /// # Errors
    /// [`BadEntry`]: the first that cannot be meant, or whose id another one has.
    pub fn entries(self) -> Result<Vec<Entry>, BadEntry> {
        let entries: Vec<Entry> = self.lines.into_iter().collect::<Result<_, _>>()?;
        let mut seen = BTreeSet::new();
        match entries.iter().find(|entry| !seen.insert(entry.id())) {
            Some(twice) => Err(BadEntry::Twice(twice.id.clone())),
            None => Ok(entries),
        }
    }

    fn line<T: Task>(mut self, when: Result<When, BadWhen>, task: T) -> Self {
        self.lines.push(match when {
            Ok(when) => Entry::new(T::NAME, when, task),
            Err(source) => Err(BadEntry::When {
                id: T::NAME.to_owned(),
                source,
            }),
        });
        self
    }

    /// A mistake stays the mistake it was.
    fn change(mut self, change: impl FnOnce(Entry) -> Result<Entry, BadEntry>) -> Self {
        if let Some(line) = self.lines.pop() {
            self.lines.push(line.and_then(change));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::{minutes, seconds};
    use crate::ping::Ping;

    fn mistake(timetable: Timetable) -> String {
        timetable.entries().expect_err("a mistake").to_string()
    }

    #[test]
    fn each_line_is_shaped_by_what_follows_it() {
        let entries = Timetable::in_zone("America/New_York")
            .cron("0 0 3 * * *", Ping {})
            .missed(Missed::RunOnce)
            .every(minutes(1), Ping {})
            .named("often")
            .overlap(Overlap::Skip)
            .entries()
            .expect("good");
        let told: Vec<_> = entries
            .iter()
            .map(|it| format!("{} {} {} {}", it.id, it.when, it.missed, it.overlap))
            .collect();
        assert_eq!(
            told,
            [
                "ping 0 0 3 * * * America/New_York run-once allow",
                "often every 60s skip skip"
            ]
        );
    }

    #[test]
    fn a_mistake_names_its_entry_and_what_to_write() {
        let table = [
            (
                mistake(Timetable::in_utc().cron("61 * * * *", Ping {})),
                "entry ping: \"61 * * * *\" is no cron pattern",
            ),
            (
                mistake(Timetable::in_utc().cron("0 0 30 2 *", Ping {})),
                "entry ping: \"0 0 30 2 *\" never comes",
            ),
            (
                mistake(Timetable::in_utc().cron("0 3 * * *", Ping {}).tz("Lisbon")),
                "entry ping: \"Lisbon\" is no time zone",
            ),
            (
                mistake(Timetable::in_utc().every(Duration::from_millis(1500), Ping {})),
                "entry ping: every 1.5s is not possible",
            ),
            (
                mistake(
                    Timetable::in_utc()
                        .every(seconds(1), Ping {})
                        .every(seconds(2), Ping {}),
                ),
                "two entries are called ping",
            ),
        ];
        for (said, expected) in table {
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
