//! Slots that are kept for a task that needs more than are free: a higher level passes, and nobody waits for ever.

use sapari_runtime::broker::Broker;
use tokio::time::{Instant, timeout};

use super::*;

/// Needs all slots.
#[derive(Debug, Serialize, Deserialize)]
struct Wide {}

impl Task for Wide {
    const NAME: &'static str = "wide";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.slots(4);
    type Output = ();
}

#[task]
async fn wide(_args: Wide, State(board): State<Board>) -> TaskResult<()> {
    let _here = board.enter(100);
    Ok(())
}

/// A worker with one free slot of four, which it keeps for a wide task.
async fn reserved(house: &House, board: &Board) -> (AtWork, Handle<Wide>) {
    let tasks = house.tasks();
    tasks.kick_all((1..=3).map(long)).await.expect("kicked");
    let worker = Worker::new(QUEUE, board.clone()).task::<work>();
    let at_work = house.employ(worker.task::<wide>().slots(4));
    board.until_started(3).await;
    let wide = tasks.kick(Wide {}).await.expect("kicked");
    // It is taken, waits for slots in vain, and goes back.
    tokio::time::sleep(seconds(1)).await;
    (at_work, wide)
}

#[tokio::test(start_paused = true)]
async fn a_higher_level_passes_what_is_reserved_and_its_own_level_does_not() {
    let (house, board) = (House::new(), Board::default());
    let (at_work, wide) = reserved(&house, &board).await;
    let (tasks, begun) = (house.tasks(), Instant::now());
    let same = tasks.kick(short(11)).await.expect("kicked");
    let high = tasks.kick(short(12)).priority(Priority::High).await;
    high.expect("kicked").output().await.expect("done");
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
    wide.output().await.expect("done");
    same.output().await.expect("done");
    assert_eq!(board.started()[3..], [12, 100, 11]);
    at_work.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_reserve_ends_when_somebody_else_has_taken_what_it_was_for() {
    let (house, board) = (House::new(), Board::default());
    let (at_work, wide) = reserved(&house, &board).await;
    // Another worker takes it meanwhile.
    let mut other = house.broker.consume(QUEUE, 1).await.expect("consumes");
    let taken = timeout(seconds(1), other.next()).await;
    let taken = taken.expect("in time").expect("a delivery");
    assert!(String::from_utf8_lossy(&taken.body).contains(wide.id().as_str()));
    // It is held until the end of the test: the other worker runs it.
    let begun = Instant::now();
    let next = house.tasks().kick(short(11)).await.expect("kicked");
    next.output().await.expect("done");
    let waited = begun.elapsed();
    assert!(waited > seconds(20) && waited < seconds(31), "{waited:?}");
    assert_eq!(board.started(), [1, 2, 3, 11]);
    at_work.drained().await;
}
