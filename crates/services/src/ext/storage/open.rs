//! From a URL to a storage.
//!
//! It deliberately takes no credentials from the URL: they would end in logs. A bucket's come from
//! the usual `AWS_*` variables.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use object_store::RetryConfig;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use url::Url;

use super::{Place, Storage, StorageError, key};
use crate::cause::Cause;

const MAX_RETRIES: usize = 3;
const RETRY_FOR: Duration = Duration::from_secs(30);

impl Storage {
    /// Opens `file:///absolute/dir` (made if missing), `s3://bucket/prefix` (settings and
    /// credentials from `AWS_*`), or `memory://` (for tests; empty, and shared only by clones).
    ///
    /// Reads and writes no object, so a bucket's credentials are not tried yet. Blocks briefly on
    /// the file system: meant for the start of a process. Installs ring as the process's TLS
    /// provider for a bucket if none is installed.
    ///
    /// # Errors
    ///
    /// [`StorageError::BadUrl`], or [`StorageError::Io`] if the directory cannot be made.
    pub fn open(url: &str) -> Result<Self, StorageError> {
        let parsed = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(bad(
                "it holds credentials: give those as AWS_* variables".to_owned()
            ));
        }
        if parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(bad("it has a query or a fragment".to_owned()));
        }
        match parsed.scheme() {
            "file" => Self::dir(&parsed),
            "s3" => Self::bucket(&parsed, AmazonS3Builder::from_env()),
            "memory" => Ok(Self {
                place: Place::Memory(Arc::new(InMemory::new())),
                prefix: Path::default(),
            }),
            other => Err(bad(format!("its scheme `{other}` is unknown"))),
        }
    }

    fn dir(url: &Url) -> Result<Self, StorageError> {
        let dir = url
            .to_file_path()
            .map_err(|()| bad("it is not a local absolute path".to_owned()))?;
        make(&dir)?;
        let store = LocalFileSystem::new_with_prefix(&dir)
            .map_err(|error| bad(Cause::of(&error).to_string()))?;
        Ok(Self {
            place: Place::Dir(Arc::new(store)),
            prefix: Path::default(),
        })
    }

    pub(super) fn bucket(url: &Url, settings: AmazonS3Builder) -> Result<Self, StorageError> {
        let bucket = url.host_str().unwrap_or_default();
        if bucket.is_empty() {
            return Err(bad("it names no bucket".to_owned()));
        }
        // An error only says that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = settings
            .with_bucket_name(bucket)
            .with_retry(RetryConfig {
                max_retries: MAX_RETRIES,
                retry_timeout: RETRY_FOR,
                ..RetryConfig::default()
            })
            .build()
            .map_err(|error| bad(Cause::of(&error).to_string()))?;
        Ok(Self {
            place: Place::Bucket(Arc::new(store)),
            prefix: prefix(url.path())?,
        })
    }
}

fn prefix(path: &str) -> Result<Path, StorageError> {
    match path.trim_matches('/') {
        "" => Ok(Path::default()),
        // Keys are not percent-encoded, so an escape here would be meant or taken wrongly.
        escaped if escaped.contains('%') => Err(bad("its prefix has escapes".to_owned())),
        prefix => key::checked(prefix),
    }
}

fn make(dir: &FilePath) -> Result<(), StorageError> {
    std::fs::create_dir_all(dir).map_err(StorageError::io("make the storage directory", dir))
}

fn bad(reason: String) -> StorageError {
    StorageError::BadUrl { reason }
}
