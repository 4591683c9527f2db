//! What the ledger is told when an attempt or its message has ended: places, keys, claims and cancels that are free again.
//! None of it is needed for what was promised: what the ledger does not hear of runs out by itself.

use std::time::Duration;

use tokio::time::timeout;

use super::engine::Engine;
use super::reception::Reception;
use super::settle::Ending;
use crate::ledger::LedgerError;
use crate::message::label;
use crate::outcome::{Cancelled, Outcome};

/// How long the ledger may take to hear of an end.
const TELLING: Duration = Duration::from_secs(2);

/// The message was sent on as this hop: a copy of the present one may be thrown away.
pub(super) async fn sent_on(engine: &Engine, ending: &Ending, hop: u32) {
    if let Some(underway) = ending.underway().filter(|underway| underway.is_claimed()) {
        tell(engine.ledger.sent_on(&underway.run, hop)).await;
    }
}

/// The message has come to its end: what was held for it is free.
pub(super) async fn conclude(engine: &Engine, reception: &Reception, ending: &Ending) {
    leave_gates(engine, ending).await;
    let Ok(message) = &reception.message else {
        return;
    };
    if let Some(key) = message.labels.text(label::UNIQUE) {
        tell(engine.ledger.give_up(key, &message.id)).await;
    }
    if matches!(
        ending.outcome,
        Outcome::Cancelled {
            why: Cancelled::Asked
        }
    ) {
        engine.heard.forget(&message.id);
        tell(engine.ledger.cancelled(&message.id)).await;
    }
    // A result that is kept says that the run has ended; without one, nothing is to be remembered.
    if !ending.policy.keeps_result() {
        release(engine, ending).await;
    }
}

/// The attempt ended, its message did not: it counts as nothing.
pub(super) async fn let_go(engine: &Engine, ending: &Ending) {
    leave_gates(engine, ending).await;
    release(engine, ending).await;
}

async fn release(engine: &Engine, ending: &Ending) {
    if let Some(underway) = ending.underway().filter(|underway| underway.is_claimed()) {
        tell(engine.ledger.release(&underway.run)).await;
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

/// Tells the ledger of an end, in short time: a lease that is not given back runs out.
async fn tell(telling: impl Future<Output = Result<(), LedgerError>>) {
    match timeout(TELLING, telling).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the ledger was not told; the lease runs out"),
        Err(_) => tracing::debug!("the ledger did not answer; the lease runs out"),
    }
}
