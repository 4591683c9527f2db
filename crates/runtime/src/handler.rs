//! What runs a task: a plain async function, and the glue that `#[task]` writes beside it.
//! Dependencies come by type from the worker's state; what is missing does not compile.
//!
//! Neither does a signature that cannot be a task's. The message stands at the mistake:
//!
//! ```compile_fail
//! # use sapari_runtime::prelude::*;
//! # use sapari_runtime::ping::{Ping, Pong};
//! #[task]
//! fn answer(_ask: Ping) -> TaskResult<Pong> { Ok(Pong { pid: 0 }) }         // not async, and not `#[task(blocking)]`
//! ```
//! ```compile_fail
//! # use sapari_runtime::prelude::*;
//! # use sapari_runtime::ping::{Ping, Pong};
//! #[task]
//! async fn answer<T>(_ask: Ping) -> TaskResult<Pong> { Ok(Pong { pid: 0 }) } // generic
//! ```
//! ```compile_fail
//! # use sapari_runtime::prelude::*;
//! # use sapari_runtime::ping::{Ping, Pong};
//! #[task]
//! async fn answer() -> TaskResult<Pong> { Ok(Pong { pid: 0 }) }             // no args
//! ```
//! ```compile_fail
//! # use sapari_runtime::prelude::*;
//! # use sapari_runtime::ping::{Ping, Pong};
//! #[task(queue = "x")]                                                      // the task's type says that
//! async fn answer(_ask: Ping) -> TaskResult<Pong> { Ok(Pong { pid: 0 }) }
//! ```
//! ```
//! # use sapari_runtime::prelude::*;
//! # use sapari_runtime::ping::{Ping, Pong};
//! #[task]
//! async fn answer(_ask: Ping) -> TaskResult<Pong> { Ok(Pong { pid: 0 }) }   // as it should be
//! ```

use std::future::Future;

use crate::context::TaskContext;
use crate::error::{ErrorKind, TaskError, TaskResult};
use crate::task::Task;

/// Runs one kind of task in a worker whose state is `S`. Written by `#[task]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run in a worker whose state is `{S}`",
    note = "put `#[task]` on the function, and give the state what its `State<T>` parameters ask for: `#[derive(FromRef)]` or `impl FromRef<{S}> for T`"
)]
pub trait Handler<S>: 'static {
    /// The task it runs.
    type Task: Task;

    /// Runs one attempt.
    fn run(
        args: Self::Task,
        cx: TaskContext,
        state: &S,
    ) -> impl Future<Output = TaskResult<<Self::Task as Task>::Output>> + Send;
}

/// A part of the worker's state, taken by its type.
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

/// How a part is taken from the whole. `#[derive(FromRef)]` on the state writes it for every field.
#[diagnostic::on_unimplemented(
    message = "the worker's state `{S}` has no `{Self}`",
    note = "add `impl FromRef<{S}> for {Self}`, or a field of that type under `#[derive(FromRef)]`"
)]
pub trait FromRef<S> {
    /// The part.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}

/// What may stand in a handler's parameters after the args.
#[diagnostic::on_unimplemented(
    message = "a handler cannot take `{Self}` in a worker whose state is `{S}`",
    note = "after the args a handler takes `TaskContext` and `State<T>`"
)]
pub trait FromContext<S> {
    /// The parameter.
    fn from_context(cx: &TaskContext, state: &S) -> Self;
}

impl<S> FromContext<S> for TaskContext {
    fn from_context(cx: &TaskContext, _state: &S) -> Self {
        cx.clone()
    }
}

impl<S, T: FromRef<S>> FromContext<S> for State<T> {
    fn from_context(_cx: &TaskContext, state: &S) -> Self {
        Self(T::from_ref(state))
    }
}

/// Runs a plain function on the blocking threads; what `#[task(blocking)]` calls.
///
/// Not cancel-safe: a function that has started runs to its end, whoever waits for it.
#[doc(hidden)]
pub async fn run_blocking<T: Send + 'static>(
    function: impl FnOnce() -> TaskResult<T> + Send + 'static,
) -> TaskResult<T> {
    let span = tracing::Span::current();
    let guarded = move || span.in_scope(|| crate::panics::catch(function));
    match tokio::task::spawn_blocking(guarded).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(panic.into_error()),
        Err(gone) => Err(TaskError::new(ErrorKind::Retryable, gone)),
    }
}
