//! Taking messages: one lane per level, the highest level that has something first. How they are settled is not its business.
//!
//! What cannot be started soon goes back, so that a worker with a free slot gets it: see `hand_back_what_waits`.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::connection::Link;
use super::lane::{Lane, Session};
use super::receipt::Incoming;
use super::topology::{self, Names};
use super::width::PATIENCE;
use super::window::Window;
use crate::broker::aging::Aging;
use crate::broker::{Consumer, Delivery, Liveness, Receipt};
use crate::queue::{Level, Queue};

/// The most that handing back at a stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What is buffered is bounded by the prefetch, which may change; the buffer takes the most that a prefetch can be.
const MOST_HELD: usize = u16::MAX as usize;

/// Consumes every level of one queue.
pub(super) struct RabbitConsumer {
    // Highest level first.
    levels: Vec<Buffered>,
    stop: CancellationToken,
    liveness: Liveness,
    aging: Aging,
    // Wakes a poll that waits for a moment: for a higher level's refill, or for what has waited too long.
    timer: Pin<Box<Sleep>>,
    // Each task owns a channel; dropped with the consumer, they are aborted and the channels close.
    _lanes: JoinSet<()>,
}

struct Buffered {
    level: Level,
    deliveries: mpsc::Receiver<Incoming>,
    window: Arc<Window>,
    /// What has come and waits for a slot; the first has waited longest.
    waiting: VecDeque<Waiting>,
    /// No later than when the first of them has waited long enough.
    look_at: Option<Instant>,
}

struct Waiting {
    since: Instant,
    until: Instant,
    incoming: Incoming,
}

impl RabbitConsumer {
    /// Opens a lane per level. The queue has been declared.
    pub(super) async fn open(
        link: &Link,
        names: &Names,
        queue: Queue,
        prefetch: u16,
    ) -> lapin::Result<Self> {
        // Zero means "without limit" to the broker.
        let prefetch = prefetch.max(1);
        let (stop, liveness) = (CancellationToken::new(), Liveness::of(queue));
        let topology = Arc::new(topology::queue(names, queue));
        let mut opened: Vec<(Level, Lane, Session)> = Vec::new();
        for level in queue.every_level() {
            let (queue, topology) = (names.work(queue, level), Arc::clone(&topology));
            let lane = Lane {
                link: link.clone(),
                queue,
                topology,
                stop: stop.clone(),
                window: Arc::new(Window::new(prefetch)),
                beat: liveness.beat(level),
            };
            let session = lane.open().await?;
            opened.push((level, lane, session));
        }
        let (mut levels, mut lanes) = (Vec::new(), JoinSet::new());
        for (level, lane, session) in opened {
            let (sender, deliveries) = mpsc::channel(MOST_HELD);
            let window = Arc::clone(&lane.window);
            lanes.spawn(lane.run(session, sender));
            levels.push(Buffered::new(level, deliveries, window));
        }
        Ok(Self {
            levels,
            stop,
            liveness,
            aging: Aging::default(),
            timer: Box::pin(sleep_until(Instant::now())),
            _lanes: lanes,
        })
    }

    /// The highest level's next delivery. A lower level is not looked at while the one above may only be waiting for the
    /// broker: its window was full a moment ago.
    fn poll_highest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if let Some(aged) = self.take_aged(cx) {
            return Poll::Ready(Some(aged));
        }
        let polled = self.poll_strictly(cx);
        if let Poll::Ready(Some(delivery)) = &polled {
            self.note_served(delivery.level, cx);
        }
        polled
    }

    /// The delivery of a level that was passed over for too long, lowest first.
    fn take_aged(&mut self, cx: &mut Context<'_>) -> Option<Delivery> {
        let now = Instant::now();
        let aging = &self.aging;
        let due = |level: &&mut Buffered| aging.is_due(level.level, now);
        let aged = self.levels.iter_mut().rev().filter(due);
        let delivery = aged.filter_map(|level| level.take_if_here(cx)).next()?;
        self.note_served(delivery.level, cx);
        Some(delivery)
    }

    fn note_served(&mut self, level: Level, cx: &mut Context<'_>) {
        if self.aging.is_off() {
            return;
        }
        let lower = self.levels.iter_mut().filter(|lower| lower.level < level);
        let waiting = lower.filter_map(|lower| lower.has_some(cx).then_some(lower.level));
        self.aging.served(level, waiting, Instant::now());
    }

    fn poll_strictly(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut open = false;
        for buffered in &mut self.levels {
            match buffered.poll(cx) {
                Poll::Ready(Some(delivery)) => return Poll::Ready(Some(delivery)),
                Poll::Ready(None) => continue,
                Poll::Pending => open = true,
            }
            if let Some(until) = buffered.window.expects_until() {
                self.timer.as_mut().reset(until);
                if self.timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        }
        if open {
            Poll::Pending
        } else {
            Poll::Ready(None)
        }
    }

    /// Takes in what comes, until the oldest of it has waited long enough.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.levels.iter_mut().filter_map(|level| level.due(cx));
        let Some(due) = due.min() else {
            return Poll::Pending;
        };
        self.timer.as_mut().reset(due);
        self.timer.as_mut().poll(cx)
    }
}

