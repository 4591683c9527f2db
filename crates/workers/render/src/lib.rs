//! The render role: cuts, encodes and stores exports and previews of them. Its handlers, its pipelines, its process.
//! What to cut is not its decision: it renders the edit list that analysis stored.

mod cleanup;
mod order;
mod pipeline;
mod reconcile;
mod steps;
mod tasks;

pub use cleanup::cleanup_expired_exports;
pub use reconcile::reconcile_storage;
pub use tasks::{render_export, render_preview};

use sapari_runtime::worker::Worker;
use sapari_services::Media;
use sapari_tasks::Role;

/// The role's worker. One slot: ffmpeg takes every core of its own accord.
#[must_use]
pub fn worker(media: Media) -> Worker<Media> {
    let depot = media.depot(&[tasks::SCRATCH]);
    Worker::new(Role::Render.queue(), media)
        .depot(depot)
        .task::<render_export>()
        .task::<render_preview>()
        .task::<cleanup_expired_exports>()
        .task::<reconcile_storage>()
        .pipeline(pipeline::render().describe())
        .pipeline(pipeline::preview().describe())
        .slots(1)
}
