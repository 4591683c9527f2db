//! Looking at queues without changing them, on channels that are thrown away: a queue that is not there closes the channel.

use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Queue as Declared};

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

/// The oldest dead letters. They are taken without ack, and go back in their order when the channel closes.
pub(super) async fn dead_letters(
    connection: &Connection,
    name: &str,
    limit: usize,
) -> lapin::Result<Vec<DeadLetter>> {
    let channel = open_channel(connection).await?;
    let mut letters = Vec::new();
    while letters.len() < limit {
        let Some(message) = channel
            .basic_get(name.into(), BasicGetOptions::default())
            .await?
        else {
            break;
        };
        let headers = message
            .properties
            .headers()
            .as_ref()
            .map(headers::decode)
            .unwrap_or_default();
        letters.push(DeadLetter {
            body: message.delivery.data,
            headers,
        });
    }
    channel.close(200, "looked".into()).await?;
    Ok(letters)
}
