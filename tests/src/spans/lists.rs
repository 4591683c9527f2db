//! Steps over a list: so many items at once, each tried by itself, and in a span of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sapari_runtime::pipeline::{Alone, Item, Pipeline, Skip, StepContext, StepOutcome, spec};
use tokio::time::{Instant, sleep};

use super::*;

/// Clips, each of which takes so many seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Clips {
    seconds: Vec<u32>,
    trouble: Option<(usize, Trouble)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Trouble {
    FailsOnce,
    Fails,
    HasNothingToDo,
    HangsOnce,
    Hangs,
}

impl Task for Clips {
    const NAME: &'static str = "clips";
    const QUEUE: Queue = QUEUE;
    type Output = Vec<u32>;
}

/// How often an item was begun.
type Begun = Arc<AtomicU32>;
type Cx = StepContext<Clips, Begun>;

async fn list(cx: Cx) -> TaskResult<Vec<u32>> {
    Ok(cx.task().seconds.clone())
}

async fn probe(cx: Cx, clip: Item<u32>, all: Arc<Vec<u32>>) -> TaskResult<u32> {
    assert_eq!(all[clip.index()], *clip);
    cx.deps().fetch_add(1, Ordering::Relaxed);
    sleep(seconds(u64::from(*clip))).await;
    match cx.task().trouble {
        Some((index, trouble)) if index == clip.index() => match trouble {
            Trouble::FailsOnce if cx.step_attempt() > 1 => Ok(*clip * 10),
            Trouble::FailsOnce => Err("not yet".into()),
            Trouble::Fails => Err("broken").permanent(),
            Trouble::HangsOnce if cx.step_attempt() > 1 => Ok(*clip * 10),
            Trouble::HangsOnce | Trouble::Hangs => std::future::pending().await,
            Trouble::HasNothingToDo => Err(Skip::because("it is empty").into()),
        },
        _ => Ok(*clip * 10),
    }
}

fn probing() -> Pipeline<Clips, Begun, Vec<u32>> {
    let mut p = Pipeline::builder("desk");
    let clips = p.step("list", (), list);
    p.keep(clips);
    let quick = Backoff::exponential(Duration::ZERO, Duration::ZERO);
    let each = spec("probe").max_parallel(2).attempts(2).backoff(quick);
    let each = each.timeout(seconds(20));
    let probed = p.for_each(each, clips, (clips,), probe);
    p.keep_each(probed);
    p.output(probed)
}

