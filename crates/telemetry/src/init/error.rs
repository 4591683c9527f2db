//! Why telemetry could not be turned on.

use std::io;

use opentelemetry_otlp::ExporterBuildError;
use tracing::subscriber::SetGlobalDefaultError;

/// Why telemetry could not be turned on.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Somebody was first.
    #[error(
        "this process already has a global tracing subscriber; call init once, first thing in main"
    )]
    SubscriberSet(#[source] SetGlobalDefaultError),
    /// The HTTP client of the exporter could not be built.
    #[error("the HTTP client for {endpoint} cannot be built; check the proxy and TLS settings")]
    Client {
        /// Where it should have sent to.
        endpoint: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The exporter refused its configuration.
    #[error("the exporter to {endpoint} cannot be built; check the OTEL_EXPORTER_OTLP_* variables")]
    Exporter {
        /// Where it should have sent to.
        endpoint: String,
        /// Why.
        source: ExporterBuildError,
    },
    /// The system gave us no thread.
    #[error("a thread for telemetry cannot be started; check the limits of the process")]
    Thread(#[source] io::Error),
    /// The metrics cannot be collected for scraping.
    #[error("the metrics cannot be collected for scraping; this is a bug")]
    Scraper(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// The thread that builds the exporters panicked.
    #[error("building the exporters panicked: {0}; turn them off with OTEL_TRACES_EXPORTER=none")]
    Panicked(String),
}
