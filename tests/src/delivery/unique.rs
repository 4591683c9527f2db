//! Unique kicks: while one is under way, once in a while, after the last one.

use super::*;

#[tokio::test(start_paused = true)]
async fn while_one_is_under_way_another_kick_gives_its_handle() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let first = tasks
        .kick(long(1))
        .unique_for(minutes(10))
        .await
        .expect("kicked");
    assert!(first.is_new());
    let first = first.handle();
    let at_work = house.employ(worker(&board));
    board.until_started(1).await;
    let again = tasks
        .kick(long(1))
        .unique_for(minutes(10))
        .await
        .expect("asked");
    assert!(!again.is_new());
    assert_eq!(again.handle().id(), first.id());
    let other = tasks
        .kick(short(2))
        .unique_for(minutes(10))
        .await
        .expect("kicked");
    assert!(other.is_new(), "other args are other work");
    assert_eq!(first.output().await.expect("it finishes"), 1);
    let fresh = tasks
        .kick(long(1))
        .unique_for(minutes(10))
        .await
        .expect("kicked");
    assert!(fresh.is_new(), "the first one has ended");
    fresh.handle().cancel().await.expect("told");
    at_work.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_window_ends_although_the_first_one_has_not() {
    let house = House::new();
    let tasks = house.tasks();
    let kicked = tasks.kick(long(1)).unique_for(seconds(30)).by("mine").await;
    assert!(kicked.expect("kicked").is_new());
    tokio::time::advance(seconds(29)).await;
    let tasks = house.tasks();
    let other = tasks.kick(long(2)).unique_for(seconds(30)).by("mine").await;
    assert!(
        !other.expect("asked").is_new(),
        "the key counts, not the args"
    );
    tokio::time::advance(seconds(2)).await;
    let tasks = house.tasks();
    let kicked = tasks.kick(long(1)).unique_for(seconds(30)).by("mine").await;
    assert!(kicked.expect("kicked").is_new());
}

#[tokio::test(start_paused = true)]
async fn a_throttle_lasts_although_the_first_one_has_ended() {
    let (house, board) = (House::new(), Board::default());
    let _at_work = house.employ(worker(&board));
    let tasks = house.tasks();
    let first = tasks
        .kick(short(1))
        .throttle(minutes(5))
        .await
        .expect("kicked")
        .handle();
    assert_eq!(first.output().await.expect("done"), 1);
    let second = tasks
        .kick(short(1))
        .throttle(minutes(5))
        .await
        .expect("asked");
    assert!(!second.is_new());
    assert_eq!(second.handle().output().await.expect("the first one's"), 1);
    tokio::time::advance(minutes(5)).await;
    assert!(
        tasks
            .kick(short(1))
            .throttle(minutes(5))
            .await
            .expect("kicked")
            .is_new()
    );
}

#[tokio::test(start_paused = true)]
async fn of_many_debounced_kicks_the_last_one_wins() {
    let (house, board) = (House::new(), Board::default());
    let _at_work = house.employ(worker(&board));
    let tasks = house.tasks();
    let mut handles = Vec::new();
    let mut last = tokio::time::Instant::now();
    for number in 1..=3 {
        last = tokio::time::Instant::now();
        let kicked = tasks
            .kick(short(number))
            .debounce(seconds(10))
            .by("project-1")
            .await;
        handles.push(kicked.expect("kicked").handle());
        tokio::time::advance(seconds(4)).await;
    }
    let winner = handles.pop().expect("three");
    assert_eq!(winner.output().await.expect("it runs"), 3);
    assert!(last.elapsed() >= seconds(10), "a pause after the last one");
    for handle in handles {
        let record = handle.into_any().record().await.expect("a record");
        let failure = failure(record);
        assert_eq!(failure.reason.as_deref(), Some("superseded"));
        assert!(failure.is_cancelled());
    }
    assert_eq!(board.started(), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_cancelled_stands_for_nothing_queued_or_running() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let kick = async |number| {
        let kick = tasks.kick(long(number)).unique_for(minutes(10));
        kick.by("mine").await.expect("asked")
    };
    let queued = kick(1).await.handle();
    queued.cancel().await.expect("told");
    let second = kick(2).await;
    assert!(second.is_new(), "although the first one is still queued");
    let second = second.handle();
    let at_work = house.employ(worker(&board).slots(2));
    board.until_started(1).await;
    assert!(
        !kick(9).await.is_new(),
        "the end of the first one took nothing from the second"
    );
    second.cancel().await.expect("told");
    let third = kick(3).await;
    assert!(third.is_new(), "although the second one has not ended yet");
    let third = third.handle();
    for cancelled in [queued, second] {
        let record = cancelled.into_any().record().await.expect("a record");
        assert!(failure(record).is_cancelled());
    }
    assert!(!kick(9).await.is_new(), "the third one stands now");
    assert_eq!(third.output().await.expect("done"), 3);
    at_work.drained().await;
    assert_eq!(board.started(), [2, 3]);
}

/// Fails in its first attempt, and is tried again a minute later.
#[derive(Debug, Serialize, Deserialize)]
struct Shaky {
    number: u32,
}

impl Task for Shaky {
    const NAME: &'static str = "shaky";
    const QUEUE: Queue = QUEUE;
    type Output = u32;
}

#[task]
async fn shaky(args: Shaky, cx: TaskContext, State(board): State<Board>) -> TaskResult<u32> {
    let _here = board.enter(args.number);
    match cx.attempt() {
        1 => Err(TaskError::from("not yet")).retry_after(minutes(1)),
        _ => Ok(args.number),
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_started_is_not_superseded_any_more() {
    let (house, board) = (House::new(), Board::default());
    let _at_work = house.employ(Worker::new(QUEUE, board.clone()).task::<shaky>());
    let tasks = house.tasks();
    let kick = async |number| {
        let kick = tasks.kick(Shaky { number }).debounce(seconds(5));
        kick.by("mine").await.expect("kicked").handle()
    };
    let first = kick(1).await;
    board.until_started(1).await;
    // While the first one waits for its second attempt.
    let (second, third) = (kick(2).await, kick(3).await);
    assert_eq!(first.output().await.expect("it goes on"), 1);
    assert_eq!(third.output().await.expect("the last one runs"), 3);
    let record = second.into_any().record().await.expect("a record");
    assert_eq!(failure(record).reason.as_deref(), Some("superseded"));
    assert_eq!(board.started(), [1, 3, 1, 3]);
}
