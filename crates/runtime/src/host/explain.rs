//! `--explain`: what a worker would run, how, on which queues, and through which steps. It is told without any server; how a pipeline's
//! last whole run went is told as well if the result store happens to answer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use super::Program;
use super::exit::{Exit, Failure};
use crate::ledger::LastRun;
use crate::pipeline::Graph;
use crate::worker::{Plan, TaskSummary};

/// How the last whole run of each pipeline went, as far as that is known.
pub(super) type LastRuns = BTreeMap<&'static str, LastRun>;

pub(super) fn print(
    program: &Program,
    plan: &Plan,
    topology: &[String],
    last_runs: &LastRuns,
) -> Result<(), Failure> {
    let mut text = render(program.role, &program.service(), plan, topology);
    for graph in plan.pipelines() {
        text.push_str(&of_pipeline(graph, last_runs.get(graph.name)));
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Exit::Software.because(&error))
}

fn render(role: &str, service: &str, plan: &Plan, topology: &[String]) -> String {
    let mut text = format!(
        "role {role}, service.name {service}, {} at once\n\ntasks\n",
        plan.slot_count()
    );
    for line in table(&plan.tasks()) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(
        text,
        "\nmiddleware, outermost first\n  {} > handler, then settle inside trace",
        plan.stack().join(" > ")
    );
    text.push_str("\ntopology\n");
    for line in topology {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn of_pipeline(graph: &Graph, last: Option<&LastRun>) -> String {
    let path = match last {
        Some(last) => format!(
            "the last whole run, at {}, took {}",
            moment(last.at),
            Graph::critical_path(last)
        ),
        None => {
            "no whole run is known: there was none in 30 days, or the result store does not answer"
                .to_owned()
        }
    };
    let mut text = format!("\npipeline {}\n  {path}\n", graph.name);
    for drawing in [graph.mermaid(last), graph.dot(last)] {
        text.push('\n');
        for line in drawing.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// In UTC, to the second. What another program wrote may be no moment at all.
fn moment(unix_seconds: f64) -> String {
    let at = jiff::Timestamp::from_second(unix_seconds as i64);
    at.map_or_else(|_| "a moment unknown".to_owned(), |at| at.to_string())
}

fn table(tasks: &[TaskSummary]) -> Vec<String> {
    let width = tasks
        .iter()
        .map(|task| task.name.len())
        .max()
        .unwrap_or(0)
        .max(4);
    let head = format!(
        "{:width$}  {:>5}  {:>5}  {:>8}  {:>9}  {:>7}  {:>11}  limits",
        "name", "level", "slots", "attempts", "pause", "timeout", "result kept"
    );
    let row = |task: &TaskSummary| {
        let (timeout, kept) = (short(task.timeout), short(task.keep_result));
        let (first, cap) = task.backoff.bounds();
        let pause = format!("{}..{}", short(first), short(cap));
        let limits = match task.limits.as_slice() {
            [] => "-".to_owned(),
            some => some.join(", "),
        };
        format!(
            "{:width$}  {:>5}  {:>5}  {:>8}  {pause:>9}  {timeout:>7}  {kept:>11}  {limits}",
            task.name, task.level, task.slots, task.attempts
        )
    };
    std::iter::once(head).chain(tasks.iter().map(row)).collect()
}

fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        _ if duration.subsec_nanos() != 0 => format!("{duration:?}"),
        s if s >= 3600 && s % 3600 == 0 => format!("{}h", s / 3600),
        s if s >= 60 && s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::{hours, minutes, seconds};
    use crate::queue::Queue;
    use crate::worker::Worker;

    #[test]
    fn durations_are_short() {
        let table = [
            (seconds(45), "45s"),
            (minutes(5), "5m"),
            (hours(24), "24h"),
            (Duration::from_millis(1500), "1.5s"),
        ];
        for (duration, text) in table {
            assert_eq!(short(duration), text);
        }
    }

    #[test]
    fn a_moment_is_told_in_utc() {
        assert_eq!(moment(1e9 + 0.9), "2001-09-09T01:46:40Z");
        assert_eq!(moment(f64::MAX), "a moment unknown");
    }

    #[test]
    fn it_tells_tasks_stack_and_topology() {
        let plan = Worker::new(Queue::named("math"), ()).slots(3).into_plan();
        let text = render("math", "demo-math", &plan, &["math.0".to_owned()]);
        let expected = "role math, service.name demo-math, 3 at once

tasks
  name  level  slots  attempts      pause  timeout  result kept  limits
  ping      0      1         1    2s..10m       5s           1m  -

middleware, outermost first
  trace > metrics > retry > deadline > panic > handler, then settle inside trace

topology
  math.0
";
        assert_eq!(text, expected);
    }
}
