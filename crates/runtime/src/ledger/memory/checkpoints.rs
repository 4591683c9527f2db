//! Checkpoints in this process.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::MemoryLedger;
use super::pages::Kept;
use crate::ledger::{Checkpoints, LastRun, LedgerError};
use crate::message::MessageId;

#[async_trait]
impl Checkpoints for MemoryLedger {
    async fn keep_step(
        &self,
        id: &MessageId,
        step: &str,
        bytes: &[u8],
        kept: Duration,
    ) -> Result<(), LedgerError> {
        let mut pages = self.lock();
        pages.sweep_now_and_then();
        let before = pages.steps.remove(id).and_then(Kept::into_value);
        let mut steps = before.unwrap_or_default();
        steps.insert(step.to_owned(), bytes.to_vec());
        pages.steps.insert(id.clone(), Kept::for_long(steps, kept));
        Ok(())
    }

    async fn kept_steps(
        &self,
        id: &MessageId,
        kept: Duration,
    ) -> Result<BTreeMap<String, Vec<u8>>, LedgerError> {
        let mut pages = self.lock();
        let Some(steps) = pages.steps.get(id).and_then(Kept::get).cloned() else {
            return Ok(BTreeMap::new());
        };
        let again = Kept::for_long(steps.clone(), kept);
        pages.steps.insert(id.clone(), again);
        Ok(steps)
    }

    async fn forget_steps(&self, id: &MessageId) -> Result<(), LedgerError> {
        self.lock().steps.remove(id);
        Ok(())
    }

    async fn keep_last_run(
        &self,
        pipeline: &str,
        run: &LastRun,
        kept: Duration,
    ) -> Result<(), LedgerError> {
        let kept = Kept::for_long(run.clone(), kept);
        self.lock().last_runs.insert(pipeline.to_owned(), kept);
        Ok(())
    }

    async fn last_run(&self, pipeline: &str) -> Result<Option<LastRun>, LedgerError> {
        let pages = self.lock();
        Ok(pages.last_runs.get(pipeline).and_then(Kept::get).cloned())
    }
}
