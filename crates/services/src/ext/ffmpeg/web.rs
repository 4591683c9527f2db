//! What browsers play, and how a recording becomes that with the least work.
//!
//! It deliberately knows the common ground of all browsers only: H.264 with 8 bits and 4:2:0, AAC or MP3, in MP4.

use super::{Probe, VideoStream};

/// The box that a proxy fits into, lying or upright.
const LONG_SIDE: u32 = 1280;
const SHORT_SIDE: u32 = 720;

/// More is too much for a proxy, whatever its codec.
const MAX_BITS_PER_SECOND: u64 = 6_000_000;

/// What is done with one kind of stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// There is none.
    None,
    /// It is taken as it is.
    Copy,
    /// It is encoded anew.
    Encode,
}

/// How a recording becomes its proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebPlan {
    /// What is done with the pictures.
    pub video: Stream,
    /// What is done with the sound.
    pub audio: Stream,
}

impl WebPlan {
    /// The plan for a proxy of at most 720p.
    #[must_use]
    pub fn of(probe: &Probe) -> Self {
        let (pictures, sound) = (probe.video.as_ref(), probe.audio.as_ref());
        let stream = |is_there, is_fine| match (is_there, is_fine) {
            (false, _) => Stream::None,
            (true, true) => Stream::Copy,
            (true, false) => Stream::Encode,
        };
        let small = |video: &VideoStream| fit(video) == (video.width, video.height);
        let bits = probe.encoding.bits_per_second;
        let light = bits.is_none_or(|bits| bits <= MAX_BITS_PER_SECOND);
        let pictures_fine = plays_pictures(probe) && light && pictures.is_some_and(small);
        let two = sound.is_some_and(|audio| audio.channels <= 2);
        Self {
            video: stream(pictures.is_some(), pictures_fine),
            audio: stream(sound.is_some(), probe.encoding.audio == "aac" && two),
        }
    }

    /// Whether nothing is encoded.
    #[must_use]
    pub fn is_remux(self) -> bool {
        self.video != Stream::Encode && self.audio != Stream::Encode
    }

    /// The same with everything encoded anew, for a recording that cannot be taken as it is.
    #[must_use]
    pub fn encoded(self) -> Self {
        let anew = |stream| match stream {
            Stream::Copy => Stream::Encode,
            other => other,
        };
        Self {
            video: anew(self.video),
            audio: anew(self.audio),
        }
    }
}

impl Probe {
    /// Whether every browser plays the recording as it is.
    #[must_use]
    pub fn plays_in_browsers(&self) -> bool {
        let pictures = self.video.is_none() || plays_pictures(self);
        let sound = self.audio.is_none() || matches!(&*self.encoding.audio, "aac" | "mp3");
        let container = self.format.split(',').any(|name| name == "mp4");
        container && pictures && sound
    }
}

/// Turned ones are encoded, too: not every player turns them. So are those that do not tell when they are shown: in an MP4 they
/// would be shown in the order they are stored in.
fn plays_pictures(probe: &Probe) -> bool {
    let encoding = &probe.encoding;
    let pixels = matches!(&*encoding.pixels, "yuv420p" | "yuvj420p");
    let is_plain = !encoding.is_turned && encoding.untimed.is_none();
    encoding.video == "h264" && pixels && is_plain
}

/// The size of the proxy's pictures: in the box, of the same shape, even, and never larger than they were.
pub(super) fn fit(video: &VideoStream) -> (u32, u32) {
    let (width, height) = (f64::from(video.width), f64::from(video.height));
    let (long, short) = (width.max(height), width.min(height));
    let scale = (f64::from(LONG_SIDE) / long)
        .min(f64::from(SHORT_SIDE) / short)
        .min(1.0);
    // Rounded to the nearest even number, of at least two.
    let even = |side: f64| ((side * scale / 2.0).round() as u32).max(1) * 2;
    (even(width), even(height))
}

#[cfg(test)]
mod tests {
    use super::super::{AudioStream, Encoding};
    use super::*;

