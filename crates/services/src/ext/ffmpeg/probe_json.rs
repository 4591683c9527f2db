//! What ffprobe's JSON says about a recording.
//!
//! It deliberately takes the first real video and the first audio stream and ignores the rest,
//! cover pictures among them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a recording is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Its length.
    pub duration: Duration,
    /// Its pictures, if it has any.
    pub video: Option<VideoStream>,
    /// Its sound, if it has any.
    pub audio: Option<AudioStream>,
    /// The names of its container format, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format: String,
    /// How its streams are encoded.
    pub encoding: Encoding,
}

/// How the streams of a recording are encoded, in ffprobe's words; empty where it has no such stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// The codec of the pictures, such as `h264`.
    pub video: String,
    /// The format of their pixels, such as `yuv420p`.
    pub pixels: String,
    /// The codec of the sound, such as `aac`.
    pub audio: String,
    /// The pictures are to be turned when they are shown.
    pub is_turned: bool,
    /// Of the whole file, if it is known.
    pub bits_per_second: Option<u64>,
    /// Set if the pictures are stored in another order than they are shown in, and not all of them tell when they are
    /// shown: how many frames late decoding them shows them.
    #[serde(default)]
    pub untimed: Option<u32>,
    /// Set if pictures come unevenly, or one stands for long: how many a second there are when they are cut. What is shown at a time
    /// is then repeated.
    #[serde(default)]
    pub repeated: Option<FrameRate>,
}

/// A video stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoStream {
    /// Its number in the file.
    pub index: u32,
    /// Its width in pixels as shown, after any rotation.
    pub width: u32,
    /// Its height in pixels as shown, after any rotation.
    pub height: u32,
    /// Its average frame rate, if the file tells.
    pub fps: Option<FrameRate>,
}

/// An audio stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioStream {
    /// Its number in the file.
    pub index: u32,
    /// Samples per second.
    pub sample_rate: u32,
    /// How many channels.
    pub channels: u32,
}

/// Frames per second as a fraction: 30000/1001 has no exact decimal. Neither part is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRate {
    /// The numerator.
    pub num: u32,
    /// The denominator.
    pub den: u32,
}

