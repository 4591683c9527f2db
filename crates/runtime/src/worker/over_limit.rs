//! What becomes of a message for which its limits have no place: it waits here without a slot, or behind what waits here already
//! in a room on the broker, from where it is taken when there is room here again. It is the same message all the while.
//!
//! The copy in the room is there before the original is acked: what dies in between leaves both, and the run claim knows them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::admit::Closed;
use super::attempt::Slot;
use super::conclude::tell;
use super::engine::Engine;
use super::parking::{Place, Taken, Wait};
use super::reception::Reception;
use super::settle;
use crate::broker::{BrokerError, Delivery, Parcel, Receipt, Room};
use crate::message::label;

/// How often rooms are looked after when nothing stirs.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a worker that starts waits for its rooms.
const ROOMS_MADE_WITHIN: Duration = Duration::from_secs(3);
/// How long a broker that cannot be asked is left alone.
const AWAY: Duration = Duration::from_secs(5);

/// Lets it wait for a place in its limits.
pub(super) async fn wait(
    engine: &Engine,
    reception: Reception,
    receipt: Box<dyn Receipt>,
    closed: Closed,
    slot: &mut Slot,
) {
    let room = Room::of(engine.queue, reception.level, &closed.gate);
    let place = match &reception.turn {
        Some(turn) => turn.place_before(&closed.gate),
        None => Place::Arrived,
    };
    let new = place == Place::Arrived && !reception.redelivered;
    let (delivery, turn) = reception.into_parked(receipt);
    let wait = Wait {
        gate: closed.gate,
        room,
        time: closed.wait,
    };
    let surplus = match new && engine.rooms.is_open(room) {
        true => Some(delivery),
        false => {
            let surplus = engine.parking.park(delivery, wait, place).err();
            surplus.map(|surplus| *surplus)
        }
    };
    drop(turn);
    match surplus {
        None => engine.rooms.suspect(room),
        Some(surplus) if engine.draining.load(Ordering::Acquire) => {
            settle::hand_back_unread(surplus).await
        }
        Some(surplus) => {
            slot.give_back();
            set_aside(engine, surplus, room).await;
        }
    }
}

/// Moves it to the end of a room.
async fn set_aside(engine: &Engine, surplus: Delivery, room: Room) {
    let entering = engine.rooms.enter(room);
    let (reception, receipt) = Reception::of(surplus);
    let Ok(message) = &reception.message else {
        return settle::hand_back(receipt).await;
    };
    let mut headers = reception.headers.headers();
    headers.insert(label::KICK.to_owned(), reception.kick_from_now_on());
    let parcel = Parcel::aside(room, message, reception.body.clone(), headers);
    tracing::debug!(task_id = %message.id, %room, "over a limit: set aside");
    let once_in = async {
        if entering.has_entered() {
            tell(engine.ledger.fill_rooms(engine.queue, &[room].into())).await;
        }
    };
    settle::move_on(engine, Ok(parcel), receipt, once_in).await;
}

/// Goes back because no slot is free, with all that was taken from the same room: in its order, to whoever has one.
pub(super) async fn hand_back(engine: &Engine, overdue: Taken) {
    let room = overdue.delivery.room;
    settle::hand_back_unread(overdue.delivery).await;
    if let Some(room) = room {
        engine.rooms.rest(room);
        for next in engine.parking.take_all_of(room) {
            settle::hand_back_unread(next).await;
        }
    }
}

/// Rooms that may hold what nobody alive knows of: those of limits that need no key.
pub(super) fn suspect_rooms(engine: &Engine) {
    for room in rooms_without_key(engine) {
        engine.rooms.suspect(room);
    }
}

fn rooms_without_key(engine: &Engine) -> Vec<Room> {
    let mut rooms = Vec::new();
    for (name, task) in &engine.tasks {
        let limits = task.policy.limits.iter().flatten().enumerate();
        let gates = limits.filter_map(|(number, limit)| limit.gate(number, name, None));
        for gate in gates {
            let levels = engine.queue.every_level();
            rooms.extend(levels.map(|level| Room::of(engine.queue, level, &gate.name)));
        }
    }
    rooms
}

/// Before anything is taken, or what this worker took would wait for its rooms while others, who have theirs, go on. Those that
/// cannot be made in time are made when they are needed, as those of a new key are: what comes into one holds its level up for a while.
pub(super) async fn make_rooms(engine: &Engine) {
    let making = async {
        for room in rooms_without_key(engine) {
            engine.servers.broker.make_room(room).await?;
        }
        Ok::<(), BrokerError>(())
    };
    match timeout(ROOMS_MADE_WITHIN, making).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "rooms are made when they are needed"),
        Err(_) => {
            tracing::warn!(within = ?ROOMS_MADE_WITHIN, "not made in time: rooms are made when they are needed")
        }
    }
}

/// Takes from rooms as long as the worker takes anything: whenever fewer wait here than there is room for.
pub(super) async fn fetch(engine: Arc<Engine>) {
    loop {
        tokio::select! {
            () = engine.rooms.stirred() => {}
            () = sleep(LOOK_AGAIN) => {}
        }
        engine.parking.drop_lost();
        let (rooms, share) = engine.rooms.to_take_from();
        for room in rooms {
            if let Err(error) = fetch_from(&engine, room, share).await {
                tracing::warn!(%error, "rooms cannot be looked into; trying again");
                sleep(AWAY).await;
                break;
            }
        }
    }
}

/// Not one by one: a room is left alone until half of what was taken from it is gone.
async fn fetch_from(engine: &Engine, room: Room, share: usize) -> Result<(), BrokerError> {
    let waiting = |engine: &Engine| engine.parking.count(room);
    if waiting(engine) >= share.div_ceil(2) {
        return Ok(());
    }
    while waiting(engine) < share && takes(engine) {
        let asked = engine.rooms.asked();
        let Some(first) = engine.servers.broker.take_aside(room).await? else {
            if engine.rooms.found_nothing(room, asked) {
                tell(engine.ledger.empty_room(room)).await;
            }
            return Ok(());
        };
        engine.rooms.found_some(room);
        park(engine, first, room).await;
    }
    Ok(())
}

fn takes(engine: &Engine) -> bool {
    !engine.heard.is_paused() && !engine.draining.load(Ordering::Acquire)
}

/// Parks what was taken from a room, in the line of the gate that it was put there for. What has no gate any more may try at once.
async fn park(engine: &Engine, first: Delivery, room: Room) {
    let (reception, receipt) = Reception::of(first);
    let message = reception.message.as_ref().ok();
    let gates = message
        .zip(reception.known(engine))
        .map(|(message, task)| (task.gates)(message))
        .unwrap_or_default();
    let its_own = |name: &str| Room::of(engine.queue, reception.level, name) == room;
    let gate = gates.iter().find(|gate| its_own(&gate.name));
    let gate = gate.or(gates.first()).map(|gate| gate.name.clone());
    let wait = Wait {
        gate: gate.unwrap_or_default(),
        room,
        time: Duration::ZERO,
    };
    let (delivery, _) = reception.into_parked(receipt);
    if let Err(surplus) = engine.parking.park(delivery, wait, Place::Fetched) {
        settle::hand_back_unread(*surplus).await;
    }
}
