//! The asset-edit role: small edits of single assets, each stored beside the asset. Its handlers, its pipelines, its process.
//! It decides nothing: what to make of which asset is said by whoever kicks it.

mod edit;
mod pipeline;
mod steps;
mod tasks;

pub use tasks::{extract_audio, normalize_image, trim_asset};

use sapari_runtime::worker::Worker;
use sapari_services::Media;
use sapari_tasks::Role;

/// The role's worker. One slot: ffmpeg takes every core of its own accord.
#[must_use]
pub fn worker(media: Media) -> Worker<Media> {
    let depot = media.depot(&[tasks::SCRATCH]);
    Worker::new(Role::AssetEdit.queue(), media)
        .depot(depot)
        .task::<trim_asset>()
        .task::<extract_audio>()
        .task::<normalize_image>()
        .pipeline(pipeline::trim().describe())
        .pipeline(pipeline::sound().describe())
        .pipeline(pipeline::image().describe())
        .slots(1)
}
