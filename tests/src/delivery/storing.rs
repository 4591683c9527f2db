//! Results that take long to store: the slot goes on, the message does not end before its result is there.

use async_trait::async_trait;
use sapari_runtime::broker::Broker;
use sapari_runtime::ledger::Ledger;
use sapari_runtime::message::MessageId;
use sapari_runtime::result::{ResultError, Results};

use super::*;

/// More than may wait for the store at once.
const MANY: u32 = 100;
/// So many of them are under way on one slot: see `worker/engine`.
const UNDER_WAY: u32 = 48;

/// A store that saves nothing until it is opened.
#[derive(Debug, Clone)]
struct Closed {
    inner: MemoryResults,
    open: Arc<watch::Sender<bool>>,
}

#[async_trait]
impl Results for Closed {
    async fn save(
        &self,
        id: &MessageId,
        record: &Record,
        ttl: Duration,
    ) -> Result<(), ResultError> {
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.expect("it is held here");
        self.inner.save(id, record, ttl).await
    }

    async fn load(&self, id: &MessageId) -> Result<Option<Record>, ResultError> {
        self.inner.load(id).await
    }

    async fn forget(&self, id: &MessageId) -> Result<(), ResultError> {
        self.inner.forget(id).await
    }

    async fn wait(&self, id: &MessageId) -> Result<Record, ResultError> {
        self.inner.wait(id).await
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.inner.ledger()
    }

    async fn ping(&self) -> Result<(), ResultError> {
        self.inner.ping().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_goes_on_while_results_are_stored_and_no_message_ends_before() {
    let (house, board) = (House::new(), Board::default());
    let store = Closed {
        inner: house.results.clone(),
        open: Arc::default(),
    };
    let servers = Servers {
        results: Arc::new(store.clone()),
        ..house.servers()
    };
    let kicked = house.tasks().kick_all((0..MANY).map(short)).await;
    let shutdown = CancellationToken::new();
    // With this read-ahead, the store is what stops it, not the broker.
    let reading = worker(&board).read_ahead(200);
    let working = tokio::spawn(reading.run(servers, shutdown.clone()));
    tokio::time::sleep(seconds(20)).await;
    assert_eq!(board.runs(), UNDER_WAY, "bounded, and more than a slot");
    assert_eq!(board.most(), 1, "one slot runs one at a time");

    // Asked to end, it waits for them: nothing was acked, and nothing goes back.
    shutdown.cancel();
    tokio::time::sleep(seconds(1)).await;
    assert!(!working.is_finished());
    store.open.send_replace(true);
    working.await.expect("no panic").expect("ends well");
    let depth = house.broker.depth(QUEUE).await.expect("declared");
    assert_eq!(depth.ready.iter().sum::<u64>(), u64::from(MANY - UNDER_WAY));

    let at_work = house.employ(worker(&board));
    for handle in kicked.expect("kicked") {
        handle.output().await.expect("done");
    }
    assert_eq!(board.runs(), MANY, "each ran once");
    at_work.drained().await;
}
