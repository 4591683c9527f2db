//! Object storage: a directory, a bucket, or memory behind one type.
//!
//! Every call runs in its `ext.storage.<op>` span with the subject it is for. It deliberately lists
//! only what is old, has no caching, and no permissions of its own: whoever has a
//! [`Storage`] may read and write under its prefix.

mod depot;
mod error;
mod held;
mod key;
mod old;
mod open;
mod subject;
#[cfg(test)]
mod tests;
mod transfer;

use std::fmt;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::signer::{Method, Signer};
use object_store::{ObjectStore, ObjectStoreExt};
use sapari_telemetry::Traced;

pub use depot::CHECKPOINTS;
pub use error::StorageError;
pub use held::{Held, OTHER};
pub use old::{Old, OldObjects};
pub use subject::Subject;

use super::ffmpeg::MediaSource;
use subject::storage_span;

/// How long a presigned URL is good: longer than the longest render reads its source.
pub const PRESIGNED_FOR: Duration = Duration::from_hours(2);

/// A place for objects. Cheap to clone.
///
/// Methods take a [`Subject`], the domain object the call is for, and a key: a relative path such
/// as `projects/<id>/clip.mp4`.
///
/// Failed requests to a bucket are tried again a few times inside one call, for at most 30 s.
#[derive(Clone)]
pub struct Storage {
    place: Place,
    prefix: Path,
}

#[derive(Clone)]
enum Place {
    Dir(Arc<LocalFileSystem>),
    Bucket(Arc<AmazonS3>),
    Memory(Arc<object_store::memory::InMemory>),
}

impl Storage {
    /// Writes `bytes` under `key`, replacing what was there. Atomic.
    ///
    /// # Cancel safety
    ///
    /// After a dropped future the old or the new object is there, never a part.
    ///
    /// # Errors
    ///
    /// See [`StorageError`].
    pub async fn put_bytes(
        &self,
        subject: Subject,
        key: &str,
        bytes: Vec<u8>,
    ) -> Result<(), StorageError> {
        let work = async {
            let path = self.path(key)?;
            let put = self.store().put(&path, bytes.into()).await;
            put.map(drop)
                .map_err(|e| StorageError::backend("write", key, e))
        };
        work.traced(storage_span!(put_bytes, subject)).await
    }

    /// Uploads the file at `from` under `key`, replacing what was there, and returns its size in
    /// bytes. Holds 8 MiB of it in memory at a time; a bucket takes up to 80 GB this way.
    ///
    /// # Cancel safety
    ///
    /// The object appears only when it is whole. A dropped future leaves unseen parts in a
    /// bucket: have its lifecycle rules abort incomplete uploads.
    ///
    /// # Errors
    ///
    /// See [`StorageError`].
    pub async fn put_file(
        &self,
        subject: Subject,
        key: &str,
        from: &FilePath,
    ) -> Result<u64, StorageError> {
        let work = async {
            let path = self.path(key)?;
            transfer::upload(self.store(), key, &path, from).await
        };
        work.traced(storage_span!(put_file, subject)).await
    }

    /// Reads the object `key` whole, if it has at most `max_bytes`.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], [`StorageError::TooLarge`], or see [`StorageError`].
    pub async fn get_bytes(
        &self,
        subject: Subject,
        key: &str,
        max_bytes: u64,
    ) -> Result<Vec<u8>, StorageError> {
        let work = async {
            let path = self.path(key)?;
            transfer::read(self.store(), key, &path, max_bytes).await
        };
        work.traced(storage_span!(get_bytes, subject)).await
    }

    /// Downloads the object `key` to the file `to`, replacing what was there, and returns its size
    /// in bytes. Streams: memory does not grow with the object.
    ///
    /// # Cancel safety
    ///
    /// `to` appears only when it is whole; a dropped future removes `<to>.unfinished`.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], or see [`StorageError`].
    pub async fn get_file(
        &self,
        subject: Subject,
        key: &str,
        to: &FilePath,
    ) -> Result<u64, StorageError> {
        let work = async {
            let path = self.path(key)?;
            transfer::download(self.store(), key, &path, to).await
        };
        work.traced(storage_span!(get_file, subject)).await
    }

    /// How large the object `key` is, in bytes.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`], or see [`StorageError`].
    pub async fn size(&self, subject: Subject, key: &str) -> Result<u64, StorageError> {
        let work = async { self.sized(key, &self.path(key)?).await };
        work.traced(storage_span!(size, subject)).await
    }

    /// Whether there is an object `key`.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    ///
    /// # Errors
    ///
    /// See [`StorageError`]; an object that is not there is no error.
    pub async fn exists(&self, subject: Subject, key: &str) -> Result<bool, StorageError> {
        let work = async {
            match self.sized(key, &self.path(key)?).await {
                Ok(_) => Ok(true),
                Err(StorageError::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        };
        work.traced(storage_span!(exists, subject)).await
    }

    /// The object `key` as something ffmpeg can read without a copy: the file of a directory, or
    /// a URL of a bucket, presigned for [`PRESIGNED_FOR`]. The URL is a secret. Whether a bucket
    /// has the object is not asked.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    ///
    /// # Errors
    ///
    /// [`StorageError::NotFound`] for a directory, [`StorageError::NoMediaSource`] for memory.
    pub async fn media_source(
        &self,
        subject: Subject,
        key: &str,
    ) -> Result<MediaSource, StorageError> {
        let work = self.sourced(key);
        work.traced(storage_span!(media_source, subject)).await
    }

    async fn sourced(&self, key: &str) -> Result<MediaSource, StorageError> {
        let path = self.path(key)?;
        match &self.place {
            Place::Dir(dir) => {
                self.sized(key, &path).await?;
                let file = dir.path_to_filesystem(&path);
                file.map(MediaSource::File)
                    .map_err(|e| StorageError::backend("locate", key, e))
            }
            Place::Bucket(bucket) => {
                let url = bucket.signed_url(Method::GET, &path, PRESIGNED_FOR).await;
                url.map(|url| MediaSource::Url(url.into()))
                    .map_err(|e| StorageError::backend("presign", key, e))
            }
            Place::Memory(_) => Err(StorageError::NoMediaSource {
                key: key.to_owned(),
            }),
        }
    }

    async fn sized(&self, key: &str, path: &Path) -> Result<u64, StorageError> {
        let head = self.store().head(path).await;
        head.map(|meta| meta.size)
            .map_err(|e| StorageError::backend("look up", key, e))
    }

    /// Whether something can be stored under this key: to be asked before the work that makes it.
    ///
    /// # Errors
    ///
    /// [`StorageError::BadKey`].
    pub fn check_key(&self, key: &str) -> Result<(), StorageError> {
        self.path(key).map(drop)
    }

    fn path(&self, key: &str) -> Result<Path, StorageError> {
        Ok(self
            .prefix
            .parts()
            .chain(key::checked(key)?.parts())
            .collect())
    }

    fn store(&self) -> &dyn ObjectStore {
        match &self.place {
            Place::Dir(dir) => dir.as_ref(),
            Place::Bucket(bucket) => bucket.as_ref(),
            Place::Memory(memory) => memory.as_ref(),
        }
    }
}

/// Without the settings of the client: credentials are among them.
impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.place {
            Place::Dir(_) => "directory",
            Place::Bucket(_) => "bucket",
            Place::Memory(_) => "memory",
        };
        f.debug_struct("Storage")
            .field("kind", &kind)
            .field("prefix", &self.prefix.as_ref())
            .finish()
    }
}
