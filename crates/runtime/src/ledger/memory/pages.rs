//! What the ledger in this process holds, and what may be done with it, one page for each kind.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::broker::Room;
use crate::ledger::runs::REMEMBERED;
use crate::ledger::{Cancel, Gate, GateKind, LastRun, Progress, Run, Standing, WorkerReport};
use crate::message::MessageId;

/// How long to wait for a place that nobody knows the end of.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// A time without an end is as good as a century.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
/// How many writes pass between two sweeps of what has expired.
const SWEEP_EVERY: u64 = 1024;

/// All pages.
#[derive(Default)]
pub(super) struct Pages {
    pub(super) runs: HashMap<MessageId, Kept<State>>,
    pub(super) cancels: HashMap<MessageId, Cancel>,
    pub(super) uniques: HashMap<String, Kept<MessageId>>,
    pub(super) places: HashMap<String, HashMap<String, Instant>>,
    /// When each start of a rate is old enough to be forgotten, the oldest first.
    pub(super) rates: HashMap<String, VecDeque<Instant>>,
    pub(super) workers: BTreeMap<(String, String), Kept<WorkerReport>>,
    pub(super) rooms: BTreeMap<Room, Kept<()>>,
    pub(super) paused: BTreeSet<String>,
    pub(super) progress: HashMap<MessageId, Kept<Progress>>,
    pub(super) steps: HashMap<MessageId, Kept<BTreeMap<String, Vec<u8>>>>,
    pub(super) last_runs: HashMap<String, Kept<LastRun>>,
    pub(super) schedules: super::schedules::Page,
    pub(super) writes: u64,
}

/// A value and when it is forgotten.
pub(super) struct Kept<T> {
    pub(super) value: T,
    pub(super) until: Instant,
}

impl<T> Kept<T> {
    pub(super) fn for_long(value: T, time: Duration) -> Self {
        let until = Instant::now() + time.min(CENTURY);
        Self { value, until }
    }

    pub(super) fn get(&self) -> Option<&T> {
        (self.until > Instant::now()).then_some(&self.value)
    }

    pub(super) fn into_value(self) -> Option<T> {
        (self.until > Instant::now()).then_some(self.value)
    }
}

/// Where the runs of a message stand.
pub(super) enum State {
    Running {
        run: Run,
        until: Instant,
        starts: u32,
    },
    SentOn {
        kick: String,
        hop: u32,
    },
    Finished {
        kick: String,
        replayed: bool,
    },
}

impl Pages {
    pub(super) fn run(&self, id: &MessageId) -> Option<&State> {
        self.runs.get(id)?.get()
    }

    pub(super) fn write_run(&mut self, id: &MessageId, state: State, kept: Duration) {
        self.sweep_now_and_then();
        self.runs.insert(id.clone(), Kept::for_long(state, kept));
    }

    pub(super) fn sweep_now_and_then(&mut self) {
        self.writes += 1;
        if !self.writes.is_multiple_of(SWEEP_EVERY) {
            return;
        }
        let now = Instant::now();
        self.runs.retain(|_, kept| kept.until > now);
        self.uniques.retain(|_, kept| kept.until > now);
        self.progress.retain(|_, kept| kept.until > now);
        self.steps.retain(|_, kept| kept.until > now);
        self.rates
            .retain(|_, ends| ends.back().is_some_and(|end| *end > now));
    }

    pub(super) fn begin(&mut self, run: &Run, lease: Duration, hold_back: Option<u32>) -> Standing {
        let now = Instant::now();
        let mut starts = 1;
        let same = |kick: &str| kick == run.kick && !run.is_new;
        match self.run(&run.id) {
            Some(State::Finished { kick, .. }) if same(kick) => return Standing::Finished,
            Some(State::SentOn { kick, hop }) if same(kick) && *hop > run.hop => {
                return Standing::Superseded;
            }
            Some(State::Running {
                run: other,
                until,
                starts: before,
            }) => {
                if other.token == run.token {
                    starts = *before;
                } else if *until > now {
                    let (remaining, worker) = (*until - now, other.worker.clone());
                    return Standing::Held { remaining, worker };
                } else if same(&other.kick) {
                    starts = before + 1;
                    if hold_back == Some(starts) {
                        return Standing::HeldBack;
                    }
                }
            }
            _ => {}
        }
        let (run, until) = (run.clone(), now + lease);
        self.write_run(
            &run.id.clone(),
            State::Running { run, until, starts },
            REMEMBERED,
        );
        Standing::Granted { starts }
    }

    pub(super) fn renew(&mut self, run: &Run, lease: Duration) {
        let now = Instant::now();
        let starts = match self.run(&run.id) {
            None => 1,
            Some(State::Running {
                run: other, starts, ..
            }) if other.token == run.token => *starts,
            Some(_) => return,
        };
        let (run, until) = (run.clone(), now + lease);
        self.write_run(
            &run.id.clone(),
            State::Running { run, until, starts },
            REMEMBERED,
        );
    }

    pub(super) fn holds(&self, run: &Run) -> bool {
        matches!(self.run(&run.id), Some(State::Running { run: other, .. }) if other.token == run.token)
    }

    /// How long until the gate lets this token through; nothing when it does now.
    pub(super) fn closed_for(&self, gate: &Gate, token: &str) -> Option<Duration> {
        let now = Instant::now();
        match gate.kind {
            GateKind::AtOnce(most) => {
                let places = self.places.get(&gate.name)?;
                let others = places
                    .iter()
                    .filter(|(other, until)| *other != token && **until > now);
                (others.count() >= most as usize).then_some(TRY_AGAIN)
            }
            GateKind::Rate { starts, .. } => {
                let recent = self.rates.get(&gate.name)?.iter().filter(|end| **end > now);
                let over = (recent.clone().count() + 1).checked_sub(starts.max(1) as usize)?;
                recent
                    .copied()
                    .nth(over.checked_sub(1)?)
                    .map(|end| end - now)
            }
        }
    }

    pub(super) fn pass(&mut self, gate: &Gate, token: &str, lease: Duration) {
        let now = Instant::now();
        match gate.kind {
            GateKind::AtOnce(_) => {
                let places = self.places.entry(gate.name.clone()).or_default();
                places.retain(|_, until| *until > now);
                places.insert(token.to_owned(), now + lease);
            }
            GateKind::Rate { per, .. } => {
                let ends = self.rates.entry(gate.name.clone()).or_default();
                ends.retain(|end| *end > now);
                ends.push_back(now + per.min(CENTURY));
            }
        }
    }
}
