//! What the runtime can find out about its own house: runs that a worker has reported and that nobody holds. Reading only; it ends and
//! starts nothing, because a run that nobody holds is handed out again by the broker, and one that somebody holds is none of ours.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::ledger::{Busy, Ledger, LedgerError, Sighting, WorkerReport};
use crate::message::MessageId;

/// A run is claimed once it lasts; before that there may be no claim to see.
const CLAIMED_AFTER: Duration = Duration::from_secs(60);

/// A run that a worker has reported, and that is not held as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StuckRun {
    /// The message.
    pub id: MessageId,
    /// The task's name.
    pub task: String,
    /// The worker that reported it.
    pub worker: String,
    /// Since when it runs, in seconds since 1970.
    pub since: f64,
    /// What is wrong, and what becomes of it.
    pub state: String,
}

/// The runs that workers have reported and that nobody holds, or somebody else does.
///
/// # Errors
/// [`LedgerError`].
pub async fn stuck_runs(ledger: &dyn Ledger) -> Result<Vec<StuckRun>, LedgerError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs_f64();
    let mut found = Vec::new();
    for report in ledger.workers().await? {
        for busy in &report.running {
            if now - busy.since < CLAIMED_AFTER.as_secs_f64() {
                continue;
            }
            let sighting = ledger.sighting(&busy.id).await?;
            if let Some(state) = wrong(&report, busy, sighting.as_ref()) {
                found.push(StuckRun {
                    id: busy.id.clone(),
                    task: busy.task.clone(),
                    worker: report.worker.clone(),
                    since: busy.since,
                    state: state.to_owned(),
                });
            }
        }
    }
    Ok(found)
}

/// What is wrong with a run, by what its worker says and what the ledger knows.
fn wrong(report: &WorkerReport, busy: &Busy, sighting: Option<&Sighting>) -> Option<&'static str> {
    match sighting {
        _ if busy.stuck => Some(
            "its handler does not end: restart the worker, and the message is handed out again",
        ),
        Some(Sighting::Running { worker, .. }) if *worker == report.worker => None,
        Some(Sighting::Running { .. }) => Some(
            "another worker holds it: its effects may happen twice, unless the handler fences them",
        ),
        Some(Sighting::Abandoned { .. }) | None => Some(
            "nobody holds it: the broker hands it out again as soon as its worker's connection ends",
        ),
        // It came to its end after the worker's report.
        Some(Sighting::Finished | Sighting::SentOn { .. } | Sighting::Replayed) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Run;
    use crate::ledger::memory::MemoryLedger;
    use crate::ledger::{Registry, Runs};

    const LONG: Duration = Duration::from_secs(600);

    fn busy(id: &MessageId, since: f64) -> Busy {
        Busy {
            id: id.clone(),
            task: "cut".to_owned(),
            attempt: 1,
            since,
            stuck: false,
        }
    }

    fn report(running: Vec<Busy>) -> WorkerReport {
        WorkerReport {
            worker: "w".to_owned(),
            queue: "q".to_owned(),
            host: "h".to_owned(),
            pid: 1,
            version: "0".to_owned(),
            started_at: 0.0,
            seen_at: 0.0,
            slots: 4,
            in_use: 4,
            state: "running".to_owned(),
            settled: 0,
            failed: 0,
            per_minute: 0.0,
            running,
        }
    }

    fn run(id: &MessageId, worker: &str) -> Run {
        Run {
            id: id.clone(),
            kick: "k".to_owned(),
            hop: 0,
            token: worker.to_owned(),
            worker: worker.to_owned(),
            is_new: true,
        }
    }

    #[tokio::test]
    async fn a_run_is_stuck_when_its_worker_does_not_hold_it() {
        let ledger = MemoryLedger::default();
        let [held, elsewhere, nowhere, young] = [(); 4].map(|()| MessageId::new());
        for (id, worker) in [(&held, "w"), (&elsewhere, "other")] {
            let begun = ledger.begin(&run(id, worker), LONG, None).await;
            begun.expect("answers");
        }
        let now = crate::message::unix_seconds();
        let mut running: Vec<Busy> = [&held, &elsewhere, &nowhere].map(|id| busy(id, 0.0)).into();
        running.push(busy(&young, now));
        ledger
            .report(&report(running), LONG)
            .await
            .expect("answers");
        let stuck = stuck_runs(&ledger).await.expect("answers");
        let found: Vec<_> = stuck
            .iter()
            .map(|run| (&run.id, &run.state[..12]))
            .collect();
        assert_eq!(
            found,
            [(&elsewhere, "another work"), (&nowhere, "nobody holds")]
        );
    }
}
