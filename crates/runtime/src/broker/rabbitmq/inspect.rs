//! Looking at queues without changing them, on channels that are thrown away: a queue that is not there closes the channel.

use std::time::SystemTime;

use lapin::message::BasicGetMessage;
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ErrorKind, Queue as Declared};

use super::connection::open_channel;
use super::headers;
use super::topology::Names;
use crate::broker::{Depth, Headers, queued_at};
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
        oldest.push(head.and_then(|head| queued_at(&headers_of(&head.properties))));
    }
    channel.close(200, "looked".into()).await?;
    Ok(oldest)
}

/// How many are ready in a queue; an error when there is no such queue.
pub(super) async fn ready(connection: &Connection, name: &str) -> lapin::Result<u64> {
    let channel = open_channel(connection).await?;
    let count = look(&channel, name).await?.message_count();
    channel.close(200, "looked".into()).await?;
    Ok(count.into())
}

/// As [`ready`]; none when there is no such queue.
pub(super) async fn count(connection: &Connection, name: &str) -> lapin::Result<Option<u64>> {
    match ready(connection, name).await {
        // The broker has closed the channel by that.
        Err(error) if is_no_queue(&error) => Ok(None),
        counted => counted.map(Some),
    }
}

async fn get(channel: &Channel, name: &str) -> lapin::Result<Option<BasicGetMessage>> {
    let options = BasicGetOptions::default();
    channel.basic_get(name.into(), options).await
}

pub(super) fn headers_of(properties: &BasicProperties) -> Headers {
    let headers = properties.headers().as_ref();
    headers.map(headers::decode).unwrap_or_default()
}

/// Whether the broker says that there is no such queue.
pub(super) fn is_no_queue(error: &lapin::Error) -> bool {
    matches!(soft(error), Some(AMQPSoftError::NOTFOUND))
}

/// Whether the broker says that the queue is another connection's.
pub(super) fn is_locked(error: &lapin::Error) -> bool {
    matches!(soft(error), Some(AMQPSoftError::RESOURCELOCKED))
}

/// What the broker closed a channel with.
fn soft(error: &lapin::Error) -> Option<&AMQPSoftError> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(soft) => Some(soft),
            AMQPErrorKind::Hard(_) => None,
        },
        _ => None,
    }
}
