//! One line, in either format.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::fields::{EventFields, TaskFields};

/// What a line says.
pub(super) struct Line<'a> {
    /// RFC 3339 in UTC, to the microsecond.
    pub(super) time: String,
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) service: &'a str,
    pub(super) fields: EventFields,
    pub(super) trace_id: Option<String>,
    pub(super) span_id: Option<String>,
    pub(super) task: Option<TaskFields>,
}

pub(super) fn json(line: &Line<'_>) -> String {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("timestamp", line.time.as_str().into());
    put("level", line.level.as_str().into());
    put("target", line.target.into());
    put("message", line.fields.message.as_str().into());
    put("service", line.service.into());
    if !line.fields.others.is_empty() {
        put("fields", line.fields.others.clone().into());
    }
    if let (Some(trace_id), Some(span_id)) = (&line.trace_id, &line.span_id) {
        put("trace_id", trace_id.as_str().into());
        put("span_id", span_id.as_str().into());
    }
    if let Some(task) = &line.task {
        put("task", task.task.as_str().into());
        put("task_id", task.task_id.as_str().into());
        put("attempt", task.attempt.into());
    }
    format!("{}\n", Value::Object(object))
}

pub(super) fn human(line: &Line<'_>, colours: bool) -> String {
    let level = coloured_level(line.level, colours);
    // `2026-01-31T12:34:56.789…`: the hour to the millisecond.
    let clock = line.time.get(11..23).unwrap_or(&line.time);
    let mut text = format!("{clock} {level} {}", printable(&line.fields.message));
    for (key, value) in &line.fields.others {
        let _ = match value {
            Value::String(value) => write!(text, " {key}={}", printable(value)),
            other => write!(text, " {key}={other}"),
        };
    }
    if let Some(task) = &line.task {
        let _ = write!(text, " task={} task_id={}", task.task, task.task_id);
        let _ = write!(text, " attempt={}", task.attempt);
    }
    if let Some(trace) = line.trace_id.as_deref().and_then(|id| id.get(..8)) {
        let _ = write!(text, " [trace {trace}]");
    }
    text.push('\n');
    text
}

/// Now, as a line says it.
pub(super) fn now() -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

fn coloured_level(level: Level, colours: bool) -> String {
    if !colours {
        return format!("{level:>5}");
    }
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    format!("\x1b[{colour}m{level:>5}\x1b[0m")
}

/// Text from outside must not steer the terminal; line breaks and tabs are what people expect.
fn printable(text: &str) -> String {
    let visible = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(visible).collect()
}
