//! What every attempt of a running worker shares. Made once from the plan; what changes in it while the worker runs changes
//! by itself: counts, what was heard, what is under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use sapari_telemetry::framework::Parenting;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Servers;
use super::alone::Alone;
use super::conclude::Owed;
use super::heard::Heard;
use super::parking::Parking;
use super::plan::{Plan, Registered};
use super::rooms::Rooms;
use super::running::Running;
use super::score::Score;
use crate::client::Tasks;
use crate::ledger::Ledger;
use crate::middleware::Stack;
use crate::pipeline::Shelf;
use crate::queue::Queue;
use crate::vitals::Vitals;

/// How many attempts are under way at most when some of them wait for the result store without a slot: enough for its line to be
/// in use, and few enough that a store that is away soon stops the worker. Many slots use the line anyway.
const WITH_SETTLING: u16 = 48;

/// What every attempt of a running worker shares.
pub(super) struct Engine {
    /// The worker's name, unique among all.
    pub(super) name: String,
    pub(super) queue: Queue,
    pub(super) tasks: BTreeMap<&'static str, Registered>,
    pub(super) stack: Arc<Stack>,
    pub(super) servers: Servers,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) client: Tasks,
    /// Where pipelines keep what their steps came to.
    pub(super) shelf: Arc<Shelf>,
    pub(super) parenting: Parenting,
    pub(super) running: Running,
    pub(super) heard: Heard,
    pub(super) parking: Arc<Parking>,
    pub(super) alone: Alone,
    pub(super) rooms: Arc<Rooms>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) slot_count: u16,
    /// How many attempts may wait for the result store without a slot.
    pub(super) settling: Arc<Semaphore>,
    /// How many slots have an attempt; one that waits for a delivery has none, and a stuck attempt has given its own up.
    pub(super) in_use: Arc<AtomicU32>,
    /// How long a claim outlives its worker.
    pub(super) lease: Duration,
    /// How long a message that nobody here knows is waited for.
    pub(super) unknown_wait: Duration,
    pub(super) counts: Counts,
    pub(super) score: Score,
    pub(super) vitals: Vitals,
    /// Claims that the ledger did not hear the end of.
    pub(super) owed: Owed,
    /// Says that an attempt has progress to be written down.
    pub(super) progress: Arc<Notify>,
    /// No more is taken.
    pub(super) draining: AtomicBool,
    /// Trips when running attempts must end because the worker does.
    pub(super) interrupt: CancellationToken,
}

/// What the worker has done so far.
#[derive(Default)]
pub(super) struct Counts {
    attempts: AtomicU64,
    settled: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// The number of the next attempt.
    pub(super) fn next_attempt(&self) -> u64 {
        self.attempts.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn note_settled(&self, failed: bool) {
        self.settled.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
    }

    /// Settled, and failed among them.
    pub(super) fn so_far(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.settled), read(&self.failed))
    }
}

impl Engine {
    pub(super) fn new(plan: &mut Plan, servers: Servers) -> Self {
        let stack = Arc::new(plan.build_stack(servers.broker.system()));
        let client = Tasks::with_stack(
            Arc::clone(&servers.broker),
            Arc::clone(&servers.results),
            Arc::clone(&stack),
        );
        Self {
            name: name_of_process(plan.queue.name()),
            queue: plan.queue,
            tasks: std::mem::take(&mut plan.tasks),
            stack,
            ledger: servers.results.ledger(),
            shelf: Arc::new(Shelf::new(servers.results.ledger(), plan.depot.clone())),
            servers,
            client,
            parenting: plan.parenting,
            running: Running::default(),
            heard: Heard::default(),
            parking: Arc::default(),
            alone: Alone::default(),
            rooms: Arc::default(),
            slots: Arc::new(Semaphore::new(plan.slots.into())),
            slot_count: plan.slots,
            settling: Arc::new(Semaphore::new(settling_places(plan.slots).into())),
            in_use: Arc::default(),
            lease: plan.lease,
            unknown_wait: plan.unknown_wait,
            counts: Counts::default(),
            score: Score::default(),
            vitals: plan.vitals.clone(),
            owed: Owed::default(),
            progress: Arc::default(),
            draining: AtomicBool::new(false),
            interrupt: CancellationToken::new(),
        }
    }
}

/// How many attempts may wait for the result store without a slot.
pub(super) fn settling_places(slots: u16) -> u16 {
    WITH_SETTLING.saturating_sub(slots)
}

/// `render@host:4711-5f3c`: for people, and unique also among workers of one process.
pub(crate) fn name_of_process(queue: &str) -> String {
    let unique = Uuid::new_v4().as_u128() as u16;
    format!("{queue}@{}:{}-{unique:04x}", host(), std::process::id())
}

/// What this machine calls itself.
pub(super) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = name.ok().or_else(|| std::env::var("HOSTNAME").ok());
    let name = name.unwrap_or_default().trim().to_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}
