//! What the subcommands share on a terminal: lines on stdout, and telemetry that stays quiet unless it is asked.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use sapari_runtime::duration::seconds;
use sapari_runtime::host::{Exit, Failure, Process};
use sapari_tasks::Role;
use sapari_telemetry::{Defaults, Guard, Outputs, Settings, init_with};
use serde_json::Value;

use crate::table::steers;

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

/// Writes a value as one line of JSON.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    line(json_text(&value.to_string()))
}

/// JSON that says the same without a character that could steer a terminal. Outside of strings only white space can be one.
pub(crate) fn json_text(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' | '\t' => text.push(c),
            '\r' => text.push(' '),
            c if steers(c) => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

/// Says something to a person that is no result.
pub(crate) fn note(text: impl Display) {
    // Nobody is left to tell when stderr is gone.
    let _ = writeln!(std::io::stderr(), "{text}");
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
        ..Defaults::default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_without_what_steers_a_terminal() {
        let value = serde_json::json!({"a": "\u{1b}[31m \u{9b}2J \u{202e}x é"});
        let text = json_text(&format!("{value}\r\n"));
        assert!(!text.trim_end().chars().any(steers), "{text:?}");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read, value);
    }
}
