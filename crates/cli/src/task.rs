//! `sapari task`: everything that is known of one message. Its args are never shown; what it returned only when asked for.

use std::time::Duration;

use sapari_runtime::FailedAttempt;
use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::ledger::{Busy, Cancel, LedgerError, Progress, Sighting, WorkerReport};
use sapari_runtime::message::MessageId;
use sapari_runtime::result::{Record, Results};
use serde_json::{Value, json};

use crate::args::TaskLook;
use crate::console::{self, json_text, line};
use crate::servers::check_store;
use crate::table::{aligned, cut, now, plain, since};

/// The reason of a task that was cancelled.
const CANCELLED: &str = "cancelled";
/// The reason of a task whose place a later kick took.
const SUPERSEDED: &str = "superseded";
/// The most that is shown of what a task or an error says, in characters.
const TEXT_WIDTH: usize = 400;

pub(crate) fn run(arguments: TaskLook) -> Result<(), Failure> {
    check_store(&arguments.store)?;
    crate::with_telemetry(look(arguments))
}

async fn look(arguments: TaskLook) -> Result<(), Failure> {
    let results = arguments.store.results().await?;
    let known = Known::ask(&*results, arguments.id).await?;
    if arguments.json {
        return console::json(&known.value(arguments.output));
    }
    aligned(&known.rows(now())).iter().try_for_each(line)?;
    match (&known.record, arguments.output) {
        (
            Some(Record {
                outcome: Ok(output),
                ..
            }),
            true,
        ) => line(json_text(output.get())),
        _ => Ok(()),
    }
}

/// What result store, ledger and workers say of a message.
struct Known {
    id: MessageId,
    record: Option<Record>,
    sighting: Option<Sighting>,
    /// The worker that says that it runs it, and what it says.
    busy: Option<(String, Busy)>,
    progress: Option<Progress>,
    cancel: Option<Cancel>,
}

impl Known {
    async fn ask(results: &dyn Results, id: MessageId) -> Result<Self, Failure> {
        let unavailable = |error: LedgerError| Exit::Unavailable.because(&error);
        let ledger = results.ledger();
        // What changes meanwhile is then older in the ledger than in the record, which is the end.
        let sighting = ledger.sighting(&id).await.map_err(unavailable)?;
        let reports = ledger.workers().await.map_err(unavailable)?;
        let progress = ledger.progress(&id).await.map_err(unavailable)?;
        let cancels = ledger.cancels(0).await.map_err(unavailable)?;
        let record = results.load(&id).await;
        Ok(Self {
            record: record.map_err(|error| Exit::Unavailable.because(&error))?,
            sighting,
            busy: busy(reports, &id),
            progress,
            cancel: cancels.into_iter().find(|cancel| cancel.id == id),
            id,
        })
    }

    /// Its task's name: as the worker says that runs it, or as its record has it.
    fn task(&self) -> Option<&str> {
        let busy = self.busy.as_ref().map(|(_, busy)| &busy.task);
        let recorded = || self.record.as_ref()?.task.as_ref();
        busy.or_else(recorded).map(String::as_str)
    }

