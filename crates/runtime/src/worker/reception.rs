//! A delivery whose bytes have been read: what it asks for, which handler knows it, and which span its attempt gets.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use super::engine::Engine;
use super::parking::Turn;
use super::plan::Registered;
use super::running::Underway;
use crate::broker::{Beside, Delivery, Receipt, Room};
use crate::hash::stable;
use crate::job::Job;
use crate::message::{Message, MessageId, Undecodable, label, new_kick_again};
use crate::middleware::trace::{self, Origin};
use crate::queue::Level;
use crate::task::Policy;

/// A delivery whose bytes have been read.
pub(super) struct Reception {
    pub(super) message: Result<Arc<Message>, Undecodable>,
    /// What tells this kick from another one with the same id: its label, or for a caller that sets none, a fingerprint of
    /// the bytes, which a redelivered copy shares.
    pub(super) kick: String,
    /// Whether that is a name of its own.
    named: bool,
    pub(super) body: Vec<u8>,
    pub(super) headers: Box<dyn Beside>,
    pub(super) level: Level,
    pub(super) redelivered: bool,
    /// The waiting room that it came from.
    pub(super) room: Option<Room>,
    /// Its turn, if it waited here for a place in a limit.
    pub(super) turn: Option<Turn>,
}

impl Reception {
    pub(super) fn of(delivery: Delivery) -> (Self, Box<dyn Receipt>) {
        let (level, redelivered, room) = (delivery.level, delivery.redelivered, delivery.room);
        let (body, headers, receipt) = delivery.take_apart();
        let message = Message::decode(&body).map(Arc::new);
        let label = message.as_ref().ok().and_then(|message| message.kick());
        // What was set aside under a name that the bytes do not have has it beside them.
        let label = match label {
            Some(label) => Some(label.to_owned()),
            None => headers.get(label::KICK).map(Cow::into_owned),
        };
        let named = label.is_some();
        let kick = label.unwrap_or_else(|| fingerprint(&body));
        let reception = Self {
            message,
            kick,
            named,
            body,
            headers,
            level,
            redelivered,
            room,
            turn: None,
        };
        (reception, receipt)
    }

    /// The delivery as it came, to wait for a place in a limit; and its turn, which ends when it waits again.
    pub(super) fn into_parked(self, receipt: Box<dyn Receipt>) -> (Delivery, Option<Turn>) {
        let mut delivery = Delivery::new(
            self.body,
            self.headers,
            self.level,
            self.redelivered,
            receipt,
        );
        delivery.room = self.room;
        (delivery, self.turn)
    }

    /// Whether it cannot be a copy of what was delivered before. Only worth asking where a kick has no name: one that has is
    /// told from others by that.
    pub(super) fn is_new(&self) -> bool {
        let hops = self.message.as_ref().map_or(0, |message| message.hop());
        !self.named && !self.redelivered && self.room.is_none() && hops == 0
    }

    /// The name under which it goes on: what is new must not be taken for an earlier kick that looked the same.
    pub(super) fn kick_from_now_on(&self) -> String {
        match self.is_new() {
            true => new_kick_again(),
            false => self.kick.clone(),
        }
    }

    pub(super) fn known<'e>(&self, engine: &'e Engine) -> Option<&'e Registered> {
        let message = self.message.as_ref().ok()?;
        engine.tasks.get(message.task.as_str())
    }

    pub(super) fn span(&self, engine: &Engine) -> Span {
        let origin = Origin {
            system: engine.servers.broker.system(),
            queue: engine.queue,
            level: self.level,
            redelivered: self.redelivered,
            headers: &*self.headers,
            parenting: engine.parenting,
        };
        match (&self.message, self.known(engine)) {
            (Err(_), _) => trace::undecodable_span(&origin),
            (Ok(message), None) => trace::unknown_task_span(&origin, message),
            (Ok(message), Some(task)) => {
                trace::task_span(&origin, message, &task.policy.overridden_by(message))
            }
        }
    }

    pub(super) fn job(
        &self,
        engine: &Engine,
        message: &Arc<Message>,
        underway: &Underway,
        policy: Policy,
        span: Span,
    ) -> Arc<Job> {
        let time_limit = message
            .time_left()
            .map_or(policy.timeout, |left| left.min(policy.timeout));
        Arc::new(Job {
            message: Arc::clone(message),
            queue: engine.queue,
            level: self.level,
            attempt: underway.attempt,
            policy,
            time_limit,
            stop: underway.stop.clone(),
            span,
        })
    }

    /// How long it has been put off because nobody knew its task.
    pub(super) fn unknown_for(&self) -> Duration {
        let seconds = self
            .message
            .as_ref()
            .ok()
            .and_then(|message| message.labels.float(label::UNKNOWN_FOR));
        Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default()
    }

    /// Notes that it is put off for so long altogether.
    pub(super) fn note_unknown_for(&mut self, so_long: Duration) {
        if let Ok(message) = &mut self.message {
            let labels = &mut Arc::make_mut(message).labels;
            labels.set_float(label::UNKNOWN_FOR, so_long.as_secs_f64());
        }
    }

    /// The id under which somebody may wait for a result, even when the body could not be read.
    pub(super) fn id(&self) -> Option<MessageId> {
        match &self.message {
            Ok(message) => Some(message.id.clone()),
            Err(_) => match self.headers.get("task_id") {
                Some(id) => id.parse().ok(),
                None => Message::id_in(&self.body),
            },
        }
    }
}

fn fingerprint(bytes: &[u8]) -> String {
    format!("{:016x}", stable(bytes))
}
