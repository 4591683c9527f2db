//! What the end of a step means for the others: passed over, skipped, ended early, bounded, called off.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use sapari_runtime::error::ErrorKind;
use sapari_runtime::pipeline::{
    Alone, OnError, Pipeline, Skip, StepContext, StepFailure, StepOutcome, spec,
};
use tokio::time::{Instant, sleep};

use super::*;

/// A clip that is heard, put into words, and cut: what Sapari's analysis looks like.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Listen {
    improving_fails: bool,
    hearing_fails: bool,
    no_endpoint: bool,
    snoozes: bool,
    nothing_to_do: bool,
}

impl Task for Listen {
    const NAME: &'static str = "listen";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.attempts(1);
    type Output = Edits;
}

/// What it came to, and what failed on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Edits {
    cuts: u32,
    words: Option<String>,
    failures: Vec<StepFailure>,
}

type Cx = StepContext<Listen, ()>;

async fn load(cx: Cx) -> TaskResult<ControlFlow<Edits, u32>> {
    sleep(seconds(1)).await;
    if cx.task().nothing_to_do {
        let (cuts, words, failures) = (0, None, Vec::new());
        return Ok(ControlFlow::Break(Edits {
            cuts,
            words,
            failures,
        }));
    }
    Ok(ControlFlow::Continue(7))
}

async fn quiet(cx: Cx, audio: Arc<u32>) -> TaskResult<u32> {
    sleep(seconds(5)).await;
    match cx.task().hearing_fails {
        true => Err("no sound").permanent(),
        false => Ok(*audio),
    }
}

async fn improve(cx: Cx, _audio: Arc<u32>) -> TaskResult<String> {
    sleep(seconds(2)).await;
    if cx.task().no_endpoint {
        return Err(Skip::because("no endpoint is configured").into());
    }
    if cx.task().snoozes {
        return Err("later").snooze(minutes(1));
    }
    match cx.task().improving_fails {
        true => Err("the model refused").permanent(),
        false => Ok("Hello.".to_owned()),
    }
}

async fn censor(_cx: Cx, words: Arc<String>) -> TaskResult<String> {
    Ok(words.to_lowercase())
}

async fn create(cx: Cx, quiet: Arc<u32>, words: Option<Arc<String>>) -> TaskResult<Edits> {
    Ok(Edits {
        cuts: *quiet,
        words: words.map(|words| words.to_string()),
        failures: cx.failures(),
    })
}

fn listening() -> Pipeline<Listen, (), Edits> {
    let mut p = Pipeline::builder("desk");
    p.on_error(OnError::Continue);
    let audio = p.step_or_end(spec("load").on_error(OnError::Stop), (), load);
    let quiet = p.step("quiet", (audio,), quiet);
    let improved = p.step(spec("improve").attempts(3), (audio,), improve);
    let censored = p.step("censor", (improved,), censor);
    let edits = p.step("create", (quiet, censored.optional()), create);
    p.output(edits)
}

#[task]
async fn listen(args: Listen, cx: TaskContext) -> TaskResult<Edits> {
    listening().run(&cx, (), args).await
}

