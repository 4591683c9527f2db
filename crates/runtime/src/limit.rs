//! Limits of a task as its policy declares them; how they are counted across workers is the ledger's business.

use std::time::Duration;

use crate::ledger::{Gate, GateKind};
use crate::unique;

/// The most limits that one task can have.
pub const MAX_LIMITS: usize = 4;

/// How much of a task may run at once, or start within a time, across all workers.
///
/// ```
/// use sapari_runtime::prelude::*;
///
/// /// At most eight at once, two of them for one customer, and ten starts a second.
/// const POLICY: Policy = Policy::DEFAULT
///     .limit(Limit::at_once(8))
///     .limit(Limit::at_once(2).per_key())
///     .limit(Limit::rate(10, seconds(1)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    kind: GateKind,
    per_key: bool,
}

impl Limit {
    /// At most `most` at once; at least one.
    #[must_use]
    pub const fn at_once(most: u32) -> Self {
        let most = if most == 0 { 1 } else { most };
        Self {
            kind: GateKind::AtOnce(most),
            per_key: false,
        }
    }

    /// At most `starts` in any time of `per`. At least one.
    #[must_use]
    pub const fn rate(starts: u32, per: Duration) -> Self {
        let starts = if starts == 0 { 1 } else { starts };
        Self {
            kind: GateKind::Rate { starts, per },
            per_key: false,
        }
    }

    /// Counted for each [`Task::limit_key`](crate::task::Task::limit_key) by itself; a message without a key is not limited by it.
    #[must_use]
    pub const fn per_key(self) -> Self {
        Self {
            kind: self.kind,
            per_key: true,
        }
    }

    /// What the ledger counts for a message of this task with this key.
    pub(crate) fn gate(&self, number: usize, task: &str, key: Option<&str>) -> Option<Gate> {
        let task = unique::escaped(task);
        let name = match (self.per_key, key) {
            (false, _) => format!("{task}:{number}"),
            (true, Some(key)) => format!("{task}:{number}:{key}"),
            (true, None) => return None,
        };
        Some(Gate {
            name,
            kind: self.kind,
        })
    }

    /// The limit in words, for `--explain`.
    #[must_use]
    pub fn words(&self) -> String {
        let each = if self.per_key { " per key" } else { "" };
        match self.kind {
            GateKind::AtOnce(most) => format!("{most} at once{each}"),
            GateKind::Rate { starts, per } => format!("{starts} per {per:?}{each}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::seconds;

    #[test]
    fn a_gate_is_named_after_task_limit_and_key() {
        let name = |limit: Limit, key| limit.gate(1, "render", key).map(|gate| gate.name);
        let limit = Limit::at_once(0);
        assert_eq!(limit.kind, GateKind::AtOnce(1));
        assert_eq!(name(limit, None).as_deref(), Some("render:1"));
        assert_eq!(name(limit, Some("k")).as_deref(), Some("render:1"));
        assert_eq!(
            name(limit.per_key(), Some("k")).as_deref(),
            Some("render:1:k")
        );
        assert_eq!(name(limit.per_key(), None), None);
        let (whole, keyed) = (
            limit.gate(0, "a:1", None),
            limit.per_key().gate(1, "a", Some("0")),
        );
        assert_ne!(
            whole, keyed,
            "a task's name may look like another's and a key"
        );
    }

    #[test]
    fn a_limit_is_said_in_words() {
        assert_eq!(Limit::at_once(2).per_key().words(), "2 at once per key");
        assert_eq!(Limit::rate(10, seconds(1)).words(), "10 per 1s");
    }
}
