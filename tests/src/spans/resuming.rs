//! Another attempt at a message goes on where the one before it ended: what was kept is resumed, as long as it was made from the
//! same and still holds, and nothing of it is left when the message has come to its end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use sapari_runtime::pipeline::{
    Alone, FileDepot, OnError, Pipeline, Report, StepContext, StepOutcome, spec,
};
use tokio::time::sleep;

use super::*;

/// A video that is fetched, cut and stored. Storing fails until somebody clears the way.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cut {
    clip: String,
}

impl Task for Cut {
    const NAME: &'static str = "cut";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT
        .attempts(3)
        .backoff(Backoff::exponential(seconds(1), seconds(1)));
    type Output = String;
}

/// What a machine has: files in scratch that are there, and what fails on it.
#[derive(Clone, Default)]
struct Machine {
    files: Arc<Mutex<Vec<String>>>,
    failures: Arc<AtomicU32>,
    optional_fails: Arc<AtomicU32>,
}

impl Machine {
    fn failing(times: u32) -> Self {
        let machine = Self::default();
        machine.failures.store(times, Ordering::Relaxed);
        machine
    }

    fn has(&self, file: &str) -> bool {
        self.files
            .lock()
            .expect("not poisoned")
            .iter()
            .any(|own| own == file)
    }

    fn write(&self, file: &str) -> String {
        self.files
            .lock()
            .expect("not poisoned")
            .push(file.to_owned());
        file.to_owned()
    }
}

