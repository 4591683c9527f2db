//! Thousands of tasks while everything breaks in turn: workers are killed, connections cut, both servers restarted. Every message
//! comes to one end, and what ran twice was in flight when something broke. `make soak` runs it for two minutes.

use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use nix::sys::signal::Signal;
use sapari_fault_worker::{Nap, Note, QUEUE, now_us};
use sapari_runtime::broker::conformance::settled_depth;
use sapari_runtime::message::MessageId;
use sapari_runtime::result::Results;
use sapari_runtime::result::redis::{RedisConfig, RedisResults};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use uuid::Uuid;

use super::ground::{Client, Ground};
use super::tally::{Fault, Tally};
use crate::processes::support::Process;
use crate::proxy::Proxy;
use crate::servers::{self, Lease, Store};

/// How long things break, when nobody says: short enough for every run of the tests.
const SECONDS: u64 = 30;
const TASKS_PER_SECOND: u64 = 167;
const WORKERS: usize = 3;
const KILL_EVERY: u64 = 3;
const CUT_EVERY: u64 = 5;
/// How often in all, spread evenly.
const BROKER_RESTARTS: u64 = 3;
const STORE_RESTARTS: u64 = 2;
/// Of the workers' way to the broker and back.
const LATENCY: Duration = Duration::from_millis(2);
/// How long after the last fault everything may take to come to its end.
const CALM: Duration = Duration::from_secs(120);
/// From a handler's end to its stored result, on a busy machine: so long an attempt is in flight.
const SETTLING: Duration = Duration::from_millis(500);

struct Soak {
    ground: Ground,
    broker: Lease,
    store: Store,
    proxy: Proxy,
    workers: Vec<Process>,
}

