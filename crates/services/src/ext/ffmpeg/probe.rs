//! Asking ffprobe what a recording is.
//!
//! It deliberately decodes nothing: a file whose header is sound may still be broken inside.

use sapari_telemetry::{Traced, ext_span};
use tokio_util::sync::CancellationToken;

use super::{ClipCall, Ffmpeg, MediaError, MediaSource, Probe, VideoStream, explained, probe_json};

/// A little more than 8K: whatever decodes it holds several pictures at once.
const MAX_PIXELS: u64 = 36_000_000;
const MAX_JSON: usize = 1024 * 1024;

impl Ffmpeg {
    /// Reads the header of `source`.
    ///
    /// # Cancel safety
    ///
    /// A dropped future kills ffprobe; nothing is left behind.
    ///
    /// # Errors
    ///
    /// [`MediaError::NotMedia`] for what is no recording (also an empty file or one cut off inside
    /// its header), [`MediaError::Unsupported`] for one with huge pictures, [`MediaError::Io`] for a missing file, or the failure of the process.
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
        let probe = probe_json::parse(&answer.stdout).map_err(|reason| MediaError::NotMedia {
            name: source.name(),
            reason,
        })?;
        match probe.video.as_ref().and_then(too_large) {
            None => Ok(probe),
            Some(reason) => Err(MediaError::Unsupported {
                name: source.name(),
                reason,
            }),
        }
    }
}

/// Said before anything of it is decoded.
fn too_large(video: &VideoStream) -> Option<String> {
    let VideoStream { width, height, .. } = video;
    let pixels = u64::from(*width) * u64::from(*height);
    (pixels > MAX_PIXELS).then(|| {
        format!("its pictures have {width} x {height} pixels, and at most {MAX_PIXELS} are taken")
    })
}
