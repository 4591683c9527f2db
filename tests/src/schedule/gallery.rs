//! What arrived in the broker's queue: which tick of which entry, how often, and how late.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use sapari_runtime::broker::Broker;
use sapari_runtime::broker::conformance::ack;
use sapari_runtime::queue::Queue;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How many messages are taken ahead.
const AHEAD: u16 = 1000;

/// When a tick's message arrived: all of its copies, in milliseconds since 1970.
pub(super) type Shots = BTreeMap<(String, i64), Vec<i64>>;

/// A consumer that writes down what it gets.
pub(super) struct Gallery {
    shots: Arc<Mutex<Shots>>,
    /// The ids of those that no clock has fired.
    by_hand: Arc<Mutex<Vec<String>>>,
    count: watch::Receiver<usize>,
    reader: JoinHandle<()>,
}

impl Gallery {
    pub(super) async fn open(broker: &Arc<dyn Broker>, queue: Queue) -> Self {
        let mut consumer = broker.consume(queue, AHEAD).await.expect("a consumer");
        let shots = Arc::new(Mutex::new(Shots::new()));
        let (sender, count) = watch::channel(0);
        let by_hand: Arc<Mutex<Vec<String>>> = Arc::default();
        let (written, noted) = (Arc::clone(&shots), Arc::clone(&by_hand));
        let reader = tokio::spawn(async move {
            while let Some(delivery) = consumer.next().await {
                let now = now();
                let id = delivery
                    .headers
                    .get("task_id")
                    .expect("a header")
                    .into_owned();
                ack(delivery).await.expect("its channel stands");
                match entry_and_tick(&id) {
                    Some(shot) => {
                        let mut shots = written.lock().unwrap_or_else(PoisonError::into_inner);
                        shots.entry(shot).or_default().push(now);
                    }
                    None => noted
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(id),
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Self {
            shots,
            by_hand,
            count,
            reader,
        }
    }

    /// What arrived so far.
    pub(super) fn shots(&self) -> Shots {
        self.lock().clone()
    }

    /// The ids of those that no clock has fired.
    pub(super) fn by_hand(&self) -> Vec<String> {
        let by_hand = self.by_hand.lock().unwrap_or_else(PoisonError::into_inner);
        by_hand.clone()
    }

    /// Waits until it is so, looking whenever something arrives.
    pub(super) async fn until(&self, so: impl Fn(&Shots) -> bool) {
        let mut count = self.count.clone();
        // Looked at in place: a copy for each arrival would take the time that is measured.
        while !so(&self.lock()) {
            count.changed().await.expect("the consumer goes on");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shots> {
        self.shots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Gallery {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// `cron:<entry>:<tick>`; nothing for `cron:<entry>:now-<unique>`.
fn entry_and_tick(id: &str) -> Option<(String, i64)> {
    let rest = id.strip_prefix("cron:").expect("of an entry");
    let (entry, tick) = rest.rsplit_once(':').expect("an entry and a tick");
    match tick.starts_with("now-") {
        true => None,
        false => Some((entry.to_owned(), tick.parse().expect("seconds"))),
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    i64::try_from(now.as_millis()).expect("before the end of time")
}

/// The value below which so many of a thousand lie.
pub(super) fn per_mille(sorted: &[i64], part: usize) -> i64 {
    let place = (sorted.len() * part / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(0)
}
