//! What operators see and do: reports, pauses, progress; and levels that age.

use sapari_runtime::broker::Broker;
use serde_json::json;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_worker_reports_what_it_runs_and_signs_off() {
    let (house, board) = (House::new(), Board::default());
    let at_work = house.employ(worker(&board));
    let ledger = house.tasks().ledger();
    let handle = house.tasks().kick(long(1)).await.expect("kicked");
    board.until_started(1).await;
    let mut seen = None;
    eventually("it reports", async || {
        let workers = ledger.workers().await.expect("answers");
        seen = workers
            .into_iter()
            .find(|report| !report.running.is_empty());
        seen.is_some()
    })
    .await;
    let report = seen.expect("it reported");
    assert_eq!(
        (report.queue.as_str(), report.slots, report.in_use),
        ("desk", 1, 1)
    );
    assert_eq!(report.running[0].id, *handle.id());
    assert_eq!(
        (report.running[0].task.as_str(), report.state.as_str()),
        ("work", "running")
    );
    at_work.drained().await;
    assert_eq!(ledger.workers().await.expect("answers"), []);
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_keeps_what_it_has_until_it_is_resumed() {
    let (house, board) = (House::new(), Board::default());
    let ledger = house.tasks().ledger();
    ledger.set_paused("desk", true).await.expect("answers");
    let at_work = house.employ(worker(&board));
    let first = house.tasks().kick(short(1)).await.expect("kicked");
    tokio::time::sleep(minutes(2)).await;
    assert_eq!(board.runs(), 0);
    let depth = house.broker.depth(QUEUE).await.expect("declared");
    assert_eq!(depth.consumers, [1; 4], "it stays registered");
    ledger.set_paused("desk", false).await.expect("answers");
    assert_eq!(first.output().await.expect("resumed"), 1);

    ledger.set_paused("desk", true).await.expect("answers");
    tokio::time::sleep(seconds(1)).await;
    let second = house.tasks().kick(short(2)).await.expect("kicked");
    tokio::time::sleep(minutes(1)).await;
    assert_eq!(board.runs(), 1, "paused while it ran");
    ledger.set_paused("desk", false).await.expect("answers");
    assert_eq!(second.output().await.expect("resumed"), 2);
    at_work.drained().await;
}

/// Says how far it is, often.
#[derive(Debug, Serialize, Deserialize)]
struct Chatty {}

impl Task for Chatty {
    const NAME: &'static str = "chatty";
    const QUEUE: Queue = QUEUE;
    type Output = ();
}

#[task]
async fn chatty(_args: Chatty, cx: TaskContext) -> TaskResult<()> {
    for step in 0..1000_u32 {
        cx.progress(f64::from(step) / 1000.0, json!({ "step": step }));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn progress_is_readable_while_it_runs_and_written_seldom() {
    let house = House::new();
    let _at_work = house.employ(Worker::new(QUEUE, ()).task::<chatty>());
    let handle = house.tasks().kick(Chatty {}).await.expect("kicked");
    let mut seen = Vec::new();
    while handle
        .output()
        .within(Duration::from_millis(100))
        .await
        .is_err()
    {
        seen.extend(handle.progress().await.expect("answers"));
    }
    seen.dedup();
    assert!(
        seen.len() > 5 && seen.len() <= 21,
        "{} written in 10 s",
        seen.len()
    );
    let fractions: Vec<f64> = seen
        .iter()
        .filter_map(|progress| progress.fraction())
        .collect();
    assert!(fractions.is_sorted(), "{fractions:?}");
    let last = seen.last().expect("some");
    assert_eq!(last.state, "STARTED");
    assert!(
        last.detail()
            .is_some_and(|detail| detail["step"].as_u64() > Some(900)),
        "{last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn levels_are_strict_unless_they_age() {
    for (aging, expected) in [(Duration::ZERO, 9), (seconds(3), 4)] {
        let (house, board) = (House::new(), Board::default());
        let tasks = house.tasks();
        for number in 1..=9 {
            let work = Work {
                number,
                millis: 1000,
            };
            tasks
                .kick(work)
                .priority(Priority::Urgent)
                .await
                .expect("kicked");
        }
        tasks
            .kick(short(100))
            .priority(Priority::Low)
            .await
            .expect("kicked");
        let at_work = house.employ(worker(&board).aging(aging));
        board.until_started(10).await;
        let place = board.started().iter().position(|number| *number == 100);
        let place = place.expect("it ran");
        assert!(
            place <= expected && place >= expected.min(3),
            "{aging:?}: {:?}",
            board.started()
        );
        at_work.drained().await;
    }
}
