//! Publishing: persistent, mandatory, confirmed. Many publishes are in flight at once on one channel, a bounded number of them.
//! What was in flight when a connection broke is published again, with the same id: whoever runs it knows a copy by that.
//! Declares nothing but what has to stand on a fresh connection; knows nothing of delays beyond the key it is given.

use std::pin::Pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::BasicProperties;
use lapin::types::ShortString;
use lapin::{Channel, Confirmation};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::connection::{Link, open_channel};
use super::declare::declare;
use super::headers;
use super::registry::Registry;
use crate::broker::reach::Backoff;
use crate::broker::{Parcel, PublishError};

/// The most publishes that wait for their confirm at a time.
const MAX_IN_FLIGHT: usize = 1024;

/// AMQP's number for "write it to disk".
const PERSISTENT: u8 = 2;

/// A message ready for the wire.
pub(super) struct Letter {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) parcel: Parcel,
    /// The queue it is meant for, as errors name it.
    pub(super) target: String,
}

impl Letter {
    pub(super) fn new(
        exchange: &str,
        key: &str,
        target: String,
        parcel: Parcel,
    ) -> Result<Self, PublishError> {
        Ok(Self {
            exchange: short(exchange)?,
            key: short(key)?,
            parcel,
            target,
        })
    }

    /// Made for each try: the client library takes them, and a second try is rare.
    pub(super) fn properties(&self) -> Result<BasicProperties, PublishError> {
        Ok(BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into())
            .with_priority(self.parcel.priority)
            .with_message_id(short(&self.parcel.id)?)
            .with_headers(headers::encode(&self.parcel.headers)?))
    }
}

/// A name as AMQP has it: at most 255 bytes.
pub(super) fn short(text: &str) -> Result<ShortString, PublishError> {
    ShortString::try_new(text).map_err(|_| PublishError::TooLarge {
        bytes: text.len(),
        limit: 255,
    })
}

/// Publishes over one link.
pub(super) struct Publisher {
    link: Link,
    registry: Arc<Registry>,
    // Held for a look; never across an await.
    channel: std::sync::Mutex<Option<Arc<Channel>>>,
    // Held while a channel is opened, so that one is.
    opening: Mutex<()>,
    in_flight: Arc<Semaphore>,
    timeout: Duration,
}

/// What one try came to.
enum Try {
    Settled(Result<(), PublishError>),
    /// The connection went away: it may be stored, or not.
    Unknown,
}

impl Publisher {
    pub(super) fn new(link: Link, registry: Arc<Registry>, timeout: Duration) -> Self {
        let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        Self {
            link,
            registry,
            channel: std::sync::Mutex::new(None),
            opening: Mutex::new(()),
            in_flight,
            timeout,
        }
    }

    /// Publishes and waits for the confirm; waits out lost connections within the timeout.
    pub(super) async fn publish(&self, letter: Arc<Letter>) -> Result<(), PublishError> {
        match timeout(self.timeout, self.send(letter)).await {
            Ok(result) => result,
            Err(_) if self.link.is_up() => Err(PublishError::Timeout(self.timeout)),
            Err(_) => {
                let text = format!(
                    "no connection to {} within {:?}",
                    self.link.place(),
                    self.timeout
                );
                Err(PublishError::Disconnected(text.into()))
            }
        }
    }

    async fn send(&self, letter: Arc<Letter>) -> Result<(), PublishError> {
        let permit = Arc::clone(&self.in_flight).acquire_owned().await;
        let permit = Arc::new(permit.expect("the semaphore is never closed"));
        // Those who publish beside this one come as far as here first. What is then written in one go costs the client library,
        // the kernel and the broker less than the same one by one.
        tokio::task::yield_now().await;
        let mut backoff = Backoff::new();
        loop {
            let channel = self.channel(&mut backoff).await?;
            // A caller that stops waiting leaves neither a confirm behind nor the permit free before the broker has answered.
            let one = Detached::new(try_once(channel, Arc::clone(&letter), Arc::clone(&permit)));
            match one.await {
                Try::Settled(result) => return result,
                Try::Unknown => self.link.suspect(),
            }
        }
    }

