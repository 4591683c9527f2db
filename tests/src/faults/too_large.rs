//! Args and results over the limit are typed errors; no channel breaks of them, and no worker.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use sapari_fault_worker::{Bulky, Jot, QUEUE};
use sapari_runtime::broker::PublishError;
use sapari_runtime::broker::conformance::settled_depth;
use sapari_runtime::client::KickError;
use sapari_runtime::handle::OutputError;
use serde_json::json;

use super::ground::{Client, Ground, drained};
use crate::processes::support::{PATIENCE, broker_url};

const TWENTY_MB: usize = 20_000_000;

async fn lives(client: &Client) {
    let jot = client.tasks.kick(Jot::default()).await.expect("kicked");
    jot.output().within(PATIENCE).await.expect("done");
}

#[tokio::test(flavor = "multi_thread")]
async fn result_too_large_is_dead_with_that_reason() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let _worker = ground.worker().await;
    let bulky = Bulky { bytes: TWENTY_MB };
    let bulky = client.tasks.kick(bulky).await.expect("kicked");
    let Err(OutputError::Failed(failure)) = bulky.output().within(PATIENCE).await else {
        panic!("a failure was expected")
    };
    assert_eq!(
        failure.reason.as_deref(),
        Some("result_too_large"),
        "{failure:?}"
    );
    settled_depth(&*client.broker, QUEUE, |depth| depth.dead == 1).await;
    lives(&client).await;
    assert_eq!(ground.runs(&[bulky.id().clone()]), 1, "not tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn args_too_large_are_a_typed_error_at_the_kick() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let _worker = ground.worker().await;
    let padding = "x".repeat(TWENTY_MB);
    let refused = client.tasks.kick(Jot { padding }).await.err();
    assert!(
        matches!(
            refused,
            Some(KickError::Publish(PublishError::TooLarge { .. }))
        ),
        "{refused:?}"
    );
    lives(&client).await;
}

/// RabbitMQ 3.10 takes it, and then it runs; RabbitMQ 4 closes the foreign client's channel. The worker lives either way.
#[tokio::test(flavor = "multi_thread")]
async fn args_too_large_from_a_foreign_client_do_the_worker_no_harm() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let worker = ground.worker().await;
    let name = format!("{}.{}.1", ground.namespace(), QUEUE.name());
    let padding = "x".repeat(TWENTY_MB);
    let body = json!({
        "task_id": "a-foreign-one", "task_name": "jot", "labels": {}, "labels_types": {},
        "args": [], "kwargs": {"padding": padding},
    });
    let stored = publish(&name, body.to_string().as_bytes()).await;
    println!("20 MB from a foreign client: {stored:?}");
    if stored.is_ok() {
        let id = "a-foreign-one".parse().expect("an id");
        let handle = client.tasks.handle::<Jot>(id);
        handle.output().within(PATIENCE).await.expect("done");
    }
    lives(&client).await;
    drained(worker).await;
    client.all_settled().await;
}

async fn publish(queue: &str, body: &[u8]) -> lapin::Result<()> {
    let connection = Connection::connect(&broker_url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish(
        "".into(),
        queue.into(),
        options,
        body,
        BasicProperties::default(),
    );
    sent.await?.await.map(drop)
}