    fn probe() -> Probe {
        Probe {
            duration: std::time::Duration::from_secs(10),
            video: Some(video(1280, 720)),
            audio: Some(AudioStream {
                index: 1,
                sample_rate: 48_000,
                channels: 2,
            }),
            format: "mov,mp4,m4a".to_owned(),
            encoding: Encoding {
                video: "h264".to_owned(),
                pixels: "yuv420p".to_owned(),
                audio: "aac".to_owned(),
                is_turned: false,
                bits_per_second: Some(2_000_000),
                untimed: None,
                repeated: None,
            },
        }
    }

    fn video(width: u32, height: u32) -> VideoStream {
        VideoStream {
            index: 0,
            width,
            height,
            fps: None,
        }
    }

    fn plan(change: impl FnOnce(&mut Probe)) -> (Stream, Stream, bool) {
        let mut probe = probe();
        change(&mut probe);
        let plan = WebPlan::of(&probe);
        (plan.video, plan.audio, probe.plays_in_browsers())
    }

    #[test]
    fn only_what_must_be_is_encoded() {
        use Stream::{Copy, Encode, None};
        assert_eq!(plan(|_| {}), (Copy, Copy, true));
        assert_eq!(
            plan(|it| it.format = "matroska,webm".to_owned()),
            (Copy, Copy, false)
        );
        assert_eq!(
            plan(|it| it.encoding.video = "hevc".to_owned()),
            (Encode, Copy, false)
        );
        assert_eq!(
            plan(|it| it.encoding.pixels = "yuv420p10le".to_owned()),
            (Encode, Copy, false)
        );
        assert_eq!(
            plan(|it| it.encoding.is_turned = true),
            (Encode, Copy, false)
        );
        assert_eq!(
            plan(|it| it.encoding.untimed = Some(2)),
            (Encode, Copy, false)
        );
        assert_eq!(
            plan(|it| it.video = Some(video(1920, 1080))),
            (Encode, Copy, true)
        );
        assert_eq!(
            plan(|it| it.video = Some(video(719, 405))),
            (Encode, Copy, true)
        );
        assert_eq!(
            plan(|it| it.video = Some(video(720, 1280))),
            (Copy, Copy, true)
        );
        assert_eq!(
            plan(|it| it.encoding.bits_per_second = Some(50_000_000)),
            (Encode, Copy, true)
        );
        assert_eq!(
            plan(|it| it.encoding.audio = "mp3".to_owned()),
            (Copy, Encode, true)
        );
        assert_eq!(
            plan(|it| it.audio.as_mut().unwrap().channels = 6),
            (Copy, Encode, true)
        );
        assert_eq!(plan(|it| it.audio = Option::None), (Copy, None, true));
        assert_eq!(plan(|it| it.video = Option::None), (None, Copy, true));
        let encoded = WebPlan::of(&probe()).encoded();
        assert!(!encoded.is_remux() && encoded.video == Encode && encoded.audio == Encode);
    }

    #[test]
    fn pictures_fit_into_720p_and_keep_their_shape() {
        let table = [
            ((1920, 1080), (1280, 720)),
            ((3840, 2160), (1280, 720)),
            ((1080, 1920), (720, 1280)),
            ((2560, 1080), (1280, 540)),
            ((640, 360), (640, 360)),
            ((641, 361), (642, 362)),
            ((16_384, 16), (1280, 2)),
            ((1, 1), (2, 2)),
        ];
        for ((width, height), expected) in table {
            assert_eq!(fit(&video(width, height)), expected, "{width}x{height}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_size_becomes_an_even_one_in_the_box(width in 1u32..40_000, height in 1u32..40_000) {
            let (wide, high) = fit(&video(width, height));
            proptest::prop_assert!(wide % 2 == 0 && high % 2 == 0 && wide >= 2 && high >= 2);
            proptest::prop_assert!(wide.max(high) <= LONG_SIDE && wide.min(high) <= SHORT_SIDE);
        }
    }
}
