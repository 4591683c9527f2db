//! The ids that run in this process now: a message that comes again while its first delivery still runs waits for that one's
//! end instead of running beside it. Other processes are not its business.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::message::MessageId;

/// Which ids run now. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Running {
    // A std mutex: held for one map operation, never across an await.
    ids: Arc<Mutex<HashMap<MessageId, CancellationToken>>>,
}

/// An id that runs until this is dropped.
pub(super) struct Claim {
    running: Running,
    id: MessageId,
    // Dropped after the id is gone from the map: whoever waits finds it free.
    _ended: DropGuard,
}

impl Running {
    /// Claims the id, once whoever runs it has ended. Cancel-safe.
    pub(super) async fn claim(&self, id: &MessageId) -> Claim {
        loop {
            let before = match self.try_claim(id) {
                Ok(claim) => return claim,
                Err(ended) => ended,
            };
            tracing::info!(task_id = %id, "comes again while it runs: waits for its end");
            before.cancelled().await;
        }
    }

    fn try_claim(&self, id: &MessageId) -> Result<Claim, CancellationToken> {
        let mut ids = self.ids();
        if let Some(ended) = ids.get(id) {
            return Err(ended.clone());
        }
        let ended = CancellationToken::new();
        ids.insert(id.clone(), ended.clone());
        Ok(Claim {
            running: self.clone(),
            id: id.clone(),
            _ended: ended.drop_guard(),
        })
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<MessageId, CancellationToken>> {
        // Whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.running.ids().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let running = Running::default();
        let id = MessageId::new();
        let first = running.claim(&id).await;
        let mut second = Box::pin(running.claim(&id));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(running.claim(&MessageId::new()).now_or_never().is_some());
        drop(first);
        let second = second.await;
        assert!(running.claim(&id).now_or_never().is_none());
        drop(second);
        assert!(running.ids().is_empty());
    }
}