/// The tree below the attempt's span, and what the task came to.
async fn run(args: Listen) -> (String, Result<Edits, String>) {
    let mut result = Err(String::new());
    let worker = Worker::new(QUEUE, ()).task::<listen>();
    let tree = tree(worker, async |tasks, _| {
        let handle = tasks.kick(args).await.expect("kicked");
        result = handle.output().await.map_err(|error| error.to_string());
    })
    .await;
    (tree, result)
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_passed_over_and_named_in_the_output_and_on_the_spans() {
    let (tree, result) = run(Listen {
        improving_fails: true,
        ..Listen::default()
    })
    .await;
    let edits = result.expect("there is an output");
    let failure = StepFailure {
        step: "improve".to_owned(),
        error: "the model refused".to_owned(),
    };
    assert_eq!((edits.cuts, edits.words), (7, None));
    assert_eq!(edits.failures, [failure]);
    assert_tree(
        &tree,
        r#"
publish listen [producer]
└─ taskiq.listen [consumer]  taskiq.attempt=1 taskiq.outcome=done
   └─ desk.pipeline  pipeline.outcome=done pipeline.critical_path=load,quiet,create pipeline.failed_steps=improve
      ├─ step.load  step.depends_on= step.attempt=1 step.outcome=done
      ├─ step.quiet  step.depends_on=load step.attempt=1 step.outcome=done
      ├─ step.improve  step.depends_on=load step.attempt=1 step.outcome=failed  ✗ Error: the model refused
      ├─ step.censor  step.depends_on=improve step.attempt=0 step.outcome=skipped step.reason=it needs step `improve`, which failed
      └─ step.create  step.depends_on=quiet,censor step.attempt=1 step.outcome=done
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_with_nothing_to_do_is_skipped_and_has_not_failed() {
    let (tree, result) = run(Listen {
        no_endpoint: true,
        ..Listen::default()
    })
    .await;
    let edits = result.expect("there is an output");
    assert_eq!((edits.cuts, edits.words), (7, None));
    assert!(edits.failures.is_empty());
    assert_tree(
        &tree,
        r#"
publish listen [producer]
└─ taskiq.listen [consumer]  taskiq.attempt=1 taskiq.outcome=done
   └─ desk.pipeline  pipeline.outcome=done pipeline.critical_path=load,quiet,create
      ├─ step.load  step.depends_on= step.attempt=1 step.outcome=done
      ├─ step.quiet  step.depends_on=load step.attempt=1 step.outcome=done
      ├─ step.improve  step.depends_on=load step.attempt=1 step.outcome=skipped step.reason=no endpoint is configured
      ├─ step.censor  step.depends_on=improve step.attempt=0 step.outcome=skipped step.reason=it needs step `improve`, which was skipped
      └─ step.create  step.depends_on=quiet,censor step.attempt=1 step.outcome=done
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn every_error_is_told_when_there_is_no_output() {
    let args = Listen {
        improving_fails: true,
        hearing_fails: true,
        ..Listen::default()
    };
    let report = listening()
        .run_reported(&Alone::new().cx::<Listen>(), (), args)
        .await;
    let failed: Vec<String> = report
        .failures()
        .into_iter()
        .map(|failed| failed.step)
        .collect();
    assert_eq!(failed, ["quiet", "improve"]);
    assert_eq!(report.outcome("create"), Some(StepOutcome::Skipped));
    let error = report.output.expect_err("no output");
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert_eq!(
        error.sentence(),
        "step `quiet` failed (and so did step `improve`: the model refused): no sound"
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_may_end_the_pipeline_with_its_output() {
    let (tree, result) = run(Listen {
        nothing_to_do: true,
        ..Listen::default()
    })
    .await;
    assert_eq!(result.expect("there is an output").cuts, 0);
    assert_tree(
        &tree,
        r#"
publish listen [producer]
└─ taskiq.listen [consumer]  taskiq.attempt=1 taskiq.outcome=done
   └─ desk.pipeline  pipeline.outcome=ended pipeline.critical_path=load pipeline.ended_by=load
      └─ step.load  step.depends_on= step.attempt=1 step.outcome=done
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn what_runs_beside_a_step_that_ends_the_pipeline_is_cancelled() {
    async fn ends(_cx: StepContext<Listen, ()>) -> TaskResult<ControlFlow<u32, u32>> {
        sleep(seconds(1)).await;
        Ok(ControlFlow::Break(7))
    }
    async fn slow(_cx: StepContext<Listen, ()>) -> TaskResult<u32> {
        sleep(seconds(5)).await;
        Ok(1)
    }
    async fn add(_cx: StepContext<Listen, ()>, a: Arc<u32>, b: Arc<u32>) -> TaskResult<u32> {
        Ok(*a + *b)
    }
    let mut p = Pipeline::builder("desk");
    let slow = p.step("slow", (), slow);
    let ends = p.step_or_end("ends", (), ends);
    let sum = p.step("sum", (ends, slow), add);
    let (pipeline, begun) = (p.output(sum), Instant::now());
    let message = Alone::new();
    let cx = message.cx::<Listen>();
    let report = pipeline.run_reported(&cx, (), Listen::default()).await;
    assert_eq!(begun.elapsed(), seconds(1), "not the five of the other");
    assert_eq!(message.last_run("desk").await, None, "it was not whole");
    assert_eq!(report.ended_by, Some("ends"));
    assert_eq!(report.outcome("slow"), Some(StepOutcome::Cancelled));
    assert_eq!(report.outcome("sum"), Some(StepOutcome::NotBegun));
    assert_eq!(report.output.expect("its output"), 7);
}

#[tokio::test(start_paused = true)]
async fn a_snooze_is_not_passed_over() {
    let begun = Instant::now();
    let args = Listen {
        snoozes: true,
        ..Listen::default()
    };
    let report = listening()
        .run_reported(&Alone::new().cx::<Listen>(), (), args)
        .await;
    assert_eq!(begun.elapsed(), seconds(3), "at once");
    assert_eq!(report.outcome("quiet"), Some(StepOutcome::Cancelled));
    assert_eq!(report.outcome("create"), Some(StepOutcome::NotBegun));
    let error = report.output.expect_err("snoozed");
    assert_eq!(error.kind(), ErrorKind::Snooze(minutes(1)));
}

/// Steps that need nothing, and each take a second.
fn side_by_side(most: Option<usize>) -> Pipeline<Listen, Arc<AtomicU32>, ()> {
    async fn second(cx: StepContext<Listen, Arc<AtomicU32>>) -> TaskResult<()> {
        let at_once = cx.deps().fetch_add(1, Ordering::Relaxed) + 1;
        assert!(at_once <= 6);
        sleep(seconds(1)).await;
        cx.deps().fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
    async fn join<Deps>(_cx: StepContext<Listen, Deps>, _a: Arc<()>) -> TaskResult<()> {
        Ok(())
    }
    let mut p = Pipeline::builder("desk");
    if let Some(most) = most {
        p.max_parallel(most);
    }
    let steps = ["a", "b", "c", "d", "e", "f"].map(|id| p.step(id, (), second));
    let end = p.step("end", (steps[5],), join);
    p.output(end)
}

#[tokio::test(start_paused = true)]
async fn no_more_steps_run_at_once_than_may() {
    for (most, took) in [
        (None, 1),
        (Some(4), 2),
        (Some(2), 3),
        (Some(1), 6),
        (Some(0), 6),
    ] {
        let begun = Instant::now();
        let done = side_by_side(most)
            .run_alone(Listen::default(), Arc::default())
            .await;
        done.expect("done");
        assert_eq!(begun.elapsed(), seconds(took), "{most:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn once_the_task_is_asked_to_end_no_step_begins() {
    let message = Alone::new();
    let asking = async {
        sleep(Duration::from_millis(500)).await;
        message.stop();
    };
    let (pipeline, cx) = (side_by_side(Some(2)), message.cx::<Listen>());
    let running = pipeline.run_reported(&cx, Arc::default(), Listen::default());
    let (report, ()) = tokio::join!(running, asking);
    let outcomes: Vec<_> = report.steps.iter().map(|step| step.outcome).collect();
    assert_eq!(outcomes[..2], [StepOutcome::Done; 2], "those that ran end");
    assert_eq!(outcomes[2..], [StepOutcome::NotBegun; 5]);
    let error = report.output.expect_err("not whole");
    assert_eq!(error.kind(), ErrorKind::Retryable);
}

#[tokio::test(start_paused = true)]
async fn an_output_is_not_enough_when_something_was_not_begun() {
    async fn early(_cx: StepContext<Listen, ()>) -> TaskResult<u32> {
        sleep(seconds(1)).await;
        Ok(1)
    }
    async fn late(_cx: StepContext<Listen, ()>, _early: Arc<u32>) -> TaskResult<()> {
        Ok(())
    }
    let mut p = Pipeline::builder("desk");
    let early = p.step("early", (), early);
    p.step("late", (early,), late);
    let (pipeline, message) = (p.output(early), Alone::new());
    let cx = message.cx::<Listen>();
    let asking = async { message.stop() };
    let running = pipeline.run_reported(&cx, (), Listen::default());
    let (report, ()) = tokio::join!(running, asking);
    assert_eq!(report.outcome("early"), Some(StepOutcome::Done));
    assert_eq!(report.outcome("late"), Some(StepOutcome::NotBegun));
    let error = report.output.expect_err("not whole");
    assert_eq!(
        error.sentence(),
        "asked to end before all of its steps had begun"
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_that_panics_has_failed_and_is_named() {
    async fn panics(_cx: StepContext<Listen, ()>) -> TaskResult<u32> {
        panic!("no good")
    }
    async fn take(_cx: StepContext<Listen, ()>, given: Option<Arc<u32>>) -> TaskResult<u32> {
        Ok(given.map_or(0, |given| *given))
    }
    let mut p = Pipeline::builder("desk");
    let first = p.step(spec("first").on_error(OnError::Continue), (), panics);
    let second = p.step("second", (first.optional(),), take);
    let pipeline = p.output(second);
    let cx = Alone::new().cx::<Listen>();
    let report = pipeline.run_reported(&cx, (), Listen::default()).await;
    assert_eq!(report.output.expect("passed over"), 0);
    let reason = report.steps[0].reason.as_deref().expect("why");
    assert!(
        reason.contains("steps.rs:") && reason.contains("no good"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn progress_follows_the_weights_of_the_steps() {
    async fn half(cx: StepContext<Listen, Told>) -> TaskResult<()> {
        cx.progress(0.5);
        Ok(())
    }
    async fn end(_cx: StepContext<Listen, Told>, _half: Arc<()>) -> TaskResult<()> {
        Ok(())
    }
    type Told = Arc<Mutex<Vec<(&'static str, &'static str, f64)>>>;
    let mut p = Pipeline::builder("desk");
    p.on_event(|_args, told: &Told, event| {
        let said = (event.step, event.state, event.fraction);
        told.lock().expect("not poisoned").push(said);
    });
    let half = p.step(spec("half").weight(8), (), half);
    let end = p.step(spec("end").weight(2), (half,), end);
    let pipeline = p.output(end);
    let (told, message) = (Told::default(), Alone::new());
    let cx = message.cx::<Listen>();
    let done = pipeline.run(&cx, Arc::clone(&told), Listen::default());
    done.await.expect("done");
    let expected = [
        ("half", "running", 0.0),
        ("half", "running", 0.4),
        ("half", "done", 0.8),
        ("end", "running", 0.8),
        ("end", "done", 1.0),
    ];
    assert_eq!(*told.lock().expect("not poisoned"), expected);
    let progress = message.progress().expect("told");
    assert_eq!(progress.fraction(), Some(1.0));
    let detail = progress.detail().expect("which step");
    assert_eq!(detail["step"], "end");
}
