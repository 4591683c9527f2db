//! Whether a consumer still takes messages, level by level, and whether the connections stand. Written by whoever consumes,
//! read by whoever asks for health: from any thread, without waiting. Decides nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::queue::{Level, Queue};

/// How a consumer's levels are. Cheap to clone; stays readable when the consumer is gone.
#[derive(Debug, Clone)]
pub struct Liveness {
    levels: Arc<[Watched]>,
}

#[derive(Debug)]
struct Watched {
    level: Level,
    // A std mutex: held for two assignments, never across an await.
    pulse: Mutex<Pulse>,
}

#[derive(Debug, Default)]
struct Pulse {
    gone_since: Option<Instant>,
    losses: u64,
}

/// One level of a consumer, now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelLiveness {
    /// Which.
    pub level: Level,
    /// For how long nothing has been taken from it; none while it is consumed.
    pub gone_for: Option<Duration>,
    /// How often its consumer was lost.
    pub losses: u64,
}

/// The connections to a broker, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Whether all of them stand.
    pub up: bool,
    /// How often one came back.
    pub reconnects: u64,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            up: true,
            reconnects: 0,
        }
    }
}

impl Liveness {
    /// Every level of the queue, consumed; highest first.
    #[must_use]
    pub fn of(queue: Queue) -> Self {
        let watched = |level| Watched {
            level,
            pulse: Mutex::default(),
        };
        Self {
            levels: queue.every_level().map(watched).collect(),
        }
    }

    /// For whoever consumes a level to say so.
    pub(crate) fn beat(&self, level: Level) -> Beat {
        Beat {
            liveness: self.clone(),
            level,
        }
    }

    /// The levels now, highest first.
    #[must_use]
    pub fn look(&self) -> Vec<LevelLiveness> {
        self.levels.iter().map(Watched::look).collect()
    }
}

impl Watched {
    fn look(&self) -> LevelLiveness {
        let pulse = self.pulse();
        LevelLiveness {
            level: self.level,
            gone_for: pulse.gone_since.map(|since| since.elapsed()),
            losses: pulse.losses,
        }
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        // Whole between any two uses, so a panic elsewhere leaves nothing half done.
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One level, for the one who consumes it. Dropped, as by a panic, it says that the consumer is lost.
#[derive(Debug)]
pub(crate) struct Beat {
    liveness: Liveness,
    level: Level,
}

impl Beat {
    /// The consumer is gone.
    pub(crate) fn lost(&self) {
        self.with_pulse(|pulse| {
            if pulse.gone_since.is_none() {
                pulse.gone_since = Some(Instant::now());
                pulse.losses += 1;
            }
        });
    }

    /// There is a consumer again.
    pub(crate) fn regained(&self) {
        self.with_pulse(|pulse| pulse.gone_since = None);
    }

    fn with_pulse(&self, change: impl FnOnce(&mut Pulse)) {
        let mut levels = self.liveness.levels.iter();
        if let Some(watched) = levels.find(|watched| watched.level == self.level) {
            change(&mut watched.pulse());
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.lost();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_level_is_gone_from_its_loss_until_it_is_consumed_again() {
        let queue = Queue::named("q").levels(2);
        let liveness = Liveness::of(queue);
        let beat = liveness.beat(queue.level_numbered(0));
        let seen = || {
            let levels = liveness.look();
            assert_eq!(levels[0].gone_for, None, "the other level is untouched");
            (levels[1].gone_for, levels[1].losses)
        };
        assert_eq!(seen(), (None, 0));
        beat.lost();
        tokio::time::advance(Duration::from_secs(3)).await;
        beat.lost();
        assert_eq!(seen(), (Some(Duration::from_secs(3)), 1));
        beat.regained();
        assert_eq!(seen(), (None, 1));
        drop(beat);
        assert_eq!(seen(), (Some(Duration::ZERO), 2));
    }
}
