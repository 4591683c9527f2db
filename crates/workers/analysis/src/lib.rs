//! The analysis role: listens to a project's clip and decides what to cut, mute and caption. Its handlers, its pipeline, its process.
//! It stores an edit list and renders nothing itself.

mod deps;
mod edits;
mod false_starts;
mod improve;
mod pipeline;
mod profanity;
mod tasks;
mod upkeep;
mod words;

pub use deps::Listener;
pub use tasks::analyze_project;
pub use upkeep::{prune_results, rescue_stuck_tasks};

use sapari_runtime::worker::Worker;
use sapari_tasks::Role;

/// The role's worker: every task of its queue, and its slots.
#[must_use]
pub fn worker(listener: Listener) -> Worker<Listener> {
    let pipeline = pipeline::analysis(listener.budget).describe();
    let depot = listener.media.storage.clone();
    Worker::new(Role::Analysis.queue(), listener)
        .depot(depot)
        .task::<analyze_project>()
        .task::<prune_results>()
        .task::<rescue_stuck_tasks>()
        .pipeline(pipeline)
}
