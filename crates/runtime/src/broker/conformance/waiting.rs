//! Cases about waiting rooms: order kept, nothing lost, nothing changed, and no room that has to be there before it is used.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use super::support::{ack, declared, hand_back, id, parcel, settled_depth, within};
use crate::broker::{Broker, Delivery, Destination, Parcel, Room};
use crate::queue::Queue;

fn room(queue: Queue, level: u8, gate: &str) -> Room {
    Room::of(queue, queue.level_numbered(level), gate)
}

/// A parcel for the end of a room.
fn for_room(room: Room) -> Parcel {
    let mut parcel = parcel(room.queue(), room.level().number(), Duration::ZERO);
    parcel.to = Destination::Aside(room);
    let (name, value) = (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    parcel.headers.insert(name.to_owned(), value.to_owned());
    parcel
}

async fn set_aside(broker: &dyn Broker, parcel: &Parcel) {
    let set_aside = broker.publish(parcel.clone());
    within("a confirm", set_aside)
        .await
        .expect("a room takes it");
}

/// The first of the room. It is asked for again a few times: a broker may count what was just given back a moment later.
async fn first(broker: &dyn Broker, room: Room) -> Delivery {
    let asking = async {
        loop {
            let taken = broker.take_aside(room).await.expect("the broker answers");
            match taken {
                Some(delivery) => return delivery,
                None => tokio::task::yield_now().await,
            }
        }
    };
    within("the first of a room", asking).await
}

/// What was set aside is the same message when it is taken, comes in its order, and is gone once it was acked.
///
/// # Panics
/// When the promise is broken.
pub async fn a_room_keeps_its_order_and_its_messages(broker: &dyn Broker) {
    let queue = declared(broker, 4).await;
    let room = room(queue, 2, "a gate of any name \n ünï");
    assert!(broker.take_aside(room).await.expect("answers").is_none());
    let sent: Vec<Parcel> = (0..20).map(|_| for_room(room)).collect();
    for parcel in &sent {
        // One by one: those that are published at once have no order. Only the first waits for its room.
        set_aside(broker, parcel).await;
    }
    let depth = settled_depth(broker, queue, |depth| depth.ready == [0; 4]).await;
    assert_eq!(depth.dead, 0);
    for parcel in &sent {
        let taken = first(broker, room).await;
        assert_eq!(id(&taken), parcel.id);
        assert_eq!((&taken.body, taken.level), (&parcel.body, room.level()));
        assert_eq!((taken.room, taken.redelivered), (Some(room), false));
        for (name, value) in &parcel.headers {
            assert_eq!(taken.headers.get(name).as_deref(), Some(&**value), "{name}");
        }
        ack(taken).await.expect("the channel lives");
    }
    assert!(broker.take_aside(room).await.expect("answers").is_none());
}

/// What is handed back is the first again, and says that it was there before; so is what was dropped.
///
/// # Panics
/// When the promise is broken.
pub async fn what_goes_back_to_a_room_is_the_first_again(broker: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let room = room(queue, 0, "gate");
    let sent = [for_room(room), for_room(room)];
    for parcel in &sent {
        set_aside(broker, parcel).await;
    }
    for round in 0..30 {
        let taken = first(broker, room).await;
        assert_eq!(
            (id(&taken), taken.redelivered),
            (sent[0].id.clone(), round > 0)
        );
        match round % 2 {
            0 => hand_back(taken).await.expect("the channel lives"),
            _ => drop(taken),
        }
        // A dropped one goes back by itself, a moment later.
        let back = |counts: &Counts| counts.get(&room) == Some(&2);
        counted(broker, room, back).await;
    }
    for parcel in &sent {
        let taken = first(broker, room).await;
        assert_eq!(id(&taken), parcel.id);
        ack(taken).await.expect("the channel lives");
    }
    counted(broker, room, Counts::is_empty).await;
}

/// Rooms are apart from each other and from their level, and those that hold something are counted.
///
/// # Panics
/// When the promise is broken.
pub async fn rooms_are_counted_and_apart(broker: &dyn Broker) {
    let queue = declared(broker, 2).await;
    let rooms = [
        room(queue, 0, "a"),
        room(queue, 1, "a"),
        room(queue, 0, "b"),
    ];
    let parcels = [rooms[0], rooms[0], rooms[1]].map(for_room);
    join_all(parcels.iter().map(|parcel| set_aside(broker, parcel))).await;
    let asked: BTreeSet<Room> = rooms.into();
    let expected: Counts = [(rooms[0], 2), (rooms[1], 1)].into();
    for _ in 0..2 {
        let counting = async {
            while broker.count_aside(&asked).await.expect("answers") != expected {
                tokio::task::yield_now().await;
            }
        };
        within("the counts", counting).await;
    }
    settled_depth(broker, queue, |depth| depth.ready == [0, 0]).await;
    let taken = first(broker, rooms[1]).await;
    assert_eq!(
        (id(&taken), taken.level.number()),
        (parcels[2].id.clone(), 1)
    );
    ack(taken).await.expect("the channel lives");
    assert!(
        broker
            .take_aside(rooms[2])
            .await
            .expect("answers")
            .is_none()
    );
}

/// What one connection set aside, another one takes.
///
/// # Panics
/// When the promise is broken.
pub async fn another_connection_takes_from_the_same_room(broker: &dyn Broker, other: &dyn Broker) {
    let queue = declared(broker, 1).await;
    let room = room(queue, 0, "gate");
    let sent = for_room(room);
    set_aside(broker, &sent).await;
    let taken = first(other, room).await;
    assert_eq!(id(&taken), sent.id);
    ack(taken).await.expect("the channel lives");
}

type Counts = std::collections::BTreeMap<Room, u64>;

async fn counted(broker: &dyn Broker, room: Room, expected: impl Fn(&Counts) -> bool) {
    let counting = async {
        while !expected(&broker.count_aside(&[room].into()).await.expect("answers")) {
            tokio::task::yield_now().await;
        }
    };
    within("the count of a room", counting).await;
}
