//! The DAG inside one task: typed steps that start as soon as their own inputs are ready, each in its `step.<id>` span.
//! Cycles and unknown steps cannot be written: a [`Step`] only comes from an earlier `.step(..)`.
//!
//! Steps run side by side on the attempt's own tokio task: they wait for child processes and servers. A step that computes
//! belongs on the blocking threads. Nothing is stored between attempts of the task.

mod inputs;
mod run;
mod step;

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use inputs::{Inputs, StepFn};
pub use step::StepContext;

use crate::duration::{minutes, seconds};
use crate::task::{Backoff, Task};

type Value = Arc<dyn Any + Send + Sync>;

/// A DAG of steps from `In`, the task, to `Out`, with `Deps` at hand.
///
/// ```
/// use std::sync::Arc;
/// use sapari_runtime::pipeline::{Pipeline, StepContext, spec};
/// use sapari_runtime::prelude::*;
///
/// # #[derive(Serialize, Deserialize)] struct Count { words: String }
/// # impl Task for Count {
/// #     const NAME: &'static str = "count";
/// #     const QUEUE: Queue = Queue::named("text");
/// #     type Output = usize;
/// # }
/// type Cx = StepContext<Count, ()>;
///
/// async fn split(cx: Cx) -> TaskResult<Vec<String>> {
///     Ok(cx.task().words.split(' ').map(str::to_owned).collect())
/// }
/// async fn count(_cx: Cx, words: Arc<Vec<String>>) -> TaskResult<usize> {
///     Ok(words.len())
/// }
///
/// fn counting() -> Pipeline<Count, (), usize> {
///     let mut p = Pipeline::builder("text");                                  // span text.pipeline
///     let words = p.step("split", (), split);                                 // -> Step<Vec<String>>
///     let total = p.step(spec("count").attempts(2).timeout(seconds(5)), (words,), count);
///     p.output(total)
/// }
/// ```
pub struct Pipeline<In: Task, Deps, Out> {
    name: &'static str,
    steps: Vec<Node<In, Deps>>,
    output: usize,
    out: PhantomData<fn() -> Out>,
}

/// Puts a pipeline together. The order of the calls is an order in which the steps could run.
pub struct Builder<In: Task, Deps> {
    name: &'static str,
    id: u64,
    steps: Vec<Node<In, Deps>>,
}

/// The output that a step will have. Only a builder makes them.
pub struct Step<T> {
    builder: u64,
    index: usize,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Step<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Step<T> {}

/// A step's id and how it is run.
#[derive(Debug, Clone, Copy)]
pub struct StepSpec {
    id: &'static str,
    attempts: u32,
    timeout: Duration,
    backoff: Backoff,
}

/// A step that is tried once and may take an hour, unless said otherwise.
#[must_use]
pub const fn spec(id: &'static str) -> StepSpec {
    StepSpec {
        id,
        attempts: 1,
        timeout: minutes(60),
        backoff: Backoff::exponential(seconds(1), minutes(1)),
    }
}

impl StepSpec {
    /// At most `attempts` runs, the first included; at least one. What cannot be healed is not tried again.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The longest that one attempt of the step may take; then it is dropped.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How the pause between attempts grows.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }
}

impl From<&'static str> for StepSpec {
    fn from(id: &'static str) -> Self {
        spec(id)
    }
}

type Start<In, Deps> = dyn Fn(StepContext<In, Deps>, &[Value]) -> step::Running + Send + Sync;

struct Node<In: Task, Deps> {
    spec: StepSpec,
    inputs: Vec<usize>,
    depends_on: String,
    run: Box<Start<In, Deps>>,
}

impl<In: Task, Deps: Send + Sync + 'static> Pipeline<In, Deps, ()> {
    /// Starts a pipeline; its span is `<worker>.pipeline`.
    #[must_use]
    pub fn builder(worker: &'static str) -> Builder<In, Deps> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Builder {
            name: worker,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            steps: Vec::new(),
        }
    }
}

impl<In: Task, Deps: Send + Sync + 'static> Builder<In, Deps> {
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
        let spec = spec.into();
        assert!(
            self.steps.iter().all(|node| node.spec.id != spec.id),
            "step `{}` is there already",
            spec.id
        );
        let origins = inputs.origins();
        assert!(
            origins.iter().all(|(builder, _)| *builder == self.id),
            "step `{}` takes a step of another pipeline",
            spec.id
        );
        let indices: Vec<usize> = origins.into_iter().map(|(_, index)| index).collect();
        let names: Vec<&str> = indices
            .iter()
            .map(|index| self.steps[*index].spec.id)
            .collect();
        let depends_on = names.join(",");
        let run = Box::new(move |cx, values: &[Value]| function.start(cx, I::take(values)));
        self.steps.push(Node {
            spec,
            inputs: indices,
            depends_on,
            run,
        });
        Step {
            builder: self.id,
            index: self.steps.len() - 1,
            value: PhantomData,
        }
    }

    /// Ends the pipeline: its output is this step's. Steps that the output does not need run all the same.
    #[must_use]
    pub fn output<Out>(self, step: Step<Out>) -> Pipeline<In, Deps, Out> {
        assert!(
            step.builder == self.id,
            "the output is a step of another pipeline"
        );
        Pipeline {
            name: self.name,
            steps: self.steps,
            output: step.index,
            out: PhantomData,
        }
    }
}
