//! Runs a pipeline: a ready queue, no barrier between levels. What a step came to decides what its followers do: they run, are
//! skipped, or are dropped because the pipeline ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::builder::Dag;
use super::checkpoint::Fingerprint;
use super::context::Shared;
use super::finished::Finished;
use super::kept::{Kept, Resumed, spare};
use super::progress::{Track, Weighed};
use super::report::{StepFailure, StepOutcome, StepReport};
use super::skip::Skip;
use super::spec::OnError;
use super::step::{self, Came, Turn, outcome_of, unbegun};
use super::usage::Purse;
use super::verdict::{End, Ended, result_of};
use super::work::{Fork, Given, Node};
use crate::context::TaskContext;
use crate::task::Task;

impl<In: Task, Deps: Send + Sync + 'static> Dag<In, Deps> {
    pub(super) async fn run(&self, cx: &TaskContext, deps: Deps, task: In) -> Finished {
        let began = Instant::now();
        let kept = Kept::load(cx, self, &task).await;
        let ids = self.steps.iter().map(|node| node.spec.id).collect();
        let purse = Purse::new(self.budget, ids);
        purse.begin_with(kept.spent(), |step| kept.spent_by(self.steps[step].spec.id));
        let weighed = |node: &Node<In, Deps>| Weighed {
            id: node.spec.id,
            weight: node.spec.weight,
        };
        let weighed = self.steps.iter().map(weighed).collect();
        let track = Track::new(self.name, weighed, self.listener.clone());
        let shared = Arc::new(Shared::new((task, deps), cx, purse, track));
        let run = Run::new(self, &shared, &kept);
        let finished = run.finish_all(began).await;
        if finished.is_whole() {
            let last = || finished.last_run();
            cx.shelf().tell(self.name, last).await;
        }
        if finished.result.is_err() {
            kept.put_spent(&shared).await;
        }
        finished
    }
}

/// One run: what has ended, and how many inputs each step still waits for.
struct Run<'p, In: Task, Deps> {
    dag: &'p Dag<In, Deps>,
    shared: &'p Arc<Shared<In, Deps>>,
    kept: &'p Kept,
    waits_for: Vec<usize>,
    ready: BTreeSet<usize>,
    ready_since: Vec<Instant>,
    begun: Vec<bool>,
    ended: Vec<Option<Ended>>,
}

