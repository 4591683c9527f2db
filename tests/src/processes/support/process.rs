//! A process under test: its lines as they come, its signals, its end. It never outlives the test, and neither do its children.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::within;

/// How many lines of a process a failed test shows.
const LAST: usize = 40;

/// A running binary.
pub(crate) struct Process {
    name: String,
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

/// A process that has ended, and all it said.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

/// The lines of one output so far.
pub(crate) struct Lines {
    of: String,
    seen: watch::Receiver<Vec<String>>,
    reader: JoinHandle<()>,
}

impl Process {
    /// Starts a binary of this workspace with these variables and no others.
    pub(super) fn start(name: &str, args: &[&str], env: &[(String, String)]) -> Self {
        let mut command = Command::new(binary(name));
        command.args(args).env_clear();
        command.envs(env.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Self {
            name: name.to_owned(),
            stdout: Lines::of(format!("{name}'s stdout"), stdout.expect("piped")),
            stderr: Lines::of(format!("{name}'s stderr"), stderr.expect("piped")),
            child,
        }
    }

    /// Waits until a worker takes messages.
    pub(crate) async fn ready(self) -> Self {
        self.stderr.message("ready").await;
        self
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the process has not ended");
    }

    /// Stops it where it stands (SIGSTOP), and returns once it does.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        // The exit is waited for too, so that a process that dies does not hang the test; it stays there to be reaped.
        let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(self.pid()), flags).expect("the process is a child of this one");
    }

    /// Its children of that name, and theirs.
    pub(crate) fn children(&self, name: &str) -> Vec<Pid> {
        let named = |pid: &Pid| status(*pid).is_some_and(|status| status.name == name);
        descendants_of(self.pid())
            .into_iter()
            .filter(named)
            .collect()
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let what = format!("the end of {}", self.name);
        let status = within(&what, self.child.wait()).await.expect("a child");
        Ended {
            code: status.code(),
            stdout: self.stdout.all().await,
            stderr: self.stderr.all().await,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        let id = self.child.id().expect("the process was not waited for");
        Pid::from_raw(i32::try_from(id).expect("a process id"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stderr.show();
        }
        // Without an id it was waited for.
        if self.child.id().is_none() {
            return;
        }
        let children = descendants_of(self.pid());
        // Either error means that it is gone already, which is what is wanted.
        let _ = self.child.start_kill();
        for child in children {
            let _ = kill(child, Signal::SIGKILL);
        }
    }
}

impl Ended {
    /// The one line on stdout.
    #[track_caller]
    pub(crate) fn only_line(&self) -> &str {
        match self.stdout.as_slice() {
            [line] => line,
            _ => panic!("one line on stdout was expected: {self:?}"),
        }
    }

    /// Fails unless it told of a task that failed, in words that contain `words`.
    #[track_caller]
    pub(crate) fn assert_failed(&self, words: &str) {
        assert_eq!(self.code, Some(1), "{self:?}");
        let said = self.stderr.concat();
        assert!(said.contains(words), "{words:?} is missing: {self:?}");
    }

    /// Fails unless it ended with this code and said one sentence, on stderr, that contains `words`.
    #[track_caller]
    pub(crate) fn assert_sentence(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let [line] = self.stderr.as_slice() else {
            panic!("one line on stderr was expected: {self:?}")
        };
        assert!(line.starts_with("error: "), "{self:?}");
        assert!(line.contains(words), "{words:?} is missing: {self:?}");
    }
}

impl Lines {
    fn of(of: String, pipe: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, seen) = watch::channel(Vec::new());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            // An error is the end as well: what is missing then fails the test that misses it.
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|seen| seen.push(line));
            }
        });
        Self { of, seen, reader }
    }

    /// Waits for the first line that is as wanted, and returns it with those before it.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let mut seen = self.seen.clone();
        let place = |lines: &[String]| lines.iter().position(|line| wanted(line));
        let what = format!("{what} on {}", self.of);
        let found = within(&what, seen.wait_for(|lines| place(lines).is_some()))
            .await
            .map(|lines| lines[..=place(&lines).expect("just found")].to_vec());
        found.unwrap_or_else(|_| panic!("{what}: it ended after {:#?}", *self.seen.borrow()))
    }

    /// Waits for a log line with this message, and returns it.
    pub(crate) async fn message(&self, message: &str) -> Value {
        let lines = self
            .until(message, |line| json(line)["message"] == message)
            .await;
        json(lines.last().expect("the line that was waited for"))
    }

    /// The last ones, for whoever looks into a failed test.
    fn show(&self) {
        let seen = self.seen.borrow();
        let last = &seen[seen.len().saturating_sub(LAST)..];
        eprintln!("the last lines on {}:\n  {}", self.of, last.join("\n  "));
    }

    async fn all(&mut self) -> Vec<String> {
        let what = format!("the end of {}", self.of);
        within(&what, &mut self.reader).await.expect("no panic");
        self.seen.borrow().clone()
    }
}

/// A log line as JSON; null for any other.
pub(crate) fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or(Value::Null)
}

/// Whether there is such a process.
pub(crate) fn alive(pid: Pid) -> bool {
    status(pid).is_some()
}

/// The workspace's binaries lie above the test's own.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let debug = test.parent().and_then(Path::parent).expect("target/debug");
    let path = debug.join(name);
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build --workspace` first",
        path.display()
    );
    path
}

/// What the process table says of a process.
struct Status {
    name: String,
    parent: i32,
}

/// A process that has ended but was not waited for counts as gone.
fn status(pid: Pid) -> Option<Status> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `12 (name) S 1 ..`, and the name may hold anything.
    let (before, after) = text.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let mut fields = after.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then_some(Status { name, parent })
}

fn descendants_of(parent: Pid) -> Vec<Pid> {
    let mut found = children_of(parent);
    let mut at = 0;
    while at < found.len() {
        found.extend(children_of(found[at]));
        at += 1;
    }
    found
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let table = std::fs::read_dir("/proc").expect("a Linux");
    let pids = table.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ours = |pid: &Pid| status(*pid).is_some_and(|it| it.parent == parent.as_raw());
    pids.map(Pid::from_raw).filter(ours).collect()
}
