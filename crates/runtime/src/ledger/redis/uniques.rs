//! Unique keys as plain keys with a time to live.

use std::time::Duration;

use async_trait::async_trait;

use super::RedisLedger;
use crate::ledger::{LedgerError, Reserved, Uniques};
use crate::message::MessageId;
use crate::result::redis::line::millis;

/// KEYS the key; ARGV id, window. Returns who has it.
pub(super) const RESERVE: &str = r"
local holder = redis.call('GET', KEYS[1])
if holder then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
";

/// KEYS the key; ARGV id.
pub(super) const GIVE_UP: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
";

#[async_trait]
impl Uniques for RedisLedger {
    async fn reserve(
        &self,
        key: &str,
        id: &MessageId,
        window: Duration,
    ) -> Result<Reserved, LedgerError> {
        let mut call = self.scripts.reserve.key(self.key("unique", key));
        call.arg(id.as_str()).arg(millis(window));
        let holder: String = self.line.call(&call).await?;
        match holder.parse() {
            Ok(other) if other != *id => Ok(Reserved::Taken(other)),
            // What is no id is nobody's.
            _ => Ok(Reserved::Mine),
        }
    }

    async fn replace(
        &self,
        key: &str,
        id: &MessageId,
        window: Duration,
    ) -> Result<Option<MessageId>, LedgerError> {
        let mut commands = redis::pipe();
        commands
            .cmd("SET")
            .arg(self.key("unique", key))
            .arg(id.as_str());
        commands.arg("PX").arg(millis(window)).arg("GET");
        let (before,): (Option<String>,) = self.line.run(&commands).await?;
        Ok(before.and_then(|id| id.parse().ok()))
    }

    async fn holder(&self, key: &str) -> Result<Option<MessageId>, LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("GET").arg(self.key("unique", key));
        let (holder,): (Option<String>,) = self.line.run(&commands).await?;
        Ok(holder.and_then(|id| id.parse().ok()))
    }

    async fn give_up(&self, key: &str, id: &MessageId) -> Result<(), LedgerError> {
        let mut call = self.scripts.give_up.key(self.key("unique", key));
        call.arg(id.as_str());
        Ok(self.line.call(&call).await?)
    }
}
