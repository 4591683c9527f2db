//! Limits across workers, and slots that cost more than one.

use futures_util::future::join_all;
use sapari_runtime::broker::Broker;
use sapari_runtime::handle::Handle;
use sapari_runtime::ledger::{Entry, Gate, GateKind};

use super::*;

macro_rules! limited {
    ($task:ident, $handler:ident, $name:literal, $policy:expr) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        struct $task {
            number: u32,
            customer: String,
        }

        impl Task for $task {
            const NAME: &'static str = $name;
            const QUEUE: Queue = QUEUE;
            const POLICY: Policy = $policy;
            type Output = u32;

            fn limit_key(&self) -> Option<String> {
                Some(self.customer.clone())
            }
        }

        #[task]
        async fn $handler(args: $task, State(board): State<Board>) -> TaskResult<u32> {
            let _here = board.enter(args.number);
            tokio::time::sleep(seconds(2)).await;
            Ok(args.number)
        }

        impl $task {
            fn of(number: u32, customer: &str) -> Self {
                Self {
                    number,
                    customer: customer.to_owned(),
                }
            }
        }
    };
}

limited!(Two, two, "two", Policy::DEFAULT.limit(Limit::at_once(2)));
limited!(
    Own,
    own,
    "own",
    Policy::DEFAULT.limit(Limit::at_once(1).per_key())
);
limited!(
    Paced,
    paced,
    "paced",
    Policy::DEFAULT.limit(Limit::rate(2, seconds(10)))
);
limited!(
    Nested,
    nested,
    "nested",
    Policy::DEFAULT
        .limit(Limit::at_once(3))
        .limit(Limit::at_once(1).per_key())
);
limited!(Heavy, heavy, "heavy", Policy::DEFAULT.slots(4));

