//! The topology as data, and a walk of a delayed message through it.

use std::collections::BTreeMap;

use super::*;
use crate::broker::rabbitmq::delay;
use crate::broker::rabbitmq::rooms::USED_EVERY;

fn names() -> Names {
    Names::new("app").expect("a good name")
}

fn arguments(spec: &QueueSpec) -> BTreeMap<&str, String> {
    let text = |value: &Argument| match value {
        Argument::Text(text) => text.clone(),
        Argument::Number(number) => number.to_string(),
    };
    spec.arguments
        .iter()
        .map(|(name, value)| (*name, text(value)))
        .collect()
}

fn map<'a>(pairs: &[(&'a str, &str)]) -> BTreeMap<&'a str, String> {
    pairs
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

#[test]
fn a_queue_has_its_dead_letters_first_and_then_its_levels() {
    let topology = queue(&names(), Queue::named("render").levels(2));
    let queues: Vec<&str> = topology.queues.iter().map(|spec| &*spec.name).collect();
    assert_eq!(queues, ["app.render.dead", "app.render.1", "app.render.0"]);
    let limit = i32::MAX.to_string();
    let dead = map(&[("x-queue-type", "quorum"), ("x-delivery-limit", &limit)]);
    let work = map(&[
        ("x-queue-type", "quorum"),
        ("x-delivery-limit", &limit),
        ("x-dead-letter-exchange", "app"),
        ("x-dead-letter-routing-key", "app.render.dead"),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ]);
    assert_eq!(
        topology.queues.iter().map(arguments).collect::<Vec<_>>(),
        [dead, work.clone(), work]
    );
}

#[test]
fn a_room_empties_itself_long_before_it_expires() {
    let queue = Queue::named("render").levels(4);
    let key = "any key, of any length \n".repeat(100);
    let spec = room(&names(), Room::of(queue, queue.level_numbered(2), &key));
    let number = spec.name.strip_prefix("app.render.2.room-");
    let number: u16 = number.and_then(|n| n.parse().ok()).expect("a number");
    assert!(number < 1024);
    let arguments = arguments(&spec);
    assert_eq!(arguments["x-queue-type"], "quorum");
    assert_eq!(arguments["x-dead-letter-exchange"], "app");
    assert_eq!(arguments["x-dead-letter-routing-key"], "app.render.2");
    assert_eq!(arguments["x-dead-letter-strategy"], "at-least-once");
    assert_eq!(arguments["x-overflow"], "reject-publish");
    let hours = |name| arguments[name].parse::<i64>().expect("a number") / HOUR;
    let unused = i64::try_from(USED_EVERY.as_secs() / 3600 + 1).expect("an hour");
    let outage = 100;
    assert!(unused + hours("x-message-ttl") + outage < hours("x-expires"));
}

#[test]
fn what_old_or_new_brokers_refuse_is_never_sent() {
    let both = [
        queue(&names(), Queue::named("q").levels(4)),
        ladder(&names()),
    ];
    for spec in both.iter().flat_map(|topology| &topology.queues) {
        for refused in [
            "x-max-priority",
            "x-consumer-timeout",
            "x-queue-mode",
            "x-queue-version",
        ] {
            assert!(!arguments(spec).contains_key(refused), "{spec}");
        }
        assert_eq!(arguments(spec)["x-queue-type"], "quorum");
    }
}

#[test]
fn the_ladder_has_32_steps_each_twice_as_long() {
    let ladder = ladder(&names());
    assert_eq!(
        (
            ladder.queues.len(),
            ladder.exchanges.len(),
            ladder.bindings.len()
        ),
        (32, 34, 64)
    );
    assert_eq!(
        ladder.queues[0].to_string(),
        "queue app.delay.0  durable, x-queue-type=quorum, x-dead-letter-exchange=app.delay.due, x-dead-letter-strategy=at-least-once, x-overflow=reject-publish, x-message-ttl=100"
    );
    let highest = arguments(&ladder.queues[31]);
    assert_eq!(
        (
            &*highest["x-message-ttl"],
            &*highest["x-dead-letter-exchange"]
        ),
        ("214748364800", "app.delay.30")
    );
}

/// Walks a delayed message down the ladder as a topic exchange would, adding up what it waits.
fn walk(topologies: &[Topology], key: &str) -> (i64, Vec<String>) {
    let (mut exchange, mut waited) = (names().delay_start(), 0);
    loop {
        let all = topologies.iter().flat_map(|topology| &topology.bindings);
        let hits: Vec<&Binding> = all
            .filter(|binding| binding.exchange == exchange && matches(&binding.key, key))
            .collect();
        if exchange == names().due() {
            return (
                waited,
                hits.into_iter()
                    .map(|binding| end(binding).to_owned())
                    .collect(),
            );
        }
        assert_eq!(hits.len(), 1, "exactly one way on from {exchange}");
        exchange = match &hits[0].to {
            End::Exchange(next) => next.clone(),
            End::Queue(name) => {
                let all = topologies.iter().flat_map(|topology| &topology.queues);
                let arguments = arguments(
                    all.into_iter()
                        .find(|spec| spec.name == *name)
                        .expect("declared"),
                );
                waited += arguments["x-message-ttl"].parse::<i64>().expect("a number");
                arguments["x-dead-letter-exchange"].clone()
            }
        };
    }
}

fn end(binding: &Binding) -> &str {
    let (End::Queue(name) | End::Exchange(name)) = &binding.to;
    name
}

fn matches(pattern: &str, key: &str) -> bool {
    let (mut pattern, mut key) = (pattern.split('.'), key.split('.'));
    loop {
        match (pattern.next(), key.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(word)) if wanted == word => {}
            _ => return false,
        }
    }
}

#[test]
fn a_delayed_message_waits_its_delay_and_reaches_its_own_queue_alone() {
    let (short, long) = (
        Queue::named("b.0").levels(1),
        Queue::named("a.app.b").levels(2),
    );
    let topologies = [
        ladder(&names()),
        queue(&names(), short),
        queue(&names(), long),
        queue(&names(), Queue::named("b")),
    ];
    for units in [1, 2, 5, 864_000, u32::MAX] {
        for (queue, level) in [(short, 0), (long, 0), (long, 1), (Queue::named("b"), 0)] {
            let target = format!("app.{queue}.{level}");
            let (waited, reached) = walk(&topologies, &delay::routing_key(units, &target));
            assert_eq!((waited, reached), (i64::from(units) * 100, vec![target]));
        }
    }
}

#[test]
fn names_that_would_not_work_are_refused() {
    for bad in ["", "a b", "a*", "#", "é"] {
        assert!(Names::new(bad).is_err(), "{bad:?}");
    }
    let long: &'static str = Box::leak("q".repeat(182).into_boxed_str());
    let table = [
        ("render", true),
        ("two-words", true),
        ("delay", false),
        ("*", false),
        (&long[..181], true),
        (long, false),
    ];
    for (name, good) in table {
        assert_eq!(names().check(Queue::named(name)).is_ok(), good, "{name:?}");
    }
    assert!(delay::routing_key(0, &names().dead(Queue::named(&long[..181]))).len() < 255);
}

#[test]
fn people_can_read_it() {
    let lines = queue(&names(), Queue::named("email")).describe();
    assert_eq!(lines[0], "exchange app  direct, durable");
    assert_eq!(
        lines[2],
        format!(
            "queue app.email.dead  durable, x-queue-type=quorum, x-delivery-limit={}",
            i32::MAX
        )
    );
    assert_eq!(lines[5], "binding app -> app.email.0  app.email.0");
}
