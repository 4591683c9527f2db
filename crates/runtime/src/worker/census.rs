//! Counts the queue for the metrics: what waits on each level, since when, and who consumes. One worker of a queue does it for all,
//! by a place in the ledger, so that a broker is asked no more often because there are more workers.
//!
//! It asks the broker, not the management plugin, which lags by seconds and may be off. It decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval_at};

use super::engine::Engine;
use crate::broker::{BrokerError, Room};
use crate::duration::seconds;
use crate::ledger::{Entry, Gate, GateKind};
use crate::vitals::{Census, LevelCensus};

/// How often the queue is counted.
const EVERY: Duration = seconds(10);
/// Not at once: a worker that is only being tried has something else to do.
const FIRST: Duration = seconds(2);
/// How many counts pass between two looks at the oldest message: for that, the broker has to hand it out and take it back.
const OLDEST_EVERY: u64 = 3;

/// Counts until it is dropped.
pub(super) async fn keep_counting(engine: Arc<Engine>) {
    let mut looks = interval_at(tokio::time::Instant::now() + FIRST, EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut number, mut since) = (0, Vec::new());
    loop {
        looks.tick().await;
        let is_ours = is_ours(&engine).await;
        let counted = match is_ours {
            true => count(&engine, number, &mut since).await,
            false => Ok(None),
        };
        match counted {
            Ok(census) => engine.vitals.counted(census),
            Err(error) => {
                engine.vitals.counted(None);
                tracing::debug!(%error, "the queue is not counted");
            }
        }
        number += 1;
    }
}

/// Whether this is the worker that counts. A ledger that is away makes it none: figures that are missing are seen, and those of
/// several would add up.
async fn is_ours(engine: &Engine) -> bool {
    let gate = Gate {
        name: format!("census {}", engine.queue),
        kind: GateKind::AtOnce(1),
    };
    let entered = engine.ledger.enter(&[gate], &engine.name, EVERY * 3).await;
    matches!(entered, Ok(Entry::Passed))
}

/// How many wait in rooms for a place in a limit. A ledger that is away knows of no rooms.
async fn aside(engine: &Engine) -> Result<BTreeMap<Room, u64>, BrokerError> {
    let rooms = engine.ledger.rooms(engine.queue).await.unwrap_or_default();
    if rooms.is_empty() {
        return Ok(BTreeMap::new());
    }
    engine.servers.broker.count_aside(&rooms).await
}

async fn count(
    engine: &Engine,
    number: u64,
    since: &mut Vec<Option<SystemTime>>,
) -> Result<Option<Census>, BrokerError> {
    let (broker, queue) = (&engine.servers.broker, engine.queue);
    let depth = broker.depth(queue).await?;
    if depth.ready.iter().all(|ready| *ready == 0) {
        since.clear();
    } else if number.is_multiple_of(OLDEST_EVERY) {
        *since = broker.oldest(queue).await?;
    }
    let aside = aside(engine).await?;
    let over_limit = |level| -> u64 {
        let of_level = aside.iter().filter(|(room, _)| room.level() == level);
        of_level.map(|(_, count)| count).sum()
    };
    let levels = queue.every_level().rev().enumerate();
    let levels = levels.map(|(place, level)| LevelCensus {
        level,
        ready: depth.ready.get(place).copied().unwrap_or_default() + over_limit(level),
        consumers: depth.consumers.get(place).copied().unwrap_or_default(),
        oldest: since.get(place).copied().flatten(),
    });
    Ok(Some(Census {
        levels: levels.collect(),
        dead: depth.dead,
    }))
}
