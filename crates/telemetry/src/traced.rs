//! How a span learns that its work failed.
//!
//! The bridge leaves the status unset for a returned `Err`, a panic and a cancelled future, so all
//! three are recorded here. It does not catch panics and does not log: the runtime does.

use std::any::type_name;
use std::fmt::Display;

use opentelemetry::KeyValue;
use opentelemetry::trace::Status;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The longest error text a span keeps, in bytes.
const MAX_MESSAGE: usize = 8 * 1024;

/// Runs a future inside a span and records how it ended.
pub trait Traced<T, E>: Future<Output = Result<T, E>> + Sized {
    /// Runs the future inside `span`.
    ///
    /// `Ok` leaves the status unset. `Err` marks the span failed, with `error.type` and an
    /// `exception` event. A future dropped before its end is marked `cancelled`, and one that
    /// panics `panic`; the panic goes on.
    fn traced(self, span: Span) -> impl Future<Output = Result<T, E>>;
}

impl<F, T, E> Traced<T, E> for F
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    fn traced(self, span: Span) -> impl Future<Output = Result<T, E>> {
        // Made outside the block: a future that is never polled was cancelled too.
        let unfinished = Unfinished::new(span.clone());
        async move {
            let result = self.instrument(span).await;
            unfinished.finish(&result);
            result
        }
    }
}

/// Marks the span on drop unless the future came to its end.
struct Unfinished {
    span: Span,
    armed: bool,
}

impl Unfinished {
    fn new(span: Span) -> Self {
        Self { span, armed: true }
    }

    fn finish<T, E: Display>(mut self, result: &Result<T, E>) {
        self.armed = false;
        if let Err(error) = result
            && !self.span.is_disabled()
        {
            mark_failed(&self.span, short_name::<E>(), &error.to_string());
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        if std::thread::panicking() {
            mark_failed(&self.span, "panic", "panicked");
        } else {
            mark_cancelled(&self.span);
        }
    }
}

/// Marks `span` failed: status, `error.type` and an `exception` event.
pub fn mark_failed(span: &Span, error_type: &str, message: &str) {
    mark_failed_with(span, error_type, message, std::iter::empty());
}

/// Marks `span` failed, with the causes of the error from the nearest to the first.
pub fn mark_failed_with(
    span: &Span,
    error_type: &str,
    message: &str,
    chain: impl Iterator<Item = String>,
) {
    if span.is_disabled() {
        return;
    }
    let message = truncated(message).to_owned();
    let mut event = vec![
        KeyValue::new("exception.type", error_type.to_owned()),
        KeyValue::new("exception.message", message.clone()),
    ];
    if let Some(causes) = joined(chain) {
        event.push(KeyValue::new("exception.stacktrace", causes));
    }
    span.add_event("exception", event);
    set_error(span, error_type, message);
}

fn mark_cancelled(span: &Span) {
    // No exception event: nobody threw anything.
    set_error(span, "cancelled", "cancelled".to_owned());
}

fn set_error(span: &Span, error_type: &str, description: String) {
    span.set_attribute("error.type", error_type.to_owned());
    span.set_status(Status::error(description));
}

fn joined(chain: impl Iterator<Item = String>) -> Option<String> {
    let mut text = String::new();
    for cause in chain {
        if text.len() > MAX_MESSAGE {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str("caused by: ");
        text.push_str(truncated(&cause));
    }
    (!text.is_empty()).then(|| truncated(&text).to_owned())
}

fn truncated(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_MESSAGE)]
}

/// `a::b::Error<c::D>` as `Error`: the label stays short and of low cardinality.
fn short_name<E>() -> &'static str {
    let full = type_name::<E>();
    let base = full.split('<').next().unwrap_or(full);
    base.rsplit("::").next().unwrap_or(base)
}
