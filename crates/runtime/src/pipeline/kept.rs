//! What earlier attempts at the message left of a pipeline's steps, and what of it still holds: which steps need not run. Reads and
//! writes by way of the shelf.

use std::collections::BTreeMap;
use std::time::Duration;

use super::builder::Dag;
use super::checkpoint::{Checkpoint, Codec, Fingerprint, Head};
use super::context::{Own, Shared, StepContext};
use super::usage::Spent;
use super::work::{Keep, Node, Value};
use crate::context::TaskContext;
use crate::task::Task;

/// What of a step, or of one item of its list.
pub(super) type Key<'a> = (&'a str, Option<usize>);

/// Under which what was spent is kept, where nothing else is.
const SPENT: Key<'static> = ("", None);

/// What earlier attempts left, and the fingerprint of this run.
pub(super) struct Kept {
    pipeline: &'static str,
    /// Whether anything is ever kept: a pipeline without kept steps and without a budget asks nobody.
    is_used: bool,
    run: Fingerprint,
    found: BTreeMap<String, Checkpoint>,
}

/// A step that need not run.
#[derive(Clone)]
pub(super) struct Resumed {
    pub(super) value: Value,
    pub(super) took: Duration,
    /// For those that take it.
    pub(super) fingerprint: Fingerprint,
}

impl Kept {
    /// Looks for what earlier attempts left, if the pipeline keeps anything at all.
    pub(super) async fn load<In: Task, Deps>(
        cx: &TaskContext,
        dag: &Dag<In, Deps>,
        task: &In,
    ) -> Self {
        let mut kept = Self {
            pipeline: dag.name,
            is_used: dag.budget.is_some() || dag.steps.iter().any(Node::is_kept),
            run: Fingerprint::of_bytes(b""),
            found: BTreeMap::new(),
        };
        if !kept.is_used {
            return kept;
        }
        // Args came as JSON, so they can be written as JSON.
        let args = serde_json::to_vec(task).unwrap_or_default();
        kept.run = Fingerprint::of_run(cx.kick(), (dag.name, dag.version), &args);
        if let Some(found) = cx.shelf().load(cx.id()).await {
            cx.note_looked(found.values().any(|checkpoint| checkpoint.head.in_depot));
            kept.found = found;
        }
        if !kept.found.is_empty() {
            cx.note_kept();
        }
        kept
    }

    /// What all attempts before this one have spent.
    pub(super) fn spent(&self) -> Spent {
        let prefix = self.name(SPENT);
        let ours = self
            .found
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix));
        let totals = ours.map(|(_, checkpoint)| &checkpoint.head.total);
        totals
            .max_by_key(|total| (total.calls, total.microcents))
            .cloned()
            .unwrap_or_default()
    }

    /// What the step spent whose output was kept.
    pub(super) fn spent_by(&self, step: &str) -> Option<Spent> {
        let checkpoint = self.found.get(&self.name((step, None)))?;
        Some(checkpoint.head.spent.clone())
    }

    fn name(&self, (step, index): Key<'_>) -> String {
        match index {
            Some(index) => format!("{}/{step}/{index}", self.pipeline),
            None => format!("{}/{step}", self.pipeline),
        }
    }

    /// The fingerprint of a step, from those of its inputs.
    pub(super) fn of_step<In, Deps>(
        &self,
        node: &Node<In, Deps>,
        input: impl Fn(usize) -> Option<Fingerprint>,
    ) -> Fingerprint {
        let inputs = node.inputs.iter().map(|need| input(need.step));
        self.run.of_step((node.spec.id, node.spec.version), inputs)
    }

    /// The output that was made from just this, and what was kept of it.
    pub(super) fn find(
        &self,
        key: Key<'_>,
        fingerprint: Fingerprint,
        codec: Codec,
    ) -> Option<(Value, &Checkpoint)> {
        if self.found.is_empty() {
            return None;
        }
        let checkpoint = self.found.get(&self.name(key))?;
        let output = checkpoint.output.as_deref()?;
        let same = checkpoint.head.fingerprint == fingerprint;
        let value = same.then(|| (codec.decode)(output).ok())??;
        Some((value, checkpoint))
    }

    /// The step's output from an earlier attempt, if it was made from just this and still holds.
    pub(super) fn resume<In, Deps>(
        &self,
        shared: &std::sync::Arc<Shared<In, Deps>>,
        (step, node): (usize, &Node<In, Deps>),
        fingerprint: Fingerprint,
    ) -> Option<Resumed> {
        let keep = node.keep.as_ref()?;
        let key = (node.spec.id, None);
        let (value, checkpoint) = self.find(key, fingerprint, keep.codec)?;
        let cx = || StepContext::new(shared, Own::new(step, node.spec.id, 0, None).into());
        if keep
            .check
            .as_ref()
            .is_some_and(|check| !check(&cx(), &value))
        {
            return None;
        }
        Some(Resumed {
            fingerprint: keep.for_others(fingerprint, checkpoint.output.as_deref()),
            value,
            took: checkpoint.head.took,
        })
    }

    /// Keeps what the step, or the item, came to.
    pub(super) async fn put<In, Deps>(
        &self,
        shared: &Shared<In, Deps>,
        key: Key<'_>,
        fingerprint: Fingerprint,
        (took, output): (Duration, Vec<u8>),
    ) {
        let head = Head {
            fingerprint,
            took,
            spent: shared.spent_by(key),
            total: shared.purse.total(),
            in_depot: false,
        };
        shared.cx.note_kept();
        if shared.cx.shelf().is_for_depot(output.len()) {
            // Before it is there: one that is dropped on the way may have arrived.
            shared.cx.note_in_depot();
        }
        let (id, name) = (shared.cx.id(), self.name(key));
        shared.cx.shelf().put(id, &name, head, output).await;
    }

    /// Keeps what was spent by a run that failed: the next one has so much less.
    pub(super) async fn put_spent<In, Deps>(&self, shared: &Shared<In, Deps>) {
        if self.is_used && shared.purse.total() != self.spent() {
            let nothing = (Duration::ZERO, Vec::new());
            self.put(shared, SPENT, self.run, nothing).await;
        }
    }
}

