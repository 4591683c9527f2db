//! The command line as types. What can be refused without a server is refused here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use sapari_runtime::duration;
use sapari_runtime::host::{DEFAULT_BROKER_URL, DEFAULT_RESULT_URL};
use sapari_runtime::message::{Args as TaskArgs, MessageId};
use sapari_runtime::outcome::DeadReason;
use sapari_runtime::queue::Priority;
use sapari_tasks::Role;

use crate::schedule::Schedule;

/// Sapari's task runtime: try it, kick tasks, look after workers.
#[derive(Parser)]
#[command(
    name = "sapari",
    version,
    after_help = "Exit codes: 0 done, 1 the task failed or did not answer in time, 64 bad arguments or settings, 69 a server or a program cannot be reached, 70 a bug, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Cut the silences out of a video, all in this process: no server needed
    Demo(Demo),
    /// Kick a task by name
    Kick(Box<Kick>),
    /// Ask a role's workers to answer, and print the round trip
    Ping(Ping),
    /// Look at a role's dead letters, run them again, or drop them
    #[command(subcommand)]
    Dead(Dead),
    /// Who is alive, and what it runs
    Workers(Look),
    /// What waits, how long, and who takes it
    Queues(QueuesLook),
    /// What is fired by the clock: look at it, add to it, pause it
    #[command(subcommand)]
    Schedule(Schedule),
    /// Everything that is known of one message
    Task(TaskLook),
    /// End messages, queued or running, on any worker
    Cancel(Cancel),
    /// Let no worker of a role start anything, until it is resumed
    Pause(Pause),
    /// Let the workers of a paused role go on
    Resume(Pause),
}

/// `sapari demo`
#[derive(Args)]
#[command(
    after_help = "Example:\n  sapari demo interview.mp4 --output short.mp4\n\nBeside the cut video go its proxy, waveform, picture and mail, under its name: short.proxy.mp4, short.waveform.json, short.jpg, short.eml."
)]
pub(crate) struct Demo {
    /// The video to cut
    pub(crate) video: PathBuf,
    /// Where the cut video goes, an MP4 [default: NAME-cut.mp4 in this directory]
    #[arg(long, short)]
    pub(crate) output: Option<PathBuf>,
    /// Replace what is there under these names
    #[arg(long, short)]
    pub(crate) force: bool,
}

/// `sapari kick`
#[derive(Args)]
#[command(
    after_help = "Examples:\n  sapari kick render_export --args '{\"export_uuid\": \"..\", \"project_uuid\": \"..\"}' --wait 120s\n  sapari kick render_export --args '[\"..\", \"..\"]' --priority 3 --delay 5m"
)]
pub(crate) struct Kick {
    /// The task's name, like render_export
    pub(crate) task: String,
    /// The args: a JSON object for names, a JSON list for positions; @FILE reads them from a file, @- from standard input
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = task_args)]
    pub(crate) args: TaskArgs,
    /// Kick it on this role's queue; needed for names that are not in the catalogue
    #[arg(long)]
    pub(crate) role: Option<Role>,
    /// 0 (low) to 3 (urgent) [default: the task's own]
    #[arg(long, value_name = "N", value_parser = priority)]
    pub(crate) priority: Option<Priority>,
    /// How long it waits in the broker before it may start, like 5s
    #[arg(long, value_parser = duration::parse)]
    pub(crate) delay: Option<Duration>,
    /// How long from now it may still run, like 10m; then it is dead as expired
    #[arg(long, value_parser = expiry)]
    pub(crate) expires: Option<Duration>,
    /// An id of your own
    #[arg(long)]
    pub(crate) id: Option<MessageId>,
    /// Wait this long for the result, like 60s, and print it as JSON
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// `sapari ping`
#[derive(Args)]
#[command(after_help = "Example:\n  sapari ping render --count 5")]
pub(crate) struct Ping {
    /// The role whose workers shall answer
    pub(crate) role: Role,
    /// How often
    #[arg(long, short, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) count: u32,
    /// How long to wait for each answer
    #[arg(long, default_value = "5s", value_parser = duration::parse)]
    pub(crate) within: Duration,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// `sapari dead`
#[derive(Subcommand)]
pub(crate) enum Dead {
    /// A line for each dead letter, the oldest first
    List(Listed),
    /// Everything about the chosen letters as JSON lines, their args included
    Show(Chosen),
    /// Run the chosen letters again: same id, args, priority and trace, attempts counted from the start
    Replay(Meant),
    /// Drop the chosen letters for good
    Drop(Meant),
}

/// `sapari dead list`
#[derive(Args)]
pub(crate) struct Listed {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// A JSON line for each letter instead of a table; without its args, which `show` has
    #[arg(long)]
    pub(crate) json: bool,
}

/// `sapari dead replay` and `drop`: what changes letters names them, so that nobody drops all of them by a line that was sent too early.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  sapari dead replay render --reason exhausted --limit 50\n  sapari dead drop render --id 0198c0de-0000-7000-8000-000000000001\n  sapari dead drop render --all\n\nIt takes --id, --task, --reason or --all; several of the first three mean the letters to which all of them apply."
)]
pub(crate) struct Meant {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Every letter of the role, as far as --limit goes
    #[arg(long, conflicts_with_all = ["id", "task", "reason"])]
    pub(crate) all: bool,
}

