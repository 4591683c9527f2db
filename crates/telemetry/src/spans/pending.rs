//! Shows a span while it runs, and keeps a trace of it when its process is killed: Logfire's pending spans.
//!
//! A span that has run for a second is sent as it was when it started, as a child of itself, which the receiver hides once
//! the real one is there. Shorter ones are not sent twice: that would double the traffic for nothing. Other receivers know
//! nothing of this and must not get any.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Span as _, SpanContext, SpanId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, Span, SpanData, SpanProcessor};

use super::logfire::{PENDING, PENDING_PARENT, SPAN_TYPE};

/// How long a span runs before it is shown.
const VISIBLE_AFTER: Duration = Duration::from_secs(1);
/// How often it is looked which spans have run for so long.
const TICK: Duration = Duration::from_millis(250);
/// Spans that are watched at most; those beyond are sent when they end, as everywhere.
const MAX_OPEN: usize = 8192;

/// Sends each span that runs for long twice: while it runs, and when it has ended.
pub(crate) struct PendingProcessor<P> {
    shared: Arc<Shared<P>>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared<P> {
    inner: P,
    open: Mutex<Open>,
    woken: Condvar,
}

#[derive(Default)]
struct Open {
    young: HashMap<SpanId, SpanData>,
    closed: bool,
}

impl<P> fmt::Debug for PendingProcessor<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingProcessor").finish_non_exhaustive()
    }
}

impl<P: SpanProcessor + 'static> PendingProcessor<P> {
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn around(mut inner: P, resource: &Resource) -> std::io::Result<Self> {
        // The provider cannot reach it any more once it is shared.
        inner.set_resource(resource);
        let shared = Arc::new(Shared {
            inner,
            open: Mutex::default(),
            woken: Condvar::new(),
        });
        let of_ticker = Arc::clone(&shared);
        let ticker = thread::Builder::new()
            .name("pending-spans".to_owned())
            .spawn(move || of_ticker.run())?;
        Ok(Self {
            shared,
            ticker: Mutex::new(Some(ticker)),
        })
    }
}

impl<P: SpanProcessor> Shared<P> {
    fn open(&self) -> MutexGuard<'_, Open> {
        recover(self.open.lock())
    }

    fn run(&self) {
        loop {
            let waited = self.woken.wait_timeout(self.open(), TICK);
            let (mut open, _) = recover(waited);
            if open.closed {
                return;
            }
            let due = open.take_due(SystemTime::now());
            drop(open);
            for span in due {
                self.inner.on_end(pending(span));
            }
        }
    }
}

impl Open {
    fn take_due(&mut self, now: SystemTime) -> Vec<SpanData> {
        let due = |span: &SpanData| {
            let age = now.duration_since(span.start_time);
            age.is_ok_and(|age| age >= VISIBLE_AFTER)
        };
        let due = self.young.extract_if(|_, span| due(span));
        due.map(|(_, span)| span).collect()
    }
}

/// The span as it stood at its start, as a child of itself.
fn pending(mut span: SpanData) -> SpanData {
    let real = span.span_context.clone();
    let parent = span.parent_span_id;
    span.span_context = SpanContext::new(
        real.trace_id(),
        RandomIdGenerator::default().new_span_id(),
        real.trace_flags(),
        false,
        real.trace_state().clone(),
    );
    span.parent_span_id = real.span_id();
    span.parent_span_is_remote = false;
    span.end_time = span.start_time;
    span.attributes.push(KeyValue::new(SPAN_TYPE, PENDING));
    span.attributes
        .push(KeyValue::new(PENDING_PARENT, parent.to_string()));
    span
}

impl<P: SpanProcessor + 'static> SpanProcessor for PendingProcessor<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.shared.inner.on_start(span, cx);
        if !span.span_context().is_sampled() {
            return;
        }
        let mut open = self.shared.open();
        if open.young.len() < MAX_OPEN
            && let Some(data) = span.exported_data()
        {
            open.young.insert(span.span_context().span_id(), data);
        }
    }

    fn on_end(&self, span: SpanData) {
        self.shared
            .open()
            .young
            .remove(&span.span_context.span_id());
        self.shared.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.shared.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.shared.open().closed = true;
        self.shared.woken.notify_all();
        let ticker = recover(self.ticker.lock()).take();
        // One that panicked has nothing left to send.
        let _ = ticker.map(JoinHandle::join);
        self.shared.inner.shutdown_with_timeout(timeout)
    }
}

/// The data stays whole when a holder of the lock panicked: every change is one statement.
fn recover<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
