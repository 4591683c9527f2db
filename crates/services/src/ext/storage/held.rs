//! How much lies in storage: objects and bytes of each bucket, the first part of a key.
//!
//! It reads one list from end to end and keeps sums only. What the buckets are is the caller's to know; anything else is `other`.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use sapari_telemetry::{Traced, ext_span};

use super::{Storage, StorageError};

/// Where all is counted that lies in no bucket that was named.
pub const OTHER: &str = "other";

/// What lies in one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Storage {
    /// What lies in each of these buckets, empty ones included, and in [`OTHER`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    ///
    /// # Errors
    ///
    /// See [`StorageError`].
    pub async fn held<'b>(
        &self,
        buckets: &[&'b str],
    ) -> Result<BTreeMap<&'b str, Held>, StorageError> {
        let span = ext_span!(storage.held { prefix = %self.prefix });
        self.counted(buckets).traced(span).await
    }

    async fn counted<'b>(
        &self,
        buckets: &[&'b str],
    ) -> Result<BTreeMap<&'b str, Held>, StorageError> {
        let names = buckets.iter().copied().chain([OTHER]);
        let mut used: BTreeMap<&str, Held> = names.map(|name| (name, Held::default())).collect();
        let mut objects = self.store().list(Some(&self.prefix));
        let failed = |error| StorageError::backend("list all of", "storage", error);
        while let Some(meta) = objects.try_next().await.map_err(failed)? {
            let mut parts = meta
                .location
                .prefix_match(&self.prefix)
                .into_iter()
                .flatten();
            let first = parts.next();
            let is_bucket =
                |name: &&&str| first.as_ref().is_some_and(|first| first.as_ref() == **name);
            let bucket = buckets.iter().find(is_bucket).copied().unwrap_or(OTHER);
            let sum = used.entry(bucket).or_default();
            sum.objects += 1;
            sum.bytes += meta.size;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scratch, Subject};

    #[tokio::test]
    async fn each_bucket_is_counted_and_the_rest_is_other() {
        let root = Scratch::new(&std::env::temp_dir(), "used").unwrap();
        let storage = Storage::open(&format!("file://{}", root.dir().display())).unwrap();
        let subject = Subject::project(uuid::Uuid::nil());
        for (key, bytes) in [
            ("clips/a/one.mp4", 3),
            ("clips/two.mp4", 4),
            ("clipsish/x", 100),
            ("exports/e.mp4", 5),
        ] {
            storage
                .put_bytes(subject, key, vec![0; bytes])
                .await
                .unwrap();
        }
        let used = storage
            .held(&["clips", "exports", "previews"])
            .await
            .unwrap();
        let of = |objects, bytes| Held { objects, bytes };
        let expected = [
            ("clips", of(2, 7)),
            ("exports", of(1, 5)),
            (OTHER, of(1, 100)),
            ("previews", of(0, 0)),
        ];
        assert_eq!(used, expected.into());
    }
}
