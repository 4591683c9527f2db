//! A name on the broker that only one test uses. With it go its queues and exchanges: forty quorum queues per test would
//! slow the broker down for all others.

use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Channel, Connection, ConnectionProperties};
use sapari_fault_worker::PAIRS;
use sapari_runtime::broker::Room;
use sapari_runtime::queue::Queue;
use sapari_tasks::Role;
use uuid::Uuid;

use super::space::broker_url;

const CLEAN_UP_LIMIT: Duration = Duration::from_secs(30);
/// How many steps the delay ladder has.
const STEPS: u32 = 32;

/// Dropped, it deletes what was declared under its name.
pub(super) struct Namespace(String);

impl Namespace {
    pub(super) fn new() -> Self {
        Self(format!("t-{}", Uuid::new_v4().simple()))
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.0);
        // A thread with a runtime of its own: drop cannot await, and the test's runtime may be single-threaded.
        let cleaned = std::thread::spawn(move || delete(&name)).join();
        // Not a panic: the test may be in one already, and what is left over harms no other test.
        if !matches!(cleaned, Ok(Ok(()))) {
            eprintln!("queues are left on the broker: {cleaned:?}");
        }
    }
}

fn delete(name: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        tokio::time::timeout(CLEAN_UP_LIMIT, delete_all(name))
            .await
            .map_err(|late| late.to_string())?
            .map_err(|error| error.to_string())
    })
}

/// Deleting what is not there is no error for RabbitMQ.
async fn delete_all(name: &str) -> lapin::Result<()> {
    let connection = Connection::connect(&broker_url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let queues = join_all(queues(name).map(|queue| delete_queue(&channel, queue))).await;
    let exchanges =
        join_all(exchanges(name).map(|exchange| delete_exchange(&channel, exchange))).await;
    queues
        .into_iter()
        .chain(exchanges)
        .collect::<lapin::Result<()>>()?;
    connection.close(200, "cleaned up".into()).await
}

async fn delete_queue(channel: &Channel, name: String) -> lapin::Result<()> {
    let options = QueueDeleteOptions::default();
    channel
        .queue_delete(name.as_str().into(), options)
        .await
        .map(drop)
}

async fn delete_exchange(channel: &Channel, name: String) -> lapin::Result<()> {
    let options = ExchangeDeleteOptions::default();
    channel.exchange_delete(name.as_str().into(), options).await
}

fn queues(name: &str) -> impl Iterator<Item = String> {
    let levels = ["0", "1", "2", "3", "dead"];
    let roles = Role::ALL.map(Role::queue).into_iter();
    let of_queue = |queue: Queue| levels.map(|level| format!("{name}.{}.{level}", queue.name()));
    let work: Vec<String> = roles
        .chain([sapari_fault_worker::QUEUE])
        .flat_map(of_queue)
        .collect();
    let stubs = [format!("{name}.schedule.stubs")];
    work.into_iter()
        .chain(stubs)
        .chain(rooms(name))
        .chain(steps(name))
}

/// Those of the fault worker's limit.
fn rooms(name: &str) -> impl Iterator<Item = String> {
    let queue = sapari_fault_worker::QUEUE;
    queue.every_level().map(move |level| {
        let number = Room::of(queue, level, PAIRS).number();
        format!("{name}.{queue}.{level}.room-{number}")
    })
}

fn exchanges(name: &str) -> impl Iterator<Item = String> {
    [name.to_owned(), format!("{name}.delay.due")]
        .into_iter()
        .chain(steps(name))
}

/// Each step of the ladder is an exchange and a queue.
fn steps(name: &str) -> impl Iterator<Item = String> {
    (0..STEPS).map(move |step| format!("{name}.delay.{step}"))
}

/// Only what is declared can be left over, so this asks for the names that a broker declares, not for those deleted here.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_namespace_outlives_it() {
    let space = super::Space::new();
    let broker = space.broker().await;
    let queue = Role::Render.queue();
    broker.declare(queue).await.expect("declared");
    let declared = names(&broker.describe(queue));
    assert!(
        declared.len() > 32,
        "levels, exchanges, ladder: {declared:?}"
    );
    assert_eq!(left_over(&declared).await, declared);
    broker.close().await;
    drop(space);
    assert_eq!(left_over(&declared).await, [""; 0]);
}

/// The names in `exchange NAME ..`, `queue NAME ..`, and those of the ladder, which is described by its highest step.
fn names(described: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for line in described {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("exchange" | "queue"), Some(name), _) => names.push(name.to_owned()),
            (Some("delay"), Some("ladder"), Some(top)) => {
                let (ladder, highest) = top.rsplit_once('.').expect("name.31");
                let highest: u32 = highest.parse().expect("a number");
                names.extend((0..=highest).map(|step| format!("{ladder}.{step}")));
            }
            _ => {}
        }
    }
    names
}

/// Those that the broker has as a queue or as an exchange.
async fn left_over(names: &[String]) -> Vec<String> {
    let connection = Connection::connect(&broker_url(), ConnectionProperties::default()).await;
    let connection = connection.expect("RabbitMQ is up: scripts/services up starts it");
    let mut left = Vec::new();
    for name in names {
        if has_queue(&connection, name).await || has_exchange(&connection, name).await {
            left.push(name.clone());
        }
    }
    left
}

/// On a channel of its own: a no closes it.
async fn has_queue(connection: &Connection, name: &str) -> bool {
    let options = lapin::options::QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let channel = connection.create_channel().await.expect("a channel");
    let asked = channel.queue_declare(name.into(), options, Default::default());
    asked.await.is_ok()
}

async fn has_exchange(connection: &Connection, name: &str) -> bool {
    let options = lapin::options::ExchangeDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let channel = connection.create_channel().await.expect("a channel");
    let kind = lapin::ExchangeKind::Direct;
    let asked = channel.exchange_declare(name.into(), kind, options, Default::default());
    asked.await.is_ok()
}
