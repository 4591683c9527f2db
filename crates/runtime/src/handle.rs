//! The caller's view of a kicked message: its id, and its output once it has one, pushed and not polled.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::error::joined;
use crate::ledger::{Cancel, CancelAnswer, LedgerError, Progress, Sighting};
use crate::message::{MessageId, unix_millis};
use crate::result::{Failure, Meant, Record, ResultError, Results};
use crate::task::Task;

/// A kicked message of a known task.
pub struct Handle<T: Task> {
    inner: AnyHandle,
    task: PhantomData<fn() -> T>,
}

/// A kicked message whose task is known by name only.
#[derive(Clone)]
pub struct AnyHandle {
    id: MessageId,
    meant: Meant,
    results: Arc<dyn Results>,
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The task came to its end without one.
    #[error("the task failed: {}", joined(.0.chain.iter().cloned()))]
    Failed(Failure),
    /// It did not end in time; it may still.
    #[error("no result within {0:?}; the task may still be waiting or running")]
    NotYet(Duration),
    /// The output is not of the task's type.
    #[error(
        "the output is not what the task's type says; do caller and worker agree on its version?"
    )]
    WrongType(#[source] serde_json::Error),
    /// The result store could not say.
    #[error(transparent)]
    Results(#[from] ResultError),
}

impl<T: Task> Handle<T> {
    pub(crate) fn new(inner: AnyHandle) -> Self {
        Self {
            inner,
            task: PhantomData,
        }
    }

    /// The id of the message.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        self.inner.id()
    }

    /// Cancels the message: see [`AnyHandle::cancel`].
    ///
    /// # Errors
    /// [`AskError`]: nobody knows whether the workers will be told.
    pub async fn cancel(&self) -> Result<CancelAnswer, AskError> {
        self.inner.cancel().await
    }

    /// How far the task is, if it said so.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn progress(&self) -> Result<Option<Progress>, AskError> {
        self.inner.progress().await
    }

    /// The handle without the task's type.
    #[must_use]
    pub fn into_any(self) -> AnyHandle {
        self.inner
    }

    /// Waits for the output. Cancel-safe. `.within(..)` bounds the wait.
    ///
    /// # Errors
    /// When awaited: [`OutputError`].
    pub fn output(&self) -> Output<T> {
        Output {
            wait: self.inner.record(),
            task: PhantomData,
        }
    }
}

/// The result store or its ledger could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The result store could not say.
    #[error(transparent)]
    Results(#[from] ResultError),
    /// The ledger could not say.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl AnyHandle {
    pub(crate) fn new(id: MessageId, results: Arc<dyn Results>) -> Self {
        Self {
            id,
            meant: Meant::Any,
            results,
        }
    }

    /// The handle of one kick: what an earlier kick of the same id left behind is not its record.
    pub(crate) fn of_kick(self, meant: Meant) -> Self {
        Self { meant, ..self }
    }

    /// The id of the message.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    /// Cancels the message: a queued one does not run, a running one is asked to end, wherever it runs. Returns once the workers
    /// are told, not once they have ended: the record then says `cancelled`.
    ///
    /// # Errors
    /// [`AskError`]: nobody knows whether the workers will be told.
    pub async fn cancel(&self) -> Result<CancelAnswer, AskError> {
        let ledger = self.results.ledger();
        // A run under way is that of a later kick, whatever an earlier one has left.
        let ended = matches!(
            ledger.sighting(&self.id).await?,
            None | Some(Sighting::Finished)
        );
        if ended && self.has_record().await? {
            return Ok(CancelAnswer::AlreadyEnded);
        }
        let (id, at) = (self.id.clone(), unix_millis());
        ledger.cancel(&Cancel { id, at }).await?;
        Ok(CancelAnswer::Requested)
    }

    async fn has_record(&self) -> Result<bool, ResultError> {
        let record = self.results.load(&self.id).await?;
        Ok(record.is_some_and(|record| self.meant.is(&record)))
    }

    /// How far the task is, if it said so: see [`TaskContext::progress`](crate::context::TaskContext::progress).
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn progress(&self) -> Result<Option<Progress>, AskError> {
        Ok(self.results.ledger().progress(&self.id).await?)
    }

    /// Waits for the record as it is stored: an output or a failure. Cancel-safe. `.within(..)` bounds the wait.
    ///
    /// # Errors
    /// When awaited: [`OutputError::NotYet`] or [`OutputError::Results`].
    pub fn record(&self) -> Wait {
        Wait {
            handle: self.clone(),
            within: None,
        }
    }
}

/// Waits for a record; await it.
#[must_use = "nothing is waited for until it is awaited"]
pub struct Wait {
    handle: AnyHandle,
    within: Option<Duration>,
}

impl Wait {
    /// Waits no longer than this.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }
}

impl IntoFuture for Wait {
    type Output = Result<Record, OutputError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let AnyHandle { id, meant, results } = &self.handle;
            let wait = results.wait_for(id, *meant);
            match self.within {
                None => Ok(wait.await?),
                Some(limit) => Ok(tokio::time::timeout(limit, wait)
                    .await
                    .map_err(|_| OutputError::NotYet(limit))??),
            }
        })
    }
}

/// Waits for a typed output; await it.
#[must_use = "nothing is waited for until it is awaited"]
pub struct Output<T: Task> {
    wait: Wait,
    task: PhantomData<fn() -> T>,
}

impl<T: Task> Output<T> {
    /// Waits no longer than this.
    pub fn within(mut self, limit: Duration) -> Self {
        self.wait = self.wait.within(limit);
        self
    }
}

impl<T: Task> IntoFuture for Output<T> {
    type Output = Result<T::Output, OutputError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let output: Box<RawValue> = self.wait.await?.outcome.map_err(OutputError::Failed)?;
            serde_json::from_str(output.get()).map_err(OutputError::WrongType)
        })
    }
}
