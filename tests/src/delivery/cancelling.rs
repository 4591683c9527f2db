//! Cancels: queued, delayed, running, finished.

use sapari_runtime::ledger::CancelAnswer;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_running_task_ends_and_its_record_says_cancelled() {
    let (house, board) = (House::new(), Board::default());
    let at_work = house.employ(worker(&board));
    let handle = house.tasks().kick(long(1)).await.expect("kicked");
    board.until_started(1).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(
        handle.cancel().await.expect("told"),
        CancelAnswer::Requested
    );
    let record = handle.into_any().record().await.expect("a record");
    assert!(
        begun.elapsed() < seconds(1),
        "told, not found out: {:?}",
        begun.elapsed()
    );
    let failure = failure(record);
    assert!(failure.is_cancelled(), "{failure:?}");
    assert_eq!(failure.reason.as_deref(), Some("cancelled"));
    at_work.drained().await;
    let depth = sapari_runtime::broker::Broker::depth(&house.broker, QUEUE)
        .await
        .expect("declared");
    assert_eq!(
        (depth.ready, depth.dead),
        (vec![0; 4], 0),
        "acked, and no dead letter"
    );
    assert_eq!(board.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_queued_task_never_starts() {
    let (house, board) = (House::new(), Board::default());
    let handle = house.tasks().kick(short(1)).await.expect("kicked");
    let delayed = house
        .tasks()
        .kick(short(2))
        .delay(minutes(5))
        .await
        .expect("kicked");
    for handle in [&handle, &delayed] {
        assert_eq!(
            handle.cancel().await.expect("told"),
            CancelAnswer::Requested
        );
    }
    let at_work = house.employ(worker(&board));
    for handle in [handle, delayed] {
        let record = handle.into_any().record().await.expect("a record");
        assert!(failure(record).is_cancelled());
    }
    at_work.drained().await;
    assert_eq!(board.runs(), 0);
    let left = house.tasks().ledger().cancels(0).await.expect("answers");
    assert_eq!(left, [], "what was carried out is forgotten");
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_stays_as_it_ended() {
    let (house, board) = (House::new(), Board::default());
    let _at_work = house.employ(worker(&board));
    let handle = house.tasks().kick(short(7)).await.expect("kicked");
    assert_eq!(handle.output().await.expect("an output"), 7);
    assert_eq!(
        handle.cancel().await.expect("asked"),
        CancelAnswer::AlreadyEnded
    );
    assert_eq!(handle.output().await.expect("an output"), 7);
}

#[tokio::test(start_paused = true)]
async fn a_later_kick_of_the_same_id_is_not_meant() {
    let (house, board) = (House::new(), Board::default());
    let ledger = house.tasks().ledger();
    let id: sapari_runtime::message::MessageId = "export-1".parse().expect("an id");
    let long_ago = sapari_runtime::ledger::Cancel {
        id: id.clone(),
        at: 1_000,
    };
    ledger.cancel(&long_ago).await.expect("answers");
    let _at_work = house.employ(worker(&board));
    let handle = house.tasks().kick(short(3)).id(id).await.expect("kicked");
    assert_eq!(handle.output().await.expect("it runs"), 3);
}

/// Ignores its token.
#[derive(Debug, Serialize, Deserialize)]
struct Deaf {}

impl Task for Deaf {
    const NAME: &'static str = "deaf";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.abort_after(seconds(3));
    type Output = ();
}

#[task]
async fn deaf(_args: Deaf, State(board): State<Board>) -> TaskResult<()> {
    let _here = board.enter(0);
    tokio::time::sleep(minutes(4)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_listen_is_dropped_after_its_time_to_tidy_up() {
    let (house, board) = (House::new(), Board::default());
    let _at_work = house.employ(Worker::new(QUEUE, board.clone()).task::<deaf>());
    let handle = house.tasks().kick(Deaf {}).await.expect("kicked");
    board.until_started(1).await;
    let begun = tokio::time::Instant::now();
    handle.cancel().await.expect("told");
    let record = handle.into_any().record().await.expect("a record");
    assert!(failure(record).is_cancelled());
    let took = begun.elapsed();
    assert!(took >= seconds(3) && took < seconds(4), "{took:?}");
}
