//! `sapari cancel`: asks for the end of messages, wherever they are, and with `--wait` says how they ended.

use std::time::Duration;

use sapari_runtime::handle::{AnyHandle, OutputError};
use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::ledger::CancelAnswer;
use sapari_runtime::result::Record;

use crate::args::Cancel;
use crate::console::line;
use crate::servers::check_store;
use crate::task::ending;

pub(crate) fn run(arguments: &Cancel) -> Result<(), Failure> {
    check_store(&arguments.store)?;
    crate::with_telemetry(cancel(arguments))
}

async fn cancel(arguments: &Cancel) -> Result<(), Failure> {
    let tasks = arguments.store.asking().await?;
    let ledger = tasks.ledger();
    let mut requested = Vec::new();
    for id in &arguments.ids {
        let handle = tasks.handle_named(id.clone());
        let seen = ledger.sighting(id).await;
        let seen = seen.map_err(|error| Exit::Unavailable.because(&error))?;
        let answer = handle.cancel().await;
        let answer = answer.map_err(|error| Exit::Unavailable.because(&error))?;
        line(format_args!("{id}  {}", told(answer, seen.is_some())))?;
        if answer == CancelAnswer::Requested {
            requested.push(handle);
        }
    }
    match arguments.wait {
        Some(limit) => wait_for_all(requested, limit).await,
        None => Ok(()),
    }
}

/// What waits in its queue is known to the broker alone: an id that nobody kicked looks the same.
fn told(answer: CancelAnswer, seen: bool) -> &'static str {
    match (answer, seen) {
        (CancelAnswer::AlreadyEnded, _) => "had ended before",
        (CancelAnswer::Requested, true) => "cancel requested",
        (CancelAnswer::Requested, false) => {
            "cancel requested; nothing is known of it: it ends when a worker meets it, if it was ever kicked"
        }
    }
}

/// All at once, so that the limit is one for all of them; said in the order in which they were named.
async fn wait_for_all(handles: Vec<AnyHandle>, limit: Duration) -> Result<(), Failure> {
    let mut waiting = Vec::new();
    for handle in handles {
        let ended = tokio::spawn(handle.record().within(limit).into_future());
        waiting.push((handle, ended));
    }
    let mut late = Vec::new();
    for (handle, ended) in waiting {
        let ended = ended.await;
        match ended.map_err(|error| Exit::Software.because(&error))? {
            Ok(record) => line(format_args!("{}  {}", handle.id(), how(&record)))?,
            Err(OutputError::NotYet(_)) => late.push(handle.id().to_string()),
            Err(error) => return Err(Exit::Unavailable.because(&error)),
        }
    }
    match late.as_slice() {
        [] => Ok(()),
        some => Err(Exit::Failed.with(not_yet(some, limit))),
    }
}

fn how(record: &Record) -> String {
    let ending = ending(record);
    match &record.outcome {
        Ok(_) => format!("{ending}: it came to its end all the same"),
        Err(_) => ending,
    }
}

fn not_yet(late: &[String], limit: Duration) -> String {
    format!(
        "not ended within {limit:?}: {}; the cancel stays, and `sapari task ID` says where it is",
        late.join(", ")
    )
}
