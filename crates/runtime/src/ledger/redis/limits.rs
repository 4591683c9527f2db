//! Gates as sorted sets by time: of tokens by the end of their lease, for places at once; of starts by the time at which they
//! are old enough to be forgotten, for rates. All in microseconds of the server's clock.

use std::time::Duration;

use async_trait::async_trait;
use redis::ScriptInvocation;

use super::RedisLedger;
use crate::ledger::{Entry, Gate, GateKind, LedgerError, Limits};

/// KEYS the gates; ARGV token, lease, then kind, number, time of each. Returns how long to wait, 0 when it has passed, and
/// for which gate, the first being 0.
pub(super) const ENTER: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local token, lease, wait, closed = ARGV[1], tonumber(ARGV[2]), 0, 0
local function shut(gate, time)
  if time >= wait then wait, closed = time, gate - 1 end
end
for i = 1, #KEYS do
  local kind, number = ARGV[3 * i], tonumber(ARGV[3 * i + 1])
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  local taken = redis.call('ZCARD', KEYS[i])
  if redis.call('ZSCORE', KEYS[i], token) then taken = taken - 1 end
  if taken >= number then
    if kind == 'places' then
      shut(i, 1000000)
    else
      local frees = redis.call('ZRANGE', KEYS[i], taken - number, taken - number, 'WITHSCORES')
      shut(i, tonumber(frees[2]) - now)
    end
  end
end
if wait > 0 then return {math.ceil(wait), closed} end
for i = 1, #KEYS do
  local kind, per = ARGV[3 * i], tonumber(ARGV[3 * i + 2])
  local kept = lease
  if kind == 'rate' then kept = per end
  redis.call('ZADD', KEYS[i], string.format('%.0f', now + kept), token)
  redis.call('PEXPIRE', KEYS[i], math.ceil(kept / 1000) + 60000)
end
return {0, 0}
";

/// KEYS the gates; ARGV lease, then the token of each.
pub(super) const STAY: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], string.format('%.0f', now + ARGV[1]), ARGV[i + 1])
  redis.call('PEXPIRE', KEYS[i], math.ceil(ARGV[1] / 1000) + 60000)
end
return 0
";

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros())
        .unwrap_or(u64::MAX)
        .min(1 << 50)
}

impl RedisLedger {
    fn gate_key(&self, gate: &Gate) -> String {
        match gate.kind {
            GateKind::AtOnce(_) => self.key("places", &gate.name),
            GateKind::Rate { .. } => self.key("rate", &gate.name),
        }
    }

    fn add_gate(&self, call: &mut ScriptInvocation<'_>, gate: &Gate) {
        call.key(self.gate_key(gate));
        match gate.kind {
            GateKind::AtOnce(most) => call.arg("places").arg(most).arg(0),
            GateKind::Rate { starts, per } => {
                call.arg("rate").arg(starts.max(1)).arg(micros(per).max(1))
            }
        };
    }
}

#[async_trait]
impl Limits for RedisLedger {
    async fn enter(
        &self,
        gates: &[Gate],
        token: &str,
        lease: Duration,
    ) -> Result<Entry, LedgerError> {
        let mut call = self.scripts.enter.prepare_invoke();
        call.arg(token).arg(micros(lease));
        gates.iter().for_each(|gate| self.add_gate(&mut call, gate));
        let (micros, gate): (u64, usize) = self.line.call(&call).await?;
        let after = Duration::from_micros(micros);
        Ok(match micros {
            0 => Entry::Passed,
            _ => Entry::Wait { after, gate },
        })
    }

    async fn stay(&self, places: &[(Gate, String)], lease: Duration) -> Result<(), LedgerError> {
        let mut call = self.scripts.stay.prepare_invoke();
        call.arg(micros(lease));
        let mut some = false;
        for (gate, token) in places {
            if matches!(gate.kind, GateKind::AtOnce(_)) {
                call.key(self.gate_key(gate)).arg(token);
                some = true;
            }
        }
        if some {
            let _: i64 = self.line.call(&call).await?;
        }
        Ok(())
    }

    async fn leave(&self, gates: &[Gate], token: &str) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        for gate in gates {
            if matches!(gate.kind, GateKind::AtOnce(_)) {
                commands
                    .cmd("ZREM")
                    .arg(self.gate_key(gate))
                    .arg(token)
                    .ignore();
            }
        }
        commands.cmd("PUBLISH").arg(self.news()).arg("").ignore();
        Ok(self.line.run(&commands).await?)
    }
}
