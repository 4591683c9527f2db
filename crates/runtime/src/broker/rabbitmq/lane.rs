//! One level being consumed: a channel, a consumer, and the task that pumps deliveries into a bounded buffer, comes back after a
//! lost connection, and makes the consumer another one when its window is to be wider or narrower. Settles nothing; the deliveries of an old channel carry their own way to settle, which fails.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::acks::{Acks, EndAcks};
use super::connection::{Link, open_channel};
use super::declare::declare;
use super::receipt::Incoming;
use super::topology::Topology;
use super::window::Window;
use crate::broker::Beat;
use crate::broker::reach::Backoff;

/// The most that opening a channel with its consumer may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The most that cancelling a consumer may take.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// What a lane consumes, and how.
pub(super) struct Lane {
    pub(super) link: Link,
    /// The queue of one level.
    pub(super) queue: String,
    /// What is declared again after a lost connection.
    pub(super) topology: Arc<Topology>,
    /// Says that no more may be taken.
    pub(super) stop: CancellationToken,
    /// Knows the prefetch.
    pub(super) window: Arc<Window>,
    /// Says whether there is a consumer.
    pub(super) beat: Beat,
}

/// A channel with its consumer. Dropped, the channel closes once what is finished has been said, and the broker takes back
/// what is unsettled.
pub(super) struct Session {
    channel: Channel,
    consumer: Consumer,
    acks: EndAcks,
}

/// Why a session gave no more, or not for now.
enum End {
    /// Its window is to have another size.
    OtherSize(u16),
    /// The channel or the consumer is gone.
    Lost,
    /// Nobody wants more: stopped, or the receiver is gone.
    Unwanted,
}

/// What became of a lost session.
enum Reopened {
    /// It consumes again.
    Yes,
    /// The link is closed, or nobody wants more.
    No,
}

impl Lane {
    /// The first session; the error is for whoever asked to consume.
    pub(super) async fn open(&self) -> lapin::Result<Session> {
        let connection = self.link.up().await.map_err(std::io::Error::other)?;
        let channel = open_channel(&connection).await?;
        channel
            .basic_qos(self.window.size(), BasicQosOptions::default())
            .await?;
        let consumer = self.consume(&channel).await?;
        Ok(self.session(channel, consumer))
    }

    fn session(&self, channel: Channel, consumer: Consumer) -> Session {
        let (window, stop) = (Arc::clone(&self.window), self.stop.clone());
        let acks = Arc::new(Acks::new(window.size(), window, stop));
        tokio::spawn(Arc::clone(&acks).send_on(channel.clone()));
        Session {
            channel,
            consumer,
            acks: EndAcks(acks),
        }
    }

    async fn consume(&self, channel: &Channel) -> lapin::Result<Consumer> {
        let (queue, options) = (self.queue.as_str().into(), BasicConsumeOptions::default());
        channel
            .basic_consume(queue, "".into(), options, FieldTable::default())
            .await
    }

    /// Pumps until it is stopped, the receiver is gone, or the link is closed. Ends the stream of deliveries by dropping
    /// `deliveries`, and then stays, because the attempts that still run settle on its channel.
    pub(super) async fn run(self, first: Session, deliveries: mpsc::Sender<Incoming>) {
        let mut session = first;
        loop {
            match self.pump(&mut session, &deliveries).await {
                End::OtherSize(size) => {
                    let resized = self.resize(&mut session, size, &deliveries).await;
                    self.window.listens();
                    if resized.is_ok() {
                        continue;
                    }
                    // What the first consumer still had would never be seen: a channel that closes gives it back.
                    abandon(&session.channel).await;
                }
                End::Unwanted => {
                    let _ = retire(&mut session, &deliveries).await;
                    break;
                }
                End::Lost => {}
            }
            self.beat.lost();
            warn!(queue = self.queue, "the consumer was lost; consuming again");
            if let Reopened::No = self.reopen(&mut session).await {
                break;
            }
            self.beat.regained();
            info!(queue = self.queue, "consuming again");
        }
        // What finished before the stop and lingers. Lost means that the broker delivers it again.
        let _ = session.acks.0.flush().await;
        drop(deliveries);
        // Until the consumer's owner aborts this task.
        std::future::pending::<()>().await;
    }

