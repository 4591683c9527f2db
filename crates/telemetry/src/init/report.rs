//! Says that an exporter fails, and that it works again, instead of nothing or a line per batch.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// A receiver that comes and goes is reported this often at most.
const PAUSE: Duration = Duration::from_secs(60);

/// An exporter whose failures are reported once.
#[derive(Debug)]
pub(super) struct Reporting<E> {
    exporter: E,
    signal: &'static str,
    endpoint: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failing: bool,
    reported: Option<SystemTime>,
}

impl State {
    /// Whether this outcome is worth a line.
    fn changed(&mut self, failed: bool, now: SystemTime) -> bool {
        if self.failing == failed {
            return false;
        }
        let pause = |at: SystemTime| now.duration_since(at).is_ok_and(|since| since < PAUSE);
        if failed && self.reported.is_some_and(pause) {
            return false;
        }
        self.failing = failed;
        if failed {
            self.reported = Some(now);
        }
        true
    }
}

impl<E> Reporting<E> {
    pub(super) fn new(exporter: E, signal: &'static str, endpoint: &str) -> Self {
        Self {
            exporter,
            signal,
            endpoint: endpoint.to_owned(),
            state: Mutex::default(),
        }
    }

    fn report(&self, result: &OTelSdkResult) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = state.changed(result.is_err(), SystemTime::now());
        drop(state);
        if !changed {
            return;
        }
        let (signal, endpoint) = (self.signal, &self.endpoint);
        match result {
            Ok(()) => tracing::info!(signal, endpoint, "telemetry is exported again"),
            Err(error) => tracing::warn!(
                %error,
                signal,
                endpoint,
                "telemetry is lost until the receiver answers; tasks are not affected"
            ),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        self.report(&result);
        result
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

impl<E: PushMetricExporter> PushMetricExporter for Reporting<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.exporter.export(metrics).await;
        self.report(&result);
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_reported_and_not_too_often() {
        let mut state = State::default();
        let start = SystemTime::UNIX_EPOCH;
        let steps = [
            (0, false, false),
            (1, true, true),
            (2, true, false),
            (3, false, true),
            (4, true, false),
            (59, true, false),
            (61, true, true),
            (62, true, false),
            (63, false, true),
        ];
        for (second, failed, expected) in steps {
            let now = start + Duration::from_secs(second);
            assert_eq!(state.changed(failed, now), expected, "second {second}");
        }
    }
}
