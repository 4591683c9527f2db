//! RabbitMQ as a [`Broker`]: quorum queues, one per level, publishes confirmed, lost connections replaced.
//! The only place that knows the client library. Which messages are acked, retried or dead is decided elsewhere.

mod ack_window;
mod acks;
mod address;
mod baton;
mod connection;
mod consume;
mod dead;
mod declare;
mod delay;
mod headers;
mod hold;
mod inspect;
mod lane;
mod publish;
mod receipt;
mod registry;
mod rooms;
mod topology;
mod width;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lapin::ErrorKind;
use tokio::time::timeout;

use address::Address;
pub(crate) use address::SCHEMES;
use baton::RabbitBaton;
use connection::Link;
use consume::RabbitConsumer;
use dead::DeadQueue;
use publish::{Letter, Publisher};
use registry::Registry;
use rooms::Rooms;
use topology::Names;

use super::{
    Baton, Broker, BrokerError, Connections, Consumer, Delivery, Depth, Destination, Judge, Parcel,
    PublishError, Room, Verdict, replay_refused,
};
use crate::message::MAX_BODY_BYTES;
use crate::queue::Queue;

/// The most that one question to the broker may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach a RabbitMQ, and under which names to work there.
#[derive(Clone)]
pub struct RabbitConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps://` for TLS. Without a path: the virtual host `/`.
    pub url: String,
    /// The exchange's name, and what every queue's name starts with.
    pub namespace: String,
    /// What the connections are called in the broker's management pages.
    pub connection_name: String,
    /// The most that one publish may take, reconnecting included.
    pub publish_timeout: Duration,
    /// How long the first connect may take.
    pub boot_deadline: Duration,
}

impl RabbitConfig {
    /// A configuration with a publish timeout of 10 s and a boot deadline of 30 s.
    #[must_use]
    pub fn new(
        url: impl Into<String>,
        namespace: impl Into<String>,
        connection_name: impl Into<String>,
    ) -> Self {
        Self {
            url: url.into(),
            namespace: namespace.into(),
            connection_name: connection_name.into(),
            publish_timeout: Duration::from_secs(10),
            boot_deadline: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for RabbitConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: there is a password in it.
        f.debug_struct("RabbitConfig")
            .field("namespace", &self.namespace)
            .field("connection_name", &self.connection_name)
            .field("publish_timeout", &self.publish_timeout)
            .field("boot_deadline", &self.boot_deadline)
            .finish_non_exhaustive()
    }
}

/// Whether the URL could be one of a RabbitMQ; connects nowhere.
pub(crate) fn check(url: &str) -> Result<(), BrokerError> {
    Address::parse(url).map(drop)
}

/// What a broker of this namespace would have for the queue; connects nowhere.
pub(crate) fn describe(namespace: &str, queue: Queue) -> Result<Vec<String>, BrokerError> {
    let names = Names::new(namespace)?;
    names.check(queue)?;
    Ok(lines(&names, queue))
}

fn lines(names: &Names, queue: Queue) -> Vec<String> {
    let steps = topology::ladder(names).queues.len();
    let ladder = format!(
        "delay ladder {}  {steps} queues, quorum, 100 ms to 13.6 years",
        names.delay_start()
    );
    let rooms = format!(
        "waiting rooms {}.<level>.room-<number>  made when something waits for a limit, quorum, gone a week after their last use",
        names.of(queue)
    );
    topology::queue(names, queue)
        .describe()
        .into_iter()
        .chain([ladder, rooms])
        .collect()
}

/// A RabbitMQ, over two connections: one that publishes and asks, one that consumes. A broker that blocks publishers
/// blocks acks on the same connection, too; so they never share one.
pub struct RabbitBroker {
    registry: Arc<Registry>,
    publisher: Publisher,
    rooms: Rooms,
    address: Address,
    /// What a baton's connection is called.
    baton: String,
    publishing: Link,
    consuming: Link,
}

impl RabbitBroker {
    /// Connects, trying again until the boot deadline while the broker is not there.
    ///
    /// # Errors
    /// [`BrokerError::BadUrl`]; [`BrokerError::Refused`] at once for a wrong password, an unknown virtual host or a
    /// namespace that cannot be a name; [`BrokerError::Unreachable`] after the deadline.
    pub async fn connect(config: RabbitConfig) -> Result<Self, BrokerError> {
        let address = Address::parse(&config.url)?;
        let registry = Arc::new(Registry::new(Names::new(&config.namespace)?));
        let name = |purpose| format!("{} {purpose}", config.connection_name);
        let deadline = config.boot_deadline;
        let publishing = Link::open(address.clone(), name("publish"), deadline).await?;
        let consuming = Link::open(address.clone(), name("consume"), deadline).await?;
        let publisher = Publisher::new(
            publishing.clone(),
            Arc::clone(&registry),
            config.publish_timeout,
        );
        let names = registry.names().clone();
        let rooms = Rooms::new(names, publishing.clone(), consuming.clone());
        Ok(Self {
            registry,
            publisher,
            rooms,
            address,
            baton: name("baton"),
            publishing,
            consuming,
        })
    }