    async fn pump(&self, session: &mut Session, deliveries: &mpsc::Sender<Incoming>) -> End {
        let (stopped, other_size) = (self.stop.cancelled(), self.window.other_size());
        tokio::pin!(stopped, other_size);
        loop {
            let next = tokio::select! {
                biased;
                () = &mut stopped => return End::Unwanted,
                size = &mut other_size => return End::OtherSize(size),
                next = session.consumer.next() => next,
            };
            // `None` is a cancel by the broker, an error a lost channel.
            let Some(Ok(delivery)) = next else {
                return End::Lost;
            };
            if deliveries.send(session.incoming(delivery)).await.is_err() {
                return End::Unwanted;
            }
        }
    }

    /// The broker applies a prefetch to consumers that come after it. So a second one takes over, on the same channel, and only
    /// then the first is cancelled: the queue has a consumer all the while, and what the first had brought stays here.
    async fn resize(
        &self,
        session: &mut Session,
        size: u16,
        deliveries: &mpsc::Sender<Incoming>,
    ) -> lapin::Result<()> {
        let options = BasicQosOptions::default();
        session.channel.basic_qos(size, options).await?;
        let second = self.consume(&session.channel).await?;
        debug!(queue = self.queue, size, "holds another number of messages");
        self.window.resized(size);
        session.acks.0.resize(size);
        let retired = retire(session, deliveries).await;
        session.consumer = second;
        retired
    }

    /// Makes a lost session one that consumes again.
    async fn reopen(&self, session: &mut Session) -> Reopened {
        let mut backoff = Backoff::new();
        loop {
            let opened = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Reopened::No,
                opened = self.try_reopen(session) => opened,
            };
            match opened {
                Ok(reopened) => return reopened,
                Err(error) => warn!(queue = self.queue, %error, "cannot consume; trying again"),
            }
            self.link.suspect();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Reopened::No,
                () = backoff.pause() => {}
            }
        }
    }

    /// On the same channel if it lives: then the attempts that run can still settle on it.
    async fn try_reopen(&self, session: &mut Session) -> lapin::Result<Reopened> {
        if session.channel.status().connected()
            && let Ok(consumer) = self.consume(&session.channel).await
        {
            session.consumer = consumer;
            return Ok(Reopened::Yes);
        }
        session.acks.0.close();
        let Ok(connection) = self.link.up().await else {
            return Ok(Reopened::No);
        };
        let opening = async {
            declare(&connection, std::slice::from_ref(&*self.topology)).await?;
            self.open().await
        };
        *session = timeout(OPEN_TIMEOUT, opening).await.map_err(late)??;
        self.window.reset();
        Ok(Reopened::Yes)
    }
}

/// Cancels the session's consumer, and passes on what had arrived by then.
async fn retire(session: &mut Session, deliveries: &mpsc::Sender<Incoming>) -> lapin::Result<()> {
    let (tag, options) = (session.consumer.tag(), BasicCancelOptions::default());
    let cancelled = session.channel.basic_cancel(tag, options);
    timeout(CANCEL_TIMEOUT, cancelled).await.map_err(late)??;
    while let Some(delivery) = session.consumer.next().await {
        if deliveries.send(session.incoming(delivery?)).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Closes a channel of which nobody knows what it does.
async fn abandon(channel: &Channel) {
    // Without an answer it counts as closed, too.
    let _ = timeout(CANCEL_TIMEOUT, channel.close(200, "unknown state".into())).await;
}

fn late(_: Elapsed) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "the broker does not answer")
}

impl Session {
    fn incoming(&self, arrived: Delivery) -> Incoming {
        let acks = Arc::clone(&self.acks.0);
        acks.delivered(arrived.delivery_tag);
        Incoming { arrived, acks }
    }
}
