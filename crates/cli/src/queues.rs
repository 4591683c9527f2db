//! `sapari queues`: what waits on each level, how long, who takes it, and what becomes of it. Counts are the broker's, exact
//! and of now; rates are summed from what the workers last said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use sapari_runtime::broker::{Broker, BrokerError, Depth, Room};
use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::ledger::{LedgerError, WorkerReport};
use sapari_tasks::Role;
use serde_json::{Value, json};

use crate::args::QueuesLook;
use crate::console::{self, line};
use crate::servers::{check, connect_to_look};
use crate::table::{UNKNOWN, aligned, now, since, unix};
use crate::workers::{is_silent, of_role};

/// The age of a head that does not say when it was queued.
const UNTOLD: &str = "?";

pub(crate) fn run(arguments: &QueuesLook) -> Result<(), Failure> {
    for role in roles(arguments.role) {
        check(&arguments.servers, role.queue())?;
    }
    crate::with_telemetry(look(arguments))
}

fn roles(chosen: Option<Role>) -> Vec<Role> {
    chosen.map_or_else(|| Role::ALL.to_vec(), |role| vec![role])
}

async fn look(arguments: &QueuesLook) -> Result<(), Failure> {
    let broker = connect_to_look(&arguments.servers).await?;
    let seen = see_all(&*broker, arguments).await;
    broker.close().await;
    let (seen, now) = (seen?, now());
    if arguments.json {
        let values: Vec<Value> = seen.iter().map(|seen| seen.value(now)).collect();
        return values.iter().try_for_each(console::json);
    }
    table(&seen, now).iter().try_for_each(line)
}

async fn see_all(broker: &dyn Broker, arguments: &QueuesLook) -> Result<Vec<Seen>, Failure> {
    let ledger = arguments.servers.store.results().await?.ledger();
    let unavailable = |error: LedgerError| Exit::Unavailable.because(&error);
    let reports = ledger.workers().await.map_err(unavailable)?;
    let paused = ledger.paused().await.map_err(unavailable)?;
    let mut all = Vec::new();
    for role in roles(arguments.role) {
        let rooms = ledger.rooms(role.queue()).await.map_err(unavailable)?;
        let waiting = waiting(broker, role, &rooms).await;
        let workers = of_role(reports.clone(), Some(role));
        all.push(Seen {
            role,
            waiting: waiting.map_err(|error| Exit::Unavailable.because(&error))?,
            paused: paused.contains(role.queue().name()),
            rates: Rates::of(&workers, now()),
        });
    }
    Ok(all)
}

/// What the broker has for a role; nothing when its queue was never declared.
async fn waiting(
    broker: &dyn Broker,
    role: Role,
    rooms: &BTreeSet<Room>,
) -> Result<Option<Waiting>, BrokerError> {
    let depth = match broker.depth(role.queue()).await {
        Err(BrokerError::NoQueue { .. }) => return Ok(None),
        depth => depth?,
    };
    // Looking at heads costs more than counting does.
    let oldest = match depth.ready.iter().any(|ready| *ready > 0) {
        true => broker.oldest(role.queue()).await?,
        false => Vec::new(),
    };
    let over_limit = by_level(&broker.count_aside(rooms).await?);
    Ok(Some(Waiting {
        depth,
        oldest,
        over_limit,
    }))
}

/// How many wait in rooms, by the number of their level.
fn by_level(rooms: &BTreeMap<Room, u64>) -> BTreeMap<usize, u64> {
    let mut levels = BTreeMap::new();
    for (room, count) in rooms {
        *levels.entry(room.level().number().into()).or_default() += count;
    }
    levels
}

/// What is known of a role's queue.
struct Seen {
    role: Role,
    waiting: Option<Waiting>,
    paused: bool,
    rates: Rates,
}

struct Waiting {
    depth: Depth,
    oldest: Vec<Option<SystemTime>>,
    /// How many wait in rooms, by the number of their level.
    over_limit: BTreeMap<usize, u64>,
}

/// What a role's living workers do together.
#[derive(Debug, Default, PartialEq)]
struct Rates {
    workers: usize,
    per_minute: f64,
    failed: u64,
}

impl Rates {
    fn of(workers: &[WorkerReport], now: f64) -> Self {
        let alive = workers.iter().filter(|report| !is_silent(report, now));
        alive.fold(Self::default(), |sum, report| Self {
            workers: sum.workers + 1,
            per_minute: sum.per_minute + report.per_minute,
            failed: sum.failed.saturating_add(report.failed),
        })
    }
}

/// One level, as a broker counts it.
struct OnLevel {
    level: usize,
    ready: u64,
    over_limit: u64,
    consumers: u64,
    oldest: Option<SystemTime>,
}

impl Waiting {
    /// Highest first: the order in which a free slot looks for work.
    fn levels(&self) -> impl Iterator<Item = OnLevel> {
        let levels = self.depth.ready.iter().zip(&self.depth.consumers);
        levels
            .enumerate()
            .rev()
            .map(|(level, (&ready, &consumers))| OnLevel {
                level,
                ready,
                over_limit: self.over_limit.get(&level).copied().unwrap_or_default(),
                consumers,
                oldest: self.oldest.get(level).copied().flatten(),
            })
    }
}

impl OnLevel {
    fn age(&self, now: f64) -> String {
        match self.oldest {
            Some(at) => since(now, unix(at)),
            None if self.ready > 0 => UNTOLD.to_owned(),
            None => UNKNOWN.to_owned(),
        }
    }

