//! Real children: their ends, their groups, their output.

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::scratch::Scratch;

/// Long enough for a loaded machine; reached only when a test fails.
const BOUND: Duration = Duration::from_secs(30);

fn sh(script: &str) -> ChildProcess {
    ChildProcess::new("sh").args(["-c", script])
}

fn scratch() -> Scratch {
    Scratch::new(&std::env::temp_dir(), "process-test").unwrap()
}

/// A named pipe. Reading it to its end is the event "every process that held it open is gone".
async fn fifo(scratch: &Scratch) -> std::path::PathBuf {
    let path = scratch.path("alive").unwrap();
    let made = ChildProcess::new("mkfifo").arg(&path);
    made.run(&CancellationToken::new(), |_| {}).await.unwrap();
    path
}

/// Resolves when nobody holds the pipe open any more. On a thread of its own: the runtime would
/// wait for a blocking read when the test has already failed.
fn closed(fifo: &Path) -> oneshot::Receiver<()> {
    let (closed, is_closed) = oneshot::channel();
    let fifo = fifo.to_owned();
    std::thread::spawn(move || {
        std::fs::read(fifo).unwrap();
        let _ = closed.send(());
    });
    is_closed
}

/// A leader with a child of its own, both holding the pipe open; prints `ready` when they run.
fn family(fifo: &Path, leader_on_term: &str) -> ChildProcess {
    let script = format!(
        "exec 9>'{}'; (trap '' TERM; echo ready; while :; do sleep 60; done) & {leader_on_term}; \
         while :; do wait; done",
        fifo.display()
    );
    sh(&script).grace(Duration::from_millis(200))
}

#[tokio::test]
async fn lines_come_in_order_and_stderr_is_kept() {
    let mut lines = Vec::new();
    let tail = sh("echo one; echo problem >&2; echo two")
        .run(&CancellationToken::new(), |line| {
            lines.push(line.to_owned())
        })
        .await
        .unwrap();
    assert_eq!(lines, ["one", "two"]);
    assert_eq!(tail, "problem\n");
}

#[tokio::test]
async fn both_outputs_are_read_at_once() {
    // More than a pipe holds, on the one first and on the other after.
    let script = "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero";
    let never = CancellationToken::new();
    let collected = timeout(BOUND, sh(script).collect(&never, 1 << 20));
    assert_eq!(collected.await.unwrap().unwrap().stdout.len(), 300_000);
}

#[tokio::test]
async fn too_much_output_ends_the_process() {
    let never = CancellationToken::new();
    let error = timeout(BOUND, sh("yes").collect(&never, 1000));
    let error = error.await.unwrap().unwrap_err();
    assert!(matches!(
        error,
        ProcessError::TooMuchOutput { limit: 1000, .. }
    ));
}

