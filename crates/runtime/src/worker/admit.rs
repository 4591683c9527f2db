//! What becomes of a delivery before it runs: whether it may, must not any more, has to wait, or was run already.
//! It asks the ledger and decides; it settles nothing.

use std::time::Duration;

use tokio::time::sleep;

use super::engine::Engine;
use super::plan::Registered;
use super::reception::Reception;
use super::running::{Place, Underway};
use super::trying::Patience;
use crate::broker::{Beside, Room};
use crate::duration::{hours, seconds};
use crate::error::TaskError;
use crate::ledger::{Entry, Gate, LedgerError, Run, Standing};
use crate::message::{Message, label};
use crate::outcome::{Cancelled, DeadReason, Outcome};
use crate::stop::{Stop, StopReason};
use crate::task::Policy;

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
    /// It has been started as often as it may but once: it runs when it is alone here. Not claimed until then.
    LastChance(Place, Policy),
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
    let underway = underway(engine, reception, message, (policy, token), gates.clone());
    if let Some(closed) = closed(engine, reception, &underway).await? {
        return Ok(Course::OverLimit(closed));
    }
    let course = match engine.running.enter(underway) {
        Some(place) => {
            // What is not wanted is claimed to be settled, and does not start.
            let chance = match unwanted {
                None => Chance::ButTheLast,
                Some(_) => Chance::Last,
            };
            let standing = begin(engine, reception, (message, &policy), &place, chance).await;
            standing
                .map(|standing| course_of(engine, reception, &standing, (place, policy), unwanted))
        }
        None => Ok(Course::Copy(HERE_ALREADY)),
    };
    if !matches!(
        course,
        Ok(Course::Run(..) | Course::LastChance(..) | Course::Settle(..))
    ) {
        leave(engine, &gates, token).await?;
    }
    course
}

/// Decides for a message on its last chance that is alone here now, or was called off while it waited for that.
pub(super) async fn admit_alone(
    engine: &Engine,
    reception: &Reception,
    message: &Message,
    (place, policy): (Place, Policy),
) -> Course {
    let ask = || async {
        // It may have been cancelled, superseded, or expired while it waited.
        let unwanted = match place.underway.stop.reason() {
            Some(StopReason::Cancelled) => Some(cancelled()),
            _ => unwanted(engine, reception, message).await?,
        };
        let standing = begin(engine, reception, (message, &policy), &place, Chance::Last).await?;
        Ok((standing, unwanted))
    };
    let (gates, token) = (
        place.underway.gates.clone(),
        place.underway.run.token.clone(),
    );
    let course = match asking(engine, ask).await {
        Some((standing, unwanted)) => {
            course_of(engine, reception, &standing, (place, policy), unwanted)
        }
        None => Course::HandBack,
    };
    if !matches!(course, Course::Run(..) | Course::Settle(..))
        && let Err(error) = leave(engine, &gates, &token).await
    {
        tracing::debug!(%error, "its places in limits come back when their lease ends");
    }
    course
}

async fn leave(engine: &Engine, gates: &[Gate], token: &str) -> Result<(), LedgerError> {
    if gates.is_empty() {
        return Ok(());
    }
    engine.ledger.leave(gates, token).await
}