impl<'p, In: Task, Deps: Send + Sync + 'static> Run<'p, In, Deps> {
    fn new(dag: &'p Dag<In, Deps>, shared: &'p Arc<Shared<In, Deps>>, kept: &'p Kept) -> Self {
        let steps = &dag.steps;
        Self {
            dag,
            shared,
            kept,
            waits_for: steps.iter().map(|node| node.inputs.len()).collect(),
            ready: BTreeSet::new(),
            ready_since: vec![Instant::now(); steps.len()],
            begun: vec![false; steps.len()],
            ended: std::iter::repeat_with(|| None).take(steps.len()).collect(),
        }
    }

    /// Until nothing is left to run, or what has ended ends all of it.
    async fn finish_all(mut self, began: Instant) -> Finished {
        self.begin();
        let (mut running, mut keeping) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut end = End::Whole;
        loop {
            while let Some((step, made_from)) = self.next(running.len()) {
                running.push(self.start(step, made_from));
            }
            if running.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some((step, made_from, came)) = running.next() => {
                    let (ended, output) = self.come_to(step, made_from, came);
                    let key = (step, made_from);
                    keeping.extend(output.map(|output| self.keep(key, ended.took, output)));
                    if let Some(cut) = self.note(step, ended) {
                        end = cut;
                        break;
                    }
                }
                Some(()) = keeping.next() => {}
            }
        }
        // What still runs is dropped; what was finished is kept first.
        drop(running);
        while keeping.next().await.is_some() {}
        drop(keeping);
        self.finished(end, began)
    }

    /// Whether the task is asked to end: then nothing more begins.
    fn is_stopped(&self) -> bool {
        self.shared.cx.stop().is_cancelled()
    }

    /// What earlier attempts finished is there from the start; what has no inputs is ready.
    fn begin(&mut self) {
        let steps = &self.dag.steps;
        let spared = spare(self.kept, self.shared, steps, self.dag.output);
        for (step, node) in steps.iter().enumerate() {
            if node.inputs.is_empty() {
                self.ready.insert(step);
            }
        }
        let mut there = Vec::new();
        for (step, resumed) in spared.resumed.into_iter().enumerate() {
            let ended = match resumed {
                Some(resumed) => self.resumed(step, resumed),
                None if spared.unneeded[step] => {
                    self.skipped(step, "all that need it were finished before".to_owned())
                }
                None => continue,
            };
            self.write_down(step, ended);
            there.push(step);
        }
        // Only now: what follows from one of them may be there as well.
        there.into_iter().for_each(|step| self.let_go_on(step));
    }

    /// The next step that may begin, and what it is made from. One that turns out to have been finished by an earlier attempt is resumed on the way.
    fn next(&mut self, running: usize) -> Option<(usize, Fingerprint)> {
        while running < self.dag.max_parallel && !self.is_stopped() {
            let step = self.ready.pop_first()?;
            let made_from = self.fingerprint(step);
            let node = (step, &self.dag.steps[step]);
            match self.kept.resume(self.shared, node, made_from) {
                Some(resumed) => {
                    let ended = self.resumed(step, resumed);
                    self.write_down(step, ended);
                    self.let_go_on(step);
                }
                None => return Some((step, made_from)),
            }
        }
        None
    }

    fn start(
        &mut self,
        step: usize,
        made_from: Fingerprint,
    ) -> impl Future<Output = (usize, Fingerprint, Came)> + use<'p, In, Deps> {
        self.begun[step] = true;
        let turn = Turn {
            node: &self.dag.steps[step],
            step,
            shared: self.shared,
            kept: self.kept,
            given: self.given(step),
            fingerprint: made_from,
            ready: self.ready_since[step],
        };
        self.shared.track.moved(self.shared, step, 0.0);
        async move { (step, made_from, step::run(turn).await) }
    }

    fn given(&self, step: usize) -> Given {
        let inputs = self.dag.steps[step].inputs.iter();
        let values = inputs.map(|need| self.ended[need.step].as_ref()?.value.clone());
        values.collect()
    }

    /// What the step is made from: known once all of its inputs have ended.
    fn fingerprint(&self, step: usize) -> Fingerprint {
        self.kept.of_step(&self.dag.steps[step], |input| {
            let ended = self.ended[input].as_ref()?;
            ended.value.as_ref().map(|_| ended.fingerprint)
        })
    }

    /// What a step's end means, and its output as it is to be kept.
    fn come_to(&self, step: usize, made_from: Fingerprint, came: Came) -> (Ended, Option<Vec<u8>>) {
        let node = &self.dag.steps[step];
        let outcome = outcome_of(&came.to);
        let mut ended = Ended {
            outcome,
            took: self.ready_since[step].elapsed(),
            attempts: came.attempts,
            fingerprint: made_from,
            ..Ended::now(outcome)
        };
        let value = match came.to.map(|value| node.fork(value)) {
            Ok(Fork::On(value)) => value,
            Ok(Fork::End(output)) => {
                ended.ends_with = Some(output);
                return (ended, None);
            }
            Err(error) => {
                let skip = Skip::in_error(&error).map(|skip| skip.reason().to_owned());
                ended.reason = skip.or_else(|| Some(error.sentence()));
                ended.error = Some(error);
                return (ended, None);
            }
        };
        let output = node.keep.as_ref().and_then(|keep| {
            let output = (keep.codec.encode)(&value);
            let no_json = |error: &_| tracing::warn!(%error, step = node.spec.id, "an output that is no JSON is not kept");
            let output = output.inspect_err(no_json).ok();
            ended.fingerprint = keep.for_others(made_from, output.as_deref());
            output
        });
        ended.value = Some(value);
        (ended, output)
    }

    fn keep(
        &self,
        (step, made_from): (usize, Fingerprint),
        took: Duration,
        output: Vec<u8>,
    ) -> impl Future<Output = ()> + use<'p, In, Deps> {
        let (kept, shared) = (self.kept, self.shared);
        let key = (self.dag.steps[step].spec.id, None);
        async move { kept.put(shared, key, made_from, (took, output)).await }
    }

    /// Writes down that a step has ended, and lets its followers go on; says so when that is the end of all.
    fn note(&mut self, step: usize, ended: Ended) -> Option<End> {
        let node = &self.dag.steps[step];
        let cut = match &ended {
            Ended {
                ends_with: Some(_), ..
            } => Some(End::Early(step)),
            Ended {
                error: Some(error),
                outcome,
                ..
            } if *outcome != StepOutcome::Skipped => {
                self.shared.note_failure(StepFailure {
                    step: node.spec.id.to_owned(),
                    error: error.sentence(),
                });
                let on_error = node.spec.on_error.unwrap_or(self.dag.on_error);
                // A snooze is no failure that could be passed over; nor is what was asked for.
                let goes_on = on_error == OnError::Continue && !ended.is_snooze();
                (!goes_on || self.is_stopped()).then_some(End::Failed(step))
            }
            _ => None,
        };
        self.write_down(step, ended);
        if cut.is_none() {
            self.let_go_on(step);
        }
        cut
    }

    fn write_down(&mut self, step: usize, ended: Ended) {
        let word = ended.outcome.as_str();
        self.shared.track.ended(self.shared, step, word);
        self.ready.remove(&step);
        self.ended[step] = Some(ended);
    }

    fn resumed(&self, step: usize, resumed: Resumed) -> Ended {
        let (node, outcome) = (&self.dag.steps[step], StepOutcome::Resumed);
        unbegun(node.spec.id, &node.depends_on, None, outcome, None);
        Ended {
            value: Some(resumed.value),
            fingerprint: resumed.fingerprint,
            took: resumed.took,
            ..Ended::now(outcome)
        }
    }

    fn skipped(&self, step: usize, reason: String) -> Ended {
        let (node, outcome) = (&self.dag.steps[step], StepOutcome::Skipped);
        unbegun(node.spec.id, &node.depends_on, None, outcome, Some(&reason));
        Ended {
            reason: Some(reason),
            ..Ended::now(outcome)
        }
    }

    /// Those that waited for this step last are ready, or skipped when something that they need is missing.
    fn let_go_on(&mut self, step: usize) {
        let dag = self.dag;
        for (waiting, node) in dag.steps.iter().enumerate() {
            let uses = node.inputs.iter().filter(|need| need.step == step).count();
            self.waits_for[waiting] -= uses;
            if uses == 0 || self.waits_for[waiting] > 0 || self.ended[waiting].is_some() {
                continue;
            }
            match self.lacks(node) {
                Some(reason) => {
                    let ended = self.skipped(waiting, reason);
                    self.write_down(waiting, ended);
                    self.let_go_on(waiting);
                }
                None => {
                    self.ready_since[waiting] = Instant::now();
                    self.ready.insert(waiting);
                }
            }
        }
    }

    /// What the step needs and does not get, as a sentence.
    fn lacks(&self, node: &Node<In, Deps>) -> Option<String> {
        let mut needed = node.inputs.iter().filter(|need| need.needed);
        let missing = needed.find_map(|need| {
            let ended = self.ended[need.step].as_ref()?;
            ended.value.is_none().then_some((need.step, ended.outcome))
        });
        let (step, outcome) = missing?;
        let what = match outcome {
            StepOutcome::Skipped => "was skipped",
            _ => "failed",
        };
        let id = self.dag.steps[step].spec.id;
        Some(format!("it needs step `{id}`, which {what}"))
    }

    fn finished(mut self, end: End, began: Instant) -> Finished {
        let stopped = end == End::Whole && self.ended.iter().any(Option::is_none);
        let end = if stopped { End::Stopped } else { end };
        let critical_path = match end {
            End::Failed(step) | End::Early(step) => self.critical_path(step),
            End::Whole | End::Stopped => self.critical_path(self.last_ended()),
        };
        let steps = self.reports();
        let nodes = &self.dag.steps;
        let name = |step: usize| nodes[step].spec.id;
        let ended_by = match end {
            End::Early(step) => Some(name(step)),
            _ => None,
        };
        let needs = |step: usize| nodes[step].inputs.as_slice();
        let result = result_of(&mut self.ended, end, (self.dag.output, name, needs));
        Finished {
            result,
            steps,
            spent: self.shared.purse.total(),
            critical_path,
            ended_by,
            stopped,
            took: began.elapsed(),
        }
    }

    fn reports(&self) -> Vec<StepReport> {
        let report = |(step, node): (usize, &Node<In, Deps>)| {
            let ended = self.ended[step].as_ref();
            let left = match self.begun[step] {
                true => StepOutcome::Cancelled,
                false => StepOutcome::NotBegun,
            };
            StepReport {
                id: node.spec.id,
                outcome: ended.map_or(left, |ended| ended.outcome),
                attempts: ended.map_or(0, |ended| ended.attempts),
                took: ended.map_or(Duration::ZERO, |ended| ended.took),
                spent: self.shared.purse.of_step(step),
                reason: ended.and_then(|ended| ended.reason.clone()),
            }
        };
        self.dag.steps.iter().enumerate().map(report).collect()
    }

    fn ended_at(&self, step: usize) -> Option<Instant> {
        self.ended[step].as_ref().map(|ended| ended.at)
    }

    fn last_ended(&self) -> usize {
        (0..self.ended.len())
            .max_by_key(|step| self.ended_at(*step))
            .unwrap_or(0)
    }

    /// From the given step back along the input that came last; what was not run in this attempt has decided nothing.
    fn critical_path(&self, last: usize) -> Vec<&'static str> {
        let was_run = |step: &usize| {
            let ended = self.ended[*step].as_ref();
            ended.is_some_and(|ended| ended.attempts > 0)
        };
        let latest_input = |step: &usize| {
            let inputs = self.dag.steps[*step].inputs.iter();
            let inputs = inputs.map(|need| need.step).filter(was_run);
            inputs.max_by_key(|input| self.ended_at(*input))
        };
        let mut path: Vec<&'static str> = std::iter::successors(Some(last), latest_input)
            .filter_map(|step| self.dag.steps.get(step))
            .map(|node| node.spec.id)
            .collect();
        path.reverse();
        path
    }
}
