//! The command line of a worker process. Every flag has an environment variable of the product's prefix behind it.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::health::HealthAddr;
use super::{Program, Setting, Settings};
use crate::worker::{LONGEST_LEASE, SHORTEST_LEASE};

pub(super) const ROLE: &str = "role";
pub(super) const EXPLAIN: &str = "explain";
pub(super) const BROKER_URL: &str = "broker-url";
pub(super) const RESULT_URL: &str = "result-url";
pub(super) const NAMESPACE: &str = "namespace";
pub(super) const SLOTS: &str = "slots";
pub(super) const READ_AHEAD: &str = "read-ahead";
pub(super) const DRAIN_GRACE: &str = "drain-grace";
pub(super) const HEALTH_ADDR: &str = "health-addr";
pub(super) const UNKNOWN_WAIT: &str = "unknown-wait";
pub(super) const AGING: &str = "aging";
pub(super) const LEASE: &str = "lease";
pub(super) const BOOT_DEADLINE: &str = "boot-deadline";
/// Where a scheduler without a Redis keeps its state.
pub(super) const STATE_FILE: &str = "state-file";
pub(super) const SERVICE_NAME: &str = "service-name";

/// Where the broker is when nobody says.
pub const DEFAULT_BROKER_URL: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";
/// Where the result store is when nobody says.
pub const DEFAULT_RESULT_URL: &str = "redis://127.0.0.1:6379";

const EXIT_CODES: &str = "Exit codes: 0 drained after a signal, 64 bad settings, 69 a server or a program cannot be reached, 70 a bug, 130 ended at once by a second signal.";

const SCHEDULER_EXIT_CODES: &str = "Exit codes: 0 ended by a signal, 64 bad settings, 69 a server cannot be reached at the start, 70 a bug, 130 ended at once by a second signal.";

pub(super) fn for_role(program: &Program) -> Command {
    command(program.app, program.service(), program.settings).about(program.about)
}

pub(super) fn for_scheduler(app: &'static str, name: String) -> Command {
    Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(SCHEDULER_EXIT_CODES)
        .args(servers(app))
        .arg(state_file(app))
        .arg(health_addr(app))
        .arg(boot_deadline(app))
        .arg(service_name())
        .arg(explain("Print every entry with its next runs, and exit"))
}

pub(super) fn for_any(programs: &[Program]) -> Command {
    let app = programs.first().map_or("", |program| program.app);
    let mut settings: Vec<Setting> = programs
        .iter()
        .flat_map(|program| program.settings)
        .copied()
        .collect();
    settings.sort_by_key(|setting| setting.name);
    settings.dedup_by_key(|setting| setting.name);
    let roles: Vec<&'static str> = programs.iter().map(|program| program.role).collect();
    let role = Arg::new(ROLE)
        .long(ROLE)
        .required(true)
        .value_name("ROLE")
        .display_order(0)
        .env(variable(app, ROLE))
        .value_parser(roles)
        .help("Which role this process has");
    command(app, format!("{app}-worker"), &settings)
        .about("Runs the worker of one role")
        .arg(role)
}

fn command(app: &'static str, name: String, settings: &[Setting]) -> Command {
    Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(EXIT_CODES)
        .args(servers(app))
        .arg(slots(app))
        .arg(read_ahead(app))
        .arg(drain_grace(app))
        .arg(unknown_wait(app))
        .arg(lease(app))
        .arg(aging(app))
        .arg(health_addr(app))
        .arg(boot_deadline(app))
        .arg(service_name())
        .arg(explain("Print tasks, middleware and topology, and exit"))
        .args(settings.iter().map(|setting| from_setting(app, setting)))
}

/// Where the servers are, and what is ours on them.
fn servers(app: &'static str) -> [Arg; 3] {
    let broker = "The broker: amqp://.., amqps://.. or memory://";
    let results = "The result store: redis://.., rediss://.. or memory://";
    [
        url(app, BROKER_URL, DEFAULT_BROKER_URL, broker),
        url(app, RESULT_URL, DEFAULT_RESULT_URL, results),
        namespace(app),
    ]
}

fn state_file(app: &str) -> Arg {
    let help = "Keep state in this file instead of Redis, for a single scheduler; whether an earlier run goes on is not known then, and a result store that the environment names is not used";
    let arg = Arg::new(STATE_FILE).long(STATE_FILE).value_name("PATH");
    let arg = arg.value_parser(clap::value_parser!(std::path::PathBuf));
    arg.env(variable(app, STATE_FILE)).help(help)
}

