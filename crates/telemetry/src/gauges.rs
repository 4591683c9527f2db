//! What a worker process is like now, as gauges: looked at when somebody collects, never pushed.
//!
//! Labels are bounded: the queue's name, and its four levels at most. What the figures are is the caller's to know.

use std::sync::Arc;

use opentelemetry::metrics::{AsyncInstrument, Meter};
use opentelemetry::{KeyValue, global};

/// A worker process as it is now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerGauges {
    /// The name of its queue.
    pub queue: String,
    /// How many attempts can run at once; 0 before it takes messages.
    pub slots: u64,
    /// How many run.
    pub in_use: u64,
    /// Handlers that did not end when they should have.
    pub stuck: u64,
    /// One per level.
    pub consumers: Vec<ConsumerGauge>,
    /// How often a connection to the broker came back.
    pub reconnects: u64,
    /// Whether it is fit for work.
    pub ready: bool,
    /// Whether it takes no more work because it ends.
    pub draining: bool,
    /// Seconds since its event loop was last seen to turn.
    pub loop_age: f64,
    /// What waits in its queue; none unless it is the worker that counts it.
    pub census: Option<CensusGauges>,
}

/// A queue, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CensusGauges {
    /// One per level.
    pub levels: Vec<LevelGauges>,
    /// Dead letters that lie there.
    pub dead: u64,
}

/// A level of a queue, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LevelGauges {
    /// Its number, 0 the lowest.
    pub level: u8,
    /// Messages that wait.
    pub depth: u64,
    /// Workers that consume it.
    pub consumers: u64,
    /// Seconds since the first of those that wait was queued.
    pub oldest_age: f64,
}

/// A level of the worker's queue.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerGauge {
    /// Its number, 0 the lowest.
    pub level: u8,
    /// Whether this process has a consumer there.
    pub live: bool,
    /// How often it lost it.
    pub losses: u64,
}

/// Tells about this process from now on. Call it once, after [`crate::init()`]; `look` is called from the thread that
/// collects, once per figure, and must not block.
pub fn observe_worker(look: impl Fn() -> WorkerGauges + Send + Sync + 'static) {
    let observed = Observed {
        meter: global::meter("sapari-telemetry"),
        look: Arc::new(look),
    };
    observed.gauge("taskiq_slots", |it| it.slots);
    observed.gauge("taskiq_slots_in_use", |it| it.in_use);
    observed.gauge("taskiq_handlers_stuck", |it| it.stuck);
    observed.gauge("taskiq_ready", |it| it.ready.into());
    observed.gauge("taskiq_draining", |it| it.draining.into());
    observed.loop_age();
    observed.reconnects();
    observed.consumers();
    observed.census();
    observed.memory();
}

/// What the process holds in memory, as the kernel counts it; none where there is no `/proc`.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

struct Observed {
    meter: Meter,
    look: Arc<dyn Fn() -> WorkerGauges + Send + Sync>,
}

impl Observed {
    fn gauge(&self, name: &'static str, figure: fn(&WorkerGauges) -> u64) {
        let look = Arc::clone(&self.look);
        let tell = move |to: &dyn AsyncInstrument<u64>| {
            let seen = look();
            to.observe(figure(&seen), &[seen.label()]);
        };
        self.meter
            .u64_observable_gauge(name)
            .with_callback(tell)
            .build();
    }

    fn loop_age(&self) {
        let look = Arc::clone(&self.look);
        self.meter
            .f64_observable_gauge("taskiq_event_loop_age_seconds")
            .with_unit("s")
            .with_callback(move |to| to.observe(look().loop_age, &[]))
            .build();
    }

    fn reconnects(&self) {
        let look = Arc::clone(&self.look);
        self.meter
            .u64_observable_counter("taskiq_reconnects_total")
            .with_callback(move |to| to.observe(look().reconnects, &[]))
            .build();
    }

    fn consumers(&self) {
        let look = Arc::clone(&self.look);
        let live = move |to: &dyn AsyncInstrument<u64>| {
            let seen = look();
            for level in &seen.consumers {
                to.observe(level.live.into(), &seen.labels(level));
            }
        };
        self.meter
            .u64_observable_gauge("taskiq_consumers")
            .with_callback(live)
            .build();
        let look = Arc::clone(&self.look);
        let losses = move |to: &dyn AsyncInstrument<u64>| {
            let seen = look();
            for level in &seen.consumers {
                to.observe(level.losses, &seen.labels(level));
            }
        };
        self.meter
            .u64_observable_counter("taskiq_consumer_losses_total")
            .with_callback(losses)
            .build();
    }
}

impl Observed {
    fn memory(&self) {
        let tell = |to: &dyn AsyncInstrument<u64>| {
            if let Some(bytes) = resident_bytes() {
                to.observe(bytes, &[]);
            }
        };
        self.meter
            .u64_observable_gauge("process_resident_memory_bytes")
            .with_callback(tell)
            .build();
    }

    /// Nothing is told while somebody else counts the queue: the figures of two workers would add up.
    fn census(&self) {
        self.of_level("taskiq_queue_depth", |it| it.depth as f64);
        self.of_level("taskiq_queue_oldest_age_seconds", |it| it.oldest_age);
        let look = Arc::clone(&self.look);
        // The level that has the fewest: it is the one to be woken for.
        let fewest = move |to: &dyn AsyncInstrument<u64>| {
            let seen = look();
            let levels = seen.census.iter().flat_map(|census| &census.levels);
            if let Some(fewest) = levels.map(|level| level.consumers).min() {
                to.observe(fewest, &[seen.label()]);
            }
        };
        self.meter
            .u64_observable_gauge("taskiq_queue_consumers")
            .with_callback(fewest)
            .build();
        let look = Arc::clone(&self.look);
        let dead = move |to: &dyn AsyncInstrument<u64>| {
            let seen = look();
            if let Some(census) = &seen.census {
                to.observe(census.dead, &[seen.label()]);
            }
        };
        self.meter
            .u64_observable_gauge("taskiq_dead_letters")
            .with_callback(dead)
            .build();
    }

    fn of_level(&self, name: &'static str, figure: fn(&LevelGauges) -> f64) {
        let look = Arc::clone(&self.look);
        let tell = move |to: &dyn AsyncInstrument<f64>| {
            let seen = look();
            for level in seen.census.iter().flat_map(|census| &census.levels) {
                let number = KeyValue::new("level", i64::from(level.level));
                to.observe(figure(level), &[seen.label(), number]);
            }
        };
        self.meter
            .f64_observable_gauge(name)
            .with_callback(tell)
            .build();
    }
}

impl WorkerGauges {
    fn label(&self) -> KeyValue {
        KeyValue::new("queue", self.queue.clone())
    }

    fn labels(&self, level: &ConsumerGauge) -> [KeyValue; 2] {
        [self.label(), KeyValue::new("level", i64::from(level.level))]
    }
}