impl<In, Deps> Keep<In, Deps> {
    /// What the step's output is to those who take it: its bytes, or if it only holds for a while, what it was made from.
    pub(super) fn for_others(&self, made_from: Fingerprint, output: Option<&[u8]>) -> Fingerprint {
        match output {
            Some(output) if self.check.is_none() => Fingerprint::of_bytes(output),
            _ => made_from,
        }
    }
}

impl<In, Deps> Node<In, Deps> {
    fn is_kept(&self) -> bool {
        let items = match &self.work {
            super::work::Work::Each(each) => each.keep.is_some(),
            super::work::Work::One(_) => false,
        };
        items || self.keep.is_some()
    }
}

/// What of the pipeline need not run: the steps whose output still holds, and those that only they would need.
pub(super) struct Spared {
    pub(super) resumed: Vec<Option<Resumed>>,
    /// Neither resumed nor needed by one that runs.
    pub(super) unneeded: Vec<bool>,
}

/// Looks at every step in an order in which they could run. An input that will be made again counts as if it were there.
pub(super) fn spare<In, Deps>(
    kept: &Kept,
    shared: &std::sync::Arc<Shared<In, Deps>>,
    steps: &[Node<In, Deps>],
    output: usize,
) -> Spared {
    let mut resumed: Vec<Option<Resumed>> = vec![None; steps.len()];
    if kept.found.is_empty() {
        let unneeded = vec![false; steps.len()];
        return Spared { resumed, unneeded };
    }
    // None where it is not known before the step has run.
    let mut known: Vec<Option<Fingerprint>> = vec![None; steps.len()];
    for (step, node) in steps.iter().enumerate() {
        if node.inputs.iter().any(|need| known[need.step].is_none()) {
            continue;
        }
        let fingerprint = kept.of_step(node, |input| known[input]);
        resumed[step] = kept.resume(shared, (step, node), fingerprint);
        known[step] = match (&resumed[step], &node.keep) {
            (Some(resumed), _) => Some(resumed.fingerprint),
            (None, Some(keep)) if keep.check.is_none() => None,
            (None, _) => Some(fingerprint),
        };
    }
    let inputs: Vec<Vec<usize>> = steps
        .iter()
        .map(|node| node.inputs.iter().map(|need| need.step).collect())
        .collect();
    let is_resumed: Vec<bool> = resumed.iter().map(Option::is_some).collect();
    let unneeded = unneeded(&inputs, &is_resumed, output);
    Spared { resumed, unneeded }
}

/// The steps that are neither there nor needed by any that must run. Ends of the graph are always needed.
fn unneeded(inputs: &[Vec<usize>], is_there: &[bool], output: usize) -> Vec<bool> {
    let taken: Vec<usize> = inputs.iter().flatten().copied().collect();
    let is_end = |step: &usize| !taken.contains(step) || *step == output;
    let mut needed: Vec<bool> = (0..inputs.len()).map(|step| is_end(&step)).collect();
    // Inputs come first, so that one look from the end is enough.
    for step in (0..inputs.len()).rev() {
        if needed[step] && !is_there[step] {
            inputs[step].iter().for_each(|input| needed[*input] = true);
        }
    }
    let unneeded = |step: usize| !needed[step] && !is_there[step];
    (0..inputs.len()).map(unneeded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_finished_steps_needed_is_not_needed() {
        // 0 > 1 > 2 > 4, 0 > 3 (an end), and 4 is the output.
        let inputs = [vec![], vec![0], vec![1], vec![0], vec![2]];
        let there = |steps: &[usize]| (0..5).map(|step| steps.contains(&step)).collect::<Vec<_>>();
        let table: [(&[usize], &[usize]); 5] = [
            (&[], &[]),
            (&[0], &[]),
            (&[2], &[1]),
            (&[2, 3], &[0, 1]),
            (&[3, 4], &[0, 1, 2]),
        ];
        for (resumed, expected) in table {
            let unneeded = unneeded(&inputs, &there(resumed), 4);
            assert_eq!(unneeded, there(expected), "{resumed:?}");
        }
    }
}