    /// One word for where it is. A run under way counts before a record, which is then that of an earlier kick.
    fn state(&self) -> &'static str {
        match (&self.sighting, &self.busy, &self.record) {
            (Some(Sighting::Running { .. }), ..) => "running",
            (Some(Sighting::Abandoned { .. }), ..) => "abandoned",
            (Some(Sighting::SentOn { .. }), ..) => "waiting",
            (None | Some(Sighting::Replayed), Some(_), None) => "running",
            (Some(Sighting::Replayed), None, None) => "waiting",
            (.., Some(record)) => word(record),
            (Some(Sighting::Finished), _, None) => "ended",
            (None, None, None) => "unknown",
        }
    }

    fn is_ended(&self) -> bool {
        matches!(
            self.state(),
            "done" | "failed" | CANCELLED | SUPERSEDED | "ended"
        )
    }

    /// How far it is. What it said last on its way says nothing of its end, and is kept a while longer.
    fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref().filter(|_| !self.is_ended())
    }

    fn cancel_text(&self, cancel: &Cancel, now: f64) -> String {
        let ago = since(now, asked_at(cancel));
        match self.is_ended() {
            true => format!("asked for {ago} ago"),
            false => format!("asked for {ago} ago, not carried out yet"),
        }
    }

    fn rows(&self, now: f64) -> Vec<[String; 2]> {
        let mut rows = vec![("id", self.id.to_string())];
        rows.extend(self.task().map(|name| ("task", name.to_owned())));
        rows.push(("state", self.state_text(now)));
        if let Some(record) = &self.record {
            rows.extend(record_rows(record));
            rows.extend(
                record
                    .history
                    .iter()
                    .map(|past| ("before", past_text(past, now))),
            );
        }
        let progress = self.progress().map(progress_text);
        rows.extend(progress.map(|text| ("progress", text)));
        let cancel = self.cancel.as_ref();
        rows.extend(cancel.map(|it| ("cancel", self.cancel_text(it, now))));
        let cells = |(name, text): (&str, String)| [name.to_owned(), plain(&text)];
        rows.into_iter().map(cells).collect()
    }

    fn state_text(&self, now: f64) -> String {
        match (self.state(), &self.sighting) {
            ("running", sighting) => self.run_text(sighting.as_ref(), now),
            (_, Some(Sighting::Abandoned { worker, starts })) => format!(
                "abandoned by {worker}, which died or is cut off; it comes again (starts without an end: {starts})"
            ),
            (_, Some(Sighting::SentOn { hop })) => {
                format!("waiting for its next attempt (sent on so far: {hop})")
            }
            ("waiting", Some(Sighting::Replayed)) => {
                "waiting: it had come to its end, and was replayed".to_owned()
            }
            ("ended", _) => "ended; its result is not kept any more".to_owned(),
            ("unknown", _) => {
                "nothing is known of it: it waits, is delayed, or was never kicked".to_owned()
            }
            (word, _) => word.to_owned(),
        }
    }

    fn run_text(&self, sighting: Option<&Sighting>, now: f64) -> String {
        let (worker, starts) = match (sighting, &self.busy) {
            (Some(Sighting::Running { worker, starts }), _) => (worker.as_str(), *starts),
            (_, Some((worker, _))) => (worker.as_str(), 1),
            (_, None) => ("a worker", 1),
        };
        let mut text = format!("running on {worker}");
        if let Some((_, busy)) = &self.busy {
            let stuck = if busy.stuck {
                ", stuck: past its deadline"
            } else {
                ""
            };
            text += &format!(
                " for {}, attempt {}{stuck}",
                since(now, busy.since),
                busy.attempt
            );
        }
        if starts > 1 {
            text += &format!(", start {starts} of this attempt: a worker died in it before");
        }
        text
    }

    fn value(&self, with_output: bool) -> Value {
        let record = self.record.as_ref();
        json!({
            "id": self.id,
            "state": self.state(),
            "task": self.task(),
            "result": record.map(|record| record_value(record, with_output)),
            "run": self.run_value(),
            "progress": self.progress(),
            "cancel_asked_at": self.cancel.as_ref().map(asked_at),
        })
    }

    fn run_value(&self) -> Value {
        let mut value = match &self.sighting {
            Some(Sighting::Running { worker, starts } | Sighting::Abandoned { worker, starts }) => {
                json!({ "worker": worker, "starts": starts })
            }
            Some(Sighting::SentOn { hop }) => json!({ "sent_on": hop }),
            Some(Sighting::Finished | Sighting::Replayed) | None => Value::Null,
        };
        if let Some((worker, busy)) = &self.busy {
            value["worker"] = json!(worker);
            value["attempt"] = json!(busy.attempt);
            value["since"] = json!(busy.since);
            value["stuck"] = json!(busy.stuck);
        }
        value
    }
}