/// Which dead letters.
#[derive(Args)]
pub(crate) struct Chosen {
    /// The role whose dead letters are meant
    pub(crate) role: Role,
    /// Only the letter of this task id
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Only letters of this task
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// Only letters with this reason: permanent, exhausted, bad_args, unknown_task, undecodable, result_too_large, unpublishable, poison, expired
    #[arg(long, value_parser = reason)]
    pub(crate) reason: Option<DeadReason>,
    /// At most so many of those that are meant, the oldest first
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// `sapari workers`
#[derive(Args)]
#[command(
    after_help = "Examples:\n  sapari workers\n  sapari workers --role render --json | jq -r .worker\n\nA worker reports every few seconds; one that is silent is frozen, cut off, or was killed, and is forgotten soon."
)]
pub(crate) struct Look {
    /// Only workers of this role
    #[arg(long)]
    pub(crate) role: Option<Role>,
    /// A JSON line for each worker instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) store: Store,
}

/// `sapari queues`
#[derive(Args)]
#[command(
    after_help = "Examples:\n  sapari queues\n  watch --interval 15 sapari queues --role render\n  sapari queues --json | jq '{role, ready: [.levels[].ready] | add}'\n\nThe age is that of the message at the head of a level, which is marked as redelivered by being looked at. Dead letters, rates and failures are those of the whole role; they stand beside its highest level."
)]
pub(crate) struct QueuesLook {
    /// Only this role
    #[arg(long)]
    pub(crate) role: Option<Role>,
    /// A JSON line for each role instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// `sapari task`
#[derive(Args)]
#[command(
    after_help = "Examples:\n  sapari task 0198c0de-0000-7000-8000-000000000001\n  sapari task 0198c0de-0000-7000-8000-000000000001 --json --output | jq .result.output\n\nArgs are never shown: `sapari dead show` has those of a dead letter."
)]
pub(crate) struct TaskLook {
    /// The message's id, as `sapari kick` prints it
    pub(crate) id: MessageId,
    /// One JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    /// What the task returned, too
    #[arg(long)]
    pub(crate) output: bool,
    #[command(flatten)]
    pub(crate) store: Store,
}

/// `sapari cancel`
#[derive(Args)]
#[command(
    after_help = "Examples:\n  sapari cancel 0198c0de-0000-7000-8000-000000000001\n  sapari cancel 0198c0de-0000-7000-8000-000000000001 --wait 10s\n\nA message that waits is ended when a worker meets it; one that runs is asked to stop, and its child processes with it. What waits is known to the broker alone, so an id that was never kicked is taken, too. With --wait it ends with 0 once all have ended, and with 1 when one has not within that time."
)]
pub(crate) struct Cancel {
    /// The messages' ids
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<MessageId>,
    /// Wait this long for their ends, like 10s, and print how they ended
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
    #[command(flatten)]
    pub(crate) store: Store,
}

/// `sapari pause` and `sapari resume`
#[derive(Args)]
#[command(
    after_help = "Examples:\n  sapari pause render\n  sapari queues --role render\n  sapari resume render\n\nWhat runs goes on to its end. What is kicked waits on the broker. A pause outlives restarts of the workers."
)]
pub(crate) struct Pause {
    /// The role
    pub(crate) role: Role,
    #[command(flatten)]
    pub(crate) store: Store,
}

