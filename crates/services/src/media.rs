//! What the roles that handle media work with: ffmpeg, storage and a place for scratch files, made
//! from the settings that `--help` lists.
//!
//! It knows of the runtime how a process gets its settings, and that a message comes to an end.

mod depot;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use depot::MediaDepot;
use sapari_runtime::host::{Check, Dependencies, LoadError, Setting, Settings};
use scopeguard::{ScopeGuard, guard};

use crate::{
    ClipCall, Ffmpeg, MediaError, MediaSource, Probe, Scratch, ScratchError, Storage, StorageError,
    Subject, Versions,
};

const STORAGE_URL: &str = "storage-url";
const SCRATCH_DIR: &str = "scratch-dir";

/// A clip where it lies, and what it is.
#[derive(Debug)]
pub struct Clip {
    /// Where ffmpeg reads it.
    pub source: MediaSource,
    /// What ffprobe found in it.
    pub probe: Probe,
}

/// ffmpeg, storage and scratch space. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Media {
    /// ffmpeg and ffprobe.
    pub ffmpeg: Ffmpeg,
    /// Where clips, edit lists and exports lie.
    pub storage: Storage,
    scratch_root: PathBuf,
}

impl Media {
    /// These three.
    #[must_use]
    pub fn new(ffmpeg: Ffmpeg, storage: Storage, scratch_root: PathBuf) -> Self {
        Self {
            ffmpeg,
            storage,
            scratch_root,
        }
    }

    /// The depot of a role whose handlers ask for scratch directories of messages under these labels.
    #[must_use]
    pub fn depot(&self, labels: &'static [&'static str]) -> MediaDepot {
        MediaDepot {
            storage: self.storage.clone(),
            scratch_root: self.scratch_root.clone(),
            labels,
        }
    }

    /// A clip where it lies in storage, and what it is.
    ///
    /// # Errors
    ///
    /// [`MediaError`]: there is none, or it is no recording.
    pub async fn look_at(&self, call: ClipCall<'_>, key: &str) -> Result<Clip, MediaError> {
        let source = self.source(call, key).await?;
        let probe = self.ffmpeg.probe(call, &source).await?;
        Ok(Clip { source, probe })
    }

    /// Where a clip lies in storage. What a bucket's address is signed with runs out: it is for now, and not to be kept.
    ///
    /// # Errors
    ///
    /// [`StorageError`].
    pub async fn source(&self, call: ClipCall<'_>, key: &str) -> Result<MediaSource, StorageError> {
        let subject = Subject::clip(call.clip_file_uuid);
        self.storage.media_source(subject, key).await
    }

    /// What a clip is, without where it lies.
    ///
    /// # Errors
    ///
    /// As [`look_at`](Self::look_at).
    pub async fn probe(&self, call: ClipCall<'_>, key: &str) -> Result<Probe, MediaError> {
        Ok(self.look_at(call, key).await?.probe)
    }

    /// A scratch directory for one task, gone when it is dropped. What was abandoned beside it is removed first: a
    /// process that runs for long has starts of tasks, and no start of its own.
    ///
    /// # Errors
    ///
    /// [`ScratchError`] if it cannot be made.
    pub async fn scratch(&self, label: &str) -> Result<Scratch, ScratchError> {
        let label = label.to_owned();
        in_swept(&self.scratch_root, move |root| Scratch::new(root, &label)).await
    }

    /// Does `work` in the scratch directory of the message `id`, as [`Scratch::of_message`] finds or makes it, swept beside as by
    /// [`Media::scratch`]. What failed, or was dropped before it ended, leaves it for the next attempt if `comes_again` says that there
    /// is one, asked with the error, or with none. It goes with the message if the role's depot is told the label: see [`Media::depot`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the work first.
    ///
    /// # Errors
    ///
    /// That of the work, or that there is no directory.
    pub async fn in_scratch_of<T, E, Work>(
        &self,
        (label, id): (&str, &str),
        comes_again: impl Fn(Option<&E>) -> bool,
        work: impl FnOnce(Arc<Scratch>) -> Work,
    ) -> Result<T, E>
    where
        E: From<ScratchError>,
        Work: Future<Output = Result<T, E>>,
    {
        let scratch = Arc::new(self.scratch_of(label, id).await?);
        let leave_if = |again: bool| {
            if again {
                scratch.leave();
            }
        };
        let if_dropped = guard((), |()| leave_if(comes_again(None)));
        let done = work(Arc::clone(&scratch)).await;
        ScopeGuard::into_inner(if_dropped);
        leave_if(done.as_ref().is_err_and(|error| comes_again(Some(error))));
        done
    }

    async fn scratch_of(&self, label: &str, id: &str) -> Result<Scratch, ScratchError> {
        let (label, id) = (label.to_owned(), id.to_owned());
        let find = move |root: &Path| Scratch::of_message(root, &label, &id);
        in_swept(&self.scratch_root, find).await
    }
}

