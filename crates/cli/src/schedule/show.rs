//! Entries as people and programs read them. Pure.

use std::collections::BTreeMap;

use sapari_runtime::ledger::Written;
use sapari_runtime::schedule::{Clock, Entry, Firing, Known, Tick, WrittenEntry};
use sapari_tasks::find_queue;
use serde_json::{Value, json};

use crate::table::{UNKNOWN, aligned, plain};

/// One entry, as it is shown.
pub(crate) struct Row {
    id: String,
    of: &'static str,
    paused: bool,
    /// The entry, or why it is none.
    entry: Result<Entry, String>,
    last: Option<Tick>,
}

/// Every entry, by id; those of the timetable first.
pub(crate) fn rows(written: &Written, settled: &BTreeMap<String, Known>) -> Vec<Row> {
    let row = |of, (id, text): (&String, &String)| {
        let entry = WrittenEntry::read(id, text).and_then(|it| it.entry(id, find_queue));
        Row {
            id: id.clone(),
            of,
            paused: written.paused.contains(id),
            entry: entry.map_err(|error| error.to_string()),
            last: settled.get(id).map(|known| known.last),
        }
    };
    let added = written
        .added
        .iter()
        .map(|added| match written.posted.contains_key(added.0) {
            true => Row::left_out(added.0),
            false => row("added", added),
        });
    let posted = written.posted.iter().map(|posted| row("timetable", posted));
    posted.chain(added).collect()
}

impl Row {
    /// An added entry whose id is one of the timetable's: that one stays as it is.
    fn left_out(id: &str) -> Self {
        let why = format!(
            "the timetable has an entry {id}, too: `sapari schedule remove {id}` removes this one"
        );
        Self {
            id: id.to_owned(),
            of: "added",
            paused: false,
            entry: Err(why),
            last: None,
        }
    }

    fn state(&self) -> &'static str {
        match (&self.entry, self.paused) {
            (Err(_), _) => "broken",
            (Ok(_), true) => "paused",
            (Ok(_), false) => "on",
        }
    }

    fn next(&self) -> Option<String> {
        let entry = self.entry.as_ref().ok().filter(|_| !self.paused)?;
        Some(next(entry)?.to_string())
    }

    fn cells(&self) -> [String; 9] {
        let told = |moment: Option<String>| moment.unwrap_or(UNKNOWN.to_owned());
        let (when, task, missed, overlap) = match &self.entry {
            Ok(entry) => {
                let (missed, overlap) = entry.policies();
                let task = format!("{} on {}", entry.task(), entry.queue());
                (
                    entry.when().to_string(),
                    task,
                    missed.to_string(),
                    overlap.to_string(),
                )
            }
            Err(why) => (
                why.clone(),
                UNKNOWN.to_owned(),
                UNKNOWN.to_owned(),
                UNKNOWN.to_owned(),
            ),
        };
        [
            self.id.clone(),
            self.of.to_owned(),
            self.state().to_owned(),
            when,
            task,
            missed,
            overlap,
            told(self.last.map(|tick| tick.to_string())),
            told(self.next()),
        ]
        .map(|cell| plain(&cell))
    }

    /// For programs. Args are never shown.
    pub(crate) fn json(&self) -> Value {
        let mut value = json!({
            "entry": self.id, "of": self.of, "state": self.state(),
            "settled": self.last.map(|tick| tick.to_string()), "next": self.next(),
        });
        match &self.entry {
            Ok(entry) => {
                let (missed, overlap) = entry.policies();
                value["when"] = json!(entry.when().to_string());
                value["task"] = json!(entry.task());
                value["queue"] = json!(entry.queue().name());
                value["missed"] = json!(missed.to_string());
                value["overlap"] = json!(overlap.to_string());
                value["offset_seconds"] = json!(entry.offset().as_secs_f64());
            }
            Err(why) => value["error"] = json!(why),
        }
        value
    }
}

