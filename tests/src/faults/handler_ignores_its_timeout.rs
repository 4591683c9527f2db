//! A handler that blocks its thread past its deadline: it is seen as stuck, and its slot goes to somebody else.

use nix::sys::signal::Signal;
use sapari_fault_worker::{Block, Jot};
use serde_json::Value;

use super::ground::{Ground, drained};
use crate::processes::support::{PATIENCE, json};

/// Its own second, one to tidy up, two until it counts as stuck, and a while in which it can be looked at.
const BLOCKS_MS: u64 = 15_000;

#[tokio::test(flavor = "multi_thread")]
async fn handler_ignores_its_timeout_it_is_named_as_stuck_and_its_slot_is_given_away() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let worker = ground
        .start(&["--slots", "1", "--lease", "1s"])
        .ready()
        .await;
    let health = worker.health().await;
    let block = client.tasks.kick(Block { millis: BLOCKS_MS }).await;
    let block = block.expect("kicked");
    let id = block.id().clone();
    ground.begun(std::slice::from_ref(&id), 1).await;
    let next = client.tasks.kick(Jot::default()).await.expect("kicked");

    let checks = health.until_failed("handlers").await;
    let said = checks["handlers"].as_str().expect("a sentence");
    assert!(
        said.contains("block") && said.contains(id.as_str()),
        "{said}"
    );
    next.output().within(PATIENCE).await.expect("done");
    let ended = |note: &sapari_fault_worker::Note| note.moment == "ended" && note.id == id.as_str();
    assert!(!ground.notes().iter().any(ended), "it blocks still");
    let busy = stuck_in_the_registry(&ground, id.as_str()).await;
    assert_eq!(busy["task"], "block", "{busy}");

    let late = worker
        .stderr
        .message("a stuck attempt has ended after all")
        .await;
    assert_eq!(late["fields"]["task"], "block", "{late}");
    health.until_ready().await;
    // Twice at once in one slot would have been possible if the slot had been given back a second time.
    assert_eq!(ground.runs(&[id, next.id().clone()]), 2);
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.ended().await.code, Some(0));
    client.all_settled().await;
    drained(ground.worker().await).await;
}

/// What `sapari workers --json` says of this message, once it says that it is stuck.
async fn stuck_in_the_registry(ground: &Ground, id: &str) -> Value {
    loop {
        let shown = ground.sapari(&["workers", "--json"]).ended().await;
        let workers = shown.stdout.iter().map(|line| json(line));
        let mut running = workers.flat_map(|worker| {
            let running = worker["running"].as_array().cloned();
            running.unwrap_or_default()
        });
        let stuck = |busy: &Value| busy["id"] == id && busy["stuck"] == true;
        if let Some(busy) = running.find(stuck) {
            return busy;
        }
    }
}
