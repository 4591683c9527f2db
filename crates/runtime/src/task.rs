//! What a task is: the args struct itself, with a wire name, a queue, a policy and an output.
//! Declarations only: who runs it is a [`Handler`](crate::handler::Handler), in another crate if need be.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::broker::MAX_DELAY;
use crate::duration::{hours, minutes, seconds};
use crate::limit::{Limit, MAX_LIMITS};
use crate::queue::{Priority, Queue};

/// A kind of work. The args struct *is* the task.
///
/// ```
/// use sapari_runtime::prelude::*;
///
/// /// Says hello.
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Greet { name: String }
///
/// impl Task for Greet {
///     const NAME: &'static str = "greet";
///     const QUEUE: Queue = Queue::named("hello").levels(4);
///     const POLICY: Policy = Policy::DEFAULT.attempts(5).timeout(seconds(10));
///     type Output = String;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    note = "implement `Task` for the args struct: its wire NAME, its QUEUE and its Output"
)]
pub trait Task: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The wire name, and with `taskiq.` before it the span's name. Stable: moving or renaming the struct changes nothing in flight.
    const NAME: &'static str;
    /// The queue on which it waits.
    const QUEUE: Queue;
    /// How it is retried, timed out and prioritised.
    const POLICY: Policy = Policy::DEFAULT;
    /// What a successful run returns.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// The ids under which an operator looks this work up. They, and no other part of the args, may appear on spans.
    fn correlation(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What limits that are counted `per_key` count by: a customer, a host. It stands in the ledger as it is.
    fn limit_key(&self) -> Option<String> {
        None
    }

    /// What makes two kicks the same piece of work for `unique_for`, `throttle` and `debounce`; none: all of the args.
    fn unique_key(&self) -> Option<String> {
        None
    }
}

/// The longest that a result or a unique key is kept, ten years: what is meant for ever must not fill the store for ever.
pub const LONGEST_KEPT: Duration = hours(10 * 365 * 24);

/// How a task is run: attempts, timeout, priority, backoff, and how long its result is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    pub(crate) attempts: u32,
    pub(crate) timeout: Duration,
    pub(crate) priority: Priority,
    pub(crate) backoff: Backoff,
    pub(crate) keep_result: Duration,
    pub(crate) abort_after: Duration,
    pub(crate) expires: Option<Duration>,
    pub(crate) cost: u16,
    pub(crate) worker_deaths: u32,
    pub(crate) limits: [Option<Limit>; MAX_LIMITS],
}

impl Policy {
    /// Three attempts of at most five minutes, normal priority, exponential backoff, results kept for a day; eight seconds to
    /// tidy up after a timeout, one slot, no limits, and dead after it has killed three workers.
    pub const DEFAULT: Self = Self {
        attempts: 3,
        timeout: minutes(5),
        priority: Priority::Normal,
        backoff: Backoff::DEFAULT,
        keep_result: hours(24),
        abort_after: seconds(8),
        expires: None,
        cost: 1,
        worker_deaths: 3,
        limits: [None; MAX_LIMITS],
    };

    /// At most `attempts` runs, the first included; at least one.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The longest that one attempt may take before its token trips: the soft deadline. See [`abort_after`](Self::abort_after).
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The priority of a kick that names none.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The priority of a kick that names none.
    #[must_use]
    pub const fn default_priority(&self) -> Priority {
        self.priority
    }

    /// How the pause between attempts grows.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long the result can be read after the task has ended: [`LONGEST_KEPT`] at most.
    #[must_use]
    pub const fn keep_result(mut self, ttl: Duration) -> Self {
        let too_long = ttl.as_secs() >= LONGEST_KEPT.as_secs();
        self.keep_result = if too_long { LONGEST_KEPT } else { ttl };
        self
    }

    /// Keeps no result: nobody can wait for it, and a message costs no write to the result store. A worker that dies in its first
    /// run of a message is then not counted among the [`worker_deaths`](Self::worker_deaths), if that run was short.
    #[must_use]
    pub const fn keep_no_result(self) -> Self {
        self.keep_result(Duration::ZERO)
    }

    /// How long an attempt may tidy up once it was asked to end, by its timeout, a cancel or a drain; then it is dropped: the
    /// hard deadline. At least longer than a child process gets between TERM and KILL.
    #[must_use]
    pub const fn abort_after(mut self, tidy_up: Duration) -> Self {
        self.abort_after = tidy_up;
        self
    }

