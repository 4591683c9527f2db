//! The OTLP exporters (http/protobuf).
//!
//! The client is explicit and blocking: an asynchronous one panics on the export thread. It is
//! built on a plain thread: built on a runtime's thread, a blocking client panics.

use std::collections::HashMap;
use std::thread;

use opentelemetry_otlp::{
    Compression, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::metrics::Temporality;
use reqwest::blocking::Client;

use super::error::InitError;
use super::report::Reporting;
use crate::settings::{Dialect, OtlpTarget};
use crate::spans::edited::{Edit, Edited};
use crate::spans::logfire::translate;
use crate::spans::scrub::scrub;

pub(super) type Metrics = Reporting<MetricExporter>;

/// The way out for spans to one receiver: without secrets, in its dialect.
pub(super) struct Spans {
    pub(super) exporter: Edited<Reporting<SpanExporter>>,
    pub(super) dialect: Dialect,
    /// Where it is, without path and secrets: a label of what it lost.
    pub(super) receiver: String,
}

#[derive(Default)]
pub(super) struct Exporters {
    pub(super) spans: Vec<Spans>,
    pub(super) metrics: Vec<Metrics>,
}

pub(super) fn build(targets: &[OtlpTarget]) -> Result<Exporters, InitError> {
    if targets.is_empty() {
        return Ok(Exporters::default());
    }
    thread::scope(|scope| {
        thread::Builder::new()
            .name("otlp-build".to_owned())
            .spawn_scoped(scope, || build_here(targets))
            .map_err(InitError::Thread)?
            .join()
            .unwrap_or_else(|panic| Err(InitError::Panicked(panic_text(panic.as_ref()))))
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

fn build_here(targets: &[OtlpTarget]) -> Result<Exporters, InitError> {
    // The client is built without a provider of its own; an installed one is as good.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let mut exporters = Exporters::default();
    for target in targets {
        if let Some(endpoint) = &target.traces {
            exporters.spans.push(span_exporter(target, endpoint)?);
        }
        if let Some(endpoint) = &target.metrics {
            exporters.metrics.push(metric_exporter(target, endpoint)?);
        }
    }
    Ok(exporters)
}

fn span_exporter(target: &OtlpTarget, endpoint: &str) -> Result<Spans, InitError> {
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client(target, endpoint)?)
        .with_endpoint(endpoint)
        .with_timeout(target.timeout)
        .with_headers(headers(target));
    if let Some(compression) = compression(target) {
        exporter = exporter.with_compression(compression);
    }
    let exporter = exporter
        .build()
        .map_err(|source| failed(endpoint, source))?;
    Ok(Spans {
        exporter: Edited {
            exporter: Reporting::new(exporter, "traces", endpoint),
            edits: edits(target.dialect),
        },
        dialect: target.dialect,
        receiver: receiver(endpoint),
    })
}

fn edits(dialect: Dialect) -> &'static [Edit] {
    match dialect {
        Dialect::Plain => &[scrub],
        Dialect::Logfire => &[translate, scrub],
    }
}

fn metric_exporter(target: &OtlpTarget, endpoint: &str) -> Result<Metrics, InitError> {
    let mut exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(client(target, endpoint)?)
        .with_endpoint(endpoint)
        .with_timeout(target.timeout)
        .with_headers(headers(target));
    if let Some(compression) = compression(target) {
        exporter = exporter.with_compression(compression);
    }
    if target.dialect == Dialect::Logfire {
        exporter = exporter.with_temporality(Temporality::Delta);
    }
    let exporter = exporter
        .build()
        .map_err(|source| failed(endpoint, source))?;
    Ok(Reporting::new(exporter, "metrics", endpoint))
}

/// Logfire is far away and takes gzip. For others `OTEL_EXPORTER_OTLP_COMPRESSION` says it: the exporter reads that itself.
fn compression(target: &OtlpTarget) -> Option<Compression> {
    (target.dialect == Dialect::Logfire).then_some(Compression::Gzip)
}

/// The host and the port.
fn receiver(endpoint: &str) -> String {
    let address = reqwest::Url::parse(endpoint).ok();
    let host = address
        .as_ref()
        .and_then(|url| url.host_str().map(str::to_owned));
    let port = address
        .as_ref()
        .and_then(reqwest::Url::port_or_known_default);
    match (host, port) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        _ => "unknown".to_owned(),
    }
}

fn failed(endpoint: &str, source: opentelemetry_otlp::ExporterBuildError) -> InitError {
    InitError::Exporter {
        endpoint: endpoint.to_owned(),
        source,
    }
}

fn client(target: &OtlpTarget, endpoint: &str) -> Result<Client, InitError> {
    let client = Client::builder().timeout(target.timeout).build();
    client.map_err(|source| InitError::Client {
        endpoint: endpoint.to_owned(),
        source,
    })
}

fn headers(target: &OtlpTarget) -> HashMap<String, String> {
    let authorization = target.authorization.iter();
    authorization
        .map(|value| ("Authorization".to_owned(), value.clone()))
        .collect()
}
