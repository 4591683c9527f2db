//! What this process has declared so far, so that a fresh connection can declare it again.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::topology::{self, Names, Topology};
use crate::queue::Queue;

/// The queues that this process has declared.
pub(super) struct Registry {
    names: Names,
    // A std mutex: held for one operation on the set, never across an await.
    declared: Mutex<BTreeSet<Queue>>,
}

impl Registry {
    pub(super) fn new(names: Names) -> Self {
        Self {
            names,
            declared: Mutex::default(),
        }
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn add(&self, queue: Queue) {
        self.lock().insert(queue);
    }

    /// Whether nothing was declared before: then the ladder is still to be built.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// All that has been declared. The ladder is part of it: whoever publishes may publish with a delay.
    pub(super) fn known(&self) -> Vec<Topology> {
        let ladder = topology::ladder(&self.names);
        let queues = self.lock().clone();
        let queues = queues
            .into_iter()
            .map(|queue| topology::queue(&self.names, queue));
        std::iter::once(ladder).chain(queues).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<Queue>> {
        // A set is whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
