//! `sapari dead`: what ended in a role's dead-letter queue, and what becomes of it.
//! Letters are chosen by id, task and reason among the oldest; what is not chosen stays where it is, in its order.

use std::time::{SystemTime, UNIX_EPOCH};

use sapari_runtime::broker::{Broker, BrokerError, DeadLetter, Verdict};
use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::queue::Queue;
use serde_json::json;

use crate::args::{Chosen, Dead};
use crate::console::{json, line};
use crate::servers::{check, connect};
use crate::table::{age, aligned, plain};

/// The widest that an error is shown in a list, in characters.
const ERROR_WIDTH: usize = 80;

pub(crate) fn run(command: &Dead) -> Result<(), Failure> {
    let (Dead::List(chosen) | Dead::Show(chosen) | Dead::Replay(chosen) | Dead::Drop(chosen)) =
        command;
    check(&chosen.servers, chosen.role.queue())?;
    crate::with_telemetry(carry_out(command, chosen))
}

async fn carry_out(command: &Dead, chosen: &Chosen) -> Result<(), Failure> {
    let queue = chosen.role.queue();
    let broker = connect(&chosen.servers, queue).await?;
    let done = match command {
        Dead::List(_) => list(&letters(&*broker, chosen).await?),
        Dead::Show(_) => show_all(&letters(&*broker, chosen).await?, chosen),
        Dead::Replay(_) => replay(&*broker, chosen, queue).await,
        Dead::Drop(_) => drop_for_good(&*broker, chosen, queue).await,
    };
    broker.close().await;
    done
}

impl Chosen {
    fn wants(&self, letter: &DeadLetter) -> bool {
        let is = |wanted: Option<&str>, found: Option<&str>| wanted.is_none() || wanted == found;
        is(self.id.as_deref(), letter.task_id())
            && is(self.task.as_deref(), letter.task_name())
            && is(self.reason.map(|reason| reason.as_str()), letter.reason())
    }

    fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// Whoever names a letter means it: that it is not there is no success.
    fn found(&self, how_many: usize) -> Result<(), Failure> {
        let Some(id) = self.id.as_deref().filter(|_| how_many == 0) else {
            return Ok(());
        };
        let (role, limit) = (self.role, self.limit);
        Err(Exit::Failed.with(format!(
            "no dead letter of {role} with the id {id} and what else was asked for is among the oldest {limit}; \
             `sapari task {id}` says how it ended, `--limit` looks at more"
        )))
    }
}

async fn letters(broker: &dyn Broker, chosen: &Chosen) -> Result<Vec<DeadLetter>, Failure> {
    let looked = broker.dead_letters(chosen.role.queue(), chosen.limit());
    let mut letters = looked.await.map_err(|error| unavailable(&error))?;
    letters.retain(|letter| chosen.wants(letter));
    Ok(letters)
}

fn unavailable(error: &BrokerError) -> Failure {
    Exit::Unavailable.because(error)
}

fn list(letters: &[DeadLetter]) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let head = ["task id", "task", "reason", "tries", "age", "error"].map(str::to_owned);
    let rows = letters.iter().map(|letter| row(letter, now));
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    aligned(&rows).iter().try_for_each(line)
}

fn row(letter: &DeadLetter, now: u64) -> [String; 6] {
    let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
    let error: String = letter
        .error()
        .unwrap_or("-")
        .chars()
        .take(ERROR_WIDTH)
        .collect();
    [
        text(letter.task_id()),
        text(letter.task_name()),
        text(letter.reason()),
        letter
            .attempts()
            .map_or("-".to_owned(), |tries| tries.to_string()),
        letter
            .died_at()
            .map_or("-".to_owned(), |died| age(now.saturating_sub(died))),
        error,
    ]
    // Whoever sent the message wrote these: nothing of it may steer the terminal.
    .map(|cell| plain(&cell))
}

fn show_all(letters: &[DeadLetter], chosen: &Chosen) -> Result<(), Failure> {
    letters.iter().try_for_each(show)?;
    chosen.found(letters.len())
}

fn show(letter: &DeadLetter) -> Result<(), Failure> {
    let body = serde_json::from_slice(&letter.body)
        .unwrap_or_else(|_| json!(String::from_utf8_lossy(&letter.body)));
    json(&json!({ "headers": letter.headers, "body": body }))
}

async fn replay(broker: &dyn Broker, chosen: &Chosen, queue: Queue) -> Result<(), Failure> {
    let results = chosen.servers.store.results().await?;
    // Their failures are forgotten first: a worker that finds one would take the message for finished.
    for letter in letters(broker, chosen).await? {
        if let Some(id) = letter.task_id().and_then(|id| id.parse().ok()) {
            let forgotten = results.forget(&id).await;
            forgotten.map_err(|error| Exit::Unavailable.because(&error))?;
        }
    }
    let (mut replayed, mut hopeless) = (0_usize, Vec::new());
    let mut judge = |letter: &DeadLetter| match chosen.wants(letter).then(|| letter.replay(queue)) {
        None => Verdict::Keep,
        Some(Ok(parcel)) => {
            replayed += 1;
            Verdict::Replay(Box::new(parcel))
        }
        Some(Err(reason)) => {
            hopeless.push(format!("{}: {reason}", letter.task_id().unwrap_or("-")));
            Verdict::Keep
        }
    };
    let reviewed = broker.review_dead(queue, chosen.limit(), &mut judge).await;
    reviewed.map_err(|error| unavailable(&error))?;
    line(format_args!("{replayed} replayed"))?;
    match hopeless.as_slice() {
        [] => chosen.found(replayed),
        some => Err(Exit::Failed.with(format!("left where they are: {}", some.join("; ")))),
    }
}

async fn drop_for_good(broker: &dyn Broker, chosen: &Chosen, queue: Queue) -> Result<(), Failure> {
    let mut dropped = 0_usize;
    let mut judge = |letter: &DeadLetter| {
        if chosen.wants(letter) {
            dropped += 1;
            return Verdict::Drop;
        }
        Verdict::Keep
    };
    let reviewed = broker.review_dead(queue, chosen.limit(), &mut judge).await;
    reviewed.map_err(|error| unavailable(&error))?;
    line(format_args!("{dropped} dropped"))?;
    chosen.found(dropped)
}
