//! Schedules as a counter of leads, a string with a time to live for the leader, and hashes by entry. Whatever a leader writes
//! down goes through a script that looks at the counter first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;

use super::RedisLedger;
use crate::ledger::{Leader, LedgerError, Schedules, Written};
use crate::result::redis::line::millis;
use crate::schedule::{Known, Tick};

/// KEYS the counter, the leader; ARGV who, lease. Returns the number of the lead.
pub(super) const TAKE_LEAD: &str = r"
local number = redis.call('INCR', KEYS[1])
redis.call('SET', KEYS[2], number .. ' ' .. ARGV[1], 'PX', ARGV[2])
return number
";

/// KEYS the counter, the leader, the version; ARGV who, lease, number. Returns the version, or -1 for somebody else's lead.
pub(super) const KEEP_LEAD: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[3] then return -1 end
redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. ARGV[1], 'PX', ARGV[2])
return tonumber(redis.call('GET', KEYS[3]) or '0')
";

/// KEYS the counter, the leader; ARGV number.
pub(super) const GIVE_UP_LEAD: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 0
";

/// KEYS the counter, the settled ticks; ARGV number, then entry and tick of each. Returns 1 if they were written.
pub(super) const SETTLE_TICKS: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 1
";

/// KEYS the added entries, the settled ticks, the paused ones, the version, the timetable's entries; ARGV entry, and how it must be
/// written. Returns 1 if there was one. What is known of an entry of the timetable that has its id stays.
pub(super) const REMOVE_ENTRY: &str = r"
if ARGV[2] and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('INCR', KEYS[4])
if redis.call('HEXISTS', KEYS[5], ARGV[1]) == 1 then return 1 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
return 1
";

impl RedisLedger {
    fn schedule_key(&self, what: &str) -> String {
        self.key("schedule", what)
    }

    /// Removes an entry by its id and, if that is said too, how it must be written.
    async fn remove(&self, which: &[&str]) -> Result<bool, LedgerError> {
        let mut call = self.scripts.remove_entry.key(self.schedule_key("added"));
        for key in ["ticks", "paused", "version", "posted"] {
            call.key(self.schedule_key(key));
        }
        let removed: i64 = self.line.call(call.arg(which)).await?;
        Ok(removed == 1)
    }
}

/// What stands behind an entry of which a tick waits.
const WAITS: &str = "waits";

/// As it is stored: the tick, of which times it is, and whether another one waits.
fn stored(known: &Known) -> String {
    let waits = if known.waits { " waits" } else { "" };
    format!("{} {:x}{waits}", known.last.seconds(), known.of)
}

fn read(text: &str) -> Option<Known> {
    let mut parts = text.split(' ');
    Some(Known {
        last: Tick::at(parts.next()?.parse().ok()?),
        of: u64::from_str_radix(parts.next()?, 16).ok()?,
        waits: parts.next() == Some(WAITS),
    })
}

#[async_trait]
impl Schedules for RedisLedger {
    async fn take_lead(&self, who: &str, lease: Duration) -> Result<u64, LedgerError> {
        let mut call = self.scripts.take_lead.key(self.schedule_key("leads"));
        call.key(self.schedule_key("leader"));
        call.arg(who).arg(millis(lease));
        Ok(self.line.call(&call).await?)
    }

    async fn keep_lead(
        &self,
        who: &str,
        number: u64,
        lease: Duration,
    ) -> Result<Option<u64>, LedgerError> {
        let mut call = self.scripts.keep_lead.key(self.schedule_key("leads"));
        call.key(self.schedule_key("leader"));
        call.key(self.schedule_key("version"));
        call.arg(who).arg(millis(lease)).arg(number);
        let version: i64 = self.line.call(&call).await?;
        Ok(u64::try_from(version).ok())
    }

    async fn give_up_lead(&self, number: u64) -> Result<(), LedgerError> {
        let mut call = self.scripts.give_up_lead.key(self.schedule_key("leads"));
        call.key(self.schedule_key("leader")).arg(number);
        let _: i64 = self.line.call(&call).await?;
        Ok(())
    }

