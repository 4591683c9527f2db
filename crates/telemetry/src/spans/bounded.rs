//! Spans on their way to one receiver: how many wait is bounded, and what is lost is counted.
//!
//! The SDK's own queue drops in silence and tells the number when the process ends. So this one stops before it, and the
//! queue behind it is never full. Spans that a failed export lost are counted too: see [`Lost`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

use crate::settings::Batch;

/// How many spans never reached one receiver.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// More came than could be sent.
    pub(crate) queue_full: AtomicU64,
    /// The receiver refused them, or did not answer in time.
    pub(crate) export_failed: AtomicU64,
}

/// Spans that were taken and are not exported yet.
type Waiting = Arc<AtomicUsize>;

/// Takes spans up to a bound, and exports them in batches from a thread of its own.
#[derive(Debug)]
pub(crate) struct BoundedProcessor {
    inner: BatchSpanProcessor,
    waiting: Waiting,
    bound: usize,
    lost: Arc<Lost>,
}

impl BoundedProcessor {
    pub(crate) fn new<E: SpanExporter + 'static>(
        exporter: E,
        batch: Batch,
        lost: Arc<Lost>,
    ) -> Self {
        let waiting = Waiting::default();
        let exporter = Counted {
            exporter,
            waiting: Arc::clone(&waiting),
            lost: Arc::clone(&lost),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(batch.queue)
            .with_max_export_batch_size(batch.size)
            .with_scheduled_delay(batch.delay)
            .build();
        let inner = BatchSpanProcessor::builder(exporter)
            .with_batch_config(config)
            .build();
        Self {
            inner,
            waiting,
            bound: batch.queue,
            lost,
        }
    }
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.inner.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        // The SDK does not export what was not sampled, so it must not be counted as waiting either.
        if !span.span_context.is_sampled() {
            return;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.bound {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.lost.queue_full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Says when spans no longer wait, and whether they arrived.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    waiting: Waiting,
    lost: Arc<Lost>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        if exported.is_err() {
            let spans = u64::try_from(spans).unwrap_or(u64::MAX);
            self.lost.export_failed.fetch_add(spans, Ordering::Relaxed);
        }
        exported
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};

    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// Answers an export when it is told how.
    #[derive(Debug)]
    struct Told(Mutex<Receiver<OTelSdkResult>>);

    impl SpanExporter for Told {
        async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
            let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            answers.recv().unwrap_or(Ok(()))
        }
    }

    fn provider(queue: usize) -> (SdkTracerProvider, Sender<OTelSdkResult>, Arc<Lost>) {
        let (sender, receiver) = channel();
        let lost = Arc::new(Lost::default());
        let batch = Batch {
            queue,
            size: queue,
            delay: Duration::from_millis(1),
        };
        let exporter = Told(Mutex::new(receiver));
        let processor = BoundedProcessor::new(exporter, batch, Arc::clone(&lost));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .build();
        (provider, sender, lost)
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nothing_else() {
        let (provider, answers, lost) = provider(4);
        let tracer = provider.tracer("test");
        for _ in 0..10 {
            drop(tracer.start("x"));
        }
        assert_eq!(lost.queue_full.load(Ordering::Relaxed), 6);
        drop(answers);
        provider.shutdown().unwrap();
        assert_eq!(lost.export_failed.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_a_receiver_refuses_is_counted_and_makes_room() {
        let (provider, answers, lost) = provider(4);
        let tracer = provider.tracer("test");
        for _ in 0..4 {
            drop(tracer.start("x"));
        }
        for _ in 0..4 {
            let refused = Err(OTelSdkError::InternalFailure("no".to_owned()));
            answers.send(refused).unwrap();
        }
        // At most four batches came of four spans; all of them are refused.
        provider.force_flush().ok();
        assert_eq!(lost.export_failed.load(Ordering::Relaxed), 4);
        drop(answers);
        drop(tracer.start("y"));
        assert_eq!(lost.queue_full.load(Ordering::Relaxed), 0);
        provider.shutdown().unwrap();
    }
}
