//! An exporter whose spans are changed on their way out: on the exporter's thread, so that no task waits for it.
//!
//! What is changed is the business of those who give the edits.

use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// A change of one span.
pub(crate) type Edit = fn(&mut SpanData);

/// An exporter that gets every span after these edits, in their order.
#[derive(Debug)]
pub(crate) struct Edited<E> {
    pub(crate) exporter: E,
    pub(crate) edits: &'static [Edit],
}

impl<E: SpanExporter> SpanExporter for Edited<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            self.edits.iter().for_each(|edit| edit(span));
        }
        self.exporter.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
