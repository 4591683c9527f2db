//! How many messages of a level are held here: as few as suit long tasks, until more are seen to be finished within a moment; then
//! as many as that. As few as before once something waits.
//! A value: it is told what happened and when, and asks nobody. Making the broker follow is the lane's business.

use std::time::Duration;

use tokio::time::Instant;

/// How long what is held may take to be finished: for so long it is kept from other workers.
const TURN: Duration = Duration::from_millis(30);
/// How long the pace is watched before anything follows from it.
const LOOK: Duration = Duration::from_millis(10);
/// How long one of many may wait for a slot: less than it is held at most, so that the broker sends no more by then.
pub(super) const PATIENCE: Duration = Duration::from_millis(60);
/// How long few are held at least after many were too many; twice as long the next time, so that a level of short and long
/// tasks does not go to and fro.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// The width of one lane's window.
#[derive(Debug, Clone)]
pub(super) struct Width {
    few: u16,
    many: u16,
    now: u16,
    /// So many were settled since then.
    settled: usize,
    since: Instant,
    /// Until when it stays as it is, and how long the next rest is.
    rest_until: Option<Instant>,
    rest: Duration,
}

impl Width {
    /// One that does not change.
    pub(super) fn fixed(size: u16, now: Instant) -> Self {
        Self {
            few: size,
            many: size,
            now: size,
            settled: 0,
            since: now,
            rest_until: None,
            rest: FIRST_REST,
        }
    }

    /// From now on it may grow to so many.
    pub(super) fn may_grow_to(&mut self, many: u16) {
        self.many = many.max(self.few);
    }

    pub(super) fn now(&self) -> u16 {
        self.now
    }

    /// Whether more are held than suit long tasks.
    pub(super) fn is_wide(&self) -> bool {
        self.now > self.few
    }

    /// So many were settled.
    pub(super) fn settled(&mut self, count: usize, now: Instant) {
        if self.now == self.many {
            return;
        }
        self.settled += count;
        let watched = now.saturating_duration_since(self.since);
        if watched < LOOK {
            return;
        }
        let fits = self.settled as f64 * TURN.as_secs_f64() / watched.as_secs_f64();
        let rested = self.rest_until.is_none_or(|until| now >= until);
        if rested && fits >= 2.0 * f64::from(self.now) {
            // A float beyond the range becomes its end.
            self.now = (fits as u16).min(self.many);
        }
        (self.settled, self.since) = (0, now);
    }

    /// One of them waited for longer than [`PATIENCE`]: something takes long.
    pub(super) fn waited(&mut self, now: Instant) {
        if !self.is_wide() {
            return;
        }
        let calm = |until: Instant| now.saturating_duration_since(until) >= LONGEST_REST;
        if self.rest_until.is_some_and(calm) {
            self.rest = FIRST_REST;
        }
        self.now = self.few;
        self.rest_until = Some(now + self.rest);
        self.rest = (self.rest * 2).min(LONGEST_REST);
        (self.settled, self.since) = (0, now);
    }
}

#[cfg(test)]
mod tests;
