//! The download role: brings clips from the web into storage, and makes what others need of them. Its handlers,
//! its pipelines, its process.
//! Which addresses may be fetched from is its settings' business, and nobody's who kicks a task.

mod artifacts;
mod pipeline;
mod sources;
mod tasks;

pub use sources::Sources;
pub use tasks::{download_media, process_clip_artifacts};

use sapari_runtime::worker::Worker;
use sapari_tasks::Role;

/// The role's worker: every task of its queue, and its slots. They wait for the network.
#[must_use]
pub fn worker(sources: Sources) -> Worker<Sources> {
    let depot = sources.media.depot(&tasks::SCRATCH);
    Worker::new(Role::Download.queue(), sources)
        .depot(depot)
        .task::<download_media>()
        .task::<process_clip_artifacts>()
        .pipeline(pipeline::download().describe())
        .pipeline(artifacts::artifacts().describe())
        .slots(4)
}
