//! The last chance of a message whose workers died: it runs alone in its process, and whoever died with a crasher is not a crasher.

use sapari_runtime::ledger::{CancelAnswer, Sighting};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::claiming::start_all_and_die;
use super::*;

/// A span of work, and whose.
#[derive(Debug, Clone, Copy)]
struct Span {
    number: u32,
    began: Instant,
    ended: Instant,
}

/// When who was at work.
#[derive(Clone, Default)]
struct Times(Arc<watch::Sender<Vec<Span>>>);

impl Times {
    fn all(&self) -> Vec<Span> {
        self.0.borrow().clone()
    }

    fn of(&self, number: u32) -> Span {
        let all = self.all();
        let mut his = all.iter().filter(|span| span.number == number);
        *his.next()
            .unwrap_or_else(|| panic!("{number} ran: {all:?}"))
    }

    /// Those that were at work while this one was.
    fn beside(&self, number: u32) -> Vec<u32> {
        let one = self.of(number);
        let beside = |other: &Span| {
            other.number != number && other.began < one.ended && one.began < other.ended
        };
        let all = self.all();
        all.iter()
            .filter(|other| beside(other))
            .map(|other| other.number)
            .collect()
    }

    #[track_caller]
    fn assert_alone(&self, number: u32) {
        assert!(self.beside(number).is_empty(), "{number}: {:?}", self.all());
    }
}

#[derive(Clone, FromRef)]
struct Desk {
    board: Board,
    times: Times,
}

/// Works for a while, and writes down when. Its time is short.
#[derive(Debug, Serialize, Deserialize)]
struct Timed {
    number: u32,
    seconds: u64,
}

impl Task for Timed {
    const NAME: &'static str = "timed";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.timeout(seconds(60)).abort_after(seconds(1));
    type Output = u32;
}

#[task]
async fn timed(
    args: Timed,
    cx: TaskContext,
    State(board): State<Board>,
    State(times): State<Times>,
) -> TaskResult<u32> {
    let (_here, began) = (board.enter(args.number), Instant::now());
    let worked = cx.stop().run_until_cancelled(sleep(seconds(args.seconds)));
    let done = worked.await;
    let (number, ended) = (args.number, Instant::now());
    let span = Span {
        number,
        began,
        ended,
    };
    times.0.send_modify(|times| times.push(span));
    done.map(|()| number)
        .ok_or_else(|| TaskError::from("asked to end"))
}

fn timed_of(number: u32, seconds: u64) -> Timed {
    Timed { number, seconds }
}

/// A house in which these have taken two workers along, together.
async fn after_two_deaths(
    numbers: impl IntoIterator<Item = u32>,
) -> (House, Desk, Vec<Handle<Timed>>) {
    let house = House::new();
    let desk = Desk {
        board: Board::default(),
        times: Times::default(),
    };
    let kicks = numbers.into_iter().map(|number| timed_of(number, 50));
    let kicks: Vec<Timed> = kicks.collect();
    let suspects = house.tasks().kick_all(kicks).await.expect("kicked");
    for _ in 0..2 {
        start_all_and_die(&house, suspects.len() as u16).await;
    }
    (house, desk, suspects)
}

fn four(desk: &Desk) -> Worker<Desk> {
    Worker::new(QUEUE, desk.clone()).task::<timed>().slots(4)
}

#[tokio::test(start_paused = true)]
async fn a_last_chance_runs_alone_and_its_time_counts_from_then() {
    let (house, desk, suspects) = after_two_deaths([100]).await;
    let tasks = house.tasks();
    // Two rounds in four slots, and the second one leaves two slots free.
    let others = (1..=6).map(|number| timed_of(number, 40));
    let others = tasks.kick_all(others).await.expect("kicked");
    let at_work = house.employ(four(&desk));
    assert_eq!(
        suspects[0]
            .output()
            .within(hours(2))
            .await
            .expect("in time"),
        100
    );
    for other in &others {
        other.output().within(hours(2)).await.expect("done");
    }
    desk.times.assert_alone(100);
    assert!(desk.board.most() > 1, "the others ran side by side");
    at_work.drained().await;
}

