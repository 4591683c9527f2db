//! What arrived in the broker's queue: which tick of which entry, how often, and how late.

use std::borrow::Cow;
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

/// What arrived.
#[derive(Default)]
struct Book {
    shots: Shots,
    /// Of each message: the tick, and how late it was fired, as it says itself, in milliseconds.
    lags: Vec<(i64, i64)>,
    /// The ids of those that no clock has fired.
    by_hand: Vec<String>,
}

impl Book {
    fn write_down(&mut self, at: i64, id: String, lag: Option<i64>) {
        let Some((entry, tick)) = entry_and_tick(&id) else {
            return self.by_hand.push(id);
        };
        self.lags.extend(lag.map(|lag| (tick, lag)));
        self.shots.entry((entry, tick)).or_default().push(at);
    }
}

/// A consumer that writes down what it gets.
pub(super) struct Gallery {
    book: Arc<Mutex<Book>>,
    count: watch::Receiver<usize>,
    reader: JoinHandle<()>,
}

impl Gallery {
    pub(super) async fn open(broker: &Arc<dyn Broker>, queue: Queue) -> Self {
        let mut consumer = broker.consume(queue, AHEAD).await.expect("a consumer");
        let book = Arc::new(Mutex::new(Book::default()));
        let (sender, count) = watch::channel(0);
        let written = Arc::clone(&book);
        let reader = tokio::spawn(async move {
            while let Some(delivery) = consumer.next().await {
                let now = now();
                let header = |name: &str| delivery.headers.get(name).map(Cow::into_owned);
                let id = header("task_id").expect("a header");
                let lag = header("schedule_lag_ms").and_then(|text| text.parse().ok());
                ack(delivery).await.expect("its channel stands");
                let mut book = written.lock().unwrap_or_else(PoisonError::into_inner);
                book.write_down(now, id, lag);
                drop(book);
                sender.send_modify(|count| *count += 1);
            }
        });
        Self {
            book,
            count,
            reader,
        }
    }

    /// What arrived so far.
    pub(super) fn shots(&self) -> Shots {
        self.lock().shots.clone()
    }

    /// The ids of those that no clock has fired.
    pub(super) fn by_hand(&self) -> Vec<String> {
        self.lock().by_hand.clone()
    }

    /// Waits until it is so of what arrived. The question must not ask the gallery itself: it is looked at in place, because a copy for
    /// each arrival would take the time that is measured.
    pub(super) async fn until(&self, so: impl Fn(&Shots) -> bool) {
        self.until_book(|book| so(&book.shots)).await;
    }

    /// The same of the ids of those that no clock has fired.
    pub(super) async fn until_by_hand(&self, so: impl Fn(&[String]) -> bool) {
        self.until_book(|book| so(&book.by_hand)).await;
    }

    /// Looks whenever something arrives.
    async fn until_book(&self, so: impl Fn(&Book) -> bool) {
        let mut count = self.count.clone();
        while !so(&self.lock()) {
            count.changed().await.expect("the consumer goes on");
        }
    }

    /// How late ticks were fired, by what their messages say: of those that are asked for, sorted.
    pub(super) fn fired_after(&self, which: impl Fn(i64) -> bool) -> Vec<i64> {
        let book = self.lock();
        let asked = book.lags.iter().filter(|(tick, _)| which(*tick));
        let mut lags: Vec<i64> = asked.map(|(_, lag)| *lag).collect();
        lags.sort_unstable();
        lags
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
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

/// `p50 12 ms, p99 30 ms, at most 41 ms`
pub(super) fn told(sorted: &[i64]) -> String {
    let (p50, p99) = (per_mille(sorted, 500), per_mille(sorted, 990));
    let most = sorted.last().expect("some");
    format!("p50 {p50} ms, p99 {p99} ms, at most {most} ms")
}

/// The value below which so many of a thousand lie.
fn per_mille(sorted: &[i64], part: usize) -> i64 {
    let place = (sorted.len() * part / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(0)
}

/// Holds the 99th of a hundred to its limit, where that says something: optimised, and by the whole drill.
pub(super) fn on_time(sorted: &[i64], most: i64) {
    let p99 = per_mille(sorted, 990);
    let counts = !cfg!(debug_assertions) && std::env::var_os("DRILL_SECONDS").is_some();
    assert!(
        !counts || p99 < most,
        "p99 is {p99} ms, and less than {most} ms is promised"
    );
}