    /// How long after its kick a message may still run, all attempts and waits included; then it is dead as `expired`.
    #[must_use]
    pub const fn expires(mut self, after: Duration) -> Self {
        self.expires = Some(after);
        self
    }

    /// How many slots one attempt takes; at least one. More than a worker has counts as all of them.
    #[must_use]
    pub const fn slots(mut self, cost: u16) -> Self {
        self.cost = if cost == 0 { 1 } else { cost };
        self
    }

    /// How many workers a message may kill before it is dead as `poison`; at least one. Handing back never counts. The last start
    /// before that is made alone in its process, because what runs beside a crasher dies with it.
    #[must_use]
    pub const fn worker_deaths(mut self, deaths: u32) -> Self {
        self.worker_deaths = if deaths == 0 { 1 } else { deaths };
        self
    }

    /// One more limit.
    ///
    /// # Panics
    /// When there are more than [`MAX_LIMITS`]; in a constant, that is a compile error.
    #[must_use]
    pub const fn limit(mut self, limit: Limit) -> Self {
        let mut place = 0;
        while self.limits[place].is_some() {
            place += 1;
            assert!(place < MAX_LIMITS, "a task has at most 4 limits");
        }
        self.limits[place] = Some(limit);
        self
    }

    pub(crate) fn keeps_result(&self) -> bool {
        !self.keep_result.is_zero()
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.limits[0].is_some()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The pause before attempt `n + 1`: full jitter under a doubling, capped ceiling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
}

impl Backoff {
    /// Up to two seconds after the first failure, doubling, never over ten minutes.
    pub const DEFAULT: Self = Self {
        first: seconds(2),
        cap: minutes(10),
    };

    /// A ceiling that starts at `first` and doubles up to `cap`.
    #[must_use]
    pub const fn exponential(first: Duration, cap: Duration) -> Self {
        Self { first, cap }
    }

    /// The longest that the first pause can be, and the longest that any can be.
    #[must_use]
    pub const fn bounds(&self) -> (Duration, Duration) {
        (self.first, self.cap)
    }

    /// The longest possible pause after the given failed attempt (1 is the first).
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.cap)
    }

    /// The pause after the given failed attempt; `dice` is a random number in 0..=1 (full jitter).
    #[must_use]
    pub fn pause(&self, attempt: u32, dice: f64) -> Duration {
        // A longer one would be refused by the broker, and the message dead of its pause.
        let ceiling = self.ceiling(attempt).min(MAX_DELAY);
        ceiling.mul_f64(dice.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_and_is_capped() {
        let backoff = Backoff::exponential(seconds(2), seconds(30));
        let ceilings: Vec<u64> = (1..=6).map(|n| backoff.ceiling(n).as_secs()).collect();
        assert_eq!(ceilings, [2, 4, 8, 16, 30, 30]);
        assert_eq!(backoff.ceiling(u32::MAX), seconds(30));
    }

    #[test]
    fn jitter_stays_between_nothing_and_the_ceiling() {
        let backoff = Backoff::DEFAULT;
        assert_eq!(backoff.pause(3, 0.0), Duration::ZERO);
        assert_eq!(backoff.pause(3, 0.5), seconds(4));
        assert_eq!(backoff.pause(3, 7.0), seconds(8));
    }

    #[test]
    fn a_task_is_tried_at_least_once() {
        assert_eq!(Policy::DEFAULT.attempts(0).attempts, 1);
    }

    #[test]
    fn what_is_kept_for_ever_is_kept_for_ten_years() {
        let kept = |time| Policy::DEFAULT.keep_result(time).keep_result;
        assert_eq!(kept(Duration::MAX), LONGEST_KEPT);
        assert_eq!(kept(LONGEST_KEPT + Duration::from_nanos(1)), LONGEST_KEPT);
        assert_eq!(kept(hours(1)), hours(1));
    }

    #[test]
    fn no_pause_is_longer_than_a_broker_can_keep() {
        let backoff = Backoff::exponential(Duration::MAX, Duration::MAX);
        assert_eq!(backoff.pause(1, 1.0), MAX_DELAY);
    }
}
