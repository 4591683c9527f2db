//! Messages that come a second time because a worker died between its effect and its ack.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sapari_runtime::broker::memory::MemoryBroker;
use sapari_runtime::broker::{Broker, Depth};
use sapari_runtime::message::{Message, MessageId};
use sapari_runtime::outcome::DeadReason;
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::result::{Record, Results};
use sapari_runtime::worker::Servers;
use tokio_util::sync::CancellationToken;

use super::*;

/// Counts its runs.
#[derive(Debug, Serialize, Deserialize)]
struct Count {}

impl Task for Count {
    const NAME: &'static str = "count";
    const QUEUE: Queue = QUEUE;
    type Output = ();
}

#[derive(Clone, Default)]
struct Runs(Arc<AtomicU32>);

#[task]
async fn count(_args: Count, State(runs): State<Runs>) -> TaskResult<()> {
    runs.0.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// How often the handler ran for a redelivered message, and what the queue held afterwards.
async fn redelivered(stored: Option<Record>) -> (u32, Depth, Option<Record>) {
    let (broker, results) = (MemoryBroker::with_queues([QUEUE]), MemoryResults::new());
    let servers = Servers {
        broker: Arc::new(broker.clone()),
        results: Arc::new(results.clone()),
    };
    let tasks = Tasks::new(Arc::clone(&servers.broker), Arc::clone(&servers.results));
    let id: MessageId = "m-1".parse().expect("an id");
    tasks.kick(Count {}).id(id.clone()).await.expect("kicked");
    let message = take_and_die(&broker).await;
    if let Some(record) = stored {
        let kick = record.kick.clone();
        let record = record.of_kick(kick.as_deref().or(message.kick()));
        results.save(&id, &record, minutes(5)).await.expect("saved");
    }

    let (runs, shutdown) = (Runs::default(), CancellationToken::new());
    let worker = Worker::new(QUEUE, runs.clone()).task::<count>();
    let working = tokio::spawn(worker.run(servers, shutdown.clone()));
    eventually("the queue is empty", async || {
        broker
            .depth(QUEUE)
            .await
            .is_ok_and(|depth| depth.ready == [0; 4])
    })
    .await;
    shutdown.cancel();
    working.await.expect("no panic").expect("ends well");
    let depth = broker.depth(QUEUE).await.expect("depth");
    (
        runs.0.load(Ordering::Relaxed),
        depth,
        results.load(&id).await.expect("loaded"),
    )
}

/// A worker that takes a message and is gone before it settles it.
async fn take_and_die(broker: &MemoryBroker) -> Message {
    let mut consumer = broker.consume(QUEUE, 1).await.expect("consumes");
    let delivery = consumer.next().await.expect("a delivery");
    Message::decode(&delivery.body).expect("a message")
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_result_is_run() {
    let (runs, depth, record) = redelivered(None).await;
    assert_eq!((runs, depth.dead), (1, 0));
    assert!(record.is_some_and(|record| record.outcome.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_output_is_stored_is_acked_and_not_run_again() {
    let output = serde_json::value::to_raw_value(&()).expect("json");
    let (runs, depth, _) = redelivered(Some(Record::done(output, seconds(1)))).await;
    assert_eq!((runs, depth.dead), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_result_of_an_earlier_kick_with_the_same_id_is_not_taken_for_its_own() {
    let error = TaskError::permanent("the file was gone, then");
    let earlier = Record::dead(DeadReason::Permanent, &error, seconds(1));
    let (runs, depth, record) = redelivered(Some(earlier.of_kick(Some("earlier")))).await;
    assert_eq!((runs, depth.dead), (1, 0));
    assert!(record.is_some_and(|record| record.outcome.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_failure_is_stored_still_reaches_the_dead_letter_queue() {
    let error = TaskError::permanent("the file is gone");
    let record = Record::dead(DeadReason::Permanent, &error, seconds(1));
    let (runs, depth, record) = redelivered(Some(record)).await;
    assert_eq!((runs, depth.dead), (0, 1));
    let failure = record.expect("kept").outcome.expect_err("a failure");
    assert_eq!(failure.reason.as_deref(), Some("permanent"));
}
