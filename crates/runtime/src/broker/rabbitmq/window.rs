//! What a lane knows about its prefetch window: how much of it is taken, since when it has room, and how wide it should be.
//! It answers two questions: may the broker still have something for this level that is only on its way? And is the lane to
//! make it wider or narrower?

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::width::Width;

/// How long the broker may take to fill a place that was just freed. Measured at 1 to 2 ms on a loaded machine; while it
/// lasts, no lower level is looked at.
const REFILL: Duration = Duration::from_millis(20);

/// How long the lane may take to tell the broker another size; while it does, no lower level is looked at either.
const RESIZING: Duration = Duration::from_millis(500);

/// How long the broker may take to send to a consumer that is new, at the start or because it has another size. It writes down that
/// there is one more, perhaps that there is one less, and may pause for that between two messages: so the first that comes does not end it.
const NEW_CONSUMER: Duration = Duration::from_millis(100);

/// The prefetch window of one lane.
#[derive(Debug)]
pub(super) struct Window {
    // A std mutex: held for a few assignments, never across an await.
    state: Mutex<State>,
    /// Tells the lane that another size is wanted.
    other_wanted: Notify,
}

#[derive(Debug)]
struct State {
    /// As the broker was told.
    size: u16,
    /// As it should be told.
    width: Width,
    taken: usize,
    /// Until when something may be on its way: a full window got room, or a new one opened. None when it came, or did not.
    expected_until: Option<Instant>,
    /// Since when the lane has been telling the broker another size: nothing comes meanwhile.
    resizing: Option<Instant>,
}

impl State {
    fn is_full(&self) -> bool {
        self.taken >= self.size.into()
    }
}

impl Window {
    pub(super) fn new(size: u16) -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                size,
                width: Width::fixed(size, now),
                taken: 0,
                expected_until: Some(now + NEW_CONSUMER),
                resizing: None,
            }),
            other_wanted: Notify::new(),
        }
    }

    /// From now on its size follows from what is seen, up to so many.
    pub(super) fn may_grow_to(&self, many: u16) {
        self.state().width.may_grow_to(many);
    }

    /// Its size as the broker was told.
    pub(super) fn size(&self) -> u16 {
        self.state().size
    }

    /// Waits until another size is wanted.
    pub(super) async fn other_size(&self) -> u16 {
        loop {
            if let Some(wanted) = self.wanted() {
                return wanted;
            }
            self.other_wanted.notified().await;
        }
    }

    fn wanted(&self) -> Option<u16> {
        let mut state = self.state();
        let wanted = state.width.now();
        if wanted == state.size {
            return None;
        }
        state.resizing = Some(Instant::now());
        Some(wanted)
    }

    /// The broker was told: what it sends from now on follows this size.
    pub(super) fn resized(&self, size: u16) {
        self.state().size = size;
    }

    /// The lane listens again, whether or not it could tell the broker.
    pub(super) fn listens(&self) {
        let mut state = self.state();
        state.resizing = None;
        state.expected_until = Some(Instant::now() + NEW_CONSUMER);
    }

    /// Whether more are held than suit long tasks.
    pub(super) fn is_wide(&self) -> bool {
        self.state().width.is_wide()
    }

    /// Something has waited here for a slot, for longer than short tasks let it.
    pub(super) fn waited(&self) {
        self.state().width.waited(Instant::now());
        self.other_wanted.notify_one();
    }

    /// Something came.
    pub(super) fn take(&self) {
        let mut state = self.state();
        state.taken += 1;
        // One of several freed places may be filled and the others not yet.
        let (full, now) = (state.is_full(), Instant::now());
        let expecting = state.expected_until.filter(|until| !full && *until > now);
        state.expected_until = expecting.map(|until| until.max(now + REFILL));
    }

    /// Something is about to be settled. A window that was full may have kept the broker from sending more.
    pub(super) fn expect_room(&self) {
        let mut state = self.state();
        if state.is_full() {
            state.expected_until = Some(Instant::now() + REFILL);
        }
    }

    /// So many were settled: the broker has been told.
    pub(super) fn give(&self, count: usize) {
        let (mut state, now) = (self.state(), Instant::now());
        if state.is_full() {
            state.expected_until = Some(now + REFILL);
        }
        state.taken = state.taken.saturating_sub(count);
        state.width.settled(count, now);
        if state.width.now() != state.size {
            self.other_wanted.notify_one();
        }
    }

    /// A new channel: nothing is taken, and the broker is about to send.
    pub(super) fn reset(&self) {
        let mut state = self.state();
        state.taken = 0;
        state.expected_until = Some(Instant::now() + NEW_CONSUMER);
    }

    /// Until when more may be on its way; none when the broker had room and sent nothing.
    pub(super) fn expects_until(&self) -> Option<Instant> {
        let (state, now) = (self.state(), Instant::now());
        if state.resizing.is_some_and(|at| at + RESIZING > now) {
            return Some(now + REFILL);
        }
        state.expected_until.filter(|until| *until > now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn more_is_expected_just_after_opening_and_when_a_full_window_got_room() {
        let window = Window::new(2);
        assert!(window.expects_until().is_some(), "it has just opened");
        tokio::time::advance(NEW_CONSUMER).await;
        window.take();
        window.give(1);
        assert!(window.expects_until().is_none(), "it never was full");

        window.take();
        window.take();
        window.give(2);
        assert!(window.expects_until().is_some(), "two places are free");
        window.take();
        assert!(window.expects_until().is_some(), "one of two was filled");
        window.take();
        assert!(window.expects_until().is_none(), "it is full again");
        window.give(1);
        tokio::time::advance(REFILL).await;
        assert!(window.expects_until().is_none(), "nothing came in time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_consumer_of_another_size_may_pause_after_the_first_that_it_brings() {
        let window = Window::new(2);
        window.resized(50);
        window.listens();
        window.take();
        tokio::time::advance(NEW_CONSUMER - Duration::from_millis(1)).await;
        assert!(window.expects_until().is_some(), "more may be on its way");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(window.expects_until().is_none(), "nothing came in time");
    }
}
