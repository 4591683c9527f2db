//! Takes a delivery for every free slot, highest level first, and spawns its attempt. It never takes what it cannot start.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admit::slots_of;
use super::attempt::{self, Slot};
use super::engine::Engine;
use super::parking::Taken;
use super::plan::Plan;
use super::{Servers, WorkerError, drain, keeper, over_limit, parking, settle};
use crate::broker::{Consumer, most_held, prefetch};
use crate::queue::Level;
use crate::vitals::Working;

/// How long a delivery that needs more slots than are free waits for them before it goes back.
const HOLD: Duration = Duration::from_millis(400);

/// How long slots are kept for a delivery at most: another worker may have run it meanwhile.
const RESERVED: Duration = Duration::from_secs(30);
/// How often a reserve lets a higher level through.
const LOOK_HIGHER: Duration = Duration::from_millis(200);

impl Plan {
    /// Runs it: see [`Worker::run`](super::Worker::run).
    ///
    /// # Errors
    /// [`WorkerError`].
    pub async fn run(
        self,
        servers: Servers,
        shutdown: CancellationToken,
    ) -> Result<(), WorkerError> {
        self.check()?;
        run(self, servers, shutdown).await
    }
}

async fn run(
    mut plan: Plan,
    servers: Servers,
    shutdown: CancellationToken,
) -> Result<(), WorkerError> {
    let window = window(&plan);
    let engine = Arc::new(Engine::new(&mut plan, servers));
    engine.score.begin(&engine);
    engine.servers.broker.declare(engine.queue).await?;
    // Before anything is taken: what was cancelled or paused must be known by then.
    let keeper = keeper::start(&engine).await;
    over_limit::make_rooms(&engine).await;
    let mut consumer = engine.servers.broker.consume(engine.queue, window).await?;
    tracing::info!(queue = %engine.queue, worker = engine.name, slots = plan.slots, tasks = engine.tasks.len(), "ready");

    let attempts = TaskTracker::new();
    if plan.read_ahead.is_none() {
        consumer.may_hold(most_held(plan.slots));
    }
    if let Some(after) = plan.aging {
        consumer.age_after(after);
    }
    engine.vitals.working(Working {
        queue: engine.queue,
        slots: plan.slots,
        in_use: Arc::clone(&engine.in_use),
        liveness: consumer.liveness(),
        broker: Arc::clone(&engine.servers.broker),
    });
    let taken = take_until(&engine, &mut *consumer, &attempts, &shutdown).await;
    engine.draining.store(true, Ordering::Release);
    engine.vitals.draining();
    consumer.stop().await;
    for parked in engine.parking.clear() {
        settle::hand_back_unread(parked).await;
    }
    let grace = grace_of(&taken, plan.drain_grace);
    drain::drain(&attempts, &engine.interrupt, grace).await;
    keeper.stop(&engine).await;
    taken
}

/// How many deliveries of a level may be here at once, to begin with: what the slots need, and those that wait for a place in a limit.
fn window(plan: &Plan) -> u16 {
    let parked = if plan.is_limited() {
        parking::PER_LEVEL
    } else {
        0
    };
    let running_or_next = match plan.read_ahead {
        Some(ahead) => plan.slots.saturating_add(ahead),
        None => prefetch(plan.slots),
    };
    running_or_next.saturating_add(u16::try_from(parked).unwrap_or(u16::MAX))
}

/// A worker that lost its consumer cannot ack any more: waiting longer would only repeat the work twice.
fn grace_of(taken: &Result<(), WorkerError>, grace: Duration) -> Duration {
    if taken.is_ok() { grace } else { Duration::ZERO }
}

async fn take_until(
    engine: &Arc<Engine>,
    consumer: &mut dyn Consumer,
    attempts: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<(), WorkerError> {
    let mut reserve = None;
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            taken = take_one(engine, consumer, &mut reserve) => match taken {
                // Boxed: spawning moves a future several times over, and this one has kilobytes.
                Some((taken, slot)) => attempts.spawn(Box::pin(attempt::attempt(Arc::clone(engine), taken, slot))),
                None => return Err(WorkerError::ConsumerGone(engine.queue)),
            },
        };
    }
}

/// Slots are kept for a delivery that needed more than were free: those of its level and below wait until it has them, or until
/// somebody else may have run it.
struct Reserve {
    slots: u32,
    level: Level,
    until: Instant,
}

