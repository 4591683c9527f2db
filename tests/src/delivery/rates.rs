//! Rates, to the moment: so many starts in a period, and never more in any stretch of time as long as it.

use sapari_runtime::ledger::{Entry, Gate, GateKind};
use tokio::sync::watch;
use tokio::time::{Instant, advance};

use super::*;

const STARTS: u32 = 3;
const PERIOD: Duration = seconds(10);

/// Notes when it starts.
#[derive(Debug, Serialize, Deserialize)]
struct Tick {
    number: u32,
}

impl Task for Tick {
    const NAME: &'static str = "tick";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.limit(Limit::rate(STARTS, PERIOD));
    type Output = ();
}

#[derive(Clone, Default)]
struct Clock(Arc<watch::Sender<Vec<Instant>>>);

#[task]
async fn tick(_args: Tick, State(clock): State<Clock>) -> TaskResult<()> {
    clock.0.send_modify(|starts| starts.push(Instant::now()));
    Ok(())
}

/// The most starts in any stretch as long as the period, the moment of its end not included.
fn most_in_a_period(starts: &[Instant]) -> usize {
    let within = |from: &Instant| {
        let rest = starts.iter().filter(|start| *start >= from);
        rest.take_while(|start| **start < *from + PERIOD).count()
    };
    starts.iter().map(within).max().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_backlog_starts_so_many_in_a_period_and_no_more_in_any() {
    let (house, clock) = (House::new(), Clock::default());
    let worker = || Worker::new(QUEUE, clock.clone()).task::<tick>().slots(4);
    let workers = [house.employ(worker()), house.employ(worker())];
    let begun = Instant::now();
    let tasks = house.tasks();
    let kicked = tasks.kick_all((0..20).map(|number| Tick { number })).await;
    for handle in kicked.expect("kicked") {
        handle.output().await.expect("done");
    }
    let starts = clock.0.borrow().clone();
    assert_eq!(starts.len(), 20);
    assert_eq!(most_in_a_period(&starts), 3, "{starts:?}");
    // The twentieth is in the seventh period: nothing is started later than it might be, either.
    let took = begun.elapsed();
    assert!(
        took >= PERIOD * 6 && took < PERIOD * 6 + seconds(3),
        "{took:?}"
    );
    for worker in workers {
        worker.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_slides_it_does_not_begin_anew_at_the_turn_of_a_period() {
    let ledger = House::new().tasks().ledger();
    let kind = GateKind::Rate {
        starts: STARTS,
        per: PERIOD,
    };
    let gate = [Gate {
        name: "tick:0".to_owned(),
        kind,
    }];
    let enter = async |token: &str| {
        let entry = ledger.enter(&gate, token, seconds(9)).await;
        entry.expect("answers")
    };
    assert_eq!(enter("a").await, Entry::Passed);
    advance(seconds(9)).await;
    for token in ["b", "c"] {
        assert_eq!(enter(token).await, Entry::Passed);
    }
    assert_eq!(
        enter("d").await,
        Entry::Wait {
            after: seconds(1),
            gate: 0
        }
    );
    advance(seconds(1)).await;
    assert_eq!(
        enter("d").await,
        Entry::Passed,
        "the first one is old enough"
    );
    let next = Entry::Wait {
        after: seconds(9),
        gate: 0,
    };
    assert_eq!(enter("e").await, next, "the two of just before still count");
    advance(seconds(9) - Duration::from_nanos(1)).await;
    assert_eq!(
        enter("e").await,
        Entry::Wait {
            after: Duration::from_nanos(1),
            gate: 0
        }
    );
}
