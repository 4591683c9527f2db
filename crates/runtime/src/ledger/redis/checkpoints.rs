//! Checkpoints as a hash for each message, a field for each step, with one time to live; last runs as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::RedisLedger;
use crate::ledger::{Checkpoints, LastRun, LedgerError};
use crate::message::MessageId;
use crate::result::redis::line::millis;

impl RedisLedger {
    fn steps_key(&self, id: &MessageId) -> String {
        self.key("steps", id.as_str())
    }
}

#[async_trait]
impl Checkpoints for RedisLedger {
    async fn keep_step(
        &self,
        id: &MessageId,
        step: &str,
        bytes: &[u8],
        kept: Duration,
    ) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        let key = self.steps_key(id);
        commands
            .atomic()
            .cmd("HSET")
            .arg(&key)
            .arg(step)
            .arg(bytes)
            .ignore();
        commands.cmd("PEXPIRE").arg(&key).arg(millis(kept)).ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn kept_steps(
        &self,
        id: &MessageId,
        kept: Duration,
    ) -> Result<BTreeMap<String, Vec<u8>>, LedgerError> {
        let mut commands = redis::pipe();
        let key = self.steps_key(id);
        commands.cmd("HGETALL").arg(&key);
        commands.cmd("PEXPIRE").arg(&key).arg(millis(kept)).ignore();
        let (steps,): (BTreeMap<String, Vec<u8>>,) = self.line.run(&commands).await?;
        Ok(steps)
    }

    async fn forget_steps(&self, id: &MessageId) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("UNLINK").arg(self.steps_key(id)).ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn keep_last_run(
        &self,
        pipeline: &str,
        run: &LastRun,
        kept: Duration,
    ) -> Result<(), LedgerError> {
        let json = self.json(run)?;
        let mut commands = redis::pipe();
        commands
            .cmd("SET")
            .arg(self.key("pipeline", pipeline))
            .arg(json);
        commands.arg("PX").arg(millis(kept)).ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn last_run(&self, pipeline: &str) -> Result<Option<LastRun>, LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("GET").arg(self.key("pipeline", pipeline));
        let (json,): (Option<Vec<u8>>,) = self.line.run(&commands).await?;
        // One of another version that this one cannot read is as good as none.
        Ok(json.and_then(|json| serde_json::from_slice(&json).ok()))
    }
}
