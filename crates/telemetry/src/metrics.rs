//! The metrics of the runtime, over the global meter: make it after `init`.
//!
//! Labels are bounded: never ids, and a task nobody registered is passed as `unknown` by the
//! caller. What a process is like now stands in `gauges`; the text for scraping comes from `init`.

use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};
use opentelemetry::{KeyValue, global};

/// Seconds, up to an hour: a render takes twenty minutes.
const TASK_BUCKETS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0, 1800.0,
    3600.0,
];

/// Attempts that a message took to its end.
const ATTEMPT_BUCKETS: [f64; 7] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 25.0];

/// What OpenTelemetry's conventions advise for messaging.
const MESSAGING_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// What lies in a bucket of storage, as it was last counted. Buckets are few and named in code.
pub fn storage_used(bucket: &str, objects: u64, bytes: u64) {
    let meter = global::meter("sapari-telemetry");
    let bucket = [KeyValue::new("bucket", bucket.to_owned())];
    let gauge = |name| meter.u64_gauge(name).build();
    gauge("taskiq_storage_objects").record(objects, &bucket);
    gauge("taskiq_storage_bytes").record(bytes, &bucket);
}

/// The instruments of the task runtime.
#[derive(Clone, Debug)]
pub struct TaskMetrics {
    tasks: Counter<u64>,
    task_duration: Histogram<f64>,
    queue_wait: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
    process: Histogram<f64>,
    operation: Histogram<f64>,
    publish_failures: Counter<u64>,
    dead: Counter<u64>,
    attempts: Histogram<u64>,
}

impl Default for TaskMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl TaskMetrics {
    /// The instruments on the global meter; without [`crate::init()`] they count nowhere.
    #[must_use]
    pub fn new() -> Self {
        Self::on(&global::meter("sapari-telemetry"))
    }

    fn on(meter: &Meter) -> Self {
        Self {
            tasks: meter.u64_counter("taskiq_tasks_total").build(),
            task_duration: seconds(meter, "taskiq_task_duration_seconds", &TASK_BUCKETS),
            queue_wait: seconds(meter, "taskiq_queue_wait_seconds", &TASK_BUCKETS),
            in_flight: meter.i64_up_down_counter("taskiq_tasks_in_flight").build(),
            process: seconds(meter, "messaging.process.duration", &MESSAGING_BUCKETS),
            operation: seconds(
                meter,
                "messaging.client.operation.duration",
                &MESSAGING_BUCKETS,
            ),
            publish_failures: meter.u64_counter("taskiq_publish_failures_total").build(),
            dead: meter.u64_counter("taskiq_dead_letters_total").build(),
            attempts: meter
                .u64_histogram("taskiq_task_attempts")
                .with_boundaries(ATTEMPT_BUCKETS.to_vec())
                .build(),
        }
    }

    /// A handler ended. What that came to is known once it is settled: see [`Self::settled`].
    pub fn task_finished(&self, task: &str, outcome: &'static str, seconds: f64) {
        let task = KeyValue::new("task", task.to_owned());
        let labels = [task.clone(), KeyValue::new("outcome", outcome)];
        self.task_duration.record(seconds, &labels);
        let operation = KeyValue::new("messaging.operation.name", "process");
        self.process.record(seconds, &[operation, task]);
    }

    /// Counters of a task begin at nothing, so that its first failure is seen to be one.
    pub fn expect_task(&self, task: &'static str, outcomes: &[&'static str]) {
        for outcome in outcomes {
            let task = KeyValue::new("task", task);
            self.tasks
                .add(0, &[task, KeyValue::new("outcome", *outcome)]);
        }
    }

    /// As [`Self::expect_task`], of a queue.
    pub fn expect_queue(&self, queue: &'static str, reasons: impl Iterator<Item = &'static str>) {
        self.publish_failures.add(0, &[queue_label(queue)]);
        for reason in reasons {
            let reason = KeyValue::new("reason", reason);
            self.dead.add(0, &[queue_label(queue), reason]);
        }
    }

    /// An attempt was settled, or a message without one: `task` is `unknown` when nobody registered it.
    pub fn settled(&self, task: &'static str, outcome: &'static str) {
        let task = KeyValue::new("task", task);
        self.tasks
            .add(1, &[task, KeyValue::new("outcome", outcome)]);
    }

    /// A message came to its end, after so many attempts.
    pub fn ended(&self, task: &'static str, attempts: u32) {
        let task = KeyValue::new("task", task);
        self.attempts.record(attempts.into(), &[task]);
    }

    /// A message was put into the dead-letter queue.
    pub fn buried(&self, queue: &'static str, reason: &'static str) {
        let reason = KeyValue::new("reason", reason);
        self.dead.add(1, &[queue_label(queue), reason]);
    }

    /// A task started after it waited in its queue.
    pub fn queue_wait(&self, queue: &'static str, seconds: f64) {
        self.queue_wait.record(seconds, &[queue_label(queue)]);
    }

    /// Tasks started (`+1`) or ended (`-1`).
    pub fn in_flight(&self, queue: &'static str, delta: i64) {
        self.in_flight.add(delta, &[queue_label(queue)]);
    }

    /// A publish was confirmed, or failed.
    pub fn published(&self, queue: &'static str, ok: bool, seconds: f64) {
        let labels = [
            KeyValue::new("messaging.operation.name", "publish"),
            KeyValue::new("messaging.destination.name", queue),
            KeyValue::new("ok", ok),
        ];
        self.operation.record(seconds, &labels);
        if !ok {
            self.publish_failures.add(1, &[queue_label(queue)]);
        }
    }
}

fn queue_label(queue: &'static str) -> KeyValue {
    KeyValue::new("queue", queue)
}

fn seconds(meter: &Meter, name: &'static str, buckets: &[f64]) -> Histogram<f64> {
    meter
        .f64_histogram(name)
        .with_unit("s")
        .with_boundaries(buckets.to_vec())
        .build()
}
