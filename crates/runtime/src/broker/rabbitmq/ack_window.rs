//! When what is finished is acked, and how: as a value, without a broker. Acks over the finished prefix of a channel's
//! delivery tags become one `multiple` ack, at once when the last was a while ago; what finished behind a slow head is acked
//! singly when it has waited for long.
//! Sends nothing, and knows one channel only: a new channel gets a new window.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The least between two acks of a prefix that is not yet worth one: a busy worker collects for so long, and an idle one does
/// not wait at all.
const PACE: Duration = Duration::from_millis(5);

/// The longest that a finished message waits for those before it.
const LINGER: Duration = Duration::from_millis(50);

/// The most acks that are worth waiting for: more of them make a `multiple` ack no cheaper.
const LARGEST_BATCH: usize = 64;

/// The deliveries of one channel that the broker has not been told about.
#[derive(Debug)]
pub(super) struct AckWindow {
    /// So many finished at the front are acked without waiting for more.
    batch: usize,
    /// So many finished anywhere: the broker must hear of them before the prefetch window is full of them.
    tight: usize,
    linger: Duration,
    /// When something was last taken to be sent.
    sent_at: Option<Instant>,
    /// What is not settled yet, by tag; what the broker was told of is gone, so that it stays as small as the prefetch however
    /// long the first one runs.
    places: BTreeMap<u64, Place>,
    /// The tag that comes next.
    next: u64,
    /// The first that is held; all before it are finished.
    front: u64,
    front_finished: usize,
    held: usize,
    finished: usize,
    oldest: Option<Instant>,
    /// To be handed back.
    returned: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Not settled: it runs, or waits to.
    Held,
    /// To be acked, and since when.
    Finished(Instant),
}

/// When there is something to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Now,
    At(Instant),
    Never,
}

impl Due {
    /// Whether it is due now.
    pub(super) fn by(self, now: Instant) -> bool {
        self <= Self::At(now)
    }
}

/// What is to be sent, in this order: a `multiple` ack would take along what was to be handed back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settling {
    pub(super) hand_back: Vec<u64>,
    /// Acked with all before it.
    pub(super) up_to: Option<u64>,
    pub(super) singly: Vec<u64>,
    /// How many deliveries it settles.
    pub(super) count: usize,
}

impl AckWindow {
    /// A window of a fresh channel.
    pub(super) fn new(prefetch: u16) -> Self {
        Self {
            batch: batch(prefetch),
            tight: tight(prefetch),
            linger: LINGER,
            sent_at: None,
            places: BTreeMap::new(),
            next: 1,
            front: 1,
            front_finished: 0,
            held: 0,
            finished: 0,
            oldest: None,
            returned: Vec::new(),
        }
    }

    /// The channel has another prefetch now.
    pub(super) fn resize(&mut self, prefetch: u16) {
        (self.batch, self.tight) = (batch(prefetch), tight(prefetch));
    }

    /// From now on nothing waits: the channel is about to close.
    pub(super) fn hurry(&mut self) {
        self.linger = Duration::ZERO;
    }

    /// The broker sent something. Tags grow by one; one that was never seen stays held, so that no ack takes it along.
    pub(super) fn delivered(&mut self, tag: u64) {
        while self.next <= tag {
            self.places.insert(self.next, Place::Held);
            self.held += 1;
            self.next += 1;
        }
    }

    /// It is finished with, and may be acked. What was settled already, or never came, is left alone.
    pub(super) fn finished(&mut self, tag: u64, now: Instant) {
        if self.let_go(tag) {
            self.places.insert(tag, Place::Finished(now));
            self.finished += 1;
            self.oldest.get_or_insert(now);
            self.move_front(tag);
        }
    }

    /// It goes back to its queue.
    pub(super) fn returned(&mut self, tag: u64) {
        if self.let_go(tag) {
            self.places.remove(&tag);
            self.returned.push(tag);
            self.move_front(tag);
        }
    }

    fn let_go(&mut self, tag: u64) -> bool {
        let held = self.places.get(&tag) == Some(&Place::Held);
        self.held -= usize::from(held);
        held
    }

    fn move_front(&mut self, settled: u64) {
        if settled != self.front {
            return;
        }
        let behind = self.places.range(settled..);
        let finished = behind.take_while(|(_, place)| **place != Place::Held);
        self.front_finished += finished.count();
        let mut behind = self.places.range(settled..);
        let held = behind.find(|(_, place)| **place == Place::Held);
        self.front = held.map_or(self.next, |(tag, _)| *tag);
    }

    /// When there is something to send. At once when nothing else runs: nothing would come to be acked with it.
    pub(super) fn due(&self) -> Due {
        let enough = self.front_finished >= self.batch || self.finished >= self.tight;
        match self.oldest {
            _ if !self.returned.is_empty() => Due::Now,
            None => Due::Never,
            Some(_) if enough || self.held == 0 => Due::Now,
            Some(oldest) => self.paced().min(Due::At(oldest + self.linger)),
        }
    }

    fn paced(&self) -> Due {
        match self.sent_at {
            _ if self.front_finished == 0 => Due::Never,
            None => Due::Now,
            Some(at) => Due::At(at + PACE),
        }
    }

    /// Whether everything that was settled has been taken to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.finished == 0 && self.returned.is_empty()
    }

    /// What is to be sent now: everything at the front, and behind it what has waited long enough or takes up too much room.
    pub(super) fn take(&mut self, now: Instant) -> Settling {
        self.sent_at = Some(now);
        let hand_back = std::mem::take(&mut self.returned);
        let before = self.finished;
        let up_to = self.take_front();
        let singly = self.take_behind(now);
        Settling {
            count: hand_back.len() + before - self.finished,
            hand_back,
            up_to,
            singly,
        }
    }

    fn take_front(&mut self) -> Option<u64> {
        let behind = self.places.split_off(&self.front);
        let finished = std::mem::replace(&mut self.places, behind);
        self.finished -= finished.len();
        self.front_finished = 0;
        finished.last_key_value().map(|(tag, _)| *tag)
    }

    fn take_behind(&mut self, now: Instant) -> Vec<u64> {
        let all = self.finished >= self.tight;
        let (mut singly, mut oldest) = (Vec::new(), None::<Instant>);
        self.places.retain(|tag, place| match *place {
            Place::Finished(at) if all || at + self.linger <= now => {
                singly.push(*tag);
                false
            }
            Place::Finished(at) => {
                oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
                true
            }
            Place::Held => true,
        });
        self.finished -= singly.len();
        self.oldest = oldest;
        singly
    }
}

fn batch(prefetch: u16) -> usize {
    (usize::from(prefetch) / 4).clamp(1, LARGEST_BATCH)
}

fn tight(prefetch: u16) -> usize {
    (usize::from(prefetch) / 2).max(1)
}

#[cfg(test)]
mod tests;
