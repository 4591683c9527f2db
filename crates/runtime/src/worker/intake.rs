//! Takes a delivery for every free slot, highest level first, and spawns its attempt. It never takes what it cannot start.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::engine::Engine;
use super::plan::Plan;
use super::{Servers, WorkerError, attempt, drain};
use crate::broker::{Consumer, Delivery, prefetch};

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
    let engine = Arc::new(Engine::new(&mut plan, servers));
    engine.servers.broker.declare(engine.queue).await?;
    let mut consumer = engine
        .servers
        .broker
        .consume(engine.queue, prefetch(plan.slots))
        .await?;
    tracing::info!(queue = %engine.queue, slots = plan.slots, tasks = engine.tasks.len(), "ready");

    let attempts = TaskTracker::new();
    let taken = take_until(&engine, &mut *consumer, &attempts, plan.slots, &shutdown).await;
    consumer.stop().await;
    drain::drain(
        &attempts,
        &engine.interrupt,
        grace_of(&taken, plan.drain_grace),
    )
    .await;
    taken
}

/// A worker that lost its consumer cannot ack any more: waiting longer would only repeat the work twice.
fn grace_of(taken: &Result<(), WorkerError>, grace: Duration) -> Duration {
    if taken.is_ok() { grace } else { Duration::ZERO }
}

async fn take_until(
    engine: &Arc<Engine>,
    consumer: &mut dyn Consumer,
    attempts: &TaskTracker,
    slots: u16,
    shutdown: &CancellationToken,
) -> Result<(), WorkerError> {
    let slots = Arc::new(Semaphore::new(usize::from(slots)));
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            taken = take_one(&slots, consumer) => match taken {
                // Boxed: spawning moves a future several times over, and this one has nine kilobytes.
                Some((delivery, slot)) => attempts.spawn(Box::pin(attempt::attempt(Arc::clone(engine), delivery, slot))),
                None => return Err(WorkerError::ConsumerGone(engine.queue)),
            },
        };
    }
}

/// First a slot, then a delivery: the highest level is chosen when the slot is free, not before. Until then, what waits here
/// goes back to where a worker with a free slot can take it.
async fn take_one(
    slots: &Arc<Semaphore>,
    consumer: &mut dyn Consumer,
) -> Option<(Delivery, OwnedSemaphorePermit)> {
    let slot = tokio::select! {
        biased;
        slot = Arc::clone(slots).acquire_owned() => slot.ok()?,
        () = consumer.hand_back_what_waits() => return None,
    };
    Some((consumer.next().await?, slot))
}
