//! Waiting rooms on the broker: made when something is to wait in one, kept from expiring while anything may, taken from by hand.
//! Whose turn it is, and what goes where, is the worker's business.
//!
//! A room is a quorum queue with a life of its own: [`topology::room`] has the arithmetic. Measured on 3.10.8: publishing and
//! declaring do not count as its use; taking a message does, and so does giving back the last one that was taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions};
use lapin::{Acker, Channel, Connection};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::connection::{Link, open_channel};
use super::topology::{self, Names, Topology};
use super::{declare, headers, inspect};
use crate::broker::{Delivery, Lost, Receipt, Room};

/// How old the last use of a room may be when something is put into it.
pub(super) const USED_EVERY: Duration = Duration::from_secs(30 * 60);
/// Before RabbitMQ 4, a single broker writes down with a delay of three seconds which queues there are; if it is killed before
/// that, a younger queue is gone with all that was confirmed in it. So long nothing in a room counts as stored.
const WRITTEN_DOWN_AFTER: Duration = Duration::from_secs(4);

/// The rooms of one namespace, as this process knows them.
pub(super) struct Rooms {
    names: Names,
    publishing: Link,
    consuming: Link,
    // A std mutex: held for one operation on the map, never across an await.
    kept: std::sync::Mutex<HashMap<Room, Kept>>,
    /// Held while a room is made, so that those who wait for it keep their order.
    making: Mutex<()>,
    /// The channel that messages are taken on: theirs are settled on it, so it is no other's.
    taking: Mutex<Option<Channel>>,
}

#[derive(Clone, Copy)]
struct Kept {
    /// When this process found it or made it.
    since: Instant,
    used: Instant,
}

impl Rooms {
    pub(super) fn new(names: Names, publishing: Link, consuming: Link) -> Self {
        Self {
            names,
            publishing,
            consuming,
            kept: std::sync::Mutex::default(),
            making: Mutex::new(()),
            taking: Mutex::new(None),
        }
    }

    /// Makes sure that the room is there, and will be for as long as anything that is put into it now.
    pub(super) async fn make(&self, room: Room) -> lapin::Result<()> {
        let _making = self.making.lock().await;
        if self.is_fresh(room) {
            return Ok(());
        }
        let connection = self.publishing.up().await.map_err(std::io::Error::other)?;
        let spec = topology::room(&self.names, room);
        let name = spec.name.clone();
        let topology = Topology {
            queues: vec![spec],
            ..Topology::default()
        };
        declare::declare(&connection, &[topology]).await?;
        use_once(&connection, &name).await?;
        self.note_use(room);
        Ok(())
    }

    /// The room is not there after all.
    pub(super) fn forget(&self, room: Room) {
        self.kept().remove(&room);
    }

    /// Returns once what was confirmed in the room outlives the broker's death.
    pub(super) async fn written_down(&self, room: Room) {
        let since = self.kept().get(&room).map(|kept| kept.since);
        if let Some(since) = since {
            sleep_until(since + WRITTEN_DOWN_AFTER).await;
        }
    }

    /// The first of the room.
    pub(super) async fn take(&self, room: Room) -> lapin::Result<Option<Delivery>> {
        let name = self.names.room(room);
        // Asking for a queue that is not there closes the channel, and others have theirs to settle on this one.
        if !self.is_fresh(room) && !self.is_there(&name).await? {
            self.forget(room);
            return Ok(None);
        }
        let mut taking = self.taking.lock().await;
        let channel = match taking.take() {
            Some(channel) if self.consuming.is_up() && channel.status().connected() => channel,
            _ => {
                let connection = self.consuming.up().await.map_err(std::io::Error::other)?;
                open_channel(&connection).await?
            }
        };
        let got = channel
            .basic_get(name.as_str().into(), BasicGetOptions::default())
            .await;
        match &got {
            Ok(_) => {
                *taking = Some(channel);
                self.note_use(room);
            }
            Err(_) => self.consuming.suspect(),
        }
        Ok(got?.map(|got| {
            let redelivered = got.delivery.redelivered;
            let headers = Box::new(headers::Table(got.delivery.properties));
            let receipt = RoomReceipt {
                acker: got.delivery.acker,
                settled: false,
            };
            let (body, level) = (got.delivery.data, room.level());
            Delivery::new(body, headers, level, redelivered, Box::new(receipt)).out_of(room)
        }))
    }

    async fn is_there(&self, name: &str) -> lapin::Result<bool> {
        let connection = self.publishing.up().await.map_err(std::io::Error::other)?;
        Ok(inspect::count(&connection, name).await?.is_some())
    }

    /// How many wait in these rooms, for each that has any.
    pub(super) async fn count(&self, rooms: &BTreeSet<Room>) -> lapin::Result<BTreeMap<Room, u64>> {
        let connection = self.publishing.up().await.map_err(std::io::Error::other)?;
        let mut counts = BTreeMap::new();
        for room in rooms {
            let count = inspect::count(&connection, &self.names.room(*room)).await?;
            counts.extend(count.filter(|count| *count > 0).map(|count| (*room, count)));
        }
        Ok(counts)
    }

    /// Whether it is known to be there and was used a short while ago.
    pub(super) fn is_fresh(&self, room: Room) -> bool {
        let kept = self.kept();
        kept.get(&room)
            .is_some_and(|kept| kept.used.elapsed() < USED_EVERY)
    }

    fn note_use(&self, room: Room) {
        let now = Instant::now();
        let mut kept = self.kept();
        let kept = kept.entry(room).or_insert(Kept {
            since: now,
            used: now,
        });
        kept.used = now;
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Room, Kept>> {
        // Whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the first and gives it back: it stays the first, and the room counts as used.
async fn use_once(connection: &Connection, name: &str) -> lapin::Result<()> {
    let channel = open_channel(connection).await?;
    let got = channel
        .basic_get(name.into(), BasicGetOptions::default())
        .await?;
    if let Some(got) = got {
        channel
            .basic_nack(got.delivery.delivery_tag, requeue())
            .await?;
    }
    channel.close(200, "used".into()).await
}

fn requeue() -> BasicNackOptions {
    BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    }
}

/// Dropped unsettled, it hands the message back.
struct RoomReceipt {
    acker: Acker,
    settled: bool,
}

impl RoomReceipt {
    fn settled(&mut self, done: &lapin::Result<bool>) -> Result<(), Lost> {
        self.settled = true;
        match done {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Lost),
        }
    }
}

#[async_trait]
impl Receipt for RoomReceipt {
    async fn ack(mut self: Box<Self>) -> Result<(), Lost> {
        let done = self.acker.ack(BasicAckOptions::default()).await;
        self.settled(&done)
    }

    async fn hand_back(mut self: Box<Self>) -> Result<(), Lost> {
        let done = self.acker.nack(requeue()).await;
        self.settled(&done)
    }

    fn is_lost(&self) -> bool {
        !self.acker.usable()
    }
}

impl Drop for RoomReceipt {
    fn drop(&mut self) {
        // Outside a runtime the process is ending, and the connection with it.
        if let (false, true, Ok(runtime)) =
            (self.settled, self.acker.usable(), Handle::try_current())
        {
            let acker = self.acker.clone();
            runtime.spawn(async move { acker.nack(requeue()).await });
        }
    }
}
