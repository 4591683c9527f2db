//! Puts a pipeline together from typed functions. What does not fit does not compile, or panics in the first test that builds it; it
//! runs nothing.

use std::any::TypeId;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, de::DeserializeOwned};

use super::Pipeline;
use super::checkpoint::Codec;
use super::context::StepContext;
use super::inputs::{Inputs, Item, Origin, Step, StepFn, downcast};
use super::progress::StepEvent;
use super::spec::{OnError, StepSpec};
use super::work::{Each, Fork, Keep, Listener, Need, Node, Split, Value, Work};
use crate::task::Task;

/// Puts a pipeline together. The order of the calls is an order in which the steps could run.
pub struct Builder<In: Task, Deps> {
    id: u64,
    /// The output of steps that may end the pipeline: it must be the pipeline's own.
    ends_with: Vec<(&'static str, TypeId)>,
    dag: Dag<In, Deps>,
}

/// A pipeline without the type of its output.
pub(super) struct Dag<In, Deps> {
    pub(super) name: &'static str,
    pub(super) version: u32,
    pub(super) steps: Vec<Node<In, Deps>>,
    pub(super) output: usize,
    pub(super) max_parallel: usize,
    pub(super) on_error: OnError,
    pub(super) budget: Option<u64>,
    pub(super) listener: Option<Listener<In, Deps>>,
}

impl<In: Task, Deps: Send + Sync + 'static> Builder<In, Deps> {
    pub(super) fn new(name: &'static str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            ends_with: Vec::new(),
            dag: Dag {
                name,
                version: 0,
                steps: Vec::new(),
                output: 0,
                max_parallel: usize::MAX,
                on_error: OnError::Stop,
                budget: None,
                listener: None,
            },
        }
    }

    /// A number to count up when the pipeline has changed: nothing that was kept of an earlier version is resumed.
    pub fn version(&mut self, version: u32) {
        self.dag.version = version;
    }

    /// How many steps run at once, at least one; as many as are ready unless set. The earlier ones of the builder go first. A step over a
    /// list counts as one.
    pub fn max_parallel(&mut self, steps: usize) {
        self.dag.max_parallel = steps.max(1);
    }

    /// What the failure of a step means for the others, unless the step says otherwise.
    pub fn on_error(&mut self, on_error: OnError) {
        self.dag.on_error = on_error;
    }

    /// The most that all steps together may spend, in millionths of a US dollar, with what earlier attempts at the message spent
    /// as far as that was kept. Held by [`StepContext::spend`] and [`StepContext::set_aside`].
    pub fn budget(&mut self, microcents: u64) {
        self.dag.budget = Some(microcents);
    }

    /// Calls this with everything that happens to a step. It must not block: the step waits for it.
    pub fn on_event(&mut self, listener: impl Fn(&In, &Deps, &StepEvent) + Send + Sync + 'static) {
        self.dag.listener = Some(Arc::new(listener));
    }

    /// Adds a step that starts when its inputs are ready.
    ///
    /// # Panics
    /// When the id is taken, or an input comes from another builder: mistakes of the code, seen by the first test that builds it.
    #[allow(clippy::needless_pass_by_value)] // A tuple of handles reads better without an `&`.
    pub fn step<I, F>(
        &mut self,
        spec: impl Into<StepSpec>,
        inputs: I,
        function: F,
    ) -> Step<F::Output>
    where
        I: Inputs,
        F: StepFn<In, Deps, I::Values>,
    {
        let work = one::<In, Deps, I, F>(function);
        self.add(spec.into(), &inputs.origins(), work, None)
    }

    /// Adds a step that may end the pipeline: with `ControlFlow::Continue` its output is there for others, as that of any step; with
    /// `ControlFlow::Break` the pipeline is done at once, and this is its output. What runs beside the step is then cancelled.
    ///
    /// # Panics
    /// As [`step`](Self::step); and [`output`](Self::output) does when the pipeline's output is of another type.
    #[allow(clippy::needless_pass_by_value)] // A tuple of handles reads better without an `&`.
    pub fn step_or_end<I, F, T, Out>(
        &mut self,
        spec: impl Into<StepSpec>,
        inputs: I,
        function: F,
    ) -> Step<T>
    where
        I: Inputs,
        F: StepFn<In, Deps, I::Values, Output = ControlFlow<Out, T>>,
        T: Send + Sync + 'static,
        Out: Send + Sync + 'static,
    {
        let spec = spec.into();
        self.ends_with.push((spec.id, TypeId::of::<Out>()));
        let work = one::<In, Deps, I, F>(function);
        self.add(spec, &inputs.origins(), work, Some(split::<Out, T>))
    }

    /// Adds a step that calls its function once for each item of a list, [`max_parallel`](StepSpec::max_parallel) at a time. Attempts and
    /// timeout are each item's. Its output is the list of theirs, in the same order; an item that is [skipped](super::Skip) is left out.
    /// The first item that fails ends the others, and the step.
    ///
    /// # Panics
    /// As [`step`](Self::step).
    #[allow(clippy::needless_pass_by_value)] // A tuple of handles reads better without an `&`.
    pub fn for_each<T, I, F>(
        &mut self,
        spec: impl Into<StepSpec>,
        list: Step<Vec<T>>,
        inputs: I,
        function: F,
    ) -> Step<Vec<F::Output>>
    where
        T: Send + Sync + 'static,
        I: Inputs,
        F: StepFn<In, Deps, I::After<Item<T>>>,
    {
        let first = Origin {
            builder: list.builder,
            index: list.index,
            needed: true,
        };
        let list_of = |given: &[Option<Value>]| {
            let list = given.first().and_then(Option::as_ref);
            downcast::<Vec<T>>(list.expect("the list is needed, and is the first input"))
        };
        let each = Each {
            len: Box::new(move |given| list_of(given).len()),
            start: Box::new(move |cx, given, index| {
                let item = Item::of(list_of(given), index);
                function.start(cx, I::take_after(item, &given[1..]))
            }),
            collect: collect::<F::Output>,
            keep: None,
        };
        let origins = [vec![first], inputs.origins()].concat();
        self.add(spec.into(), &origins, Work::Each(each), None)
    }

    /// Keeps the step's output until the message has come to its end: another attempt, here or elsewhere, resumes it instead of running
    /// the step, unless something that it was made from has changed. It is stored as JSON.
    pub fn keep<T>(&mut self, step: Step<T>)
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.keep_as::<T>(
            step,
            Keep {
                codec: Codec::of::<T>(),
                check: None,
            },
        );
    }

    /// The same for an output that leads to something outside, such as a file in scratch: it is resumed only if `check` says that it
    /// still holds. Steps that take it are resumed or not whether it had to be made again or not.
    pub fn keep_while<T>(
        &mut self,
        step: Step<T>,
        check: impl Fn(&StepContext<In, Deps>, &T) -> bool + Send + Sync + 'static,
    ) where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let check =
            move |cx: &StepContext<In, Deps>, value: &Value| check(cx, &downcast::<T>(value));
        let codec = Codec::of::<T>();
        let check = Some(Box::new(check) as Box<_>);
        self.keep_as::<T>(step, Keep { codec, check });
    }

    /// Keeps what each item of a step's list came to as soon as it is there, and all of it in the end: another attempt goes on in the
    /// midst of the list.
    pub fn keep_each<R>(&mut self, step: Step<Vec<R>>)
    where
        R: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        if let Work::Each(each) = &mut self.dag.steps[step.index].work {
            each.keep = Some(Codec::of::<R>());
        }
        self.keep(step);
    }

    fn keep_as<T>(&mut self, step: Step<T>, keep: Keep<In, Deps>) {
        assert!(
            step.builder == self.id,
            "what is to be kept is a step of another pipeline"
        );
        self.dag.steps[step.index].keep = Some(keep);
    }

    fn add<T>(
        &mut self,
        spec: StepSpec,
        origins: &[Origin],
        work: Work<In, Deps>,
        split: Option<Split>,
    ) -> Step<T> {
        let steps = &self.dag.steps;
        assert!(
            steps.iter().all(|node| node.spec.id != spec.id),
            "step `{}` is there already",
            spec.id
        );
        assert!(
            origins.iter().all(|origin| origin.builder == self.id),
            "step `{}` takes a step of another pipeline",
            spec.id
        );
        let need = |origin: &Origin| Need {
            step: origin.index,
            needed: origin.needed,
        };
        let inputs: Vec<Need> = origins.iter().map(need).collect();
        let names = inputs.iter().map(|need| steps[need.step].spec.id);
        let depends_on = names.collect::<Vec<_>>().join(",");
        self.dag.steps.push(Node {
            spec,
            inputs,
            depends_on,
            work,
            keep: None,
            split,
        });
        Step::made(self.id, self.dag.steps.len() - 1)
    }

    /// Ends the pipeline: its output is this step's. Steps that the output does not need run all the same.
    ///
    /// # Panics
    /// When the step is another builder's, or a step that may end the pipeline would do so with another type.
    #[must_use]
    pub fn output<Out: 'static>(mut self, step: Step<Out>) -> Pipeline<In, Deps, Out> {
        assert!(
            step.builder == self.id,
            "the output is a step of another pipeline"
        );
        for (id, ends_with) in &self.ends_with {
            assert!(
                *ends_with == TypeId::of::<Out>(),
                "step `{id}` ends the pipeline with another type than its output's"
            );
        }
        self.dag.output = step.index;
        Pipeline {
            dag: self.dag,
            out: PhantomData,
        }
    }
}

fn one<In, Deps, I, F>(function: F) -> Work<In, Deps>
where
    In: Task,
    I: Inputs,
    F: StepFn<In, Deps, I::Values>,
{
    Work::One(Box::new(move |cx, given| {
        function.start(cx, I::take(given))
    }))
}

/// The items' outputs as one list.
fn collect<R: Send + Sync + 'static>(items: Vec<Value>) -> Value {
    let items = items.into_iter().map(|item| {
        let item: Arc<R> = item.downcast().expect("an item has its function's type");
        Arc::into_inner(item).expect("nobody else has an item before the list is whole")
    });
    Arc::new(items.collect::<Vec<R>>())
}

/// An output of the step, or the pipeline's.
fn split<Out: Send + Sync + 'static, T: Send + Sync + 'static>(value: Value) -> Fork {
    let flow: Arc<ControlFlow<Out, T>> = value
        .downcast()
        .expect("a step that may end the pipeline says which it is");
    match Arc::into_inner(flow).expect("nobody else has an output before it is told") {
        ControlFlow::Continue(value) => Fork::On(Arc::new(value)),
        ControlFlow::Break(output) => Fork::End(Arc::new(output)),
    }
}
