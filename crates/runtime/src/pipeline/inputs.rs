//! How a step's inputs and its function fit together: tuples of steps on one side, parameters of the same types on the other.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;

use super::step::Running;
use super::{Step, StepContext, Value};
use crate::error::TaskResult;
use crate::task::Task;

/// A tuple of steps: what a step takes.
pub trait Inputs {
    /// Their outputs, shared.
    type Values;

    /// Builder and index of each.
    #[doc(hidden)]
    fn origins(&self) -> Vec<(u64, usize)>;

    /// Their outputs, in order.
    #[doc(hidden)]
    fn take(values: &[Value]) -> Self::Values;
}

/// An async function of a step's context and the outputs of its inputs, each as an `Arc`.
#[diagnostic::on_unimplemented(
    message = "this function does not take what the step's inputs give",
    note = "after `StepContext<Task, Deps>` it takes one `Arc<T>` for each `Step<T>` in the inputs, and returns `TaskResult<..>`"
)]
pub trait StepFn<In: Task, Deps, Values>: Send + Sync + 'static {
    /// What the step comes to.
    type Output: Send + Sync + 'static;

    /// Starts one attempt.
    #[doc(hidden)]
    fn start(&self, cx: StepContext<In, Deps>, values: Values) -> Running;
}

fn downcast<T: Send + Sync + 'static>(value: &Value) -> Arc<T> {
    // `Step<T>` at this index was made from a function whose output is `T`.
    Arc::clone(value)
        .downcast()
        .expect("a step's output has the type of its handle")
}

macro_rules! tuples {
    ($($input:ident $index:tt),*) => {
        impl<$($input: Send + Sync + 'static),*> Inputs for ($(Step<$input>,)*) {
            type Values = ($(Arc<$input>,)*);

            fn origins(&self) -> Vec<(u64, usize)> {
                vec![$((self.$index.builder, self.$index.index)),*]
            }

            #[allow(clippy::unused_unit)] // No inputs, no values.
            fn take(_values: &[Value]) -> Self::Values {
                ($(downcast::<$input>(&_values[$index]),)*)
            }
        }

        impl<In, Deps, F, Fut, Out, $($input),*> StepFn<In, Deps, ($(Arc<$input>,)*)> for F
        where
            In: Task,
            F: Fn(StepContext<In, Deps>, $(Arc<$input>),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = TaskResult<Out>> + Send + 'static,
            Out: Send + Sync + 'static,
        {
            type Output = Out;

            fn start(&self, cx: StepContext<In, Deps>, _values: ($(Arc<$input>,)*)) -> Running {
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
