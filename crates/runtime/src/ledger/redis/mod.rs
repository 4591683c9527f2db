//! The ledger in Redis, under a namespace of its own beside the results. What must happen at once is a script; the server's
//! clock counts, so that clocks of workers may differ.

mod cancels;
mod checkpoints;
mod limits;
mod registry;
mod rooms;
mod runs;
mod schedules;
mod uniques;

use std::fmt;
use std::sync::Arc;

use redis::Script;

use crate::message::MessageId;
use crate::result::redis::Keys;
use crate::result::redis::line::{Broken, Line};
use crate::result::redis::wait::Doorbells;

/// The ledger of one namespace in a Redis.
pub(crate) struct RedisLedger {
    line: Line,
    namespace: String,
    results: Keys,
    doorbells: Arc<Doorbells>,
    scripts: Scripts,
}

/// Read once: a script knows its own digest.
struct Scripts {
    begin: Script,
    renew: Script,
    release: Script,
    replay: Script,
    reserve: Script,
    give_up: Script,
    enter: Script,
    stay: Script,
    take_lead: Script,
    keep_lead: Script,
    give_up_lead: Script,
    settle_ticks: Script,
    remove_entry: Script,
}

impl Scripts {
    fn new() -> Self {
        Self {
            begin: Script::new(runs::BEGIN),
            renew: Script::new(runs::RENEW),
            release: Script::new(runs::RELEASE),
            replay: Script::new(runs::REPLAY),
            reserve: Script::new(uniques::RESERVE),
            give_up: Script::new(uniques::GIVE_UP),
            enter: Script::new(limits::ENTER),
            stay: Script::new(limits::STAY),
            take_lead: Script::new(schedules::TAKE_LEAD),
            keep_lead: Script::new(schedules::KEEP_LEAD),
            give_up_lead: Script::new(schedules::GIVE_UP_LEAD),
            settle_ticks: Script::new(schedules::SETTLE_TICKS),
            remove_entry: Script::new(schedules::REMOVE_ENTRY),
        }
    }
}

impl RedisLedger {
    pub(crate) fn new(
        line: Line,
        namespace: &str,
        results: Keys,
        doorbells: Arc<Doorbells>,
    ) -> Self {
        Self {
            line,
            namespace: escaped(namespace),
            results,
            doorbells,
            scripts: Scripts::new(),
        }
    }

    fn key(&self, kind: &str, name: &str) -> String {
        key(&self.namespace, kind, name)
    }

    fn run_key(&self, id: &MessageId) -> String {
        self.key("run", id.as_str())
    }

    /// All runs that are claimed.
    pub(crate) fn held_key(&self) -> String {
        self.key("held", "runs")
    }

    /// The channel on which workers hear that something changed.
    fn news(&self) -> String {
        format!("{} news", self.namespace)
    }

    /// The record of this message is taken away, for it to run anew.
    pub(crate) async fn replay(&self, id: &MessageId) -> Result<(), Broken> {
        let _: i64 = self
            .line
            .call(&self.scripts.replay.key(self.run_key(id)))
            .await?;
        Ok(())
    }

    /// What is stored, and where, when a kick has come to its end.
    pub(crate) fn finished(&self, id: &MessageId, kick: &str) -> (String, String) {
        (self.run_key(id), runs::finished(kick))
    }
}

/// With spaces: an id has none, and may be the key of a result in the same database. Nor has a namespace as it stands here, so
/// that one cannot read like another and what follows it.
fn key(namespace: &str, kind: &str, name: &str) -> String {
    format!("{namespace} {kind} {name}")
}

/// The namespace as it stands in keys.
fn escaped(namespace: &str) -> String {
    namespace.replace('%', "%25").replace(' ', "%20")
}

impl fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLedger")
            .field("place", &self.line.place())
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_namespace_reads_like_another_and_what_follows() {
        let keys = [
            key(&escaped("a"), "places", "unique k"),
            key(&escaped("a places"), "unique", "k"),
            key(&escaped("a%20places"), "unique", "k"),
            key(&escaped("a"), "unique", "k"),
        ];
        let different: std::collections::HashSet<&String> = keys.iter().collect();
        assert_eq!(different.len(), keys.len(), "{keys:?}");
    }
}