/// A head, and a row for each.
pub(crate) fn table(rows: &[Row]) -> Vec<String> {
    let head = [
        "entry", "of", "state", "when", "task", "missed", "overlap", "settled", "next",
    ];
    let head = head.map(str::to_owned);
    let rows = std::iter::once(head).chain(rows.iter().map(Row::cells));
    aligned(&rows.collect::<Vec<_>>())
}

/// The next time that an entry is fired.
pub(crate) fn next(entry: &Entry) -> Option<Firing> {
    entry.firings(Clock::system().now()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far enough ahead that the clock does not matter.
    #[test]
    fn what_is_next_has_its_jitter_in_it() {
        let text = r#"{"at":4102444800,"task":"ping","queue":"render","jitter":"1h"}"#;
        let written = Written {
            posted: BTreeMap::new(),
            added: [("new-year".to_owned(), text.to_owned())].into(),
            paused: [].into(),
            version: 1,
        };
        let rows = rows(&written, &BTreeMap::new());
        let offset = rows[0].entry.as_ref().expect("an entry").offset();
        let next = rows[0].next().expect("to come");
        let minutes = offset.as_secs() / 60;
        assert!(minutes > 0, "choose another id: {offset:?}");
        let expected = format!("2100-01-01T00:{minutes:02}:");
        assert!(next.starts_with(&expected), "{next}: {offset:?}");
        let json = rows[0].json();
        assert_eq!(json["next"], next);
        assert_eq!(json["offset_seconds"], offset.as_secs_f64());
        assert!(table(&rows)[1].ends_with(&next));
    }

    #[test]
    fn an_added_entry_with_an_id_of_the_timetable_is_broken() {
        let text = r#"{"every":"1m","task":"ping","queue":"render"}"#;
        let entry = BTreeMap::from([("often".to_owned(), text.to_owned())]);
        let written = Written {
            posted: entry.clone(),
            added: entry,
            paused: [].into(),
            version: 1,
        };
        let rows = rows(&written, &BTreeMap::new());
        let states: Vec<_> = rows.iter().map(|row| (row.of, row.state())).collect();
        assert_eq!(states, [("timetable", "on"), ("added", "broken")]);
        assert!(rows[1].cells()[3].contains("`sapari schedule remove often`"));
    }

    #[test]
    fn an_entry_is_a_row_and_a_broken_one_says_why() {
        let text = |text: &str| text.to_owned();
        let written = Written {
            posted: [(
                text("often"),
                text(r#"{"every":"1m","task":"ping","queue":"render"}"#),
            )]
            .into(),
            added: [
                (
                    text("gone"),
                    text(r#"{"at":7,"task":"ping","queue":"render"}"#),
                ),
                (
                    text("odd"),
                    text(r#"{"every":"1x","task":"ping","queue":"render","args":["s3cret"]}"#),
                ),
            ]
            .into(),
            paused: [text("often")].into(),
            version: 1,
        };
        let known = Known {
            last: Tick::at(60),
            of: 0,
            waits: false,
        };
        let settled = [(text("often"), known)].into();
        let lines = table(&rows(&written, &settled));
        let words = |line: &String| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let told: Vec<String> = lines.iter().map(words).collect();
        assert_eq!(
            told[1],
            "often timetable paused every 60s ping on render skip allow 1970-01-01T00:01:00Z -"
        );
        assert_eq!(
            told[2],
            "gone added on at 1970-01-01T00:00:07Z ping on render run-once allow - -"
        );
        assert!(
            told[3].starts_with("odd added broken entry odd: \"1x\" is not a duration"),
            "{}",
            told[3]
        );
        let json = rows(&written, &settled)
            .iter()
            .map(Row::json)
            .collect::<Vec<_>>();
        assert_eq!(json[0]["settled"], "1970-01-01T00:01:00Z");
        assert_eq!(json[2]["state"], "broken");
        assert!(!format!("{json:?}{lines:?}").contains("s3cret"));
    }
}