    /// Whether both connections stand now; for health pages.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.can_publish() && self.consuming.is_up()
    }

    /// Whether the connection that publishes stands now; without it, a publish waits up to its timeout.
    #[must_use]
    pub fn can_publish(&self) -> bool {
        self.publishing.is_up()
    }

    fn names(&self) -> &Names {
        self.registry.names()
    }

    /// Asks the broker something, in bounded time.
    /// Does what `judge` says with each of the first letters, and gives how many they were.
    async fn judge_each(
        &self,
        action: &str,
        dead: &mut DeadQueue<'_>,
        (limit, judge): (usize, Judge<'_>),
    ) -> Result<usize, BrokerError> {
        let mut seen = 0;
        while seen < limit {
            let Some((letter, acker)) = self.ask(action, dead.next()).await? else {
                break;
            };
            seen += 1;
            match judge(&letter) {
                Verdict::Keep => continue,
                Verdict::Enough => break,
                Verdict::Drop => {}
                Verdict::Replay(parcel) => match self.publish(*parcel).await {
                    Ok(()) => {}
                    Err(error) if !error.may_pass() => {
                        tracing::warn!(%error, "a letter cannot be replayed: it stays");
                        continue;
                    }
                    Err(error) => return Err(replay_refused(error)),
                },
            }
            self.ask(action, dead.remove(&acker)).await?;
        }
        Ok(seen)
    }

    async fn ask<T>(
        &self,
        action: &str,
        question: impl Future<Output = lapin::Result<T>> + Send,
    ) -> Result<T, BrokerError> {
        let unreachable = |source| BrokerError::Unreachable {
            place: self.publishing.place().to_owned(),
            source,
        };
        match timeout(ANSWER_TIMEOUT, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if inspect::is_no_queue(&error) => Err(BrokerError::NoQueue {
                action: action.to_owned(),
                source: error.into(),
            }),
            Ok(Err(error)) if matches!(error.kind(), ErrorKind::ProtocolError(_)) => {
                Err(BrokerError::Refused {
                    action: action.to_owned(),
                    source: error.into(),
                })
            }
            Ok(Err(error)) => {
                self.publishing.suspect();
                Err(unreachable(error.into()))
            }
            Err(late) => Err(unreachable(late.into())),
        }
    }

    fn letter(&self, mut parcel: Parcel) -> Result<Arc<Letter>, PublishError> {
        let target = self.names().target(&parcel.to);
        let (exchange, key) = self.address(&parcel.to, &target)?;
        match parcel.to {
            Destination::Work(_) if parcel.body.len() > MAX_BODY_BYTES => {
                return Err(PublishError::TooLarge {
                    bytes: parcel.body.len(),
                    limit: MAX_BODY_BYTES,
                });
            }
            Destination::Work(_) => {}
            // It has been on the broker before, and must not get stuck here.
            Destination::Aside(_) | Destination::Dead(_) => {
                parcel.headers = headers::fitting(parcel.headers)
            }
        }
        Letter::new(&exchange, &key, target, parcel).map(Arc::new)
    }

    /// The exchange and the key: straight to the queue, or over the delay ladder.
    fn address(&self, to: &Destination, target: &str) -> Result<(String, String), PublishError> {
        match to {
            Destination::Work(route) if !route.delay.is_zero() => {
                let units = delay::units(route.delay)?;
                Ok((
                    self.names().delay_start(),
                    delay::routing_key(units, target),
                ))
            }
            // The broker's own exchange, which knows every queue by its name.
            Destination::Aside(_) => Ok((String::new(), target.to_owned())),
            _ => Ok((self.names().exchange(), target.to_owned())),
        }
    }

    /// A room that somebody deleted is made again.
    async fn set_aside(&self, room: Room, letter: Arc<Letter>) -> Result<(), PublishError> {
        self.make(room).await?;
        let published = match self.publisher.publish(Arc::clone(&letter)).await {
            Err(PublishError::Unroutable { .. }) => {
                self.rooms.forget(room);
                self.make(room).await?;
                self.publisher.publish(letter).await
            }
            other => other,
        };
        published?;
        self.rooms.written_down(room).await;
        Ok(())
    }

    async fn make(&self, room: Room) -> Result<(), PublishError> {
        if self.rooms.is_fresh(room) {
            return Ok(());
        }
        let action = format!("make the waiting room {room} of {}", room.queue());
        let making = self.ask(&action, self.rooms.make(room)).await;
        making.map_err(|error| PublishError::Disconnected(error.into()))
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    async fn declare(&self, queue: Queue) -> Result<(), BrokerError> {
        self.names().check(queue)?;
        let mut topologies = vec![topology::queue(self.names(), queue)];
        if self.registry.is_empty() {
            topologies.push(topology::ladder(self.names()));
        }
        let declaring = async {
            let connection = self.publishing.up().await.map_err(std::io::Error::other)?;
            declare::declare(&connection, &topologies).await
        };
        self.ask(&format!("declare the queues of {queue}"), declaring)
            .await?;
        self.registry.add(queue);
        Ok(())
    }

    async fn publish(&self, parcel: Parcel) -> Result<(), PublishError> {
        let to = parcel.to;
        let letter = self.letter(parcel)?;
        match to {
            Destination::Aside(room) => self.set_aside(room, letter).await,
            _ => self.publisher.publish(letter).await,
        }
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BrokerError> {
        self.declare(queue).await?;
        let opening = RabbitConsumer::open(&self.consuming, self.names(), queue, prefetch);
        let consumer = self
            .ask(&format!("let this process consume {queue}"), opening)
            .await?;
        Ok(Box::new(consumer))
    }

    async fn take_aside(&self, room: Room) -> Result<Option<Delivery>, BrokerError> {
        let action = format!("take from the waiting room {room} of {}", room.queue());
        self.ask(&action, self.rooms.take(room)).await
    }

    async fn make_room(&self, room: Room) -> Result<(), BrokerError> {
        let action = format!("make the waiting room {room} of {}", room.queue());
        self.ask(&action, self.rooms.make(room)).await
    }

    async fn count_aside(
        &self,
        rooms: &BTreeSet<Room>,
    ) -> Result<BTreeMap<Room, u64>, BrokerError> {
        self.ask("count what waits in rooms", self.rooms.count(rooms))
            .await
    }

    async fn depth(&self, queue: Queue) -> Result<Depth, BrokerError> {
        let asking = async {
            let connection = self.publishing.up().await.map_err(std::io::Error::other)?;
            inspect::depth(&connection, self.names(), queue).await
        };
        self.ask(&format!("show queue {queue}"), asking).await
    }

    async fn oldest(&self, queue: Queue) -> Result<Vec<Option<SystemTime>>, BrokerError> {
        let asking = async {
            let connection = self.publishing.up().await.map_err(std::io::Error::other)?;
            inspect::oldest(&connection, self.names(), queue).await
        };
        self.ask(&format!("show queue {queue}"), asking).await
    }

    async fn review_dead(
        &self,
        queue: Queue,
        limit: usize,
        judge: Judge<'_>,
    ) -> Result<usize, BrokerError> {
        let name = self.names().dead(queue);
        let action = format!("go through queue {name}");
        let connecting = async { Ok(self.publishing.up().await.map_err(std::io::Error::other)?) };
        let connection = self.ask(&action, connecting).await?;
        let opening = DeadQueue::open(&connection, &name);
        let mut dead = self.ask(&action, opening).await?;
        let judged = self.judge_each(&action, &mut dead, (limit, judge)).await;
        // Whatever came of it: those behind them must not come before them from now on.
        let closing = async {
            while self.ask(&action, dead.next()).await?.is_some() {}
            self.ask(&action, dead.close()).await
        };
        let closed = closing.await;
        let seen = judged?;
        closed.map(|()| seen)
    }

    fn baton(&self) -> Box<dyn Baton> {
        let names = self.names().clone();
        let baton = RabbitBaton::new(self.address.clone(), names, self.baton.clone());
        Box::new(baton)
    }

    fn connections(&self) -> Connections {
        Connections {
            up: self.is_connected(),
            reconnects: self.publishing.reconnects() + self.consuming.reconnects(),
        }
    }

    async fn close(&self) {
        tokio::join!(self.consuming.close(), self.publishing.close());
    }

    fn describe(&self, queue: Queue) -> Vec<String> {
        lines(self.names(), queue)
    }

    fn system(&self) -> &'static str {
        "rabbitmq"
    }
}

impl fmt::Debug for RabbitBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitBroker")
            .field("place", &self.publishing.place())
            .finish_non_exhaustive()
    }
}
