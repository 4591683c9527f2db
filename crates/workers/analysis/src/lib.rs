//! The analysis role: listens to a project's clip and decides what to cut. Its handlers, its pipeline, its process.
//! It stores an edit list and renders nothing itself.

mod pipeline;
mod tasks;

pub use tasks::analyze_project;

use sapari_runtime::worker::Worker;
use sapari_services::Media;
use sapari_tasks::Role;

/// The role's worker: every task of its queue, and its slots.
#[must_use]
pub fn worker(media: Media) -> Worker<Media> {
    Worker::new(Role::Analysis.queue(), media)
        .task::<analyze_project>()
        .pipeline(pipeline::analysis().describe())
}
