//! A directory of its own for each task, gone when the task is.
//!
//! It deliberately has no quota. What a killed process left behind is swept by the next one that
//! starts: each directory is locked by its owner, and a lock ends with its process.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

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
    /// Locked as long as this lives.
    _lock: File,
}

/// A UUID with its hyphens.
const UUID_CHARS: usize = 36;

/// A directory changed since may be about to be locked.
const AT_LEAST: Duration = Duration::from_secs(60);

impl Scratch {
    /// Makes `<root>/<label>-<uuid>` with mode 0700, and `root` if it is missing.
    ///
    /// # Errors
    ///
    /// [`ScratchError::BadName`] if `label` is not a plain name, else [`ScratchError::Io`].
    pub fn new(root: &Path, label: &str) -> Result<Self, ScratchError> {
        let dir = root.join(format!("{}-{}", plain(label)?, Uuid::now_v7()));
        let made = std::fs::create_dir_all(root)
            .and_then(|()| std::fs::DirBuilder::new().mode(0o700).create(&dir))
            .and_then(|()| File::open(&dir))
            .and_then(|lock| lock.lock().map(|()| lock));
        let lock = made.map_err(|source| ScratchError::Io {
            root: root.to_owned(),
            source,
        })?;
        Ok(Self { dir, _lock: lock })
    }

    /// Makes sure that `root` is there, and removes from it what processes left behind that were
    /// killed. Gives how many directories that were.
    ///
    /// # Errors
    ///
    /// [`ScratchError::Io`] if `root` cannot be made or read.
    pub fn sweep(root: &Path) -> Result<usize, ScratchError> {
        let read = std::fs::create_dir_all(root).and_then(|()| std::fs::read_dir(root));
        let entries = read.map_err(|source| ScratchError::Io {
            root: root.to_owned(),
            source,
        })?;
        let dirs = entries.flatten().map(|entry| entry.path());
        let swept = dirs.filter(|dir| is_abandoned(dir) && std::fs::remove_dir_all(dir).is_ok());
        Ok(swept.count())
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

/// Ours by its name, not new, and locked by nobody: a root may hold what is not ours.
fn is_abandoned(dir: &Path) -> bool {
    let changed = std::fs::metadata(dir).and_then(|meta| meta.modified());
    let old = changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= AT_LEAST));
    old && is_ours(dir) && File::open(dir).is_ok_and(|dir| dir.try_lock().is_ok())
}

fn is_ours(dir: &Path) -> bool {
    let name = dir.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let uuid = name
        .len()
        .checked_sub(UUID_CHARS)
        .and_then(|at| name.get(at..));
    let ours = |uuid: &str| Uuid::try_parse(uuid).is_ok_and(|uuid| uuid.get_version_num() == 7);
    // Not through a link: what it leads to is somebody else's.
    let is_dir = std::fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir());
    is_dir && name.len() > UUID_CHARS + 1 && uuid.is_some_and(ours)
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
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_what_is_old_and_locked_by_nobody_is_swept() {
        let root = Scratch::new(&std::env::temp_dir(), "sweep-test").unwrap();
        let running = Scratch::new(root.dir(), "running").unwrap();
        let long_ago = SystemTime::now() - 2 * AT_LEAST;
        let left = |name: &str, changed: SystemTime| {
            let dir = root.dir().join(name);
            std::fs::create_dir(&dir).unwrap();
            File::open(&dir).unwrap().set_modified(changed).unwrap();
            dir
        };
        let ours = |label: &str| format!("{label}-{}", Uuid::now_v7());
        let old = left(&ours("render"), long_ago);
        let new = left(&ours("render"), SystemTime::now());
        let not_ours = left("somebody-elses", long_ago);
        let handle = File::open(running.dir()).unwrap();
        handle.set_modified(long_ago).unwrap();
        assert_eq!(Scratch::sweep(root.dir()).unwrap(), 1);
        assert!(!old.exists() && new.exists() && not_ours.exists());
        assert!(running.dir().exists(), "its owner lives");
    }

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
