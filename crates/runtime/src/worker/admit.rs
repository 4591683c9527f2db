//! What becomes of a delivery before it runs: whether it may, must not any more, has to wait, or was run already.
//! It asks the ledger and decides; it settles nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::engine::Engine;
use super::plan::Registered;
use super::reception::Reception;
use super::running::{Place, Times, Underway};
use crate::broker::{Beside, Room};
use crate::duration::{hours, seconds};
use crate::error::TaskError;
use crate::ledger::{Entry, Gate, LedgerError, Run, Standing};
use crate::message::{Message, label};
use crate::outcome::{Cancelled, DeadReason, Outcome};
use crate::stop::Stop;
use crate::task::Policy;

/// How long a ledger that is away is waited for before the message is handed back.
const KEEP_ASKING: Duration = seconds(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = seconds(5);
/// How long a copy stays away whose message is under way in this very process.
const HERE_ALREADY: Duration = seconds(1);
/// How long one behind another waits if nobody tells it that its turn has come.
const BEHIND: Duration = seconds(2);
/// More than what is left of another's claim, so that one look is enough.
const A_LITTLE: Duration = Duration::from_millis(200);

/// How long progress is kept at least.
const PROGRESS_KEPT: Duration = hours(1);

/// What becomes of a delivery.
pub(super) enum Course {
    /// It runs.
    Run(Place, Policy),
    /// It is settled as this without running.
    Settle(Outcome, Option<Place>, Policy),
    /// It has come to its end before.
    Finished,
    /// Another run of it is alive, or it has gone on: a copy, to be looked at again after this long.
    Copy(Duration),
    /// A later copy of it is what counts.
    Superseded,
    /// It is over a limit.
    OverLimit(Closed),
    /// The worker ends, or the ledger is away for too long.
    HandBack,
}

/// The gate that keeps a message from running, and how long until it is worth another try.
pub(super) struct Closed {
    pub(super) gate: String,
    pub(super) wait: Duration,
}

/// Decides for a message whose task is known here.
pub(super) async fn admit(
    engine: &Engine,
    reception: &Reception,
    message: &Message,
    registered: &Registered,
) -> Course {
    let policy = registered.policy.overridden_by(message);
    if engine.running.has(&message.id) {
        return Course::Copy(HERE_ALREADY);
    }
    // One token however often the ledger has to be asked: it knows its own again.
    let token = format!("{}/{}", engine.name, engine.counts.next_attempt());
    let ask = || steps(engine, reception, message, registered, (policy, &token));
    asking(engine, ask).await.unwrap_or(Course::HandBack)
}

async fn steps(
    engine: &Engine,
    reception: &Reception,
    message: &Message,
    registered: &Registered,
    (policy, token): (Policy, &str),
) -> Result<Course, LedgerError> {
    let unwanted = unwanted(engine, reception, message).await?;
    let gates = match unwanted {
        None => (registered.gates)(message),
        Some(_) => Vec::new(),
    };
    let underway = underway(engine, reception, message, (policy, token), gates);
    if let Some(closed) = closed(engine, reception, &underway).await? {
        return Ok(Course::OverLimit(closed));
    }
    let Some(place) = engine.running.enter(underway) else {
        return Ok(Course::Copy(HERE_ALREADY));
    };
    let claimed = claim(engine, reception, message, policy, place, unwanted).await;
    let runs = matches!(claimed, Ok(Course::Run(..) | Course::Settle(..)));
    let gates = if runs {
        Vec::new()
    } else {
        (registered.gates)(message)
    };
    if !gates.is_empty() {
        engine.ledger.leave(&gates, token).await?;
    }
    claimed
}

/// Why it must not run at all, if so: what nobody wants any more needs no place in a limit.
async fn unwanted(
    engine: &Engine,
    reception: &Reception,
    message: &Message,
) -> Result<Option<Outcome>, LedgerError> {
    if engine.heard.is_cancelled(&message.id, &reception.kick) {
        return Ok(Some(Outcome::Cancelled {
            why: Cancelled::Asked,
        }));
    }
    if message.time_left() == Some(Duration::ZERO) {
        return Ok(Some(expired(message)));
    }
    let Some(key) = message.labels.text(label::DEBOUNCE) else {
        return Ok(None);
    };
    let holder = engine.ledger.holder(key).await?;
    let superseded = holder.is_some_and(|holder| holder != message.id);
    Ok(superseded.then_some(Outcome::Cancelled {
        why: Cancelled::Superseded,
    }))
}

fn expired(message: &Message) -> Outcome {
    let attempt = message.attempt();
    let sentence = format!("it was to run earlier: it has expired before attempt {attempt}");
    Outcome::Dead {
        reason: DeadReason::Expired,
        error: TaskError::permanent(sentence),
    }
}

fn underway(
    engine: &Engine,
    reception: &Reception,
    message: &Message,
    (policy, token): (Policy, &str),
    gates: Vec<Gate>,
) -> Underway {
    let run = Run {
        id: message.id.clone(),
        kick: reception.kick.clone(),
        hop: message.hop(),
        token: token.to_owned(),
        worker: engine.name.clone(),
    };
    let limit = message
        .time_left()
        .map_or(policy.timeout, |left| left.min(policy.timeout));
    let times = Times {
        limit,
        tidy_up: policy.abort_after,
    };
    let stop = Stop::under(&engine.interrupt);
    let mut underway = Underway::new(run, &message.task, message.attempt(), stop, times);
    underway.gates = gates;
    underway.kept = policy.keep_result.max(PROGRESS_KEPT);
    underway
}

/// What it has to wait for; none when it has a place in its limits now.
async fn closed(
    engine: &Engine,
    reception: &Reception,
    underway: &Underway,
) -> Result<Option<Closed>, LedgerError> {
    let gates = &underway.gates;
    let closed = |gate: &Gate, wait| {
        let gate = gate.name.clone();
        Some(Closed { gate, wait })
    };
    if gates.is_empty() {
        return Ok(None);
    }
    if reception.turn.is_none()
        && let Some(gate) = others_wait_before(engine, reception, gates)
    {
        return Ok(closed(gate, BEHIND));
    }
    let entry = engine
        .ledger
        .enter(gates, &underway.run.token, engine.lease)
        .await?;
    Ok(match entry {
        Entry::Passed => None,
        Entry::Wait { after, gate } => gates.get(gate).and_then(|gate| closed(gate, after)),
    })
}

/// The gate before which others wait that came earlier, here or in a room.
fn others_wait_before<'g>(
    engine: &Engine,
    reception: &Reception,
    gates: &'g [Gate],
) -> Option<&'g Gate> {
    let level = reception.level;
    let in_room = |gate: &&Gate| {
        let room = Room::of(engine.queue, level, &gate.name);
        // What comes again may be older than what is there.
        !reception.redelivered && engine.rooms.is_open(room)
    };
    let parked = engine.parking.line_before(level, gates);
    parked.or_else(|| gates.iter().find(in_room))
}

