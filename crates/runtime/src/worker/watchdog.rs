//! Notices attempts that are stuck; the keeper gives their slots to others. On a thread of its own: a handler that blocks may keep a
//! task of the runtime from ever being polled, and nobody could be sure that it is not this one.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::engine::Engine;

/// How often a stuck attempt is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The thread that watches. Dropped, it ends by its next look.
pub(super) struct Watchdog {
    _end: DropGuard,
}

impl Watchdog {
    pub(super) fn start(engine: &Arc<Engine>) -> Self {
        let end = CancellationToken::new();
        let (watched, ended) = (Arc::clone(engine), end.clone());
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        let workers = Handle::current();
        let started = thread.spawn(move || watch(&watched, &workers, &ended));
        if let Err(error) = started {
            tracing::warn!(%error, "stuck handlers will not be noticed: no thread for the watchdog");
        }
        Self {
            _end: end.drop_guard(),
        }
    }
}

fn watch(engine: &Engine, workers: &Handle, end: &CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else {
        tracing::warn!("stuck handlers will not be noticed: no timer for the watchdog");
        return;
    };
    runtime.block_on(end.run_until_cancelled(async {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            look(engine);
            // A handler that blocks the one thread that was awake leaves timers and sockets unwatched while the others sleep:
            // something to do wakes one of them.
            workers.spawn(std::future::ready(()));
        }
    }));
}

/// The message of a stuck attempt stays unsettled: it is still being run.
fn look(engine: &Engine) {
    let now = Instant::now();
    for underway in engine.running.all() {
        if !underway.found_stuck(now) {
            continue;
        }
        tracing::error!(
            task_id = %underway.run.id,
            task = underway.task,
            attempt = underway.attempt,
            running_for = ?underway.age(),
            "stuck: past its deadline, and it does not answer; its slot is given to others. Restart the worker, and use #[task(blocking)] for what blocks"
        );
        underway.note_stuck(engine.vitals.stuck(&underway.task, &underway.run.id));
    }
}