/// What was broken so far.
#[derive(Default)]
struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Breaks something, and notes from when until when.
    async fn during<T>(&self, pid: Option<u32>, breaking: impl Future<Output = T>) -> T {
        let at_us = now_us();
        let broken = breaking.await;
        let fault = Fault {
            at_us,
            until_us: now_us(),
            pid,
        };
        self.0.lock().expect("no panic").push(fault);
        broken
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_comes_to_one_end_while_everything_breaks_in_turn() {
    let seconds =
        std::env::var("SOAK_SECONDS").map_or(SECONDS, |text| text.parse().expect("seconds"));
    let mut soak = Soak::begun().await;
    let kicking = tokio::spawn(kick_all(
        soak.ground.client().await,
        seconds * TASKS_PER_SECOND,
        Duration::from_secs(seconds),
    ));
    let faults = soak.break_for(seconds).await;
    let (ids, kicked_again) = kicking.await.expect("all are kicked");
    let since = Instant::now();
    let missing = soak.missing(&ids).await;
    let client = soak.ground.client().await;
    let depth = settled_depth(&*client.broker, QUEUE, |depth| depth.ready == [0; 4]).await;
    let calm = since.elapsed();
    soak.workers.clear();
    let tally = Tally::of(&soak.ground.notes(), &faults, SETTLING);
    println!(
        "soak of {seconds} s: {} tasks, {} kills, {} faults, calm after {calm:?}; ran {}, again {}, in flight at faults {}, kicked again {kicked_again}, again without a kill {}, without an end {}, dead {}",
        ids.len(),
        faults.iter().filter(|fault| fault.pid.is_some()).count(),
        faults.len(),
        tally.ran,
        tally.again,
        tally.in_flight,
        tally.unkilled.len(),
        missing.len(),
        depth.dead,
    );
    assert_eq!(missing, [], "these have no final state");
    assert_eq!((tally.ran, depth.dead), (ids.len(), 0));
    assert!(tally.again <= tally.in_flight + kicked_again);
    // More than was asked for: only the death of its process makes a message run again. A kick again is another kick.
    assert!(
        tally.unkilled.len() <= kicked_again,
        "{:#?}",
        story(&soak.ground.notes(), &tally.unkilled, &faults)
    );
}

impl Soak {
    async fn begun() -> Self {
        let mut broker = servers::broker().await;
        let store = Store::started().await;
        let proxy = Proxy::before(&broker.place()).await;
        proxy.delay(LATENCY);
        let ground = Ground::on(&broker.url())
            .await
            .results(&store.url())
            .through(&format!("amqp://127.0.0.1:{}", proxy.port()))
            .with("SAPARI_LOG", "error");
        // The client declares the queue before anybody kicks.
        ground.client().await;
        broker.remember_queues().await;
        let workers = (0..WORKERS).map(|_| ground.start(&[])).collect();
        Self {
            ground,
            broker,
            store,
            proxy,
            workers,
        }
    }

    /// Everything at its own pace, for so long.
    async fn break_for(&mut self, seconds: u64) -> Vec<Fault> {
        let Self {
            ground,
            broker,
            store,
            proxy,
            workers,
        } = self;
        let faults = Faults::default();
        tokio::join!(
            kill_workers(ground, workers, seconds, &faults),
            cut_connections(proxy, seconds, &faults),
            restart_the_broker(broker, seconds, &faults),
            restart_the_store(store, seconds, &faults),
        );
        faults.0.into_inner().expect("no panic")
    }

    /// Those without a final state once there was time enough for all.
    async fn missing(&self, ids: &[MessageId]) -> Vec<MessageId> {
        let results = RedisResults::connect(RedisConfig::new(self.store.url())).await;
        let results = &results.expect("it is up");
        let end = Instant::now() + CALM;
        let ended = |id: MessageId| async move {
            let record = timeout(end - Instant::now(), results.wait(&id)).await;
            (!matches!(record, Ok(Ok(_)))).then_some(id)
        };
        stream::iter(ids.to_vec())
            .map(ended)
            .buffer_unordered(100)
            .filter_map(async |missing| missing)
            .collect()
            .await
    }
}

/// What happened to these messages, for whoever looks into a failure: times since the first fault, in milliseconds.
fn story(notes: &[Note], ids: &[String], faults: &[Fault]) -> Vec<String> {
    let zero = faults.iter().map(|fault| fault.at_us).min().unwrap_or(0);
    let ms = |at_us: u128| (at_us as f64 - zero as f64) / 1000.0;
    let noted = notes.iter().filter(|note| ids.contains(&note.id));
    let noted = noted.map(|note| {
        let (id, pid, moment) = (&note.id, note.pid, &note.moment);
        format!("{id} {moment} in {pid} at {:.1} ms", ms(note.at_us))
    });
    let broken = faults.iter().map(|fault| {
        let (from, until) = (ms(fault.at_us), ms(fault.until_us));
        format!("fault of {:?} from {from:.1} to {until:.1} ms", fault.pid)
    });
    noted.chain(broken).collect()
}

async fn kill_workers(ground: &Ground, workers: &mut Vec<Process>, seconds: u64, faults: &Faults) {
    for mut tick in moments(seconds / KILL_EVERY, seconds) {
        tick.as_mut().await;
        let worker = workers.remove(0);
        let pid = u32::try_from(worker.pid().as_raw()).ok();
        faults
            .during(pid, async {
                worker.signal(Signal::SIGKILL);
                worker.ended().await
            })
            .await;
        workers.push(ground.start(&[]));
    }
}

async fn cut_connections(proxy: &Proxy, seconds: u64, faults: &Faults) {
    for mut tick in moments(seconds / CUT_EVERY, seconds) {
        tick.as_mut().await;
        faults.during(None, async { proxy.cut() }).await;
    }
}

/// Killed and asked to end in turn.
async fn restart_the_broker(broker: &mut Lease, seconds: u64, faults: &Faults) {
    for (number, mut tick) in moments(BROKER_RESTARTS, seconds).enumerate() {
        tick.as_mut().await;
        let ending = async {
            match number % 2 {
                0 => broker.kill().await,
                _ => broker.stop().await,
            }
        };
        faults.during(None, ending).await;
        broker.start().await;
    }
}

async fn restart_the_store(store: &mut Store, seconds: u64, faults: &Faults) {
    for mut tick in moments(STORE_RESTARTS, seconds) {
        tick.as_mut().await;
        let restarting = async {
            store.kill().await;
            store.start().await;
        };
        faults.during(None, restarting).await;
    }
}

/// So many moments, evenly spread over the time from now on.
fn moments(count: u64, seconds: u64) -> impl Iterator<Item = Pin<Box<Sleep>>> {
    let begun = Instant::now();
    let part = Duration::from_secs(seconds).div_f64((count + 1) as f64);
    (1..=count).map(move |number| {
        let number = u32::try_from(number).expect("a few");
        Box::pin(sleep_until(begun + part * number))
    })
}

/// Kicks evenly over the time, again with the same id when a kick may not have arrived; says how often that was.
async fn kick_all(client: Client, count: u64, over: Duration) -> (Vec<MessageId>, usize) {
    let client = &client;
    let begun = Instant::now();
    let kicks = stream::iter(0..count).map(|number| async move {
        let due = begun + over.mul_f64(number as f64 / count as f64);
        sleep_until(due).await;
        let dice = u64::try_from(Uuid::new_v4().as_u128() >> 64).expect("64 bits");
        kick(
            client,
            Nap {
                millis: 20 + dice % 100,
            },
        )
        .await
    });
    let kicked: Vec<(MessageId, usize)> = kicks.buffer_unordered(256).collect().await;
    let again = kicked.iter().map(|(_, again)| again).sum();
    (kicked.into_iter().map(|(id, _)| id).collect(), again)
}

async fn kick(client: &Client, nap: Nap) -> (MessageId, usize) {
    let id = MessageId::new();
    let mut again = 0;
    while client.tasks.kick(nap.clone()).id(id.clone()).await.is_err() {
        again += 1;
    }
    (id, again)
}
