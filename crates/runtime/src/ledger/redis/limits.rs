//! Gates: places at once as a sorted set of tokens by the end of their lease, rates as the time at which the next start would
//! be on time (the generic cell rate algorithm). All in microseconds of the server's clock.

use std::time::Duration;

use async_trait::async_trait;
use redis::ScriptInvocation;

use super::RedisLedger;
use crate::ledger::{Entry, Gate, GateKind, LedgerError, Limits};

/// KEYS the gates; ARGV token, lease, then kind, number, time of each. Returns how long to wait; 0 when it has passed.
pub(super) const ENTER: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local token, lease, wait = ARGV[1], tonumber(ARGV[2]), 0
for i = 1, #KEYS do
  local kind, number, per = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  if kind == 'places' then
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
    local taken = redis.call('ZCARD', KEYS[i])
    if redis.call('ZSCORE', KEYS[i], token) then taken = taken - 1 end
    if taken >= number then wait = math.max(wait, 1000000) end
  else
    local due = tonumber(redis.call('GET', KEYS[i]) or now)
    wait = math.max(wait, due - (now + per - per / number))
  end
end
if wait > 0 then return math.ceil(wait) end
for i = 1, #KEYS do
  local kind, number, per = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  if kind == 'places' then
    redis.call('ZADD', KEYS[i], string.format('%.0f', now + lease), token)
    redis.call('PEXPIRE', KEYS[i], math.ceil(lease / 1000) + 60000)
  else
    local due = math.max(tonumber(redis.call('GET', KEYS[i]) or now), now) + per / number
    redis.call('SET', KEYS[i], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1)
  end
end
return 0
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
        let wait: u64 = self.line.call(&call).await?;
        Ok(match wait {
            0 => Entry::Passed,
            micros => Entry::Wait(Duration::from_micros(micros)),
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