impl Buffered {
    fn new(level: Level, deliveries: mpsc::Receiver<Incoming>, window: Arc<Window>) -> Self {
        Self {
            level,
            deliveries,
            window,
            waiting: VecDeque::new(),
            look_at: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        loop {
            let incoming = match self.waiting.pop_front() {
                Some(waiting) => Some(waiting.incoming),
                None => ready!(self.deliveries.poll_recv(cx)),
            };
            match incoming {
                // The broker has taken it back already and delivers it again.
                Some(incoming) if !incoming.usable() => {}
                Some(incoming) => return Poll::Ready(Some(incoming.delivery(self.level))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// What is here already, without waiting for more.
    fn take_if_here(&mut self, cx: &mut Context<'_>) -> Option<Delivery> {
        match self.poll(cx) {
            Poll::Ready(delivery) => delivery,
            Poll::Pending => None,
        }
    }

    /// Whether something is here.
    fn has_some(&mut self, cx: &mut Context<'_>) -> bool {
        self.take_in(cx);
        !self.waiting.is_empty()
    }

    fn take_in(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(incoming)) = self.deliveries.poll_recv(cx) {
            let since = Instant::now();
            let until = since + incoming.hold();
            self.look_at = Some(self.look_at.map_or(until, |at| at.min(until)));
            self.waiting.push_back(Waiting {
                since,
                until,
                incoming,
            });
        }
    }

    /// When to see whether one of those that wait has waited long enough; registers for what comes next.
    fn due(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        self.take_in(cx);
        let first = self.waiting.front()?;
        let impatient = self.window.is_wide().then_some(first.since + PATIENCE);
        impatient.into_iter().chain(self.look_at).min()
    }

    /// Many are held only while none of them waits.
    fn hold_fewer_if_one_waits(&mut self) {
        let first = self.waiting.front();
        if first.is_some_and(|first| first.since.elapsed() >= PATIENCE) {
            self.window.waited();
        }
    }

    /// Hands back what has waited long enough. If nobody else can start it either, it comes again: a few times a second, which
    /// costs next to nothing.
    fn hand_back_overdue(&mut self) {
        let now = Instant::now();
        let waiting = std::mem::take(&mut self.waiting);
        let (overdue, early) = waiting.into_iter().partition(|one| one.until <= now);
        self.waiting = early;
        self.look_at = self.waiting.iter().map(|one| one.until).min();
        let overdue: VecDeque<Waiting> = overdue;
        for one in overdue {
            // By dropping the receipt: whoever waits for this may stop waiting at any time, and then it still goes back.
            drop(one.incoming.receipt());
        }
    }

    async fn hand_all_back(&mut self) {
        while let Some(one) = self.waiting.pop_front() {
            let _ = Box::new(one.incoming.receipt()).hand_back().await;
        }
        while let Some(incoming) = self.deliveries.recv().await {
            // Lost means that it is on its way back anyway.
            let _ = Box::new(incoming.receipt()).hand_back().await;
        }
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        if self.stop.is_cancelled() {
            return None;
        }
        poll_fn(|cx| self.poll_highest(cx)).await
    }

    async fn hand_back_what_waits(&mut self) {
        loop {
            poll_fn(|cx| self.poll_overdue(cx)).await;
            for level in &mut self.levels {
                level.hold_fewer_if_one_waits();
                level.hand_back_overdue();
            }
        }
    }

    fn take_above(&mut self, level: Level) -> Option<Delivery> {
        let mut cx = Context::from_waker(Waker::noop());
        let above = self
            .levels
            .iter_mut()
            .take_while(|higher| higher.level > level);
        above
            .filter_map(|higher| higher.take_if_here(&mut cx))
            .next()
    }

    fn may_hold(&mut self, many: u16) {
        for level in &self.levels {
            level.window.may_grow_to(many);
        }
    }

    fn age_after(&mut self, after: Duration) {
        self.aging.set(after);
    }

    fn liveness(&self) -> Liveness {
        self.liveness.clone()
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        let all =
            futures_util::future::join_all(self.levels.iter_mut().map(Buffered::hand_all_back));
        if timeout(STOP_TIMEOUT, all).await.is_err() {
            warn!("not everything could be handed back; it goes back when the channels close");
        }
    }
}
