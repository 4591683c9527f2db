//! From how the process is to the figures that its metrics tell. Decides nothing, and names no metric.

use std::time::SystemTime;

use sapari_telemetry::{
    CensusGauges, ConsumerGauge, LevelGauges, SchedulerGauges, WorkerGauges, observe_worker,
};

use crate::broker::LevelLiveness;
use crate::queue::Queue;
use crate::schedule::Clock;
use crate::vitals::{Census, LevelCensus, Snapshot, Stand, Vitals};

/// Tells about this process, which serves `queue`, from now on.
pub(super) fn observe(queue: Queue, vitals: Vitals) {
    observe_worker(move || figures(queue, &vitals.look()));
}

/// Tells about this process, a scheduler, from now on.
pub(super) fn observe_scheduler(vitals: Vitals) {
    let clock = Clock::system();
    sapari_telemetry::observe_scheduler(move || scheduling(&vitals.look(), clock.now()));
}

fn scheduling(snapshot: &Snapshot, now: i64) -> SchedulerGauges {
    let state = snapshot.scheduler.clone().unwrap_or_default();
    let leads = matches!(state.stand, Stand::Leads(_));
    SchedulerGauges {
        leads,
        ready: snapshot.ready().passed(),
        overdue: state.overdue(now) as f64 / 1000.0,
        entries: count(state.entries),
        stuck_runs: state.stuck_runs.filter(|_| leads).map(count),
        loop_age: snapshot.loop_age.as_secs_f64(),
    }
}

fn figures(queue: Queue, snapshot: &Snapshot) -> WorkerGauges {
    let worker = snapshot.worker.as_ref();
    WorkerGauges {
        queue: queue.to_string(),
        slots: worker.map_or(0, |it| it.slots.into()),
        in_use: worker.map_or(0, |it| count(it.in_use)),
        stuck: count(snapshot.stuck.len()),
        consumers: worker.map_or_else(Vec::new, |it| it.levels.iter().map(consumer).collect()),
        reconnects: worker.map_or(0, |it| it.connections.reconnects),
        ready: snapshot.ready().passed(),
        draining: snapshot.draining,
        loop_age: snapshot.loop_age.as_secs_f64(),
        census: snapshot
            .census
            .as_ref()
            .map(|it| census(it, SystemTime::now())),
    }
}

fn census(census: &Census, now: SystemTime) -> CensusGauges {
    let level = |it: &LevelCensus| LevelGauges {
        level: it.level.number(),
        depth: it.ready,
        consumers: it.consumers,
        // A clock that was set back makes a message young, not old.
        oldest_age: it.oldest.map_or(0.0, |since| {
            now.duration_since(since).unwrap_or_default().as_secs_f64()
        }),
    };
    CensusGauges {
        levels: census.levels.iter().map(level).collect(),
        dead: census.dead,
    }
}

fn consumer(level: &LevelLiveness) -> ConsumerGauge {
    ConsumerGauge {
        level: level.level.number(),
        live: level.gone_for.is_none(),
        losses: level.losses,
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
