//! Puts a topology onto the broker, on a channel of its own: a refusal closes the channel it happens on.

use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ExchangeKind};

use super::connection::open_channel;
use super::topology::{Argument, Binding, End, Exchange, Kind, QueueSpec, Topology};

/// Declares everything, in order. Idempotent.
pub(super) async fn declare(connection: &Connection, topologies: &[Topology]) -> lapin::Result<()> {
    let channel = open_channel(connection).await?;
    for topology in topologies {
        apply(&channel, topology).await?;
    }
    channel.close(200, "declared".into()).await
}

async fn apply(channel: &Channel, topology: &Topology) -> lapin::Result<()> {
    for spec in &topology.exchanges {
        exchange(channel, spec).await?;
    }
    for spec in &topology.queues {
        queue(channel, spec).await?;
    }
    for binding in &topology.bindings {
        bind(channel, binding).await?;
    }
    Ok(())
}

async fn exchange(channel: &Channel, spec: &Exchange) -> lapin::Result<()> {
    let kind = match spec.kind {
        Kind::Direct => ExchangeKind::Direct,
        Kind::Topic => ExchangeKind::Topic,
    };
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(
            spec.name.as_str().into(),
            kind,
            options,
            FieldTable::default(),
        )
        .await
}

async fn queue(channel: &Channel, spec: &QueueSpec) -> lapin::Result<()> {
    let mut arguments = FieldTable::default();
    for (name, value) in &spec.arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(*number),
        };
        arguments.insert((*name).into(), value);
    }
    channel
        .queue_declare(
            spec.name.as_str().into(),
            QueueDeclareOptions::durable(),
            arguments,
        )
        .await?;
    Ok(())
}

async fn bind(channel: &Channel, binding: &Binding) -> lapin::Result<()> {
    let (exchange, key) = (
        binding.exchange.as_str().into(),
        binding.key.as_str().into(),
    );
    let arguments = FieldTable::default();
    match &binding.to {
        End::Queue(name) => {
            channel
                .queue_bind(
                    name.as_str().into(),
                    exchange,
                    key,
                    QueueBindOptions::default(),
                    arguments,
                )
                .await
        }
        End::Exchange(name) => {
            channel
                .exchange_bind(
                    name.as_str().into(),
                    exchange,
                    key,
                    ExchangeBindOptions::default(),
                    arguments,
                )
                .await
        }
    }
}
