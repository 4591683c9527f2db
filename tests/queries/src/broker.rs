//! Kicks a task as a TaskIQ scheduler does, by a message whose labels name the schedule, without a trace. And takes away what
//! the run declared: seventy queues that nobody needs any more.

use std::error::Error;

use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeleteOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::{Value, json};

/// How many steps the delay ladder has.
const STEPS: u32 = 32;

pub(crate) fn kick(
    task: &str,
    queue: &str,
    schedule: &str,
    args: &str,
) -> Result<(), Box<dyn Error>> {
    let kwargs: Value = serde_json::from_str(args)?;
    let id = format!("{schedule}-{task}-{queue}");
    let body = json!({
        "task_id": id,
        "task_name": task,
        "labels": { "schedule_id": schedule },
        "labels_types": null,
        "args": [],
        "kwargs": kwargs,
    })
    .to_string();
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut headers = FieldTable::default();
    headers.insert("task_id".into(), text(&id));
    headers.insert("task_name".into(), text(task));
    headers.insert("schedule_id".into(), text(schedule));
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_headers(headers);
    on_broker(async |channel, exchange| {
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let key = format!("{exchange}.{queue}.2");
        let (to, key) = (exchange.into(), key.as_str().into());
        let written = channel.basic_publish(to, key, options, body.as_bytes(), properties);
        match written.await?.await? {
            Confirmation::Ack(None) => Ok(()),
            other => Err(format!("{queue} did not take it: {other:?}").into()),
        }
    })
}

/// Deleting what is not there is no error for RabbitMQ.
pub(crate) fn clean() -> Result<(), Box<dyn Error>> {
    on_broker(async |channel, name| {
        let roles = [
            "analysis",
            "asset-edit",
            "download",
            "email",
            "proxy",
            "render",
        ];
        let levels = roles.into_iter().flat_map(|role| {
            ["0", "1", "2", "3", "dead"].map(|level| format!("{name}.{role}.{level}"))
        });
        let steps = (0..STEPS).map(|step| format!("{name}.delay.{step}"));
        let stubs = [format!("{name}.schedule.stubs")];
        for queue in levels.chain(stubs).chain(steps.clone()) {
            let options = QueueDeleteOptions::default();
            channel.queue_delete(queue.as_str().into(), options).await?;
        }
        let own = [name.to_owned(), format!("{name}.delay.due")];
        for exchange in own.into_iter().chain(steps) {
            let options = ExchangeDeleteOptions::default();
            channel
                .exchange_delete(exchange.as_str().into(), options)
                .await?;
        }
        Ok(())
    })
}

/// With a channel, and what the run's names on the broker start with.
fn on_broker(
    work: impl AsyncFnOnce(&Channel, &str) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let url = std::env::var("SAPARI_BROKER_URL")?;
    let namespace = std::env::var("SAPARI_NAMESPACE")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        work(&channel, &namespace).await?;
        connection.close(200, "done".into()).await?;
        Ok(())
    })
}
