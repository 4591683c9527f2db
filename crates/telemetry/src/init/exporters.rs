//! The OTLP exporters (http/protobuf).
//!
//! The client is explicit and blocking: an asynchronous one panics on the export thread. It is
//! built on a plain thread: built on a runtime's thread, a blocking client panics.

use std::collections::HashMap;
use std::thread;

use opentelemetry_otlp::{
    MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use reqwest::blocking::Client;

use super::error::InitError;
use super::report::Reporting;
use crate::settings::OtlpTarget;

pub(super) type Spans = Reporting<SpanExporter>;
pub(super) type Metrics = Reporting<MetricExporter>;

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
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client(target, endpoint)?)
        .with_endpoint(endpoint)
        .with_timeout(target.timeout)
        .with_headers(headers(target))
        .build()
        .map_err(|source| failed(endpoint, source))?;
    Ok(Reporting::new(exporter, "traces", endpoint))
}

fn metric_exporter(target: &OtlpTarget, endpoint: &str) -> Result<Metrics, InitError> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(client(target, endpoint)?)
        .with_endpoint(endpoint)
        .with_timeout(target.timeout)
        .with_headers(headers(target))
        .build()
        .map_err(|source| failed(endpoint, source))?;
    Ok(Reporting::new(exporter, "metrics", endpoint))
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
