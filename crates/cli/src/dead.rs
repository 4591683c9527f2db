//! `sapari dead`: what ended in a role's dead-letter queue, and what becomes of it.
//! Letters are chosen by id, task and reason, the oldest first; what is not chosen stays where it is, in its order. Nothing is declared: where
//! no worker ever was, there are no dead letters.

use std::time::{SystemTime, UNIX_EPOCH};

use sapari_runtime::broker::{Broker, BrokerError, DeadLetter, Verdict};
use sapari_runtime::host::{Exit, Failure};
use serde_json::{Value, json};

use crate::args::{Chosen, Dead, Meant};
use crate::console::{json, line, note};
use crate::servers::{check, connect_to_look};
use crate::table::{age, aligned, plain};

/// The widest that an error is shown in a list, in characters.
const ERROR_WIDTH: usize = 80;

pub(crate) fn run(command: &Dead) -> Result<(), Failure> {
    let chosen = match command {
        Dead::List(listed) => &listed.chosen,
        Dead::Show(chosen) => chosen,
        Dead::Replay(meant) => meant.named("replay")?,
        Dead::Drop(meant) => meant.named("drop")?,
    };
    check(&chosen.servers, chosen.role.queue())?;
    crate::with_telemetry(carry_out(command, chosen))
}

async fn carry_out(command: &Dead, chosen: &Chosen) -> Result<(), Failure> {
    let broker = connect_to_look(&chosen.servers).await?;
    let done = match command {
        Dead::List(listed) => list(&told_letters(&*broker, chosen).await?, listed.json),
        Dead::Show(_) => show_all(&told_letters(&*broker, chosen).await?, chosen),
        Dead::Replay(_) => replay(&*broker, chosen).await,
        Dead::Drop(_) => drop_for_good(&*broker, chosen).await,
    };
    broker.close().await;
    done
}

impl Meant {
    /// The letters that are meant, if somebody said which.
    fn named(&self, verb: &str) -> Result<&Chosen, Failure> {
        let chosen = &self.chosen;
        if self.all || chosen.id.is_some() || chosen.task.is_some() || chosen.reason.is_some() {
            return Ok(chosen);
        }
        let role = chosen.role;
        Err(Exit::Usage.with(format!(
            "say which letters to {verb} with --id, --task or --reason, or all of them with --all; `sapari dead list {role}` shows them"
        )))
    }
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
        let role = self.role;
        Err(Exit::Failed.with(format!(
            "no dead letter of {role} has the id {id} and what else was asked for; `sapari task {id}` says how it ended"
        )))
    }
}

/// How many letters were chosen.
struct Picked {
    letters: usize,
    /// Whether the limit left some.
    more: bool,
}

impl Picked {
    fn tell(&self) {
        if self.more {
            note(format_args!(
                "there are more than {} of these; --limit takes more at once",
                self.letters
            ));
        }
    }
}

/// Does this with each letter that is chosen, the oldest first, and with no more than the limit allows.
async fn with_each(
    broker: &dyn Broker,
    chosen: &Chosen,
    act: &mut (dyn FnMut(&DeadLetter) -> Verdict + Send),
) -> Result<Picked, Failure> {
    let queue = chosen.role.queue();
    let depth = broker.depth(queue).await;
    // What dies meanwhile, perhaps of the replay itself, is for the next time.
    let there = depth.map_err(|error| unavailable(&error))?.dead;
    let (mut picked, mut more) = (0, false);
    let mut judge = |letter: &DeadLetter| match chosen.wants(letter) {
        false => Verdict::Keep,
        true if picked == chosen.limit() => {
            more = true;
            Verdict::Enough
        }
        true => {
            picked += 1;
            act(letter)
        }
    };
    let there = usize::try_from(there).unwrap_or(usize::MAX);
    let reviewed = broker.review_dead(queue, there, &mut judge).await;
    reviewed.map_err(|error| unavailable(&error))?;
    Ok(Picked {
        letters: picked,
        more,
    })
}

async fn told_letters(broker: &dyn Broker, chosen: &Chosen) -> Result<Vec<DeadLetter>, Failure> {
    let (letters, picked) = letters(broker, chosen).await?;
    picked.tell();
    Ok(letters)
}

async fn letters(
    broker: &dyn Broker,
    chosen: &Chosen,
) -> Result<(Vec<DeadLetter>, Picked), Failure> {
    let mut letters = Vec::new();
    let mut keep = |letter: &DeadLetter| {
        letters.push(letter.clone());
        Verdict::Keep
    };
    let picked = with_each(broker, chosen, &mut keep).await?;
    Ok((letters, picked))
}

fn unavailable(error: &BrokerError) -> Failure {
    Exit::Unavailable.because(error)
}

fn list(letters: &[DeadLetter], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return letters.iter().try_for_each(|letter| json(&value(letter)));
    }
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

/// What the table has of it, whole.
fn value(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.task_id(),
        "task": letter.task_name(),
        "reason": letter.reason(),
        "tries": letter.attempts(),
        "died_at": letter.died_at(),
        "error": letter.error(),
    })
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

async fn replay(broker: &dyn Broker, chosen: &Chosen) -> Result<(), Failure> {
    let results = chosen.servers.store.results().await?;
    // Their failures are forgotten first: a worker that finds one would take the message for finished.
    let (letters, _) = letters(broker, chosen).await?;
    for letter in letters {
        if let Some(id) = letter.task_id().and_then(|id| id.parse().ok()) {
            let forgotten = results.forget(&id).await;
            forgotten.map_err(|error| Exit::Unavailable.because(&error))?;
        }
    }
    let mut hopeless = Vec::new();
    let mut replay = |letter: &DeadLetter| match letter.replay(chosen.role.queue()) {
        Ok(parcel) => Verdict::Replay(Box::new(parcel)),
        Err(reason) => {
            hopeless.push(format!("{}: {reason}", letter.task_id().unwrap_or("-")));
            Verdict::Keep
        }
    };
    let picked = with_each(broker, chosen, &mut replay).await?;
    picked.tell();
    line(format_args!("{} replayed", picked.letters - hopeless.len()))?;
    match hopeless.as_slice() {
        [] => chosen.found(picked.letters),
        some => Err(Exit::Failed.with(format!("left where they are: {}", some.join("; ")))),
    }
}

async fn drop_for_good(broker: &dyn Broker, chosen: &Chosen) -> Result<(), Failure> {
    let dropped = with_each(broker, chosen, &mut |_: &DeadLetter| Verdict::Drop).await?;
    dropped.tell();
    line(format_args!("{} dropped", dropped.letters))?;
    chosen.found(dropped.letters)
}
