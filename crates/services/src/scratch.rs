//! A directory of its own for each task, gone when the task is.
//!
//! It deliberately has no quota. What a killed process left behind is swept at the next start of a
//! process or a task: each directory is locked by its owner, and a lock ends with its process, so
//! whoever can lock it may remove it at once. The directory of a message is left alone for some
//! hours, because the message's next attempt may find in it what the killed one had fetched.

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::executable;

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;
use uuid::Uuid;

use crate::part::UNFINISHED;

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
    /// Left for the next attempt.
    is_left: AtomicBool,
    /// Locked as long as this lives.
    _lock: File,
}

/// A UUID with its hyphens.
const UUID_CHARS: usize = 36;

/// What the name of a message's directory ends with.
const OF_MESSAGE: &str = ".message";

/// The longest name of a message's directory. File systems take 255 bytes.
const MAX_NAME: usize = 240;

/// How often a new directory may be swept away before it is locked. Once is rare.
const MAX_SWEPT: usize = 8;

/// A directory of a message changed since may be of use to its next attempt: longer than any
/// pause before one.
const OF_USE: Duration = Duration::from_hours(6);

impl Scratch {
    /// Makes `<root>/<label>-<uuid>` with mode 0700, and `root` if it is missing.
    ///
    /// # Errors
    ///
    /// [`ScratchError::BadName`] if `label` is not a plain name, else [`ScratchError::Io`].
    pub fn new(root: &Path, label: &str) -> Result<Self, ScratchError> {
        let label = plain(label)?;
        for _ in 0..MAX_SWEPT {
            let dir = root.join(format!("{label}-{}", Uuid::now_v7()));
            if let Some(lock) = made(root, &dir).map_err(ScratchError::io(root))? {
                return Ok(Self::locked(dir, lock));
            }
        }
        let swept = io::Error::other("what is made there is removed at once");
        Err(ScratchError::io(root)(swept))
    }

    /// The directory of the message `id`: the same for each of its attempts on this machine, with
    /// what an attempt that was killed, or that called [`Scratch::leave`], had finished in it.
    /// Files that it had not finished are removed; its child processes ended with it, by their
    /// leash. While an earlier attempt still lives, this is a new directory as [`Scratch::new`]
    /// makes it, and so it is after the machine has started anew: nothing was synced to disk.
    ///
    /// # Errors
    ///
    /// As [`Scratch::new`].
    pub fn of_message(root: &Path, label: &str, id: &str) -> Result<Self, ScratchError> {
        let name = name_of_message(plain(label)?, id);
        if name.len() > MAX_NAME {
            return Self::new(root, label);
        }
        let dir = root.join(name);
        let Some(lock) = taken_over(root, &dir).map_err(ScratchError::io(root))? else {
            return Self::new(root, label);
        };
        unfinished(&dir).for_each(|file| {
            let _ = std::fs::remove_file(file);
        });
        Ok(Self::locked(dir, lock))
    }

    /// Removes what was left for the next attempt at the message `id` under these labels, as there is none to come. An attempt that runs
    /// removes its own; this is for a message that comes to its end without one, like one that killed its workers. Gives how many
    /// directories that were.
    pub fn forget(root: &Path, labels: &[&str], id: &str) -> usize {
        let names = labels.iter().map(|label| name_of_message(label, id));
        let dirs = names.map(|name| root.join(name));
        dirs.filter(|dir| removed(dir, is_private)).count()
    }

    fn locked(dir: PathBuf, lock: File) -> Self {
        Self {
            dir,
            is_left: AtomicBool::new(false),
            _lock: lock,
        }
    }

    /// Leaves the directory to the message's next attempt instead of removing it. If none comes to
    /// this machine within some hours, it is swept.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    /// Makes sure that `root` is there, and removes from it what processes left behind that were
    /// killed. Gives how many directories that were.
    ///
    /// # Errors
    ///
    /// [`ScratchError::Io`] if `root` cannot be made or read.
    pub fn sweep(root: &Path) -> Result<usize, ScratchError> {
        let read = std::fs::create_dir_all(root).and_then(|()| std::fs::read_dir(root));
        let entries = read.map_err(ScratchError::io(root))?;
        let dirs = entries.flatten().map(|entry| entry.path());
        Ok(dirs.filter(|dir| swept(dir)).count())
    }

    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the file `name` of this directory is there, and so is whole.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.path(name).is_ok_and(|path| path.exists())
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
        if *self.is_left.get_mut() {
            return;
        }
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            tracing::warn!(%error, dir = %self.dir.display(), "scratch directory not removed");
        }
    }
}