async fn run(
    message: &Alone,
    seconds: &[u32],
    trouble: Option<(usize, Trouble)>,
) -> (String, Result<Vec<u32>, String>, u32) {
    let (collector, _default) = Collector::scoped();
    let (pipeline, begun) = (probing(), Begun::default());
    let clips = Clips {
        seconds: seconds.to_vec(),
        trouble,
    };
    let done = pipeline
        .run(&message.cx::<Clips>(), Arc::clone(&begun), clips)
        .await;
    let tree = collector.tree(&TreeStyle::for_tests(ATTRIBUTES));
    let done = done.map_err(|error| error.sentence());
    (tree, done, begun.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn items_run_side_by_side_in_spans_of_their_own_and_keep_their_order() {
    let begun = Instant::now();
    let trouble = Some((1, Trouble::FailsOnce));
    let (tree, done, _) = run(&Alone::new(), &[3, 1, 1, 2], trouble).await;
    // The first runs for 3 s; beside it 1 + 1 and 1; then the last 2 s.
    assert_eq!(begun.elapsed(), seconds(5));
    assert_eq!(done, Ok(vec![30, 10, 10, 20]));
    assert_tree(
        &tree,
        r#"
desk.pipeline  pipeline.outcome=done pipeline.critical_path=list,probe
├─ step.list  step.depends_on= step.attempt=1 step.outcome=done
└─ step.probe  step.depends_on=list,list step.attempt=1 step.items=4 step.outcome=done
   ├─ step.probe  step.depends_on=list,list step.attempt=1 step.index=0 step.outcome=done
   ├─ step.probe  step.depends_on=list,list step.attempt=1 step.index=1 step.outcome=failed  ✗ Error: not yet
   ├─ step.probe  step.depends_on=list,list step.attempt=2 step.index=1 step.outcome=done
   ├─ step.probe  step.depends_on=list,list step.attempt=1 step.index=2 step.outcome=done
   └─ step.probe  step.depends_on=list,list step.attempt=1 step.index=3 step.outcome=done
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn an_item_that_fails_ends_the_others_and_those_that_were_done_are_resumed() {
    let message = Alone::new();
    let trouble = Some((2, Trouble::Fails));
    let (tree, done, begun) = run(&message, &[1, 9, 1, 1], trouble).await;
    assert_eq!(begun, 3);
    let error = done.expect_err("broken");
    assert_eq!(error, "step `probe` failed: item 2 of 4: broken");
    assert!(
        tree.contains("step.index=1 step.outcome=cancelled"),
        "{tree}"
    );

    let (tree, done, begun) = run(&message, &[1, 9, 1, 1], trouble).await;
    assert!(done.is_err());
    assert_eq!(begun, 2, "neither the list nor the first item again");
    assert!(tree.contains("step.index=0 step.outcome=resumed"), "{tree}");

    let (_, done, begun) = run(&message, &[1, 9, 1, 1], None).await;
    assert_eq!(
        (done, begun),
        (Ok(vec![10, 90, 10, 10]), 4),
        "other args: nothing is resumed"
    );
}

#[tokio::test(start_paused = true)]
async fn an_item_with_nothing_to_do_is_left_out() {
    let trouble = Some((0, Trouble::HasNothingToDo));
    let (_, done, _) = run(&Alone::new(), &[1, 2], trouble).await;
    assert_eq!(done, Ok(vec![20]));
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_done_at_once() {
    let (_, done, begun) = run(&Alone::new(), &[], None).await;
    assert_eq!((done, begun), (Ok(Vec::new()), 0));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_done_is_resumed_whole() {
    let message = Alone::new();
    let pipeline = probing();
    let clips = Clips {
        seconds: vec![1, 2],
        trouble: None,
    };
    for expected in [StepOutcome::Done, StepOutcome::Resumed] {
        let cx = message.cx::<Clips>();
        let report = pipeline
            .run_reported(&cx, Begun::default(), clips.clone())
            .await;
        assert_eq!(report.outcome("probe"), Some(expected));
        assert_eq!(report.output.expect("done"), [10, 20]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_timeout_is_one_items_and_not_the_lists() {
    let begun = Instant::now();
    let trouble = Some((1, Trouble::HangsOnce));
    let (tree, done, _) = run(&Alone::new(), &[15, 1, 15, 15], trouble).await;
    // One place: 15 + 15; the other: cut off after 20, then 1 + 15.
    assert_eq!(begun.elapsed(), seconds(36), "longer than any timeout");
    assert_eq!(done, Ok(vec![150, 10, 150, 150]));
    let cut_off =
        "step.index=1 step.outcome=timeout  ✗ Timeout: took longer than its timeout of 20s";
    assert_eq!(tree.matches("step.outcome=timeout").count(), 1, "{tree}");
    assert!(tree.contains(cut_off), "{tree}");
}

#[tokio::test(start_paused = true)]
async fn an_item_that_hangs_at_each_attempt_ends_the_list_and_says_which_it_was() {
    let begun = Instant::now();
    let trouble = Some((1, Trouble::Hangs));
    let (tree, done, _) = run(&Alone::new(), &[1, 1, 19, 19], trouble).await;
    assert_eq!(begun.elapsed(), seconds(40), "two attempts");
    let error = done.expect_err("cut off");
    let expected = "step `probe` failed: item 1 of 4: took longer than its timeout of 20s";
    assert_eq!(error, expected);
    assert_eq!(tree.matches("step.outcome=timeout").count(), 3, "{tree}");
    let dropped = "step.index=3 step.outcome=done";
    assert!(tree.contains(dropped), "{tree}");
}
