//! What this worker knows of waiting rooms: which hold something, into which something is on its way, and which are to rest.
//! Values only; who moves messages in and out is `over_limit`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::parking::PER_LINE;
use crate::broker::Room;

/// How long a room rests from which more was taken than could start here: so long others have a chance.
const REST: Duration = Duration::from_secs(2);
/// The most that are taken from all rooms together. With more rooms than this, one from each.
const MOST_TAKEN: usize = 1024;

/// What is known of rooms.
#[derive(Default)]
pub(super) struct Rooms {
    // A std mutex: held for one operation on the maps, never across an await.
    known: Mutex<Known>,
    stirred: Notify,
}

#[derive(Default)]
struct Known {
    rooms: BTreeMap<Room, State>,
    /// Those that were looked into without a reason, once.
    suspected: HashSet<Room>,
    /// How often it was said so far that a room holds something.
    news: u64,
}

/// The moment at which somebody asks what is in a room: an answer says nothing of what was put in after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    news: u64,
}

impl Known {
    /// A room holds something.
    fn hears_of(&mut self, room: Room) -> &mut State {
        self.news += 1;
        let state = self.rooms.entry(room).or_default();
        (state.open, state.news) = (true, self.news);
        state
    }
}

#[derive(Default)]
struct State {
    /// Something was put in or found, or the ledger says so: what comes now goes behind it.
    open: bool,
    /// Which news it was that said so last.
    news: u64,
    /// This worker put something in since it last found nothing: it vouches for it to the others.
    filled: bool,
    /// How many are on their way in.
    entering: usize,
    rests_until: Option<Instant>,
}

/// A message on its way into a room, until this is dropped.
pub(super) struct Entering {
    rooms: Arc<Rooms>,
    room: Room,
}

impl Entering {
    /// It is in; true when nobody was told before that the room holds something.
    pub(super) fn has_entered(&self) -> bool {
        let mut known = self.rooms.lock();
        let state = known.hears_of(self.room);
        let is_news = !std::mem::replace(&mut state.filled, true);
        drop(known);
        self.rooms.stir();
        is_news
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let mut known = self.rooms.lock();
        if let Some(state) = known.rooms.get_mut(&self.room) {
            state.entering -= 1;
            if state.entering == 0 && !state.open {
                known.rooms.remove(&self.room);
            }
        }
    }
}

impl Rooms {
    /// Whether what comes now has to go behind what is in the room.
    pub(super) fn is_open(&self, room: Room) -> bool {
        let known = self.lock();
        let state = known.rooms.get(&room);
        state.is_some_and(|state| state.open || state.entering > 0)
    }

    /// A message is about to be put in.
    pub(super) fn enter(self: &Arc<Self>, room: Room) -> Entering {
        self.lock().rooms.entry(room).or_default().entering += 1;
        Entering {
            rooms: Arc::clone(self),
            room,
        }
    }

    /// The ledger says that these hold something.
    pub(super) fn learn(&self, rooms: &BTreeSet<Room>) {
        let mut known = self.lock();
        for room in rooms {
            known.hears_of(*room);
        }
        drop(known);
        self.stir();
    }

    /// A room that may hold something of which nobody knows any more is looked into, once.
    pub(super) fn suspect(&self, room: Room) {
        let mut known = self.lock();
        if known.suspected.insert(room) {
            known.rooms.entry(room).or_default();
            drop(known);
            self.stir();
        }
    }

    /// Something was found in it.
    pub(super) fn found_some(&self, room: Room) {
        self.lock().rooms.entry(room).or_default().open = true;
    }

    /// Somebody asks now what is in a room.
    pub(super) fn asked(&self) -> Asked {
        let news = self.lock().news;
        Asked { news }
    }

    /// Nothing was in it when somebody asked; true when somebody may think otherwise. What is on its way in may be there a moment later,
    /// and what came in since is there: the answer may have been under way for longer than it took.
    pub(super) fn found_nothing(&self, room: Room, asked: Asked) -> bool {
        let mut known = self.lock();
        let Some(state) = known.rooms.get_mut(&room) else {
            return false;
        };
        if state.news > asked.news {
            return false;
        }
        let was_open = std::mem::take(&mut state.open);
        state.filled = false;
        if state.entering == 0 {
            known.rooms.remove(&room);
        }
        was_open
    }

