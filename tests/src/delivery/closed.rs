//! A result store that is there and takes its time: it saves when the test lets it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sapari_runtime::ledger::Ledger;
use sapari_runtime::message::MessageId;
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::result::{Meant, Record, ResultError, Results};
use sapari_runtime::worker::Servers;
use tokio::sync::watch;

/// A store that saves nothing until it is opened.
#[derive(Debug, Clone)]
pub(super) struct ClosedResults {
    inner: MemoryResults,
    open: Arc<watch::Sender<bool>>,
}

impl ClosedResults {
    pub(super) fn around(inner: &MemoryResults) -> Self {
        Self {
            inner: inner.clone(),
            open: Arc::default(),
        }
    }

    /// The servers of a worker that saves here.
    pub(super) fn in_place_of(&self, servers: Servers) -> Servers {
        Servers {
            results: Arc::new(self.clone()),
            ..servers
        }
    }

    /// Saves what waits, and what comes from now on.
    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }
}

#[async_trait]
impl Results for ClosedResults {
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

    async fn wait_for(&self, id: &MessageId, meant: Meant) -> Result<Record, ResultError> {
        self.inner.wait_for(id, meant).await
    }

    async fn prune(&self, kept: Duration) -> Result<u64, ResultError> {
        self.inner.prune(kept).await
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        self.inner.ledger()
    }

    async fn ping(&self) -> Result<(), ResultError> {
        self.inner.ping().await
    }
}
