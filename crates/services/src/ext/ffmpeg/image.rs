//! A picture that every browser shows alike.
//!
//! It deliberately asks the bytes, not the name, what a picture is, and refuses one that is too large before anything is decoded.

use std::path::Path;

use sapari_telemetry::{Traced, ext_span};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use super::image_header::{self, Header};
use super::{AssetCall, Ffmpeg, MediaError, MediaSource, file_arg, keep, render};
use crate::part::PartFile;
use crate::process::{Exit, ProcessError};

/// More than any camera of today has; decoded, it takes 400 MB.
const MAX_PIXELS: u64 = 100_000_000;

/// What [`Ffmpeg::normalize_image`] is to make of what.
#[derive(Debug, Clone, Copy)]
pub struct PictureJob<'a> {
    /// A JPEG, PNG, WebP or GIF, whatever its name says.
    pub file: &'a Path,
    /// The file to write.
    pub to: &'a Path,
    /// How many pixels the longer side has at most. Nothing is enlarged.
    pub max_side: u32,
    /// What it is to be.
    pub format: PictureFormat,
}

/// What a picture is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Small, without transparency.
    Jpeg,
    /// Exact, with transparency.
    Png,
}

impl PictureFormat {
    fn pixels(self) -> &'static str {
        match self {
            Self::Jpeg => "format=yuvj420p",
            Self::Png => "format=rgba",
        }
    }

    fn args(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["-c:v", "mjpeg", "-q:v", "3"],
            Self::Png => &["-c:v", "png"],
        }
    }
}

impl Ffmpeg {
    /// Writes the picture upright, no larger than asked, without metadata, and tells its width and height. Of what moves, the
    /// first picture is taken.
    ///
    /// # Cancel safety
    ///
    /// `job.to` appears only when it is whole; a dropped future kills the process and removes `<to>.unfinished`.
    ///
    /// # Errors
    ///
    /// [`MediaError::Unsupported`] for what is no picture, too large, damaged or cut off; [`MediaError::Io`].
    pub async fn normalize_image(
        &self,
        call: AssetCall<'_>,
        job: PictureJob<'_>,
    ) -> Result<(u32, u32), MediaError> {
        let span = ext_span!(ffmpeg.normalize_image { asset_file_uuid = %call.asset_file_uuid });
        self.normalized(call.cancel, job).traced(span).await
    }

    async fn normalized(
        &self,
        cancel: &CancellationToken,
        job: PictureJob<'_>,
    ) -> Result<(u32, u32), MediaError> {
        let source = MediaSource::File(job.file.to_owned());
        let refused = |reason: String| MediaError::Unsupported {
            name: source.name(),
            reason,
        };
        let header = header(job.file)
            .await?
            .map_err(|reason| refused(reason.to_owned()))?;
        let pixels = u64::from(header.width) * u64::from(header.height);
        if pixels > MAX_PIXELS {
            let Header { width, height, .. } = header;
            return Err(refused(format!(
                "it has {width} x {height} pixels, and at most {MAX_PIXELS} are taken"
            )));
        }
        let part = PartFile::of(job.to);
        // The header of what lies within may say something else.
        let run = self
            .ffmpeg()
            .args(["-xerror", "-err_detect", "explode", "-max_pixels"])
            .arg(MAX_PIXELS.to_string())
            .args(["-protocol_whitelist", "file", "-f", header.demuxer, "-i"])
            .arg(file_arg(job.file))
            .args(["-frames:v", "1", "-vf", &filters(job)])
            .args(job.format.args())
            .args(render::WITHOUT_METADATA)
            .args(["-f", "image2pipe", "-y"])
            .arg(file_arg(part.path()))
            .run(cancel, |_| {})
            .await;
        run.map_err(|error| match error {
            ProcessError::Failed {
                exit: Exit::Code(_),
                ref stderr_tail,
                ..
            } if !is_of_the_machine(stderr_tail) => refused("it is damaged or cut off".to_owned()),
            other => MediaError::Process(other),
        })?;
        let made = self::header(part.path()).await?;
        let made = made.map_err(|_| refused("no picture came out of it".to_owned()))?;
        keep(part, job.to).await?;
        Ok((made.width, made.height))
    }
}

/// Whether what ffmpeg said is about something else than the picture, so that a retry may help.
fn is_of_the_machine(stderr: &str) -> bool {
    let words = [
        "No space left",
        "Cannot allocate",
        "Unknown encoder",
        "Permission denied",
    ];
    words.iter().any(|words| stderr.contains(words))
}

/// ffmpeg has turned it upright before.
fn filters(job: PictureJob<'_>) -> String {
    let side = job.max_side;
    let fit = |length: char| format!("max(1,round(i{length}*min(1,{side}/max(iw,ih))))");
    let (width, height) = (fit('w'), fit('h'));
    let pixels = job.format.pixels();
    format!("scale=w='{width}':h='{height}':flags=lanczos,{pixels}")
}

async fn header(path: &Path) -> Result<Result<Header, &'static str>, MediaError> {
    let io = |source| MediaError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).await.map_err(io)?;
    let mut bytes = Vec::new();
    let mut start = file.take(image_header::ENOUGH as u64);
    start.read_to_end(&mut bytes).await.map_err(io)?;
    Ok(image_header::read(&bytes))
}
