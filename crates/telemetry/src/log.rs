//! Log lines: for a person, or as JSON, each with the trace and the task it belongs to.
//!
//! It does not use the formatter of `tracing_subscriber`: that one puts every field of every
//! enclosing span on the line, and knows no trace ids. It installs nothing for the `log` crate.

mod fields;
mod format;

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use opentelemetry::Context as OtelContext;
use opentelemetry::trace::TraceContextExt;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use crate::framework::TASK_CALLSITE;
use crate::settings::LogFormat;
use fields::{EventFields, TaskFields};
use format::Line;

/// Writes events as lines.
pub(crate) struct LogLayer {
    pub(crate) format: LogFormat,
    pub(crate) colours: bool,
    pub(crate) service: String,
    pub(crate) output: Mutex<Box<dyn Write + Send>>,
}

impl LogLayer {
    fn write(&self, line: &Line<'_>) {
        let text = match self.format {
            LogFormat::Human => format::human(line, self.colours),
            LogFormat::Json => format::json(line),
        };
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        // There is no place left to report a broken stderr.
        let _ = output.write_all(text.as_bytes());
    }
}

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(TaskFields::of(attrs));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let fields = EventFields::of(event);
        let (trace_id, span_id) = current_ids();
        let mut scope = context.event_scope(event).into_iter().flatten();
        // The filter lets only task spans through, so the first is the enclosing task.
        let task = scope.find_map(|span| span.extensions().get::<TaskFields>().cloned());
        self.write(&Line {
            time: format::now(),
            level: *event.metadata().level(),
            target: event.metadata().target(),
            service: &self.service,
            fields,
            trace_id,
            span_id,
            task,
        });
    }
}

/// The bridge keeps the OpenTelemetry context in step with the entered span.
fn current_ids() -> (Option<String>, Option<String>) {
    OtelContext::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        if !ids.is_valid() {
            return (None, None);
        }
        let (trace, span) = (ids.trace_id().to_string(), ids.span_id().to_string());
        (Some(trace), Some(span))
    })
}

/// Events by the log filter, and task spans always: a line at WARN must name its task even when
/// the filter is `warn`.
pub(crate) struct LogFilter(pub(crate) Targets);

impl LogFilter {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return metadata.name() == TASK_CALLSITE;
        }
        self.0.would_enable(metadata.target(), metadata.level())
    }
}

impl<S> Filter<S> for LogFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _context: &Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let levels = self.0.iter().map(|(_, level)| level);
        let most = levels.chain(self.0.default_level()).max();
        most.map(|level| level.max(LevelFilter::INFO))
    }
}

#[cfg(test)]
mod tests;
