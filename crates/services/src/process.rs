//! Child processes that never outlive the task that started them.
//!
//! Each child is run without a shell, with an empty stdin, in a process group of its own that a
//! leash leads: when this process ends, however it ends, the group is killed. It deliberately does
//! not log what a process prints or its arguments (presigned URLs are among them), and does not
//! retry.

mod error;
mod group;
mod output;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sapari_leash::Limits;
use tokio::io::{AsyncRead, AsyncReadExt, Interest};
use tokio::net::unix::pipe::Sender;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

pub(crate) use error::telling;
pub use error::{Exit, ProcessError};
use group::{Group, exited};
use output::{Bounded, Lines, Sink, Tail};

use crate::redact::redacted;

/// How long a cancelled process may take to end by itself, unless set with [`ChildProcess::grace`].
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// What a program gets that is only asked for its version: one that hangs must not hang the start of a process.
pub(crate) const VERSION_WITHIN: Duration = Duration::from_secs(30);
pub(crate) const VERSION_MEMORY: u64 = 2 << 30;

/// A program with its arguments, ready to run once.
#[derive(Debug)]
pub struct ChildProcess {
    program: PathBuf,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    environment: Option<Vec<(OsString, OsString)>>,
    limits: Limits,
    grace: Duration,
    within: Option<Duration>,
}

/// What a process that succeeded has written.
#[derive(Debug)]
pub struct Collected {
    /// All of its stdout.
    pub stdout: Vec<u8>,
    /// The last 16 KiB of its stderr, without secrets of URLs.
    pub stderr_tail: String,
}

impl ChildProcess {
    /// Runs `program`: a path, or a name looked up in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: PathBuf::from(program.as_ref()),
            args: Vec::new(),
            dir: None,
            environment: None,
            limits: Limits::default(),
            grace: DEFAULT_GRACE,
            within: None,
        }
    }

    /// Adds one argument, passed as it is: there is no shell.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let args = args.into_iter();
        self.args.extend(args.map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Gives the process these variables and no others.
    #[must_use]
    pub fn environment(
        mut self,
        variables: impl IntoIterator<Item = (&'static str, OsString)>,
    ) -> Self {
        let variables = variables.into_iter();
        self.environment = Some(
            variables
                .map(|(name, value)| (name.into(), value))
                .collect(),
        );
        self
    }

    /// Sets how much memory of its own the process, and each that it starts, may have, in bytes.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }

    /// Sets how large a file may become that the process writes, in bytes.
    #[must_use]
    pub fn file_size(mut self, bytes: u64) -> Self {
        self.limits.file = Some(bytes);
        self
    }

    /// Runs it in this directory: relative names among its arguments are then names there.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Sets how long the process may take to end after SIGTERM before SIGKILL.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long the process may run. After that its group gets SIGKILL.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// Runs the process to its end, giving every line of stdout to `on_line` as it comes (a line
    /// over 64 KiB is cut). Returns the last 16 KiB of stderr.
    ///
    /// It ends when both outputs are closed and the process has exited; what is left of its group
    /// is then killed.
    ///
    /// # Cancel safety
    ///
    /// When `cancel` fires, the group gets SIGTERM, after the grace SIGKILL, and the process is
    /// reaped before this returns [`ProcessError::Cancelled`]; lines may still come meanwhile.
    /// A dropped future sends SIGKILL to the group at once and does not wait.
    ///
    /// # Errors
    ///
    /// See [`ProcessError`]; any end but exit code 0 is [`ProcessError::Failed`].
    pub async fn run(
        self,
        cancel: &CancellationToken,
        on_line: impl FnMut(&str) + Send,
    ) -> Result<String, ProcessError> {
        self.drive(cancel, &mut Lines::new(on_line)).await
    }

    /// Runs the process to its end and returns its stdout, of at most `max_bytes`.
    ///
    /// # Cancel safety
    ///
    /// As [`ChildProcess::run`].
    ///
    /// # Errors
    ///
    /// As [`ChildProcess::run`], and [`ProcessError::TooMuchOutput`].
    pub async fn collect(
        self,
        cancel: &CancellationToken,
        max_bytes: usize,
    ) -> Result<Collected, ProcessError> {
        let mut sink = Bounded::new(max_bytes);
        let stderr_tail = self.drive(cancel, &mut sink).await?;
        Ok(Collected {
            stdout: sink.bytes,
            stderr_tail,
        })
    }

    async fn drive(
        self,
        cancel: &CancellationToken,
        sink: &mut (impl Sink + Send),
    ) -> Result<String, ProcessError> {
        let (program, grace, within) = (self.name(), self.grace, self.within);
        if cancel.is_cancelled() {
            return Err(ProcessError::Cancelled { program });
        }
        let mut running = self.spawn()?;
        let mut tail = Tail::default();
        let end = running.until_end(sink, &mut tail, cancel, grace);
        let ended = match within {
            Some(limit) => tokio::time::timeout(limit, end)
                .await
                .unwrap_or(Err(Stop::TooLong(limit))),
            None => end.await,
        };
        running.group.send(Signal::SIGKILL);
        let status = running
            .reap()
            .await
            .map_err(|e| io_error(&program, "wait for", e))?;
        let stderr_tail = redacted(&tail.into_text());
        match (ended, Exit::of(status)) {
            (Err(stop), _) => Err(stop.into_error(program)),
            (Ok(()), None) => Ok(stderr_tail),
            (Ok(()), Some(exit)) => Err(ProcessError::Failed {
                program,
                exit,
                stderr_tail,
            }),
        }
    }

    fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        name.to_string_lossy().into_owned()
    }

    fn spawn(self) -> Result<Running, ProcessError> {
        let name = self.name();
        let missing = |program: &str| ProcessError::NotFound {
            program: program.to_owned(),
        };
        let failed = |error: io::Error| io_error(&name, "start", error);
        // Looked for here: what the leash cannot start is only known when it has ended.
        let mut places = sapari_leash::in_path(self.program.as_os_str());
        let program = places.find(|place| place.is_file());
        let program = program.ok_or_else(|| missing(&name))?;
        let leash = sapari_leash::command(&program, self.limits);
        let mut command = match leash {
            Ok(command) => Command::from(command),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(missing(sapari_leash::NAME));
            }
            Err(error) => return Err(failed(error)),
        };
        if let Some(variables) = self.environment {
            command.env_clear().envs(variables);
        }
        if let Some(dir) = self.dir {
            command.current_dir(dir);
        }
        command
            .args(self.args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Only a second line: it reaches the leader alone, the group guard reaches all.
            .kill_on_drop(true);
        command.spawn().and_then(Running::of).map_err(failed)
    }
}

