//! Beside them stands one hash of all runs that are claimed now, by message: what finds those that outlive their worker. It is written
//! where the claims are, in the same round trips; what it has too much is found out by whoever reads it.
//!
//! Run claims as one string a message: `r` running, `w` sent on, `f` finished, then token, end of the lease, a number (starts
//! or hops), the worker, and last the kick, which others may have chosen and which may hold anything.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::RedisLedger;
use crate::ledger::runs::{REMEMBERED, TOLD_FOR};
use crate::ledger::{LedgerError, LeftBehind, Run, Runs, Sighting, Standing};
use crate::message::MessageId;
use crate::result::redis::line::millis;

/// Reads the stored string into `state`, `token`, `until_ms`, `number`, `worker`, `kick`, and the time into `now`.
macro_rules! reading {
    ($rest:literal) => {
        concat!(
            r"
local pattern = '^(%a)\n([^\n]*)\n(%d+)\n(%d+)\n([^\n]*)\n(.*)$'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function read(key)
  local text = redis.call('GET', key)
  if not text then return nil end
  return string.match(text, pattern)
end
local function claim(key, token, lease, starts, worker, kick, kept)
  local text = table.concat({'r', token, string.format('%.0f', now + lease), starts, worker, kick}, '\n')
  redis.call('SET', key, text, 'PX', kept)
end
local function note(held, id, lease, worker, task)
  redis.call('HSET', held, id, table.concat({string.format('%.0f', now + lease), worker, task}, '\n'))
end
",
            $rest
        )
    };
}

/// KEYS the run, those claimed; ARGV kick, hop, token, worker, lease, kept, start to hold back, 1 if it is new, id, task. Returns a word, a number and the holder.
pub(super) const BEGIN: &str = reading!(
    r"
local state, token, till, number, worker, kick = read(KEYS[1])
local same = kick == ARGV[1] and ARGV[8] ~= '1'
local starts = 1
if state == 'f' and same then return {'finished', 0, ''} end
if state == 'w' and same and tonumber(number) > tonumber(ARGV[2]) then return {'superseded', 0, ''} end
if state == 'r' then
  if token == ARGV[3] then
    starts = tonumber(number)
  elseif tonumber(till) > now then
    return {'held', tonumber(till) - now, worker}
  elseif same then
    starts = tonumber(number) + 1
    if starts == tonumber(ARGV[7]) then return {'held back', starts, ''} end
  end
end
claim(KEYS[1], ARGV[3], tonumber(ARGV[5]), starts, ARGV[4], ARGV[1], ARGV[6])
note(KEYS[2], ARGV[9], tonumber(ARGV[5]), ARGV[4], ARGV[10])
return {'granted', starts, ''}
"
);

/// KEYS those claimed, then the runs; ARGV lease, kept, then kick, token, worker, id, task of each.
pub(super) const RENEW: &str = reading!(
    r"
for i = 2, #KEYS do
  local at = 5 * i - 8
  local kick, token, worker = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local state, holder, _, number = read(KEYS[i])
  if state == nil or (state == 'r' and holder == token) then
    claim(KEYS[i], token, tonumber(ARGV[1]), number or 1, worker, kick, ARGV[2])
    note(KEYS[1], ARGV[at + 4], tonumber(ARGV[1]), worker, ARGV[at + 5])
  end
end
return 0
"
);

/// KEYS the run, those claimed; ARGV token, id.
pub(super) const RELEASE: &str = reading!(
    r"
local state, token = read(KEYS[1])
if state == 'r' and token == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HDEL', KEYS[2], ARGV[2])
end
return 0
"
);

/// KEYS the run. Says of a run that has come to its end that it is to run anew; what recognises copies of it stays.
pub(super) const REPLAY: &str = reading!(
    r"
local state, token, till, number, worker, kick = read(KEYS[1])
if state == 'f' then
  redis.call('SET', KEYS[1], table.concat({'f', '-', '0', '1', '-', kick}, '\n'), 'KEEPTTL')
end
return 0
"
);

/// What stands under the run of a kick that has come to its end.
pub(super) fn finished(kick: &str) -> String {
    format!("f\n-\n0\n0\n-\n{kick}")
}

fn sent_on(kick: &str, hop: u32) -> String {
    format!("w\n-\n0\n{hop}\n-\n{kick}")
}

#[async_trait]
impl Runs for RedisLedger {
    async fn begin(
        &self,
        run: &Run,
        lease: Duration,
        hold_back: Option<u32>,
    ) -> Result<Standing, LedgerError> {
        let mut call = self.scripts.begin.key(self.run_key(&run.id));
        call.key(self.held_key());
        call.arg(&run.kick)
            .arg(run.hop)
            .arg(&run.token)
            .arg(&run.worker);
        call.arg(millis(lease)).arg(millis(REMEMBERED));
        // No start has the number 0.
        call.arg(hold_back.unwrap_or(0)).arg(u8::from(run.is_new));
        call.arg(run.id.as_str()).arg(&run.task);
        let (word, number, worker): (String, u64, String) = self.line.call(&call).await?;
        Ok(match word.as_str() {
            "finished" => Standing::Finished,
            "superseded" => Standing::Superseded,
            "held back" => Standing::HeldBack,
            "held" => Standing::Held {
                remaining: Duration::from_millis(number),
                worker,
            },
            _ => Standing::Granted {
                starts: u32::try_from(number).unwrap_or(u32::MAX),
            },
        })
    }

