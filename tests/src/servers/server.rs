//! One private server: a script that runs it for as long as the script's stdin is open. So it ends with the test process,
//! however that ends, and a test may end it sooner.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use uuid::Uuid;

/// What runs where; `life` is none while it is down.
pub(super) struct Server {
    service: &'static str,
    dir: PathBuf,
    port: u16,
    life: Option<Life>,
}

struct Life {
    script: Child,
    _stdin: ChildStdin,
    pid: Pid,
}

impl Server {
    /// A place for a server, which does not run yet.
    pub(super) fn new(service: &'static str) -> Self {
        let dir = root().join(format!(".services/private/{}", Uuid::new_v4().simple()));
        // Private: what an Erlang cookie opens is a shell.
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir);
        made.expect("writable");
        Self {
            service,
            dir,
            port: free_port(),
            life: None,
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_up(&self) -> bool {
        self.life.is_some()
    }

    /// Starts it on its port, with the data that it left; returns once it answers.
    pub(super) async fn start(&mut self) {
        assert!(!self.is_up(), "it runs");
        let command = self.command();
        let life = tokio::task::spawn_blocking(|| Life::start(command));
        self.life = Some(life.await.expect("it starts"));
    }

    fn command(&self) -> Command {
        let mut command = Command::new(root().join("scripts/services"));
        command.args(["private", self.service]);
        command.arg(&self.dir).arg(self.port.to_string());
        // A group of its own, which the script ends as one.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.process_group(0);
        command
    }

    /// Sends it this signal, and waits for its end.
    pub(super) async fn end(&mut self, signal: Signal) {
        let life = self.life.take().expect("it runs");
        let ended = tokio::task::spawn_blocking(move || life.end(signal));
        ended.await.expect("it ends");
    }
}

impl Life {
    fn start(mut command: Command) -> Self {
        let mut script = command.spawn().expect("scripts/services runs");
        let stdin = script.stdin.take().expect("piped");
        let mut line = String::new();
        let mut stdout = BufReader::new(script.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("text");
        let pid = line.trim().strip_prefix("ready ");
        let pid = pid.and_then(|pid| pid.parse().ok());
        Self {
            script,
            _stdin: stdin,
            pid: Pid::from_raw(
                pid.expect("a server that is ready; what is wrong stands on stderr"),
            ),
        }
    }

    fn end(mut self, signal: Signal) {
        kill(self.pid, signal).expect("it has not ended by itself");
        self.script.wait().expect("a child");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut life) = self.life.take() {
            // The end of its stdin ends the script and the server, at once; an error means that they are gone.
            drop(life._stdin);
            let _ = life.script.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Below the range from which the kernel takes ports for connections: it stays free while its server is down.
fn free_port() -> u16 {
    let random = |_| 20_000 + (Uuid::new_v4().as_u128() % 10_000) as u16;
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..50).map(random).find(free).expect("a free port")
}

/// Where the workspace lies.
pub(super) fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests lies in the root")
}
