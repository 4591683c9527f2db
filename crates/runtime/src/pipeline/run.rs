//! Runs a pipeline: a ready queue, no barrier between levels. The first failure drops what still runs and is the pipeline's own.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sapari_telemetry::framework::{self, PipelineSpan};
use sapari_telemetry::{mark_failed, mark_failed_with};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::step::{self, Shared, StepContext};
use super::{Node, Pipeline, Value};
use crate::context::TaskContext;
use crate::error::TaskResult;
use crate::task::Task;

impl<In, Deps, Out> Pipeline<In, Deps, Out>
where
    In: Task,
    Deps: Send + Sync + 'static,
    Out: Clone + Send + Sync + 'static,
{
    /// Runs every step, in the span `<worker>.pipeline` with the task's correlation keys.
    ///
    /// Dropping it drops the steps that run: child processes end, spans say `cancelled`.
    ///
    /// # Errors
    /// The first step's error, with the step's name before it and its kind kept.
    pub async fn run(&self, cx: &TaskContext, deps: Deps, task: In) -> TaskResult<Out> {
        let keys = task.correlation();
        let span = framework::pipeline_span(&PipelineSpan {
            worker: self.name,
            steps: self.steps.len(),
            keys: &keys,
        });
        let unfinished = Unfinished(Some(span.clone()));
        let shared = Arc::new(Shared {
            task,
            deps,
            cx: cx.clone(),
        });
        let (result, path) = Run::new(&self.steps, &shared)
            .finish_all(self.output)
            .instrument(span)
            .await;
        unfinished.finish(&result, &path.join(","));
        let output: Arc<Out> = result?
            .downcast()
            .expect("the output's handle has the output's type");
        Ok(Arc::unwrap_or_clone(output))
    }
}

/// One run: what is finished, and how many inputs each step still waits for.
struct Run<'p, In: Task, Deps> {
    steps: &'p [Node<In, Deps>],
    shared: &'p Arc<Shared<In, Deps>>,
    missing: Vec<usize>,
    outputs: Vec<Option<Value>>,
    finished_at: Vec<Option<Instant>>,
}

impl<'p, In: Task, Deps: Send + Sync + 'static> Run<'p, In, Deps> {
    fn new(steps: &'p [Node<In, Deps>], shared: &'p Arc<Shared<In, Deps>>) -> Self {
        Self {
            steps,
            shared,
            missing: steps.iter().map(|node| node.inputs.len()).collect(),
            outputs: vec![None; steps.len()],
            finished_at: vec![None; steps.len()],
        }
    }

    /// The output, and the ids of the steps that decided how long it took.
    async fn finish_all(mut self, output: usize) -> (TaskResult<Value>, Vec<&'static str>) {
        let mut running = FuturesUnordered::new();
        running.extend(self.without_inputs().map(|index| self.start(index)));
        while let Some((index, result)) = running.next().await {
            match result {
                Ok(value) => running.extend(
                    self.finish(index, value)
                        .into_iter()
                        .map(|ready| self.start(ready)),
                ),
                Err(error) => return (Err(error), self.critical_path(index)),
            }
        }
        let value = self.outputs[output]
            .take()
            .expect("a step runs once its inputs have, and inputs come first");
        (Ok(value), self.critical_path(self.last_finished()))
    }

    fn without_inputs(&self) -> impl Iterator<Item = usize> {
        (0..self.steps.len()).filter(|index| self.missing[*index] == 0)
    }

    fn start(
        &self,
        index: usize,
    ) -> impl Future<Output = (usize, TaskResult<Value>)> + use<'p, In, Deps> {
        let node = &self.steps[index];
        let inputs = node
            .inputs
            .iter()
            .filter_map(|input| self.outputs[*input].clone())
            .collect();
        let cx = StepContext::new(self.shared);
        let ready = Instant::now();
        async move { (index, step::run(node, cx, inputs, ready).await) }
    }

    /// Keeps the output and returns the steps that waited for nothing else.
    fn finish(&mut self, index: usize, value: Value) -> Vec<usize> {
        self.outputs[index] = Some(value);
        self.finished_at[index] = Some(Instant::now());
        let mut ready = Vec::new();
        for (waiting, node) in self.steps.iter().enumerate() {
            let uses = node.inputs.iter().filter(|input| **input == index).count();
            self.missing[waiting] -= uses;
            if uses > 0 && self.missing[waiting] == 0 {
                ready.push(waiting);
            }
        }
        ready
    }

    fn last_finished(&self) -> usize {
        (0..self.steps.len())
            .max_by_key(|index| self.finished_at[*index])
            .unwrap_or(0)
    }

    /// From the given step back along the input that came last.
    fn critical_path(&self, last: usize) -> Vec<&'static str> {
        let latest_input = |index: &usize| {
            self.steps[*index]
                .inputs
                .iter()
                .copied()
                .max_by_key(|input| self.finished_at[*input])
        };
        let mut path: Vec<&'static str> = std::iter::successors(Some(last), latest_input)
            .map(|index| self.steps[index].spec.id)
            .collect();
        path.reverse();
        path
    }
}

/// Marks the pipeline cancelled unless it came to its end.
struct Unfinished(Option<Span>);

impl Unfinished {
    fn finish(mut self, result: &TaskResult<Value>, critical_path: &str) {
        let Some(span) = self.0.take() else { return };
        match result {
            Ok(_) => framework::record_pipeline_outcome(&span, "done", critical_path),
            Err(error) => {
                framework::record_pipeline_outcome(&span, "failed", critical_path);
                mark_failed_with(
                    &span,
                    error.type_name(),
                    &error.sentence(),
                    error.chain().skip(1),
                );
            }
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
