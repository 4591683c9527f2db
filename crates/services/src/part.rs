//! A file that appears under its own name only when it is whole.
//!
//! It deliberately does not sync to disk: these are scratch files, and a machine that lost power
//! starts the task again.

use std::io;
use std::path::{Path, PathBuf};

/// What the name of a file ends with that is not finished. Ours alone: yt-dlp calls its own `.part`, and goes on with them.
pub(crate) const UNFINISHED: &str = "unfinished";

/// `path` with `suffix` appended to its last component.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// `<target>.unfinished`: deleted on drop unless committed.
pub(crate) struct PartFile {
    part: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl PartFile {
    /// Names the part file; the caller creates it.
    pub(crate) fn of(target: &Path) -> Self {
        Self {
            part: with_suffix(target, &format!(".{UNFINISHED}")),
            target: target.to_owned(),
            committed: false,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.part
    }

    /// Renames the part file to its own name, replacing what was there.
    pub(crate) async fn commit(mut self) -> io::Result<()> {
        tokio::fs::rename(&self.part, &self.target).await?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.committed {
            // Often it was never created: then there is nothing to remove.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}
