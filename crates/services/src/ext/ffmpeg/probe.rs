//! Asking ffprobe what a recording is.
//!
//! It deliberately decodes nothing: a file whose header is sound may still be broken inside.

use std::time::Duration;

use sapari_telemetry::{Traced, ext_span};
use tokio_util::sync::CancellationToken;

use super::{ClipCall, Ffmpeg, MediaError, MediaSource, Probe, VideoStream, explained, probe_json};

/// A little more than 8K: whatever decodes it holds several pictures at once.
const MAX_PIXELS: u64 = 36_000_000;
/// What a side may have: no encoder takes more, and none a single row.
const SIDES: std::ops::RangeInclusive<u32> = 2..=16_384;
const MAX_JSON: usize = 1024 * 1024;
/// What ffprobe says of a length that it made up from the size of the file and the rate of its beginning.
const GUESSED: &str = "Estimating duration from bitrate";

impl Ffmpeg {
    /// Reads the header of `source`, and all of it if that does not tell how long it is.
    ///
    /// # Cancel safety
    ///
    /// A dropped future kills ffprobe; nothing is left behind.
    ///
    /// # Errors
    ///
    /// [`MediaError::NotMedia`] for what is no recording (also an empty file or one cut off inside
    /// its header), [`MediaError::Unsupported`] for one with pictures of a size that nothing encodes or that ends inside a packet, [`MediaError::Io`] for a missing
    /// file, or the failure of the process.
    pub async fn probe(
        &self,
        call: ClipCall<'_>,
        source: &MediaSource,
    ) -> Result<Probe, MediaError> {
        let span = ext_span!(ffmpeg.probe { clip_file_uuid = %call.clip_file_uuid });
        self.probed(call.cancel, source).traced(span).await
    }

    /// As [`Ffmpeg::probe`], for operations that have a span of their own.
    pub(super) async fn probed(
        &self,
        cancel: &CancellationToken,
        source: &MediaSource,
    ) -> Result<Probe, MediaError> {
        source.check().await?;
        let run = self
            .ffprobe()
            .args([
                "-show_entries",
                probe_json::ENTRIES,
                "-of",
                "json=compact=1",
            ])
            .args(source.input_args());
        let answer = run
            .collect(cancel, MAX_JSON)
            .await
            .map_err(|error| explained(source, error))?;
        let mut probe =
            probe_json::parse(&answer.stdout).map_err(|reason| MediaError::NotMedia {
                name: source.name(),
                reason,
            })?;
        if let Some(reason) = probe.video.as_ref().and_then(unfit) {
            return Err(MediaError::Unsupported {
                name: source.name(),
                reason,
            });
        }
        if must_be_measured(&probe, &answer.stderr_tail) {
            probe.duration = self.read_through(cancel, source, &probe).await?;
            if probe.format == "wav" {
                let told = self.length_of_wav(cancel, source).await?;
                probe.duration = told.map_or(probe.duration, |told| told.max(probe.duration));
            }
        }
        if probe.duration.is_zero() {
            return Err(MediaError::NotMedia {
                name: source.name(),
                reason: "it does not tell how long it is".to_owned(),
            });
        }
        self.look_at_packets(cancel, source, &mut probe).await?;
        Ok(probe)
    }

    /// How long it is by its last packet. MP3 and AAC without a container are so read, because a guess is off by as much as their rate
    /// varies; and what browsers record, which does not tell.
    async fn read_through(
        &self,
        cancel: &CancellationToken,
        source: &MediaSource,
        probe: &Probe,
    ) -> Result<Duration, MediaError> {
        match self.last_packet(cancel, source, probe).await?.ends {
            Duration::ZERO => Ok(probe.duration),
            last => Ok(last),
        }
    }
}

/// Whether ffprobe does not know how long it is. It knows of ASF, but does not say, when much of it is missing.
fn must_be_measured(probe: &Probe, stderr: &str) -> bool {
    let is_guess = stderr.contains(GUESSED) && !probe_json::COUNTING.contains(&&*probe.format);
    is_guess || (probe.duration.is_zero() && probe.format != "asf")
}

/// Said before anything of it is decoded.
fn unfit(video: &VideoStream) -> Option<String> {
    let VideoStream { width, height, .. } = video;
    let pixels = u64::from(*width) * u64::from(*height);
    let taken = if pixels > MAX_PIXELS {
        format!("at most {MAX_PIXELS} are taken")
    } else if [width, height].iter().any(|side| !SIDES.contains(side)) {
        format!("sides of {} to {} are taken", SIDES.start(), SIDES.end())
    } else {
        return None;
    };
    Some(format!(
        "its pictures have {width} x {height} pixels, and {taken}"
    ))
}
