//! A directory of its own for each task, gone when the task is.
//!
//! It deliberately has no quota and does not clean up after a process that was killed: the root
//! belongs to one worker, which may empty it when it starts.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use thiserror::Error;
use uuid::Uuid;

/// Why there is no scratch directory, or no such path in it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScratchError {
    /// The name is not one plain file name.
    #[error("`{name}` is not a plain file name: give one without separators, not `.` or `..`")]
    BadName {
        /// The name as given.
        name: String,
    },
    /// The directory could not be made.
    #[error("could not make a scratch directory in {}: {source}; check that it is writable", root.display())]
    Io {
        /// Where it was to be made.
        root: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A scratch directory that only this user may enter, removed with all it holds on drop.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Makes `<root>/<label>-<uuid>` with mode 0700, and `root` if it is missing.
    ///
    /// # Errors
    ///
    /// [`ScratchError::BadName`] if `label` is not a plain name, else [`ScratchError::Io`].
    pub fn new(root: &Path, label: &str) -> Result<Self, ScratchError> {
        let dir = root.join(format!("{}-{}", plain(label)?, Uuid::now_v7()));
        std::fs::create_dir_all(root)
            .and_then(|()| std::fs::DirBuilder::new().mode(0o700).create(&dir))
            .map_err(|source| ScratchError::Io {
                root: root.to_owned(),
                source,
            })?;
        Ok(Self { dir })
    }

    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the file `name` of this directory is or would be. Creates nothing.
    ///
    /// # Errors
    ///
    /// [`ScratchError::BadName`] if `name` could lead out of the directory.
    pub fn path(&self, name: &str) -> Result<PathBuf, ScratchError> {
        Ok(self.dir.join(plain(name)?))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            tracing::warn!(%error, dir = %self.dir.display(), "scratch directory not removed");
        }
    }
}

fn plain(name: &str) -> Result<&str, ScratchError> {
    let mut components = Path::new(name).components();
    let one = matches!(components.next(), Some(Component::Normal(part)) if part == name);
    if one && components.next().is_none() && !name.contains(['/', '\\', '\0']) {
        return Ok(name);
    }
    Err(ScratchError::BadName {
        name: name.escape_debug().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_unique_and_gone_after() {
        let root = Scratch::new(&std::env::temp_dir(), "root").unwrap();
        let inner = root.path("deep").unwrap();
        let one = Scratch::new(&inner, "render").unwrap();
        let two = Scratch::new(&inner, "render").unwrap();
        assert_ne!(one.dir(), two.dir());
        let mode = std::fs::metadata(one.dir()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::write(one.path("a.wav").unwrap(), b"x").unwrap();
        let dir = one.dir().to_owned();
        drop(one);
        assert!(!dir.exists() && two.dir().exists());
    }

    #[test]
    fn a_name_cannot_lead_out() {
        let scratch = Scratch::new(&std::env::temp_dir(), "names").unwrap();
        for bad in [
            "", ".", "..", "/etc", "a/b", "../a", "a/", "./a", "a\\b", "a\0b",
        ] {
            assert!(scratch.path(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "-a.mp4", "a:b", "..a"] {
            assert!(scratch.path(good).is_ok(), "{good:?}");
        }
        assert!(Scratch::new(&std::env::temp_dir(), "../up").is_err());
    }
}
