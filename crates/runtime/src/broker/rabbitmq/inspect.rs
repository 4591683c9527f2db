//! Looking at queues without changing them, on channels that are thrown away: a queue that is not there closes the channel.

use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Connection, Queue as Declared};

use super::connection::open_channel;
use super::headers;
use super::topology::Names;
use crate::broker::{DeadLetter, Depth};
use crate::queue::Queue;

/// Exact counts by passive declare: the management API lags by seconds.
pub(super) async fn depth(
    connection: &Connection,
    names: &Names,
    queue: Queue,
) -> lapin::Result<Depth> {
    let channel = open_channel(connection).await?;
    let mut depth = Depth::default();
    for level in queue.every_level().rev() {
        let declared = look(&channel, &names.work(queue, level)).await?;
        depth.ready.push(declared.message_count().into());
        depth.consumers.push(declared.consumer_count().into());
    }
    depth.dead = look(&channel, &names.dead(queue))
        .await?
        .message_count()
        .into();
    channel.close(200, "looked".into()).await?;
    Ok(depth)
}

async fn look(channel: &Channel, name: &str) -> lapin::Result<Declared> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::durable()
    };
    channel
        .queue_declare(name.into(), passive, FieldTable::default())
        .await
}

/// A dead-letter queue being gone through, oldest first. What is not removed goes back in its order when the channel closes.
pub(super) struct DeadQueue {
    channel: Channel,
    name: String,
}

impl DeadQueue {
    pub(super) async fn open(connection: &Connection, name: &str) -> lapin::Result<Self> {
        let channel = open_channel(connection).await?;
        Ok(Self {
            channel,
            name: name.to_owned(),
        })
    }

    /// The next dead letter and the right to remove it.
    pub(super) async fn next(&self) -> lapin::Result<Option<(DeadLetter, Acker)>> {
        let got = self
            .channel
            .basic_get(self.name.as_str().into(), BasicGetOptions::default())
            .await?;
        Ok(got.map(|message| {
            let headers = message.properties.headers().as_ref().map(headers::decode);
            let letter = DeadLetter {
                body: message.delivery.data,
                headers: headers.unwrap_or_default(),
            };
            (letter, message.delivery.acker)
        }))
    }

    pub(super) async fn close(self) -> lapin::Result<()> {
        self.channel.close(200, "looked".into()).await
    }
}

/// Removes a letter for good.
pub(super) async fn remove(acker: &Acker) -> lapin::Result<()> {
    if acker.ack(BasicAckOptions::default()).await? {
        return Ok(());
    }
    let gone = "the channel is gone, and the letter back in its queue";
    Err(std::io::Error::new(std::io::ErrorKind::BrokenPipe, gone).into())
}
