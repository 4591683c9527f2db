//! Priority where it matters: with a backlog before it.

use futures_util::future::try_join_all;
use nix::sys::signal::Signal;
use sapari_runtime::ping::Ping;
use sapari_runtime::queue::Priority;
use sapari_tasks::Role;

use super::support::{Space, json};

const WAITING: u64 = 1_000;

/// Measured in places, not in time: the worker stands still (SIGSTOP) while the urgent ping is kicked and confirmed, and the
/// broker says how many of the others it had been given by then. The log of the worker has one `done` line per ping, in
/// order. Before the urgent one there may stand those, and two more for what was on its way in the worker's own buffers.
/// One of them at most was running when the kick was confirmed, so at most three end between that moment and its own end.
#[tokio::test(flavor = "multi_thread")]
async fn a_level_3_message_starts_next() {
    let space = Space::new();
    let (broker, queue) = (space.broker().await, Role::Render.queue());
    broker.declare(queue).await.expect("declared");
    let tasks = space.tasks(&broker).await;
    let kick = |priority| tasks.kick(Ping {}).on(queue).priority(priority);
    let low = (0..WAITING).map(|_| kick(Priority::Low).into_future());
    try_join_all(low).await.expect("kicked");

    let worker = space.start("sapari-worker", &["--role", "render", "--slots", "1"]);
    worker.stderr.message("done").await;
    worker.freeze();
    let urgent = kick(Priority::Urgent).await.expect("kicked");
    let waiting = broker.depth(queue).await.expect("a declared queue").ready[0];
    worker.signal(Signal::SIGCONT);

    let is_urgent = |line: &str| {
        let line = json(line);
        line["message"] == "done" && line["task_id"] == urgent.id().as_str()
    };
    let log = worker.stderr.until("the urgent ping", is_urgent).await;
    let done = log.iter().filter(|line| json(line)["message"] == "done");
    let before = done.count() as u64 - 1;
    let given = WAITING - waiting;
    assert!(waiting > WAITING / 2, "only {waiting} were still waiting");
    assert!(
        before <= given + 2,
        "{before} ran first, {given} were given out"
    );
}
