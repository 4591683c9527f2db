//! The depot: where outputs of steps lie that are too large for the ledger. A seam for object storage, and a depot of files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::BoxError;
use crate::hash::stable;
use crate::message::MessageId;

/// Where outputs of steps lie that are too large for the ledger. Whatever it loses is made again.
#[async_trait]
pub trait Depot: Send + Sync + fmt::Debug + 'static {
    /// Keeps the output of a step of a message, whole or not at all; replaces what was there.
    ///
    /// # Errors
    /// Any: the output is then not kept.
    async fn put(&self, id: &MessageId, step: &str, output: Vec<u8>) -> Result<(), BoxError>;

    /// The output, if it is there.
    ///
    /// # Errors
    /// Any: the step then runs again.
    async fn get(&self, id: &MessageId, step: &str) -> Result<Option<Vec<u8>>, BoxError>;

    /// Removes all that is kept of a message; it may be nothing.
    ///
    /// # Errors
    /// Any: what is left must go by a rule of its own, such as a lifecycle of the bucket.
    async fn clear(&self, id: &MessageId) -> Result<(), BoxError>;
}

/// A depot of files: a directory for each message. Of use to all workers that see the same file system.
#[derive(Debug, Clone)]
pub struct FileDepot {
    root: PathBuf,
}

impl FileDepot {
    /// A depot in this directory, which is made when something is kept.
    pub fn in_dir(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Ids and steps are named by others: no part of them stands in a path.
    fn dir(&self, id: &MessageId) -> PathBuf {
        self.root.join(named("message", id.as_str()))
    }
}

fn named(kind: &str, text: &str) -> String {
    format!("{kind}-{:016x}", stable(text.as_bytes()))
}

#[async_trait]
impl Depot for FileDepot {
    async fn put(&self, id: &MessageId, step: &str, output: Vec<u8>) -> Result<(), BoxError> {
        let (dir, name) = (self.dir(id), named("step", step));
        Ok(blocking(move || write_whole(&dir, &name, &output)).await?)
    }

    async fn get(&self, id: &MessageId, step: &str) -> Result<Option<Vec<u8>>, BoxError> {
        let path = self.dir(id).join(named("step", step));
        Ok(blocking(move || none_if_missing(std::fs::read(path))).await?)
    }

    async fn clear(&self, id: &MessageId) -> Result<(), BoxError> {
        let dir = self.dir(id);
        blocking(move || none_if_missing(std::fs::remove_dir_all(dir))).await?;
        Ok(())
    }
}

/// Under another name first: what dies in between leaves no half of it.
fn write_whole(dir: &Path, name: &str, output: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let part = dir.join(format!("{name}.{}.part", Uuid::new_v4()));
    std::fs::write(&part, output)?;
    std::fs::rename(&part, dir.join(name))
}

fn none_if_missing<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::pipeline::conformance;

    #[tokio::test]
    async fn files_keep_every_promise_of_a_depot() {
        let root = std::env::temp_dir().join(format!("depot-{}", Uuid::new_v4()));
        conformance::depot(&FileDepot::in_dir(&root)).await;
        std::fs::remove_dir_all(root).expect("removed");
    }
}
