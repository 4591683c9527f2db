//! Schedules in this process.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::MemoryLedger;
use super::pages::Kept;
use crate::ledger::{Leader, LedgerError, Schedules, Written};
use crate::schedule::Known;

/// The page about schedules.
#[derive(Default)]
pub(super) struct Page {
    leads: u64,
    leader: Option<Kept<Leader>>,
    settled: BTreeMap<String, Known>,
    written: Written,
}

impl Page {
    fn lead(&mut self, who: &str, number: u64, lease: Duration) {
        let who = who.to_owned();
        let leader = Leader {
            who,
            number,
            left: lease,
        };
        self.leader = Some(Kept::for_long(leader, lease));
    }

    /// Takes an entry away if it is there and written so. Whether it was. What is known of one of the timetable that has its id stays.
    fn remove(&mut self, id: &str, so: impl Fn(&str) -> bool) -> bool {
        let was_there = self.written.added.get(id).is_some_and(|entry| so(entry));
        if was_there {
            self.written.added.remove(id);
            self.written.version += 1;
        }
        if was_there && !self.written.posted.contains_key(id) {
            self.settled.remove(id);
            self.written.paused.remove(id);
        }
        was_there
    }
}

#[async_trait]
impl Schedules for MemoryLedger {
    async fn take_lead(&self, who: &str, lease: Duration) -> Result<u64, LedgerError> {
        let page = &mut self.lock().schedules;
        page.leads += 1;
        page.lead(who, page.leads, lease);
        Ok(page.leads)
    }

    async fn keep_lead(
        &self,
        who: &str,
        number: u64,
        lease: Duration,
    ) -> Result<Option<u64>, LedgerError> {
        let page = &mut self.lock().schedules;
        if page.leads != number {
            return Ok(None);
        }
        page.lead(who, number, lease);
        Ok(Some(page.written.version))
    }

    async fn give_up_lead(&self, number: u64) -> Result<(), LedgerError> {
        let page = &mut self.lock().schedules;
        if page.leads == number {
            page.leader = None;
        }
        Ok(())
    }

    async fn leader(&self) -> Result<Option<Leader>, LedgerError> {
        let pages = self.lock();
        let Some(kept) = &pages.schedules.leader else {
            return Ok(None);
        };
        let left = kept.until.saturating_duration_since(Instant::now());
        Ok(kept.get().map(|leader| Leader {
            left,
            ..leader.clone()
        }))
    }

    async fn settle_ticks(
        &self,
        number: u64,
        settled: &[(String, Known)],
    ) -> Result<bool, LedgerError> {
        let page = &mut self.lock().schedules;
        let mine = page.leads == number;
        if mine {
            page.settled.extend(settled.iter().cloned());
        }
        Ok(mine)
    }

    async fn settled_ticks(&self) -> Result<BTreeMap<String, Known>, LedgerError> {
        Ok(self.lock().schedules.settled.clone())
    }

    async fn add_entry(&self, id: &str, entry: &str) -> Result<(), LedgerError> {
        let written = &mut self.lock().schedules.written;
        written.added.insert(id.to_owned(), entry.to_owned());
        written.version += 1;
        Ok(())
    }

    async fn remove_entry(&self, id: &str) -> Result<bool, LedgerError> {
        Ok(self.lock().schedules.remove(id, |_| true))
    }

    async fn remove_entry_as(&self, id: &str, entry: &str) -> Result<bool, LedgerError> {
        let page = &mut self.lock().schedules;
        Ok(page.remove(id, |written| written == entry))
    }

    async fn pause_entry(&self, id: &str, paused: bool) -> Result<(), LedgerError> {
        let written = &mut self.lock().schedules.written;
        match paused {
            true => written.paused.insert(id.to_owned()),
            false => written.paused.remove(id),
        };
        written.version += 1;
        Ok(())
    }

    async fn post_timetable(&self, entries: &[(String, String)]) -> Result<(), LedgerError> {
        self.lock().schedules.written.posted = entries.iter().cloned().collect();
        Ok(())
    }

    async fn written(&self) -> Result<Written, LedgerError> {
        Ok(self.lock().schedules.written.clone())
    }
}
