//! The client library alone: what there is to win. The same queue, the same bytes and headers as the runtime's; persistent,
//! mandatory and confirmed, as the runtime's.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::protocol::BasicProperties;
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation};
use tokio::time::Instant;

use crate::Failure;
use crate::load::{Noop, fill};
use crate::ours::{client, servers};
use crate::place::{self, Plain};
use crate::sample::{Sample, What};

/// One ack for so many messages.
const ACK_EVERY: usize = 16;
/// Where its drain is fastest.
const PREFETCH: u16 = 500;
/// Between two of a latency measurement: what came before is over.
const PAUSE: Duration = Duration::from_millis(3);

/// So many in a second.
pub(crate) fn rate(count: usize, begun: Instant) -> f64 {
    count as f64 / begun.elapsed().as_secs_f64()
}

pub(crate) async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

/// A message as the runtime sends it.
struct Template {
    body: Vec<u8>,
    properties: BasicProperties,
}

impl Template {
    /// Kicks one, and takes it off the queue.
    async fn take(channel: &Channel) -> Result<Self, Failure> {
        let servers = servers(Sample::of(What::Kick, 1)).await?;
        client(&servers).kick(Noop::new()).await?;
        let options = BasicGetOptions { no_ack: true };
        let got = channel.basic_get(place::key().into(), options).await?;
        let delivery = got.ok_or("the queue is empty")?.delivery;
        servers.broker.close().await;
        Ok(Self {
            body: delivery.data,
            properties: delivery.properties,
        })
    }

    async fn publish(&self, channel: &Channel) -> Result<(), Failure> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let (exchange, key) = (place::exchange().into(), place::key().into());
        let properties = self.properties.clone();
        let publishing = channel.basic_publish(exchange, key, options, &self.body, properties);
        match publishing.await?.await? {
            Confirmation::Ack(None) => Ok(()),
            other => Err(format!("not stored: {other:?}").into()),
        }
    }
}

pub(crate) async fn publish(count: usize, in_flight: usize) -> Result<Vec<f64>, Failure> {
    let plain = Plain::connect().await?;
    let template = Template::take(&plain.channel).await?;
    let confirms = ConfirmSelectOptions::default();
    plain.channel.confirm_select(confirms).await?;
    template.publish(&plain.channel).await?;
    let begun = Instant::now();
    let publishing = (0..count).map(|_| template.publish(&plain.channel));
    let mut all = stream::iter(publishing).buffer_unordered(in_flight);
    while all.try_next().await?.is_some() {}
    drop(all);
    let rate = rate(count, begun);
    plain.close().await?;
    Ok(vec![rate])
}

pub(crate) async fn drain(count: usize) -> Result<Vec<f64>, Failure> {
    let sample = Sample::of(What::KickAll, count);
    let servers = servers(sample).await?;
    fill(&client(&servers), sample).await?;
    servers.broker.close().await;
    let plain = Plain::connect().await?;
    let mut consumer = consume(&plain.channel).await?;
    let mut begun = None;
    for number in 1..=count {
        let delivery = consumer.next().await.ok_or("the consumer is gone")??;
        begun.get_or_insert_with(Instant::now);
        if number % ACK_EVERY == 0 || number == count {
            let multiple = BasicAckOptions { multiple: true };
            plain
                .channel
                .basic_ack(delivery.delivery_tag, multiple)
                .await?;
        }
    }
    let rate = rate(count, begun.ok_or("nothing came")?);
    plain.close().await?;
    Ok(vec![rate])
}

async fn consume(channel: &Channel) -> Result<lapin::Consumer, Failure> {
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let (queue, tag) = (place::key().into(), "".into());
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    Ok(channel
        .basic_consume(queue, tag, options, arguments)
        .await?)
}

/// From the publish to the delivery, on two connections, as the runtime has it.
pub(crate) async fn latency(count: usize) -> Result<Vec<f64>, Failure> {
    let (sends, takes) = (Plain::connect().await?, Plain::connect().await?);
    let template = Template::take(&sends.channel).await?;
    let confirms = ConfirmSelectOptions::default();
    sends.channel.confirm_select(confirms).await?;
    let mut consumer = consume(&takes.channel).await?;
    let mut micros = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let (sent, came) = tokio::join!(template.publish(&sends.channel), async {
            (consumer.next().await, begun.elapsed())
        });
        sent?;
        let delivery = came.0.ok_or("the consumer is gone")??;
        micros.push(came.1.as_secs_f64() * 1e6);
        delivery.acker.ack(BasicAckOptions::default()).await?;
        pause().await;
    }
    sends.close().await?;
    takes.close().await?;
    Ok(micros)
}
