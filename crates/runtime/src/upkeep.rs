//! What the runtime can find out about its own house: runs that a worker has reported and that nobody holds, and runs that have outlived
//! their worker. Reading only; it ends and starts nothing, because a run that nobody holds is handed out again by the broker, and one that
//! somebody holds is none of ours. What the broker has not handed out after minutes is told, and for people to look into: kicking it
//! again would be a guess.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::duration::minutes;
use crate::ledger::{Busy, Ledger, LedgerError, LeftBehind, Sighting, WorkerReport};
use crate::message::MessageId;

/// A run is claimed once it lasts; before that there may be no claim to see.
const CLAIMED_AFTER: Duration = Duration::from_secs(60);

/// How long after the end of its claim a run counts as stuck. The broker hands a message out as soon as its worker's connection ends, and
/// whoever gets it begins once the claim has ended: moments, where there is a worker.
pub const TAKEN_UP_WITHIN: Duration = minutes(5);

/// A run that is not held as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StuckRun {
    /// The message.
    pub id: MessageId,
    /// The task's name.
    pub task: String,
    /// The queue it came from.
    #[serde(default)]
    pub queue: String,
    /// The worker that reported it, or held it last.
    pub worker: String,
    /// Since when it runs, in seconds since 1970; of one whose worker is gone, since when nobody holds it.
    pub since: f64,
    /// What is wrong, and what becomes of it.
    pub state: String,
}

/// The runs that workers have reported and that nobody holds, or somebody else does; and those of workers that are gone which nobody has
/// taken up for so long.
///
/// # Errors
/// [`LedgerError`].
pub async fn stuck_runs(
    ledger: &dyn Ledger,
    not_taken_up_for: Duration,
) -> Result<Vec<StuckRun>, LedgerError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs_f64();
    let mut found = reported(ledger, now).await?;
    for left in ledger.left_behind(not_taken_up_for).await? {
        if found.iter().all(|run| run.id != left.id) {
            found.push(taken_up_by_nobody(left, now));
        }
    }
    Ok(found)
}

fn taken_up_by_nobody(left: LeftBehind, now: f64) -> StuckRun {
    // A worker is called after its queue: `render@host:7-5f3c`.
    let queue = left.worker.split('@').next().unwrap_or_default().to_owned();
    StuckRun {
        id: left.id,
        task: left.task,
        queue,
        worker: left.worker,
        since: now - left.ended.as_secs_f64(),
        state: "its worker is gone, and nobody has taken it up again: is there a worker of its queue? If there is, the broker has lost it: \
                kick it anew"
            .to_owned(),
    }
}

async fn reported(ledger: &dyn Ledger, now: f64) -> Result<Vec<StuckRun>, LedgerError> {
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
                    queue: report.queue.clone(),
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
            task: "cut".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_whose_worker_is_gone_is_stuck_until_somebody_takes_it_up() {
        let (ledger, id) = (MemoryLedger::default(), MessageId::new());
        let gone = run(&id, "render@host:7");
        ledger.begin(&gone, LONG, None).await.expect("answers");
        let stuck = async || stuck_runs(&ledger, TAKEN_UP_WITHIN).await.expect("answers");
        let pass = |time| tokio::time::advance(time);
        pass(LONG + TAKEN_UP_WITHIN - Duration::from_millis(1)).await;
        assert_eq!(stuck().await, [], "it may still be taken up");
        pass(Duration::from_millis(1)).await;
        let found = stuck().await;
        let [run] = found.as_slice() else {
            panic!("one run: {found:?}")
        };
        assert_eq!((&run.id, run.task.as_str()), (&id, "cut"));
        assert_eq!(
            (run.queue.as_str(), run.worker.as_str()),
            ("render", "render@host:7")
        );
        let ago = crate::message::unix_seconds() - run.since;
        assert!((ago - TAKEN_UP_WITHIN.as_secs_f64()).abs() < 5.0, "{ago} s");
        pass(crate::ledger::TOLD_FOR).await;
        assert_eq!(stuck().await, [], "it is told for a day");

        let next = Run {
            token: "next".to_owned(),
            ..gone
        };
        ledger.begin(&next, LONG, None).await.expect("answers");
        assert_eq!(stuck().await, [], "it runs");
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
        let stuck = stuck_runs(&ledger, TAKEN_UP_WITHIN).await.expect("answers");
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
