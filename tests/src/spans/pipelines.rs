//! Trees and timing of pipelines: steps start when their own inputs are ready, a failure ends its siblings at once.

use std::sync::Arc;

use sapari_runtime::pipeline::{Alone, Pipeline, StepContext, spec};
use tokio::time::{Instant, sleep};

use super::*;

/// A diamond: one second, then five and three side by side, then a sum.
#[derive(Debug, Serialize, Deserialize)]
struct Diamond {
    trouble: Option<Trouble>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Trouble {
    LeftFailsOnce,
    RightFails,
    LeftHangs,
}

impl Task for Diamond {
    const NAME: &'static str = "diamond";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.attempts(1);
    type Output = u32;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        vec![("project", "p1".to_owned())]
    }
}

/// How often the left step has run.
#[derive(Clone, Default)]
struct LeftRuns(Arc<std::sync::atomic::AtomicU32>);

type Cx = StepContext<Diamond, LeftRuns>;

async fn top(_cx: Cx) -> TaskResult<u32> {
    sleep(seconds(1)).await;
    Ok(1)
}

async fn left(cx: Cx, top: Arc<u32>) -> TaskResult<u32> {
    let run = cx
        .deps()
        .0
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    sleep(seconds(5)).await;
    match cx.task().trouble {
        Some(Trouble::LeftFailsOnce) if run == 0 => Err("the first try".into()),
        Some(Trouble::LeftHangs) => std::future::pending().await,
        _ => Ok(*top + 10),
    }
}

async fn right(cx: Cx, top: Arc<u32>) -> TaskResult<u32> {
    sleep(seconds(3)).await;
    if cx.task().trouble == Some(Trouble::RightFails) {
        return Err("no right").permanent();
    }
    Ok(*top + 100)
}

async fn sum(_cx: Cx, left: Arc<u32>, right: Arc<u32>) -> TaskResult<u32> {
    Ok(*left + *right)
}

fn pipeline() -> Pipeline<Diamond, LeftRuns, u32> {
    let mut p = Pipeline::builder("desk");
    let top = p.step("top", (), top);
    let quick = Backoff::exponential(Duration::ZERO, Duration::ZERO);
    let left = p.step(
        spec("left").attempts(2).timeout(seconds(20)).backoff(quick),
        (top,),
        left,
    );
    let right = p.step("right", (top,), right);
    let sum = p.step("sum", (left, right), sum);
    p.output(sum)
}

#[task]
async fn diamond(args: Diamond, cx: TaskContext, State(runs): State<LeftRuns>) -> TaskResult<u32> {
    pipeline().run(&cx, runs, args).await
}

/// The tree, what the task came to, and how long it took.
async fn run(trouble: Option<Trouble>) -> (String, Result<u32, String>, Duration) {
    let (mut result, mut took) = (Err(String::new()), Duration::ZERO);
    let worker = Worker::new(QUEUE, LeftRuns::default()).task::<diamond>();
    let tree = tree(worker, async |tasks, _| {
        let begun = Instant::now();
        let handle = tasks.kick(Diamond { trouble }).await.expect("kicked");
        result = handle.output().await.map_err(|error| error.to_string());
        took = begun.elapsed();
    })
    .await;
    (tree, result, took)
}

