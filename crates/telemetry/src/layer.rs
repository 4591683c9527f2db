//! The bridge from `tracing` spans to OpenTelemetry, lean, and for spans only.
//!
//! Events stay log lines: through the bridge an ERROR would mark the span failed even when the
//! task recovers.

use opentelemetry_sdk::trace::SdkTracer;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::registry::Registry;

/// Crates whose spans are about the transport: they would bury ours, and the exporter's own
/// requests would be traced and exported without end.
const TRANSPORT: [&str; 7] = [
    "lapin",
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "opentelemetry",
    "rustls",
];

/// Sits directly on the registry: the bridge finds its own data through the type below it.
pub(crate) fn span_layer(tracer: SdkTracer) -> impl Layer<Registry> + Send + Sync {
    let targets = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_targets(TRANSPORT.map(|target| (target, LevelFilter::OFF)));
    // Each of these costs allocations per span and says nothing the taxonomy does not.
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false)
        .with_filter(targets.and(filter_fn(|metadata| metadata.is_span())))
}
