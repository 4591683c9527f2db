//! What calls cost: summed for each step and for the pipeline, on spans, in the report, across attempts, and within a budget.

use sapari_runtime::error::ErrorKind;
use sapari_runtime::pipeline::{Alone, Pipeline, Report, StepContext, Usage, spec};
use std::sync::Arc;

use super::*;

/// Words that cost something, and then fail or do not.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Words {
    fails: bool,
}

impl Task for Words {
    const NAME: &'static str = "words";
    const QUEUE: Queue = QUEUE;
    type Output = ();
}

type Cx = StepContext<Words, ()>;

fn call(model: &str, microcents: u64) -> Usage {
    Usage {
        model: model.to_owned(),
        input_tokens: 100,
        output_tokens: 7,
        microcents,
    }
}

async fn hear(cx: Cx) -> TaskResult<u32> {
    cx.spend(&call("whisper", 30))?;
    Ok(1)
}

async fn improve(cx: Cx, _heard: Arc<u32>) -> TaskResult<()> {
    cx.spend(&call("gpt", 20))?;
    cx.set_aside(25)?.spend(&call("gpt-mini", 5))?;
    match cx.task().fails {
        true => Err("later".into()),
        false => Ok(()),
    }
}

fn improving(budget: Option<u64>) -> Pipeline<Words, (), ()> {
    let mut p = Pipeline::builder("desk");
    if let Some(budget) = budget {
        p.budget(budget);
    }
    let heard = p.step("hear", (), hear);
    p.keep(heard);
    let improved = p.step(spec("improve"), (heard,), improve);
    p.output(improved)
}

async fn run(message: &Alone, budget: Option<u64>, fails: bool) -> (String, Report<()>) {
    let (collector, _default) = Collector::scoped();
    let (pipeline, cx) = (improving(budget), message.cx::<Words>());
    let report = pipeline.run_reported(&cx, (), Words { fails }).await;
    (collector.tree(&TreeStyle::for_tests(ATTRIBUTES)), report)
}

#[tokio::test(start_paused = true)]
async fn what_is_spent_stands_on_the_spans_of_the_steps_and_summed_on_the_pipelines() {
    let (tree, report) = run(&Alone::new(), None, false).await;
    report.output.expect("done");
    assert_eq!((report.spent.calls, report.spent.microcents), (3, 55));
    assert_eq!(report.steps[1].spent.microcents, 25);
    assert_tree(
        &tree,
        r#"
desk.pipeline  pipeline.outcome=done pipeline.critical_path=hear,improve usage.calls=3 usage.input_tokens=300 usage.output_tokens=21 usage.cost_microcents=55 usage.models=gpt,gpt-mini,whisper
├─ step.hear  step.depends_on= step.attempt=1 step.outcome=done usage.calls=1 usage.input_tokens=100 usage.output_tokens=7 usage.cost_microcents=30 usage.models=whisper
└─ step.improve  step.depends_on=hear step.attempt=1 step.outcome=done usage.calls=2 usage.input_tokens=200 usage.output_tokens=14 usage.cost_microcents=25 usage.models=gpt,gpt-mini
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn the_budget_holds_across_steps_and_its_end_says_what_was_spent() {
    let (tree, report) = run(&Alone::new(), Some(74), false).await;
    let error = report.output.expect_err("over");
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert_eq!(
        error.sentence(),
        "step `improve` failed: the pipeline may spend $0.000074 and has spent $0.000050 (hear $0.000030, improve $0.000020); $0.000025 more is set aside or asked for; raise the budget, or let it do less"
    );
    assert_eq!(report.spent.microcents, 50, "the call was not made");
    assert!(tree.contains("step.outcome=failed usage.calls=1"), "{tree}");
}

#[tokio::test(start_paused = true)]
async fn the_budget_holds_across_attempts() {
    let message = Alone::new();
    let (_, first) = run(&message, Some(100), true).await;
    assert_eq!(first.spent.microcents, 55);
    // What was kept is not paid for again: 55 before, and 25 now.
    let (tree, second) = run(&message, Some(100), true).await;
    assert_eq!(second.spent.microcents, 80);
    assert_eq!(second.steps[0].spent.microcents, 30, "when it was run");
    assert!(
        tree.contains("step.hear  step.depends_on= step.attempt=0 step.outcome=resumed"),
        "{tree}"
    );
    let (_, third) = run(&message, Some(100), true).await;
    let error = third.output.expect_err("over").sentence();
    assert!(error.contains("has spent $0.000100"), "{error}");
}
