//! What this worker has heard from the ledger: which messages are cancelled, and whether its queue is paused. A copy, so that
//! a message costs no question before it starts; the keeper brings it up to date.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ledger::Cancel;
use crate::message::{MessageId, kicked_again_at};

/// The most cancels that are remembered here.
const MOST: usize = 100_000;

/// What this worker has heard.
pub(super) struct Heard {
    // A std mutex: held for one operation on the map, never across an await.
    cancels: Mutex<HashMap<MessageId, u64>>,
    paused: watch::Sender<bool>,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            cancels: Mutex::default(),
            paused: watch::Sender::new(false),
        }
    }
}

impl Heard {
    /// Whether this kick of the message has been cancelled: a kick that came later is not meant.
    pub(super) fn is_cancelled(&self, id: &MessageId, kick: &str) -> bool {
        let cancels = self.lock();
        cancels.get(id).is_some_and(|at| is_meant(*at, kick))
    }

    /// Adds cancels, and returns those that are new.
    pub(super) fn add(&self, heard: Vec<Cancel>) -> Vec<Cancel> {
        let mut cancels = self.lock();
        let mut new = Vec::new();
        for cancel in heard {
            let known = cancels.get(&cancel.id).is_some_and(|at| *at >= cancel.at);
            if !known && cancels.len() < MOST {
                cancels.insert(cancel.id.clone(), cancel.at);
                new.push(cancel);
            }
        }
        new
    }

    /// Makes these all there are.
    pub(super) fn replace(&self, heard: Vec<Cancel>) -> Vec<Cancel> {
        let before = std::mem::take(&mut *self.lock());
        let new = self.add(heard);
        let unknown = |cancel: &Cancel| before.get(&cancel.id).is_none_or(|at| *at < cancel.at);
        new.into_iter().filter(unknown).collect()
    }

    /// It has been carried out.
    pub(super) fn forget(&self, id: &MessageId) {
        self.lock().remove(id);
    }

    pub(super) fn set_paused(&self, paused: bool) {
        let changed = self
            .paused
            .send_if_modified(|now| std::mem::replace(now, paused) != paused);
        if changed {
            tracing::info!(
                "{}",
                if paused {
                    "paused: no new work is taken"
                } else {
                    "resumed"
                }
            );
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Returns when paused. Cancel-safe.
    pub(super) async fn paused(&self) {
        let mut paused = self.paused.subscribe();
        // The sender lives as long as this does.
        let _ = paused.wait_for(|paused| *paused).await;
    }

    /// Returns at once unless paused, and else when resumed. Cancel-safe.
    pub(super) async fn resumed(&self) {
        if !self.is_paused() {
            return;
        }
        let mut paused = self.paused.subscribe();
        // The sender lives as long as this does.
        let _ = paused.wait_for(|paused| !paused).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MessageId, u64>> {
        // Whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a cancel of this time means this kick. A kick that does not say when it was is always meant.
pub(super) fn is_meant(cancelled_at: u64, kick: &str) -> bool {
    kicked_again_at(kick).is_none_or(|kicked| kicked <= cancelled_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{new_kick, new_kick_again, unix_millis};

    #[test]
    fn a_kick_that_came_after_the_cancel_is_not_meant() {
        let kick = new_kick_again();
        let now = unix_millis();
        assert!(is_meant(now + 1, &kick));
        assert!(!is_meant(now - 60_000, &kick));
        assert!(is_meant(now - 60_000, "one of Python's"));
        assert!(
            is_meant(now - 60_000, &new_kick()),
            "an id of ours is kicked once"
        );
    }

    #[test]
    fn what_is_heard_twice_is_new_once() {
        let heard = Heard::default();
        let cancel = |at| Cancel {
            id: "a".parse().expect("an id"),
            at,
        };
        assert_eq!(heard.add(vec![cancel(1)]), [cancel(1)]);
        assert_eq!(heard.add(vec![cancel(1)]), []);
        assert_eq!(heard.replace(vec![cancel(1)]), []);
        assert_eq!(heard.replace(vec![cancel(2)]), [cancel(2)]);
        assert!(heard.is_cancelled(&cancel(2).id, "x"));
        assert_eq!(heard.replace(vec![]), []);
        assert!(!heard.is_cancelled(&cancel(2).id, "x"));
    }

    #[tokio::test]
    async fn a_paused_worker_waits_until_it_is_resumed() {
        use futures_util::FutureExt;
        let heard = Heard::default();
        assert!(heard.resumed().now_or_never().is_some());
        heard.set_paused(true);
        let mut waiting = Box::pin(heard.resumed());
        assert!(waiting.as_mut().now_or_never().is_none() && heard.is_paused());
        heard.set_paused(false);
        waiting.await;
    }
}
