//! The one main of every worker process: settings, telemetry, servers, worker, signals, drain, exit code, in that order.
//! Bad settings are said before anything is connected. It knows no product: names come from the [`Process`].

mod args;
mod connect;
mod dependencies;
mod exit;
mod explain;
mod gauges;
mod health;
mod schedule;
mod serve;
mod signals;

use std::process::ExitCode;

pub use args::{DEFAULT_BROKER_URL, DEFAULT_RESULT_URL};
pub use connect::{connect_broker, connect_results};
pub use dependencies::{Check, Dependencies, LoadError, Setting, Settings};
pub use exit::{Exit, Failure, usage};
pub use schedule::{Ticker, schedule};
pub use signals::until_signalled_twice;

use crate::worker::{Plan, Worker};

/// What a process is called.
pub trait Process: Copy + Send + 'static {
    /// The product: the prefix of its environment variables in upper case, the name of its exchange, and its `service.namespace`.
    const APP: &'static str;
    /// The role as people type it, `asset-edit`.
    fn name(self) -> &'static str;
    /// What the role does, in one line for `--help`.
    fn about(self) -> &'static str;
}

/// A worker process that has not started: a role, what it needs, and how its worker is put together.
pub struct Program {
    app: &'static str,
    role: &'static str,
    about: &'static str,
    settings: &'static [Setting],
    load: Box<Load>,
}

type Load = dyn Fn(&Settings) -> Result<Loaded, LoadError> + Send + Sync;

/// A plan, and what must be true before it runs.
struct Loaded {
    plan: Plan,
    check: dependencies::Check,
}

impl Program {
    /// The program of one role.
    pub fn new<P: Process, D: Dependencies>(process: P, worker: fn(D) -> Worker<D>) -> Self {
        Self {
            app: P::APP,
            role: process.name(),
            about: process.about(),
            settings: D::SETTINGS,
            load: Box::new(move |settings| load(settings, worker)),
        }
    }

    /// Runs the process from its command line to its exit code.
    #[must_use]
    pub fn main(self) -> ExitCode {
        match args::for_role(&self).try_get_matches() {
            Ok(matches) => serve::main(&self, &matches),
            Err(mistake) => usage(&mistake),
        }
    }

    fn service(&self) -> String {
        format!("{}-{}", self.app, self.role)
    }
}

fn load<D: Dependencies>(
    settings: &Settings,
    worker: fn(D) -> Worker<D>,
) -> Result<Loaded, LoadError> {
    let dependencies = D::load(settings)?;
    let check = dependencies.check();
    Ok(Loaded {
        plan: worker(dependencies).into_plan(),
        check,
    })
}

/// The main of a process with one role: `fn main() -> ExitCode { host::main(Role::Render, worker) }`.
#[must_use]
pub fn main<P: Process, D: Dependencies>(process: P, worker: fn(D) -> Worker<D>) -> ExitCode {
    if let Some(ended) = sapari_leash::divert() {
        return ended;
    }
    Program::new(process, worker).main()
}

/// The main of a process that can be any of several roles: `--role` says which.
#[must_use]
pub fn main_of_any(programs: &[Program]) -> ExitCode {
    if let Some(ended) = sapari_leash::divert() {
        return ended;
    }
    let matches = match args::for_any(programs).try_get_matches() {
        Ok(matches) => matches,
        Err(mistake) => return usage(&mistake),
    };
    let wanted = matches.get_one::<String>(args::ROLE);
    match programs
        .iter()
        .find(|program| Some(program.role) == wanted.map(String::as_str))
    {
        Some(program) => serve::main(program, &matches),
        None => Exit::Usage.say("--role names no role of this binary; see --help"),
    }
}