    async fn renew(&self, runs: &[Run], lease: Duration) -> Result<(), LedgerError> {
        if runs.is_empty() {
            return Ok(());
        }
        let mut call = self.scripts.renew.prepare_invoke();
        call.key(self.held_key());
        call.arg(millis(lease)).arg(millis(REMEMBERED));
        for run in runs {
            call.key(self.run_key(&run.id));
            call.arg(&run.kick).arg(&run.token).arg(&run.worker);
            call.arg(run.id.as_str()).arg(&run.task);
        }
        Ok(self.line.call(&call).await?)
    }

    async fn sent_on(&self, run: &Run, to: u32) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        let (key, value) = (self.run_key(&run.id), sent_on(&run.kick, to));
        commands.cmd("SET").arg(key).arg(value);
        commands.arg("PX").arg(millis(REMEMBERED)).ignore();
        commands.cmd("HDEL").arg(self.held_key());
        commands.arg(run.id.as_str()).ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn release(&self, run: &Run) -> Result<(), LedgerError> {
        let mut call = self.scripts.release.key(self.run_key(&run.id));
        call.key(self.held_key());
        call.arg(&run.token).arg(run.id.as_str());
        Ok(self.line.call(&call).await?)
    }

    async fn left_behind(&self, ago: Duration) -> Result<Vec<LeftBehind>, LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("HGETALL").arg(self.held_key()).cmd("TIME");
        let (held, (seconds, micros)): (HashMap<String, String>, (u64, u64)) =
            self.line.run(&commands).await?;
        let now = seconds * 1000 + micros / 1000;
        let ended = held.iter().filter_map(|(id, text)| ended(id, text, now));
        let left: Vec<LeftBehind> = ended.filter(|run| run.ended >= ago).collect();
        if left.is_empty() {
            return Ok(left);
        }
        let mut commands = redis::pipe();
        commands.cmd("MGET");
        for run in &left {
            commands.arg(self.run_key(&run.id));
        }
        let (claims,): (Vec<Option<String>>,) = self.line.run(&commands).await?;
        let (mut found, mut over) = (Vec::new(), redis::pipe());
        over.cmd("HDEL").arg(self.held_key());
        let mut is_over = false;
        for (run, claim) in left.into_iter().zip(claims) {
            match claim.and_then(|text| seen(&text, now)) {
                Some(Sighting::Abandoned { .. }) if run.ended <= TOLD_FOR => found.push(run),
                // It runs, and will be noted anew.
                Some(Sighting::Running { .. }) => {}
                _ => {
                    over.arg(run.id.as_str());
                    is_over = true;
                }
            }
        }
        if is_over {
            self.line.run::<()>(over.ignore()).await?;
        }
        Ok(found)
    }

    async fn sighting(&self, id: &MessageId) -> Result<Option<Sighting>, LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("GET").arg(self.run_key(id)).cmd("TIME");
        let (text, (seconds, micros)): (Option<String>, (u64, u64)) =
            self.line.run(&commands).await?;
        Ok(text.and_then(|text| seen(&text, seconds * 1000 + micros / 1000)))
    }
}

/// A noted run whose claim has ended by now. What cannot be read is none of ours.
fn ended(id: &str, noted: &str, now: u64) -> Option<LeftBehind> {
    let mut fields = noted.splitn(3, '\n');
    let until: u64 = fields.next()?.parse().ok()?;
    Some(LeftBehind {
        id: id.parse().ok()?,
        worker: fields.next()?.to_owned(),
        task: fields.next()?.to_owned(),
        ended: Duration::from_millis(now.checked_sub(until)?),
    })
}

/// What the stored string says at this time, in milliseconds.
fn seen(text: &str, now: u64) -> Option<Sighting> {
    let mut fields = text.splitn(6, '\n');
    let state = fields.next()?;
    let (_token, until) = (fields.next()?, fields.next()?.parse::<u64>().ok()?);
    let (number, worker) = (fields.next()?.parse().ok()?, fields.next()?.to_owned());
    Some(match state {
        "r" if until > now => Sighting::Running {
            worker,
            starts: number,
        },
        "r" => Sighting::Abandoned {
            worker,
            starts: number,
        },
        "w" => Sighting::SentOn { hop: number },
        "f" if number > 0 => Sighting::Replayed,
        _ => Sighting::Finished,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_reads_as_it_was_meant() {
        let running = "r\ntoken\n1000\n2\nrender@host:7\nany\nkick";
        let worker = || "render@host:7".to_owned();
        let table = [
            (
                running,
                999,
                Some(Sighting::Running {
                    worker: worker(),
                    starts: 2,
                }),
            ),
            (
                running,
                1000,
                Some(Sighting::Abandoned {
                    worker: worker(),
                    starts: 2,
                }),
            ),
            (&sent_on("k", 3), 0, Some(Sighting::SentOn { hop: 3 })),
            (&finished("k"), 0, Some(Sighting::Finished)),
            ("f\n-\n0\n1\n-\nk", 0, Some(Sighting::Replayed)),
            ("r\nhalf", 0, None),
        ];
        for (text, now, expected) in table {
            assert_eq!(seen(text, now), expected, "{text:?}");
        }
    }

    #[test]
    fn a_noted_run_is_told_once_its_claim_has_ended() {
        let id = MessageId::new();
        let noted = "1000\nrender@host:7\nrender_export";
        let left = |ended| LeftBehind {
            id: id.clone(),
            task: "render_export".to_owned(),
            worker: "render@host:7".to_owned(),
            ended: Duration::from_millis(ended),
        };
        assert_eq!(ended(id.as_str(), noted, 999), None);
        assert_eq!(ended(id.as_str(), noted, 1000), Some(left(0)));
        assert_eq!(ended(id.as_str(), noted, 3500), Some(left(2500)));
        assert_eq!(ended(id.as_str(), "soon\nw\nt", 3500), None);
    }
}