/// Why it must not run at all, if so: what nobody wants any more needs no place in a limit.
async fn unwanted(
    engine: &Engine,
    reception: &Reception,
    message: &Message,
) -> Result<Option<Outcome>, LedgerError> {
    if engine.heard.is_cancelled(&message.id, &reception.kick) {
        return Ok(Some(cancelled()));
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

fn cancelled() -> Outcome {
    Outcome::Cancelled {
        why: Cancelled::Asked,
    }
}

pub(super) fn expired(message: &Message) -> Outcome {
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
        is_new: reception.is_new(),
        hop: message.hop(),
        token: token.to_owned(),
        worker: engine.name.clone(),
        task: message.task.clone(),
    };
    let stop = Stop::under(&engine.interrupt);
    let mut underway = Underway::new(
        run,
        &message.task,
        message.attempt(),
        stop,
        policy.abort_after,
    );
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

/// Which of a message's starts may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chance {
    /// All but the last one, which is for when it is alone.
    ButTheLast,
    /// The last one, too.
    Last,
}

/// Claims the run where that can matter. A message that was never delivered before and keeps no result needs no claim to
/// begin with: the keeper makes one if it runs for long.
async fn begin(
    engine: &Engine,
    reception: &Reception,
    (message, policy): (&Message, &Policy),
    place: &Place,
    chance: Chance,
) -> Result<Standing, LedgerError> {
    // A copy that was set aside may have its original beside it.
    let first = !reception.redelivered && reception.room.is_none() && message.hop() == 0;
    if first && !policy.keeps_result() {
        return Ok(Standing::Granted { starts: 1 });
    }
    // Where one death is enough there is no second start, and nobody was beside it in an earlier one.
    let hold_back =
        (chance == Chance::ButTheLast && policy.worker_deaths > 1).then_some(policy.worker_deaths);
    let run = &place.underway.run;
    let standing = engine.ledger.begin(run, engine.lease, hold_back).await?;
    if matches!(standing, Standing::Granted { .. }) {
        place.underway.note_claimed();
    }
    Ok(standing)
}

/// What the standing means.
fn course_of(
    engine: &Engine,
    reception: &Reception,
    standing: &Standing,
    (place, policy): (Place, Policy),
    unwanted: Option<Outcome>,
) -> Course {
    let starts = match standing {
        Standing::Granted { starts } => *starts,
        Standing::Held { remaining, .. } => return Course::Copy(*remaining + A_LITTLE),
        Standing::HeldBack => return Course::LastChance(place, policy),
        Standing::Superseded => return Course::Superseded,
        Standing::Finished => return Course::Finished,
    };
    if starts > 1 {
        place.underway.note_ran_before();
    }
    if let Some(outcome) = unwanted {
        return Course::Settle(outcome, Some(place), policy);
    }
    // A cancel that came while the claim was asked for tripped nothing: the attempt was not in the table, or is now.
    let run = &place.underway.run;
    if engine.heard.is_cancelled(&run.id, &reception.kick) {
        return Course::Settle(cancelled(), Some(place), policy);
    }
    if starts > policy.worker_deaths {
        return Course::Settle(poison(starts - 1), Some(place), policy);
    }
    Course::Run(place, policy)
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
    let mut patience = Patience::new();
    loop {
        if engine.interrupt.is_cancelled() {
            return None;
        }
        let error = match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        let Some(pause) = patience.next() else {
            tracing::warn!(%error, "a message cannot begin: handed back");
            return None;
        };
        tracing::warn!(%error, "a message waits to begin until the ledger answers");
        tokio::select! {
            () = sleep(pause) => {}
            () = engine.interrupt.cancelled() => return None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::memory::MemoryBroker;
    use crate::broker::{Broker, Headers, Parcel};
    use crate::ledger::GateKind;
    use crate::message::{Args, Labels, MessageId, Route};
    use crate::ping::Ping;
    use crate::queue::Queue;
    use crate::result::memory::MemoryResults;
    use crate::task::Task;
    use crate::worker::{Plan, Servers};

    const QUEUE: Queue = Queue::named("q");

    fn one_at_once() -> Vec<Gate> {
        vec![Gate {
            name: "ping:0".to_owned(),
            kind: GateKind::AtOnce(1),
        }]
    }

    fn message() -> Message {
        Message {
            id: MessageId::new(),
            task: Ping::NAME.to_owned(),
            labels: Labels::default(),
            args: Args::of(&Ping {}).expect("JSON"),
        }
    }

    async fn delivered(broker: &MemoryBroker, message: &Message) -> Reception {
        let route = Route {
            queue: QUEUE,
            level: QUEUE.level_numbered(0),
            delay: Duration::ZERO,
        };
        let parcel = Parcel {
            headers: Headers::new(),
            ..Parcel::of(message, route).expect("small")
        };
        broker.publish(parcel).await.expect("stored");
        let mut consumer = broker.consume(QUEUE, 1).await.expect("consumes");
        Reception::of(consumer.next().await.expect("a delivery")).0
    }

    /// Between the first look and the second another copy of it has begun here.
    #[tokio::test(start_paused = true)]
    async fn a_copy_that_comes_too_late_leaves_the_place_that_it_was_given() {
        let broker = MemoryBroker::with_queues([QUEUE]);
        let message = message();
        let reception = delivered(&broker, &message).await;
        let servers = Servers {
            broker: std::sync::Arc::new(broker),
            results: std::sync::Arc::new(MemoryResults::new()),
        };
        let engine = Engine::new(&mut Plan::new(QUEUE), servers);
        let mut registered = engine.tasks[Ping::NAME].clone();
        registered.gates = std::sync::Arc::new(|_| one_at_once());
        let policy = registered.policy;
        let begun = underway(&engine, &reception, &message, (policy, "a"), Vec::new());
        let _place = engine.running.enter(begun).expect("free");
        let course = steps(&engine, &reception, &message, &registered, (policy, "b")).await;
        assert!(matches!(course, Ok(Course::Copy(HERE_ALREADY))));
        let entry = engine.ledger.enter(&one_at_once(), "c", seconds(9)).await;
        assert_eq!(entry.expect("answers"), Entry::Passed, "its place is free");
    }
}