impl FrameRate {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (num, den) = text.split_once('/')?;
        let rate = Self {
            num: num.parse().ok()?,
            den: den.parse().ok()?,
        };
        (rate.num > 0 && rate.den > 0).then_some(rate)
    }

    fn per_second(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// The fields asked of ffprobe, for `-show_entries`.
pub(super) const ENTRIES: &str = "format=format_name,duration,bit_rate:\
    stream=index,codec_type,codec_name,pix_fmt,width,height,avg_frame_rate,r_frame_rate,sample_rate,channels,duration,\
    nb_frames,time_base:\
    stream_disposition=attached_pic:stream_side_data=rotation";

/// The containers whose headers count their frames.
pub(super) const COUNTING: [&str; 2] = ["avi", "caf"];

/// Reads ffprobe's answer. `Err` is the reason in words. What does not tell how long it is has a length of zero.
pub(super) fn parse(json: &[u8]) -> Result<Probe, String> {
    let answer: Answer = serde_json::from_slice(json)
        .map_err(|error| format!("ffprobe's answer is not understood: {error}"))?;
    let video = answer.streams.iter().find_map(video);
    let audio = answer.streams.iter().find_map(audio);
    if video.is_none() && audio.is_none() {
        return Err("it has neither pictures nor sound".to_owned());
    }
    let encoding = encoding(&answer, video.as_ref(), audio.as_ref());
    let longest = answer
        .streams
        .iter()
        .filter_map(|s| seconds(s.duration.as_deref()))
        .max();
    let duration = seconds(answer.format.duration.as_deref())
        .or(longest)
        .max(counted(&answer))
        .unwrap_or_default();
    Ok(Probe {
        duration,
        video,
        audio,
        encoding,
        format: answer.format.format_name,
    })
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<Stream>,
    format: Format,
}

#[derive(Deserialize)]
struct Format {
    #[serde(default)]
    format_name: String,
    duration: Option<String>,
    bit_rate: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    index: u32,
    #[serde(default)]
    codec_type: String,
    #[serde(default)]
    codec_name: String,
    #[serde(default)]
    pix_fmt: String,
    width: Option<u32>,
    height: Option<u32>,
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    sample_rate: Option<String>,
    channels: Option<u32>,
    duration: Option<String>,
    nb_frames: Option<String>,
    time_base: Option<String>,
    #[serde(default)]
    disposition: Disposition,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Deserialize, Default)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

fn video(stream: &Stream) -> Option<VideoStream> {
    if stream.codec_type != "video" || stream.disposition.attached_pic != 0 {
        return None;
    }
    let (width, height) = match (stream.width?, stream.height?) {
        (0, _) | (_, 0) => return None,
        (width, height) if lies_on_its_side(stream) => (height, width),
        upright => upright,
    };
    let rate = |text: &Option<String>| FrameRate::parse(text.as_deref()?);
    Some(VideoStream {
        index: stream.index,
        width,
        height,
        fps: rate(&stream.avg_frame_rate).or_else(|| rate(&stream.r_frame_rate)),
    })
}

/// Phones store upright recordings lying, with a note to turn them; ffmpeg does when it decodes.
fn lies_on_its_side(stream: &Stream) -> bool {
    let turn = stream.side_data_list.iter().find_map(|data| data.rotation);
    turn.is_some_and(|degrees| degrees.abs() % 180.0 == 90.0)
}

fn encoding(answer: &Answer, video: Option<&VideoStream>, audio: Option<&AudioStream>) -> Encoding {
    let at = |index: u32| answer.streams.iter().find(|stream| stream.index == index);
    let video = video.and_then(|video| at(video.index));
    let audio = audio.and_then(|audio| at(audio.index));
    let turn = video.and_then(|stream| stream.side_data_list.iter().find_map(|data| data.rotation));
    Encoding {
        video: video
            .map(|stream| stream.codec_name.clone())
            .unwrap_or_default(),
        pixels: video
            .map(|stream| stream.pix_fmt.clone())
            .unwrap_or_default(),
        audio: audio
            .map(|stream| stream.codec_name.clone())
            .unwrap_or_default(),
        is_turned: turn.is_some_and(|degrees| degrees % 360.0 != 0.0),
        bits_per_second: answer
            .format
            .bit_rate
            .as_ref()
            .and_then(|text| text.parse().ok()),
        untimed: None,
        repeated: video.and_then(repeated),
    }
}

/// Screens are recorded so, and phones do it in the dark.
fn repeated(stream: &Stream) -> Option<FrameRate> {
    let rate = |text: &Option<String>| FrameRate::parse(text.as_deref()?);
    let (average, base) = (rate(&stream.avg_frame_rate)?, rate(&stream.r_frame_rate)?);
    let ratio = base.per_second() / average.per_second();
    // Twice as many where each picture is two, one of every other line.
    let is_even = [1.0, 2.0]
        .iter()
        .any(|even| (ratio / even - 1.0).abs() < 0.01);
    let is_usual = |rate: &FrameRate| (10.0..=60.0).contains(&rate.per_second());
    let usual = [base, average].into_iter().find(is_usual);
    (!is_even || average.per_second() < 2.0)
        .then_some(usual.unwrap_or(FrameRate { num: 25, den: 1 }))
}

/// How long a recording is by the count of frames in its header. Of one that is cut off, ffprobe tells the length of what is there.
fn counted(answer: &Answer) -> Option<Duration> {
    if !COUNTING.contains(&&*answer.format.format_name) {
        return None;
    }
    let mut streams = answer.streams.iter();
    let pictures = streams.clone().find(|it| video(it).is_some());
    let stream = pictures.or_else(|| streams.find(|it| audio(it).is_some()))?;
    let frames: u64 = stream.nb_frames.as_deref()?.parse().ok()?;
    let FrameRate { num, den } = FrameRate::parse(stream.time_base.as_deref()?)?;
    let length = frames as f64 * f64::from(num) / f64::from(den);
    Duration::try_from_secs_f64(length).ok()
}

fn audio(stream: &Stream) -> Option<AudioStream> {
    if stream.codec_type != "audio" {
        return None;
    }
    let sample_rate = stream.sample_rate.as_deref()?.parse().ok()?;
    let channels = stream.channels?;
    (sample_rate > 0 && channels > 0).then_some(AudioStream {
        index: stream.index,
        sample_rate,
        channels,
    })
}

fn seconds(text: Option<&str>) -> Option<Duration> {
    let seconds = text?.parse().ok()?;
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    (!duration.is_zero()).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: &str = r#"{"index":0,"codec_type":"video","width":640,"height":360,
        "r_frame_rate":"25/1","avg_frame_rate":"25/1","duration":"26.48"}"#;
    const AUDIO: &str =
        r#"{"index":1,"codec_type":"audio","sample_rate":"48000","channels":2,"duration":"26.47"}"#;

    fn of(streams: &[&str], format: &str) -> Result<Probe, String> {
        let json = format!(r#"{{"streams":[{}],"format":{format}}}"#, streams.join(","));
        parse(json.as_bytes())
    }

    #[test]
    fn a_usual_recording() {
        let probe = of(
            &[VIDEO, AUDIO],
            r#"{"format_name":"mov,mp4","duration":"26.480000"}"#,
        )
        .unwrap();
        let video = VideoStream {
            index: 0,
            width: 640,
            height: 360,
            fps: Some(FrameRate { num: 25, den: 1 }),
        };
        let audio = AudioStream {
            index: 1,
            sample_rate: 48_000,
            channels: 2,
        };
        assert_eq!(probe.duration, Duration::from_millis(26_480));
        assert_eq!((probe.video, probe.audio), (Some(video), Some(audio)));
        assert_eq!(probe.format, "mov,mp4");
    }

    #[test]
    fn the_longest_stream_stands_in_for_a_missing_duration() {
        let probe = of(&[AUDIO, VIDEO], "{}").unwrap();
        assert_eq!(probe.duration, Duration::from_millis(26_480));
    }

    #[test]
    fn an_avi_is_as_long_as_its_header_says() {
        let counting = |stream: &str, count: &str| stream.replacen('{', &format!("{{{count},"), 1);
        let video = counting(VIDEO, r#""nb_frames":"1500","time_base":"1/25""#);
        let audio = counting(AUDIO, r#""nb_frames":"44100","time_base":"1/22050""#);
        let length = |streams: &[&str], name: &str| {
            let format = format!(r#"{{"format_name":"{name}","duration":"1.5"}}"#);
            of(streams, &format).unwrap().duration.as_secs_f64()
        };
        assert_eq!(length(&[&audio, &video], "avi"), 60.0);
        assert_eq!(length(&[&audio], "avi"), 2.0);
        assert_eq!(length(&[&video], "mov,mp4"), 1.5);
        assert_eq!(
            length(&[&counting(VIDEO, r#""nb_frames":"0""#)], "avi"),
            1.5
        );
    }

    #[test]
    fn a_turned_video_is_measured_as_shown() {
        let turned = VIDEO.replacen('{', r#"{"side_data_list":[{},{"rotation":-90}],"#, 1);
        let video = of(&[&turned], "{}").unwrap().video.unwrap();
        assert_eq!((video.width, video.height), (360, 640));
    }

    #[test]
    fn a_cover_picture_is_not_a_video() {
        let cover = VIDEO.replacen('{', r#"{"disposition":{"attached_pic":1},"#, 1);
        assert_eq!(of(&[&cover, AUDIO], "{}").unwrap().video, None);
        assert!(
            of(&[&cover], "{}")
                .unwrap_err()
                .contains("neither pictures nor sound")
        );
    }

    #[test]
    fn what_it_does_not_tell_is_zero() {
        let endless = r#"{"index":0,"codec_type":"audio","sample_rate":"8000","channels":1}"#;
        for format in [
            "{}",
            r#"{"duration":"N/A"}"#,
            r#"{"duration":"-1"}"#,
            r#"{"duration":"0"}"#,
        ] {
            let duration = of(&[endless], format).unwrap().duration;
            assert!(duration.is_zero(), "{format}");
        }
        assert!(of(&[], "{}").is_err());
        assert!(parse(b"{}").is_err() && parse(b"").is_err());
    }

    #[test]
    fn uneven_pictures_are_repeated() {
        let rate = |num, den| Some(FrameRate { num, den });
        let table = [
            ("25/1", "25/1", None),
            ("2997/100", "30/1", None),
            ("25/1", "50/1", None),
            ("1175/73", "25/1", rate(25, 1)),
            ("29/2", "1000/1", rate(29, 2)),
            ("13/6", "1000/1", rate(25, 1)),
            ("2/1", "2/1", None),
            ("1/5", "1/5", rate(25, 1)),
            ("0/0", "25/1", None),
        ];
        for (average, base, expected) in table {
            let stream = VIDEO
                .replace(
                    r#""avg_frame_rate":"25/1""#,
                    &format!(r#""avg_frame_rate":"{average}""#),
                )
                .replace(
                    r#""r_frame_rate":"25/1""#,
                    &format!(r#""r_frame_rate":"{base}""#),
                );
            let found = of(&[&stream], "{}").unwrap().encoding.repeated;
            assert_eq!(found, expected, "{average} {base}");
        }
    }

    #[test]
    fn frame_rates() {
        let rate = |num, den| Some(FrameRate { num, den });
        let table = [
            ("25/1", rate(25, 1)),
            ("30000/1001", rate(30_000, 1001)),
            ("0/0", None),
            ("25", None),
            ("a/b", None),
        ];
        for (text, expected) in table {
            assert_eq!(FrameRate::parse(text), expected, "{text}");
        }
    }
}
