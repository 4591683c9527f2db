//! Correlation keys: what a task says it is about stands on every span below it, so that a slow call leads to its project.
//!
//! The keys travel in the context, in a cell that is put there when the task's span is made and filled when its args are
//! read: by then the span has started, and its context cannot be changed any more. They do not travel with messages.

use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::trace::Span as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::Span;

/// The most keys that are copied; what a task says beyond stands on its own span only.
const MAX_KEYS: usize = 16;

/// The keys of a task, shared by all contexts below its span.
#[derive(Clone, Debug, Default)]
struct Keys(Arc<RwLock<Vec<KeyValue>>>);

/// The context with room for keys. What is below it does not see the keys of what is above.
pub(crate) fn with_room(context: &Context) -> Context {
    context.with_value(Keys::default())
}

/// Makes every span that starts below `context` from now on carry the keys; nothing happens where no room was made.
pub(crate) fn add(context: &Context, keys: &[(&'static str, String)]) {
    let Some(room) = context.get::<Keys>() else {
        return;
    };
    // Whole after every push, so a panic elsewhere leaves nothing half done.
    let mut known = room.0.write().unwrap_or_else(PoisonError::into_inner);
    for (key, value) in keys {
        known.retain(|pair| pair.key.as_str() != *key);
        if known.len() < MAX_KEYS {
            known.push(KeyValue::new(*key, value.clone()));
        }
    }
}

/// Copies the keys onto a span that starts below `context`.
pub(super) fn copy(context: &Context, span: &mut Span) {
    if let Some(keys) = context.get::<Keys>() {
        let known = keys.0.read().unwrap_or_else(PoisonError::into_inner);
        if !known.is_empty() {
            span.set_attributes(known.iter().cloned());
        }
    }
}
