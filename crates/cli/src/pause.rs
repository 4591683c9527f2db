//! `sapari pause` and `sapari resume`: whether the workers of a role start anything. It stands in the ledger, so that those
//! that start later find it too.

use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::ledger::LedgerError;
use sapari_tasks::Role;

use crate::args::Pause;
use crate::console::line;
use crate::servers::check_store;
use crate::table::now;
use crate::workers::{is_silent, of_role};

pub(crate) fn run(arguments: &Pause, paused: bool) -> Result<(), Failure> {
    check_store(&arguments.store)?;
    crate::with_telemetry(set(arguments, paused))
}

async fn set(arguments: &Pause, paused: bool) -> Result<(), Failure> {
    let ledger = arguments.store.results().await?.ledger();
    let unavailable = |error: LedgerError| Exit::Unavailable.because(&error);
    let queue = arguments.role.queue().name();
    let before = ledger.paused().await.map_err(unavailable)?;
    let is_new = before.contains(queue) != paused;
    let done = ledger.set_paused(queue, paused).await;
    done.map_err(unavailable)?;
    let workers = of_role(
        ledger.workers().await.map_err(unavailable)?,
        Some(arguments.role),
    );
    let now = now();
    let told = workers.iter().filter(|report| !is_silent(report, now));
    line(sentence(arguments.role, (paused, is_new), told.count()))
}

fn sentence(role: Role, (paused, is_new): (bool, bool), told: usize) -> String {
    let word = match (paused, is_new) {
        (true, true) => "is paused",
        (true, false) => "was paused before",
        (false, true) => "is resumed",
        (false, false) => return format!("{role} was not paused"),
    };
    let who = match told {
        0 if paused => "no worker of it is alive; those that start find it so".to_owned(),
        0 => "no worker of it is alive".to_owned(),
        1 => "1 worker is told".to_owned(),
        many => format!("{many} workers are told"),
    };
    format!("{role} {word}; {who}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_many_are_told() {
        let said = |told| sentence(Role::Render, (true, true), told);
        assert!(said(0).starts_with("render is paused; no worker"));
        assert_eq!(said(1), "render is paused; 1 worker is told");
        assert_eq!(
            sentence(Role::Analysis, (false, true), 3),
            "analysis is resumed; 3 workers are told"
        );
        assert_eq!(
            sentence(Role::Render, (true, false), 1),
            "render was paused before; 1 worker is told"
        );
    }
}
