//! Finding objects that have lain there for long, and deleting an object.
//!
//! It deliberately decides nothing about age: whoever asks says what is old, and deletes one by one.

use std::time::SystemTime;

use futures_util::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use sapari_telemetry::{Traced, ext_span};

use super::subject::storage_span;
use super::{Storage, StorageError, Subject, key};

/// An object that is old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
}

/// Some of the objects that are old.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldObjects {
    /// In no order.
    pub found: Vec<Old>,
    /// Whether there may be more than was asked for.
    pub is_more: bool,
}

impl Storage {
    /// The objects under `prefix` that were last written before `before`, `most` of them.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    ///
    /// # Errors
    ///
    /// See [`StorageError`]; a prefix without objects is no error.
    pub async fn written_before(
        &self,
        prefix: &str,
        before: SystemTime,
        most: usize,
    ) -> Result<OldObjects, StorageError> {
        let span = ext_span!(storage.written_before { prefix = %prefix });
        self.found_before(prefix, before, most).traced(span).await
    }

    async fn found_before(
        &self,
        prefix: &str,
        before: SystemTime,
        most: usize,
    ) -> Result<OldObjects, StorageError> {
        let under = self.path(prefix)?;
        let mut objects = self.store().list(Some(&under));
        let mut old = OldObjects::default();
        let failed = |error| StorageError::backend("list what is under", prefix, error);
        while let Some(meta) = objects.try_next().await.map_err(failed)? {
            if SystemTime::from(meta.last_modified) >= before {
                continue;
            }
            if old.found.len() == most {
                old.is_more = true;
                break;
            }
            old.found.extend(self.described(&meta));
        }
        Ok(old)
    }

    /// By its key here; none for what is no key of ours.
    fn described(&self, meta: &ObjectMeta) -> Option<Old> {
        let parts = meta.location.prefix_match(&self.prefix)?;
        let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
        let key = parts.join("/");
        key::checked(&key).is_ok().then_some(Old {
            key,
            bytes: meta.size,
        })
    }

    /// Deletes the object `key`.
    ///
    /// # Cancel safety
    ///
    /// After a dropped future it is there or not.
    ///
    /// # Errors
    ///
    /// See [`StorageError`]; an object that is not there is no error.
    pub async fn delete(&self, subject: Subject, key: &str) -> Result<(), StorageError> {
        let work = async {
            let deleted = self.store().delete(&self.path(key)?).await;
            match deleted.map_err(|error| StorageError::backend("delete", key, error)) {
                Err(StorageError::NotFound { .. }) => Ok(()),
                done => done,
            }
        };
        work.traced(storage_span!(delete, subject)).await
    }
}