    fn value(&self, now: f64) -> Value {
        let age = self.oldest.map(|at| (now - unix(at)).max(0.0));
        json!({
            "level": self.level,
            "ready": self.ready,
            "over_limit": self.over_limit,
            "consumers": self.consumers,
            "oldest_seconds": age,
        })
    }
}

fn table(all: &[Seen], now: f64) -> Vec<String> {
    let head = [
        "role",
        "level",
        "ready",
        "over limit",
        "consumers",
        "oldest",
        "dead",
        "paused",
        "workers",
        "per min",
        "failed",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(all.iter().flat_map(|seen| seen.rows(now)));
    aligned(&rows)
}

impl Seen {
    fn rows(&self, now: f64) -> Vec<[String; 11]> {
        let Some(waiting) = &self.waiting else {
            let none = [const { String::new() }; 5].map(|_| UNKNOWN.to_owned());
            return vec![self.row(none, self.of_role(UNKNOWN.to_owned()))];
        };
        let mut of_role = Some(self.of_role(waiting.depth.dead.to_string()));
        let row = |on: OnLevel| {
            let cells = [
                on.level.to_string(),
                on.ready.to_string(),
                on.over_limit.to_string(),
                on.consumers.to_string(),
                on.age(now),
            ];
            self.row(cells, of_role.take().unwrap_or_default())
        };
        waiting.levels().map(row).collect()
    }

    fn row(
        &self,
        [level, ready, over_limit, consumers, oldest]: [String; 5],
        of_role: [String; 5],
    ) -> [String; 11] {
        let [dead, paused, workers, per_minute, failed] = of_role;
        [
            self.role.to_string(),
            level,
            ready,
            over_limit,
            consumers,
            oldest,
            dead,
            paused,
            workers,
            per_minute,
            failed,
        ]
    }

    /// What is said once for a role.
    fn of_role(&self, dead: String) -> [String; 5] {
        let paused = if self.paused { "yes" } else { "no" };
        [
            dead,
            paused.to_owned(),
            self.rates.workers.to_string(),
            format!("{:.1}", self.rates.per_minute),
            self.rates.failed.to_string(),
        ]
    }

    fn value(&self, now: f64) -> Value {
        let waiting = self.waiting.as_ref();
        let levels = waiting.map(|waiting| {
            let levels = waiting.levels().map(|level| level.value(now));
            levels.collect::<Vec<_>>()
        });
        json!({
            "role": self.role.as_str(),
            "declared": waiting.is_some(),
            "levels": levels.unwrap_or_default(),
            "dead": waiting.map(|waiting| waiting.depth.dead),
            "paused": self.paused,
            "workers": self.rates.workers,
            "per_minute": self.rates.per_minute,
            "failed": self.rates.failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::workers::tests::report;

    const NOW: f64 = 1_000_000.0;

    fn before(seconds: u64) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_secs(1_000_000 - seconds))
    }

    fn seen() -> [Seen; 2] {
        let depth = Depth {
            ready: vec![120_000, 0, 7, 3],
            consumers: vec![2, 2, 2, 2],
            dead: 1,
        };
        let oldest = vec![before(7_300), None, None, before(4)];
        let render = Seen {
            role: Role::Render,
            waiting: Some(Waiting {
                depth,
                oldest,
                over_limit: [(0, 940)].into(),
            }),
            paused: true,
            rates: Rates {
                workers: 2,
                per_minute: 13.25,
                failed: 8,
            },
        };
        let analysis = Seen {
            role: Role::Analysis,
            waiting: None,
            paused: false,
            rates: Rates::default(),
        };
        [analysis, render]
    }

    #[test]
    fn a_row_for_each_level_and_dashes_for_what_was_never_declared() {
        assert_eq!(
            table(&seen(), NOW).join("\n"),
            "\
role      level  ready   over limit  consumers  oldest  dead  paused  workers  per min  failed
analysis  -      -       -           -          -       -     no      0        0.0      0
render    3      3       0           2          4s      1     yes     2        13.2     8
render    2      7       0           2          ?
render    1      0       0           2          -
render    0      120000  940         2          2h"
        );
    }

    #[test]
    fn json_has_the_same_as_numbers() {
        let [analysis, render] = seen();
        let value = render.value(NOW);
        assert_eq!(
            value["levels"][0],
            json!({"level": 3, "ready": 3, "over_limit": 0, "consumers": 2, "oldest_seconds": 4.0})
        );
        assert_eq!(value["levels"][1]["oldest_seconds"], Value::Null);
        assert_eq!(
            (&value["dead"], &value["paused"]),
            (&json!(1), &json!(true))
        );
        let value = analysis.value(NOW);
        assert_eq!(
            (&value["declared"], &value["levels"], &value["dead"]),
            (&json!(false), &json!([]), &Value::Null)
        );
    }

    #[test]
    fn rates_are_those_of_workers_that_are_alive() {
        let (one, two, mut silent) = (
            report("1", "render"),
            report("2", "render"),
            report("3", "render"),
        );
        silent.seen_at = NOW - 60.0;
        let expected = Rates {
            workers: 2,
            per_minute: 24.68,
            failed: 10,
        };
        assert_eq!(Rates::of(&[one, silent, two], NOW), expected);
        assert_eq!(Rates::of(&[], NOW), Rates::default());
    }
}
