//! Rendering the kept segments of a recording into one file.
//!
//! It deliberately encodes everything anew: cutting between key frames without encoding cannot
//! be exact.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sapari_telemetry::{Traced, ext_span};
use tokio_util::sync::CancellationToken;

use super::filter::{self, Graph};
use super::making::Making;
use super::{ClipCall, Codec, Ffmpeg, Look, MediaError, MediaSource, Probe, version};
use crate::cuts::{Segment, total};
use crate::part::with_suffix;
use crate::process::ChildProcess;

/// A longer graph goes to ffmpeg in a file: one argument holds 128 KiB at most on Linux.
pub(super) const MAX_GRAPH_ARG: usize = 32 * 1024;

pub(super) const WITHOUT_METADATA: [&str; 4] = ["-map_metadata", "-1", "-map_chapters", "-1"];
const AUDIO_CODEC: [&str; 4] = ["-c:a", "aac", "-b:a", "160k"];

/// What [`Ffmpeg::render_cuts`] is to make of what.
#[derive(Debug, Clone, Copy)]
pub struct CutJob<'a> {
    /// The recording.
    pub source: &'a MediaSource,
    /// What [`Ffmpeg::probe`] found in it.
    pub probe: &'a Probe,
    /// What to keep: ordered, not overlapping. Moved to the nearest frames of the video.
    pub keep: &'a [Segment],
    /// The MP4 file to write.
    pub to: &'a Path,
    /// How it looks and sounds.
    pub look: Look<'a>,
}

impl Ffmpeg {
    /// Renders the kept segments, one after the other, as MP4 (AAC, and the look's codec), with the start of the
    /// file ready for streaming. Metadata and chapters of the source are dropped: they would tell
    /// of places and times that are no longer true. `progress` gets the fraction done, rising, up
    /// to 1.0 at success. Gives the length of what was made, which may be up to a second less than
    /// that of the segments, where the source's pictures and sound end before it does.
    ///
    /// # Cancel safety
    ///
    /// `job.to` appears only when it is whole; a dropped future kills the process and removes
    /// `<to>.unfinished`.
    ///
    /// # Errors
    ///
    /// [`MediaError::Unsupported`] if there is nothing to keep or the segments are out of order,
    /// or if the source turns out to be cut off, or as [`Ffmpeg::probe`].
    pub async fn render_cuts(
        &self,
        call: ClipCall<'_>,
        job: CutJob<'_>,
        progress: impl FnMut(f64) + Send,
    ) -> Result<Duration, MediaError> {
        let span = ext_span!(ffmpeg.render { clip_file_uuid = %call.clip_file_uuid });
        self.rendered(call.cancel, job, progress).traced(span).await
    }

    pub(super) async fn rendered(
        &self,
        cancel: &CancellationToken,
        job: CutJob<'_>,
        mut progress: impl FnMut(f64) + Send,
    ) -> Result<Duration, MediaError> {
        let segments = segments(&job)?;
        job.look.check(job.to)?;
        let graph = filter::graph(job.probe, &segments, &job.look);
        let script = self.script(&graph, job.to).await?;
        let command = in_place(self.ffmpeg(), &job)
            .args(job.source.input_args())
            .args(script.args())
            .args(output_args(&graph, job.look.codec));
        let making = Making {
            source: job.source,
            to: job.to,
            length: total(&segments),
        };
        let made = making.by(command, cancel, &mut progress).await?;
        let recording = (job.source, job.probe);
        self.all_cut_out(cancel, recording, &made).await?;
        let length = made.length();
        made.keep(progress).await?;
        Ok(length)
    }
}

/// Subtitles are named without their directory: what that is called need not be written so that a
/// filter graph understands it.
fn in_place(ffmpeg: ChildProcess, job: &CutJob<'_>) -> ChildProcess {
    match job.to.parent() {
        Some(dir) if job.look.subtitles.is_some() => ffmpeg.current_dir(dir),
        _ => ffmpeg,
    }
}

pub(super) fn segments(job: &CutJob<'_>) -> Result<Vec<Segment>, MediaError> {
    let unsupported = |reason: &str| MediaError::Unsupported {
        name: job.source.name(),
        reason: reason.to_owned(),
    };
    if job.keep.windows(2).any(|pair| pair[1].from < pair[0].to) {
        return Err(unsupported(
            "the segments to keep overlap or are not in order",
        ));
    }
    let even = job.probe.video.as_ref().and_then(|video| video.fps);
    let fps = job.probe.encoding.repeated.or(even);
    let segments = filter::on_frames(job.keep, fps);
    if segments.is_empty() {
        return Err(unsupported("nothing of it is left to keep"));
    }
    Ok(segments)
}

fn output_args(graph: &Graph, codec: Codec) -> Vec<&'static str> {
    let mut args = Vec::new();
    for output in &graph.outputs {
        args.extend(["-map", output]);
        args.extend_from_slice(if *output == "[v]" {
            codec.args()
        } else {
            &AUDIO_CODEC[..]
        });
    }
    args.extend(WITHOUT_METADATA);
    args.extend(["-movflags", "+faststart", "-f", "mp4"]);
    args
}

/// How the graph gets to ffmpeg: as an argument, or in a file that is removed on drop.
pub(super) enum Script<'a> {
    Arg(&'a str),
    File {
        text: &'a str,
        path: PathBuf,
        option: &'static str,
    },
}

impl Ffmpeg {
    /// The graph as this ffmpeg takes it; a file of it lies beside `to`.
    pub(super) async fn script<'a>(
        &self,
        graph: &'a Graph,
        to: &Path,
    ) -> Result<Script<'a>, MediaError> {
        let option = version::graph_file_option(&self.check().await?.ffmpeg);
        let script = Script::of(graph, to, option);
        script.write().await?;
        Ok(script)
    }
}

impl<'a> Script<'a> {
    fn of(graph: &'a Graph, to: &Path, option: &'static str) -> Self {
        if graph.text.len() <= MAX_GRAPH_ARG {
            return Self::Arg(&graph.text);
        }
        Self::File {
            text: &graph.text,
            path: with_suffix(to, ".graph"),
            option,
        }
    }

    async fn write(&self) -> Result<(), MediaError> {
        let Self::File { text, path, .. } = self else {
            return Ok(());
        };
        let written = tokio::fs::write(path, text).await;
        written.map_err(|source| MediaError::Io {
            doing: "write",
            path: path.clone(),
            source,
        })
    }

    pub(super) fn args(&self) -> [OsString; 2] {
        match self {
            Self::Arg(text) => ["-filter_complex".into(), text.into()],
            Self::File { path, option, .. } => [option.into(), path.into()],
        }
    }
}

impl Drop for Script<'_> {
    fn drop(&mut self) {
        if let Self::File { path, .. } = self {
            let _ = std::fs::remove_file(path);
        }
    }
}
