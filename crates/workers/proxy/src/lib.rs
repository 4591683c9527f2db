//! The proxy role: makes light copies of clips, with a poster and thumbnails. Its handlers, its pipeline, its process.
//! Nobody cuts or renders from what it makes: exports are made of the clips themselves.

mod pipeline;
mod tasks;

pub use tasks::make_proxy;

use sapari_runtime::worker::Worker;
use sapari_services::Media;
use sapari_tasks::Role;

/// The role's worker. One slot: ffmpeg takes every core of its own accord.
#[must_use]
pub fn worker(media: Media) -> Worker<Media> {
    let depot = media.depot(&[tasks::SCRATCH]);
    Worker::new(Role::Proxy.queue(), media)
        .depot(depot)
        .task::<make_proxy>()
        .pipeline(pipeline::proxy().describe())
        .slots(1)
}
