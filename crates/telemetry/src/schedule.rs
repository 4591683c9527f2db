//! The metrics of a scheduler: what it fired, how late, and what it let go; and how it is now, looked at when somebody collects.
//!
//! Labels are bounded by the tasks that there are: an entry's id is none, because entries are added at run time.

use std::sync::Arc;

use opentelemetry::metrics::{AsyncInstrument, Counter, Histogram};
use opentelemetry::{KeyValue, global};

use crate::gauges::resident_bytes;

/// Seconds, from what a good day has to what a failover takes and beyond.
const LAG_BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0, 15.0, 60.0,
];

/// The instruments of a scheduler.
#[derive(Clone, Debug)]
pub struct ScheduleMetrics {
    fires: Counter<u64>,
    lag: Histogram<f64>,
    missed: Counter<u64>,
    overlapped: Counter<u64>,
}

impl Default for ScheduleMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl ScheduleMetrics {
    /// The instruments on the global meter; without [`crate::init()`] they count nowhere.
    #[must_use]
    pub fn new() -> Self {
        let meter = global::meter("sapari-telemetry");
        let lag = meter
            .f64_histogram("taskiq_schedule_lag_seconds")
            .with_unit("s")
            .with_boundaries(LAG_BUCKETS.to_vec());
        Self {
            fires: meter.u64_counter("taskiq_schedule_fires_total").build(),
            lag: lag.build(),
            missed: meter.u64_counter("taskiq_schedule_missed_total").build(),
            overlapped: meter
                .u64_counter("taskiq_schedule_overlapped_total")
                .build(),
        }
    }

    /// A tick was fired and confirmed, so late.
    pub fn fired(&self, task: &str, lag: f64) {
        let task = [KeyValue::new("task", task.to_owned())];
        self.fires.add(1, &task);
        self.lag.record(lag, &task);
    }

    /// Ticks were let go because they were missed.
    pub fn missed(&self, task: &str, ticks: u64) {
        self.missed
            .add(ticks, &[KeyValue::new("task", task.to_owned())]);
    }

    /// Ticks were let go because an earlier run went on.
    pub fn overlapped(&self, task: &str, ticks: u64) {
        self.overlapped
            .add(ticks, &[KeyValue::new("task", task.to_owned())]);
    }
}

/// A scheduler process as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SchedulerGauges {
    /// Whether it leads.
    pub leads: bool,
    /// Whether it leads, or could.
    pub ready: bool,
    /// Seconds since the most overdue tick was due; 0 when none is, and for one that stands by.
    pub overdue: f64,
    /// How many entries it plans.
    pub entries: u64,
    /// How many runs nobody holds as they should be held; none when it does not say.
    pub stuck_runs: Option<u64>,
    /// Seconds since its event loop was last seen to turn.
    pub loop_age: f64,
}

/// Tells about this process from now on. Call it once, after [`crate::init()`]; `look` is called from the thread that collects, once per
/// figure, and must not block.
pub fn observe_scheduler(look: impl Fn() -> SchedulerGauges + Send + Sync + 'static) {
    let look: Arc<dyn Fn() -> SchedulerGauges + Send + Sync> = Arc::new(look);
    let gauge = |name: &'static str, figure: fn(&SchedulerGauges) -> f64| {
        let look = Arc::clone(&look);
        let tell = move |to: &dyn AsyncInstrument<f64>| to.observe(figure(&look()), &[]);
        let meter = global::meter("sapari-telemetry");
        meter.f64_observable_gauge(name).with_callback(tell).build();
    };
    gauge("taskiq_scheduler_leading", |it| {
        f64::from(u8::from(it.leads))
    });
    gauge("taskiq_scheduler_ready", |it| f64::from(u8::from(it.ready)));
    gauge("taskiq_scheduler_lag_seconds", |it| it.overdue);
    gauge("taskiq_schedule_entries", |it| it.entries as f64);
    let only_if_known = Arc::clone(&look);
    let stuck = move |to: &dyn AsyncInstrument<f64>| {
        if let Some(stuck) = only_if_known().stuck_runs {
            to.observe(stuck as f64, &[]);
        }
    };
    let meter = global::meter("sapari-telemetry");
    let runs = meter.f64_observable_gauge("taskiq_runs_stuck");
    runs.with_callback(stuck).build();
    gauge("taskiq_event_loop_age_seconds", |it| it.loop_age);
    gauge("process_resident_memory_bytes", |_| {
        resident_bytes().unwrap_or(0) as f64
    });
}