/// Where broker and results are.
#[derive(Args)]
pub(crate) struct Servers {
    /// The broker: amqp://.. or amqps://..
    #[arg(long, value_name = "URL", env = "SAPARI_BROKER_URL", hide_env_values = true, default_value = DEFAULT_BROKER_URL)]
    pub(crate) broker_url: String,
    #[command(flatten)]
    pub(crate) store: Store,
}

/// Where results are, and what is known of work under way.
#[derive(Args)]
pub(crate) struct Store {
    /// What exchange and queues are called on the broker, and what belongs to them in the result store
    #[arg(
        long,
        value_name = "NAME",
        env = "SAPARI_NAMESPACE",
        default_value = "sapari"
    )]
    pub(crate) namespace: String,
    /// The result store: redis://.. or rediss://..
    #[arg(long, value_name = "URL", env = "SAPARI_RESULT_URL", hide_env_values = true, default_value = DEFAULT_RESULT_URL)]
    pub(crate) result_url: String,
}

/// What stands on a command line is seen by every user of the machine, and is limited in length: hence the file.
pub(crate) fn task_args(text: &str) -> Result<TaskArgs, String> {
    let read = match text.strip_prefix('@') {
        None => return json_args(text),
        Some("-") => std::io::read_to_string(std::io::stdin()),
        Some(path) => std::fs::read_to_string(path),
    };
    json_args(&read.map_err(|error| format!("cannot be read: {error}"))?)
}

fn json_args(text: &str) -> Result<TaskArgs, String> {
    match serde_json::from_str(text) {
        Ok(value @ (serde_json::Value::Object(_) | serde_json::Value::Array(_))) => {
            Ok(TaskArgs::from(value))
        }
        Ok(_) => Err("args are a JSON object (by name) or a JSON list (by position)".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

fn reason(text: &str) -> Result<DeadReason, String> {
    let known: Vec<&str> = DeadReason::ALL
        .iter()
        .map(|reason| reason.as_str())
        .collect();
    DeadReason::named(text).ok_or_else(|| format!("the reasons are {}", known.join(", ")))
}

fn expiry(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err("it would be dead as expired at once".to_owned()),
        after => Ok(after),
    }
}

pub(crate) fn priority(text: &str) -> Result<Priority, String> {
    match text.parse() {
        Ok(number @ 0..=3) => Ok(Priority::from_number(number)),
        _ => Err("a priority is 0 (low), 1 (normal), 2 (high) or 3 (urgent)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_a_server() {
        let refused = [
            vec!["sapari", "ping", "nobody"],
            vec!["sapari", "ping", "render", "--count", "0"],
            vec!["sapari", "kick", "render_export", "--args", "{"],
            vec!["sapari", "kick", "render_export", "--args", "3"],
            vec!["sapari", "kick", "render_export", "--args", "@/nowhere"],
            vec!["sapari", "kick", "render_export", "--priority", "4"],
            vec!["sapari", "kick", "render_export", "--wait", "soon"],
            vec!["sapari", "kick", "render_export", "--expires", "0s"],
            vec!["sapari", "kick", "render_export", "--id", "a b"],
            vec!["sapari", "kick", "x", "--role", "nobody"],
            vec!["sapari", "dead", "list", "nobody"],
            vec!["sapari", "workers", "--role", "nobody"],
            vec!["sapari", "queues", "--role", "nobody"],
            vec!["sapari", "task"],
            vec!["sapari", "task", "a b"],
            vec!["sapari", "cancel"],
            vec!["sapari", "cancel", "id", "--wait", "soon"],
            vec!["sapari", "schedule", "add", "x", "--task", "ping"],
            vec![
                "sapari",
                "schedule",
                "add",
                "x",
                "--task",
                "ping",
                "--every",
                "1m",
                "--at",
                "2027-01-31T08:00:00Z",
            ],
            vec![
                "sapari", "schedule", "add", "x", "--task", "ping", "--at", "soon",
            ],
            vec![
                "sapari", "schedule", "add", "x", "--task", "ping", "--every", "1m", "--tz", "UTC",
            ],
            vec!["sapari", "schedule", "remove"],
            vec!["sapari", "pause"],
            vec!["sapari", "resume", "nobody"],
            vec!["sapari", "dead", "drop", "render", "--reason", "old age"],
            vec![
                "sapari", "dead", "drop", "render", "--all", "--task", "ping",
            ],
        ];
        for line in refused {
            assert!(Cli::try_parse_from(&line).is_err(), "{line:?} was taken");
        }
    }
}
