//! The bells that ring when a result is saved: one pub/sub connection per process, opened when somebody waits first, kept up
//! from then on. A bell only says "look now"; it carries no result, and rings too often rather than too seldom.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, RedisResult};
use tokio::sync::{Notify, watch};
use tokio::time::{interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::broker::reach::Backoff;

/// The most that the server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it lives: one that went away without a word would never ring again.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// All bells of this process. Dropped, the connection closes.
pub(crate) struct Doorbells {
    shared: Arc<Shared>,
    _guard: DropGuard,
}

#[derive(Default)]
struct Shared {
    // A std mutex: held for one operation on the map, never across an await.
    hung: Mutex<HashMap<String, Hung>>,
    changed: Notify,
}

struct Hung {
    /// How often it has rung; 0 while nobody has subscribed.
    rings: watch::Sender<u64>,
    waiting: usize,
}

/// One waiter's bell; dropped, it is taken down, and the last one on a channel ends its subscription.
pub(crate) struct Bell {
    shared: Arc<Shared>,
    channel: String,
    rings: watch::Receiver<u64>,
    first: bool,
}

impl Doorbells {
    /// Starts the task that holds the connection; it connects when the first bell is hung.
    pub(crate) fn start(client: Client, place: String) -> Self {
        let shared = Arc::new(Shared::default());
        let end = CancellationToken::new();
        let ringer = Ringer {
            client,
            place,
            shared: Arc::clone(&shared),
        };
        let ended = end.clone();
        tokio::spawn(async move { ended.run_until_cancelled(ringer.run()).await });
        Self {
            shared,
            _guard: end.drop_guard(),
        }
    }

    /// Hangs a bell for the channel.
    pub(crate) fn hang(&self, channel: String) -> Bell {
        self.shared.hang(channel)
    }

    /// How many bells hang for the channel, if it is subscribed.
    pub(crate) fn waiting(&self, channel: &str) -> usize {
        let hung = self.shared.lock();
        hung.get(channel)
            .filter(|entry| *entry.rings.borrow() > 0)
            .map_or(0, |entry| entry.waiting)
    }
}

impl Bell {
    /// Returns when it is time to look: at once, and once, if the channel was subscribed before; after each ring else.
    /// Cancel-safe.
    pub(crate) async fn rung(&mut self) {
        if std::mem::take(&mut self.first) && *self.rings.borrow_and_update() > 0 {
            return;
        }
        // The sender lives in the map as long as this bell does.
        let _ = self.rings.changed().await;
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        {
            let mut hung = self.shared.lock();
            if let Some(entry) = hung.get_mut(&self.channel) {
                entry.waiting -= 1;
                if entry.waiting == 0 {
                    hung.remove(&self.channel);
                }
            }
        }
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Hung>> {
        // The map is whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang(self: &Arc<Self>, channel: String) -> Bell {
        let rings = {
            let mut hung = self.lock();
            let entry = hung.entry(channel.clone()).or_insert_with(|| Hung {
                rings: watch::Sender::new(0),
                waiting: 0,
            });
            entry.waiting += 1;
            entry.rings.subscribe()
        };
        self.changed.notify_one();
        Bell {
            shared: Arc::clone(self),
            channel,
            rings,
            first: true,
        }
    }

    fn ring(&self, channel: &str) {
        if let Some(entry) = self.lock().get(channel) {
            entry.rings.send_modify(|rings| *rings += 1);
        }
    }

    /// What is to be subscribed, and what no longer. Rings the bells that were hung again before their old subscription
    /// ended: nobody else would tell them that it stands.
    fn reconcile(&self, subscribed: &HashSet<String>) -> (Vec<String>, Vec<String>) {
        let hung = self.lock();
        let mut new = Vec::new();
        for (channel, entry) in hung.iter() {
            if !subscribed.contains(channel) {
                new.push(channel.clone());
            } else if *entry.rings.borrow() == 0 {
                entry.rings.send_modify(|rings| *rings = 1);
            }
        }
        let gone = subscribed
            .iter()
            .filter(|channel| !hung.contains_key(*channel));
        (new, gone.cloned().collect())
    }
}

/// Holds the connection.
struct Ringer {
    client: Client,
    place: String,
    shared: Arc<Shared>,
}

impl Ringer {
    async fn run(self) {
        let mut backoff = Backoff::new();
        loop {
            while self.shared.lock().is_empty() {
                self.shared.changed.notified().await;
            }
            let Err(error) = self.one_connection(&mut backoff).await;
            if self.shared.lock().is_empty() {
                continue;
            }
            warn!(place = self.place, %error, "waiting for results is interrupted; connecting again");
            backoff.pause().await;
        }
    }

    async fn one_connection(&self, backoff: &mut Backoff) -> RedisResult<std::convert::Infallible> {
        let (mut sink, mut messages) = in_time(self.client.get_async_pubsub()).await?.split();
        *backoff = Backoff::new();
        let mut subscribed = HashSet::new();
        let mut ask = interval(ASK_EVERY);
        loop {
            self.subscribe(&mut sink, &mut subscribed).await?;
            tokio::select! {
                () = self.shared.changed.notified() => {}
                channel = next(&mut messages) => self.shared.ring(&channel?),
                _ = ask.tick() => in_time(sink.ping::<redis::Value>()).await.map(drop)?,
            }
        }
    }

    /// Makes the subscriptions what the bells want. A new one rings at once: what was saved before it is found by looking.
    async fn subscribe(
        &self,
        sink: &mut PubSubSink,
        subscribed: &mut HashSet<String>,
    ) -> RedisResult<()> {
        let (new, gone) = self.shared.reconcile(subscribed);
        if !gone.is_empty() {
            in_time(sink.unsubscribe(&gone)).await?;
            subscribed.retain(|channel| !gone.contains(channel));
        }
        if !new.is_empty() {
            in_time(sink.subscribe(&new)).await?;
            new.iter().for_each(|channel| self.shared.ring(channel));
            subscribed.extend(new);
        }
        Ok(())
    }
}

/// The channel of the next message.
async fn next(messages: &mut PubSubStream) -> RedisResult<String> {
    match messages.next().await {
        Some(message) => Ok(message.get_channel_name().to_owned()),
        None => Err(std::io::Error::new(
            std::io::ErrorKind::UnexpectedEof,
            "the connection is gone",
        )
        .into()),
    }
}

async fn in_time<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "the server does not answer");
    timeout(ANSWER_TIMEOUT, answer).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_bell_hung_again_under_a_standing_subscription_is_rung() {
        let shared = Arc::new(Shared::default());
        let mut subscribed = HashSet::new();
        drop(shared.hang("a".to_owned()));
        assert_eq!(shared.reconcile(&subscribed), (vec![], vec![]));

        let first = shared.hang("a".to_owned());
        assert_eq!(shared.reconcile(&subscribed).0, ["a"]);
        shared.ring("a");
        subscribed.insert("a".to_owned());
        // Nobody looks between these two: the subscription outlives the bell it was made for.
        drop(first);
        let mut second = shared.hang("a".to_owned());
        assert!(second.rung().now_or_never().is_none());
        assert_eq!(shared.reconcile(&subscribed), (vec![], vec![]));
        assert!(second.rung().now_or_never().is_some());

        drop(second);
        assert_eq!(shared.reconcile(&subscribed).1, ["a"]);
    }

    #[test]
    fn a_bell_under_a_standing_subscription_rings_at_once_and_once() {
        let shared = Arc::new(Shared::default());
        let mut first = shared.hang("a".to_owned());
        shared.ring("a");
        let mut second = shared.hang("a".to_owned());
        for bell in [&mut first, &mut second] {
            assert!(bell.rung().now_or_never().is_some());
            assert!(bell.rung().now_or_never().is_none());
        }
        shared.ring("a");
        assert!(first.rung().now_or_never().is_some() && second.rung().now_or_never().is_some());
    }
}
