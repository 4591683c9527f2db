//! How a step's inputs and its function fit together: tuples of steps on one side, parameters of the same types on the other.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use futures_util::FutureExt;

use super::StepContext;
use super::work::{Running, Value};
use crate::error::TaskResult;
use crate::task::Task;

/// The output that a step will have. Only a builder makes them.
pub struct Step<T> {
    pub(super) builder: u64,
    pub(super) index: usize,
    pub(super) value: PhantomData<fn() -> T>,
}

/// The output of a step that may have failed or been skipped: see [`Step::optional`].
pub struct Optional<T>(Step<T>);

impl<T> Clone for Step<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Step<T> {}

impl<T> Clone for Optional<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Optional<T> {}

impl<T> Step<T> {
    /// The same step as an input that may be missing: the function gets an `Option<Arc<T>>`, and runs also when the step was
    /// skipped, or failed under [`OnError::Continue`](super::OnError::Continue). Why it is missing: [`StepContext::failures`].
    #[must_use]
    pub fn optional(self) -> Optional<T> {
        Optional(self)
    }

    pub(super) fn made(builder: u64, index: usize) -> Self {
        Self {
            builder,
            index,
            value: PhantomData,
        }
    }
}

/// Which step of which builder an input is.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Origin {
    pub(super) builder: u64,
    pub(super) index: usize,
    /// Without it the step cannot run.
    pub(super) needed: bool,
}

/// One thing that a step takes: a [`Step`], or an [`Optional`] one.
pub trait Input {
    /// What the function gets.
    type Value;

    /// Where it comes from.
    #[doc(hidden)]
    fn origin(&self) -> Origin;

    /// What the function gets, of what its step came to.
    #[doc(hidden)]
    fn take(value: Option<&Value>) -> Self::Value;
}

impl<T: Send + Sync + 'static> Input for Step<T> {
    type Value = Arc<T>;

    fn origin(&self) -> Origin {
        Origin {
            builder: self.builder,
            index: self.index,
            needed: true,
        }
    }

    fn take(value: Option<&Value>) -> Arc<T> {
        downcast(value.expect("a step runs once all that it needs is there"))
    }
}

impl<T: Send + Sync + 'static> Input for Optional<T> {
    type Value = Option<Arc<T>>;

    fn origin(&self) -> Origin {
        Origin {
            needed: false,
            ..self.0.origin()
        }
    }

    fn take(value: Option<&Value>) -> Option<Arc<T>> {
        value.map(downcast)
    }
}

/// A tuple of steps: what a step takes.
pub trait Inputs: Send + Sync + 'static {
    /// Their outputs, shared.
    type Values;

    /// Their outputs, with one thing before them.
    type After<First>;

    /// Where each comes from.
    #[doc(hidden)]
    fn origins(&self) -> Vec<Origin>;

    /// Their outputs, in order.
    #[doc(hidden)]
    fn take(values: &[Option<Value>]) -> Self::Values;

    /// The same, with one thing before them.
    #[doc(hidden)]
    fn take_after<First>(first: First, values: &[Option<Value>]) -> Self::After<First>;
}

/// One item of a list that a step goes through: see [`Builder::for_each`](super::Builder::for_each).
pub struct Item<T> {
    list: Arc<Vec<T>>,
    index: usize,
}

impl<T> Item<T> {
    pub(super) fn of(list: Arc<Vec<T>>, index: usize) -> Self {
        Self { list, index }
    }

    /// Its place in the list, 0 the first.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }
}

impl<T> Deref for Item<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.list[self.index]
    }
}

/// An async function of a step's context and the outputs of its inputs, each as an `Arc`.
#[diagnostic::on_unimplemented(
    message = "this function does not take what the step's inputs give",
    note = "after `StepContext<Task, Deps>` it takes an `Arc<T>` for each `Step<T>` in the inputs, an `Option<Arc<T>>` for each `Optional<T>`, and returns `TaskResult<..>`; a step over a list takes an `Item<T>` first"
)]
pub trait StepFn<In: Task, Deps, Values>: Send + Sync + 'static {
    /// What the step comes to.
    type Output: Send + Sync + 'static;

    /// Starts one attempt.
    #[doc(hidden)]
    fn start(&self, cx: StepContext<In, Deps>, values: Values) -> Running;
}

pub(super) fn downcast<T: Send + Sync + 'static>(value: &Value) -> Arc<T> {
    // `Step<T>` at this index was made from a function whose output is `T`.
    Arc::clone(value)
        .downcast()
        .expect("a step's output has the type of its handle")
}

macro_rules! tuples {
    ($($input:ident $index:tt),*) => {
        impl<$($input: Input + Send + Sync + 'static),*> Inputs for ($($input,)*) {
            type Values = ($($input::Value,)*);
            type After<First> = (First, $($input::Value,)*);

            fn origins(&self) -> Vec<Origin> {
                vec![$(self.$index.origin()),*]
            }

            #[allow(clippy::unused_unit)] // No inputs, no values.
            fn take(_values: &[Option<Value>]) -> Self::Values {
                ($($input::take(_values[$index].as_ref()),)*)
            }

            fn take_after<First>(first: First, _values: &[Option<Value>]) -> Self::After<First> {
                (first, $($input::take(_values[$index].as_ref()),)*)
            }
        }
    };
}

macro_rules! functions {
    ($($value:ident $index:tt),*) => {
        impl<In, Deps, F, Fut, Out, $($value),*> StepFn<In, Deps, ($($value,)*)> for F
        where
            In: Task,
            F: Fn(StepContext<In, Deps>, $($value),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = TaskResult<Out>> + Send + 'static,
            Out: Send + Sync + 'static,
        {
            type Output = Out;

            fn start(&self, cx: StepContext<In, Deps>, _values: ($($value,)*)) -> Running {
                let output = self(cx, $(_values.$index),*);
                output.map(|output| output.map(|value| Arc::new(value) as Arc<dyn Any + Send + Sync>)).boxed()
            }
        }
    };
}

tuples!();
tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, G 5);
tuples!(A 0, B 1, C 2, D 3, E 4, G 5, H 6);
tuples!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7);

functions!();
functions!(A 0);
functions!(A 0, B 1);
functions!(A 0, B 1, C 2);
functions!(A 0, B 1, C 2, D 3);
functions!(A 0, B 1, C 2, D 3, E 4);
functions!(A 0, B 1, C 2, D 3, E 4, G 5);
functions!(A 0, B 1, C 2, D 3, E 4, G 5, H 6);
functions!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7);
functions!(A 0, B 1, C 2, D 3, E 4, G 5, H 6, I 7, J 8);
