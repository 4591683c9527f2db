//! Settling on one channel: receipts put into its ack window what they want said, and one task says it to the broker.
//! It never speaks on another channel: when its own is gone, what was not said is lost, and the broker delivers again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::ack_window::{AckWindow, Due, Settling};
use super::window::Window;
use crate::broker::Lost;

/// The most that writing may take once the consumer has stopped. A channel that dies at the wrong moment keeps what it was
/// given for ever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is to be said on one channel.
pub(super) struct Acks {
    // A std mutex: held for a few assignments, never across an await.
    state: Mutex<State>,
    /// Tells the task that sends that something is due earlier than it knows.
    wake: Notify,
    /// Tells those who wait that something was written, or that nothing will be.
    told: Notify,
    window: Arc<Window>,
    stop: CancellationToken,
}

struct State {
    places: AckWindow,
    sending: bool,
    /// Nobody consumes any more: what is finished is still said, and then the channel may close.
    ending: bool,
    /// The channel is gone, or nobody sends any more.
    gone: bool,
}

impl Acks {
    /// For a fresh channel with this prefetch. Once `stop` trips, nothing lingers, and settling waits for the write.
    pub(super) fn new(prefetch: u16, window: Arc<Window>, stop: CancellationToken) -> Self {
        let places = AckWindow::new(prefetch);
        Self {
            state: Mutex::new(State {
                places,
                sending: false,
                ending: false,
                gone: false,
            }),
            wake: Notify::new(),
            told: Notify::new(),
            window,
            stop,
        }
    }

    /// The channel has another prefetch now.
    pub(super) fn resize(&self, prefetch: u16) {
        self.state().places.resize(prefetch);
        self.wake.notify_one();
    }

    /// Something came on the channel. To be called before anybody can settle it.
    pub(super) fn delivered(&self, tag: u64) {
        self.window.take();
        self.state().places.delivered(tag);
    }

    /// It is finished with: `Ok` when the living channel's window has it; after a stop, when it was written.
    pub(super) async fn ack(&self, tag: u64) -> Result<(), Lost> {
        self.settle(|places| places.finished(tag, Instant::now()))?;
        self.written_if_stopping().await
    }

    /// It goes back to its queue; `Ok` as for [`ack`](Self::ack).
    pub(super) async fn hand_back(&self, tag: u64) -> Result<(), Lost> {
        self.hand_back_soon(tag)?;
        self.written_if_stopping().await
    }

    /// It goes back to its queue, without waiting even after a stop.
    pub(super) fn hand_back_soon(&self, tag: u64) -> Result<(), Lost> {
        self.settle(|places| places.returned(tag))
    }

    fn settle(&self, change: impl FnOnce(&mut AckWindow)) -> Result<(), Lost> {
        let mut state = self.state();
        if state.gone || state.ending {
            return Err(Lost);
        }
        let before = state.places.due();
        if self.stop.is_cancelled() {
            state.places.hurry();
        }
        change(&mut state.places);
        let due = state.places.due();
        drop(state);
        if due.by(Instant::now()) {
            self.window.expect_room();
        }
        if due != before {
            self.wake.notify_one();
        }
        Ok(())
    }

    async fn written_if_stopping(&self) -> Result<(), Lost> {
        if self.stop.is_cancelled() {
            return self.written().await;
        }
        Ok(())
    }

    /// Says all that is to be said, without lingering.
    pub(super) async fn flush(&self) -> Result<(), Lost> {
        self.state().places.hurry();
        self.wake.notify_one();
        self.written().await
    }

    async fn written(&self) -> Result<(), Lost> {
        let all = async {
            loop {
                let mut told = std::pin::pin!(self.told.notified());
                told.as_mut().enable();
                {
                    let state = self.state();
                    if state.gone {
                        return Err(Lost);
                    }
                    if state.places.is_empty() && !state.sending {
                        return Ok(());
                    }
                }
                told.await;
            }
        };
        timeout(WRITE_TIMEOUT, all).await.unwrap_or(Err(Lost))
    }

    /// The channel is gone: what was not said never will be.
    pub(super) fn close(&self) {
        self.state().gone = true;
        self.told.notify_waiters();
    }

    /// Nobody consumes any more. What is finished by now is still said.
    fn end(&self) {
        let mut state = self.state();
        state.ending = true;
        state.places.hurry();
        drop(state);
        self.wake.notify_one();
    }

    /// Says what is due, until the channel is gone or nobody consumes any more. While one write is under way, the next
    /// collects.
    pub(super) async fn send_on(self: Arc<Self>, channel: Channel) {
        let _end = CloseAtEnd(&self);
        while self.until_due().await {
            let settling = self.take();
            if send(&channel, &settling).await.is_err() {
                return;
            }
            self.sent(settling.count);
        }
    }

    /// False when nothing will ever be due again.
    async fn until_due(&self) -> bool {
        loop {
            let (due, ending) = self.due();
            match due {
                Due::Now => return true,
                Due::Never if ending => return false,
                Due::Never => self.wake.notified().await,
                Due::At(at) => tokio::select! {
                    () = sleep_until(at) => return true,
                    () = self.wake.notified() => {}
                },
            }
        }
    }

    fn due(&self) -> (Due, bool) {
        let state = self.state();
        (state.places.due(), state.ending)
    }

    fn take(&self) -> Settling {
        let mut state = self.state();
        state.sending = true;
        state.places.take(Instant::now())
    }

    fn sent(&self, count: usize) {
        let mut state = self.state();
        state.sending = false;
        // Under the lock: a window that was opened again for a new channel has no room by what an old one settled.
        if !state.gone {
            self.window.give(count);
        }
        drop(state);
        self.told.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped by whoever consumes on the channel.
pub(super) struct EndAcks(pub(super) Arc<Acks>);

impl Drop for EndAcks {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// However the sending ends, dropped included: nobody is left waiting for it.
struct CloseAtEnd<'a>(&'a Acks);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Straight on the channel: the acker of a delivery would start a task for each.
async fn send(channel: &Channel, settling: &Settling) -> lapin::Result<()> {
    let requeue = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    let tags = settling.hand_back.iter();
    try_join_all(tags.map(|tag| channel.basic_nack(*tag, requeue))).await?;
    if let Some(tag) = settling.up_to {
        let multiple = BasicAckOptions { multiple: true };
        channel.basic_ack(tag, multiple).await?;
    }
    let tags = settling.singly.iter();
    let single = BasicAckOptions::default();
    try_join_all(tags.map(|tag| channel.basic_ack(*tag, single))).await?;
    Ok(())
}
