//! Cancels: queued, delayed, running, finished.

use sapari_runtime::ledger::{Cancel, CancelAnswer, Sighting};
use sapari_runtime::message::MessageId;

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
    let id: MessageId = "export-1".parse().expect("an id");
    let long_ago = Cancel {
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

fn cancel_at(id: &MessageId, at: u64) -> Cancel {
    let id = id.clone();
    Cancel { id, at }
}

fn millis_now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.expect("after 1970").as_millis()).expect("small")
}

const HOUR: u64 = 3_600_000;

/// Workers ask for the cancels since the latest they have heard of; whoever cancels has a clock of his own.
#[tokio::test(start_paused = true)]
async fn a_cancel_is_heard_although_the_clocks_of_processes_differ() {
    let (house, board) = (House::new(), Board::default());
    let _at_work = house.employ(worker(&board).slots(2));
    let (tasks, ledger) = (house.tasks(), house.tasks().ledger());
    let nap = || Work {
        number: 1,
        millis: 200_000,
    };
    let handles = tasks.kick_all([nap(), nap()]).await.expect("kicked");
    board.until_started(2).await;
    // One is an hour ahead, and then one is an hour behind.
    let begun = tokio::time::Instant::now();
    for (handle, at) in handles
        .into_iter()
        .zip([millis_now() + HOUR, millis_now() - HOUR])
    {
        let cancel = cancel_at(handle.id(), at);
        ledger.cancel(&cancel).await.expect("answers");
        let record = handle.into_any().record().await.expect("a record");
        assert!(failure(record).is_cancelled());
    }
    let took = begun.elapsed();
    assert!(
        took < seconds(65),
        "found out with the look at all, at the latest: {took:?}"
    );
    // An id of ours is kicked once: whether it is meant needs no clock at all.
    let queued = tasks
        .kick(short(3))
        .delay(seconds(90))
        .await
        .expect("kicked");
    let cancel = cancel_at(queued.id(), millis_now() - HOUR);
    ledger.cancel(&cancel).await.expect("answers");
    let record = queued.into_any().record().await.expect("a record");
    assert!(failure(record).is_cancelled());
    assert_eq!(board.runs(), 2);
}

/// Done once under this id, and kicked again.
async fn done_and_kicked_again(house: &House, board: &Board, again: Work) -> Handle<Work> {
    let id: MessageId = "export-2".parse().expect("an id");
    let at_work = house.employ(worker(board));
    let first = house
        .tasks()
        .kick(short(7))
        .id(id.clone())
        .await
        .expect("kicked");
    assert_eq!(first.output().await.expect("done"), 7);
    at_work.drained().await;
    house.tasks().kick(again).id(id).await.expect("kicked")
}

/// The output of a kick is its own, whatever an earlier one of its id has left.
#[tokio::test(start_paused = true)]
async fn who_kicks_an_id_again_is_given_the_output_of_that_kick() {
    let (house, board) = (House::new(), Board::default());
    let second = done_and_kicked_again(&house, &board, short(8)).await;
    let early = second.output().within(seconds(5)).await;
    assert!(
        matches!(early, Err(sapari_runtime::handle::OutputError::NotYet(_))),
        "{early:?}"
    );
    let at_work = house.employ(worker(&board));
    assert_eq!(second.output().await.expect("done"), 8);
    at_work.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_running_second_kick_of_an_id_is_cancelled_whatever_the_first_has_left() {
    let (house, board) = (House::new(), Board::default());
    let second = done_and_kicked_again(&house, &board, long(8)).await;
    let at_work = house.employ(worker(&board));
    board.until_started(2).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(
        second.cancel().await.expect("told"),
        CancelAnswer::Requested
    );
    at_work.drained().await;
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
    let record = second.into_any().record().await.expect("a record");
    assert!(
        failure(record).is_cancelled(),
        "it ran, so it is its record now"
    );
}

#[tokio::test(start_paused = true)]
async fn an_output_is_not_lost_to_a_second_kick_that_is_cancelled_before_it_runs() {
    let (house, board) = (House::new(), Board::default());
    let second = done_and_kicked_again(&house, &board, long(8)).await;
    let (tasks, ledger) = (house.tasks(), house.tasks().ledger());
    let cancel = cancel_at(second.id(), millis_now() + 1);
    ledger.cancel(&cancel).await.expect("answers");
    let at_work = house.employ(worker(&board));
    eventually("it is carried out", async || {
        !ledger.is_cancelled(second.id()).await.expect("answers")
    })
    .await;
    let other = tasks.kick(short(9)).await.expect("kicked");
    other.output().await.expect("done");
    at_work.drained().await;
    assert_eq!(second.output().await.expect("the first one's"), 7);
    assert_eq!(board.started(), [7, 9], "it never ran");
    assert!(house.broker.is_empty());
    let sighting = ledger.sighting(second.id()).await.expect("answers");
    assert_eq!(sighting, Some(Sighting::Finished), "its copies are not run");
}
