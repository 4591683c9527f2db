//! Every saved query of `deploy/logfire/queries`, executed on Logfire's engine over spans of a real run and asserted to the
//! number. The README of the package says what the spans are, how they came to be, and what differs from Logfire.

mod engine;
mod expected;
mod otlp;
mod record;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use engine::{Answer, Engine};
use expected::{Expected, names};
use record::Record;

/// 15 January 2026, 12:00 UTC, in microseconds.
const NOW: i64 = 1_768_478_400_000_000;
/// How long before now the last span of each fixture began.
const AGO: i64 = 5 * 60 * 1_000_000;

/// What a person puts in the place of a query's example.
const ASKED: [(&str, &str, &str); 1] = [(
    "project-history",
    "00000000-0000-0000-0000-000000000000",
    "5f0c5e9a-0000-4000-8000-000000000004",
)];

/// Columns without a value in any row, each with its reason.
const EMPTY: [(&str, &str); 0] = [];

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn queries() -> PathBuf {
    package().join("../../deploy/logfire/queries")
}

fn query(name: &str) -> String {
    let file = queries().join(format!("{name}.sql"));
    let text = std::fs::read_to_string(file).expect("a query is text");
    let of_query = ASKED.iter().filter(|(query, ..)| *query == name);
    of_query.fold(text, |text, (_, example, asked)| {
        assert!(text.contains(example), "{name} has no {example}");
        text.replace(example, asked)
    })
}

/// The rows of a fixture, moved in time so that the last of them began a few minutes ago.
fn fixture(name: &str) -> Vec<Record> {
    let file = package().join("fixtures").join(name);
    let lines = std::fs::read_to_string(file).expect("a fixture is text");
    let mut rows: Vec<Record> = otlp::spans(&lines).into_iter().map(Record::from).collect();
    let last = rows.iter().map(|row| row.start).max().expect("spans");
    let shift = NOW - AGO - last;
    for row in &mut rows {
        row.start += shift;
        row.end += shift;
    }
    rows
}

fn rows() -> Vec<Record> {
    let mut rows = fixture("run.jsonl");
    rows.extend(fixture("web-by-hand.jsonl"));
    rows
}

async fn engine() -> Engine {
    let table = table::table(&rows()).expect("columns of one length");
    Engine::over(table, NOW).await.expect("an engine")
}

#[tokio::test]
async fn every_query_answers_as_expected() {
    let engine = engine().await;
    let expected = Expected::beside(package());
    let names = names(&queries(), "sql");
    let mut wrong = Vec::new();
    for name in &names {
        match engine.answer(&query(name)).await {
            Ok(answer) => {
                wrong.extend(says_nothing(name, &answer));
                wrong.extend(expected.wrong(name, &answer.text));
            }
            Err(error) => wrong.push(format!("{name}: does not run: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(expected.names(), names, "one answer for each query");
}

/// An answer without rows, or without a value in a column, proves nothing.
fn says_nothing(name: &str, answer: &Answer) -> Option<String> {
    let empty: Vec<&str> = answer.empty.iter().map(String::as_str).collect();
    let known = EMPTY.iter().filter(|(query, _)| *query == name);
    let known: Vec<&str> = known.map(|(_, column)| *column).collect();
    (answer.rows == 0 || empty != known).then(|| {
        format!(
            "{name}: {} rows, empty columns {empty:?}, not {known:?}",
            answer.rows
        )
    })
}

/// What `scripts/capture-spans` does, counted without SQL. A new recording that differs is another run.
#[test]
fn the_run_is_the_one_that_the_script_plays() {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in fixture("run.jsonl") {
        let attributes: Value = serde_json::from_str(&row.attributes).expect("JSON");
        if let Some(outcome) = attributes["taskiq.outcome"].as_str() {
            let ended = (row.span_name, outcome.to_owned());
            *counts.entry(ended).or_default() += 1;
        }
    }
    let counts: Vec<(&str, &str, usize)> = counts
        .iter()
        .map(|((task, outcome), count)| (&**task, &**outcome, *count))
        .collect();
    let played = [
        ("taskiq.analyze_project", "dead", 2),
        ("taskiq.analyze_project", "done", 6),
        ("taskiq.analyze_project", "retry", 3),
        ("taskiq.download_media", "dead", 1),
        ("taskiq.download_media", "done", 2),
        ("taskiq.make_proxy", "done", 2),
        ("taskiq.normalize_image", "done", 2),
        ("taskiq.ping", "done", 9),
        ("taskiq.process_clip_artifacts", "done", 2),
        ("taskiq.render_export", "dead", 2),
        ("taskiq.render_export", "done", 3),
        ("taskiq.render_export", "interrupted", 1),
        ("taskiq.rescue_stuck_tasks", "done", 2),
        ("taskiq.send_email", "dead", 1),
        ("taskiq.send_email", "done", 2),
        ("taskiq.unknown", "dead", 2),
        ("taskiq.unknown", "snooze", 2),
    ];
    assert_eq!(counts, played);
}

#[tokio::test]
async fn levels_compare_by_rank_and_not_by_name() {
    let engine = engine().await;
    // As texts, both would be the other way round: 'warn' comes after 'error', and 'error' before 'info'.
    let cases = [
        ("level >= 'error'", "level >= 17"),
        ("level > 'info'", "level > 9"),
        ("level < 'warn'", "level < 13"),
        ("level = 'info'", "level = 9"),
        ("NOT level != 'error'", "level = 17"),
    ];
    for (named, numbered) in cases {
        let count = async |filter: &str| {
            let query = format!("SELECT count(*) FROM records WHERE {filter}");
            engine.answer(&query).await.expect("it runs").text
        };
        assert_eq!(count(named).await, count(numbered).await, "{named}");
    }
    let unknown = engine.answer("SELECT 1 FROM records WHERE level = 'eror'");
    assert!(unknown.await.is_err(), "a name that is no level");
}

#[tokio::test]
async fn pending_spans_are_in_records_all_only() {
    let engine = engine().await;
    let count = async |table: &str| {
        let query = format!("SELECT 1 FROM {table} WHERE kind = 'pending_span'");
        engine.answer(&query).await.expect("it runs").rows
    };
    assert!(count("records_all").await > 0);
    assert_eq!(count("records").await, 0);
}
