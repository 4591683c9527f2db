//! Logfire's dialect of OTLP: the attributes that fill its columns.
//!
//! For that receiver only. The attributes are those of `logfire/_internal/constants.py` (4.41).

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::SpanData;

pub(super) const SPAN_TYPE: &str = "logfire.span_type";
pub(super) const PENDING_PARENT: &str = "logfire.pending_parent_id";
pub(super) const PENDING: &str = "pending_span";
const MESSAGE: &str = "logfire.msg";
const LEVEL: &str = "logfire.level_num";
const INFO: i64 = 9;
const ERROR: i64 = 17;

/// Adds what Logfire's columns want and the span does not have.
pub(crate) fn translate(span: &mut SpanData) {
    let level = match span.status {
        Status::Error { .. } => ERROR,
        Status::Unset | Status::Ok => INFO,
    };
    let has = |key: &str| span.attributes.iter().any(|pair| pair.key.as_str() == key);
    let defaults = [
        KeyValue::new(SPAN_TYPE, "span"),
        KeyValue::new(MESSAGE, span.name.to_string()),
        KeyValue::new(LEVEL, level),
    ];
    let missing = defaults.map(|pair| (!has(pair.key.as_str())).then_some(pair));
    span.attributes.extend(missing.into_iter().flatten());
}
