//! The download role: brings clips from the web into storage. Its handlers, its pipeline, its process.
//! Which addresses may be fetched from is its settings' business, and nobody's who kicks a task.

mod pipeline;
mod sources;
mod tasks;

pub use sources::Sources;
pub use tasks::download_media;

use sapari_runtime::worker::Worker;
use sapari_tasks::Role;

/// The role's worker: every task of its queue, and its slots. They wait for the network.
#[must_use]
pub fn worker(sources: Sources) -> Worker<Sources> {
    Worker::new(Role::Download.queue(), sources)
        .task::<download_media>()
        .pipeline(pipeline::download().describe())
        .slots(4)
}
