//! The metrics of this process as Prometheus text, collected at the moment somebody asks.
//!
//! It serves no port: whoever has one hands the text out. Names stay as they are made: units and `_total` stand in them.

use std::fmt;

use opentelemetry_prometheus::PrometheusExporter;
use opentelemetry_sdk::error::OTelSdkError;
use prometheus::{Registry, TextEncoder};

/// Collects the metrics and writes them as text. Cheap to clone.
/// One of [`Default`] has none.
#[derive(Clone, Default)]
pub struct Scraper(Registry);

/// The metrics could not be written as text.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be written as text; this is a bug")]
pub struct ScrapeError(#[source] prometheus::Error);

impl Scraper {
    /// The `Content-Type` of [`Scraper::text`].
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    pub(super) fn reader(&self) -> Result<PrometheusExporter, OTelSdkError> {
        opentelemetry_prometheus::exporter()
            .with_registry(self.0.clone())
            .scope_info_enabled(false)
            .without_units()
            .without_counter_suffixes()
            .build()
    }

    /// The metrics now. Blocks for as long as collecting takes; no I/O.
    ///
    /// # Errors
    /// [`ScrapeError`]: never seen; it would be a bug.
    pub fn text(&self) -> Result<String, ScrapeError> {
        TextEncoder::new()
            .encode_to_string(&self.0.gather())
            .map_err(ScrapeError)
    }
}

impl fmt::Debug for Scraper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scraper").finish_non_exhaustive()
    }
}
