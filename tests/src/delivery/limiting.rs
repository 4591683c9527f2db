//! Limits across workers, and slots that cost more than one.

use futures_util::future::join_all;
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
limited!(Heavy, heavy, "heavy", Policy::DEFAULT.slots(4));

fn four(board: &Board) -> Worker<Board> {
    let worker = Worker::new(QUEUE, board.clone()).slots(4);
    worker
        .task::<two>()
        .task::<own>()
        .task::<paced>()
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
