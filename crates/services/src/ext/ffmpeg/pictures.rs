//! Still pictures of a video: a poster, and a sheet of thumbnails to scrub through.
//!
//! It deliberately works on proxies: they are small, upright, and have key frames to jump to.

use std::path::Path;
use std::time::Duration;

use sapari_telemetry::{Traced, ext_span};

use super::{ClipCall, Ffmpeg, MediaError, MediaSource, VideoStream, explained, file_arg, keep};
use crate::part::PartFile;

const COLUMNS: u32 = 10;
/// A sheet has no more rows than this, however long the video is.
const MAX_ROWS: u32 = 10;
const TILE_WIDTH: u32 = 160;
/// Tiles further apart than this are taken from key frames, which come every two seconds.
const FROM_KEY_FRAMES: Duration = Duration::from_secs(4);

/// How a sheet of thumbnails is laid out: row by row, the first one at the start of the video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sprite {
    /// How many there are.
    pub tiles: u32,
    /// How many stand in a row.
    pub columns: u32,
    /// The width of one, in pixels.
    pub tile_width: u32,
    /// Its height.
    pub tile_height: u32,
    /// How far apart they are in the video.
    pub interval: Duration,
}

impl Sprite {
    /// The sheet of a video: a tile a second, or a hundred of them.
    #[must_use]
    pub fn of(video: &VideoStream, duration: Duration) -> Self {
        let second = Duration::from_secs(1);
        let interval = (duration / (COLUMNS * MAX_ROWS)).max(second);
        let tiles = duration.as_secs_f64() / interval.as_secs_f64();
        let height = f64::from(TILE_WIDTH) * f64::from(video.height) / f64::from(video.width);
        Self {
            tiles: (tiles.ceil() as u32).clamp(1, COLUMNS * MAX_ROWS),
            columns: COLUMNS,
            tile_width: TILE_WIDTH,
            tile_height: ((height / 2.0).round() as u32).clamp(1, TILE_WIDTH * 2) * 2,
            interval,
        }
    }

    fn filter(&self) -> String {
        let (columns, rows) = (self.columns, self.tiles.div_ceil(self.columns));
        // `round=up` begins at the first frame, and leaves no tile at the end that has no frame.
        format!(
            "fps=1/{:.6}:start_time=0:round=up,scale={}:{},tile={columns}x{rows}",
            self.interval.as_secs_f64(),
            self.tile_width,
            self.tile_height,
        )
    }
}

impl Ffmpeg {
    /// Writes the picture at `at` of a video to `to`, as JPEG; its first one if there is none at or
    /// after that.
    ///
    /// # Cancel safety
    ///
    /// `to` appears only when it is whole; a dropped future kills the process and removes
    /// `<to>.unfinished`.
    ///
    /// # Errors
    ///
    /// As [`Ffmpeg::probe`].
    pub async fn make_poster(
        &self,
        call: ClipCall<'_>,
        source: &MediaSource,
        at: Duration,
        to: &Path,
    ) -> Result<(), MediaError> {
        let span = ext_span!(ffmpeg.make_poster { clip_file_uuid = %call.clip_file_uuid });
        let at = format!("{:.3}", at.as_secs_f64());
        let work = async {
            let there = self.picture(call, source, &["-ss", &at], "null", to).await;
            match there {
                Err(MediaError::Unsupported { .. }) => {
                    self.picture(call, source, &[], "null", to).await
                }
                there => there,
            }
        };
        // Boxed: it has room for two processes.
        Box::pin(work).traced(span).await
    }

    /// Writes a sheet of thumbnails of a video to `to`, as JPEG.
    ///
    /// # Cancel safety
    ///
    /// As [`Ffmpeg::make_poster`].
    ///
    /// # Errors
    ///
    /// As [`Ffmpeg::probe`].
    pub async fn make_sprite(
        &self,
        call: ClipCall<'_>,
        source: &MediaSource,
        sprite: &Sprite,
        to: &Path,
    ) -> Result<(), MediaError> {
        let span = ext_span!(ffmpeg.make_sprite { clip_file_uuid = %call.clip_file_uuid });
        let before: &[&str] = match sprite.interval >= FROM_KEY_FRAMES {
            true => &["-skip_frame", "nokey"],
            false => &[],
        };
        let filter = sprite.filter();
        let picture = self.picture(call, source, before, &filter, to);
        picture.traced(span).await
    }

    async fn picture(
        &self,
        call: ClipCall<'_>,
        source: &MediaSource,
        before: &[&str],
        filter: &str,
        to: &Path,
    ) -> Result<(), MediaError> {
        source.check().await?;
        let part = PartFile::of(to);
        self.ffmpeg()
            .args(before)
            .args(source.input_args())
            .args(["-map", "0:v:0", "-vf", filter, "-frames:v", "1"])
            .args(["-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p"])
            .args(["-f", "image2", "-update", "1", "-y"])
            .arg(file_arg(part.path()))
            .run(call.cancel, |_| {})
            .await
            .map_err(|error| explained(source, error))?;
        // ffmpeg calls it success when no picture comes.
        if tokio::fs::try_exists(part.path()).await.is_ok_and(|it| !it) {
            return Err(MediaError::Unsupported {
                name: source.name(),
                reason: "there is no picture where one was looked for".to_owned(),
            });
        }
        keep(part, to).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_has_a_tile_a_second_or_a_hundred() {
        let video = |width, height| VideoStream {
            index: 0,
            width,
            height,
            fps: None,
        };
        let layout = |video: &VideoStream, millis| {
            let sprite = Sprite::of(video, Duration::from_millis(millis));
            (
                sprite.tiles,
                sprite.tile_height,
                sprite.interval.as_millis(),
            )
        };
        let wide = video(1280, 720);
        let table = [
            (26_480, (27, 90, 1000)),
            (40, (1, 90, 1000)),
            (100_000, (100, 90, 1000)),
            (3_600_000, (100, 90, 36_000)),
        ];
        for (millis, expected) in table {
            assert_eq!(layout(&wide, millis), expected, "{millis}");
        }
        assert_eq!(layout(&video(720, 1280), 1000).1, 284);
        assert_eq!(layout(&video(1280, 2), 1000).1, 2);
        assert_eq!(layout(&video(2, 1280), 1000).1, 640);
    }
}
