//! The command line of `sapari schedule`.

use std::time::SystemTime;

use clap::{Args, Subcommand};
use sapari_runtime::message::Args as TaskArgs;
use sapari_runtime::queue::Priority;
use sapari_runtime::schedule::{Tick, WrittenEntry};
use sapari_tasks::Role;

use crate::args::{Servers, Store, priority, task_args};

/// `sapari schedule`
#[derive(Subcommand)]
#[command(
    after_help = "Examples:\n  sapari schedule list\n  sapari schedule add nightly-check --task rescue_stuck_tasks --cron '0 30 2 * * *' --tz Europe/Lisbon\n  sapari schedule next --count 5\n\nEntries of the timetable are written in the scheduler's source; they can be paused and run here, not changed."
)]
pub(crate) enum Schedule {
    /// Every entry: when it is due, up to which tick it is settled, and when it is fired next
    List(List),
    /// Add an entry, or replace an added one
    Add(Box<Add>),
    /// Remove an added entry
    Remove(One),
    /// Let an entry's ticks go until it is resumed
    Pause(One),
    /// Let a paused entry go on; what it let go is not made up for
    Resume(One),
    /// Kick an entry's task now, beside its schedule, and print the message's id
    RunNow(RunNow),
    /// When entries are fired next, one or all: their ticks, and what jitter adds to them
    Next(Next),
}

/// `sapari schedule list`
#[derive(Args)]
pub(crate) struct List {
    /// A JSON line for each entry instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) store: Store,
}

/// `sapari schedule add`
#[derive(Args)]
#[group(id = "when", required = true, multiple = false, args = ["cron", "every", "at"])]
pub(crate) struct Add {
    /// What it is called: letters, digits, dots, dashes and underscores
    pub(crate) id: String,
    /// The task's name
    #[arg(long)]
    pub(crate) task: String,
    /// On this role's queue, whatever the catalogue says of the task and its args; needed for names that are not in it
    #[arg(long)]
    pub(crate) role: Option<Role>,
    /// A cron pattern: five fields, or six with seconds before them; or @hourly, @daily, @weekly, @monthly, @yearly
    #[arg(long, value_name = "PATTERN")]
    pub(crate) cron: Option<String>,
    /// The IANA time zone of the pattern, like Europe/Lisbon [default: UTC]
    #[arg(long, value_name = "ZONE", conflicts_with_all = ["every", "at"])]
    pub(crate) tz: Option<String>,
    /// Every so often, like 5m
    #[arg(long, value_name = "DURATION")]
    pub(crate) every: Option<String>,
    /// Once, like 2027-01-31T08:00:00Z; a fraction of a second is cut off
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Tick>,
    /// The args: a JSON object for names, a JSON list for positions; refused when the task could not read them, unless --role is given
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = task_args)]
    pub(crate) args: TaskArgs,
    /// 0 (low) to 3 (urgent) [default: 1]
    #[arg(long, value_name = "N", value_parser = priority)]
    pub(crate) priority: Option<Priority>,
    /// After how long a run is too late, like 1h; then it is dead as expired
    #[arg(long, value_name = "DURATION")]
    pub(crate) expires: Option<String>,
    /// Fire it later than its ticks by a time below this, always the same for one entry
    #[arg(long, value_name = "DURATION")]
    pub(crate) jitter: Option<String>,
    /// Ticks that could not be fired on time: skip, run-once, or run-all:1h
    #[arg(long, value_name = "POLICY")]
    pub(crate) missed: Option<String>,
    /// Ticks that come while an earlier run goes on: allow, skip, queue-one
    #[arg(long, value_name = "POLICY")]
    pub(crate) overlap: Option<String>,
    #[command(flatten)]
    pub(crate) store: Store,
}

/// A command about one entry.
#[derive(Args)]
pub(crate) struct One {
    /// The entry
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) store: Store,
}

/// `sapari schedule run-now`
#[derive(Args)]
pub(crate) struct RunNow {
    /// The entry
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) servers: Servers,
}

/// `sapari schedule next`
#[derive(Args)]
pub(crate) struct Next {
    /// Only this entry
    pub(crate) id: Option<String>,
    /// How many times
    #[arg(long, short, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,
    /// A JSON line for each: when it is fired, and the tick that it is for
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) store: Store,
}

impl Add {
    /// The entry as it is written down, for this queue.
    pub(crate) fn written(&self, queue: &str) -> WrittenEntry {
        WrittenEntry {
            cron: self.cron.clone(),
            tz: self.tz.clone(),
            every: self.every.clone(),
            at: self.at.map(Tick::seconds),
            task: self.task.clone(),
            queue: queue.to_owned(),
            priority: self.priority.map(Priority::number),
            args: self.args.positional.clone(),
            kwargs: self.args.keyword.clone(),
            expires: self.expires.clone(),
            jitter: self.jitter.clone(),
            missed: self.missed.clone(),
            overlap: self.overlap.clone(),
            since: Some(Tick::before(SystemTime::now()).seconds()),
        }
    }
}
