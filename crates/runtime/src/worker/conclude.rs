//! What the ledger is told when an attempt or its message has ended: places, keys, claims and cancels that are free again.
//! None of it is needed for what was promised: what the ledger does not hear of runs out by itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::engine::Engine;
use super::reception::Reception;
use super::running::Underway;
use super::settle::Ending;
use crate::ledger::{Ledger, LedgerError, Run};
use crate::message::{Message, label};
use crate::outcome::{Cancelled, Outcome};

/// How long the ledger may take to hear of an end.
const TELLING: Duration = Duration::from_secs(2);
/// The most claims that are told of later.
const MOST_OWED: usize = 1000;

/// The message was sent on as this hop: a copy of the present one may be thrown away.
pub(super) async fn sent_on(engine: &Engine, ending: &Ending, hop: u32) {
    if let Some(underway) = ending.underway().filter(|underway| underway.is_claimed()) {
        tell(engine.ledger.sent_on(&underway.run, hop)).await;
    }
}

/// Its work is over: another kick of its unique key is a new one. Said before the result is there, because whoever waits for
/// that may kick at once.
pub(super) async fn free_key(engine: &Engine, reception: &Reception) {
    if let Ok(message) = &reception.message
        && let Some(key) = message.labels.text(label::UNIQUE)
    {
        tell(engine.ledger.give_up(key, &message.id)).await;
    }
}

/// The message has come to its end: what was held for it is free.
pub(super) async fn conclude(engine: &Engine, reception: &Reception, ending: &Ending) {
    leave_gates(engine, ending).await;
    let Ok(message) = &reception.message else {
        return;
    };
    if matches!(
        ending.outcome,
        Outcome::Cancelled {
            why: Cancelled::Asked
        }
    ) {
        engine.heard.forget(&message.id);
        tell(engine.ledger.cancelled(&message.id)).await;
    }
    forget_steps(engine, reception, message, ending).await;
    // A result that is kept says that the run has ended; without one, nothing is to be remembered.
    if !ending.policy.keeps_result() {
        release(engine, ending).await;
    }
}

/// What was kept of its steps is of no use any more. An earlier attempt may have left something that this one did not even look for.
async fn forget_steps(engine: &Engine, reception: &Reception, message: &Message, ending: &Ending) {
    let underway = ending.underway();
    let kept = underway.is_some_and(Underway::keeps_steps);
    let ran_before =
        reception.redelivered || message.hop() > 0 || underway.is_some_and(Underway::ran_before);
    if kept || ran_before {
        let in_depot = underway.map_or(ran_before, |it| it.may_be_in_depot(ran_before));
        let clearing = timeout(TELLING, engine.shelf.clear(&message.id, in_depot));
        // What is left runs out by itself.
        let _ = clearing.await;
    }
}

/// The attempt ended, its message did not: it counts as nothing.
pub(super) async fn let_go(engine: &Engine, ending: &Ending) {
    leave_gates(engine, ending).await;
    release(engine, ending).await;
}

async fn release(engine: &Engine, ending: &Ending) {
    let claimed = ending.underway().filter(|underway| underway.is_claimed());
    if let Some(underway) = claimed
        && !tell(engine.ledger.release(&underway.run)).await
    {
        engine.owed.add(underway.run.clone());
    }
}

pub(super) async fn leave_gates(engine: &Engine, ending: &Ending) {
    if let Some(underway) = ending
        .underway()
        .filter(|underway| !underway.gates.is_empty())
    {
        tell(engine.ledger.leave(&underway.gates, &underway.run.token)).await;
        engine.parking.try_again();
    }
}

/// Tells the ledger of an end, in short time; false when it did not hear: a lease that is not given back runs out.
pub(super) async fn tell(telling: impl Future<Output = Result<(), LedgerError>>) -> bool {
    match timeout(TELLING, telling).await {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => tracing::debug!(%error, "the ledger was not told"),
        Err(_) => tracing::debug!("the ledger did not answer"),
    }
    false
}

/// Claims whose end the ledger did not hear of. One that runs out counts as the death of a worker; so it is told later.
#[derive(Default)]
pub(super) struct Owed {
    // A std mutex: held for one operation on the list, never across an await.
    runs: Mutex<Vec<Run>>,
}

impl Owed {
    fn add(&self, run: Run) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() < MOST_OWED {
            runs.push(run);
        }
    }

    /// Tells the ledger what it has not heard.
    pub(super) async fn settle(&self, ledger: &dyn Ledger) {
        let runs = std::mem::take(&mut *self.runs.lock().unwrap_or_else(PoisonError::into_inner));
        for run in runs {
            if !tell(ledger.release(&run)).await {
                self.add(run);
            }
        }
    }
}
