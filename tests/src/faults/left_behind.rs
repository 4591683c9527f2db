//! A worker dies and no other one is there: what it ran is told of, until somebody takes it up.

use std::time::Duration;

use nix::sys::signal::Signal;
use sapari_fault_worker::{Nap, QUEUE};
use sapari_runtime::task::Task as _;
use sapari_runtime::upkeep::{StuckRun, stuck_runs};
use tokio::time::interval;

use super::ground::{Client, Ground, drained};
use crate::processes::support::{PATIENCE, within};

const ALONE: [&str; 4] = ["--slots", "1", "--lease", "1s"];
const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn stuck(client: &Client) -> Vec<StuckRun> {
    let ledger = client.tasks.ledger();
    // At once: whether it is told after minutes only is a question of the clock, and asked elsewhere.
    let stuck = stuck_runs(&*ledger, Duration::ZERO).await;
    stuck.expect("the ledger answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_and_no_other_there_its_run_is_told_until_one_takes_it_up() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let worker = ground.start(&ALONE).ready().await;
    let pid = worker.pid();
    let nap = client.tasks.kick(Nap { millis: 1000 }).await;
    let nap = nap.expect("kicked");
    ground.begun(&[nap.id().clone()], 1).await;
    assert_eq!(stuck(&client).await, [], "it runs");
    worker.signal(Signal::SIGKILL);
    worker.ended().await;

    let mut looks = interval(LOOK_AGAIN);
    let told = within("the run to be told of", async {
        loop {
            looks.tick().await;
            if let [run] = stuck(&client).await.as_slice() {
                return run.clone();
            }
        }
    });
    let told = told.await;
    assert_eq!((&told.id, told.task.as_str()), (nap.id(), Nap::NAME));
    assert_eq!(told.queue, QUEUE.name());
    assert!(told.worker.contains(&format!(":{pid}-")), "{told:?}");
    assert!(told.state.contains("nobody has taken it up"), "{told:?}");

    let other = ground.start(&ALONE).ready().await;
    assert!(nap.output().within(PATIENCE).await.expect("done"));
    assert_eq!(stuck(&client).await, [], "it has come to its end");
    drained(other).await;
}