/// Claims the run where that can matter. A message that was never delivered before and keeps no result needs no claim to
/// begin with: the keeper makes one if it runs for long.
async fn claim(
    engine: &Engine,
    reception: &Reception,
    message: &Message,
    policy: Policy,
    place: Place,
    unwanted: Option<Outcome>,
) -> Result<Course, LedgerError> {
    // A copy that was set aside may have its original beside it.
    let first = !reception.redelivered && reception.room.is_none() && message.hop() == 0;
    let mut starts = 1;
    if !first || policy.keeps_result() {
        match engine
            .ledger
            .begin(&place.underway.run, engine.lease)
            .await?
        {
            Standing::Granted { starts: so_far } => starts = so_far,
            Standing::Held { remaining, .. } => return Ok(Course::Copy(remaining + A_LITTLE)),
            Standing::Superseded => return Ok(Course::Superseded),
            Standing::Finished => return Ok(Course::Finished),
        }
        place.underway.note_claimed();
    }
    if let Some(outcome) = unwanted {
        return Ok(Course::Settle(outcome, Some(place), policy));
    }
    // A cancel that came while the claim was asked for tripped nothing: the attempt was not in the table, or is now.
    if engine.heard.is_cancelled(&message.id, &reception.kick) {
        let outcome = Outcome::Cancelled {
            why: Cancelled::Asked,
        };
        return Ok(Course::Settle(outcome, Some(place), policy));
    }
    if starts > policy.worker_deaths {
        return Ok(Course::Settle(poison(starts - 1), Some(place), policy));
    }
    Ok(Course::Run(place, policy))
}

fn poison(deaths: u32) -> Outcome {
    let sentence =
        format!("{deaths} workers died while they ran it; find out why before it is replayed");
    Outcome::Dead {
        reason: DeadReason::Poison,
        error: TaskError::permanent(sentence),
    }
}

/// Asks until the ledger answers; none when the worker ends or the ledger is away for too long.
async fn asking<T, F>(engine: &Engine, ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, LedgerError>>,
{
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        if engine.interrupt.is_cancelled() {
            return None;
        }
        let error = match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        if begun.elapsed() + pause >= KEEP_ASKING {
            tracing::warn!(%error, "a message cannot begin: handed back");
            return None;
        }
        tracing::warn!(%error, "a message waits to begin until the ledger answers");
        tokio::select! {
            () = sleep(pause) => {}
            () = engine.interrupt.cancelled() => return None,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The name of the task as the headers have it: enough to know how many slots it takes before its bytes are read.
pub(super) fn slots_of(engine: &Engine, headers: &dyn Beside) -> u32 {
    let task = headers
        .get("task_name")
        .and_then(|name| engine.tasks.get(&*name));
    let cost = task.map_or(1, |registered| registered.policy.cost);
    cost.min(engine.slot_count).into()
}
