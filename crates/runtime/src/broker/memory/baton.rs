//! The baton of the embedded broker: held by one of those who share it. Stubs live as long as the broker does.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::MemoryBroker;
use crate::broker::{Baton, Broker, BrokerError, Parcel, PublishError};
use crate::queue::Queue;

/// What the batons of one broker share: there is one name only.
#[derive(Default)]
pub(super) struct Shelf {
    held: AtomicBool,
    // A std mutex: held for one set operation, never across an await.
    stubs: Mutex<HashSet<String>>,
}

impl Shelf {
    fn stubs(&self) -> MutexGuard<'_, HashSet<String>> {
        self.stubs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct MemoryBaton {
    broker: MemoryBroker,
    mine: bool,
}

impl MemoryBaton {
    pub(super) fn new(broker: MemoryBroker) -> Self {
        Self {
            broker,
            mine: false,
        }
    }

    fn shelf(&self) -> &Shelf {
        &self.broker.shared.baton
    }
}

#[async_trait]
impl Baton for MemoryBaton {
    async fn take(&mut self) -> Result<bool, BrokerError> {
        self.mine = self.mine || !self.shelf().held.swap(true, Ordering::AcqRel);
        Ok(self.mine)
    }

    fn is_held(&self) -> bool {
        self.mine
    }

    async fn publish(&self, parcel: Parcel) -> Result<(), PublishError> {
        let id = parcel.id.clone();
        self.broker.publish(parcel).await?;
        self.shelf().stubs().insert(id);
        Ok(())
    }

    async fn missing(&self, queues: &BTreeSet<Queue>) -> Result<BTreeSet<Queue>, BrokerError> {
        let is_there = |queue: &Queue| self.broker.with_queue(*queue, |_| ()).is_some();
        let missing = queues.iter().filter(|queue| !is_there(queue));
        Ok(missing.copied().collect())
    }

    async fn stubs(&self) -> Result<HashSet<String>, BrokerError> {
        Ok(self.shelf().stubs().clone())
    }

    async fn forget_stubs(&self) -> Result<(), BrokerError> {
        self.shelf().stubs().clear();
        Ok(())
    }

    async fn let_go(&mut self) {
        if std::mem::take(&mut self.mine) {
            self.shelf().held.store(false, Ordering::Release);
        }
    }
}

impl Drop for MemoryBaton {
    fn drop(&mut self) {
        if self.mine {
            self.shelf().held.store(false, Ordering::Release);
        }
    }
}
