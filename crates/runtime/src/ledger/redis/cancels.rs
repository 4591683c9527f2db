//! Cancels as one sorted set by time, and the channel that rings when anything changed.

use async_trait::async_trait;

use super::RedisLedger;
use crate::ledger::cancels::CANCEL_REMEMBERED;
use crate::ledger::{Cancel, Cancels, LedgerError, News};
use crate::message::MessageId;
use crate::result::redis::line::millis;
use crate::result::redis::wait::Bell;

/// The most cancels that are read at once: more would mean that somebody cancels by loop, and the oldest are the least urgent.
const MOST: usize = 100_000;

impl RedisLedger {
    fn cancels_key(&self) -> String {
        format!("{} cancels", self.namespace)
    }
}

#[async_trait]
impl Cancels for RedisLedger {
    async fn cancel(&self, cancel: &Cancel) -> Result<(), LedgerError> {
        let (key, at) = (self.cancels_key(), cancel.at);
        let forgotten = at.saturating_sub(millis(CANCEL_REMEMBERED));
        let mut commands = redis::pipe();
        commands.atomic();
        commands
            .cmd("ZADD")
            .arg(&key)
            .arg(at)
            .arg(cancel.id.as_str())
            .ignore();
        commands
            .cmd("ZREMRANGEBYSCORE")
            .arg(&key)
            .arg("-inf")
            .arg(forgotten)
            .ignore();
        let kept = millis(CANCEL_REMEMBERED);
        commands.cmd("PEXPIRE").arg(&key).arg(kept).ignore();
        commands.cmd("PUBLISH").arg(self.news()).arg("").ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn cancels(&self, since: u64) -> Result<Vec<Cancel>, LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("ZREVRANGEBYSCORE").arg(self.cancels_key());
        commands
            .arg("+inf")
            .arg(since)
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(0)
            .arg(MOST);
        let (pairs,): (Vec<(String, f64)>,) = self.line.run(&commands).await?;
        let cancel = |(id, at): (String, f64)| {
            let id = id.parse().ok()?;
            Some(Cancel { id, at: at as u64 })
        };
        Ok(pairs.into_iter().filter_map(cancel).collect())
    }

    async fn is_cancelled(&self, id: &MessageId) -> Result<bool, LedgerError> {
        let mut commands = redis::pipe();
        commands
            .cmd("ZSCORE")
            .arg(self.cancels_key())
            .arg(id.as_str());
        let (at,): (Option<f64>,) = self.line.run(&commands).await?;
        Ok(at.is_some())
    }

    async fn cancelled(&self, id: &MessageId) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        commands
            .cmd("ZREM")
            .arg(self.cancels_key())
            .arg(id.as_str())
            .ignore();
        Ok(self.line.run(&commands).await?)
    }

    fn listen(&self) -> Box<dyn News> {
        Box::new(self.doorbells.hang(self.news()))
    }
}

#[async_trait]
impl News for Bell {
    async fn heard(&mut self) {
        self.rung().await;
    }
}