/// First a slot, then a delivery: the highest level is chosen when the slot is free, not before. Until then, what waits here
/// goes back to where a worker with a free slot can take it.
async fn take_one(
    engine: &Engine,
    consumer: &mut dyn Consumer,
    reserve: &mut Option<Reserve>,
) -> Option<(Taken, Slot)> {
    loop {
        engine.heard.resumed().await;
        let (slots, taken) = match reserve {
            Some(kept) if Instant::now() >= kept.until => {
                *reserve = None;
                continue;
            }
            Some(kept) => match reserved(engine, consumer, kept).await? {
                Some((slots, None)) => {
                    *reserve = None;
                    (slots, None)
                }
                Some(higher) => higher,
                None => continue,
            },
            None => (free_slots(engine, consumer, 1).await?, None),
        };
        // Paused while it waited: then nothing is taken.
        let taken = match taken {
            Some(taken) => taken,
            None if engine.heard.is_paused() => continue,
            None => tokio::select! {
                biased;
                () = engine.heard.paused() => continue,
                taken = next(engine, consumer) => taken?,
                () = engine.alone.somebody_waits() => continue,
            },
        };
        let cost = slots_of(engine, &*taken.delivery.headers);
        match fit(&engine.slots, slots, cost).await {
            Some(slots) => return Some((taken, Slot::of(slots, engine))),
            // Others go on; it is taken when there is enough for it.
            None => {
                reserve.get_or_insert(Reserve {
                    slots: cost,
                    level: taken.delivery.level,
                    until: Instant::now() + RESERVED,
                });
                settle::hand_back_unread(taken.delivery).await;
            }
        }
    }
}

/// All slots of the reserve; or one, and a delivery of a higher level for it; or nothing yet.
async fn reserved(
    engine: &Engine,
    consumer: &mut dyn Consumer,
    reserve: &Reserve,
) -> Option<Option<(OwnedSemaphorePermit, Option<Taken>)>> {
    let all = timeout(LOOK_HIGHER, free_slots(engine, consumer, reserve.slots)).await;
    if let Ok(slots) = all {
        return Some(Some((slots?, None)));
    }
    let Ok(slot) = Arc::clone(&engine.slots).try_acquire_owned() else {
        return Some(None);
    };
    let higher = consumer.take_above(reserve.level);
    Some(higher.map(|delivery| (slot, Some(Taken::from(delivery)))))
}

/// Waits for free slots; meanwhile what others could start goes back.
async fn free_slots(
    engine: &Engine,
    consumer: &mut dyn Consumer,
    wanted: u32,
) -> Option<OwnedSemaphorePermit> {
    let handing_back = async {
        loop {
            let overdue = engine.parking.overdue().await;
            over_limit::hand_back(engine, overdue).await;
        }
    };
    let slots = async {
        engine.alone.nobody_waits().await;
        Arc::clone(&engine.slots).acquire_many_owned(wanted).await
    };
    tokio::select! {
        biased;
        slots = slots => slots.ok(),
        () = consumer.hand_back_what_waits() => None,
        () = handing_back => None,
    }
}

/// The next delivery: of those over a limit whose turn has come, or of the broker's, whichever is on the higher level.
async fn next(engine: &Engine, consumer: &mut dyn Consumer) -> Option<Taken> {
    loop {
        if let Some(level) = engine.parking.level_due() {
            let higher = consumer.take_above(level).map(Taken::from);
            if let Some(taken) = higher.or_else(|| engine.parking.take_due()) {
                engine.rooms.stir();
                if taken.delivery.is_lost() {
                    continue;
                }
                return Some(taken);
            }
        }
        tokio::select! {
            biased;
            delivery = consumer.next() => return delivery.map(Taken::from),
            () = engine.parking.due() => {}
        }
    }
}

/// As many slots as the delivery needs: what is too much is given back at once, what is missing is waited for a little.
async fn fit(
    all: &Arc<Semaphore>,
    mut slots: OwnedSemaphorePermit,
    cost: u32,
) -> Option<OwnedSemaphorePermit> {
    let have = u32::try_from(slots.num_permits()).unwrap_or(u32::MAX);
    if have > cost {
        return slots.split(cost as usize);
    }
    if have < cost {
        let missing = Arc::clone(all).acquire_many_owned(cost - have);
        slots.merge(timeout(HOLD, missing).await.ok()?.ok()?);
    }
    Some(slots)
}
