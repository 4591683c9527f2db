//! One measurement, as data: what is measured, how much of it, under which conditions. Parent and child speak of it in words.
//! Measures nothing itself.

use sapari_telemetry::{Defaults, Guard, Settings};
use tokio::runtime::Builder;

use crate::load::Room;
use crate::sink::Sink;
use crate::{Failure, memory, ours, plain, report, steps};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The client library: publishes with confirms, so many at a time.
    PlainPublish { in_flight: usize },
    /// The client library: takes messages, one `multiple` ack for 16.
    PlainDrain,
    /// The client library: from the publish to the delivery, on an idle consumer, in microseconds.
    PlainLatency,
    /// The runtime: `kick`, one at a time.
    Kick,
    /// The runtime: `kick_all`.
    KickAll,
    /// The runtime: tasks that do nothing.
    Drain { slots: u16 },
    /// The same on one slot, with so many messages held ahead of it.
    DrainAhead { messages: u16 },
    /// The runtime: from the kick to the handler's start, on an idle worker, in microseconds.
    Latency,
    /// The pipeline engine and bare futures: microseconds a step. The steps' outputs are kept, or not.
    Steps { kept: bool },
    /// Resident memory of an idle worker, in KiB.
    IdleMemory,
    /// The most resident memory of a worker that drains, in KiB.
    BusyMemory,
}

/// The discard service, which no machine runs any more.
const NOBODY: &str = "http://127.0.0.1:9";

/// Where results go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// Nowhere: none is kept.
    None,
    /// To Redis.
    Redis,
}

/// What telemetry does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tracing {
    /// Nothing at all: no subscriber.
    Off,
    /// Every trace is exported over OTLP to a sink in the same process; log lines at WARN.
    On,
    /// One trace in twenty is.
    Sampled,
    /// As `On`, to a port where nobody listens.
    Dead,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) what: What,
    pub(crate) count: usize,
    pub(crate) store: Store,
    pub(crate) tracing: Tracing,
}

impl Sample {
    /// Without results and without tracing.
    pub(crate) const fn of(what: What, count: usize) -> Self {
        Self {
            what,
            count,
            store: Store::None,
            tracing: Tracing::Off,
        }
    }

    pub(crate) const fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    pub(crate) const fn tracing(mut self, tracing: Tracing) -> Self {
        self.tracing = tracing;
        self
    }

    /// As the child's command line has it.
    pub(crate) fn words(&self) -> Vec<String> {
        let (what, number) = match self.what {
            What::PlainPublish { in_flight } => ("plain-publish", in_flight),
            What::PlainDrain => ("plain-drain", 0),
            What::PlainLatency => ("plain-latency", 0),
            What::Kick => ("kick", 0),
            What::KickAll => ("kick-all", 0),
            What::Drain { slots } => ("drain", slots.into()),
            What::DrainAhead { messages } => ("drain-ahead", messages.into()),
            What::Latency => ("latency", 0),
            What::Steps { kept } => ("steps", kept.into()),
            What::IdleMemory => ("idle-memory", 0),
            What::BusyMemory => ("busy-memory", 0),
        };
        let store = match self.store {
            Store::None => "none",
            Store::Redis => "redis",
        };
        let tracing = match self.tracing {
            Tracing::Off => "off",
            Tracing::On => "on",
            Tracing::Sampled => "sampled",
            Tracing::Dead => "dead",
        };
        let numbers = [number.to_string(), self.count.to_string()];
        [what.to_owned()]
            .into_iter()
            .chain(numbers)
            .chain([store.to_owned(), tracing.to_owned()])
            .collect()
    }

    pub(crate) fn parse(words: &[String]) -> Result<Self, Failure> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let [what, number, count, store, tracing] = words[..] else {
            return Err("five words say what one sample is".into());
        };
        let number: u16 = number.parse()?;
        Ok(Self {
            what: match what {
                "plain-publish" => What::PlainPublish {
                    in_flight: number.into(),
                },
                "plain-drain" => What::PlainDrain,
                "plain-latency" => What::PlainLatency,
                "kick" => What::Kick,
                "kick-all" => What::KickAll,
                "drain" => What::Drain { slots: number },
                "drain-ahead" => What::DrainAhead { messages: number },
                "latency" => What::Latency,
                "steps" => What::Steps { kept: number > 0 },
                "idle-memory" => What::IdleMemory,
                "busy-memory" => What::BusyMemory,
                other => return Err(format!("nothing is called {other:?}").into()),
            },
            count: count.parse()?,
            store: if store == "redis" {
                Store::Redis
            } else {
                Store::None
            },
            tracing: match tracing {
                "on" => Tracing::On,
                "sampled" => Tracing::Sampled,
                "dead" => Tracing::Dead,
                _ => Tracing::Off,
            },
        })
    }

    /// In the child: measures, and prints the numbers.
    pub(crate) fn measure_here(self) -> Result<(), Failure> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let numbers = runtime.block_on(async {
            let sink = Sink::start().await?;
            let telemetry = self.telemetry(&sink)?;
            let numbers = self.measure().await;
            // A guard that is dropped waits for its exporter, which needs the sink: not on one of its threads.
            tokio::task::spawn_blocking(move || drop(telemetry)).await?;
            numbers
        })?;
        report::numbers(&numbers);
        Ok(())
    }

    async fn measure(self) -> Result<Vec<f64>, Failure> {
        match self.what {
            What::PlainPublish { in_flight } => plain::publish(self.count, in_flight).await,
            What::PlainDrain => plain::drain(self.count).await,
            What::PlainLatency => plain::latency(self.count).await,
            What::Kick => ours::kick(self).await,
            What::KickAll => ours::kick_all(self).await,
            What::Drain { slots } => ours::drain(self, Room::of(slots)).await,
            What::DrainAhead { messages } => {
                let read_ahead = Some(messages);
                let room = Room {
                    slots: 1,
                    read_ahead,
                };
                ours::drain(self, room).await
            }
            What::Latency => ours::latency(self).await,
            What::Steps { kept } => steps::overhead(self.count, kept).await,
            What::IdleMemory => memory::idle(self).await,
            What::BusyMemory => memory::busy(self).await,
        }
    }

    fn telemetry(self, sink: &Sink) -> Result<Option<Guard>, Failure> {
        if self.tracing == Tracing::Off {
            return Ok(None);
        }
        let endpoint = match self.tracing {
            Tracing::Dead => NOBODY.to_owned(),
            _ => sink.endpoint(),
        };
        let lookup = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
            "BENCH_LOG" => Some("warn".to_owned()),
            _ => None,
        };
        let defaults = Defaults {
            prefix: "BENCH",
            role: "bench",
            ..Defaults::default()
        };
        let settings = Settings::from_lookup(&defaults, lookup)?;
        Ok(Some(sapari_telemetry::init(settings)?))
    }
}
