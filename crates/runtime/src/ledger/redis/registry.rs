//! Reports as JSON with a time to live, under an index of who reported; pauses as a set; progress under TaskIQ's key.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use super::RedisLedger;
use crate::ledger::{LedgerError, Progress, Registry, WorkerReport};
use crate::message::MessageId;
use crate::result::redis::line::millis;

impl RedisLedger {
    fn workers_key(&self) -> String {
        format!("{} workers", self.namespace)
    }

    fn paused_key(&self) -> String {
        format!("{} paused", self.namespace)
    }

    pub(super) fn json(&self, value: &impl Serialize) -> Result<Vec<u8>, LedgerError> {
        serde_json::to_vec(value).map_err(|error| self.line.broken(error).into())
    }
}

#[async_trait]
impl Registry for RedisLedger {
    async fn report(&self, report: &WorkerReport, ttl: Duration) -> Result<(), LedgerError> {
        let json = self.json(report)?;
        let forgotten = report.seen_at - ttl.as_secs_f64() - 3600.0;
        let mut commands = redis::pipe();
        commands
            .cmd("SET")
            .arg(self.key("worker", &report.worker))
            .arg(json);
        commands.arg("PX").arg(millis(ttl)).ignore();
        commands
            .cmd("ZADD")
            .arg(self.workers_key())
            .arg(report.seen_at)
            .arg(&report.worker)
            .ignore();
        commands
            .cmd("ZREMRANGEBYSCORE")
            .arg(self.workers_key())
            .arg("-inf")
            .arg(forgotten)
            .ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn sign_off(&self, worker: &str) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("DEL").arg(self.key("worker", worker)).ignore();
        commands
            .cmd("ZREM")
            .arg(self.workers_key())
            .arg(worker)
            .ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn workers(&self) -> Result<Vec<WorkerReport>, LedgerError> {
        let mut commands = redis::pipe();
        commands
            .cmd("ZRANGE")
            .arg(self.workers_key())
            .arg(0)
            .arg(-1);
        let (names,): (Vec<String>,) = self.line.run(&commands).await?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = redis::pipe();
        commands.cmd("MGET");
        for name in &names {
            commands.arg(self.key("worker", name));
        }
        let (reports,): (Vec<Option<Vec<u8>>>,) = self.line.run(&commands).await?;
        // A report of another version that this one cannot read is as good as none.
        let read = |json: Vec<u8>| serde_json::from_slice::<WorkerReport>(&json).ok();
        let mut reports: Vec<_> = reports.into_iter().flatten().filter_map(read).collect();
        reports.sort_by(|a, b| (&a.queue, &a.worker).cmp(&(&b.queue, &b.worker)));
        Ok(reports)
    }

    async fn set_paused(&self, queue: &str, paused: bool) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        let word = if paused { "SADD" } else { "SREM" };
        commands
            .cmd(word)
            .arg(self.paused_key())
            .arg(queue)
            .ignore();
        commands.cmd("PUBLISH").arg(self.news()).arg("").ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn paused(&self) -> Result<BTreeSet<String>, LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("SMEMBERS").arg(self.paused_key());
        let (queues,): (BTreeSet<String>,) = self.line.run(&commands).await?;
        Ok(queues)
    }

    async fn set_progress(
        &self,
        progress: &[(MessageId, Progress, Duration)],
    ) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        for (id, progress, ttl) in progress {
            commands
                .cmd("SET")
                .arg(self.results.progress(id))
                .arg(self.json(progress)?);
            commands.arg("PX").arg(millis(*ttl)).ignore();
        }
        Ok(self.line.run(&commands).await?)
    }

    async fn progress(&self, id: &MessageId) -> Result<Option<Progress>, LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("GET").arg(self.results.progress(id));
        let (json,): (Option<Vec<u8>>,) = self.line.run(&commands).await?;
        Ok(json.and_then(|json| serde_json::from_slice(&json).ok()))
    }
}
