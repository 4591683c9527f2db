//! Turns telemetry on for a process, once, from `main`.
//!
//! It reads no variables (see [`crate::settings`]) and does not capture the `log` crate: with
//! filters per layer, that makes the span after a `log_enabled!` vanish.

mod error;
mod exporters;
mod guard;
mod report;
mod resource;
mod scraper;

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use opentelemetry::metrics::AsyncInstrument;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
#[cfg(feature = "testing")]
use opentelemetry_sdk::trace::SimpleSpanProcessor;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

pub use error::InitError;
pub use guard::Guard;
pub use scraper::{ScrapeError, Scraper};

use crate::console::ConsoleProcessor;
use crate::layer::span_layer;
use crate::log::{LogFilter, LogLayer};
use crate::propagation;
use crate::settings::{Dialect, Settings};
use crate::spans::SpanPath;
use crate::spans::bounded::{BoundedProcessor, Lost};
use crate::spans::pending::PendingProcessor;
use crate::switches;
use crate::tree::TreeStyle;

/// Where lines and trees go when not to stderr.
#[derive(Default)]
pub struct Outputs {
    /// For log lines.
    pub log: Option<Box<dyn Write + Send>>,
    /// For the trees of the console exporter.
    pub console: Option<Box<dyn Write + Send>>,
    /// Gets every span too.
    #[cfg(feature = "testing")]
    pub collector: Option<crate::testing::Collector>,
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs").finish_non_exhaustive()
    }
}

/// Turns telemetry on; keep the guard until the process ends.
///
/// # Errors
/// When an exporter cannot be built, or when this process has a global subscriber already.
pub fn init(settings: Settings) -> Result<Guard, InitError> {
    init_with(settings, Outputs::default())
}

/// As [`init`], with other outputs than stderr.
///
/// # Errors
/// As [`init`].
pub fn init_with(settings: Settings, mut outputs: Outputs) -> Result<Guard, InitError> {
    let scraper = Scraper::default();
    let (traces, metrics, receivers) = if settings.disabled {
        (None, None, Vec::new())
    } else {
        let (traces, metrics, receivers) = providers(&settings, &mut outputs, &scraper)?;
        (Some(traces), Some(metrics), receivers)
    };
    let guard = Guard::new(traces.clone(), metrics.clone(), scraper);
    let spans = traces.map(|provider| span_layer(provider.tracer("sapari-telemetry")));
    let (propagators, switches) = (settings.propagators, settings.switches);
    let subscriber = Registry::default()
        .with(spans)
        .with(log_layer(settings, outputs.log));
    // An early return drops the guard, which stops what was started.
    tracing::subscriber::set_global_default(subscriber).map_err(InitError::SubscriberSet)?;
    propagation::install(propagators);
    switches::install(switches);
    if let Some(metrics) = metrics {
        global::set_meter_provider(metrics);
        observe_lost(receivers);
    }
    Ok(guard)
}

fn log_layer<S>(
    settings: Settings,
    output: Option<Box<dyn Write + Send>>,
) -> impl Layer<S> + Send + Sync
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = LogLayer {
        format: settings.log_format,
        colours: settings.colours,
        service: settings.service_name,
        output: Mutex::new(output.unwrap_or_else(|| Box::new(io::stderr()))),
    };
    layer.with_filter(LogFilter(settings.log_filter))
}

fn providers(
    settings: &Settings,
    outputs: &mut Outputs,
    scraper: &Scraper,
) -> Result<(SdkTracerProvider, SdkMeterProvider, Vec<Receiver>), InitError> {
    let resource = resource::resource(settings);
    let exporters = exporters::build(&settings.otlp)?;
    let (traces, receivers) = tracer_provider(settings, &resource, outputs, exporters.spans)?;
    let scraper = settings.scraped.then_some(scraper);
    let metrics = meter_provider(resource, exporters.metrics, scraper)?;
    Ok((traces, metrics, receivers))
}

fn tracer_provider(
    settings: &Settings,
    resource: &Resource,
    outputs: &mut Outputs,
    exporters: Vec<exporters::Spans>,
) -> Result<(SdkTracerProvider, Vec<Receiver>), InitError> {
    let mut path = SpanPath::new();
    let mut receivers = Vec::new();
    for out in exporters {
        let lost = Arc::new(Lost::default());
        receivers.push(Receiver {
            name: out.receiver,
            lost: Arc::clone(&lost),
        });
        let bounded = BoundedProcessor::new(out.exporter, settings.batch, lost);
        path = match out.dialect {
            Dialect::Plain => path.to(bounded),
            Dialect::Logfire => {
                let pending = PendingProcessor::around(bounded, resource);
                path.to(pending.map_err(InitError::Thread)?)
            }
        };
    }
    if settings.console {
        let output = outputs.console.take();
        let output = output.unwrap_or_else(|| Box::new(io::stderr()));
        let style = TreeStyle::for_people(settings.colours);
        path = path.to(ConsoleProcessor::new(output, style).map_err(InitError::Thread)?);
    }
    #[cfg(feature = "testing")]
    if let Some(collector) = outputs.collector.take() {
        path = path.to(SimpleSpanProcessor::new(collector));
    }
    let provider = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_span_processor(path)
        .build();
    Ok((provider, receivers))
}

/// Tells the metrics how many spans each receiver did not get.
fn observe_lost(receivers: Vec<Receiver>) {
    if receivers.is_empty() {
        return;
    }
    let tell = move |to: &dyn AsyncInstrument<u64>| {
        for receiver in &receivers {
            let of = |reason: &'static str| {
                let name = KeyValue::new("receiver", receiver.name.clone());
                [name, KeyValue::new("reason", reason)]
            };
            let (full, failed) = (&receiver.lost.queue_full, &receiver.lost.export_failed);
            to.observe(full.load(Ordering::Relaxed), &of("queue_full"));
            to.observe(failed.load(Ordering::Relaxed), &of("export_failed"));
        }
    };
    global::meter("sapari-telemetry")
        .u64_observable_counter("taskiq_spans_dropped_total")
        .with_callback(tell)
        .build();
}

/// A receiver of spans, and what it did not get.
struct Receiver {
    name: String,
    lost: Arc<Lost>,
}

fn meter_provider(
    resource: Resource,
    exporters: Vec<exporters::Metrics>,
    scraper: Option<&Scraper>,
) -> Result<SdkMeterProvider, InitError> {
    let mut builder = SdkMeterProvider::builder().with_resource(resource);
    for exporter in exporters {
        builder = builder.with_periodic_exporter(exporter);
    }
    if let Some(scraper) = scraper {
        builder = builder.with_reader(scraper.reader().map_err(InitError::Scraper)?);
    }
    Ok(builder.build())
}
