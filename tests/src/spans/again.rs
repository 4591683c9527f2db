//! When a step is tried again: how long it pauses, what an error asks for instead, and what ends the pause.

use sapari_runtime::error::ErrorKind;
use sapari_runtime::pipeline::{Alone, Pipeline, Report, StepContext, StepOutcome, spec};
use tokio::time::{Instant, sleep};

use super::*;

/// Fails so often before it is done.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Stubborn {
    failures: u32,
    asks_for: Option<Duration>,
}

impl Task for Stubborn {
    const NAME: &'static str = "stubborn";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.attempts(1);
    type Output = u32;
}

type Cx = StepContext<Stubborn, ()>;

async fn attempt(cx: Cx) -> TaskResult<u32> {
    let args = *cx.task();
    if cx.step_attempt() > args.failures {
        return Ok(cx.step_attempt());
    }
    match args.asks_for {
        Some(pause) => Err("busy").retry_after(pause),
        None => Err("not yet".into()),
    }
}

/// A step that is tried four times, after 1, 2 and 4 seconds.
fn trying() -> Pipeline<Stubborn, (), u32> {
    let mut p = Pipeline::builder("desk");
    let doubling = Backoff::exponential(seconds(1), seconds(4));
    let tried = p.step(spec("try").attempts(5).backoff(doubling), (), attempt);
    p.output(tried)
}

async fn run(
    message: &Alone,
    pipeline: Pipeline<Stubborn, (), u32>,
    args: Stubborn,
) -> (Report<u32>, Duration) {
    let begun = Instant::now();
    let cx = message.cx::<Stubborn>();
    let report = pipeline.run_reported(&cx, (), args).await;
    (report, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_pause_doubles_up_to_its_cap_without_jitter() {
    for (failures, pauses) in [
        (0, 0),
        (1, 1),
        (2, 1 + 2),
        (3, 1 + 2 + 4),
        (4, 1 + 2 + 4 + 4),
    ] {
        let args = Stubborn {
            failures,
            asks_for: None,
        };
        let (report, took) = run(&Alone::new(), trying(), args).await;
        assert_eq!(took, seconds(pauses), "{failures} failures");
        assert_eq!(report.steps[0].attempts, failures + 1);
        assert_eq!(report.output.expect("done"), failures + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_there_is_no_pause() {
    let args = Stubborn {
        failures: 9,
        asks_for: None,
    };
    let (report, took) = run(&Alone::new(), trying(), args).await;
    assert_eq!(took, seconds(1 + 2 + 4 + 4));
    assert_eq!(report.outcome("try"), Some(StepOutcome::Failed));
    assert!(report.output.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_error_may_say_how_long_to_pause() {
    let args = Stubborn {
        failures: 2,
        asks_for: Some(seconds(7)),
    };
    let (report, took) = run(&Alone::new(), trying(), args).await;
    assert_eq!(took, seconds(7 + 7), "beyond the cap, as it was asked for");
    assert_eq!(report.output.expect("done"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_pause_with_the_error_that_it_followed() {
    let args = Stubborn {
        failures: 9,
        asks_for: Some(minutes(5)),
    };
    let message = Alone::new();
    let asking = async {
        sleep(seconds(60)).await;
        message.stop();
    };
    let ((report, took), ()) = tokio::join!(run(&message, trying(), args), asking);
    assert_eq!(took, seconds(60), "not the whole five minutes");
    assert_eq!(report.steps[0].attempts, 1);
    let error = report.output.expect_err("not done");
    assert_eq!(error.kind(), ErrorKind::RetryAfter(minutes(5)));
    assert_eq!(error.sentence(), "step `try` failed: busy");
}

#[task]
async fn stubborn(args: Stubborn, cx: TaskContext) -> TaskResult<u32> {
    trying().run(&cx, (), args).await
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_pause() {
    let worker = Worker::new(QUEUE, ()).task::<stubborn>();
    let args = Stubborn {
        failures: 9,
        asks_for: Some(minutes(5)),
    };
    let mut took = Duration::ZERO;
    let tree = tree(worker, async |tasks, _| {
        let begun = Instant::now();
        let handle = tasks.kick(args).await.expect("kicked");
        sleep(seconds(60)).await;
        handle.cancel().await.expect("told");
        assert!(handle.output().await.is_err());
        took = begun.elapsed();
    })
    .await;
    assert!(took < seconds(61), "{took:?}");
    assert_tree(
        &tree,
        r#"
publish stubborn [producer]
└─ taskiq.stubborn [consumer]  taskiq.attempt=1 taskiq.outcome=cancelled
   └─ desk.pipeline  pipeline.outcome=failed pipeline.critical_path=try pipeline.failed_steps=try  ✗ Error: step `try` failed: busy
      └─ step.try  step.depends_on= step.attempt=1 step.outcome=failed  ✗ Error: busy
"#,
    );
}