#[tokio::test(start_paused = true)]
async fn a_diamond_takes_as_long_as_its_longer_side() {
    let (tree, result, took) = run(None).await;
    assert_eq!((result, took), (Ok(112), seconds(6)));
    assert_tree(
        &tree,
        r#"
publish diamond [producer]
└─ taskiq.diamond [consumer]  taskiq.attempt=1 taskiq.outcome=done project=p1
   └─ desk.pipeline  pipeline.outcome=done pipeline.critical_path=top,left,sum project=p1
      ├─ step.top  step.depends_on= step.attempt=1 step.outcome=done project=p1
      ├─ step.left  step.depends_on=top step.attempt=1 step.outcome=done project=p1
      ├─ step.right  step.depends_on=top step.attempt=1 step.outcome=done project=p1
      └─ step.sum  step.depends_on=left,right step.attempt=1 step.outcome=done project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_once_is_tried_again_alone() {
    let (tree, result, took) = run(Some(Trouble::LeftFailsOnce)).await;
    assert_eq!((result, took), (Ok(112), seconds(11)));
    assert_tree(
        &tree,
        r#"
publish diamond [producer]
└─ taskiq.diamond [consumer]  taskiq.attempt=1 taskiq.outcome=done project=p1
   └─ desk.pipeline  pipeline.outcome=done pipeline.critical_path=top,left,sum project=p1
      ├─ step.top  step.depends_on= step.attempt=1 step.outcome=done project=p1
      ├─ step.left  step.depends_on=top step.attempt=1 step.outcome=failed project=p1  ✗ Error: the first try
      ├─ step.right  step.depends_on=top step.attempt=1 step.outcome=done project=p1
      ├─ step.left  step.depends_on=top step.attempt=2 step.outcome=done project=p1
      └─ step.sum  step.depends_on=left,right step.attempt=1 step.outcome=done project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_cancels_its_siblings_at_once_and_is_named() {
    let (tree, result, took) = run(Some(Trouble::RightFails)).await;
    assert_eq!(took, seconds(4));
    assert_eq!(
        result,
        Err("the task failed: step `right` failed: no right".to_owned())
    );
    assert_tree(
        &tree,
        r#"
publish diamond [producer]
└─ taskiq.diamond [consumer]  taskiq.attempt=1 taskiq.outcome=dead project=p1  ✗ Error: step `right` failed: no right
   └─ desk.pipeline  pipeline.outcome=failed pipeline.critical_path=top,right pipeline.failed_steps=right project=p1  ✗ Error: step `right` failed: no right
      ├─ step.top  step.depends_on= step.attempt=1 step.outcome=done project=p1
      ├─ step.left  step.depends_on=top step.attempt=1 step.outcome=cancelled project=p1  ✗ cancelled: dropped before its end
      └─ step.right  step.depends_on=top step.attempt=1 step.outcome=failed project=p1  ✗ Error: no right
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_that_hangs_is_cut_off_at_its_timeout() {
    let (tree, result, took) = run(Some(Trouble::LeftHangs)).await;
    assert_eq!(took, seconds(41));
    assert_eq!(
        result,
        Err("the task failed: step `left` failed: took longer than its timeout of 20s".to_owned())
    );
    assert_tree(
        &tree,
        r#"
publish diamond [producer]
└─ taskiq.diamond [consumer]  taskiq.attempt=1 taskiq.outcome=dead project=p1  ✗ Timeout: step `left` failed: took longer than its timeout of 20s
   └─ desk.pipeline  pipeline.outcome=failed pipeline.critical_path=top,left pipeline.failed_steps=left project=p1  ✗ Timeout: step `left` failed: took longer than its timeout of 20s
      ├─ step.top  step.depends_on= step.attempt=1 step.outcome=done project=p1
      ├─ step.left  step.depends_on=top step.attempt=1 step.outcome=timeout project=p1  ✗ Timeout: took longer than its timeout of 20s
      ├─ step.right  step.depends_on=top step.attempt=1 step.outcome=done project=p1
      └─ step.left  step.depends_on=top step.attempt=2 step.outcome=timeout project=p1  ✗ Timeout: took longer than its timeout of 20s
"#,
    );
}

/// Ten seconds of work in three ranks: one that waited for the whole rank before it would take max(1, 5) + 3 + 3 = 11.
fn ragged() -> Pipeline<Diamond, LeftRuns, u32> {
    async fn takes<const SECONDS: u64>(_cx: Cx) -> TaskResult<u32> {
        sleep(seconds(SECONDS)).await;
        Ok(1)
    }
    async fn follows(_cx: Cx, before: Arc<u32>) -> TaskResult<u32> {
        sleep(seconds(3)).await;
        Ok(*before + 1)
    }
    let mut p = Pipeline::builder("desk");
    let first = p.step("first", (), takes::<1>);
    let second = p.step("second", (first,), follows);
    let third = p.step("third", (second,), follows);
    let beside = p.step("beside", (), takes::<5>);
    let joined = p.step("joined", (third, beside), sum);
    p.output(joined)
}

#[tokio::test(start_paused = true)]
async fn a_step_waits_for_its_own_inputs_only() {
    let begun = Instant::now();
    let cx = Alone::new().cx::<Diamond>();
    let args = Diamond { trouble: None };
    let report = ragged().run_reported(&cx, LeftRuns::default(), args).await;
    assert_eq!(begun.elapsed(), seconds(7), "not 11: there is no barrier");
    assert_eq!(report.critical_path, ["first", "second", "third", "joined"]);
    assert_eq!(report.output.expect("joined"), 4);
}
