//! Logfire's dialect of OTLP: the attributes that fill its columns.
//!
//! Works on the batch, on the exporter's thread, and only for that receiver. The attributes are those of
//! `logfire/_internal/constants.py` (4.41).

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

pub(super) const SPAN_TYPE: &str = "logfire.span_type";
pub(super) const PENDING_PARENT: &str = "logfire.pending_parent_id";
pub(super) const PENDING: &str = "pending_span";
const MESSAGE: &str = "logfire.msg";
const LEVEL: &str = "logfire.level_num";
const INFO: i64 = 9;
const ERROR: i64 = 17;

/// An exporter that speaks Logfire's dialect.
#[derive(Debug)]
pub(crate) struct Dialect<E>(pub(crate) E);

impl<E: SpanExporter> SpanExporter for Dialect<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        batch.iter_mut().for_each(translate);
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn translate(span: &mut SpanData) {
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
