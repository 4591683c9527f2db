//! A step as the engine has it: its types are gone, what they allowed is kept in closures. And what a step's function comes to.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use super::checkpoint::Codec;
use super::context::StepContext;
use super::progress::StepEvent;
use super::spec::StepSpec;
use crate::error::TaskResult;

/// The output of a step, whatever its type.
pub(super) type Value = Arc<dyn Any + Send + Sync>;

/// A step's function under way.
pub(super) type Running =
    Pin<Box<dyn Future<Output = TaskResult<Arc<dyn Any + Send + Sync>>> + Send>>;

/// What a step takes: nothing where an optional one is missing.
pub(super) type Given = Arc<[Option<Value>]>;

type Start<In, Deps> = dyn Fn(StepContext<In, Deps>, &Given) -> Running + Send + Sync;
type StartItem<In, Deps> = dyn Fn(StepContext<In, Deps>, &Given, usize) -> Running + Send + Sync;
type Check<In, Deps> = dyn Fn(&StepContext<In, Deps>, &Value) -> bool + Send + Sync;

/// Who is told of what happens to steps.
pub(super) type Listener<In, Deps> = Arc<dyn Fn(&In, &Deps, &StepEvent) + Send + Sync>;

/// What is done for a step.
pub(super) enum Work<In, Deps> {
    /// One call of its function.
    One(Box<Start<In, Deps>>),
    /// One call of its function for each item of a list.
    Each(Each<In, Deps>),
}

/// A function, and the list that it is called for.
pub(super) struct Each<In, Deps> {
    pub(super) len: Box<dyn Fn(&Given) -> usize + Send + Sync>,
    pub(super) start: Box<StartItem<In, Deps>>,
    /// The items' outputs, in their order, as the step's.
    pub(super) collect: fn(Vec<Value>) -> Value,
    /// How an item's output is kept, if it is.
    pub(super) keep: Option<Codec>,
}

/// How a step's output is kept, and when what was kept is not good any more.
pub(super) struct Keep<In, Deps> {
    pub(super) codec: Codec,
    pub(super) check: Option<Box<Check<In, Deps>>>,
}

/// What a step that may end the pipeline came to.
pub(super) type Split = fn(Value) -> Fork;

/// One way or the other.
pub(super) enum Fork {
    /// The step's output.
    On(Value),
    /// The pipeline's output: it ends here.
    End(Value),
}

/// A step.
pub(super) struct Node<In, Deps> {
    pub(super) spec: StepSpec,
    pub(super) inputs: Vec<Need>,
    pub(super) depends_on: String,
    pub(super) work: Work<In, Deps>,
    pub(super) keep: Option<Keep<In, Deps>>,
    /// Tells an output of the step from the end of the pipeline, for a step that may end it.
    pub(super) split: Option<Split>,
}

/// A step that another one takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) step: usize,
    /// Without it the other one cannot run.
    pub(super) needed: bool,
}

impl<In, Deps> Node<In, Deps> {
    pub(super) fn fork(&self, value: Value) -> Fork {
        match self.split {
            Some(split) => split(value),
            None => Fork::On(value),
        }
    }
}
