//! Aging: a level that is passed over for long enough is let through once. Pure; which deliveries wait is the consumer's to say.

use std::time::Duration;

use tokio::time::Instant;

use crate::queue::{Level, MAX_LEVELS};

/// Since when each level has been passed over. Without a time it lets nothing through: levels are strict.
#[derive(Debug, Clone, Default)]
pub(super) struct Aging {
    after: Option<Duration>,
    passed_over: [Option<Instant>; MAX_LEVELS as usize],
}

impl Aging {
    pub(super) fn set(&mut self, after: Duration) {
        self.after = Some(after);
    }

    pub(super) fn is_off(&self) -> bool {
        self.after.is_none()
    }

    /// Whether something of this level goes before all others now.
    pub(super) fn is_due(&self, level: Level, now: Instant) -> bool {
        let since = self.passed_over[usize::from(level.number())];
        match (self.after, since) {
            (Some(after), Some(since)) => now.duration_since(since) >= after,
            _ => false,
        }
    }

    /// A delivery of this level was given out while these lower levels had something, too.
    pub(super) fn served(
        &mut self,
        level: Level,
        waiting: impl Iterator<Item = Level>,
        now: Instant,
    ) {
        for lower in waiting.filter(|lower| *lower < level) {
            self.passed_over[usize::from(lower.number())].get_or_insert(now);
        }
        self.passed_over[usize::from(level.number())] = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Queue;

    #[tokio::test(start_paused = true)]
    async fn a_level_that_was_passed_over_for_long_is_let_through_once() {
        let level = |number| Queue::named("q").levels(4).level_numbered(number);
        let mut aging = Aging::default();
        let begun = Instant::now();
        aging.served(level(3), [level(0)].into_iter(), begun);
        assert!(
            !aging.is_due(level(0), begun + Duration::from_secs(99)),
            "it is off"
        );
        aging.set(Duration::from_secs(5));
        assert!(!aging.is_due(level(0), begun + Duration::from_secs(4)));
        aging.served(
            level(3),
            [level(0)].into_iter(),
            begun + Duration::from_secs(4),
        );
        assert!(
            aging.is_due(level(0), begun + Duration::from_secs(5)),
            "the first time counts"
        );
        assert!(
            !aging.is_due(level(1), begun + Duration::from_secs(5)),
            "it had nothing"
        );
        aging.served(level(0), [].into_iter(), begun + Duration::from_secs(5));
        assert!(!aging.is_due(level(0), begun + Duration::from_secs(99)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_age_without_an_end_lets_nothing_through() {
        let level = |number| Queue::named("q").levels(4).level_numbered(number);
        let (mut aging, begun) = (Aging::default(), Instant::now());
        aging.set(Duration::MAX);
        aging.served(level(3), [level(0)].into_iter(), begun);
        assert!(!aging.is_due(level(0), begun + Duration::from_secs(86_400)));
    }
}
