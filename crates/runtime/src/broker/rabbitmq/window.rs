//! What a lane knows about its prefetch window: how much of it is taken, and since when it has room.
//! It answers one question: may the broker still have something for this level that is only on its way?

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long the broker may take to fill a place that was just freed. Measured at 1 to 2 ms on a loaded machine; while it
/// lasts, no lower level is looked at.
const REFILL: Duration = Duration::from_millis(20);

/// The prefetch window of one lane.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    // A std mutex: held for a few assignments, never across an await.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    taken: usize,
    /// When a full window got room, or a new one opened; none when something came since.
    room_since: Option<Instant>,
}

impl State {
    fn opened() -> Self {
        Self {
            taken: 0,
            room_since: Some(Instant::now()),
        }
    }
}

impl Window {
    pub(super) fn new(size: u16) -> Self {
        Self {
            size: size.into(),
            state: Mutex::new(State::opened()),
        }
    }

    /// Something came.
    pub(super) fn take(&self) {
        let mut state = self.state();
        state.taken += 1;
        // One of several freed places may be filled and the others not yet.
        let full = state.taken >= self.size;
        let expecting = !full && state.room_since.is_some_and(|at| at.elapsed() < REFILL);
        state.room_since = expecting.then(Instant::now);
    }

    /// Something is about to be settled. A window that was full may have kept the broker from sending more.
    pub(super) fn expect_room(&self) {
        let mut state = self.state();
        if state.taken >= self.size {
            state.room_since = Some(Instant::now());
        }
    }

    /// So many were settled: the broker has been told.
    pub(super) fn give(&self, count: usize) {
        let mut state = self.state();
        if state.taken >= self.size {
            state.room_since = Some(Instant::now());
        }
        state.taken = state.taken.saturating_sub(count);
    }

    /// A new channel: nothing is taken, and the broker is about to send.
    pub(super) fn reset(&self) {
        *self.state() = State::opened();
    }

    /// Until when more may be on its way; none when the broker had room and sent nothing.
    pub(super) fn expects_until(&self) -> Option<Instant> {
        let until = self.state().room_since? + REFILL;
        (until > Instant::now()).then_some(until)
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
        tokio::time::advance(REFILL).await;
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
}
