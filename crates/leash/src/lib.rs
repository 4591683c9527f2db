//! Child processes that end with whoever started them, also when that one is killed with SIGKILL and can do nothing more.
//!
//! Between the two stands the *leash*: a process that leads a group, runs the program in it, and waits at the end of a pipe that
//! the starter holds open and never writes to. When the pipe closes, the leash kills its group. A kernel closes the pipes of
//! the dead, so nothing has to be done at the time of death; and the program's own children are in the group as well.
//!
//! Every program of ours can be the leash: [`divert`] in its `main` sees to that, so there is no other file to install. It
//! deliberately does not follow a process that leaves its group (`setsid`): only a cgroup can.

mod limits;

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal, killpg, raise};
use nix::unistd::{Pid, getpgrp, getpid};

pub use limits::Limits;

/// What the leash is called, as a file and as a process.
pub const NAME: &str = "sapari-leash";

/// This process's own program can be the leash.
static DIVERTS: AtomicBool = AtomicBool::new(false);

/// The program itself, also when its file was replaced meanwhile.
const ITSELF: &str = "/proc/self/exe";

/// The leash could not run the program: the code that shells use for that.
const CANNOT_RUN: u8 = 126;

/// Makes this program the leash if it was started as one, and says how it ended. To be called first in `main`.
#[must_use]
pub fn divert() -> Option<ExitCode> {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    if Path::new(&name).file_name() == Some(OsStr::new(NAME)) {
        return Some(hold(args));
    }
    DIVERTS.store(true, Ordering::Relaxed);
    None
}

/// The command that runs `program` on a leash, without its arguments. It leads a process group; its stdin is a pipe, and the
/// program lives for as long as somebody holds that open.
///
/// # Errors
/// `NotFound` if neither this program can be the leash nor `sapari-leash` is found beside it or in `PATH`.
pub fn command(program: &Path, limits: Limits) -> io::Result<Command> {
    let mut command = match DIVERTS.load(Ordering::Relaxed) && Path::new(ITSELF).exists() {
        true => Command::new(ITSELF),
        false => Command::new(installed()?),
    };
    command
        .arg0(NAME)
        .args(limits.args())
        .arg("--")
        .arg(program);
    command.process_group(0).stdin(Stdio::piped());
    Ok(command)
}

/// The leash's own file: beside this program, above it (where cargo keeps test binaries), or in `PATH`.
fn installed() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.ancestors().skip(1).take(2).map(|dir| dir.join(NAME));
    let mut places = beside.chain(in_path(OsStr::new(NAME)));
    places
        .find(|place| place.is_file())
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Where a program may lie: where its path says, or in the directories of `PATH` if it is a mere name.
pub fn in_path(program: &OsStr) -> impl Iterator<Item = PathBuf> {
    let is_path = Path::new(program).components().count() > 1;
    let path = std::env::var_os("PATH")
        .filter(|_| !is_path)
        .unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let as_it_is = is_path.then(|| PathBuf::from(program));
    let program = program.to_owned();
    as_it_is
        .into_iter()
        .chain(dirs.into_iter().map(move |dir| dir.join(&program)))
}

/// Is the leash: `[LIMITS] -- PROGRAM ARGS..`. Ends as the program ends.
#[must_use]
pub fn hold(args: impl Iterator<Item = OsString>) -> ExitCode {
    match held(args) {
        Ok(status) => ended_as(status),
        Err(sentence) => {
            // There is nobody else to tell.
            let _ = writeln!(io::stderr(), "{NAME}: {sentence}");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

fn held(mut args: impl Iterator<Item = OsString>) -> Result<ExitStatus, String> {
    let group = getpgrp();
    if group != getpid() {
        return Err("it must lead a process group".to_owned());
    }
    let limits = Limits::parse(&mut args)?;
    let program = args.next().ok_or("it is given no program")?;
    // A signal that asks the group to end is for the program: the leash waits for what becomes of it.
    let asked = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    let unset = |errno| format!("could not set which signals are heard: {errno}");
    asked.thread_block().map_err(unset)?;
    limits
        .apply()
        .map_err(|errno| format!("could not set its limits: {errno}"))?;
    let watch = std::thread::Builder::new().spawn(move || kill_at_the_end(group));
    watch.map_err(|error| format!("could not watch over it: {error}"))?;
    let mut command = Command::new(&program);
    // The program hears what the thread hears that starts it. Who is asked to end in this moment ends without it.
    asked.thread_unblock().map_err(unset)?;
    let started = command.args(args).stdin(Stdio::null()).spawn();
    asked.thread_block().map_err(unset)?;
    let named = |doing: &str, error| format!("could not {doing} {}: {error}", program.display());
    let mut child = started.map_err(|error| named("start", error))?;
    child.wait().map_err(|error| named("wait for", error))
}

/// Returns never: the group is its own.
fn kill_at_the_end(group: Pid) {
    let mut byte = [0];
    loop {
        match io::stdin().read(&mut byte) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => break,
        }
    }
    // It cannot fail: this process is one of the group.
    let _ = killpg(group, Signal::SIGKILL);
}

/// With the same code, or by the same signal.
fn ended_as(status: ExitStatus) -> ExitCode {
    if let Some(code) = status.code() {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let number = status.signal().unwrap_or_default();
    if let Ok(signal) = Signal::try_from(number) {
        let _ = SigSet::all().thread_unblock();
        // Twice: the standard library takes the first of some for a fault of its own, and then lets go of them.
        let _ = raise(signal).and_then(|()| raise(signal));
    }
    ExitCode::from(128_u8.saturating_add(u8::try_from(number).unwrap_or(0)))
}
