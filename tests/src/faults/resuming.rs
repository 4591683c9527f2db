//! A worker dies in the midst of a pipeline: the next one does not do again what was finished and kept.

use std::time::Duration;

use nix::sys::signal::Signal;
use sapari_fault_worker::Chain;
use sapari_runtime::message::MessageId;

use super::ground::{Client, Ground, drained};
use crate::processes::support::PATIENCE;

const ALONE: [&str; 4] = ["--slots", "1", "--lease", "1s"];
const LONG: Duration = Duration::from_secs(60);

async fn kept(client: &Client, id: &MessageId) -> Vec<String> {
    let steps = client.tasks.ledger().kept_steps(id, LONG).await;
    steps.expect("Redis is up").into_keys().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_in_the_midst_of_a_pipeline_another_resumes_it() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let worker = ground.start(&ALONE).ready().await;
    let chain = client.tasks.kick(Chain { millis: 2000 }).await;
    let chain = chain.expect("kicked");
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let first_is_kept = async {
        while kept(&client, chain.id()).await.is_empty() {
            looks.tick().await;
        }
    };
    let first_is_kept = tokio::time::timeout(PATIENCE, first_is_kept).await;
    first_is_kept.expect("the first step is kept while the second runs");
    assert_eq!(kept(&client, chain.id()).await, ["faults/first"]);
    let dead = worker.pid().as_raw();
    worker.signal(Signal::SIGKILL);
    worker.ended().await;

    let other = ground.start(&ALONE).ready().await;
    let alive = other.pid().as_raw();
    let output = chain.output().within(PATIENCE).await.expect("done");
    let pids = (output.0.cast_signed(), output.1.cast_signed());
    assert_eq!(pids, (dead, alive), "the first step was not done again");
    drained(other).await;
    client.all_settled().await;
    assert!(
        kept(&client, chain.id()).await.is_empty(),
        "nothing is left"
    );
}
