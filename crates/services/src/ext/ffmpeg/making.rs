//! One run of ffmpeg that makes one file: told how far it is on the way, under its own name once it is whole.
//!
//! It deliberately does not judge what came out: who asked for the file looks at [`Made`] before keeping it.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::progress::{Progress, UNNOTICED};
use super::{MediaError, MediaSource, explained, file_arg, keep};
use crate::part::PartFile;
use crate::process::ChildProcess;

/// What is made of what.
pub(super) struct Making<'a> {
    pub(super) source: &'a MediaSource,
    pub(super) to: &'a Path,
    /// Of the whole output.
    pub(super) length: Duration,
}

/// What ffmpeg calls done. Dropped, it is removed.
pub(super) struct Made<'a> {
    part: PartFile,
    to: &'a Path,
    expected: Duration,
    fractions: Progress,
    /// What ffmpeg said meanwhile.
    pub(super) said: String,
}

impl<'a> Making<'a> {
    /// Runs the command, whose arguments lack only the output, and tells how far it is.
    pub(super) async fn by(
        self,
        command: ChildProcess,
        cancel: &CancellationToken,
        progress: &mut (impl FnMut(f64) + Send),
    ) -> Result<Made<'a>, MediaError> {
        self.source.check().await?;
        let part = PartFile::of(self.to);
        let mut fractions = Progress::towards(self.length);
        let said = command
            .args(["-progress", "pipe:1", "-nostats", "-y"])
            .arg(file_arg(part.path()))
            .run(cancel, |line| {
                if let Some(fraction) = fractions.line(line) {
                    progress(fraction);
                }
            })
            .await
            .map_err(|error| explained(self.source, error))?;
        Ok(Made {
            part,
            to: self.to,
            expected: self.length,
            fractions,
            said,
        })
    }
}

impl Made<'_> {
    /// How much of the expected length never came.
    pub(super) fn missing(&self) -> Duration {
        self.fractions.missing()
    }

    /// How long it is: as was expected, unless more of that is missing than anybody would see.
    pub(super) fn length(&self) -> Duration {
        match self.missing() {
            missing if missing <= UNNOTICED => self.expected,
            missing => self.expected.saturating_sub(missing),
        }
    }

    /// Gives the file its own name.
    pub(super) async fn keep(self, mut progress: impl FnMut(f64)) -> Result<(), MediaError> {
        keep(self.part, self.to).await?;
        if let Some(whole) = self.fractions.end() {
            progress(whole);
        }
        Ok(())
    }
}
