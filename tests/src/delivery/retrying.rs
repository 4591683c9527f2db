//! Retries: what is kept of the attempts that failed, and names that nobody knows yet.

use sapari_runtime::broker::Broker;
use sapari_runtime::message::Args;

use super::*;

/// Fails until its last attempt but `spare`.
#[derive(Debug, Serialize, Deserialize)]
struct Flaky {
    succeeds_at: u32,
}

impl Task for Flaky {
    const NAME: &'static str = "flaky";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.attempts(3);
    type Output = u32;
}

#[task]
async fn flaky(args: Flaky, cx: TaskContext) -> TaskResult<u32> {
    match cx.attempt() {
        attempt if attempt >= args.succeeds_at => Ok(attempt),
        attempt => Err(format!("failure {attempt}")).retry_after(seconds(30)),
    }
}

async fn record(succeeds_at: u32) -> Record {
    let house = House::new();
    let _at_work = house.employ(Worker::new(QUEUE, ()).task::<flaky>());
    let handle = house
        .tasks()
        .kick(Flaky { succeeds_at })
        .await
        .expect("kicked");
    handle.into_any().record().await.expect("a record")
}

#[tokio::test(start_paused = true)]
async fn the_attempts_that_failed_stand_beside_the_result() {
    let succeeded = record(3).await;
    assert_eq!(succeeded.outcome.as_ref().expect("it succeeds").get(), "3");
    let told: Vec<_> = succeeded
        .history
        .iter()
        .map(|past| (past.attempt, past.error.as_str(), past.delay))
        .collect();
    assert_eq!(
        told,
        [(1, "failure 1", Some(30.0)), (2, "failure 2", Some(30.0))]
    );
    assert!(
        succeeded
            .history
            .iter()
            .all(|past| past.worker.starts_with("desk@") && past.at > 1e9)
    );

    let failed = record(9).await;
    let delays: Vec<_> = failed.history.iter().map(|past| past.delay).collect();
    assert_eq!(
        delays,
        [Some(30.0), Some(30.0), None],
        "no pause after the last"
    );
    assert_eq!(failure(failed).chain, ["failure 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_rolling_deploy_loses_nothing() {
    let (house, board) = (House::new(), Board::default());
    let before = house.employ(Worker::new(QUEUE, ()));
    let handle = house.tasks().kick(short(5)).await.expect("kicked");
    eventually("the old worker has put it off", async || {
        let depth = house.broker.depth(QUEUE).await.expect("declared");
        depth.ready == [0; 4] && house.results.waiting(handle.id()) == 0
    })
    .await;
    tokio::time::advance(minutes(3)).await;
    before.drained().await;
    let _after = house.employ(worker(&board));
    assert_eq!(handle.output().await.expect("the new worker knows it"), 5);
    let depth = house.broker.depth(QUEUE).await.expect("declared");
    assert_eq!((board.runs(), depth.dead), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_stays_unknown_is_dead_after_the_wait_and_not_before() {
    let house = House::new();
    let _at_work = house.employ(Worker::new(QUEUE, ()).unknown_wait(minutes(2)));
    let begun = tokio::time::Instant::now();
    let kicked = house
        .tasks()
        .kick_named(QUEUE, "no_such_task", Args::default())
        .await;
    let record = kicked.expect("kicked").record().await.expect("a record");
    assert_eq!(failure(record).reason.as_deref(), Some("unknown_task"));
    let waited = begun.elapsed();
    assert!(waited >= minutes(2) && waited < minutes(3), "{waited:?}");
}

/// Its time is that of the clock on the wall, which is not paused.
#[tokio::test(start_paused = true)]
async fn a_name_that_stays_unknown_is_dead_when_its_time_is_over() {
    let house = House::new();
    let _at_work = house.employ(Worker::new(QUEUE, ()).unknown_wait(minutes(100)));
    let tasks = house.tasks();
    let kick = tasks.kick_named(QUEUE, "no_such_task", Args::default());
    let kicked = kick.expires(Duration::from_millis(200)).await;
    let record = kicked.expect("kicked").record().await.expect("a record");
    assert_eq!(failure(record).reason.as_deref(), Some("expired"));
}
