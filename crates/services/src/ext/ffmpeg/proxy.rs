//! A light copy of a recording that every browser plays.
//!
//! It deliberately maps no colours: what was made for HDR screens looks flat in it.

use std::path::Path;

use sapari_telemetry::{Traced, ext_span};

use super::making::Making;
use super::web::{self, Stream, WebPlan};
use super::whole::Of;
use super::{ClipCall, Ffmpeg, MediaError, MediaSource, Probe, filter, version};

/// A key frame every two seconds, so that a player can go to any place at once.
/// No picture is stored out of order: of uneven footage, ffmpeg 5.1 would write a length into the MP4 that leaves the last ones out.
const VIDEO_CODEC: [&str; 14] = [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-bf",
    "0",
    "-crf",
    "24",
    "-maxrate",
    "4M",
    "-bufsize",
    "8M",
    "-force_key_frames",
    "expr:gte(t,n_forced*2)",
];
/// Gaps, and a late start, become silence: sound and picture stay together.
const AUDIO_CODEC: [&str; 8] = [
    "-af",
    "aresample=async=1:first_pts=0",
    "-c:a",
    "aac",
    "-b:a",
    "128k",
    "-ac",
    "2",
];

/// What [`Ffmpeg::make_proxy`] is to make of what.
#[derive(Debug, Clone, Copy)]
pub struct ProxyJob<'a> {
    /// The recording.
    pub source: &'a MediaSource,
    /// What [`Ffmpeg::probe`] found in it.
    pub probe: &'a Probe,
    /// What is encoded of it: [`WebPlan::of`] the probe.
    pub plan: WebPlan,
    /// The MP4 file to write.
    pub to: &'a Path,
}

impl Ffmpeg {
    /// Makes an MP4 (H.264, AAC) of at most 720p whose start is ready for streaming. Streams that
    /// are fine are taken as they are. Pictures come out as they are shown, with 8 bits. `progress`
    /// gets the fraction done, rising, up to 1.0 at success.
    ///
    /// # Cancel safety
    ///
    /// `job.to` appears only when it is whole; a dropped future kills the process and removes
    /// `<to>.unfinished`.
    ///
    /// # Errors
    ///
    /// [`MediaError::Unsupported`] if more than a second of the source turns out to be missing, or
    /// as [`Ffmpeg::probe`].
    pub async fn make_proxy(
        &self,
        call: ClipCall<'_>,
        job: ProxyJob<'_>,
        progress: impl FnMut(f64) + Send,
    ) -> Result<(), MediaError> {
        let span = ext_span!(ffmpeg.make_proxy {
            clip_file_uuid = %call.clip_file_uuid,
            remuxed = job.plan.is_remux()
        });
        self.proxied(call, job, progress).traced(span).await
    }

    async fn proxied(
        &self,
        call: ClipCall<'_>,
        job: ProxyJob<'_>,
        mut progress: impl FnMut(f64) + Send,
    ) -> Result<(), MediaError> {
        let frame_rate = version::frame_rate_option(&self.check().await?.ffmpeg);
        let command = self
            .ffmpeg()
            .args(job.source.input_args())
            .args(stream_args(&job, frame_rate))
            .args(["-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn"])
            .args(["-movflags", "+faststart", "-f", "mp4"]);
        let making = Making {
            source: job.source,
            to: job.to,
            length: job.probe.duration,
        };
        let made = making.by(command, call.cancel, &mut progress).await?;
        let clip = (job.source, job.probe);
        self.whole(call.cancel, clip, (Of::All, &made)).await?;
        made.keep(progress).await
    }
}

fn stream_args(job: &ProxyJob<'_>, frame_rate: &str) -> Vec<String> {
    let mut args = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(ToString::to_string));
    if let Some(video) = &job.probe.video {
        add(&["-map", &format!("0:{}", video.index)]);
        match job.plan.video {
            Stream::Encode => {
                // ffmpeg has turned the pictures by then, and their size is that which is shown.
                let (width, height) = web::fit(video);
                let on_time = filter::on_time(job.probe);
                add(&[
                    "-vf",
                    &format!("{on_time}scale={width}:{height},format=yuv420p"),
                ]);
                add(&VIDEO_CODEC);
                // Else a picture that stands for long is encoded again and again.
                add(&[frame_rate, "vfr"]);
            }
            _ => add(&["-c:v", "copy"]),
        }
    }
    if let Some(audio) = &job.probe.audio {
        add(&["-map", &format!("0:{}", audio.index)]);
        match job.plan.audio {
            Stream::Encode => add(&AUDIO_CODEC),
            _ => add(&["-c:a", "copy"]),
        }
    }
    args
}
