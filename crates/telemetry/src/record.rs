//! A finished span as plain values, for the tree and for tests.
//!
//! It does not keep what neither shows: dropped counts, trace flags, the instrumentation scope.

use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, SpanKind as OtelKind, Status};
use opentelemetry_sdk::trace::SpanData;

use crate::attributes::AttrValue;

/// What part a span plays in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanKind {
    /// Inside the process.
    #[default]
    Internal,
    /// Calls somebody else.
    Client,
    /// Answers a call.
    Server,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
}

impl SpanKind {
    /// The kind in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Client => "client",
            Self::Server => "server",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// Whether the work of a span failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SpanStatus {
    /// Nothing to report, which is how success looks.
    #[default]
    Unset,
    /// Somebody said explicitly that it went well.
    Ok,
    /// It failed, with the message.
    Error(String),
}

/// Another span this one refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanLink {
    /// The trace of the other span.
    pub trace_id: String,
    /// The id of the other span.
    pub span_id: String,
}

/// Something that happened in a span, for example an `exception`.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// What happened.
    pub name: String,
    /// More about it.
    pub attributes: Vec<(String, AttrValue)>,
}

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// The parent, unless the span is the root of its trace.
    pub parent_id: Option<String>,
    /// Whether the parent is in another process, or came in with a message.
    pub parent_is_remote: bool,
    /// The name.
    pub name: String,
    /// The part it plays.
    pub kind: SpanKind,
    /// When it started.
    pub start: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// The attributes, in the order they were set.
    pub attributes: Vec<(String, AttrValue)>,
    /// Whether it failed.
    pub status: SpanStatus,
    /// Spans it refers to.
    pub links: Vec<SpanLink>,
    /// What happened in it.
    pub events: Vec<SpanEvent>,
    /// The service it belongs to.
    pub service: String,
}

impl SpanRecord {
    /// The value of an attribute; the last one set wins.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&AttrValue> {
        let mut newest_first = self.attributes.iter().rev();
        newest_first.find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// Whether the span failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        matches!(self.status, SpanStatus::Error(_))
    }

    pub(crate) fn from_data(data: SpanData, service: &str) -> Self {
        let parent = data.parent_span_id;
        Self {
            trace_id: data.span_context.trace_id().to_string(),
            span_id: data.span_context.span_id().to_string(),
            parent_id: (parent != SpanId::INVALID).then(|| parent.to_string()),
            parent_is_remote: data.parent_span_is_remote,
            name: data.name.into_owned(),
            kind: kind(&data.span_kind),
            start: data.start_time,
            duration: data
                .end_time
                .duration_since(data.start_time)
                .unwrap_or_default(),
            attributes: pairs(&data.attributes),
            status: status(data.status),
            links: data.links.iter().map(link).collect(),
            events: data.events.iter().map(event).collect(),
            service: service.to_owned(),
        }
    }
}

fn kind(kind: &OtelKind) -> SpanKind {
    match kind {
        OtelKind::Client => SpanKind::Client,
        OtelKind::Server => SpanKind::Server,
        OtelKind::Producer => SpanKind::Producer,
        OtelKind::Consumer => SpanKind::Consumer,
        OtelKind::Internal => SpanKind::Internal,
    }
}

fn status(status: Status) -> SpanStatus {
    match status {
        Status::Unset => SpanStatus::Unset,
        Status::Ok => SpanStatus::Ok,
        Status::Error { description } => SpanStatus::Error(description.into_owned()),
    }
}

fn link(link: &opentelemetry::trace::Link) -> SpanLink {
    SpanLink {
        trace_id: link.span_context.trace_id().to_string(),
        span_id: link.span_context.span_id().to_string(),
    }
}

fn event(event: &opentelemetry::trace::Event) -> SpanEvent {
    SpanEvent {
        name: event.name.to_string(),
        attributes: pairs(&event.attributes),
    }
}

fn pairs(attributes: &[KeyValue]) -> Vec<(String, AttrValue)> {
    attributes
        .iter()
        .map(|pair| (pair.key.to_string(), AttrValue::from(&pair.value)))
        .collect()
}
