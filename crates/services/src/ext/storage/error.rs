//! How storage can fail.
//!
//! Causes are kept as redacted text: the client's own errors quote URLs, and a token may be in
//! one. It deliberately does not guess which failures of a service are lasting.

use std::io;
use std::path::{Path, PathBuf};

use crate::cause::Cause;

/// Why storage did not do as asked. No message holds credentials or the query of a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The address of the storage is wrong. Permanent.
    #[error(
        "the storage URL is not usable: {reason}; give file:///dir, s3://bucket/prefix or memory://"
    )]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The key is not allowed. Permanent.
    #[error("`{key}` is not a storage key: {reason}")]
    BadKey {
        /// The key, shortened and escaped.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no such object. Permanent.
    #[error("there is no object `{key}` in storage")]
    NotFound {
        /// Its key.
        key: String,
    },
    /// The object is larger than the caller allowed. Permanent.
    #[error(
        "object `{key}` has {size} bytes, more than the {limit} allowed here: fetch it as a file"
    )]
    TooLarge {
        /// Its key.
        key: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// This storage has nothing that another process could read. Permanent.
    #[error("object `{key}` is in memory, where ffmpeg cannot read it: fetch it as a file first")]
    NoMediaSource {
        /// Its key.
        key: String,
    },
    /// The store failed. A retry may help.
    #[error("could not {doing} object `{key}`: {cause}")]
    Backend {
        /// What was being done.
        doing: &'static str,
        /// Its key.
        key: String,
        /// What the store says.
        cause: Cause,
    },
    /// A local file could not be read or written. A retry may help.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl StorageError {
    /// Whether no retry can heal this.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Backend { .. } | Self::Io { .. })
    }

    pub(super) fn backend(doing: &'static str, key: &str, error: object_store::Error) -> Self {
        let key = key.to_owned();
        match error {
            object_store::Error::NotFound { .. } => Self::NotFound { key },
            error => Self::Backend {
                doing,
                key,
                cause: Cause::of(&error),
            },
        }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}
