//! What stands on the broker for a queue, as plain data: exchanges, queues with their arguments, bindings.
//! Pure functions of a namespace and a queue; `declare` puts it there.

use std::fmt;

use super::delay::{STEPS, step_millis};
use crate::broker::{BrokerError, Destination, Room};
use crate::queue::{Level, Queue};

/// The longest name: a routing key has 255 bytes, and 64 of them are the bits of a delay.
const MAX_NAME_BYTES: usize = 190;
/// The queue name that the ladder would collide with.
const RESERVED: &str = "delay";

/// The names that belong to one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    namespace: String,
}

/// An exchange to declare; always durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Direct,
    Topic,
}

/// A queue to declare; always durable and of type quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueSpec {
    pub(super) name: String,
    pub(super) arguments: Vec<(&'static str, Argument)>,
}

/// The value of a queue's argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    Text(String),
    Number(i64),
}

/// A binding of a queue or an exchange to an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) to: End,
    pub(super) exchange: String,
    pub(super) key: String,
}

/// What a binding leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Queue(String),
    Exchange(String),
}

/// Everything to declare, in this order: exchanges, queues, bindings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Topology {
    pub(super) exchanges: Vec<Exchange>,
    pub(super) queues: Vec<QueueSpec>,
    pub(super) bindings: Vec<Binding>,
}

impl Names {
    /// The names of a namespace; a namespace is what a queue's name may be, too.
    pub(super) fn new(namespace: &str) -> Result<Self, BrokerError> {
        check(namespace)?;
        Ok(Self {
            namespace: namespace.to_owned(),
        })
    }

    /// Whether the queue's name can be used.
    pub(super) fn check(&self, queue: Queue) -> Result<(), BrokerError> {
        check(queue.name())?;
        let too_long = self.dead(queue).len() > MAX_NAME_BYTES;
        if too_long || queue.name() == RESERVED {
            return Err(bad_name(&self.dead(queue)));
        }
        Ok(())
    }

    /// The exchange that every publish without a delay goes to.
    pub(super) fn exchange(&self) -> String {
        self.namespace.clone()
    }

    /// The queue of one level; also its routing key.
    pub(super) fn work(&self, queue: Queue, level: Level) -> String {
        format!("{}.{queue}.{level}", self.namespace)
    }

    /// What the names of all that a queue has start with.
    pub(super) fn of(&self, queue: Queue) -> String {
        format!("{}.{queue}", self.namespace)
    }

    /// The dead-letter queue; also its routing key.
    pub(super) fn dead(&self, queue: Queue) -> String {
        format!("{}.{queue}.dead", self.namespace)
    }

    /// A waiting room; also its routing key on the broker's own exchange.
    pub(super) fn room(&self, room: Room) -> String {
        let work = self.work(room.queue(), room.level());
        format!("{work}.room-{}", room.number())
    }

    /// The queue whose owner holds the baton. No level and no room is called so.
    pub(super) fn baton(&self) -> String {
        format!("{}.schedule.baton", self.namespace)
    }

    /// Where the stubs of what is published with the baton lie; also their routing key.
    pub(super) fn stubs(&self) -> String {
        format!("{}.schedule.stubs", self.namespace)
    }

    /// The queue that a parcel ends up in.
    pub(super) fn target(&self, destination: &Destination) -> String {
        match destination {
            Destination::Work(route) => self.work(route.queue, route.level),
            Destination::Aside(room) => self.room(*room),
            Destination::Dead(queue) => self.dead(*queue),
        }
    }

    /// The exchange where every delay starts: the highest step of the ladder.
    pub(super) fn delay_start(&self) -> String {
        self.step(STEPS - 1)
    }

    fn step(&self, step: u8) -> String {
        format!("{}.{RESERVED}.{step}", self.namespace)
    }

    /// Where every delay ends.
    fn due(&self) -> String {
        format!("{}.{RESERVED}.due", self.namespace)
    }
}

fn check(name: &str) -> Result<(), BrokerError> {
    // Dots separate words of a topic, stars and hashes are patterns; the rest of the alphabet is plain.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(bad_name(name));
    }
    Ok(())
}

fn bad_name(name: &str) -> BrokerError {
    BrokerError::BadName {
        name: name.to_owned(),
        rule: "it is 1 to about 150 letters, digits, dots, dashes and underscores, and not \"delay\"",
    }
}

/// What the namespace itself needs: the exchange, and the end of the delay ladder.
pub(super) fn base(names: &Names) -> Topology {
    let exchanges = vec![
        Exchange {
            name: names.exchange(),
            kind: Kind::Direct,
        },
        Exchange {
            name: names.due(),
            kind: Kind::Topic,
        },
    ];
    Topology {
        exchanges,
        ..Topology::default()
    }
}

/// The queues of all levels, and the dead-letter queue before them: a dead letter without a queue is gone.
pub(super) fn queue(names: &Names, queue: Queue) -> Topology {
    let dead = names.dead(queue);
    let mut topology = base(names);
    topology.queues.push(QueueSpec::new(&dead, without_limit()));
    topology
        .bindings
        .push(Binding::queue(&dead, &names.exchange(), &dead));
    for level in queue.every_level() {
        let name = names.work(queue, level);
        let arguments = dead_lettered(&names.exchange(), Some(&dead))
            .chain(without_limit())
            .collect::<Vec<_>>();
        topology.queues.push(QueueSpec::new(&name, arguments));
        topology
            .bindings
            .push(Binding::queue(&name, &names.exchange(), &name));
        // Exactly as many words as a delayed key has: no other queue whose name ends alike can match.
        let delayed = "*.".repeat(STEPS.into()) + &name;
        topology
            .bindings
            .push(Binding::queue(&name, &names.due(), &delayed));
    }
    topology
}

