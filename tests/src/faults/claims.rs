//! The result store, which holds the claims, is killed while attempts run; then their messages come again. They are recognised.

use std::time::Duration;

use sapari_fault_worker::Nap;
use sapari_runtime::ledger::Sighting;
use sapari_runtime::message::MessageId;
use tokio::time::interval;

use super::ground::{Client, Ground, drained};
use crate::processes::support::{PATIENCE, broker_place, broker_url, within};
use crate::proxy::Proxy;
use crate::servers::Store;

/// As many as the worker has slots.
const SLOTS: usize = 8;
const LEASE: [&str; 2] = ["--lease", "3s"];
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn result_backend_down_while_attempts_run_their_claims_outlive_it() {
    outlive(async |store| store.kill().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn result_backend_down_and_back_empty_while_attempts_run_they_are_claimed_again() {
    outlive(async |store| store.kill_and_forget().await).await;
}

async fn outlive(down: impl AsyncFnOnce(&mut Store)) {
    let mut store = Store::started().await;
    let proxy = Proxy::before(&broker_place()).await;
    let direct = Ground::shared().results(&store.url());
    let client = direct.client().await;
    let through = format!("127.0.0.1:{}", proxy.port());
    let through = broker_url().replace(&broker_place(), &through);
    let lease_through = [&LEASE[..], &["--broker-url", &through]].concat();
    let worker = direct.start(&lease_through).ready().await;
    let naps = (0..SLOTS).map(|_| Nap { millis: 10_000 });
    let handles = client.tasks.kick_all(naps).await.expect("kicked");
    let ids: Vec<MessageId> = handles.iter().map(|handle| handle.id().clone()).collect();
    direct.begun(&ids, SLOTS).await;
    let other = direct.start(&LEASE).ready().await;

    down(&mut store).await;
    store.start().await;
    within("all claims", claimed(&client, &ids)).await;
    proxy.cut();
    // The copies come to the other worker, which knows of the runs by their claims only.
    other.stderr.message("came again while it runs").await;
    for handle in &handles {
        assert!(handle.output().within(PATIENCE).await.expect("done"));
    }
    // A copy that is put off comes back by the end of the lease.
    other
        .stderr
        .message("came again: acked, not run again")
        .await;
    drained(worker).await;
    drained(other).await;
    assert_eq!(direct.runs(&ids), SLOTS, "each has run once");
}

async fn claimed(client: &Client, ids: &[MessageId]) {
    let (ledger, mut looks) = (client.tasks.ledger(), interval(LOOK_AGAIN));
    for id in ids {
        while !matches!(
            ledger.sighting(id).await,
            Ok(Some(Sighting::Running { .. }))
        ) {
            looks.tick().await;
        }
    }
}
