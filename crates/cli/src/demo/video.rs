//! The video that the demo cuts, and where what comes out goes. Files are checked before the work, not after it.

use std::path::{Path, PathBuf};

use sapari_runtime::host::{Exit, Failure};
use uuid::Uuid;

/// The video to cut, and where the cut version goes.
pub(super) struct Video {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) output: PathBuf,
}

impl Video {
    pub(super) fn at(path: &Path, output: Option<&Path>) -> Result<Self, Failure> {
        let no_file = |why: &str| Exit::Usage.with(format!("{}: {why}", path.display()));
        let found = std::fs::File::open(path).and_then(|file| file.metadata());
        let found = found.map_err(|error| no_file(&format!("cannot be read: {error}")))?;
        if !found.is_file() {
            return Err(no_file("is not a file; give a video"));
        }
        let name = path
            .file_name()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        let stem = path
            .file_stem()
            .unwrap_or(path.as_os_str())
            .to_string_lossy()
            .into_owned();
        let output = output.map_or_else(
            || PathBuf::from(format!("{stem}-cut.mp4")),
            Path::to_path_buf,
        );
        let video = Self {
            path: path.to_path_buf(),
            name,
            output,
        };
        check_output(path, &video.output)?;
        Beside::ALL
            .iter()
            .try_for_each(|kind| check_output(path, &video.beside(*kind)))?;
        Ok(video)
    }

    /// Where something that belongs to the cut version goes: under its name, with another ending.
    pub(super) fn beside(&self, kind: Beside) -> PathBuf {
        self.output.with_extension(kind.ending())
    }

    /// A storage key that keeps as much of the name as every store takes.
    pub(super) fn key(&self, clip: Uuid) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                c
            } else {
                '_'
            }
        };
        let name: String = self.name.chars().map(plain).collect();
        format!("clips/{clip}/{}", name.trim_start_matches('.'))
    }
}

/// What lies beside the cut version.
#[derive(Clone, Copy)]
pub(super) enum Beside {
    /// The light copy of the clip.
    Proxy,
    /// The peaks of its sound.
    Waveform,
    /// A picture of it.
    Picture,
    /// The mail that says that it is there.
    Mail,
}

impl Beside {
    const ALL: [Self; 4] = [Self::Proxy, Self::Waveform, Self::Picture, Self::Mail];

    fn ending(self) -> &'static str {
        match self {
            Self::Proxy => "proxy.mp4",
            Self::Waveform => "waveform.json",
            Self::Picture => "jpg",
            Self::Mail => "eml",
        }
    }
}

/// Before the work rather than after it: the output must not be the source, and must be a place for a file.
fn check_output(source: &Path, output: &Path) -> Result<(), Failure> {
    let bad = |why: &str| Exit::Usage.with(format!("{}: {why}", output.display()));
    let parent = output
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if !parent.unwrap_or(Path::new(".")).is_dir() {
        return Err(bad("its directory does not exist; make it first"));
    }
    let Ok(there) = std::fs::metadata(output) else {
        return Ok(());
    };
    if !there.is_file() {
        return Err(bad("is there, and no file; give another --output"));
    }
    match (source.canonicalize(), output.canonicalize()) {
        (Ok(source), Ok(output)) if source == output => {
            Err(bad("is the video itself; give another --output"))
        }
        _ => Ok(()),
    }
}
