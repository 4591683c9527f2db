//! What can be wrong with media, in words for the one who uploaded it.
//!
//! It deliberately sorts only what is certain: a failure it does not know stays a plain process
//! failure, which may be tried again.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::MediaSource;
use crate::ext::storage::StorageError;
use crate::process::{ProcessError, telling};

/// Why ffmpeg gave no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The source is no video or sound that ffmpeg understands. Permanent.
    #[error("{name} is not a video that ffmpeg can read: {reason}")]
    NotMedia {
        /// The source's name.
        name: String,
        /// What ffmpeg, or a look at the file, says.
        reason: String,
    },
    /// The source has no audio stream. Permanent.
    #[error("{name} has no sound: give a recording with an audio track")]
    NoAudio {
        /// The source's name.
        name: String,
    },
    /// The source or the request is sound, but this cannot be done with it. Permanent.
    #[error("{name} cannot be processed: {reason}")]
    Unsupported {
        /// The source's name.
        name: String,
        /// What stands against it.
        reason: String,
    },
    /// It could not be had from storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The process was not found, failed, or was stopped.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A local file could not be read or written.
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

impl MediaError {
    /// Whether no retry can heal this: the media itself is at fault, or a program is missing.
    /// Cancellation, signals, I/O and failures of an unknown kind are not permanent.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NotMedia { .. } | Self::NoAudio { .. } | Self::Unsupported { .. } => true,
            Self::Storage(error) => error.is_permanent(),
            Self::Process(error) => matches!(error, ProcessError::NotFound { .. }),
            Self::Io { .. } => false,
        }
    }

    /// Whether the caller's own token ended the call.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Process(error) if error.is_cancelled())
    }

    /// What the words of a failed process mean for its source, if they are known.
    pub(super) fn said(source: &MediaSource, stderr: &str) -> Option<Self> {
        let name = source.name();
        let has = |words: &str| stderr.contains(words);
        if has("Format not on whitelist") {
            let reason = "its format is not one of the accepted video and audio containers";
            return Some(Self::NotMedia {
                name,
                reason: reason.to_owned(),
            });
        }
        let last = last_words(stderr);
        // Over the network the same words may mean a connection that broke.
        let ended_early = matches!(source, MediaSource::File(_)) && last.ends_with(": End of file");
        if last.contains(INVALID) || ended_early {
            let reason = if ended_early { "End of file" } else { INVALID };
            return Some(Self::NotMedia {
                name,
                reason: reason.to_owned(),
            });
        }
        let unsupported = stderr
            .lines()
            .find(|line| UNSUPPORTED.iter().any(|words| line.contains(words)))?;
        Some(Self::Unsupported {
            name,
            reason: without_origin(unsupported).to_owned(),
        })
    }
}

const INVALID: &str = "Invalid data found when processing input";

/// Always fatal wherever they stand, unlike most of what ffmpeg prints.
const UNSUPPORTED: [&str; 4] = [
    "Unknown encoder",
    "No such filter",
    "not found for input stream",
    "not on whitelist",
];

/// The line that names the fatal error. Earlier ones may be warnings about damage ffmpeg got over.
fn last_words(stderr: &str) -> &str {
    telling(stderr).next().unwrap_or_default()
}

/// A line without the `[mov @ 0x5557f418f5c0]` of who said it.
fn without_origin(line: &str) -> &str {
    match line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        Some((_, words)) => words.trim(),
        None => line.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stderr: &str) -> Option<String> {
        MediaError::said(&MediaSource::File("/tmp/a.txt".into()), stderr).map(|e| e.to_string())
    }

    #[test]
    fn the_words_of_ffmpeg() {
        let not = "a.txt is not a video that ffmpeg can read";
        let table = [
            (
                "file:/tmp/a.txt: Invalid data found when processing input\n",
                Some(format!("{not}: {INVALID}")),
            ),
            (
                "[mov @ 0x1] error reading header\nfile:/tmp/a.txt: End of file\n",
                Some(format!("{not}: End of file")),
            ),
            (
                "[hls @ 0x1] Format not on whitelist 'mov'\nfile:/tmp/a.txt: Invalid argument",
                Some(format!(
                    "{not}: its format is not one of the accepted video and audio containers"
                )),
            ),
            (
                "Unknown encoder 'libx264'",
                Some("a.txt cannot be processed: Unknown encoder 'libx264'".to_owned()),
            ),
            ("file:/tmp/a.txt: Cannot allocate memory", None),
            (
                "Error while decoding stream #0:0: Invalid data found when processing input\n\
                 av_interleaved_write_frame(): No space left on device\nConversion failed!\n",
                None,
            ),
            ("", None),
        ];
        for (stderr, expected) in table {
            assert_eq!(said(stderr), expected, "{stderr}");
        }
    }

    #[test]
    fn a_broken_connection_is_not_a_broken_video() {
        let source = MediaSource::Url("https://h/a.mp4".to_owned());
        assert!(MediaError::said(&source, "https://h/a.mp4: End of file").is_none());
    }

    #[test]
    fn what_a_retry_can_heal() {
        let missing = ProcessError::NotFound {
            program: "ffmpeg".to_owned(),
        };
        assert!(MediaError::Process(missing).is_permanent());
        let killed = ProcessError::Failed {
            program: "ffmpeg".to_owned(),
            exit: crate::process::Exit::Signal(9),
            stderr_tail: String::new(),
        };
        assert!(!MediaError::Process(killed).is_permanent());
        assert!(
            MediaError::NoAudio {
                name: "a".to_owned()
            }
            .is_permanent()
        );
    }
}
