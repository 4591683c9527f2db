//! The asset-edit role: small edits of single assets, each stored beside the asset. Its handlers, its process.
//! One call of ffmpeg each, so there is no pipeline: nothing is worth resuming.

mod edit;
mod tasks;

pub use tasks::{extract_audio, normalize_image, trim_asset};

use sapari_runtime::worker::Worker;
use sapari_services::Media;
use sapari_tasks::Role;

/// The role's worker. One slot: ffmpeg takes every core of its own accord.
#[must_use]
pub fn worker(media: Media) -> Worker<Media> {
    Worker::new(Role::AssetEdit.queue(), media)
        .task::<trim_asset>()
        .task::<extract_audio>()
        .task::<normalize_image>()
        .slots(1)
}
