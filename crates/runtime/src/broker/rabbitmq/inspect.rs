//! Looking at queues without changing them, on channels that are thrown away: a queue that is not there closes the channel.

use std::time::{Duration, SystemTime};

use lapin::message::BasicGetMessage;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Connection, ErrorKind, Queue as Declared};

use super::connection::open_channel;
use super::headers;
use super::topology::Names;
use crate::broker::{DeadLetter, Depth, Headers, queued_at};
use crate::queue::Queue;

/// How long what was looked at may take to be back in its queue, and how often that is asked: the broker does not tell.
const BACK_WITHIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

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

/// Whether all levels of a queue are there.
pub(super) async fn is_there(
    connection: &Connection,
    names: &Names,
    queue: Queue,
) -> lapin::Result<bool> {
    let channel = open_channel(connection).await?;
    for level in queue.every_level() {
        match look(&channel, &names.work(queue, level)).await {
            // The broker has closed the channel by that.
            Err(error) if is_no_queue(&error) => return Ok(false),
            looked => looked?,
        };
    }
    channel.close(200, "looked".into()).await?;
    Ok(true)
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

/// When the head of each level was queued. What is got goes back to its place when the channel closes; before RabbitMQ 4 a nack
/// would put it behind all others on a queue without a delivery limit.
pub(super) async fn oldest(
    connection: &Connection,
    names: &Names,
    queue: Queue,
) -> lapin::Result<Vec<Option<SystemTime>>> {
    let channel = open_channel(connection).await?;
    let mut oldest = Vec::new();
    for level in queue.every_level().rev() {
        let head = get(&channel, &names.work(queue, level)).await?;
        oldest.push(head.and_then(|head| queued_at(&headers_of(&head))));
    }
    channel.close(200, "looked".into()).await?;
    Ok(oldest)
}

/// How many are ready in a queue; none when there is no such queue.
pub(super) async fn count(connection: &Connection, name: &str) -> lapin::Result<Option<u64>> {
    let channel = open_channel(connection).await?;
    let count = match look(&channel, name).await {
        // The broker has closed the channel by that.
        Err(error) if is_no_queue(&error) => return Ok(None),
        declared => declared?.message_count(),
    };
    channel.close(200, "looked".into()).await?;
    Ok(Some(count.into()))
}

async fn get(channel: &Channel, name: &str) -> lapin::Result<Option<BasicGetMessage>> {
    let options = BasicGetOptions::default();
    channel.basic_get(name.into(), options).await
}

fn headers_of(message: &BasicGetMessage) -> Headers {
    let headers = message.properties.headers().as_ref();
    headers.map(headers::decode).unwrap_or_default()
}

/// Whether the broker says that there is no such queue.
pub(super) fn is_no_queue(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
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
        let got = get(&self.channel, &self.name).await?;
        Ok(got.map(|message| {
            let letter = DeadLetter {
                headers: headers_of(&message),
                body: message.delivery.data,
            };
            (letter, message.delivery.acker)
        }))
    }

    /// Ends the look. What was kept goes back a moment after the channel has closed: that is waited for, so that whoever looks
    /// next sees it, though not for long: another one who looks meanwhile may hold it.
    pub(super) async fn close(self, connection: &Connection, kept: usize) -> lapin::Result<()> {
        self.channel.close(200, "looked".into()).await?;
        let back = async {
            let mut looks = tokio::time::interval(LOOK_AGAIN);
            loop {
                looks.tick().await;
                let ready = count(connection, &self.name).await?.unwrap_or_default();
                if ready >= kept as u64 {
                    return Ok(());
                }
            }
        };
        let back = tokio::time::timeout(BACK_WITHIN, back).await;
        back.unwrap_or(Ok(()))
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
