//! What the steps of a pipeline came to in one process, as its spans tell it.

use nix::unistd::Pid;

use super::{Receiver, Span};

/// Each step of `task` that this process ran or resumed, in the order in which they began, and its outcome; once the task has ended.
pub(crate) async fn outcomes(receiver: &Receiver, pid: Pid, task: &str) -> Vec<(String, String)> {
    let (pid, task) = (pid.to_string(), format!("taskiq.{task}"));
    let of_process = |span: &&Span| span.resource["process.pid"] == pid;
    let done = |spans: &[Span]| {
        let mut ours = spans.iter().filter(of_process);
        ours.any(|span| span.name == task && outcome(span).is_some())
    };
    let spans = receiver.until("the end of the task", done).await;
    let trace = spans
        .iter()
        .filter(of_process)
        .find(|span| span.name == task);
    let trace = &trace.expect("it has ended").id;
    let mut steps: Vec<&Span> = spans
        .iter()
        .filter(of_process)
        .filter(|span| outcome(span).is_some() && span.name.starts_with("step."))
        .filter(|span| is_under(span, trace, &spans))
        .collect();
    steps.sort_by_key(|span| span.record.start);
    let told = |span: &&Span| Some((span.name.clone(), outcome(span)?));
    steps.iter().filter_map(told).collect()
}

/// As [`outcomes`] gives them.
pub(crate) fn steps(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(step, outcome): &(&str, &str)| (format!("step.{step}"), (*outcome).to_owned());
    expected.iter().map(owned).collect()
}

fn outcome(span: &Span) -> Option<String> {
    let attributes = &span.attributes;
    let found = attributes.get("step.outcome");
    found.or_else(|| attributes.get("taskiq.outcome")).cloned()
}

/// Step, pipeline, task.
fn is_under(step: &Span, task: &str, spans: &[Span]) -> bool {
    let pipeline = spans.iter().find(|span| span.id == step.parent);
    pipeline.is_some_and(|pipeline| pipeline.parent == task)
}
