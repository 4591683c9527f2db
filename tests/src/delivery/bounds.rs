//! What is asked for without measure: times without an end, and a progress that says too much.

use serde_json::json;

use super::*;

const EVER: Duration = Duration::MAX;

/// Every time it has is without an end.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Eternal {
    millis: u64,
}

impl Task for Eternal {
    const NAME: &'static str = "eternal";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT
        .timeout(EVER)
        .abort_after(EVER)
        .keep_result(EVER)
        .expires(EVER)
        .backoff(Backoff::exponential(EVER, EVER))
        .limit(Limit::at_once(u32::MAX))
        .limit(Limit::rate(u32::MAX, EVER));
    type Output = u64;
}

#[task]
async fn eternal(args: Eternal, cx: TaskContext, State(board): State<Board>) -> TaskResult<u64> {
    let _here = board.enter(0);
    cx.progress(f64::INFINITY, ());
    let worked = cx
        .stop()
        .run_until_cancelled(tokio::time::sleep(Duration::from_millis(args.millis)));
    worked
        .await
        .map(|()| args.millis)
        .ok_or_else(|| TaskError::from("asked to end"))
}

fn for_ever(board: &Board) -> Worker<Board> {
    let worker = Worker::new(QUEUE, board.clone()).task::<eternal>().slots(2);
    worker
        .lease(EVER)
        .drain_grace(EVER)
        .unknown_wait(EVER)
        .aging(EVER)
}

#[tokio::test(start_paused = true)]
async fn times_without_an_end_harm_nothing() {
    let (house, board) = (House::new(), Board::default());
    let at_work = house.employ(for_ever(&board));
    let tasks = house.tasks();
    let done = tasks.kick(Eternal { millis: 5 }).expires(EVER).await;
    assert_eq!(
        done.expect("kicked")
            .output()
            .within(EVER)
            .await
            .expect("done"),
        5
    );
    for (millis, priority) in [(1, Priority::Low), (2, Priority::High), (3, Priority::Low)] {
        let kick = tasks.kick(Eternal { millis }).priority(priority);
        let kicked = kick.unique_for(EVER).await.expect("kicked");
        assert!(kicked.is_new());
        assert_eq!(kicked.handle().output().await.expect("done"), millis);
    }
    let throttled = || tasks.kick(Eternal { millis: 6 }).throttle(EVER);
    let first = throttled().await.expect("kicked");
    assert!(first.is_new() && !throttled().await.expect("asked").is_new());
    first.handle().output().await.expect("done");

    let running = tasks
        .kick(Eternal { millis: u64::MAX })
        .await
        .expect("kicked");
    board.until_started(6).await;
    running.cancel().await.expect("told");
    let record = running.into_any().record().await.expect("a record");
    assert!(failure(record).is_cancelled());
    let last = tasks
        .kick(Eternal { millis: 60_000 })
        .await
        .expect("kicked");
    board.until_started(7).await;
    at_work.drained().await;
    assert_eq!(last.output().await.expect("within the grace"), 60_000);
}

#[tokio::test(start_paused = true)]
async fn a_kick_that_would_wait_for_ever_is_refused_or_waits_for_years() {
    let house = House::new();
    let tasks = house.tasks();
    let delayed = tasks.kick(Eternal { millis: 1 }).delay(EVER).await;
    let refused = delayed.map(|_| ()).expect_err("beyond what a broker can");
    assert!(refused.to_string().contains("delay"), "{refused}");
    let debounced = tasks.kick(Eternal { millis: 1 }).debounce(EVER).await;
    assert!(debounced.expect("kicked").is_new());
}

/// Fails once.
#[derive(Debug, Serialize, Deserialize)]
struct Weary {}

impl Task for Weary {
    const NAME: &'static str = "weary";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.backoff(Backoff::exponential(EVER, EVER));
    type Output = ();
}

#[task]
async fn weary(_args: Weary, State(board): State<Board>) -> TaskResult<()> {
    let _here = board.enter(0);
    Err(TaskError::from("not today"))
}

#[tokio::test(start_paused = true)]
async fn a_pause_without_an_end_is_as_long_as_a_broker_can_keep() {
    use sapari_runtime::broker::Broker;
    let (house, board) = (House::new(), Board::default());
    let at_work = house.employ(Worker::new(QUEUE, board.clone()).task::<weary>());
    house.tasks().kick(Weary {}).await.expect("kicked");
    board.until_started(1).await;
    at_work.drained().await;
    let depth = house.broker.depth(QUEUE).await.expect("declared");
    assert_eq!(
        (depth.dead, house.broker.is_empty()),
        (0, false),
        "it waits"
    );
}

/// Says as much as it is asked to.
#[derive(Debug, Serialize, Deserialize)]
struct Wordy {
    letters: usize,
}

impl Task for Wordy {
    const NAME: &'static str = "wordy";
    const QUEUE: Queue = QUEUE;
    type Output = ();
}

#[task]
async fn wordy(args: Wordy, cx: TaskContext) -> TaskResult<()> {
    cx.progress(0.25, "x".repeat(args.letters));
    tokio::time::sleep(seconds(2)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_detail_that_is_too_large_is_left_out_and_the_fraction_is_not() {
    // With its two quotation marks the first is as large as a detail may be.
    for (letters, is_kept) in [
        (16 * 1024 - 2, true),
        (16 * 1024 - 1, false),
        (10_000_000, false),
    ] {
        let house = House::new();
        let at_work = house.employ(Worker::new(QUEUE, ()).task::<wordy>());
        let handle = house.tasks().kick(Wordy { letters }).await.expect("kicked");
        handle.output().await.expect("done");
        let progress = handle.progress().await.expect("answers").expect("it said");
        assert_eq!(progress.fraction(), Some(0.25));
        let said = progress.detail().expect("a detail");
        let expected = if is_kept {
            json!("x".repeat(letters))
        } else {
            json!(null)
        };
        assert!(*said == expected, "{letters} letters");
        at_work.drained().await;
    }
}