    /// More was taken from it than could start here.
    pub(super) fn rest(&self, room: Room) {
        if let Some(state) = self.lock().rooms.get_mut(&room) {
            state.rests_until = Some(Instant::now() + REST);
        }
    }

    /// Those that this worker vouches for.
    pub(super) fn filled(&self) -> BTreeSet<Room> {
        let known = self.lock();
        let filled = known.rooms.iter().filter(|(_, state)| state.filled);
        filled.map(|(room, _)| *room).collect()
    }

    /// Those to take from, highest level first, and how many may wait here of each.
    pub(super) fn to_take_from(&self) -> (Vec<Room>, usize) {
        let known = self.lock();
        let (now, all) = (Instant::now(), known.rooms.len().max(1));
        let awake = |state: &State| state.rests_until.is_none_or(|until| until <= now);
        let rooms = known.rooms.iter().filter(|(_, state)| awake(state));
        let mut rooms: Vec<Room> = rooms.map(|(room, _)| *room).collect();
        rooms.sort_by_key(|room| std::cmp::Reverse(room.level()));
        (rooms, (MOST_TAKEN / all).clamp(1, PER_LINE))
    }

    /// There may be something to do.
    pub(super) fn stir(&self) {
        self.stirred.notify_one();
    }

    /// Returns when there may be something to do. Cancel-safe.
    pub(super) async fn stirred(&self) {
        self.stirred.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Queue;

    fn room(gate: &str) -> Room {
        let queue = Queue::named("q");
        Room::of(queue, queue.level_numbered(0), gate)
    }

    #[tokio::test(start_paused = true)]
    async fn a_room_is_open_from_the_first_on_its_way_until_it_was_seen_empty() {
        let rooms = Arc::new(Rooms::default());
        let entering = rooms.enter(room("a"));
        assert!(rooms.is_open(room("a")) && !rooms.is_open(room("b")));
        let nothing = |name| rooms.found_nothing(room(name), rooms.asked());
        assert!(!nothing("a"), "nobody else knows of it");
        assert!(rooms.is_open(room("a")), "it is still on its way");
        assert!(entering.has_entered() && !entering.has_entered());
        drop(entering);
        assert_eq!(rooms.filled(), [room("a")].into());
        assert!(nothing("a"));
        assert!(!rooms.is_open(room("a")) && rooms.filled().is_empty());

        drop(rooms.enter(room("a")));
        assert!(!rooms.is_open(room("a")), "it did not get in");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_in_while_it_was_asked_is_not_forgotten() {
        let rooms = Arc::new(Rooms::default());
        rooms.learn(&[room("a")].into());
        let asked = rooms.asked();
        assert!(rooms.enter(room("a")).has_entered());
        assert!(!rooms.found_nothing(room("a"), asked));
        assert!(rooms.is_open(room("a")), "an old answer");
        assert_eq!(rooms.filled(), [room("a")].into());

        let asked = rooms.asked();
        rooms.learn(&[room("a")].into());
        assert!(!rooms.found_nothing(room("a"), asked));
        assert!(rooms.found_nothing(room("a"), rooms.asked()));
        assert!(rooms.to_take_from().0.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_know_is_taken_from_and_not_vouched_for() {
        let rooms = Rooms::default();
        rooms.learn(&[room("a")].into());
        assert!(rooms.is_open(room("a")) && rooms.filled().is_empty());
        rooms.suspect(room("b"));
        assert!(!rooms.is_open(room("b")), "it is only looked into");
        assert_eq!(rooms.to_take_from().0.len(), 2);
        assert!(!rooms.found_nothing(room("b"), rooms.asked()));
        rooms.suspect(room("b"));
        assert_eq!(
            rooms.to_take_from().0,
            [room("a")],
            "it is looked into once"
        );

        rooms.rest(room("a"));
        assert!(rooms.to_take_from().0.is_empty());
        tokio::time::advance(REST).await;
        assert_eq!(rooms.to_take_from(), (vec![room("a")], PER_LINE));
    }
}
