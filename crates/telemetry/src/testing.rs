//! Collects spans in memory, for tests (feature `testing`).
//!
//! It does not forget by itself: one process of tests holds all it saw, see [`Collector::take`].

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SimpleSpanProcessor, SpanData, SpanExporter};
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use crate::layer::span_layer;
use crate::propagation;
use crate::record::SpanRecord;
use crate::settings::Propagators;
use crate::spans::SpanPath;
use crate::tree::{self, TreeStyle};

/// The service every collected span belongs to.
const SERVICE: &str = "test";

/// Keeps a subscriber alive beside the scoped ones. While there is just one in the process, `tracing` asks the current thread's whether
/// a span that is made for the first time is of interest: a thread that collects nothing would answer for those that do, and the span
/// would be missing from their trees.
fn never_alone() {
    static IDLE: OnceLock<Dispatch> = OnceLock::new();
    IDLE.get_or_init(|| Dispatch::new(NoSubscriber::default()));
}

/// The spans that ended, oldest end first.
#[derive(Clone, Debug, Default)]
pub struct Collector {
    spans: Arc<Mutex<Vec<SpanRecord>>>,
}

impl Collector {
    /// The collector of the process, for tests on a runtime of several threads. Tests run side by
    /// side: tell their spans apart by the trace id.
    ///
    /// # Panics
    /// When another global subscriber was installed first.
    #[must_use]
    pub fn global() -> Self {
        static GLOBAL: OnceLock<Collector> = OnceLock::new();
        GLOBAL
            .get_or_init(|| {
                let collector = Self::default();
                let installed = tracing::subscriber::set_global_default(collector.subscriber());
                assert!(
                    installed.is_ok(),
                    "Collector::global() must be the first to install a global subscriber in \
                     this process"
                );
                collector
            })
            .clone()
    }

    /// A collector for the current thread, until the guard is dropped.
    #[must_use]
    pub fn scoped() -> (Self, DefaultGuard) {
        never_alone();
        let collector = Self::default();
        let guard = tracing::subscriber::set_default(collector.subscriber());
        (collector, guard)
    }

    /// All spans that ended so far.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanRecord> {
        self.lock().clone()
    }

    /// The spans of one trace that ended so far.
    #[must_use]
    pub fn spans_of(&self, trace_id: &str) -> Vec<SpanRecord> {
        let spans = self.lock();
        let of_trace = spans.iter().filter(|span| span.trace_id == trace_id);
        of_trace.cloned().collect()
    }

    /// The spans of one trace that ended so far, which are forgotten.
    #[must_use]
    pub fn take(&self, trace_id: &str) -> Vec<SpanRecord> {
        let mut spans = self.lock();
        spans
            .extract_if(.., |span| span.trace_id == trace_id)
            .collect()
    }

    /// All spans that ended so far, as trees.
    #[must_use]
    pub fn tree(&self, style: &TreeStyle) -> String {
        tree::render(&self.spans(), style)
    }

    /// The spans of one trace that ended so far, as a tree.
    #[must_use]
    pub fn tree_of(&self, trace_id: &str, style: &TreeStyle) -> String {
        tree::render(&self.spans_of(trace_id), style)
    }

    fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        propagation::install(Propagators {
            tracecontext: true,
            baggage: true,
        });
        let provider = SdkTracerProvider::builder()
            .with_span_processor(SpanPath::new().to(SimpleSpanProcessor::new(self.clone())))
            .with_resource(Resource::builder_empty().build())
            .build();
        let tracer = provider.tracer("sapari-telemetry");
        Registry::default().with(span_layer(tracer))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SpanRecord>> {
        // A test that failed while holding the lock leaves whole spans behind.
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let records = batch
            .into_iter()
            .map(|data| SpanRecord::from_data(data, SERVICE));
        self.lock().extend(records);
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Instrument;

    use super::*;
    use crate::{Traced, ext_span, trace_id_of};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn traces_of_several_threads_stay_apart() {
        let collector = Collector::global();
        let mut running = Vec::new();
        for n in 0..8_u8 {
            let root = tracing::info_span!("root");
            let trace_id = trace_id_of(&root).expect("the layer is installed");
            let work = async move {
                tokio::task::yield_now().await;
                let charged = async move { Ok::<_, String>(n) };
                charged.traced(ext_span!(bank.charge { user_id = 1 })).await
            };
            running.push((trace_id, tokio::spawn(work.instrument(root))));
        }
        for (trace_id, handle) in running {
            handle.await.expect("does not panic").expect("is Ok");
            let tree = collector.tree_of(&trace_id, &TreeStyle::for_tests(&[]));
            let expected = "trace <id 1> test\nroot\n└─ ext.bank.charge [client]\n";
            assert_eq!(tree, expected);
            assert_eq!(collector.take(&trace_id).len(), 2);
            assert!(collector.spans_of(&trace_id).is_empty());
        }
    }
}