fn once_less(left: &AtomicU32) -> bool {
    let less = |left: u32| left.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

type Cx = StepContext<Cut, Machine>;

async fn probe(cx: Cx) -> TaskResult<usize> {
    sleep(seconds(1)).await;
    Ok(cx.task().clip.len())
}

async fn fetch(cx: Cx, _probed: Arc<usize>) -> TaskResult<String> {
    sleep(seconds(10)).await;
    Ok(cx.deps().write("clip"))
}

async fn name(cx: Cx) -> TaskResult<String> {
    match once_less(&cx.deps().optional_fails) {
        true => Err("no name").permanent(),
        false => Ok("holiday".to_owned()),
    }
}

async fn apply(_cx: Cx, clip: Arc<String>, name: Option<Arc<String>>) -> TaskResult<String> {
    sleep(seconds(60)).await;
    let name = name.map_or("unnamed", |name| if name.is_empty() { "" } else { "named" });
    Ok(format!("{clip}, cut, {name}"))
}

async fn store(cx: Cx, cut: Arc<String>) -> TaskResult<String> {
    match once_less(&cx.deps().failures) {
        true => Err("the storage is full".into()),
        false => Ok(cut.to_string()),
    }
}

fn cutting(version: u32) -> Pipeline<Cut, Machine, String> {
    let mut p = Pipeline::builder("desk");
    p.version(version);
    let probed = p.step("probe", (), probe);
    p.keep(probed);
    let clip = p.step("fetch", (probed,), fetch);
    p.keep_while(clip, |cx: &Cx, clip: &String| cx.deps().has(clip));
    let name = p.step(spec("name").on_error(OnError::Continue), (), name);
    let cut = p.step("apply", (clip, name.optional()), apply);
    p.keep(cut);
    let stored = p.step("store", (cut,), store);
    p.output(stored)
}

#[task]
async fn cut(args: Cut, cx: TaskContext, State(machine): State<Machine>) -> TaskResult<String> {
    cutting(1).run(&cx, machine, args).await
}

fn clip() -> Cut {
    let clip = "interview".to_owned();
    Cut { clip }
}

async fn attempt(message: &Alone, version: u32, machine: &Machine) -> Report<String> {
    let (pipeline, cx) = (cutting(version), message.cx::<Cut>());
    pipeline.run_reported(&cx, machine.clone(), clip()).await
}

fn outcomes(report: &Report<String>) -> Vec<&'static str> {
    report
        .steps
        .iter()
        .map(|step| step.outcome.as_str())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_on_where_the_attempt_before_it_failed() {
    let machine = Machine::failing(1);
    let worker = Worker::new(QUEUE, machine).task::<cut>();
    let tree = tree(worker, async |tasks, _| {
        let handle = tasks.kick(clip()).await.expect("kicked");
        let output = handle.output().await.expect("done in the end");
        assert_eq!(output, "clip, cut, named");
        assert_eq!(kept(tasks, &handle).await, 0, "nothing is left");
    })
    .await;
    assert_tree(
        &tree,
        r#"
publish cut [producer]
├─ taskiq.cut [consumer]  taskiq.attempt=1 taskiq.outcome=retry  ✗ Error: step `store` failed: the storage is full
│  └─ desk.pipeline  pipeline.outcome=failed pipeline.critical_path=probe,fetch,apply,store pipeline.failed_steps=store  ✗ Error: step `store` failed: the storage is full
│     ├─ step.probe  step.depends_on= step.attempt=1 step.outcome=done
│     ├─ step.name  step.depends_on= step.attempt=1 step.outcome=done
│     ├─ step.fetch  step.depends_on=probe step.attempt=1 step.outcome=done
│     ├─ step.apply  step.depends_on=fetch,name step.attempt=1 step.outcome=done
│     └─ step.store  step.depends_on=apply step.attempt=1 step.outcome=failed  ✗ Error: the storage is full
└─ taskiq.cut [consumer]  taskiq.attempt=2 taskiq.outcome=done
   └─ desk.pipeline  pipeline.outcome=done pipeline.critical_path=store
      ├─ step.probe  step.depends_on= step.attempt=0 step.outcome=resumed
      ├─ step.fetch  step.depends_on=probe step.attempt=0 step.outcome=resumed
      ├─ step.name  step.depends_on= step.attempt=0 step.outcome=skipped step.reason=all that need it were finished before
      ├─ step.apply  step.depends_on=fetch,name step.attempt=0 step.outcome=resumed
      └─ step.store  step.depends_on=apply step.attempt=1 step.outcome=done
"#,
    );
}

/// Of how many steps something is kept.
async fn kept<T: Task>(tasks: &Tasks, handle: &Handle<T>) -> usize {
    let kept = tasks.ledger().kept_steps(handle.id(), minutes(1)).await;
    kept.expect("answers").len()
}

#[tokio::test(start_paused = true)]
async fn what_ends_dead_leaves_nothing_behind() {
    let worker = Worker::new(QUEUE, Machine::failing(9)).task::<cut>();
    tree(worker, async |tasks, running| {
        let handle = tasks.kick(clip()).await.expect("kicked");
        assert!(handle.output().await.is_err());
        dead_letters(running, 1).await;
        eventually("nothing is kept", async || kept(tasks, &handle).await == 0).await;
    })
    .await;
}

/// Begins as the others do, and has something better the next time.
#[task]
async fn cut_once(
    args: Cut,
    cx: TaskContext,
    State(machine): State<Machine>,
) -> TaskResult<String> {
    match cx.attempt() {
        1 => cutting(1).run(&cx, machine, args).await,
        _ => Ok("found elsewhere".to_owned()),
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_left_is_cleared_by_one_that_did_not_look_for_it() {
    let worker = Worker::new(QUEUE, Machine::failing(1)).task::<cut_once>();
    tree(worker, async |tasks, _| {
        let handle = tasks.kick(clip()).await.expect("kicked");
        eventually("something is kept", async || {
            kept(tasks, &handle).await >= 3
        })
        .await;
        let output = handle.output().await.expect("done");
        assert_eq!(output, "found elsewhere");
        eventually("nothing is kept", async || kept(tasks, &handle).await == 0).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_while_it_waits_leaves_nothing_behind() {
    let worker = Worker::new(QUEUE, Machine::failing(1)).task::<cut>();
    tree(worker, async |tasks, _| {
        let handle = tasks.kick(clip()).await.expect("kicked");
        eventually("something is kept", async || {
            kept(tasks, &handle).await >= 3
        })
        .await;
        handle.cancel().await.expect("told");
        assert!(handle.output().await.is_err());
        eventually("nothing is kept", async || kept(tasks, &handle).await == 0).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_machine_makes_again_only_what_it_needs_and_lacks() {
    let (message, here, there) = (Alone::new(), Machine::failing(1), Machine::default());
    let first = attempt(&message, 1, &here).await;
    assert_eq!(outcomes(&first), ["done", "done", "done", "done", "failed"]);
    let second = attempt(&message.elsewhere(), 1, &there).await;
    // The clip is not there, and nobody needs it: the cut was kept.
    let expected = ["resumed", "skipped", "skipped", "resumed", "done"];
    assert_eq!(outcomes(&second), expected);

    // A worker that died in the midst of the cut.
    let (message, here) = (Alone::new(), Machine::default());
    let cut_off = tokio::time::timeout(seconds(30), attempt(&message, 1, &here)).await;
    assert!(cut_off.is_err());
    let same = attempt(&message.elsewhere(), 1, &here).await;
    assert_eq!(
        outcomes(&same),
        ["resumed", "resumed", "done", "done", "done"]
    );
    message.end().await;
    let cut_off = tokio::time::timeout(seconds(30), attempt(&message, 1, &here)).await;
    assert!(cut_off.is_err());
    let other = attempt(&message.elsewhere(), 1, &there).await;
    assert_eq!(
        outcomes(&other),
        ["resumed", "done", "done", "done", "done"]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_resumed_of_another_version_message_or_args() {
    let (message, machine) = (Alone::new(), Machine::failing(2));
    attempt(&message, 1, &machine).await;
    let later = attempt(&message, 2, &machine).await;
    assert_eq!(later.outcome("probe"), Some(StepOutcome::Done));
    machine.failures.store(3, Ordering::Relaxed);
    let again = attempt(&message, 2, &machine).await;
    assert_eq!(again.outcome("probe"), Some(StepOutcome::Resumed));
    let other = attempt(&Alone::new(), 2, &machine).await;
    assert_eq!(other.outcome("probe"), Some(StepOutcome::Done));
    let args = Cut {
        clip: "other".to_owned(),
    };
    let pipeline = cutting(2);
    let other = pipeline
        .run_reported(&message.cx::<Cut>(), machine, args)
        .await;
    assert_eq!(other.outcome("probe"), Some(StepOutcome::Done));
}

#[tokio::test(start_paused = true)]
async fn what_was_made_without_an_optional_input_is_made_again_with_it() {
    let (message, machine) = (Alone::new(), Machine::failing(2));
    machine.optional_fails.store(2, Ordering::Relaxed);
    let first = attempt(&message, 1, &machine).await;
    assert_eq!(
        outcomes(&first),
        ["done", "done", "failed", "done", "failed"]
    );
    // It fails again, so that the cut is the same.
    let second = attempt(&message, 1, &machine).await;
    assert_eq!(
        outcomes(&second),
        ["resumed", "resumed", "failed", "resumed", "failed"]
    );
    let third = attempt(&message, 1, &machine).await;
    assert_eq!(
        outcomes(&third),
        ["resumed", "resumed", "done", "done", "done"]
    );
    assert_eq!(third.output.expect("done"), "clip, cut, named");
}

#[tokio::test]
async fn large_outputs_lie_in_the_depot() {
    async fn large(_cx: StepContext<Cut, ()>) -> TaskResult<String> {
        Ok("x".repeat(300_000))
    }
    async fn fails(_cx: StepContext<Cut, ()>, large: Arc<String>) -> TaskResult<usize> {
        Err(format!("{} bytes", large.len()).into())
    }
    let mut p = Pipeline::builder("desk");
    let large = p.step("large", (), large);
    p.keep(large);
    let fails = p.step("fails", (large,), fails);
    let pipeline = p.output(fails);
    let root = std::env::temp_dir().join(format!("depot-{}", uuid::Uuid::new_v4()));
    let message = Alone::new().with_depot(FileDepot::in_dir(&root));
    for expected in [StepOutcome::Done, StepOutcome::Resumed] {
        let report = pipeline
            .run_reported(&message.cx::<Cut>(), (), clip())
            .await;
        assert_eq!(report.outcome("large"), Some(expected));
        let error = report.output.expect_err("fails").sentence();
        assert_eq!(error, "step `fails` failed: 300000 bytes");
    }
    let kept = message.ledger().kept_steps(message.id(), minutes(1)).await;
    let bytes: usize = kept.expect("answers").values().map(Vec::len).sum();
    assert!(bytes < 1000, "{bytes}");
    message.end().await;
    let left = std::fs::read_dir(&root).expect("made").count();
    assert_eq!(left, 0);
    std::fs::remove_dir_all(root).expect("removed");
}

#[tokio::test(start_paused = true)]
async fn how_the_last_run_went_is_known() {
    let message = Alone::new();
    assert_eq!(message.last_run("desk").await, None);
    attempt(&message, 1, &Machine::default()).await;
    let last = message.last_run("desk").await.expect("written down");
    assert_eq!(last.critical_path, ["probe", "fetch", "apply", "store"]);
    assert_eq!((last.seconds, last.steps["fetch"]), (71.0, 10.0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_failed_or_was_resumed_is_no_whole_one() {
    let (message, machine) = (Alone::new(), Machine::failing(1));
    attempt(&message, 1, &machine)
        .await
        .output
        .expect_err("full");
    assert_eq!(message.last_run("desk").await, None);
    let second = attempt(&message, 1, &machine).await;
    second.output.as_ref().expect("stored");
    assert_eq!(second.outcome("apply"), Some(StepOutcome::Resumed));
    assert_eq!(message.last_run("desk").await, None);
}