fn io_error(program: &str, doing: &'static str, source: io::Error) -> ProcessError {
    ProcessError::Io {
        program: program.to_owned(),
        doing,
        source,
    }
}

/// Why a process was stopped before its end.
enum Stop {
    Cancelled,
    TooMuch(usize),
    TooLong(Duration),
    Io(io::Error),
}

impl Stop {
    fn into_error(self, program: String) -> ProcessError {
        match self {
            Self::Cancelled => ProcessError::Cancelled { program },
            Self::TooMuch(limit) => ProcessError::TooMuchOutput { program, limit },
            Self::TooLong(limit) => ProcessError::TooSlow { program, limit },
            Self::Io(source) => io_error(&program, "read from", source),
        }
    }
}

/// A child on its leash that was started and not yet reaped.
struct Running {
    // Dropped before `child`: dropping the child may reap it, and its number is then not ours.
    group: Group,
    child: Child,
    /// Closed, it ends the group; broken, the leash is gone.
    leash: Option<Sender>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Running {
    fn of(mut child: Child) -> io::Result<Self> {
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .ok_or_else(|| io::Error::other("the new process has no id"))?;
        Ok(Self {
            group: Group::led_by(Pid::from_raw(leader)),
            // Taken: who waits for a child closes its stdin.
            leash: child.stdin.take().map(held).transpose()?,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
        })
    }

    /// Reads both outputs to their end and waits for the exit, without reaping.
    async fn until_end(
        &mut self,
        sink: &mut (impl Sink + Send),
        tail: &mut Tail,
        cancel: &CancellationToken,
        grace: Duration,
    ) -> Result<(), Stop> {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let leader = self.group.leader();
        let mut work = pin!(async {
            // Both at once: a process blocks on whichever pipe nobody reads.
            tokio::try_join!(
                read_all(stdout, |chunk| sink.feed(chunk)),
                read_all(stderr, |chunk| {
                    tail.push(chunk);
                    Ok(())
                }),
            )?;
            sink.end();
            exited(leader).await.map_err(Stop::Io)
        });
        tokio::select! {
            biased;
            ended = &mut work => ended,
            () = cancel.cancelled() => {
                self.group.send(Signal::SIGTERM);
                // Its outputs are still read, or a last message could block it.
                let _ = tokio::time::timeout(grace, work).await;
                Err(Stop::Cancelled)
            }
            // Killed by itself it has not ended its group, and nobody would before the program's own end.
            () = lost(self.leash.as_ref()) => {
                self.group.send(Signal::SIGKILL);
                work.await
            }
        }
    }

    async fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        // No await in between: the guard is never armed after the number went back.
        self.group.leader_was_reaped();
        Ok(status)
    }
}

/// Async, so that its breaking is heard of.
fn held(stdin: ChildStdin) -> io::Result<Sender> {
    Sender::from_owned_fd(stdin.into_owned_fd()?)
}

/// Resolves when the leash is gone.
async fn lost(leash: Option<&Sender>) {
    match leash {
        // An error would say that there is no way to know.
        Some(leash) if leash.ready(Interest::ERROR).await.is_ok() => {}
        _ => std::future::pending().await,
    }
}

async fn read_all(
    pipe: Option<impl AsyncRead + Unpin>,
    mut take: impl FnMut(&[u8]) -> Result<(), usize>,
) -> Result<(), Stop> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = pipe.read(&mut buffer).await.map_err(Stop::Io)?;
        if read == 0 {
            return Ok(());
        }
        take(&buffer[..read]).map_err(Stop::TooMuch)?;
    }
}
