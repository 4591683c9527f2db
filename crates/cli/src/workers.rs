//! `sapari workers`: who is alive and what it runs, by what the workers last said of themselves.

use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::ledger::{Busy, WorkerReport};
use sapari_tasks::Role;
use serde_json::{Value, json};

use crate::args::Look;
use crate::console::{self, line, note};
use crate::servers::check_store;
use crate::table::{aligned, now, plain, since};

/// Workers report every few seconds: one that has not for this long, in seconds, is frozen, cut off or dead.
const SILENT_AFTER: f64 = 15.0;
/// How many running tasks of a worker are shown.
const SHOWN: usize = 3;

pub(crate) fn run(arguments: &Look) -> Result<(), Failure> {
    check_store(&arguments.store)?;
    crate::with_telemetry(look(arguments))
}

async fn look(arguments: &Look) -> Result<(), Failure> {
    let ledger = arguments.store.results().await?.ledger();
    let reports = ledger.workers().await;
    let reports = reports.map_err(|error| Exit::Unavailable.because(&error))?;
    let (reports, now) = (of_role(reports, arguments.role), now());
    if reports.is_empty() {
        note(nobody(arguments.role));
        return Ok(());
    }
    if arguments.json {
        let values = reports.iter().map(|report| value(report, now));
        return values
            .collect::<Vec<_>>()
            .iter()
            .try_for_each(console::json);
    }
    table(&reports, now).iter().try_for_each(line)
}

/// The reports of one role's workers, or of all.
pub(crate) fn of_role(mut reports: Vec<WorkerReport>, role: Option<Role>) -> Vec<WorkerReport> {
    reports.retain(|report| role.is_none_or(|role| role.queue().name() == report.queue));
    reports
}

/// Whether the worker has not reported when it should have.
pub(crate) fn is_silent(report: &WorkerReport, now: f64) -> bool {
    now - report.seen_at > SILENT_AFTER
}

fn nobody(role: Option<Role>) -> String {
    let of_role = role.map_or(String::new(), |role| format!(" {role}"));
    format!(
        "no{of_role} worker has reported lately: none is running, or it uses another result store or namespace"
    )
}

/// A row for each worker, and one more for each further task that it runs.
fn table(reports: &[WorkerReport], now: f64) -> Vec<String> {
    let head = [
        "worker", "role", "place", "state", "slots", "up for", "settled", "failed", "per min",
        "runs",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for report in reports {
        let mut runs = running(report, now).into_iter();
        rows.push(row(report, now, runs.next()));
        rows.extend(runs.map(|run| {
            let mut row = [const { String::new() }; 10];
            row[9] = run;
            row
        }));
    }
    aligned(&rows)
}

fn row(report: &WorkerReport, now: f64, runs: Option<String>) -> [String; 10] {
    [
        report.worker.clone(),
        report.queue.clone(),
        format!("{}:{}", report.host, report.pid),
        state(report, now),
        format!("{}/{}", report.in_use, report.slots),
        since(now, report.started_at),
        report.settled.to_string(),
        report.failed.to_string(),
        format!("{:.1}", report.per_minute),
        runs.unwrap_or_else(|| "nothing".to_owned()),
    ]
    .map(|cell| plain(&cell))
}

fn state(report: &WorkerReport, now: f64) -> String {
    if is_silent(report, now) {
        return format!(
            "{}, silent for {}",
            report.state,
            since(now, report.seen_at)
        );
    }
    report.state.clone()
}

fn running(report: &WorkerReport, now: f64) -> Vec<String> {
    let shown = report.running.iter().take(SHOWN);
    let more = report.running.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("+{more} more"));
    shown.map(|busy| run_text(busy, now)).chain(more).collect()
}

fn run_text(busy: &Busy, now: f64) -> String {
    let stuck = if busy.stuck { ", stuck" } else { "" };
    plain(&format!(
        "{} {} attempt {}, for {}{stuck}",
        busy.task,
        busy.id,
        busy.attempt,
        since(now, busy.since)
    ))
}

fn value(report: &WorkerReport, now: f64) -> Value {
    // Of plain fields, so that nothing can go wrong but a number that JSON does not have, which becomes null.
    let mut value = serde_json::to_value(report).unwrap_or_default();
    value["silent"] = json!(is_silent(report, now));
    value
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NOW: f64 = 1_000_000.0;

    pub(crate) fn report(worker: &str, queue: &str) -> WorkerReport {
        WorkerReport {
            worker: worker.to_owned(),
            queue: queue.to_owned(),
            host: "box".to_owned(),
            pid: 7,
            version: "0.1.0".to_owned(),
            started_at: NOW - 7_300.0,
            seen_at: NOW - 2.0,
            slots: 4,
            in_use: 0,
            state: "running".to_owned(),
            settled: 1_234,
            failed: 5,
            per_minute: 12.34,
            running: Vec::new(),
        }
    }

    fn busy(id: &str, ago: f64) -> Busy {
        Busy {
            id: id.parse().expect("an id"),
            task: "render_export".to_owned(),
            attempt: 2,
            since: NOW - ago,
            stuck: false,
        }
    }

    #[test]
    fn a_worker_is_a_row_and_its_further_tasks_stand_below() {
        let mut worker = report("render-1", "render");
        worker.in_use = 4;
        worker.running = ["a", "b", "c", "d", "e"].map(|id| busy(id, 200.0)).into();
        worker.running[1].stuck = true;
        let idle = report("analysis-1", "analysis");
        assert_eq!(
            table(&[worker, idle], NOW).join("\n"),
            "\
worker      role      place  state    slots  up for  settled  failed  per min  runs
render-1    render    box:7  running  4/4    2h      1234     5       12.3     render_export a attempt 2, for 3m
                                                                               render_export b attempt 2, for 3m, stuck
                                                                               render_export c attempt 2, for 3m
                                                                               +2 more
analysis-1  analysis  box:7  running  0/4    2h      1234     5       12.3     nothing"
        );
    }

    #[test]
    fn a_worker_that_does_not_report_is_said_to_be_silent() {
        let mut worker = report("w", "render");
        worker.seen_at = NOW - SILENT_AFTER;
        assert_eq!(state(&worker, NOW), "running");
        worker.seen_at = NOW - 42.0;
        assert_eq!(state(&worker, NOW), "running, silent for 42s");
        assert_eq!(value(&worker, NOW)["silent"], true);
        worker.seen_at = NOW + 60.0;
        assert_eq!(state(&worker, NOW), "running", "its clock is ahead");
    }

    #[test]
    fn what_a_worker_says_of_itself_does_not_steer_the_terminal() {
        let mut worker = report("w\u{1b}[2J", "render");
        worker.running = vec![busy("a", 1.0)];
        worker.running[0].task = "x\ny\u{9b}".to_owned();
        let text = table(&[worker], NOW).concat();
        assert!(!text.contains(crate::table::steers), "{text:?}");
    }

    #[test]
    fn only_the_role_that_is_asked_for_is_shown() {
        let reports = vec![report("a", "analysis"), report("r", "render")];
        let names = |role| {
            let reports = of_role(reports.clone(), role);
            reports.into_iter().map(|r| r.worker).collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["a", "r"]);
        assert_eq!(names(Some(Role::Render)), ["r"]);
    }
}
