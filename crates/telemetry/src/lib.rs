//! Spans, propagation and exporters for a task runtime.
//!
//! What a caller uses: the span macros ([`ext_span!`], [`service_span!`], [`sse_span!`]),
//! [`Traced`] to run a future inside a span and record how it ended, [`Carrier`] to carry the
//! trace over a message, and [`init()`] in `main`.
//!
//! It deliberately does not know any product name, queue or task: the runtime passes them in.
//! Nobody outside this crate needs to depend on `opentelemetry`.

mod attributes;
mod console;
pub mod framework;
mod gauges;
mod init;
mod layer;
mod log;
mod metrics;
mod propagation;
mod record;
mod schedule;
pub mod settings;
mod spans;
pub mod switches;
mod taxonomy;
#[cfg(feature = "testing")]
pub mod testing;
mod traced;
pub mod tree;

pub use attributes::AttrValue;
pub use console::ConsoleProcessor;
pub use gauges::{CensusGauges, ConsumerGauge, LevelGauges, WorkerGauges, observe_worker};
pub use init::{Guard, InitError, Outputs, ScrapeError, Scraper, init, init_with};
pub use metrics::{TaskMetrics, storage_used};
pub use propagation::{Carrier, current_trace_id, trace_id_of};
pub use record::{SpanEvent, SpanKind, SpanLink, SpanRecord, SpanStatus};
pub use schedule::{ScheduleMetrics, SchedulerGauges, observe_scheduler};
pub use settings::{Defaults, LogFormat, Settings, SettingsError};
pub use traced::{Traced, mark_failed, mark_failed_with};

#[doc(hidden)]
pub mod __macro {
    //! What the span macros expand to; not for direct use.
    pub use tracing;
}