/// Removes what was abandoned in `root`, says so, and does `then`; not on an async thread, because removing gigabytes
/// takes a while.
async fn in_swept<T: Send + 'static>(
    root: &Path,
    then: impl FnOnce(&Path) -> Result<T, ScratchError> + Send + 'static,
) -> Result<T, ScratchError> {
    let at = root.to_owned();
    let work = move || {
        let directories = Scratch::sweep(&at)?;
        Ok((directories, then(&at)?))
    };
    let done = tokio::task::spawn_blocking(work).await;
    let (directories, then) =
        done.unwrap_or_else(|ended| Err(ScratchError::io(root)(ended.into())))?;
    if directories > 0 {
        tracing::info!(directories, "removed what killed processes left behind");
    }
    Ok(then)
}

impl Dependencies for Media {
    const SETTINGS: &'static [Setting] = &[
        Setting {
            name: STORAGE_URL,
            help: "Where clips and exports lie: file:///absolute/dir, or s3://bucket/prefix with \
                   AWS_* variables [default: file:// in this user's data directory]",
            default: None,
        },
        Setting {
            name: SCRATCH_DIR,
            help: "Where tasks keep files while they run [default: in the system's temporary \
                   directory]",
            default: None,
        },
    ];

    fn load(settings: &Settings) -> Result<Self, LoadError> {
        let url = settings.get(STORAGE_URL).map(str::to_owned);
        let url = match url {
            Some(url) => url,
            None => default_storage_url()?,
        };
        let storage = Storage::open(&url).map_err(|error| LoadError::new(STORAGE_URL, error))?;
        let scratch_root = settings.get(SCRATCH_DIR).map(PathBuf::from);
        let scratch_root = scratch_root.unwrap_or_else(|| std::env::temp_dir().join("sapari"));
        // Child processes may run in other directories.
        let scratch_root = std::path::absolute(scratch_root);
        let scratch_root = scratch_root.map_err(|error| LoadError::new(SCRATCH_DIR, error))?;
        Ok(Self::new(Ffmpeg::in_path(), storage, scratch_root))
    }

    fn check(&self) -> Check {
        let (ffmpeg, scratch_root) = (self.ffmpeg.clone(), self.scratch_root.clone());
        Box::pin(async move {
            let Versions { ffmpeg, ffprobe } = ffmpeg.check().await?;
            tracing::info!(ffmpeg, ffprobe, "ffmpeg found");
            in_swept(&scratch_root, |_| Ok(())).await?;
            Ok(())
        })
    }
}

fn default_storage_url() -> Result<String, LoadError> {
    let place = data_dir().map(|data| data.join("storage"));
    let url = place.and_then(|place| url::Url::from_directory_path(place).ok());
    let missing = || LoadError::new(STORAGE_URL, "no home directory is known: set it");
    url.map(String::from).ok_or_else(missing)
}

/// Where this user's data lies unless settings say otherwise, by the XDG rules: `sapari` in `$XDG_DATA_HOME`, or in `.local/share`
/// at home.
#[must_use]
pub fn data_dir() -> Option<PathBuf> {
    let dir = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let data = dir("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data = data.or_else(|| Some(dir("HOME")?.join(".local/share")))?;
    Some(data.join("sapari"))
}