impl ScratchError {
    pub(crate) fn io(root: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            root: root.to_owned(),
            source,
        }
    }
}

/// The lock of a new directory; none if somebody swept it before it was locked.
fn made(root: &Path, dir: &Path) -> io::Result<Option<File>> {
    std::fs::create_dir_all(root)?;
    std::fs::DirBuilder::new().mode(0o700).create(dir)?;
    locked(dir)
}

/// The lock of a message's directory, which is made if it is missing; none while somebody has it.
fn taken_over(root: &Path, dir: &Path) -> io::Result<Option<File>> {
    std::fs::create_dir_all(root)?;
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match is_private(dir) {
        true => locked(dir),
        false => Ok(None),
    }
}

/// The lock of a directory; none while somebody has it, and none if it is gone: between opening
/// and locking, whoever had it may have removed it.
fn locked(dir: &Path) -> io::Result<Option<File>> {
    let lock = match File::open(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match lock.try_lock() {
        Ok(()) => Ok(is_still(dir, &lock).then_some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A directory, not a link to one, that only this user may enter. The name of a message's
/// directory can be guessed, and the root may be open to others.
fn is_private(dir: &Path) -> bool {
    let ours = |meta: std::fs::Metadata| {
        meta.is_dir()
            && meta.permissions().mode() & 0o077 == 0
            && meta.uid() == nix::unistd::geteuid().as_raw()
    };
    std::fs::symlink_metadata(dir).is_ok_and(ours)
}

fn is_still(dir: &Path, lock: &File) -> bool {
    let of = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    let (there, locked) = (std::fs::symlink_metadata(dir), lock.metadata());
    there.is_ok_and(|there| locked.is_ok_and(|locked| of(there) == of(locked)))
}

/// What an attempt that was killed had not finished: see [`crate::part`].
fn unfinished(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == UNFINISHED)
    })
}

/// Removes what was abandoned: ours by its name, and locked by nobody. A root may hold what is not
/// ours.
fn swept(dir: &Path) -> bool {
    removed(dir, is_abandoned)
}

/// Removes what is so, and locked by nobody.
fn removed(dir: &Path, is_so: impl Fn(&Path) -> bool) -> bool {
    // What is not is not even locked: the message's next attempt may come for it just now.
    if !is_so(dir) {
        return false;
    }
    // Locked until it is gone: the message's next attempt must not move in meanwhile.
    let lock = locked(dir).ok().flatten().filter(|_| is_so(dir));
    let Some(_lock) = lock else {
        return false;
    };
    let removed = std::fs::remove_dir_all(dir);
    if let Err(error) = &removed {
        tracing::warn!(%error, dir = %dir.display(), "abandoned scratch directory not removed");
    }
    removed.is_ok()
}

/// Whether it is ours and of use to nobody, if nobody has it locked.
fn is_abandoned(dir: &Path) -> bool {
    let changed = std::fs::symlink_metadata(dir).and_then(|meta| meta.modified());
    // Without an age it was changed just now, or by another clock.
    let age = changed.ok().and_then(|at| at.elapsed().ok());
    of_use(dir).is_some_and(|of_use| age.unwrap_or_default() >= of_use)
}

/// For how long a directory that nobody has locked may be of use since it was changed; none for
/// what is not ours.
fn of_use(dir: &Path) -> Option<Duration> {
    // Not through a link: what it leads to is somebody else's.
    if !std::fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir()) {
        return None;
    }
    let name = dir.file_name().and_then(OsStr::to_str)?;
    if name.ends_with(OF_MESSAGE) {
        return is_private(dir).then_some(OF_USE);
    }
    let (label, uuid) = name.split_at_checked(name.len().checked_sub(UUID_CHARS)?)?;
    let uuid = Uuid::try_parse(uuid).ok()?;
    (label.len() > 1 && uuid.get_version_num() == 7).then_some(Duration::ZERO)
}

fn name_of_message(label: &str, id: &str) -> String {
    format!("{label}-{}-{}{OF_MESSAGE}", file_name(id), this_boot())
}

/// What tells this start of the machine from its last one; nothing where the kernel does not say.
fn this_boot() -> &'static str {
    static BOOT: LazyLock<String> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.chars().take_while(char::is_ascii_hexdigit).collect()
    });
    &BOOT
}

/// An id as part of a file name: what is no letter, digit or hyphen stands there in hex, so that
/// two ids never share a name.
fn file_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => name.push(byte.into()),
            // Writing to a String cannot fail.
            other => drop(write!(name, "_{other:02x}")),
        }
    }
    name
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