    async fn leader(&self) -> Result<Option<Leader>, LedgerError> {
        let (mut commands, key) = (redis::pipe(), self.schedule_key("leader"));
        commands.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        let (leader, left): (Option<String>, i64) = self.line.run(&commands).await?;
        Ok(leader.and_then(|text| {
            let (number, who) = text.split_once(' ')?;
            Some(Leader {
                who: who.to_owned(),
                number: number.parse().ok()?,
                // Negative when it ended between the two commands.
                left: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
            })
        }))
    }

    async fn settle_ticks(
        &self,
        number: u64,
        settled: &[(String, Known)],
    ) -> Result<bool, LedgerError> {
        let mut call = self.scripts.settle_ticks.key(self.schedule_key("leads"));
        call.key(self.schedule_key("ticks")).arg(number);
        for (id, known) in settled {
            call.arg(id).arg(stored(known));
        }
        let written: i64 = self.line.call(&call).await?;
        Ok(written == 1)
    }

    async fn settled_ticks(&self) -> Result<BTreeMap<String, Known>, LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("HGETALL").arg(self.schedule_key("ticks"));
        let (ticks,): (HashMap<String, String>,) = self.line.run(&commands).await?;
        // What cannot be read is as good as not known: the entry counts from now.
        let known = |(id, text): (String, String)| Some((id, read(&text)?));
        Ok(ticks.into_iter().filter_map(known).collect())
    }

    async fn add_entry(&self, id: &str, entry: &str) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        commands
            .atomic()
            .cmd("HSET")
            .arg(self.schedule_key("added"));
        commands.arg(id).arg(entry).ignore();
        commands
            .cmd("INCR")
            .arg(self.schedule_key("version"))
            .ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn remove_entry(&self, id: &str) -> Result<bool, LedgerError> {
        self.remove(&[id]).await
    }

    async fn remove_entry_as(&self, id: &str, entry: &str) -> Result<bool, LedgerError> {
        self.remove(&[id, entry]).await
    }

    async fn pause_entry(&self, id: &str, paused: bool) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        let command = if paused { "SADD" } else { "SREM" };
        commands.atomic().cmd(command);
        commands.arg(self.schedule_key("paused")).arg(id).ignore();
        commands
            .cmd("INCR")
            .arg(self.schedule_key("version"))
            .ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn post_timetable(&self, entries: &[(String, String)]) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        let key = self.schedule_key("posted");
        commands.atomic().cmd("DEL").arg(&key).ignore();
        if !entries.is_empty() {
            commands.cmd("HSET").arg(&key);
            for (id, entry) in entries {
                commands.arg(id).arg(entry);
            }
            commands.ignore();
        }
        Ok(self.line.run(&commands).await?)
    }

    async fn written(&self) -> Result<Written, LedgerError> {
        let mut commands = redis::pipe();
        // In one go: a version that is younger than what was read with it would hide a change.
        commands.atomic();
        commands.cmd("HGETALL").arg(self.schedule_key("added"));
        commands.cmd("HGETALL").arg(self.schedule_key("posted"));
        commands.cmd("SMEMBERS").arg(self.schedule_key("paused"));
        commands.cmd("GET").arg(self.schedule_key("version"));
        let (added, posted, paused, version): (
            BTreeMap<String, String>,
            BTreeMap<String, String>,
            BTreeSet<String>,
            Option<u64>,
        ) = self.line.run(&commands).await?;
        Ok(Written {
            added,
            posted,
            paused,
            version: version.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_of_a_tick_reads_as_it_was_meant() {
        for (last, of) in [(0, 0), (-5, 7), (1_800_000_000, u64::MAX)] {
            let last = Tick::at(last);
            for waits in [false, true] {
                let known = Known { last, of, waits };
                assert_eq!(read(&stored(&known)), Some(known));
            }
        }
        for text in ["", "1", "x 1", "1 x"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