    /// The confirm channel, opened again if it is gone.
    async fn channel(&self, backoff: &mut Backoff) -> Result<Arc<Channel>, PublishError> {
        if let Some(channel) = self.usable() {
            return Ok(channel);
        }
        let _opening = self.opening.lock().await;
        loop {
            // Another one may have opened it meanwhile.
            if let Some(channel) = self.usable() {
                return Ok(channel);
            }
            let connection = self
                .link
                .up()
                .await
                .map_err(|closed| PublishError::Disconnected(closed.into()))?;
            match self.open(&connection).await {
                Ok(channel) => *self.current() = Some(Arc::new(channel)),
                // A refusal would be the same the next time.
                Err(error) if error.is_amqp_soft_error() => {
                    return Err(PublishError::Disconnected(error.into()));
                }
                Err(_) => {
                    self.link.suspect();
                    backoff.pause().await;
                }
            }
        }
    }

    /// A channel may not have heard yet that its connection is gone; what it is given then is neither sent nor waited for.
    fn usable(&self) -> Option<Arc<Channel>> {
        let mut current = self.current();
        let lives = |channel: &Arc<Channel>| self.link.is_up() && channel.status().connected();
        if !current.as_ref().is_some_and(lives) {
            *current = None;
        }
        current.clone()
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Channel>>> {
        // One assignment, so a panic elsewhere leaves nothing half done.
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, connection: &lapin::Connection) -> lapin::Result<Channel> {
        // A broker that came back empty must not turn the first publish into a closed channel.
        declare(connection, &self.registry.known()).await?;
        let channel = open_channel(connection).await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        Ok(channel)
    }
}

async fn try_once(
    channel: Arc<Channel>,
    letter: Arc<Letter>,
    _permit: Arc<OwnedSemaphorePermit>,
) -> Try {
    match confirmed(&channel, &letter).await {
        Ok(Ok(confirmation)) => Try::Settled(read(&confirmation, &letter)),
        // The broker closed the channel over something that was sent: sent again, it would do the same.
        Ok(Err(error)) if error.is_amqp_soft_error() => {
            Try::Settled(Err(PublishError::Disconnected(error.into())))
        }
        Ok(Err(_)) => Try::Unknown,
        Err(unsendable) => Try::Settled(Err(unsendable)),
    }
}

async fn confirmed(
    channel: &Channel,
    letter: &Letter,
) -> Result<lapin::Result<Confirmation>, PublishError> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let (exchange, key) = (letter.exchange.clone(), letter.key.clone());
    let (body, properties) = (&letter.parcel.body, letter.properties()?);
    let written = channel.basic_publish(exchange, key, options, body, properties);
    Ok(match written.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    })
}

pub(super) fn read(confirmation: &Confirmation, letter: &Letter) -> Result<(), PublishError> {
    let queue = || letter.target.clone();
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        // An unroutable message is acked, too: only the returned copy tells.
        Confirmation::Ack(Some(_)) => Err(PublishError::Unroutable { queue: queue() }),
        Confirmation::Nack(_) => Err(PublishError::Nacked { queue: queue() }),
        Confirmation::NotRequested => Err(PublishError::Disconnected(
            "the channel has no confirms".into(),
        )),
    }
}

/// A future that goes on to its end by itself when whoever waits for it stops waiting. Cheaper than a task for each: few are
/// ever abandoned.
struct Detached<F: Future<Output: Send> + Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future<Output: Send> + Send + 'static> Detached<F> {
    fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Detached<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.0.as_mut().expect("not polled after its end");
        let output = ready!(future.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Detached<F> {
    fn drop(&mut self) {
        // Outside a runtime the process is ending, and the connection with it.
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(future);
        }
    }
}
