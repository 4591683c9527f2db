//! The DAG inside one task: typed steps that start as soon as their own inputs are ready, each in its `step.<id>` span.
//! Cycles and unknown steps cannot be written: a [`Step`] only comes from an earlier `.step(..)`.
//!
//! Steps run side by side on the attempt's own tokio task: they wait for child processes and servers. A step that computes
//! belongs on the blocking threads. What a step came to is kept for the next attempt only where the builder is told so:
//! [`Builder::keep`].

mod alone;
mod builder;
mod checkpoint;
#[cfg(feature = "testing")]
pub mod conformance;
mod context;
mod depot;
mod finished;
mod graph;
mod inputs;
mod kept;
mod progress;
mod report;
mod run;
mod shelf;
mod skip;
mod spec;
mod step;
mod usage;
mod verdict;
mod work;

use std::marker::PhantomData;
use std::sync::Arc;

use sapari_telemetry::framework::{self, PipelineSpan};
use sapari_telemetry::{mark_failed, mark_failed_with};
use tracing::{Instrument, Span};

pub use alone::Alone;
pub use builder::Builder;
pub use context::StepContext;
pub use depot::{Depot, FileDepot};
pub use graph::{Graph, GraphStep};
pub use inputs::{Input, Inputs, Item, Optional, Step, StepFn};
pub use progress::StepEvent;
pub use report::{Report, StepFailure, StepOutcome, StepReport};
pub(crate) use shelf::Shelf;
pub use skip::Skip;
pub use spec::{OnError, StepSpec, spec};
pub use usage::{OverBudget, Reservation, Spent, Usage};

use crate::context::TaskContext;
use crate::error::TaskResult;
use crate::task::Task;
use builder::Dag;
use finished::Finished;

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
///     p.keep(words);                                                          // another attempt resumes here
///     let total = p.step(spec("count").attempts(2).timeout(seconds(5)), (words,), count);
///     p.output(total)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let three = counting().run_alone(Count { words: "to be continued".into() }, ()).await?;   // no broker, no worker
/// assert_eq!(three, 3);
/// # Ok::<_, TaskError>(()) }).unwrap();
/// ```
pub struct Pipeline<In: Task, Deps, Out> {
    dag: Dag<In, Deps>,
    out: PhantomData<fn() -> Out>,
}

impl<In: Task, Deps: Send + Sync + 'static> Pipeline<In, Deps, ()> {
    /// Starts a pipeline; its span is `<worker>.pipeline`.
    #[must_use]
    pub fn builder(worker: &'static str) -> Builder<In, Deps> {
        Builder::new(worker)
    }
}

impl<In, Deps, Out> Pipeline<In, Deps, Out>
where
    In: Task,
    Deps: Send + Sync + 'static,
    Out: Clone + Send + Sync + 'static,
{
    /// Runs every step, in the span `<worker>.pipeline` with the task's correlation keys.
    ///
    /// Dropping it drops the steps that run: child processes end, spans say `cancelled`. Once the task is asked to end, no further
    /// step begins; those that run may end, and what they came to is kept if it is to be.
    ///
    /// # Errors
    /// That of the step that failed, with the step's name before it and its kind kept. Where several failed, the others stand beside it.
    pub async fn run(&self, cx: &TaskContext, deps: Deps, task: In) -> TaskResult<Out> {
        self.run_reported(cx, deps, task).await.output
    }

    /// The same, and tells of every step: what failed although there is an output, what was skipped, what was spent.
    pub async fn run_reported(&self, cx: &TaskContext, deps: Deps, task: In) -> Report<Out> {
        let keys = task.correlation();
        let span = framework::pipeline_span(&PipelineSpan {
            worker: self.dag.name,
            steps: self.dag.steps.len(),
            keys: &keys,
        });
        let unfinished = Unfinished(Some(span.clone()));
        let running = self.dag.run(cx, deps, task);
        let finished = Box::pin(running.instrument(span)).await;
        unfinished.finish(&finished);
        finished.into_report(|value| {
            let output: Arc<Out> = value
                .downcast()
                .expect("the output's handle has the output's type");
            Arc::unwrap_or_clone(output)
        })
    }

    /// Runs it without a worker and without a broker, as an attempt of its own: for unit tests. See [`Alone`] for more than one.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_alone(&self, task: In, deps: Deps) -> TaskResult<Out> {
        self.run(&Alone::new().cx::<In>(), deps, task).await
    }
}

impl<In: Task, Deps, Out> Pipeline<In, Deps, Out> {
    /// The graph, for people: as Mermaid, as DOT, and for `--explain`.
    #[must_use]
    pub fn describe(&self) -> Graph {
        self.dag.describe()
    }
}

/// Marks the pipeline cancelled unless it came to its end.
struct Unfinished(Option<Span>);

impl Unfinished {
    fn finish(mut self, finished: &Finished) {
        let Some(span) = self.0.take() else { return };
        let (path, outcome) = (finished.critical_path.join(","), finished.word());
        framework::record_pipeline_outcome(&span, outcome, &path);
        finished.spent.record(&span);
        if let Some(step) = finished.ended_by {
            framework::record_ended_by(&span, step);
        }
        let failed = finished.failed_steps().join(",");
        if !failed.is_empty() {
            framework::record_failed_steps(&span, &failed);
        }
        if let Err(error) = &finished.result {
            mark_failed_with(
                &span,
                error.type_name(),
                &error.sentence(),
                error.chain().skip(1),
            );
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(span) = self.0.take() {
            framework::record_pipeline_outcome(&span, "cancelled", "");
            mark_failed(&span, "cancelled", "dropped before its end");
        }
    }
}
