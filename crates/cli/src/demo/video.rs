//! The video that the demo cuts, and where what comes out goes. Files are checked before the work, not after it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sapari_runtime::host::{Exit, Failure};
use uuid::Uuid;

use crate::args::Demo;

/// The video to cut, and where the cut version goes.
pub(super) struct Video {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) output: PathBuf,
}

impl Video {
    pub(super) fn of(arguments: &Demo) -> Result<Self, Failure> {
        let path = &arguments.video;
        let no_file = |why: &str| Exit::Usage.with(format!("{}: {why}", path.display()));
        let unread = |error| no_file(&format!("cannot be read: {error}"));
        // Looked at before it is opened: to open a pipe waits for somebody who writes.
        if !std::fs::metadata(path).map_err(unread)?.is_file() {
            return Err(no_file("is not a file; give a video"));
        }
        std::fs::File::open(path).map_err(unread)?;
        let text = |part: Option<&OsStr>| {
            let part = part.unwrap_or(path.as_os_str());
            part.to_string_lossy().into_owned()
        };
        let output = arguments.output.clone();
        let video = Self {
            path: path.clone(),
            name: text(path.file_name()),
            output: output.unwrap_or_else(|| format!("{}-cut.mp4", text(path.file_stem())).into()),
        };
        video.check(arguments.force)?;
        Ok(video)
    }

    /// Before the work rather than after it.
    fn check(&self, force: bool) -> Result<(), Failure> {
        let ending = self.output.extension().and_then(OsStr::to_str);
        if !ending.is_some_and(|ending| ending.eq_ignore_ascii_case("mp4")) {
            let why = "what is made is an MP4; give an --output that ends with .mp4";
            return Err(bad(&self.output, why));
        }
        let beside = Beside::ALL.iter().map(|kind| self.beside(*kind));
        let mut outputs = std::iter::once(self.output.clone()).chain(beside);
        outputs.try_for_each(|output| check_output(&self.path, &output, force))
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
    pub(super) const ALL: [Self; 4] = [Self::Proxy, Self::Waveform, Self::Picture, Self::Mail];

    fn ending(self) -> &'static str {
        match self {
            Self::Proxy => "proxy.mp4",
            Self::Waveform => "waveform.json",
            Self::Picture => "jpg",
            Self::Mail => "eml",
        }
    }
}

/// It must be a place for a file, not the source, and nothing that somebody wants to keep.
fn check_output(source: &Path, output: &Path, force: bool) -> Result<(), Failure> {
    let parent = output
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if !parent.unwrap_or(Path::new(".")).is_dir() {
        return Err(bad(output, "its directory does not exist; make it first"));
    }
    let Ok(there) = std::fs::metadata(output) else {
        return Ok(());
    };
    if !there.is_file() {
        return Err(bad(output, "is there, and no file; give another --output"));
    }
    match (source.canonicalize(), output.canonicalize()) {
        (Ok(source), Ok(place)) if source == place => {
            Err(bad(output, "is the video itself; give another --output"))
        }
        _ if !force => Err(bad(
            output,
            "is there already; give another --output, or --force to replace it",
        )),
        _ => Ok(()),
    }
}

fn bad(output: &Path, why: &str) -> Failure {
    Exit::Usage.with(format!("{}: {why}", output.display()))
}
