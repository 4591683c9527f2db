//! `docs/telemetry.md` says what the code does: spans and their attributes, metrics, variables.

use std::collections::BTreeSet;

use super::source::{Source, production, root};

/// The functions that make spans, and the row of the page that is about each.
const SPANS: [(&str, &str); 8] = [
    ("fire_span", "scheduler.fire"),
    ("publish_span", "publish <task>"),
    ("new_task_span", "taskiq.<task>"),
    ("pipeline_span", "<worker>.pipeline"),
    ("step_span", "step.<id>"),
    ("redis_span", "<COMMAND>"),
    ("sql_span", "<summary>"),
    ("llm_span", "<operation> <model>"),
];

/// Read by the SDK only, so no code of ours names it.
const READ_BY_THE_SDK: &str = "OTEL_EXPORTER_OTLP_HEADERS";

type Words = BTreeSet<String>;

fn page() -> String {
    std::fs::read_to_string(root().join("docs/telemetry.md")).expect("the page")
}

/// The cells of the rows of a section's table, without its head.
fn rows<'a>(page: &'a str, section: &str) -> Vec<Vec<&'a str>> {
    let heading = format!("\n## {section}\n");
    let (_, rest) = page.split_once(&heading).expect("the section");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with('|'));
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect();
    lines.skip(2).map(cells).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Words {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn telemetry() -> Vec<Source> {
    let ours = |file: &Source| file.path.starts_with("crates/telemetry/src");
    production().into_iter().filter(ours).collect()
}

/// The text of a function, by its indentation.
fn function<'a>(files: &'a [Source], name: &str) -> &'a str {
    let start = format!("fn {name}");
    let mut found = files.iter().filter_map(|file| {
        let (_, rest) = file.text.split_once(&start)?;
        rest.starts_with(['(', '<'])
            .then(|| rest.split("\n}\n").next())?
    });
    found.next().unwrap_or_else(|| panic!("no function {name}"))
}

/// The fields of the span that it makes, but for those the bridge takes for itself.
fn fields(function: &str) -> Words {
    let (_, span) = function.split_once("info_span!(").expect("it makes a span");
    let names = span
        .lines()
        .filter_map(|line| line.trim().split_once(" = "));
    let names = names
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("otel."));
    let plain = |name: &&str| {
        name.chars()
            .all(|c| c.is_ascii_lowercase() || "._".contains(c))
    };
    names.filter(plain).map(str::to_owned).collect()
}

/// String literals that begin so.
fn literals(files: &[Source], begins: &[&str]) -> Words {
    let mut found = Words::new();
    for file in files {
        for (_, line) in file.code_lines() {
            let literals = line.split('"').skip(1).step_by(2);
            let ours = literals.filter(|text| begins.iter().any(|start| text.starts_with(start)));
            let names = |c: char| c.is_ascii_alphanumeric() || "._".contains(c);
            found.extend(
                ours.filter(|text| text.chars().all(names))
                    .map(str::to_owned),
            );
        }
    }
    found
}

#[test]
fn the_page_names_every_span_and_its_attributes() {
    let (page, files) = (page(), telemetry());
    for (name, span) in SPANS {
        let rows = rows(&page, "Spans");
        let row = rows.iter().find(|row| quoted(row[0]).contains(span));
        let row = row.unwrap_or_else(|| panic!("no row for {span}"));
        assert_eq!(quoted(row[3]), fields(function(&files, name)), "{span}");
    }
}

#[test]
fn the_page_names_every_metric() {
    let metrics = ["taskiq_", "messaging.", "process_"];
    let mut made = literals(&telemetry(), &metrics);
    // Attributes of spans and labels begin alike, and none of them is the name of an instrument.
    made.retain(|name| !name.contains('.') || name.ends_with(".duration"));
    let page = page();
    let told: Words = rows(&page, "Metrics")
        .iter()
        .flat_map(|row| quoted(row[0]))
        .collect();
    assert_eq!(told, made);
}

#[test]
fn the_page_names_every_variable() {
    let mut read = literals(&telemetry(), &["OTEL_", "LOGFIRE_", "NO_COLOR"]);
    for suffix in literals_after_a_prefix(&telemetry()) {
        read.insert(format!("SAPARI{suffix}"));
    }
    for signal in ["TRACES", "METRICS"] {
        read.insert(format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
    }
    read.insert(READ_BY_THE_SDK.to_owned());
    let page = page();
    let table = rows(&page, "Switches and environment");
    let told: Words = table.iter().flat_map(|row| quoted(row[0])).collect();
    assert_eq!(told, read);
}

/// `_LOG` of `"{}_LOG"`.
fn literals_after_a_prefix(files: &[Source]) -> Words {
    let lines = files.iter().flat_map(Source::code_lines);
    let suffixes = lines.filter_map(|(_, line)| line.split("\"{}_").nth(1)?.split('"').next());
    suffixes.map(|suffix| format!("_{suffix}")).collect()
}
