//! Kicks of work that is to be asked for once: while an earlier one is under way, once in a while, or after the last one.
//! The key is held by the ledger; what becomes of a superseded message is the worker's to settle.

use std::borrow::Cow;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::Duration;

use uuid::Uuid;

use crate::client::{KickError, Order};
use crate::duration::hours;
use crate::handle::Handle;
use crate::ledger::Reserved;
use crate::message::label;
use crate::task::{LONGEST_KEPT, Task};

/// How long beyond its pause a debounced message may wait in its queue before its key is forgotten. Then it runs, superseded
/// or not.
const IN_QUEUE: Duration = hours(24);

/// What became of a kick that was to be unique.
pub enum Kicked<T: Task> {
    /// It was kicked.
    New(Handle<T>),
    /// An earlier one stands for it: this is that one's handle.
    Existing(Handle<T>),
}

impl<T: Task> Kicked<T> {
    /// The handle of the message that does the work.
    #[must_use]
    pub fn handle(self) -> Handle<T> {
        match self {
            Self::New(handle) | Self::Existing(handle) => handle,
        }
    }

    /// Whether this kick made a message.
    #[must_use]
    pub fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }
}

/// Until when a kick is the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    UntilDone,
    Throttle,
    Debounce,
}

/// A kick that is to be unique, not sent until it is awaited.
#[must_use = "a kick is sent when it is awaited"]
pub struct UniqueKick<'a, T: Task> {
    order: Order<'a>,
    mode: Mode,
    window: Duration,
    task: PhantomData<fn() -> T>,
}

impl<'a, T: Task> UniqueKick<'a, T> {
    pub(crate) fn new(order: Order<'a>, mode: Mode, window: Duration) -> Self {
        Self {
            order,
            mode,
            window: window.min(LONGEST_KEPT),
            task: PhantomData,
        }
    }

    /// What makes two kicks the same work, instead of [`Task::unique_key`].
    pub fn by(mut self, key: impl Into<String>) -> Self {
        self.order.unique_key = Some(key.into());
        self
    }

    async fn send(self) -> Result<Kicked<T>, KickError> {
        let key = self.order.unique_name()?;
        match self.mode {
            Mode::UntilDone | Mode::Throttle => self.send_if_first(key).await,
            Mode::Debounce => self.send_after_all(key).await,
        }
    }

    async fn send_if_first(mut self, key: String) -> Result<Kicked<T>, KickError> {
        let (tasks, id) = (self.order.tasks, self.order.id.clone());
        let ledger = tasks.ledger();
        if let Reserved::Taken(other) = ledger.reserve(&key, &id, self.window).await? {
            if !ledger.is_cancelled(&other).await? {
                return Ok(Kicked::Existing(tasks.handle(other)));
            }
            // What was cancelled stands for nothing any more, although it has not been settled yet.
            ledger.replace(&key, &id, self.window).await?;
        }
        if self.mode == Mode::UntilDone {
            self.order.extra.set_text(label::UNIQUE, &key);
        }
        match self.order.send().await {
            Ok(handle) => Ok(Kicked::New(Handle::new(handle))),
            Err(error) => {
                // Nobody may wait for a message that may not be there. If that fails, too, the window ends it.
                let _ = ledger.give_up(&key, &id).await;
                Err(error)
            }
        }
    }

    /// Published first: whoever is superseded must know that its successor is there.
    async fn send_after_all(mut self, key: String) -> Result<Kicked<T>, KickError> {
        let (ledger, id) = (self.order.tasks.ledger(), self.order.id.clone());
        self.order.extra.set_text(label::DEBOUNCE, &key);
        self.order.delay = self.window;
        let handle = self.order.send().await?;
        ledger.replace(&key, &id, self.window + IN_QUEUE).await?;
        Ok(Kicked::New(Handle::new(handle)))
    }
}

impl<'a, T: Task> IntoFuture for UniqueKick<'a, T> {
    type Output = Result<Kicked<T>, KickError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// The name of a key in the ledger: the task, and what makes two kicks of it the same.
pub(crate) fn name(task: &str, key: Option<&str>, args: &[u8]) -> String {
    let task = escaped(task);
    match key {
        Some(key) => format!("{task}:{key}"),
        None => format!(
            "{task}#{}",
            Uuid::new_v5(&Uuid::NAMESPACE_OID, args).simple()
        ),
    }
}

/// A task's name as it stands before a separator: without one in it, so that no other task's name and key read the same.
pub(crate) fn escaped(task: &str) -> Cow<'_, str> {
    if !task.contains(['%', ':', '#']) {
        return Cow::Borrowed(task);
    }
    let task = task.replace('%', "%25").replace(':', "%3A");
    Cow::Owned(task.replace('#', "%23"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_name_is_of_one_task_and_one_key_or_of_all_args() {
        assert_eq!(name("t", Some("k"), b"1"), "t:k");
        assert_eq!(name("t", None, b"1"), name("t", None, b"1"));
        assert_ne!(name("t", None, b"1"), name("t", None, b"2"));
        assert_ne!(name("t", None, b"1"), name("u", None, b"1"));
    }

    #[test]
    fn no_key_makes_the_name_of_another_task_or_of_args() {
        let hash = name("t", None, b"1").replacen("t#", "", 1);
        let names = [
            name("a", Some("b:c"), b""),
            name("a:b", Some("c"), b""),
            name("a%3Ab", Some("c"), b""),
            name("a:", Some("c"), b""),
            name("a", Some(":c"), b""),
            name("t", Some(&hash), b""),
            name("t", None, b"1"),
            name("t#", Some(&hash), b""),
            name("t", Some(&format!("#{hash}")), b""),
        ];
        let different: std::collections::HashSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Any {}

    impl Task for Any {
        const NAME: &'static str = "any";
        const QUEUE: crate::queue::Queue = crate::queue::Queue::named("any");
        type Output = ();
    }

    #[test]
    fn a_window_without_an_end_is_ten_years() {
        let broker = crate::broker::memory::MemoryBroker::new();
        let results = crate::result::memory::MemoryResults::new();
        let tasks = crate::client::Tasks::new(Arc::new(broker), Arc::new(results));
        let window = |asked| tasks.kick(Any {}).unique_for(asked).window;
        assert_eq!(window(Duration::MAX), LONGEST_KEPT);
        assert_eq!(window(hours(1)), hours(1));
    }
}
