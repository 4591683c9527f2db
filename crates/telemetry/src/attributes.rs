//! Attribute values, so that callers need no `opentelemetry` types.
//!
//! It does not do arrays: no attribute of the taxonomy is one.

use std::fmt;

use opentelemetry::{StringValue, Value};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The value of a span attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum AttrValue {
    /// A text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// A decimal number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
}

impl fmt::Display for AttrValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(value) => f.write_str(value),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

impl From<&str> for AttrValue {
    fn from(value: &str) -> Self {
        Self::Str(value.to_owned())
    }
}

impl From<String> for AttrValue {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

impl From<bool> for AttrValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for AttrValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<i64> for AttrValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for AttrValue {
    fn from(value: u32) -> Self {
        Self::Int(i64::from(value))
    }
}

// OTLP has no unsigned numbers: what does not fit is shown as the largest that does.
impl From<u64> for AttrValue {
    fn from(value: u64) -> Self {
        Self::Int(saturating_i64(value))
    }
}

impl From<usize> for AttrValue {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

pub(crate) fn saturating_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl From<AttrValue> for Value {
    fn from(value: AttrValue) -> Self {
        match value {
            AttrValue::Str(value) => Self::String(StringValue::from(value)),
            AttrValue::Int(value) => Self::I64(value),
            AttrValue::Float(value) => Self::F64(value),
            AttrValue::Bool(value) => Self::Bool(value),
        }
    }
}

impl From<&Value> for AttrValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::I64(value) => Self::Int(*value),
            Value::F64(value) => Self::Float(*value),
            other => Self::Str(other.to_string()),
        }
    }
}

/// Sets an attribute whose key is known only at run time, or was not declared by the span.
///
/// Prefer a declared field and `span.record`: this one is invisible to the log lines.
pub(crate) fn set_attribute(span: &Span, key: String, value: AttrValue) {
    if !span.is_disabled() {
        span.set_attribute(key, value);
    }
}
