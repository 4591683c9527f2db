//! From how a process is to what its health pages say: pure. `live` asks whether a restart would help, `ready` whether it
//! does the work that it is there for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Snapshot, Stand, StuckHandler, WorkerSnapshot};
use crate::duration::seconds;

/// From here on the event loop counts as stalled.
const STALLED: Duration = seconds(2);
/// From here on nobody expects it to come back.
const DEAD: Duration = seconds(30);
/// The most stuck handlers that are named.
const NAMED: usize = 5;

/// What is wrong, in plain words, by the check that found it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// A sentence per failed check; empty when all is well.
    pub failed: BTreeMap<&'static str, String>,
}

impl Verdict {
    /// Whether all is well.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed.is_empty()
    }

    fn of<const N: usize>(checks: [(&'static str, Option<String>); N]) -> Self {
        let failed = checks
            .into_iter()
            .filter_map(|(check, wrong)| Some((check, wrong?)));
        Self {
            failed: failed.collect(),
        }
    }
}

impl Snapshot {
    /// Whether the process can still come round by itself. If not, restart it.
    #[must_use]
    pub fn live(&self) -> Verdict {
        Verdict::of([("event_loop", stalled(self.loop_age, DEAD))])
    }

    /// Whether it takes messages from every level and gets on with them.
    #[must_use]
    pub fn ready(&self) -> Verdict {
        // A worker that drains has given up its consumer: that says enough.
        let worker = self.worker.as_ref().filter(|_| !self.draining);
        Verdict::of([
            ("phase", phase(self)),
            ("event_loop", stalled(self.loop_age, STALLED)),
            ("handlers", stuck(&self.stuck)),
            ("consumer", worker.and_then(gone)),
            ("broker", worker.and_then(disconnected)),
            ("scheduler", away(self)),
        ])
    }
}

fn phase(snapshot: &Snapshot) -> Option<String> {
    if snapshot.scheduler.is_some() {
        let ends = "draining: it fires nothing more, and ends";
        return snapshot.draining.then(|| ends.to_owned());
    }
    match (snapshot.draining, &snapshot.worker) {
        (true, _) => Some("draining: it takes no more messages, and ends".to_owned()),
        (false, None) => Some("starting: it takes no messages yet".to_owned()),
        (false, Some(_)) => None,
    }
}

/// One that stands by is ready: it takes over.
fn away(snapshot: &Snapshot) -> Option<String> {
    match &snapshot.scheduler.as_ref()?.stand {
        Stand::Away(why) => Some(format!("it cannot lead: {why}")),
        Stand::Starts => Some("starting: it has not tried to lead yet".to_owned()),
        Stand::Leads(_) | Stand::By => None,
    }
}

fn stalled(age: Duration, limit: Duration) -> Option<String> {
    (age >= limit).then(|| {
        format!(
            "the event loop has stood still for {} s: a handler blocks its thread",
            age.as_secs()
        )
    })
}

fn stuck(handlers: &[StuckHandler]) -> Option<String> {
    let named = handlers.iter().take(NAMED).map(|handler| {
        let (task, id, age) = (&handler.task, &handler.id, handler.noted_for.as_secs());
        format!("{task} {id} has been stuck for {age} s")
    });
    let mut text = named.collect::<Vec<_>>().join("; ");
    let more = handlers.len().saturating_sub(NAMED);
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "; and {more} more");
    }
    (!text.is_empty()).then_some(text)
}

fn gone(worker: &WorkerSnapshot) -> Option<String> {
    let gone = worker.levels.iter().filter_map(|it| {
        let (level, queue, age) = (it.level, worker.queue, it.gone_for?.as_secs());
        Some(format!(
            "level {level} of {queue} has had no consumer for {age} s"
        ))
    });
    let text = gone.collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then_some(text)
}

