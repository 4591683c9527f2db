//! What ffmpeg calls success although its input just ended, as an upload that was cut off does.
//!
//! It deliberately finds out only what the file itself contradicts: one that does not say how much there is may end anywhere.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::making::Made;
use super::progress::{MAX_MISSING, complete, out_time_us};
use super::{Ffmpeg, MediaError, MediaSource, Probe, explained};

impl Ffmpeg {
    /// Whether sound that was made of `source` has all there is of it. Sound alone is as long as the recording; beside
    /// pictures it may end early, unless they do, too.
    pub(super) async fn whole(
        &self,
        cancel: &CancellationToken,
        (source, probe): (&MediaSource, &Probe),
        made: &Made<'_>,
    ) -> Result<(), MediaError> {
        // In MP4's words, and in Matroska's. At the end of a line: files are called all kinds of things.
        let words = [": partial file", "] File ended prematurely"];
        let ends = |line: &str| words.iter().any(|words| line.trim_end().ends_with(words));
        if made.said.lines().any(ends) {
            return Err(MediaError::Unsupported {
                name: source.name(),
                reason: "it is damaged or cut off".to_owned(),
            });
        }
        let missing = made.missing();
        match &probe.video {
            Some(video) if missing > MAX_MISSING => {
                let pictures = self.last_packet(cancel, source, video.index).await?;
                let frame = video.fps.map_or(Duration::ZERO, |fps| fps.frame());
                let unseen = probe.duration.saturating_sub(pictures + frame);
                complete(source, missing.min(unseen))
            }
            _ => complete(source, missing),
        }
    }

    /// When the last packet of a stream comes. All of the source is read, and nothing decoded.
    pub(super) async fn last_packet(
        &self,
        cancel: &CancellationToken,
        source: &MediaSource,
        stream: u32,
    ) -> Result<Duration, MediaError> {
        let mut last = 0;
        self.ffmpeg()
            .args(source.input_args())
            .args(["-map", &format!("0:{stream}"), "-c", "copy"])
            .args(["-progress", "pipe:1", "-nostats", "-f", "null", "-"])
            .run(cancel, |line| {
                last = out_time_us(line).map_or(last, |us| last.max(us));
            })
            .await
            .map_err(|error| explained(source, error))?;
        Ok(Duration::from_micros(u64::try_from(last).unwrap_or(0)))
    }
}