fn service_name() -> Arg {
    let help = "service.name of the telemetry, if not the role's own";
    let arg = Arg::new(SERVICE_NAME).long(SERVICE_NAME);
    arg.value_name("NAME").help(help)
}

fn explain(help: &'static str) -> Arg {
    let arg = Arg::new(EXPLAIN).long(EXPLAIN);
    arg.action(ArgAction::SetTrue).help(help)
}

/// The value is not shown in `--help`: it may hold a password.
fn url(app: &str, name: &'static str, default: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(name)
        .long(name)
        .value_name("URL")
        .env(variable(app, name))
        .hide_env_values(true);
    arg.default_value(default).help(help)
}

fn namespace(app: &'static str) -> Arg {
    let arg = Arg::new(NAMESPACE).long(NAMESPACE).value_name("NAME");
    arg.env(variable(app, NAMESPACE)).default_value(app).help(
        "What exchange and queues are called on the broker: several environments can share one. Results lie under their task's id \
         alone, as TaskIQ's do: give each environment a Redis database of its own",
    )
}

fn slots(app: &str) -> Arg {
    let arg = Arg::new(SLOTS)
        .long(SLOTS)
        .value_name("N")
        .env(variable(app, SLOTS));
    arg.value_parser(clap::value_parser!(u16).range(1..))
        .help("How many tasks run at once [default: the role's own]")
}

fn read_ahead(app: &str) -> Arg {
    let arg = Arg::new(READ_AHEAD)
        .long(READ_AHEAD)
        .value_name("N")
        .env(variable(app, READ_AHEAD));
    arg.value_parser(clap::value_parser!(u16).range(1..))
        .help("How many messages of a level are held ahead of the slots [default: by the slots, more while tasks are short]")
}

fn drain_grace(app: &str) -> Arg {
    let help = "How long running tasks may go on after SIGTERM before they are handed back, like 30s or 5m";
    duration(app, DRAIN_GRACE).default_value("30s").help(help)
}

fn health_addr(app: &str) -> Arg {
    let arg = Arg::new(HEALTH_ADDR)
        .long(HEALTH_ADDR)
        .value_name("IP:PORT")
        .env(variable(app, HEALTH_ADDR));
    let help = "Where /livez, /readyz and /metrics are answered: port 0 for any free one, which the log names, or off";
    arg.default_value("127.0.0.1:0")
        .value_parser(clap::value_parser!(HealthAddr))
        .help(help)
}

fn unknown_wait(app: &str) -> Arg {
    let help = "How long a message whose task this worker does not know waits for one that does, as in a rolling deploy, before it is dead";
    duration(app, UNKNOWN_WAIT).default_value("10m").help(help)
}

fn lease(app: &str) -> Arg {
    let help = "How long a message waits after the worker that ran it was killed; claims are renewed three times as often";
    let within = |text: &str| {
        let lease = crate::duration::parse(text)?;
        if (SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease) {
            return Ok(lease);
        }
        Err("a lease is between 1s and 24h".to_owned())
    };
    let arg = duration(app, LEASE).value_parser(ValueParser::new(within));
    arg.default_value("9s").help(help)
}

fn aging(app: &str) -> Arg {
    let help = "Let a lower level through once whenever it was passed over for so long; 0s keeps levels strict";
    duration(app, AGING).default_value("0s").help(help)
}

fn duration(app: &str, name: &'static str) -> Arg {
    let arg = Arg::new(name)
        .long(name)
        .value_name("DURATION")
        .env(variable(app, name));
    arg.value_parser(ValueParser::new(crate::duration::parse))
}

fn boot_deadline(app: &str) -> Arg {
    let help = "How long each server is waited for at the start before the process exits with 69";
    duration(app, BOOT_DEADLINE).default_value("30s").help(help)
}

fn from_setting(app: &str, setting: &Setting) -> Arg {
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .value_name("VALUE")
        .help(setting.help);
    let arg = arg.env(variable(app, setting.name)).hide_env_values(true);
    match setting.default {
        Some(default) => arg.default_value(default),
        None => arg,
    }
}

fn variable(app: &str, name: &str) -> String {
    format!("{app}_{name}").to_uppercase().replace('-', "_")
}

pub(super) fn settings(program: &Program, matches: &ArgMatches) -> Settings {
    let value = |setting: &Setting| {
        Some((
            setting.name,
            matches.get_one::<String>(setting.name)?.clone(),
        ))
    };
    Settings::of(program.settings.iter().filter_map(value))
}
