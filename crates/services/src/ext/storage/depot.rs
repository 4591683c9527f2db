//! Storage as the depot of pipelines: where outputs of steps lie that are too large for the ledger, under `checkpoints/`.
//!
//! It deliberately knows nothing of a message's end: what nobody clears, because its worker died with it, is found by its age
//! ([`Storage::written_before`]) and removed one by one.

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use sapari_runtime::message::MessageId;
use sapari_runtime::pipeline::Depot;
use sapari_telemetry::{Traced, ext_span};

use super::{Place, Storage, StorageError, transfer};
use crate::hash::whole;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The first part of the keys under which outputs of steps lie.
pub const CHECKPOINTS: &str = "checkpoints";

/// Where all of a message lies. Ids and steps are named by others: no part of them stands in a key.
fn dir(id: &MessageId) -> String {
    format!("{CHECKPOINTS}/{}", whole(id.as_str().as_bytes()))
}

fn key(id: &MessageId, step: &str) -> String {
    format!("{}/{}", dir(id), whole(step.as_bytes()))
}

#[async_trait]
impl Depot for Storage {
    async fn put(&self, id: &MessageId, step: &str, output: Vec<u8>) -> Result<(), BoxError> {
        let bytes = i64::try_from(output.len()).unwrap_or(i64::MAX);
        let span = ext_span!(storage.put_output { step_id = %step, bytes = bytes });
        let key = key(id, step);
        let work = async {
            let put = self.store().put(&self.path(&key)?, output.into()).await;
            put.map(drop)
                .map_err(|error| StorageError::backend("write", &key, error))
        };
        Ok(work.traced(span).await?)
    }

    async fn get(&self, id: &MessageId, step: &str) -> Result<Option<Vec<u8>>, BoxError> {
        let span = ext_span!(storage.get_output { step_id = %step });
        let key = key(id, step);
        let work = async {
            // It came from a worker's memory, and so fits into one.
            let read = transfer::read(self.store(), &key, &self.path(&key)?, u64::MAX).await;
            match read {
                Ok(output) => Ok(Some(output)),
                Err(StorageError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        Ok(work.traced(span).await?)
    }

    async fn clear(&self, id: &MessageId) -> Result<(), BoxError> {
        let span = ext_span!(storage.clear_outputs { message_id = %id.as_str() });
        Ok(self.cleared(&dir(id)).traced(span).await?)
    }
}

impl Storage {
    /// Whether `key` is called as outputs of steps are.
    #[must_use]
    pub fn is_output(key: &str) -> bool {
        parts(key).is_some()
    }

    async fn cleared(&self, dir: &str) -> Result<(), StorageError> {
        let under = self.path(dir)?;
        let found = self.store().list(Some(&under));
        let found = found.map_ok(|meta| meta.location).boxed();
        let mut deleted = self.store().delete_stream(found);
        while let Some(deleted) = deleted.next().await {
            gone(dir, deleted.map(drop))?;
        }
        self.leave(&under).await;
        Ok(())
    }

    /// Deletes an output of a step that nobody has cleared, by its key.
    ///
    /// # Cancel safety
    ///
    /// After a dropped future it is there or not.
    ///
    /// # Errors
    ///
    /// [`StorageError::BadKey`] for what is no such key, or see [`StorageError`]; one that is not there is no error.
    pub async fn forget_output(&self, key: &str) -> Result<(), StorageError> {
        let span = ext_span!(storage.forget_output { key = %key });
        let work = async {
            let Some((dir, _)) = parts(key) else {
                let (key, reason) = (key.to_owned(), "it is none of an output of a step");
                return Err(StorageError::BadKey { key, reason });
            };
            gone(key, self.store().delete(&self.path(key)?).await)?;
            self.leave(&self.path(dir)?).await;
            Ok(())
        };
        work.traced(span).await
    }

    /// Without the directory that would be left on a disk, one for each message.
    async fn leave(&self, under: &Path) {
        let Place::Dir(root) = &self.place else {
            return;
        };
        if let Ok(dir) = root.path_to_filesystem(under) {
            // One that is not empty stays, and so it should.
            let _ = tokio::fs::remove_dir(dir).await;
        }
    }
}

/// The directory and the name, of a key that is called as ours are.
fn parts(key: &str) -> Option<(&str, &str)> {
    let (dir, name) = key.rsplit_once('/')?;
    let message = dir.strip_prefix(CHECKPOINTS)?.strip_prefix('/')?;
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    (is_hash(message) && is_hash(name)).then_some((dir, name))
}

fn gone(key: &str, deleted: object_store::Result<()>) -> Result<(), StorageError> {
    match deleted {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(StorageError::backend("delete", key, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use sapari_runtime::pipeline::conformance;

    use super::*;
    use crate::Scratch;

    fn in_dir(root: &Scratch) -> Storage {
        Storage::open(&format!("file://{}", root.dir().display())).unwrap()
    }

    #[tokio::test]
    async fn memory_keeps_every_promise_of_a_depot() {
        conformance::depot(&Storage::open("memory://").unwrap()).await;
    }

    #[tokio::test]
    async fn a_directory_keeps_every_promise_of_a_depot_and_is_left_empty() {
        let root = Scratch::new(&std::env::temp_dir(), "depot").unwrap();
        conformance::depot(&in_dir(&root)).await;
        let left = std::fs::read_dir(root.dir().join(CHECKPOINTS)).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[tokio::test]
    async fn what_nobody_cleared_is_found_by_its_age_and_forgotten() {
        let root = Scratch::new(&std::env::temp_dir(), "depot-old").unwrap();
        let (storage, id) = (in_dir(&root), MessageId::new());
        for step in ["desk/cut", "desk/store"] {
            storage.put(&id, step, b"four".to_vec()).await.unwrap();
        }
        let later = SystemTime::now() + Duration::from_secs(1);
        let old = storage.written_before(CHECKPOINTS, later, 9).await.unwrap();
        assert_eq!(old.found.len(), 2);
        for object in &old.found {
            storage.forget_output(&object.key).await.unwrap();
            storage.forget_output(&object.key).await.unwrap();
        }
        assert_eq!(storage.get(&id, "desk/cut").await.unwrap(), None);
        let left = std::fs::read_dir(root.dir().join(CHECKPOINTS)).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[tokio::test]
    async fn nothing_else_is_forgotten() {
        let storage = Storage::open("memory://").unwrap();
        let hash = "0".repeat(64);
        for key in [
            format!("exports/{hash}/{hash}"),
            format!("checkpoints/{hash}"),
            format!("checkpoints/{hash}/"),
            format!("checkpoints/{hash}/{hash}.part"),
            format!("checkpoints/../{hash}"),
            format!("checkpointss/{hash}/{hash}"),
        ] {
            let error = storage.forget_output(&key).await.unwrap_err();
            assert!(matches!(error, StorageError::BadKey { .. }), "{key}");
        }
    }
}
