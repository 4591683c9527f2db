//! Publishing: persistent, mandatory, confirmed. Many publishes are in flight at once on one channel, a bounded number of them.
//! Declares nothing but what has to stand on a fresh connection; knows nothing of delays beyond the key it is given.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::BasicProperties;
use lapin::types::ShortString;
use lapin::{Channel, Confirmation, ErrorKind};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::connection::{Link, open_channel};
use super::declare::declare;
use super::registry::Registry;
use crate::broker::PublishError;
use crate::broker::reach::Backoff;

/// The most publishes that wait for their confirm at a time.
const MAX_IN_FLIGHT: usize = 1024;

/// A message ready for the wire.
pub(super) struct Letter {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) body: Vec<u8>,
    pub(super) properties: BasicProperties,
    /// The queue it is meant for, as errors name it.
    pub(super) target: String,
}

/// Publishes over one link.
pub(super) struct Publisher {
    link: Link,
    registry: Arc<Registry>,
    // Held while a channel is opened, never while a confirm is waited for.
    channel: Mutex<Option<Channel>>,
    in_flight: Arc<Semaphore>,
    timeout: Duration,
}

/// What one try came to.
enum Try {
    Settled(Result<(), PublishError>),
    /// The channel was closed already: nothing was written.
    NothingSent,
}

impl Publisher {
    pub(super) fn new(link: Link, registry: Arc<Registry>, timeout: Duration) -> Self {
        let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
        Self {
            link,
            registry,
            channel: Mutex::new(None),
            in_flight,
            timeout,
        }
    }

    /// Publishes and waits for the confirm; waits out a lost connection within the timeout.
    pub(super) async fn publish(&self, letter: Letter) -> Result<(), PublishError> {
        match timeout(self.timeout, self.send(Arc::new(letter))).await {
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
        let mut backoff = Backoff::new();
        loop {
            let channel = self.channel(&mut backoff).await?;
            // A task of its own: a caller that stops waiting neither tears a publish in two nor leaves its confirm behind,
            // and the permit stays taken until the broker has answered.
            let one = tokio::spawn(try_once(channel, Arc::clone(&letter), Arc::clone(&permit)));
            match one
                .await
                .map_err(|panic| PublishError::Disconnected(panic.into()))?
            {
                Try::Settled(result) => return result,
                Try::NothingSent => self.link.suspect(),
            }
        }
    }

    /// The confirm channel, opened again if it is gone.
    async fn channel(&self, backoff: &mut Backoff) -> Result<Channel, PublishError> {
        let mut current = self.channel.lock().await;
        // A channel may not have heard yet that its connection is gone; what it is given then is neither sent nor waited for.
        let usable = |channel: &&Channel| self.link.is_up() && channel.status().connected();
        if let Some(channel) = current.as_ref().filter(usable) {
            return Ok(channel.clone());
        }
        *current = None;
        loop {
            let connection = self
                .link
                .up()
                .await
                .map_err(|closed| PublishError::Disconnected(closed.into()))?;
            match self.open(&connection).await {
                Ok(channel) => return Ok(current.insert(channel).clone()),
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
    channel: Channel,
    letter: Arc<Letter>,
    _permit: Arc<OwnedSemaphorePermit>,
) -> Try {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let (exchange, key) = (letter.exchange.clone(), letter.key.clone());
    let written = channel
        .basic_publish(
            exchange,
            key,
            options,
            &letter.body,
            letter.properties.clone(),
        )
        .await;
    let confirm = match written {
        Ok(confirm) => confirm,
        Err(error) if nothing_sent(&error) => return Try::NothingSent,
        Err(error) => return Try::Settled(Err(PublishError::Disconnected(error.into()))),
    };
    let queue = || letter.target.clone();
    Try::Settled(match confirm.await {
        Ok(Confirmation::Ack(None)) => Ok(()),
        // An unroutable message is acked, too: only the returned copy tells.
        Ok(Confirmation::Ack(Some(_))) => Err(PublishError::Unroutable { queue: queue() }),
        Ok(Confirmation::Nack(_)) => Err(PublishError::Nacked { queue: queue() }),
        Ok(Confirmation::NotRequested) => Err(PublishError::Disconnected(
            "the channel has no confirms".into(),
        )),
        Err(error) => Err(PublishError::Disconnected(error.into())),
    })
}

fn nothing_sent(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_)
    )
}
