//! The last chance of a message whose workers died while they ran it: it runs alone in its process. If it kills this worker too, it
//! takes nobody along, and what ran beside it before is found out to be innocent.
//!
//! Alone means that all slots are its own, so intake needs no rule beside its usual one: without a free slot, what waits goes to
//! other workers. A stuck handler has given its slots up, and is not waited for.

use std::sync::Arc;

use tokio::sync::watch;

use super::admit::{Course, admit_alone};
use super::attempt::Slot;
use super::engine::{Engine, settling_places};
use super::reception::Reception;
use super::running::Place;
use crate::task::Policy;

/// How many messages wait to be alone.
pub(super) struct Alone {
    waiting: watch::Sender<usize>,
}

impl Default for Alone {
    fn default() -> Self {
        let waiting = watch::Sender::new(0);
        Self { waiting }
    }
}

impl Alone {
    /// Returns at once unless a message waits to be alone, and else when none does any more. Cancel-safe.
    pub(super) async fn nobody_waits(&self) {
        if *self.waiting.borrow() > 0 {
            self.until(|waiting| waiting == 0).await;
        }
    }

    /// Returns when a message waits to be alone: who holds a slot without a delivery gives it back. Cancel-safe.
    pub(super) async fn somebody_waits(&self) {
        self.until(|waiting| waiting > 0).await;
    }

    async fn until(&self, wanted: impl Fn(usize) -> bool) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives as long as this does.
        let _ = waiting.wait_for(|waiting| wanted(*waiting)).await;
    }

    fn wait(&self) -> Waiting<'_> {
        self.waiting.send_modify(|waiting| *waiting += 1);
        Waiting(self)
    }
}

struct Waiting<'a>(&'a Alone);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

/// What becomes of a message on its last chance, once it is alone here. While it waits it has no slot, so that two of them do not
/// wait for each other, and no claim, so that a worker that dies meanwhile takes nothing from it.
pub(super) async fn alone(
    engine: &Engine,
    reception: &Reception,
    place: Place,
    policy: Policy,
    slot: &mut Slot,
) -> Course {
    let Ok(message) = &reception.message else {
        return Course::HandBack;
    };
    tracing::warn!(
        task_id = %message.id,
        task = message.task,
        deaths = policy.worker_deaths - 1,
        "so many workers died while they ran it: its last chance, for which it waits to be alone in this worker"
    );
    // A cancel from before it had its place trips nothing.
    if !engine.heard.is_cancelled(&message.id, &reception.kick) {
        wait(engine, &place, slot).await;
    }
    admit_alone(engine, reception, message, (place, policy)).await
}

/// Exchanges its slots for all there are; returns without any when it is called off.
async fn wait(engine: &Engine, place: &Place, slot: &mut Slot) {
    let underway = &place.underway;
    underway.note_waiting(true);
    let waiting = engine.alone.wait();
    slot.give_back();
    let all = async {
        let all = Arc::clone(&engine.slots).acquire_many_owned(engine.slot_count.into());
        let all = all.await;
        // What waits for the result store has no slot, and would count a death all the same.
        let places = settling_places(engine.slot_count);
        let _ = engine.settling.acquire_many(places.into()).await;
        all
    };
    tokio::select! {
        biased;
        () = underway.stop.token().cancelled() => {}
        // Never closed.
        all = all => if let Ok(all) = all { slot.take(all) },
    }
    drop(waiting);
    underway.note_waiting(false);
}
