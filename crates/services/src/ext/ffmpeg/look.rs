//! How a rendered recording looks and sounds, beside what is cut of it.
//!
//! It deliberately takes texts only as the name of a file: nothing that people write stands in a
//! filter graph.

use std::ffi::OsStr;
use std::path::Path;

use super::loudness::Gain;
use super::{MediaError, VideoStream};
use crate::cuts::Segment;

/// How it looks and sounds. By default as the source does, in H.264.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Look<'a> {
    /// Where the source's own sound is not to be heard, in times of the source.
    pub mutes: &'a [Segment],
    /// What is heard there instead.
    pub muted: Muted,
    /// How much louder or quieter it becomes.
    pub gain: Option<Gain>,
    /// An ASS file to burn into the pictures, which lies beside the output. Its name is a plain one:
    /// letters, digits, dots.
    pub subtitles: Option<&'a str>,
    /// How many pixels the shorter side has at most. Nothing is enlarged.
    pub short_side: Option<u32>,
    /// How pictures are encoded.
    pub codec: Codec,
}

/// What is heard where the source's sound is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Muted {
    /// Nothing.
    #[default]
    Silence,
    /// A tone of 1 kHz.
    Bleep,
}

/// How pictures are encoded, with AAC beside them, in an MP4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Codec {
    /// H.264: plays everywhere.
    #[default]
    H264,
    /// H.265: half the size, not in every browser.
    H265,
    /// AV1: smaller still, slow to make.
    Av1,
    /// H.264, made fast and coarse: to look at once.
    Draft,
}

impl Codec {
    pub(super) fn args(self) -> &'static [&'static str] {
        match self {
            Self::H264 => &["-c:v", "libx264", "-preset", "veryfast", "-crf", "20"],
            // Without the tag, Apple's players do not take it.
            Self::H265 => &[
                "-c:v",
                "libx265",
                "-preset",
                "fast",
                "-crf",
                "24",
                "-tag:v",
                "hvc1",
                "-x265-params",
                "log-level=error",
            ],
            Self::Av1 => &["-c:v", "libsvtav1", "-preset", "9", "-crf", "32"],
            Self::Draft => &["-c:v", "libx264", "-preset", "ultrafast", "-crf", "30"],
        }
    }
}

impl Look<'_> {
    /// The pictures' size: even numbers, because 4:2:0 colour takes no others.
    #[must_use]
    pub fn size(&self, video: &VideoStream) -> (u32, u32) {
        let (width, height) = (u64::from(video.width), u64::from(video.height));
        let short = width.min(height);
        let wanted = self
            .short_side
            .map_or(short, u64::from)
            .clamp(2, short.max(2));
        let even = |side: u64| (((side * wanted + short / 2) / short.max(1)) / 2 * 2).max(2);
        let fit = |side: u64| u32::try_from(even(side)).unwrap_or(u32::MAX - 1);
        (fit(width), fit(height))
    }

    /// What the joined pictures go through.
    pub(super) fn video_filters(&self, video: &VideoStream) -> String {
        // Not scaled where nothing is to become smaller: an odd row is cropped then.
        let mut filters = match self.short_side {
            Some(side) if side < video.width.min(video.height) => {
                let (width, height) = self.size(video);
                format!("scale={width}:{height}:flags=bicubic")
            }
            _ => "crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0".to_owned(),
        };
        if let Some(name) = self.subtitles {
            filters.push_str(",ass=filename=");
            filters.push_str(name);
        }
        filters + ",format=yuv420p"
    }

    /// Says so if the name of the subtitles could be anything but a name.
    pub(super) fn check(&self, to: &Path) -> Result<(), MediaError> {
        let is_plain = |name: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
            !name.is_empty() && name.chars().all(plain)
        };
        match self.subtitles {
            Some(name) if !is_plain(name) => Err(MediaError::Unsupported {
                name: to
                    .file_name()
                    .map(OsStr::to_string_lossy)
                    .unwrap_or_default()
                    .into_owned(),
                reason: "the name of its subtitles is not a plain one".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_even_and_never_larger() {
        let table = [
            ((1920, 1080), Some(720), (1280, 720)),
            ((1080, 1920), Some(720), (720, 1280)),
            ((640, 360), Some(720), (640, 360)),
            ((640, 360), None, (640, 360)),
            ((641, 361), None, (640, 360)),
            ((853, 480), Some(361), (642, 360)),
            ((2, 2000), Some(1), (2, 2000)),
            ((1, 1), None, (2, 2)),
        ];
        for ((width, height), short_side, expected) in table {
            let video = VideoStream {
                index: 0,
                width,
                height,
                fps: None,
            };
            let look = Look {
                short_side,
                ..Look::default()
            };
            assert_eq!(
                look.size(&video),
                expected,
                "{width}x{height} at {short_side:?}"
            );
        }
    }

    #[test]
    fn subtitles_have_a_plain_name() {
        for (name, is_fine) in [
            ("captions.ass", true),
            ("a:b", false),
            ("a'b", false),
            ("", false),
        ] {
            let look = Look {
                subtitles: Some(name),
                ..Look::default()
            };
            assert_eq!(look.check(Path::new("out.mp4")).is_ok(), is_fine, "{name}");
        }
    }
}