#[tokio::test]
async fn a_failure_tells_code_and_last_words() {
    let run = sh("echo first >&2; echo https://h/k?sig=s3cret >&2; exit 3");
    let error = run
        .run(&CancellationToken::new(), |_| {})
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sh` failed with exit code 3: first; https://h/k?[redacted]"
    );
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_signal_is_told_apart_from_a_code() {
    let error = sh("kill -9 $$")
        .run(&CancellationToken::new(), |_| {})
        .await;
    let ProcessError::Failed { exit, .. } = error.unwrap_err() else {
        panic!("not a failure");
    };
    assert_eq!(exit, Exit::Signal(9));
    assert_eq!(exit.to_string(), "signal 9 (SIGKILL)");
}

#[tokio::test]
async fn a_missing_program_says_what_to_do() {
    let run = ChildProcess::new("no-such-program-here");
    let error = run
        .run(&CancellationToken::new(), |_| {})
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`no-such-program-here` was not found: install it, or give its full path"
    );
}

#[tokio::test]
async fn a_cancelled_token_starts_nothing() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = ChildProcess::new("no-such-program-here")
        .run(&cancel, |_| {})
        .await;
    assert!(error.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_process_that_minds_sigterm_may_say_goodbye() {
    let cancel = CancellationToken::new();
    let mut lines = Vec::new();
    let run = sh("trap 'echo bye; exit 0' TERM; sleep 600 >/dev/null 2>&1 & echo ready; wait");
    let result = run.grace(BOUND).run(&cancel, |line| {
        lines.push(line.to_owned());
        cancel.cancel();
    });
    assert!(
        timeout(BOUND, result)
            .await
            .unwrap()
            .unwrap_err()
            .is_cancelled()
    );
    assert_eq!(lines, ["ready", "bye"]);
}

#[tokio::test]
async fn cancelling_kills_the_whole_group() {
    let scratch = scratch();
    let fifo = fifo(&scratch).await;
    let all_gone = closed(&fifo);
    let cancel = CancellationToken::new();
    let run = family(&fifo, "trap '' TERM");
    let error = run.run(&cancel, |_| cancel.cancel()).await.unwrap_err();
    assert!(error.is_cancelled());
    timeout(BOUND, all_gone).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_future_kills_the_whole_group() {
    let scratch = scratch();
    let fifo = fifo(&scratch).await;
    let all_gone = closed(&fifo);
    let (ready, mut is_ready) = mpsc::channel(1);
    let run = family(&fifo, ":");
    let task = tokio::spawn(async move {
        let never = CancellationToken::new();
        run.run(&never, |_| ready.try_send(()).unwrap()).await
    });
    timeout(BOUND, is_ready.recv()).await.unwrap().unwrap();
    task.abort();
    timeout(BOUND, all_gone).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_process_leaves_behind_is_killed_with_it() {
    let scratch = scratch();
    let fifo = fifo(&scratch).await;
    let all_gone = closed(&fifo);
    // Open before it is forked: it may be killed before it runs.
    let open = format!("exec 9>'{}'", fifo.display());
    let script = format!("{open}; sleep 600 >/dev/null 2>&1 & exit 0");
    sh(&script)
        .run(&CancellationToken::new(), |_| {})
        .await
        .unwrap();
    timeout(BOUND, all_gone).await.unwrap().unwrap();
}

/// Who kills it kills what it runs, and not only in the end: the task hears of it at once.
#[tokio::test]
async fn what_has_lost_its_leash_is_killed() {
    let mut ended = Vec::new();
    let kill_it = |line: &str| {
        let leash = Pid::from_raw(line.parse().unwrap());
        ended.push(nix::sys::signal::kill(leash, Signal::SIGKILL));
    };
    let (cancel, child) = (CancellationToken::new(), sh("echo $PPID; exec sleep 600"));
    let run = timeout(BOUND, child.run(&cancel, kill_it)).await;
    let ProcessError::Failed { exit, .. } = run.unwrap().unwrap_err() else {
        panic!("not a failure");
    };
    assert_eq!((exit, ended), (Exit::Signal(9), vec![Ok(())]));
}

#[tokio::test]
async fn a_process_has_the_memory_and_the_variables_that_it_is_given() {
    let never = CancellationToken::new();
    let run = sh("ulimit -d; ulimit -f; ulimit -c; echo \"$ONLY-$HOME\"");
    let run = run.memory(512 << 20).file_size(1 << 20);
    let run = run.environment([("ONLY", "this".into()), ("PATH", "/usr/bin:/bin".into())]);
    let out = run.collect(&never, 1000).await.unwrap().stdout;
    // In KiB, and in blocks of 512 bytes.
    assert_eq!(String::from_utf8(out).unwrap(), "524288\n2048\n0\nthis-\n");
    let greedy = sh("exec tail /dev/zero").memory(64 << 20);
    let error = timeout(BOUND, greedy.run(&never, |_| {}))
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("memory"), "{error}");
}

#[tokio::test]
async fn what_runs_too_long_is_killed_with_its_group() {
    let scratch = scratch();
    let fifo = fifo(&scratch).await;
    let all_gone = closed(&fifo);
    let run = family(&fifo, "trap '' TERM").within(Duration::from_millis(300));
    let never = CancellationToken::new();
    let error = timeout(BOUND, run.run(&never, |_| {})).await.unwrap();
    assert_eq!(
        error.unwrap_err().to_string(),
        "`sh` did not end within 300ms: it was stopped"
    );
    timeout(BOUND, all_gone).await.unwrap().unwrap();
    let soon = sh("echo done").within(BOUND).collect(&never, 100).await;
    assert_eq!(soon.unwrap().stdout, b"done\n");
}

#[tokio::test]
async fn what_cannot_be_started_is_said() {
    let scratch = scratch();
    let file = scratch.path("text").unwrap();
    std::fs::write(&file, "no program").unwrap();
    let run = ChildProcess::new(&file);
    let error = run
        .run(&CancellationToken::new(), |_| {})
        .await
        .unwrap_err();
    assert!(error.to_string().contains("could not start"), "{error}");
}

/// What the kernel does when this process is killed.
#[test]
fn a_leash_that_is_let_go_of_ends_the_whole_group() {
    let scratch = scratch();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let fifo = runtime.block_on(fifo(&scratch));
    let mut all_gone = closed(&fifo);
    let script = format!(
        "exec 9>'{}'; (trap '' TERM HUP; echo ready; while :; do sleep 60; done) & trap '' TERM HUP; wait",
        fifo.display()
    );
    let mut leash = sapari_leash::command(Path::new("/bin/sh"), Limits::default()).unwrap();
    let leash = leash.args(["-c", &script]).stdout(Stdio::piped());
    let mut child = leash.spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut ready).unwrap();
    assert!(all_gone.try_recv().is_err(), "they run");
    drop(child.stdin.take());
    let gone = async { timeout(BOUND, all_gone).await.unwrap().unwrap() };
    runtime.block_on(gone);
    assert_eq!(Exit::of(child.wait().unwrap()), Some(Exit::Signal(9)));
}
