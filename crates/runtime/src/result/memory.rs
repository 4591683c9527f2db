//! Results in this process: for embedded workers, tests and demos. They end with the process.
//! Time to live follows `tokio::time`; what has expired is dropped when something else is saved.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Meant, Record, ResultError, Results};
use crate::ledger::Ledger;
use crate::ledger::memory::MemoryLedger;
use crate::message::MessageId;

/// How many saves pass between two sweeps of what has expired.
const SWEEP_EVERY: u64 = 1024;

/// Results in this process. Cheap to clone: clones share the results.
#[derive(Clone, Default)]
pub struct MemoryResults {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    records: Mutex<Kept>,
    saved: Notify,
    ledger: MemoryLedger,
}

#[derive(Default)]
struct Kept {
    by_id: HashMap<MessageId, (Record, Instant)>,
    waiting: HashMap<MessageId, usize>,
    saves: u64,
}

/// One call of `wait`, counted until it is dropped.
struct Waiter<'a> {
    results: &'a MemoryResults,
    id: &'a MessageId,
}

impl MemoryResults {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many calls of [`Results::wait`] are told when this result is saved.
    #[must_use]
    pub fn waiting(&self, id: &MessageId) -> usize {
        self.lock().waiting.get(id).copied().unwrap_or_default()
    }

    fn count<'a>(&'a self, id: &'a MessageId) -> Waiter<'a> {
        *self.lock().waiting.entry(id.clone()).or_default() += 1;
        Waiter { results: self, id }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Consistent between any two statements, so a panic elsewhere leaves nothing half done.
        self.shared
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &MessageId) -> Option<Record> {
        let kept = self.lock();
        let (record, expires) = kept.by_id.get(id)?;
        (*expires > Instant::now()).then(|| record.clone())
    }
}

/// A time to live beyond what a clock can say is as good as a century.
fn expiry(now: Instant, ttl: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    now + ttl.min(CENTURY)
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut kept = self.results.lock();
        if let Some(waiting) = kept.waiting.get_mut(self.id) {
            *waiting -= 1;
            if *waiting == 0 {
                kept.waiting.remove(self.id);
            }
        }
    }
}

impl fmt::Debug for MemoryResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryResults")
    }
}

#[async_trait]
impl Results for MemoryResults {
    async fn save(
        &self,
        id: &MessageId,
        record: &Record,
        ttl: Duration,
    ) -> Result<(), ResultError> {
        record.encode()?;
        {
            let mut kept = self.lock();
            let now = Instant::now();
            kept.saves += 1;
            if kept.saves.is_multiple_of(SWEEP_EVERY) {
                kept.by_id.retain(|_, (_, expires)| *expires > now);
            }
            kept.by_id
                .insert(id.clone(), (record.clone(), expiry(now, ttl)));
        }
        if let Some(kick) = &record.kick {
            self.shared.ledger.finish(id, kick, ttl);
        }
        self.shared.saved.notify_waiters();
        Ok(())
    }

    async fn load(&self, id: &MessageId) -> Result<Option<Record>, ResultError> {
        Ok(self.find(id))
    }

    async fn forget(&self, id: &MessageId) -> Result<(), ResultError> {
        self.lock().by_id.remove(id);
        self.shared.ledger.replay(id);
        Ok(())
    }

    async fn wait_for(&self, id: &MessageId, meant: Meant) -> Result<Record, ResultError> {
        let _counted = self.count(id);
        loop {
            // Registered before looking, so that a record saved in between still wakes it.
            let saved = self.shared.saved.notified();
            tokio::pin!(saved);
            saved.as_mut().enable();
            if let Some(record) = self.find(id).filter(|record| meant.is(record)) {
                return Ok(record);
            }
            saved.await;
        }
    }

    async fn prune(&self, _kept: Duration) -> Result<u64, ResultError> {
        // All of them have an end here.
        Ok(0)
    }

    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.shared.ledger.clone())
    }

    async fn ping(&self) -> Result<(), ResultError> {
        Ok(())
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::result::conformance::exercise;

    #[tokio::test(start_paused = true)]
    async fn keeps_every_promise_of_a_result_store() {
        exercise(&MemoryResults::new()).await;
    }
}