/// Where stubs lie, on the same exchange as all queues: a copy is routed together with its message. The baton's own queue is no part
/// of it: it comes and goes with its holder.
pub(super) fn stubs(names: &Names) -> Topology {
    let name = names.stubs();
    let mut topology = base(names);
    topology.queues.push(QueueSpec::new(&name, without_limit()));
    topology
        .bindings
        .push(Binding::queue(&name, &names.exchange(), &name));
    topology
}

/// The delay ladder: step `n` holds a message for 2^n units if bit `n` of its key is set, and passes it on otherwise.
pub(super) fn ladder(names: &Names) -> Topology {
    let mut topology = base(names);
    for step in 0..STEPS {
        let name = names.step(step);
        let below = step
            .checked_sub(1)
            .map_or_else(|| names.due(), |below| names.step(below));
        let before = "*.".repeat((STEPS - 1 - step).into());
        let ttl = [("x-message-ttl", Argument::Number(step_millis(step)))];
        topology.exchanges.push(Exchange {
            name: name.clone(),
            kind: Kind::Topic,
        });
        topology.queues.push(QueueSpec::new(
            &name,
            dead_lettered(&below, None).chain(ttl),
        ));
        topology
            .bindings
            .push(Binding::queue(&name, &name, &format!("{before}1.#")));
        topology.bindings.push(Binding {
            to: End::Exchange(below),
            exchange: name,
            key: format!("{before}0.#"),
        });
    }
    topology
}

/// How long a message stays in a room at most. Then it goes back to its level, where a worker looks at it again: a room that
/// everybody forgot, workers and ledger alike, empties itself. It loses its place by that, so it is longer than what waits
/// for a limit usually waits.
const ROOM_HOLDS: i64 = 24 * HOUR;
/// How long after its last use a room expires, and whatever is in it is gone. The last use is at most half an hour old
/// (`rooms::USED_EVERY`) when a message is put into it, and a day later that message has left: 24.5 hours. The rest is for a broker
/// that was down meanwhile, because the clock goes on: five days, with room to spare for dead-lettering what is then overdue.
const ROOM_EXPIRES: i64 = 7 * 24 * HOUR;
const HOUR: i64 = 3_600_000;

/// A waiting room. It is bound to nothing: what goes there is sent to the queue by its name.
pub(super) fn room(names: &Names, room: Room) -> QueueSpec {
    let level = names.work(room.queue(), room.level());
    let ends = [
        ("x-message-ttl", Argument::Number(ROOM_HOLDS)),
        ("x-expires", Argument::Number(ROOM_EXPIRES)),
    ];
    let arguments = dead_lettered(&names.exchange(), Some(&level))
        .chain(without_limit())
        .chain(ends)
        .collect::<Vec<_>>();
    QueueSpec::new(&names.room(room), arguments)
}

/// At least once needs `reject-publish`: without it the broker silently falls back to at most once.
fn dead_lettered(
    exchange: &str,
    key: Option<&str>,
) -> impl Iterator<Item = (&'static str, Argument)> {
    let text = |value: &str| Argument::Text(value.to_owned());
    let key = key.map(|key| ("x-dead-letter-routing-key", text(key)));
    let exchange = ("x-dead-letter-exchange", text(exchange));
    let strategy = ("x-dead-letter-strategy", text("at-least-once"));
    let overflow = ("x-overflow", text("reject-publish"));
    [exchange, strategy, overflow].into_iter().chain(key)
}

/// Handing back or peeking must never kill a message: since 4.0 a quorum queue drops it after 20 times by default. "No limit"
/// is -1 there, but before 4.0 that means that the first return is one too many. A limit out of reach is one on all of them.
fn without_limit() -> [(&'static str, Argument); 1] {
    [("x-delivery-limit", Argument::Number(i32::MAX.into()))]
}

impl QueueSpec {
    fn new(name: &str, arguments: impl IntoIterator<Item = (&'static str, Argument)>) -> Self {
        let quorum = ("x-queue-type", Argument::Text("quorum".to_owned()));
        Self {
            name: name.to_owned(),
            arguments: [quorum].into_iter().chain(arguments).collect(),
        }
    }
}

impl Binding {
    fn queue(queue: &str, exchange: &str, key: &str) -> Self {
        Self {
            to: End::Queue(queue.to_owned()),
            exchange: exchange.to_owned(),
            key: key.to_owned(),
        }
    }
}

impl Topology {
    /// A line for each exchange, queue and binding, for people.
    pub(super) fn describe(&self) -> Vec<String> {
        let exchanges = self.exchanges.iter().map(ToString::to_string);
        let queues = self.queues.iter().map(ToString::to_string);
        let bindings = self.bindings.iter().map(ToString::to_string);
        exchanges.chain(queues).chain(bindings).collect()
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Direct => "direct",
            Kind::Topic => "topic",
        };
        write!(f, "exchange {}  {kind}, durable", self.name)
    }
}

impl fmt::Display for QueueSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue {}  durable", self.name)?;
        self.arguments
            .iter()
            .try_for_each(|(name, value)| match value {
                Argument::Text(text) => write!(f, ", {name}={text}"),
                Argument::Number(number) => write!(f, ", {name}={number}"),
            })
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (End::Queue(to) | End::Exchange(to)) = &self.to;
        write!(f, "binding {} -> {to}  {}", self.exchange, self.key)
    }
}

#[cfg(test)]
mod tests;
