//! The result store goes away while tasks run: results are kept and saved when it is back; when that takes too long, the message
//! goes back, and is not acked.

use sapari_fault_worker::Nap;
use sapari_runtime::message::MessageId;

use super::ground::{Ground, drained};
use crate::processes::support::{PATIENCE, Process, until};
use crate::proxy::{Proxy, Towards};
use crate::servers::Store;

struct Down {
    store: Store,
    ground: Ground,
    client: super::ground::Client,
    worker: Process,
    id: MessageId,
}

impl Down {
    /// A store that went away in the middle of a run.
    async fn in_the_middle() -> Self {
        let mut store = Store::started().await;
        let ground = Ground::shared().results(&store.url());
        let client = ground.client().await;
        let worker = ground.worker().await;
        let nap = client
            .tasks
            .kick(Nap { millis: 500 })
            .await
            .expect("kicked");
        let id = nap.id().clone();
        ground.begun(std::slice::from_ref(&id), 1).await;
        store.kill().await;
        Self {
            store,
            ground,
            client,
            worker,
            id,
        }
    }

    async fn ended(&self) {
        let ended = || {
            self.ground
                .notes()
                .iter()
                .any(|note| note.moment == "ended")
        };
        until("the end of the run", ended).await;
    }

    /// Back again: the result is saved and the message acked.
    async fn back(mut self) -> Ground {
        self.store.start().await;
        let handle = self.client.tasks.handle::<Nap>(self.id.clone());
        assert!(handle.output().within(PATIENCE).await.expect("done"));
        let last = self.client.tasks.kick(Nap { millis: 0 }).await;
        last.expect("kicked")
            .output()
            .within(PATIENCE)
            .await
            .expect("done");
        drained(self.worker).await;
        self.client.all_settled().await;
        self.ground
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn result_backend_down_for_a_while_the_result_is_kept_and_saved() {
    let down = Down::in_the_middle().await;
    down.ended().await;
    down.worker
        .stderr
        .message("settling waits for a server")
        .await;
    let id = down.id.clone();
    let ground = down.back().await;
    assert_eq!(ground.runs(&[id]), 1, "it has run once");
}

#[tokio::test(flavor = "multi_thread")]
async fn result_backend_down_for_too_long_the_message_is_handed_back() {
    let down = Down::in_the_middle().await;
    down.ended().await;
    let handed_back = "could not be settled: handed back";
    down.worker.stderr.message(handed_back).await;
    // It runs again, as nobody knows that it was done; but not before the store is there for its claim.
    let id = [down.id.clone()];
    assert_eq!(down.ground.runs(&id), 1);
    assert_eq!(down.back().await.runs(&id), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn result_backend_down_and_back_empty_harms_nobody() {
    let Down {
        mut store,
        ground,
        client,
        worker,
        id,
    } = Down::in_the_middle().await;
    store.start().await;
    let handle = client.tasks.handle::<Nap>(id.clone());
    assert!(handle.output().within(PATIENCE).await.expect("done"));
    store.kill_and_forget().await;
    store.start().await;
    let after = client.tasks.kick(Nap { millis: 0 }).await.expect("kicked");
    after.output().within(PATIENCE).await.expect("done");
    drained(worker).await;
    client.all_settled().await;
    assert_eq!(ground.runs(&[id]), 1);
}

/// In both ways: connections that are dead for good, while new ones pass, and one that answers later.
#[tokio::test(flavor = "multi_thread")]
async fn result_backend_down_without_a_goodbye_is_reached_over_a_new_connection() {
    let store = Store::started().await;
    let proxy = Proxy::before(&store.place()).await;
    let through = format!("redis://127.0.0.1:{}", proxy.port());
    let ground = Ground::shared()
        .results(&store.url())
        .with("SAPARI_RESULT_URL", &through);
    let client = ground.client().await;
    let worker = ground.worker().await;
    let nap = || client.tasks.kick(Nap { millis: 500 });

    let dead = nap().await.expect("kicked");
    ground.begun(&[dead.id().clone()], 1).await;
    proxy.half_open();
    assert!(dead.output().within(PATIENCE).await.expect("done"));

    let late = nap().await.expect("kicked");
    ground.begun(&[late.id().clone()], 1).await;
    proxy.stall(Towards::Client);
    worker.stderr.message("settling waits for a server").await;
    proxy.resume();
    assert!(late.output().within(PATIENCE).await.expect("done"));
    drained(worker).await;
    client.all_settled().await;
    assert_eq!(ground.runs(&[dead.id().clone(), late.id().clone()]), 2);
}
