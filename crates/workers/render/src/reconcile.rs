//! Counts what lies in storage, and tells it as metrics.
//! It deletes nothing: what is expired is `cleanup`'s, and what belongs to nobody is known to whoever keeps the projects.

use sapari_runtime::prelude::*;
use sapari_services::{CHECKPOINTS, Held, Media, StorageError};
use sapari_tasks::{BucketUse, ReconcileStorage, StorageUse};
use sapari_telemetry::storage_used;

/// The first parts of the keys that the roles and their pipelines write.
const BUCKETS: [&str; 7] = [
    "artifacts",
    CHECKPOINTS,
    "clips",
    "exports",
    "previews",
    "projects",
    "proxies",
];

/// Counts objects and bytes of each bucket.
#[task]
pub async fn reconcile_storage(
    _args: ReconcileStorage,
    _cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<StorageUse> {
    let used = media.storage.held(&BUCKETS).await;
    let used = used.permanent_when(StorageError::is_permanent)?;
    let told = |(bucket, Held { objects, bytes }): (&str, Held)| {
        storage_used(bucket, objects, bytes);
        BucketUse {
            bucket: bucket.to_owned(),
            objects,
            bytes,
        }
    };
    Ok(StorageUse {
        buckets: used.into_iter().map(told).collect(),
    })
}