fn four(board: &Board) -> Worker<Board> {
    let worker = Worker::new(QUEUE, board.clone()).slots(4);
    worker
        .task::<two>()
        .task::<own>()
        .task::<paced>()
        .task::<nested>()
        .task::<heavy>()
        .task::<work>()
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_the_limit_says_whatever_the_workers() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let all = tasks
        .kick_all((1..=8).map(|number| Two::of(number, "a")))
        .await
        .expect("kicked");
    let workers = [house.employ(four(&board)), house.employ(four(&board))];
    for output in join_all(all.iter().map(|handle| handle.output().into_future())).await {
        output.expect("done");
    }
    assert_eq!((board.most(), board.runs()), (2, 8));
    for worker in workers {
        worker.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_takes_no_slot_and_keeps_its_place() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let limited = (1..=6).map(|number| Own::of(number, "a"));
    let limited = tasks.kick_all(limited).await.expect("kicked");
    let free = tasks.kick_all((11..=13).map(short)).await.expect("kicked");
    let _at_work = house.employ(four(&board));
    let begun = tokio::time::Instant::now();
    for output in join_all(free.iter().map(|handle| handle.output().into_future())).await {
        output.expect("done");
    }
    assert!(
        begun.elapsed() < seconds(2),
        "they pass the limited ones: {:?}",
        begun.elapsed()
    );
    for output in join_all(limited.iter().map(|handle| handle.output().into_future())).await {
        output.expect("done");
    }
    let order: Vec<u32> = board
        .started()
        .into_iter()
        .filter(|number| *number < 10)
        .collect();
    assert_eq!(
        order,
        [1, 2, 3, 4, 5, 6],
        "one after the other, in their order"
    );
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_limit_of_its_own() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let all = (1..=4).map(|number| Own::of(number, ["a", "b"][number as usize % 2]));
    let all = tasks.kick_all(all).await.expect("kicked");
    let _at_work = house.employ(four(&board));
    for output in join_all(all.iter().map(|handle| handle.output().into_future())).await {
        output.expect("done");
    }
    assert_eq!(board.most(), 2);
}

#[tokio::test(start_paused = true)]
async fn starts_are_spaced_by_the_rate() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let begun = tokio::time::Instant::now();
    let all = tasks
        .kick_all((1..=6).map(|number| Paced::of(number, "a")))
        .await
        .expect("kicked");
    let _at_work = house.employ(four(&board));
    for output in join_all(all.iter().map(|handle| handle.output().into_future())).await {
        output.expect("done");
    }
    let took = begun.elapsed();
    assert!(
        took >= seconds(20) && took < seconds(30),
        "two at once, then one every five: {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_places_of_a_worker_that_died_come_back() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    // One that died took both places, and never left.
    let gate = Gate {
        name: "two:0".to_owned(),
        kind: GateKind::AtOnce(2),
    };
    for token in ["a", "b"] {
        let entered = tasks
            .ledger()
            .enter(std::slice::from_ref(&gate), token, seconds(9))
            .await;
        assert_eq!(entered.expect("answers"), Entry::Passed);
    }
    let begun = tokio::time::Instant::now();
    let handle = tasks.kick(Two::of(1, "a")).await.expect("kicked");
    let _survivor = house.employ(four(&board));
    assert_eq!(handle.output().await.expect("done"), 1);
    let took = begun.elapsed();
    assert!(took >= seconds(9) && took < seconds(14), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_heavy_task_takes_its_slots_and_gives_them_back() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let light = tasks.kick_all((1..=3).map(long)).await.expect("kicked");
    let at_work = house.employ(four(&board));
    board.until_started(3).await;
    let heavy = tasks
        .kick(Heavy::of(100, "a"))
        .priority(Priority::High)
        .await
        .expect("kicked");
    let after = tasks.kick_all((11..=14).map(short)).await.expect("kicked");
    assert_eq!(heavy.output().await.expect("done"), 100);
    for output in join_all(
        light
            .iter()
            .chain(&after)
            .map(|handle| handle.output().into_future()),
    )
    .await
    {
        output.expect("done");
    }
    let started = board.started();
    let place = started
        .iter()
        .position(|number| *number == 100)
        .expect("it ran");
    assert_eq!(
        place, 3,
        "it waits for the slots, and nothing overtakes it: {started:?}"
    );
    at_work.drained().await;
}

/// All of them, done; the numbers under `below` in the order in which they started.
async fn started_below<T: Task>(board: &Board, all: &[Handle<T>], below: u32) -> Vec<u32> {
    for output in join_all(all.iter().map(|handle| handle.output().into_future())).await {
        output.expect("done");
    }
    let started = board.started().into_iter();
    started.filter(|number| *number < below).collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_over_a_limit_wait_in_their_order_and_hold_nobody_up() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let begun = tokio::time::Instant::now();
    let limited = (0..1000).map(|number| Two::of(number, "a"));
    let limited = tasks.kick_all(limited).await.expect("kicked");
    let free = (2000..2010).map(short);
    let free = tasks.kick_all(free).await.expect("kicked");
    let at_work = house.employ(four(&board));
    started_below(&board, &free, 0).await;
    let waited = begun.elapsed();
    assert!(
        waited < seconds(2),
        "the unlimited start at once: {waited:?}"
    );

    let order = started_below(&board, &limited, 1000).await;
    assert_eq!(
        order,
        (0..1000).collect::<Vec<_>>(),
        "in the order of their kicks"
    );
    assert_eq!(board.runs(), 1010);
    let took = begun.elapsed();
    assert!(
        took < seconds(1003),
        "500 times two seconds, no gate idle: {took:?}"
    );
    at_work.drained().await;
    assert!(house.broker.is_empty());
    let rooms = tasks.ledger().rooms(QUEUE).await.expect("answers");
    assert!(rooms.is_empty(), "{rooms:?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_others_wait_in_a_room_goes_behind_them() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let first = (0..100).map(|number| Two::of(number, "a"));
    let mut all = tasks.kick_all(first).await.expect("kicked");
    let _at_work = house.employ(four(&board));
    board.until_started(10).await;
    let later = (100..120).map(|number| Two::of(number, "a"));
    all.extend(tasks.kick_all(later).await.expect("kicked"));
    let order = started_below(&board, &all, 1000).await;
    assert_eq!(order, (0..120).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_crowd_of_one_key_holds_up_no_other_key() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let crowd = (0..300).map(|number| Own::of(number, "crowd"));
    let crowd = tasks.kick_all(crowd).await.expect("kicked");
    let _at_work = house.employ(four(&board));
    board.until_started(1).await;
    let begun = tokio::time::Instant::now();
    let others = (1000..1005).map(|number| Own::of(number, "other"));
    let others = tasks.kick_all(others).await.expect("kicked");
    started_below(&board, &others, 0).await;
    let took = begun.elapsed();
    assert!(took < seconds(12), "five times two seconds: {took:?}");
    let order = started_below(&board, &crowd, 300).await;
    assert_eq!(order, (0..300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_before_the_gate_that_is_closed_and_before_no_other() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let begun = tokio::time::Instant::now();
    let crowd = (0..100).map(|number| Nested::of(number, "crowd"));
    let crowd = tasks.kick_all(crowd).await.expect("kicked");
    let others = (1000..1010).map(|number| Nested::of(number, &number.to_string()));
    let others = tasks.kick_all(others).await.expect("kicked");
    let _at_work = house.employ(four(&board));
    started_below(&board, &others, 0).await;
    let took = begun.elapsed();
    assert!(took < seconds(14), "two beside the crowd's one: {took:?}");
    let order = started_below(&board, &crowd, 100).await;
    assert_eq!(order, (0..100).collect::<Vec<_>>());
    assert_eq!(board.most(), 3);
    let took = begun.elapsed();
    assert!(
        took < seconds(204),
        "the crowd's own gate is never idle: {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_starts_later_takes_from_the_rooms_that_others_filled() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let all = (0..200).map(|number| Two::of(number, "a"));
    let all = tasks.kick_all(all).await.expect("kicked");
    let first = house.employ(four(&board));
    board.until_started(6).await;
    first.drained().await;
    let rooms = tasks.ledger().rooms(QUEUE).await.expect("answers");
    let waiting = house.broker.count_aside(&rooms).await.expect("answers");
    assert_eq!((rooms.len(), waiting.len()), (1, 1), "{waiting:?}");

    // Its ledger was lost, but the room of a limit without a key is looked into all the same.
    for lost in [false, true] {
        if lost {
            let room = *rooms.first().expect("one");
            tasks.ledger().empty_room(room).await.expect("answers");
        }
        let started = board.started().len();
        let next = house.employ(four(&board));
        board.until_started(started + 50).await;
        next.drained().await;
    }
    let _last = house.employ(four(&board));
    let mut order = started_below(&board, &all, 1000).await;
    assert_eq!(board.runs(), 200, "handed back is not run twice");
    let unsorted = order.clone();
    order.sort_unstable();
    assert_eq!(order, unsorted, "what was handed back kept its place");
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_room_is_cancelled_like_any_other() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let all = (0..80).map(|number| Own::of(number, "a"));
    let mut all = tasks.kick_all(all).await.expect("kicked");
    let _at_work = house.employ(four(&board));
    board.until_started(2).await;
    let cancelled = all.pop().expect("many");
    cancelled.cancel().await.expect("asked");
    let record = cancelled.into_any().record().await;
    assert!(failure(record.expect("it has an end")).is_cancelled());
    let order = started_below(&board, &all, 1000).await;
    assert_eq!(order, (0..79).collect::<Vec<_>>());
}

/// Two workers that are busy and idle in turn: nobody keeps what the other could start, and nothing goes round without an end.
#[tokio::test(start_paused = true)]
async fn several_workers_share_what_waits() {
    let (house, board) = (House::new(), Board::default());
    let tasks = house.tasks();
    let begun = tokio::time::Instant::now();
    let all = (0..400).map(|number| Two::of(number, "a"));
    let all = tasks.kick_all(all).await.expect("kicked");
    let one = || four(&board).slots(1);
    let workers = [house.employ(one()), house.employ(one())];
    let mut order = started_below(&board, &all, 1000).await;
    let took = begun.elapsed();
    assert!(took < seconds(420), "both work all the time: {took:?}");
    order.sort_unstable();
    assert_eq!(order, (0..400).collect::<Vec<_>>());
    for worker in workers {
        worker.drained().await;
    }
    assert!(house.broker.is_empty());
}
