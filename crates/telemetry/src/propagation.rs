//! The trace context on the wire, as W3C text pairs.
//!
//! It does not know the transport: the caller copies the pairs into the message's headers and
//! looks them up again. Which propagators are on is decided once, by `init`.

use opentelemetry::baggage::{BaggageExt, KeyValueMetadata};
use opentelemetry::propagation::{
    Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context, global};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::settings::Propagators;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";
const KEYS: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

/// A header longer than what W3C allows is not ours, and is not carried on.
const MAX_VALUE: usize = 8192;

/// The context of a trace as it travels with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carrier {
    traceparent: Option<String>,
    tracestate: Option<String>,
    baggage: Option<String>,
}

impl Carrier {
    /// The context of the span that is current now; empty outside any span.
    #[must_use]
    pub fn current() -> Self {
        Context::map_current(Self::inject)
    }

    /// The context of `span`. This starts the span: its parent cannot be set any more.
    #[must_use]
    pub fn of(span: &Span) -> Self {
        Self::inject(&span.context())
    }

    /// The context found by looking up each header by its name.
    pub fn from_lookup<V: Into<String>>(lookup: impl Fn(&str) -> Option<V>) -> Self {
        let mut carrier = Self::default();
        for key in KEYS {
            if let Some(value) = lookup(key) {
                carrier.store(key, value.into());
            }
        }
        carrier
    }

    /// The headers to write, as pairs of name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        KEYS.into_iter()
            .filter_map(|key| self.value(key).map(|value| (key, value)))
    }

    /// Whether there is nothing to carry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The id of the trace, when the traceparent is valid.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        valid_trace_id(&self.remote())
    }

    /// The context for a span's parent, by the propagators that are on.
    pub(crate) fn extract(&self) -> Context {
        // From an empty context: the one that is current here is not the sender's.
        let empty = Context::new();
        global::get_text_map_propagator(|propagator| propagator.extract_with_context(&empty, self))
    }

    /// The traceparent, when there is one and it is malformed.
    pub(crate) fn malformed(&self) -> Option<&str> {
        let traceparent = self.traceparent.as_deref()?;
        (!self.remote().is_valid()).then_some(traceparent)
    }

    fn remote(&self) -> SpanContext {
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), self);
        context.span().span_context().clone()
    }

    fn inject(context: &Context) -> Self {
        let mut carrier = Self::default();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(context, &mut carrier);
        });
        carrier
    }

    fn store(&mut self, key: &str, value: String) {
        let slot = match key {
            TRACEPARENT => &mut self.traceparent,
            TRACESTATE => &mut self.tracestate,
            BAGGAGE => &mut self.baggage,
            _ => return,
        };
        // The SDK injects an empty tracestate; an empty header says nothing.
        if !value.is_empty() && value.len() <= MAX_VALUE {
            *slot = Some(value);
        }
    }

    fn value(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.traceparent.as_deref(),
            TRACESTATE => self.tracestate.as_deref(),
            BAGGAGE => self.baggage.as_deref(),
            _ => None,
        }
    }
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        self.store(key, value);
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        self.value(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.iter().map(|(key, _)| key).collect()
    }
}

/// The id of the trace that is current now.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    Context::map_current(|context| valid_trace_id(context.span().span_context()))
}

/// The id of the trace `span` belongs to. This starts the span: its parent cannot be set any more.
#[must_use]
pub fn trace_id_of(span: &Span) -> Option<String> {
    valid_trace_id(span.context().span().span_context())
}

/// Decides for the whole process which context travels with a message.
pub(crate) fn install(which: Propagators) {
    let mut propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>> = Vec::new();
    if which.tracecontext {
        propagators.push(Box::new(TraceContextPropagator::new()));
    }
    if which.baggage {
        propagators.push(Box::new(BaggagePropagator::new()));
    }
    global::set_text_map_propagator(TextMapCompositePropagator::new(propagators));
}

/// A context with the baggage of another one, and without its span.
pub(crate) fn baggage_of(context: &Context) -> Context {
    let baggage = context.baggage().iter();
    let pairs = baggage.map(|(key, (value, metadata))| {
        KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
    });
    Context::new().with_baggage(pairs)
}

fn valid_trace_id(context: &SpanContext) -> Option<String> {
    context.is_valid().then(|| context.trace_id().to_string())
}
