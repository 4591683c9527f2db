//! The render role: cuts, encodes and stores exports. Its handlers, its pipeline, its process.
//! What to cut is not its decision: it renders the edit list that analysis stored.

mod pipeline;
mod tasks;

pub use tasks::render_export;

use sapari_runtime::worker::Worker;
use sapari_services::Media;
use sapari_tasks::Role;

/// The role's worker. One slot: ffmpeg takes every core of its own accord.
#[must_use]
pub fn worker(media: Media) -> Worker<Media> {
    Worker::new(Role::Render.queue(), media)
        .task::<render_export>()
        .pipeline(pipeline::render().describe())
        .slots(1)
}