#[tokio::test(start_paused = true)]
async fn two_last_chances_do_not_wait_for_each_other() {
    let (house, desk, suspects) = after_two_deaths([100, 101, 102]).await;
    let tasks = house.tasks();
    let others = (1..=4).map(|number| timed_of(number, 40));
    let others = tasks.kick_all(others).await.expect("kicked");
    let at_work = house.employ(four(&desk));
    for handle in suspects.iter().chain(&others) {
        handle.output().within(hours(2)).await.expect("done");
    }
    for number in [100, 101, 102] {
        desk.times.assert_alone(number);
    }
    at_work.drained().await;
}

/// A suspect that waits for its neighbour, which works for a while yet.
async fn waiting_beside_one() -> (House, Desk, Handle<Timed>, AtWork) {
    let (house, desk, mut suspects) = after_two_deaths([100]).await;
    let neighbour = house
        .tasks()
        .kick(timed_of(1, 55))
        .priority(Priority::High)
        .await;
    neighbour.expect("kicked");
    let at_work = house.employ(four(&desk).drain_grace(Duration::ZERO));
    desk.board.until_started(1).await;
    // The claim of those that died has run out, and it has been met.
    sleep(seconds(30)).await;
    assert_eq!(desk.board.started(), [1]);
    (house, desk, suspects.remove(0), at_work)
}

#[tokio::test(start_paused = true)]
async fn cancelled_while_it_waits_it_never_starts() {
    let (house, desk, suspect, at_work) = waiting_beside_one().await;
    let asked = Instant::now();
    assert_eq!(
        suspect.cancel().await.expect("told"),
        CancelAnswer::Requested
    );
    let after = house.tasks().kick(short_one(2)).await.expect("kicked");
    let record = suspect.into_any().record().await.expect("a record");
    assert!(failure(record).is_cancelled());
    after
        .output()
        .within(hours(2))
        .await
        .expect("nobody waits any more");
    assert!(asked.elapsed() < seconds(5), "{:?}", asked.elapsed());
    at_work.drained().await;
    assert_eq!(desk.board.started(), [1, 2]);
}

fn short_one(number: u32) -> Timed {
    timed_of(number, 1)
}

#[tokio::test(start_paused = true)]
async fn drained_while_it_waits_it_is_handed_back_and_no_death_is_counted() {
    let (house, desk, suspect, at_work) = waiting_beside_one().await;
    let ledger = house.tasks().ledger();
    let begun = Instant::now();
    at_work.drained().await;
    assert!(begun.elapsed() < seconds(5), "{:?}", begun.elapsed());
    let sighting = ledger.sighting(suspect.id()).await.expect("answers");
    assert!(
        matches!(sighting, Some(Sighting::Abandoned { starts: 2, .. })),
        "{sighting:?}"
    );
    let next = house.employ(four(&desk));
    assert_eq!(
        suspect
            .output()
            .within(hours(2))
            .await
            .expect("its last chance"),
        100
    );
    desk.times.assert_alone(100);
    next.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_dies_while_it_waits_takes_nothing_from_it() {
    let (house, _desk, suspect, _at_work) = waiting_beside_one().await;
    let sighting = house.tasks().ledger().sighting(suspect.id()).await;
    let sighting = sighting.expect("answers");
    assert!(
        matches!(sighting, Some(Sighting::Abandoned { starts: 2, .. })),
        "not claimed: {sighting:?}"
    );
    let reports = house.tasks().ledger().workers().await.expect("answers");
    let running = reports.iter().flat_map(|report| &report.running);
    assert_eq!(running.count(), 1, "{reports:?}");
}

/// One death is enough.
#[derive(Debug, Serialize, Deserialize)]
struct Fragile {}

impl Task for Fragile {
    const NAME: &'static str = "fragile";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.worker_deaths(1);
    type Output = ();
}

#[task]
async fn fragile(_args: Fragile, State(board): State<Board>) -> TaskResult<()> {
    let _here = board.enter(7);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn where_one_death_is_enough_there_is_no_last_chance() {
    let (house, board) = (House::new(), Board::default());
    let fine = house.tasks().kick(Fragile {}).await.expect("kicked");
    let at_work = house.employ(worker(&board).task::<fragile>());
    fine.output().within(hours(2)).await.expect("done");
    at_work.drained().await;
    let deadly = house.tasks().kick(Fragile {}).await.expect("kicked");
    start_all_and_die(&house, 1).await;
    let at_work = house.employ(worker(&board).task::<fragile>());
    let record = deadly.into_any().record().await.expect("a record");
    assert_eq!(failure(record).reason.as_deref(), Some("poison"));
    at_work.drained().await;
    assert_eq!(board.runs(), 1);
}
