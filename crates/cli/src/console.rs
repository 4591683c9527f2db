//! What the subcommands share on a terminal: lines on stdout, and telemetry that stays quiet unless it is asked.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use sapari_runtime::duration::seconds;
use sapari_runtime::host::{Exit, Failure, Process};
use sapari_tasks::Role;
use sapari_telemetry::{Defaults, Guard, Outputs, Settings, init_with};

/// The `service.name` of the command.
pub(crate) const SERVICE: &str = "sapari-cli";
/// How long telemetry may take to be flushed.
pub(crate) const FLUSH_DEADLINE: Duration = seconds(3);

/// Writes a line of results. A reader that went away, as `head` does, is no failure of the work.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Exit::Software.because(&error))
        }
        _ => Ok(()),
    }
}

/// Telemetry by the environment; log lines from WARN on unless `SAPARI_LOG` says otherwise.
pub(crate) fn telemetry() -> Result<Guard, Failure> {
    telemetry_with(settings("warn")?, Outputs::default())
}

/// The environment's settings, with a log filter of our own where it has none.
pub(crate) fn settings(quiet: &str) -> Result<Settings, Failure> {
    let prefix = Role::APP.to_uppercase();
    let log = format!("{prefix}_LOG");
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let defaults = Defaults {
        prefix: &prefix,
        role: SERVICE,
        namespace: Some(Role::APP),
        version: Some(env!("CARGO_PKG_VERSION")),
        terminal,
        service_name: None,
    };
    let lookup = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.or_else(|| (name == log).then(|| quiet.to_owned()))
    };
    Settings::from_lookup(&defaults, lookup).map_err(|error| Exit::Usage.because(&error))
}

pub(crate) fn telemetry_with(settings: Settings, outputs: Outputs) -> Result<Guard, Failure> {
    init_with(settings, outputs).map_err(|error| Exit::Software.because(&error))
}
