//! The baton as an exclusive queue: the broker deletes it once the connection that declared it is gone, and no sooner. What is
//! published on that connection is therefore dealt with before anybody else can have it. Stubs are copies that the broker itself makes
//! of a message (`BCC`), in a queue that nobody consumes.
//!
//! The connection is the baton's own: it notices a dead peer sooner than others do, and it is not kept up. A lost one is a lost baton.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time::timeout;

use super::address::Address;
use super::connection::open_channel;
use super::declare::declare;
use super::inspect;
use super::publish::{Letter, read};
use super::topology::{self, Names};
use crate::broker::{Baton, BrokerError, Destination, Parcel, PublishError, reach};
use crate::error::BoxError;
use crate::message::MAX_BODY_BYTES;
use crate::queue::Queue;

/// The most that the baton waits for any answer. A holder that waits longer cannot know what has arrived, and gives the baton up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Seconds between heartbeats: a holder that hangs loses the baton after two.
const HEARTBEAT: u16 = 2;

pub(super) struct RabbitBaton {
    address: Address,
    names: Names,
    /// What the connection is called on the broker.
    called: String,
    connection: Option<Connection>,
    /// The channel that publishes, while the baton is held.
    channel: Option<Channel>,
}

impl RabbitBaton {
    pub(super) fn new(address: Address, names: Names, called: String) -> Self {
        Self {
            address: address.with_heartbeat(HEARTBEAT),
            names,
            called,
            connection: None,
            channel: None,
        }
    }

    /// The connection, opened if there is none that stands.
    async fn connected(&mut self) -> Result<&Connection, BrokerError> {
        let stands = |connection: &Connection| connection.status().connected();
        if !self.connection.as_ref().is_some_and(stands) {
            self.channel = None;
            reach::prepare_tls();
            let properties =
                ConnectionProperties::default().with_connection_name(self.called.as_str().into());
            let connecting = Connection::connect_uri(self.address.uri(), properties);
            let connection = self.answer(connecting).await?;
            let base = topology::stubs(&self.names);
            self.answer(declare(&connection, &[base])).await?;
            self.connection = Some(connection);
        }
        Ok(self.connection.as_ref().expect("it was just opened"))
    }

    async fn answer<T>(
        &self,
        question: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, BrokerError> {
        let error: BoxError = match timeout(ANSWER_TIMEOUT, question).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.into(),
            Err(late) => late.into(),
        };
        Err(BrokerError::Unreachable {
            place: self.address.to_string(),
            source: error,
        })
    }

    /// The channel of a held baton.
    fn held(&self) -> Result<&Channel, BrokerError> {
        let channel = self.channel.as_ref().filter(|_| self.is_held());
        channel.ok_or_else(|| BrokerError::Unreachable {
            place: self.address.to_string(),
            source: "the baton is not held: its connection is gone".into(),
        })
    }

    fn letter(&self, parcel: Parcel) -> Result<Letter, PublishError> {
        let Destination::Work(route) = parcel.to else {
            unreachable!("only work is published with the baton");
        };
        debug_assert!(
            route.delay.is_zero(),
            "a delay would part a message and its stub"
        );
        if parcel.body.len() > MAX_BODY_BYTES {
            return Err(PublishError::TooLarge {
                bytes: parcel.body.len(),
                limit: MAX_BODY_BYTES,
            });
        }
        let target = self.names.work(route.queue, route.level);
        Letter::new(&self.names.exchange(), &target.clone(), target, parcel)
    }
}

