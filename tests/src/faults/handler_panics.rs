//! A bug in a handler ends its task, and not its worker.

use sapari_fault_worker::{Bang, Jot, QUEUE};
use sapari_runtime::broker::conformance::settled_depth;
use sapari_runtime::handle::OutputError;

use super::ground::Ground;
use crate::processes::support::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn handler_panics_the_task_fails_with_message_and_place_and_the_worker_lives() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let worker = ground.worker().await;
    let bang = client.tasks.kick(Bang {}).await.expect("kicked");
    let Err(OutputError::Failed(failure)) = bang.output().within(PATIENCE).await else {
        panic!("a failure was expected")
    };
    assert_eq!(failure.error_type, "Panic", "{failure:?}");
    let sentence = failure.chain.join(": ");
    assert!(
        sentence.contains("bang, as it was asked to") && sentence.contains("worker/src/tasks.rs"),
        "{sentence}"
    );
    settled_depth(&*client.broker, QUEUE, |depth| depth.dead == 1).await;
    let jot = client.tasks.kick(Jot::default()).await.expect("kicked");
    let pid = jot.output().within(PATIENCE).await.expect("done");
    assert_eq!(
        i32::try_from(pid),
        Ok(worker.pid().as_raw()),
        "the same process"
    );
}
