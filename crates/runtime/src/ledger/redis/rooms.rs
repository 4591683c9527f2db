//! Rooms as one sorted set for each queue: their names, by the time at which they are forgotten.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::RedisLedger;
use crate::broker::Room;
use crate::ledger::rooms::ROOM_REMEMBERED;
use crate::ledger::{LedgerError, Rooms};
use crate::message::unix_millis;
use crate::queue::Queue;
use crate::result::redis::line::millis;

impl RedisLedger {
    fn rooms_key(&self, queue: Queue) -> String {
        self.key("rooms", queue.name())
    }
}

#[async_trait]
impl Rooms for RedisLedger {
    async fn fill_rooms(&self, queue: Queue, rooms: &BTreeSet<Room>) -> Result<(), LedgerError> {
        if rooms.is_empty() {
            return Ok(());
        }
        let (key, now, kept) = (
            self.rooms_key(queue),
            unix_millis(),
            millis(ROOM_REMEMBERED),
        );
        let mut commands = redis::pipe();
        commands.atomic();
        commands
            .cmd("ZREMRANGEBYSCORE")
            .arg(&key)
            .arg("-inf")
            .arg(now)
            .ignore();
        commands.cmd("ZADD").arg(&key);
        for room in rooms {
            commands.arg(now + kept).arg(room.to_string());
        }
        commands.ignore();
        commands.cmd("PEXPIRE").arg(&key).arg(kept).ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn empty_room(&self, room: Room) -> Result<(), LedgerError> {
        let mut commands = redis::pipe();
        let key = self.rooms_key(room.queue());
        commands.cmd("ZREM").arg(key).arg(room.to_string()).ignore();
        Ok(self.line.run(&commands).await?)
    }

    async fn rooms(&self, queue: Queue) -> Result<BTreeSet<Room>, LedgerError> {
        let mut commands = redis::pipe();
        commands.cmd("ZRANGEBYSCORE").arg(self.rooms_key(queue));
        commands.arg(unix_millis()).arg("+inf");
        let (names,): (Vec<String>,) = self.line.run(&commands).await?;
        let room = |name: &String| Room::named(queue, name);
        Ok(names.iter().filter_map(room).collect())
    }
}
