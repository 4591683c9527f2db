//! Child processes that never outlive the task that started them.
//!
//! Each child leads its own process group and is run without a shell, with an empty stdin. It
//! deliberately does not log what a process prints or its arguments (presigned URLs are among
//! them), does not retry, and does not catch a worker that is itself killed with SIGKILL: that is
//! for the container or the service manager.

mod error;
mod group;
mod output;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

pub use error::{Exit, ProcessError};
use group::{Group, exited};
use output::{Bounded, Lines, Sink, Tail};

use crate::redact::redacted;

/// How long a cancelled process may take to end by itself, unless set with [`ChildProcess::grace`].
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// A program with its arguments, ready to run once.
#[derive(Debug)]
pub struct ChildProcess {
    command: Command,
    program: String,
    grace: Duration,
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
        let program = program.as_ref();
        let name = Path::new(program).file_name().unwrap_or(program);
        Self {
            command: Command::new(program),
            program: name.to_string_lossy().into_owned(),
            grace: DEFAULT_GRACE,
        }
    }

    /// Adds one argument, passed as it is: there is no shell.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Runs it in this directory: relative names among its arguments are then names there.
    #[must_use]
    pub fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sets how long the process may take to end after SIGTERM before SIGKILL.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
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
        let (program, grace) = (self.program.clone(), self.grace);
        if cancel.is_cancelled() {
            return Err(ProcessError::Cancelled { program });
        }
        let mut running = self.spawn()?;
        let mut tail = Tail::default();
        let ended = running.until_end(sink, &mut tail, cancel, grace).await;
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

    fn spawn(mut self) -> Result<Running, ProcessError> {
        self.command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Only a second line: it reaches the leader alone, the group guard reaches all.
            .kill_on_drop(true);
        let program = self.program;
        match self.command.spawn() {
            Ok(child) => Running::of(child).map_err(|e| io_error(&program, "start", e)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(ProcessError::NotFound { program })
            }
            Err(e) => Err(io_error(&program, "start", e)),
        }
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
    Io(io::Error),
}

impl Stop {
    fn into_error(self, program: String) -> ProcessError {
        match self {
            Self::Cancelled => ProcessError::Cancelled { program },
            Self::TooMuch(limit) => ProcessError::TooMuchOutput { program, limit },
            Self::Io(source) => io_error(&program, "read from", source),
        }
    }
}

/// A child that was started and not yet reaped.
struct Running {
    // Dropped before `child`: dropping the child may reap it, and its number is then not ours.
    group: Group,
    child: Child,
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
        }
    }

    async fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        // No await in between: the guard is never armed after the number went back.
        self.group.leader_was_reaped();
        Ok(status)
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