fn disconnected(worker: &WorkerSnapshot) -> Option<String> {
    (!worker.connections.up)
        .then(|| "a connection to the broker is down; it is being opened again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Connections, Liveness};
    use crate::queue::Queue;
    use crate::vitals::SchedulerState;

    const QUEUE: Queue = Queue::named("render").levels(4);

    fn at_work() -> Snapshot {
        let worker = WorkerSnapshot {
            queue: QUEUE,
            slots: 2,
            in_use: 2,
            levels: Liveness::of(QUEUE).look(),
            connections: Connections::default(),
        };
        Snapshot {
            loop_age: Duration::from_millis(250),
            draining: false,
            worker: Some(worker),
            stuck: Vec::new(),
            census: None,
            scheduler: None,
        }
    }

    fn scheduler(stand: Stand) -> Snapshot {
        let state = SchedulerState {
            stand,
            ..SchedulerState::default()
        };
        Snapshot {
            worker: None,
            scheduler: Some(state),
            ..at_work()
        }
    }

    #[test]
    fn a_scheduler_is_ready_when_it_leads_or_would() {
        let away = Stand::Away("the broker is away".to_owned());
        let ending = Snapshot {
            draining: true,
            ..scheduler(Stand::By)
        };
        let table: [(Snapshot, &[(&str, &str)]); 5] = [
            (scheduler(Stand::Leads(3)), &[]),
            (scheduler(Stand::By), &[]),
            (
                scheduler(Stand::Starts),
                &[("scheduler", "not tried to lead yet")],
            ),
            (
                scheduler(away),
                &[("scheduler", "cannot lead: the broker is away")],
            ),
            (ending, &[("phase", "draining")]),
        ];
        for (snapshot, expected) in table {
            let failed = snapshot.ready().failed;
            assert_eq!(failed.len(), expected.len(), "{failed:?}");
            for (check, words) in expected {
                assert!(failed[check].contains(words), "{failed:?}");
            }
        }
    }

    fn without(levels: &[(usize, u64)]) -> Snapshot {
        let mut snapshot = at_work();
        let worker = snapshot.worker.as_mut().expect("at work");
        for (place, age) in levels {
            worker.levels[*place].gone_for = Some(seconds(*age));
        }
        snapshot
    }

    fn disconnected() -> Snapshot {
        let mut snapshot = at_work();
        let worker = snapshot.worker.as_mut().expect("at work");
        worker.connections.up = false;
        snapshot
    }

    fn stuck(count: u128) -> Snapshot {
        let handler = |number: u128| StuckHandler {
            task: "cut".to_owned(),
            id: number.to_string().parse().expect("an id"),
            noted_for: seconds(7),
        };
        Snapshot {
            stuck: (0..count).map(handler).collect(),
            ..at_work()
        }
    }

    fn aged(age: Duration) -> Snapshot {
        Snapshot {
            loop_age: age,
            ..at_work()
        }
    }

    #[test]
    fn ready_names_each_check_that_failed() {
        let booting = Snapshot {
            worker: None,
            ..at_work()
        };
        let draining = Snapshot {
            draining: true,
            ..without(&[(0, 1)])
        };
        let all = Snapshot {
            loop_age: seconds(3),
            stuck: stuck(1).stuck,
            ..without(&[(0, 1)])
        };
        let table: [(Snapshot, &[(&str, &str)]); 11] = [
            (at_work(), &[]),
            (booting, &[("phase", "starting")]),
            (draining, &[("phase", "draining")]),
            (aged(STALLED - Duration::from_millis(1)), &[]),
            (aged(STALLED), &[("event_loop", "stood still for 2 s")]),
            (
                without(&[(0, 12)]),
                &[("consumer", "level 3 of render has had no consumer for 12 s")],
            ),
            (
                without(&[(1, 0), (3, 90)]),
                &[(
                    "consumer",
                    "level 2 of render has had no consumer for 0 s; level 0 of render has had no consumer for 90 s",
                )],
            ),
            (disconnected(), &[("broker", "connection")]),
            (stuck(1), &[("handlers", "cut 0 has been stuck for 7 s")]),
            (stuck(7), &[("handlers", "; and 2 more")]),
            (
                all,
                &[
                    ("consumer", "level 3"),
                    ("event_loop", "3 s"),
                    ("handlers", "cut 0"),
                ],
            ),
        ];
        for (snapshot, expected) in table {
            let verdict = snapshot.ready();
            let checks: Vec<_> = verdict.failed.keys().copied().collect();
            let wanted: Vec<_> = expected.iter().map(|(check, _)| *check).collect();
            assert_eq!(checks, wanted, "{verdict:?}");
            for (check, words) in expected {
                assert!(verdict.failed[check].contains(words), "{verdict:?}");
            }
            assert_eq!(verdict.passed(), expected.is_empty());
        }
    }

    #[test]
    fn only_a_dead_loop_is_worth_a_restart() {
        let alive = [
            at_work(),
            aged(DEAD - Duration::from_millis(1)),
            without(&[(0, 600)]),
            disconnected(),
            stuck(3),
        ];
        for snapshot in alive {
            assert!(snapshot.live().passed(), "{snapshot:?}");
        }
        assert!(aged(DEAD).live().failed.contains_key("event_loop"));
    }
}
