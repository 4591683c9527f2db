//! Taking messages: one lane per level, the highest level that has something first. A receipt settles on the channel that
//! its delivery came on, or reports it lost; nothing is ever settled on another one.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use lapin::Acker;
use lapin::message::Delivery as Arrived;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::connection::Link;
use super::headers;
use super::lane::{Lane, Session};
use super::topology::{self, Names};
use crate::broker::{Consumer, Delivery, Lost, Receipt};
use crate::queue::{Level, Queue};

/// The most that handing back at a stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Consumes every level of one queue.
pub(super) struct RabbitConsumer {
    // Highest level first.
    levels: Vec<Buffered>,
    stop: CancellationToken,
    // Each task owns a channel; dropped with the consumer, they are aborted and the channels close.
    _lanes: JoinSet<()>,
}

struct Buffered {
    level: Level,
    deliveries: mpsc::Receiver<Arrived>,
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
        let stop = CancellationToken::new();
        let topology = Arc::new(topology::queue(names, queue));
        let mut opened: Vec<(Level, Lane, Session)> = Vec::new();
        for level in queue.every_level() {
            let (queue, topology) = (names.work(queue, level), Arc::clone(&topology));
            let lane = Lane {
                link: link.clone(),
                queue,
                prefetch,
                topology,
                stop: stop.clone(),
            };
            let session = lane.open().await?;
            opened.push((level, lane, session));
        }
        let (mut levels, mut lanes) = (Vec::new(), JoinSet::new());
        for (level, lane, session) in opened {
            let (sender, deliveries) = mpsc::channel(prefetch.into());
            lanes.spawn(lane.run(session, sender));
            levels.push(Buffered { level, deliveries });
        }
        Ok(Self {
            levels,
            stop,
            _lanes: lanes,
        })
    }

    fn poll_highest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut open = false;
        for buffered in &mut self.levels {
            match buffered.poll(cx) {
                Poll::Ready(Some(delivery)) => return Poll::Ready(Some(delivery)),
                Poll::Ready(None) => {}
                Poll::Pending => open = true,
            }
        }
        if open {
            Poll::Pending
        } else {
            Poll::Ready(None)
        }
    }
}

impl Buffered {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        loop {
            match ready!(self.deliveries.poll_recv(cx)) {
                // The broker has taken it back already and delivers it again.
                Some(arrived) if !arrived.acker.usable() => {}
                Some(arrived) => return Poll::Ready(Some(delivery(arrived, self.level))),
                None => return Poll::Ready(None),
            }
        }
    }

    async fn hand_all_back(&mut self) {
        while let Some(arrived) = self.deliveries.recv().await {
            // Lost means that it is on its way back anyway.
            let _ = hand_back(&arrived.acker).await;
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

    async fn stop(&mut self) {
        self.stop.cancel();
        let all =
            futures_util::future::join_all(self.levels.iter_mut().map(Buffered::hand_all_back));
        if timeout(STOP_TIMEOUT, all).await.is_err() {
            warn!("not everything could be handed back; it goes back when the channels close");
        }
    }
}

fn delivery(arrived: Arrived, level: Level) -> Delivery {
    let headers = arrived
        .properties
        .headers()
        .as_ref()
        .map(headers::decode)
        .unwrap_or_default();
    let receipt = RabbitReceipt {
        acker: arrived.acker,
    };
    Delivery::new(
        arrived.data,
        headers,
        level,
        arrived.redelivered,
        Box::new(receipt),
    )
}

/// Dropped unsettled, it does nothing: the message goes back when the channel closes.
struct RabbitReceipt {
    acker: Acker,
}

#[async_trait]
impl Receipt for RabbitReceipt {
    async fn ack(self: Box<Self>) -> Result<(), Lost> {
        settled(&self.acker.ack(BasicAckOptions::default()).await)
    }

    async fn hand_back(self: Box<Self>) -> Result<(), Lost> {
        hand_back(&self.acker).await
    }
}

async fn hand_back(acker: &Acker) -> Result<(), Lost> {
    let options = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    settled(&acker.nack(options).await)
}

/// `Ok(false)` is how the library says that the channel is gone.
fn settled(answer: &lapin::Result<bool>) -> Result<(), Lost> {
    match answer {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Lost),
    }
}
