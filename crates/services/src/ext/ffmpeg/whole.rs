//! What ffmpeg calls success although its input just ended, as an upload that was cut off does.
//!
//! It deliberately finds out only what the file itself contradicts: one that does not say how much there is may end anywhere.

use tokio_util::sync::CancellationToken;

use super::making::Made;
use super::progress::{MAX_MISSING, UNNOTICED, complete};
use super::{Ffmpeg, MediaError, MediaSource, Probe};

/// What was made of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Its sound alone.
    Sound,
    /// All that is seen and heard of it.
    All,
}

impl Ffmpeg {
    /// Whether `made` has all of the stretches that were to be cut out of `source`. They may be a little shorter all the same, if the
    /// source's pictures and its sound end before it does.
    pub(super) async fn all_cut_out(
        &self,
        cancel: &CancellationToken,
        (source, probe): (&MediaSource, &Probe),
        made: &Made<'_>,
    ) -> Result<(), MediaError> {
        let missing = made.missing();
        complete(source, missing)?;
        if missing <= UNNOTICED {
            return Ok(());
        }
        // Of a short stretch, a second is a lot: it is the source that must not lack more.
        if made.said.lines().any(tells_of_an_early_end) {
            return Err(cut_off(source));
        }
        if tells_by_itself(probe) {
            return Ok(());
        }
        let last = self.last_packet(cancel, source, probe).await?;
        complete(source, probe.duration.saturating_sub(last.ends))
    }

    /// Whether `made` has all there is of `source`. It may be shorter all the same: beside pictures, sound may end early, and
    /// the last picture may be shown for long.
    pub(super) async fn whole(
        &self,
        cancel: &CancellationToken,
        (source, probe): (&MediaSource, &Probe),
        (of, made): (Of, &Made<'_>),
    ) -> Result<(), MediaError> {
        let missing = made.missing();
        let told = made.said.lines().any(tells_of_an_early_end);
        if told && (of == Of::Sound || missing > MAX_MISSING) {
            return Err(cut_off(source));
        }
        if missing <= MAX_MISSING || probe.video.is_none() {
            return complete(source, missing);
        }
        let last = self.last_packet(cancel, source, probe).await?;
        if !tells_by_itself(probe) {
            complete(source, probe.duration.saturating_sub(last.ends))?;
        }
        let reached = probe.duration.saturating_sub(missing);
        match of {
            Of::Sound => Ok(()),
            Of::All => complete(source, last.begins.saturating_sub(reached)),
        }
    }
}

/// Matroska seldom says how long its last picture is shown, and ffmpeg says if it ends early.
fn tells_by_itself(probe: &Probe) -> bool {
    probe.format.starts_with("matroska")
}

/// In MP4's words, and in Matroska's. Behind who says it: files are called all kinds of things.
fn tells_of_an_early_end(line: &str) -> bool {
    let line = line.trim_end();
    let words = line.split_once("] ").map_or("", |(_, words)| words);
    line.ends_with(": partial file") || words.starts_with("File ended prematurely")
}

fn cut_off(source: &MediaSource) -> MediaError {
    MediaError::Unsupported {
        name: source.name(),
        reason: "it is damaged or cut off".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_early_end() {
        let table = [
            (
                "[mov,mp4 @ 0x1] stream 1, offset 0x74e68: partial file",
                true,
            ),
            ("[matroska,webm @ 0x1] File ended prematurely\n", true),
            (
                "[matroska,webm @ 0x1] File ended prematurely at pos. 406712 (0x634b8)",
                true,
            ),
            ("Input #0, mov, from 'partial file.mp4':", false),
            (
                "[mov,mp4 @ 0x1] Opening 'File ended prematurely.mp4'",
                false,
            ),
        ];
        for (line, expected) in table {
            assert_eq!(tells_of_an_early_end(line), expected, "{line}");
        }
    }
}
