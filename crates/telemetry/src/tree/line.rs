//! One span as one line.

use std::fmt::Write as _;
use std::time::Duration;

use super::forest::{Forest, Place};
use super::normal::Ids;
use super::{Attributes, TreeStyle};
use crate::attributes::AttrValue;
use crate::record::{SpanKind, SpanRecord, SpanStatus};

const RED: &str = "\x1b[31m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Enough of an error to recognise it; the whole of it is in the log and in the exporter.
const MAX_MESSAGE: usize = 200;

pub(super) fn header(forest: &Forest<'_>, style: &TreeStyle, ids: &mut Ids) -> String {
    let service = forest.service();
    let id = if style.normalise_ids {
        ids.replace(forest.trace_id)
    } else {
        forest.trace_id.chars().take(8).collect()
    };
    let text = format!("trace {id} {service}");
    format!("{}\n", paint(text.trim_end(), DIM, style))
}

/// The parts of a line; the name column is padded when all lines are known.
pub(super) struct Line {
    name: String,
    duration: String,
    details: String,
    failure: Option<String>,
}

impl Line {
    pub(super) fn new(place: &Place<'_>, style: &TreeStyle, ids: &mut Ids) -> Self {
        let span = place.span;
        let mut name = format!("{}{}", place.indent, span.name);
        if style.kinds && span.kind != SpanKind::Internal {
            let _ = write!(name, " [{}]", span.kind.as_str());
        }
        if place.orphan {
            name.push_str(" (remote parent)");
        }
        if let Some(service) = place.service {
            let _ = write!(name, " @{service}");
        }
        Self {
            name: ids.replace_in(&name),
            duration: duration(span.duration),
            details: details(span, style, ids),
            failure: failure(span).map(|text| ids.replace_in(&text)),
        }
    }

    pub(super) fn name_width(&self) -> usize {
        self.name.chars().count()
    }

    pub(super) fn text(&self, width: usize, style: &TreeStyle) -> String {
        let mut text = match &self.failure {
            Some(_) => paint(&self.name, RED, style),
            None => self.name.clone(),
        };
        if style.durations {
            let padding = width - self.name_width();
            let _ = write!(text, "{:padding$}  {:>8}", "", self.duration);
        }
        if !self.details.is_empty() {
            let _ = write!(text, "  {}", paint(&self.details, DIM, style));
        }
        if let Some(failure) = &self.failure {
            let _ = write!(text, "  {}", paint(failure, RED, style));
        }
        text.push('\n');
        text
    }
}

fn details(span: &SpanRecord, style: &TreeStyle, ids: &mut Ids) -> String {
    let mut parts: Vec<String> = shown(span, &style.attributes)
        .into_iter()
        .map(|(key, value)| format!("{key}={}", one_line(&ids.replace_in(&value.to_string()))))
        .collect();
    if style.links {
        let links = span.links.iter();
        parts.extend(links.map(|link| format!("link={}", ids.replace(&link.span_id))));
    }
    parts.join(" ")
}

fn shown<'a>(span: &'a SpanRecord, which: &'a Attributes) -> Vec<(&'a str, &'a AttrValue)> {
    match which {
        Attributes::None => Vec::new(),
        Attributes::All => span
            .attributes
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect(),
        Attributes::Only(keys) => keys
            .iter()
            .filter_map(|key| Some((key.as_str(), span.attribute(key)?)))
            .collect(),
    }
}

fn failure(span: &SpanRecord) -> Option<String> {
    let SpanStatus::Error(message) = &span.status else {
        return None;
    };
    let error_type = span.attribute("error.type").map(AttrValue::to_string);
    let error_type = error_type.unwrap_or_else(|| "error".to_owned());
    // "cancelled: cancelled" says it twice.
    if message.is_empty() || *message == error_type {
        return Some(format!("✗ {error_type}"));
    }
    let message: String = one_line(message).chars().take(MAX_MESSAGE).collect();
    Some(format!("✗ {error_type}: {message}"))
}

/// A tree has one line per span, and what a remote server said must not steer the terminal.
fn one_line(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).collect()
}

/// Three digits and a unit; minutes and seconds from a minute on.
pub(super) fn duration(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match duration.as_secs() {
        60.. => {
            let seconds = duration.as_secs();
            format!("{}m {:02}s", seconds / 60, seconds % 60)
        }
        _ if micros < 999.5 => format!("{micros:.0} µs"),
        _ if micros < 999_500.0 => format!("{} ms", three_digits(micros / 1e3)),
        _ => format!("{} s", three_digits(micros / 1e6)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn paint(text: &str, colour: &str, style: &TreeStyle) -> String {
    if style.colours && !text.is_empty() {
        format!("{colour}{text}{RESET}")
    } else {
        text.to_owned()
    }
}