async fn claim(connection: &Connection, name: &str) -> lapin::Result<Option<Channel>> {
    let channel = open_channel(connection).await?;
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    let claimed = channel.queue_declare(name.into(), options, FieldTable::default());
    match claimed.await {
        Ok(_) => {}
        Err(error) if inspect::is_locked(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    Ok(Some(channel))
}

async fn put_back(channel: &Channel) -> lapin::Result<()> {
    let all = BasicNackOptions {
        multiple: true,
        requeue: true,
    };
    channel.basic_nack(0, all).await?;
    channel.close(200, "read".into()).await
}

#[async_trait]
impl Baton for RabbitBaton {
    async fn take(&mut self) -> Result<bool, BrokerError> {
        if self.is_held() {
            return Ok(true);
        }
        let name = self.names.baton();
        self.connected().await?;
        let connection = self.connection.as_ref().expect("it is connected");
        let claimed = self.answer(claim(connection, &name)).await;
        if let Ok(Some(channel)) = claimed {
            self.channel = Some(channel);
            return Ok(true);
        }
        // The next try begins with a new one: the number of a channel that was refused is not given out again.
        self.let_go().await;
        claimed.map(|_| false)
    }

    fn is_held(&self) -> bool {
        let stands = self.connection.as_ref().map(|it| it.status().connected());
        let usable = self.channel.as_ref().map(|it| it.status().connected());
        stands == Some(true) && usable == Some(true)
    }

    async fn publish(&self, parcel: Parcel) -> Result<(), PublishError> {
        let lost = |error: BoxError| PublishError::Disconnected(error);
        let channel = self.held().map_err(|error| lost(error.into()))?;
        let letter = self.letter(parcel)?;
        let properties = letter.properties()?;
        let mut headers = properties.headers().clone().unwrap_or_default();
        let stub = AMQPValue::LongString(self.names.stubs().into());
        headers.insert(
            "BCC".into(),
            AMQPValue::FieldArray(FieldArray::from(vec![stub])),
        );
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let (exchange, key) = (letter.exchange.clone(), letter.key.clone());
        let properties = properties.with_headers(headers);
        // All that is due with this one comes as far as here first: nothing has been written yet that would wake the client library, the
        // kernel and the broker, and take the processor from those behind it.
        tokio::task::yield_now().await;
        let confirmed = async {
            let written =
                channel.basic_publish(exchange, key, options, &letter.parcel.body, properties);
            written.await?.await
        };
        match timeout(ANSWER_TIMEOUT, confirmed).await {
            Ok(Ok(confirmation)) => read(&confirmation, &letter),
            Ok(Err(error)) => Err(lost(error.into())),
            Err(_) => Err(PublishError::Timeout(ANSWER_TIMEOUT)),
        }
    }

    async fn missing(&self, queues: &BTreeSet<Queue>) -> Result<BTreeSet<Queue>, BrokerError> {
        self.held()?;
        let connection = self.connection.as_ref().expect("a held baton has one");
        let mut missing = BTreeSet::new();
        for queue in queues {
            let looking = inspect::is_there(connection, &self.names, *queue);
            if !self.answer(looking).await? {
                missing.insert(*queue);
            }
        }
        Ok(missing)
    }

    async fn stubs(&self) -> Result<HashSet<String>, BrokerError> {
        self.held()?;
        let connection = self.connection.as_ref().expect("a held baton has one");
        let channel = self.answer(open_channel(connection)).await?;
        let name = self.names.stubs();
        let mut ids = HashSet::new();
        // Each answer has its own time: there may be many.
        loop {
            let got = channel.basic_get(name.as_str().into(), BasicGetOptions::default());
            let Some(stub) = self.answer(got).await? else {
                break;
            };
            let id = stub.properties.message_id().as_ref();
            ids.extend(id.map(ToString::to_string));
        }
        self.answer(put_back(&channel)).await?;
        Ok(ids)
    }

    async fn forget_stubs(&self) -> Result<(), BrokerError> {
        let (name, options) = (self.names.stubs(), QueuePurgeOptions::default());
        let purged = self.held()?.queue_purge(name.as_str().into(), options);
        self.answer(purged).await.map(drop)
    }

    async fn let_go(&mut self) {
        self.channel = None;
        if let Some(connection) = self.connection.take() {
            // Without an answer the broker notices by itself.
            let _ = timeout(ANSWER_TIMEOUT, connection.close(200, "bye".into())).await;
        }
    }
}