fn busy(reports: Vec<WorkerReport>, id: &MessageId) -> Option<(String, Busy)> {
    reports.into_iter().find_map(|report| {
        let busy = report.running.into_iter().find(|busy| busy.id == *id)?;
        Some((report.worker, busy))
    })
}

/// How a task ended, in one line.
pub(crate) fn ending(record: &Record) -> String {
    match &record.outcome {
        Ok(_) => "done".to_owned(),
        Err(failure) if failure.is_cancelled() => word(record).to_owned(),
        Err(failure) => {
            let chain = failure.chain.join(": ");
            let reason = failure.reason.as_deref().unwrap_or(&failure.error_type);
            format!("failed ({}): {}", plain(reason), cut(&chain, TEXT_WIDTH))
        }
    }
}

fn word(record: &Record) -> &'static str {
    match &record.outcome {
        Ok(_) => "done",
        Err(failure) if failure.reason.as_deref() == Some(SUPERSEDED) => SUPERSEDED,
        Err(failure) if failure.is_cancelled() => CANCELLED,
        Err(_) => "failed",
    }
}

fn record_rows(record: &Record) -> Vec<(&'static str, String)> {
    let took = match record.execution_time {
        // It was not run: its time had passed, or nobody knew it.
        Duration::ZERO => "no time".to_owned(),
        time => format!("{time:.1?}, its last attempt"),
    };
    let took = ("took", took);
    let Err(failure) = &record.outcome else {
        return vec![took];
    };
    let reason = failure.reason.clone().map(|reason| ("reason", reason));
    let mut causes = failure.chain.iter().map(|text| cut(text, TEXT_WIDTH));
    let error = causes.next().unwrap_or_default();
    let error = ("error", format!("{}: {error}", failure.error_type));
    let rows = [took].into_iter().chain(reason).chain([error]);
    rows.chain(causes.map(|cause| ("because", cause))).collect()
}

/// One attempt that failed.
fn past_text(past: &FailedAttempt, now: f64) -> String {
    let next = past.delay.map_or(String::new(), |delay| {
        format!("; the next one {delay:.1} s later")
    });
    let (attempt, worker, ago) = (past.attempt, &past.worker, since(now, past.at));
    format!(
        "attempt {attempt} failed on {worker} {ago} ago: {}{next}",
        cut(&past.error, TEXT_WIDTH)
    )
}

fn record_value(record: &Record, with_output: bool) -> Value {
    let mut value = outcome_value(record, with_output);
    value["history"] = json!(record.history);
    value
}

fn outcome_value(record: &Record, with_output: bool) -> Value {
    let took = record.execution_time.as_secs_f64();
    match &record.outcome {
        Ok(output) if with_output => {
            // Raw JSON is JSON: it was read as such.
            let output: Value = serde_json::from_str(output.get()).unwrap_or_default();
            json!({ "took_seconds": took, "output": output })
        }
        Ok(_) => json!({ "took_seconds": took }),
        Err(failure) => json!({
            "took_seconds": took,
            "reason": failure.reason,
            "error_type": failure.error_type,
            "error": failure.chain,
        }),
    }
}

fn progress_text(progress: &Progress) -> String {
    let said = match progress.fraction() {
        Some(_) => progress.detail(),
        None => Some(&progress.meta),
    };
    let said = said.filter(|said| !said.is_null());
    let said = said.map_or(String::new(), |said| cut(&said.to_string(), TEXT_WIDTH));
    let head = match progress.fraction() {
        Some(fraction) => format!("{:.0} %", fraction * 100.0),
        None => progress.state.clone(),
    };
    format!("{head}  {said}").trim_end().to_owned()
}

/// In seconds since 1970.
#[allow(clippy::cast_precision_loss)] // Milliseconds since 1970 are far below 2^53.
fn asked_at(cancel: &Cancel) -> f64 {
    cancel.at as f64 / 1000.0
}

#[cfg(test)]
mod tests;
