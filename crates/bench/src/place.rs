//! Where it is measured: the servers, and queues of its own that are deleted afterwards.

use std::sync::Arc;

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use sapari_runtime::broker::Broker;
use sapari_runtime::broker::rabbitmq::{RabbitBroker, RabbitConfig};
use sapari_runtime::host::{DEFAULT_BROKER_URL, DEFAULT_RESULT_URL};
use sapari_runtime::queue::Queue;
use sapari_runtime::result::Results;
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::result::redis::{RedisConfig, RedisResults};

use crate::Failure;
use crate::sample::Store;

/// What everything on the broker is called.
const NAMESPACE: &str = "bench";
/// Every child has this one to itself: they run one after the other.
pub(crate) const QUEUE: Queue = Queue::named("noop");

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// The runtime's broker, with an empty queue.
pub(crate) async fn broker() -> Result<Arc<dyn Broker>, Failure> {
    let url = setting("SAPARI_BROKER_URL", DEFAULT_BROKER_URL);
    let broker = RabbitBroker::connect(RabbitConfig::new(url, NAMESPACE, "bench")).await?;
    broker.declare(QUEUE).await?;
    let plain = Plain::connect().await?;
    plain
        .channel
        .queue_purge(key().into(), QueuePurgeOptions::default())
        .await?;
    plain.close().await?;
    Ok(Arc::new(broker))
}

/// Where results go.
pub(crate) async fn results(store: Store) -> Result<Arc<dyn Results>, Failure> {
    if store == Store::None {
        return Ok(Arc::new(MemoryResults::new()));
    }
    let url = setting("SAPARI_RESULT_URL", DEFAULT_RESULT_URL);
    let config = RedisConfig {
        key_prefix: Some(NAMESPACE.to_owned()),
        ..RedisConfig::new(url)
    };
    Ok(Arc::new(RedisResults::connect(config).await?))
}

/// The exchange that the runtime publishes to.
pub(crate) fn exchange() -> &'static str {
    NAMESPACE
}

/// The queue's own name on the broker.
pub(crate) fn key() -> String {
    format!("{NAMESPACE}.{}.0", QUEUE.name())
}

/// The client library alone.
pub(crate) struct Plain {
    connection: Connection,
    pub(crate) channel: Channel,
}

impl Plain {
    pub(crate) async fn connect() -> Result<Self, Failure> {
        let url = setting("SAPARI_BROKER_URL", DEFAULT_BROKER_URL);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok(Self {
            connection,
            channel,
        })
    }

    pub(crate) async fn close(self) -> Result<(), Failure> {
        Ok(self.connection.close(200, "bye".into()).await?)
    }
}

/// How many messages are ready.
pub(crate) async fn count() -> Result<u32, Failure> {
    let plain = Plain::connect().await?;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let arguments = FieldTable::default();
    let queue = plain
        .channel
        .queue_declare(key().into(), options, arguments)
        .await?;
    let count = queue.message_count();
    plain.close().await?;
    Ok(count)
}

/// Takes the queues away again.
pub(crate) async fn tidy_up() -> Result<(), Failure> {
    let plain = Plain::connect().await?;
    for name in [key(), format!("{NAMESPACE}.{}.dead", QUEUE.name())] {
        let deleting = plain
            .channel
            .queue_delete(name.into(), QueueDeleteOptions::default());
        deleting.await?;
    }
    plain.close().await
}
