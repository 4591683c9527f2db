//! Files of the kinds that people upload, made by ffmpeg on the spot: six seconds, with a tone in the first two and the last two.
//! What becomes of them stands with the tests.

use std::path::PathBuf;

use super::shop::Shop;

/// Moving pictures of any size and rate can be had of it.
const PICTURES: &str = "-f lavfi -i testsrc2=s=320x180:r=25:d=6";
/// A tone, a pause of two seconds, a tone.
const SOUND: &str = "-f lavfi -i sine=d=6,volume='lt(t\\,2)+gte(t\\,4)':eval=frame";

impl Shop {
    /// A film of these, made as is said beside.
    fn both(&self, name: &str, more: &str) -> PathBuf {
        let args = format!("{PICTURES} {SOUND} -preset ultrafast {more}");
        self.make(name, args.trim())
    }

    /// Nothing is unusual about it.
    pub(super) fn usual(&self) -> PathBuf {
        self.both("usual.mp4", "-movflags +faststart")
    }

    /// Frames are missing here and there.
    pub(super) fn of_a_variable_frame_rate(&self) -> PathBuf {
        let gaps = "-vf select=not(mod(floor(n/20)\\,2)*mod(n\\,5))";
        self.both("vfr.mp4", &format!("{gaps} -vsync vfr"))
    }

    /// Stored lying, to be shown upright, as phones do.
    pub(super) fn turned(&self) -> PathBuf {
        let usual = self.usual();
        let turn = format!("-i {} -c copy -metadata:s:v rotate=90", usual.display());
        self.make("turned.mp4", &turn)
    }

    pub(super) fn of_ten_bits(&self) -> PathBuf {
        self.both("ten.mp4", "-pix_fmt yuv420p10le")
    }

    /// What a camera writes: ten bits for HDR screens, lying, plain samples, a time code, and a second microphone.
    pub(super) fn of_a_camera(&self) -> PathBuf {
        let screen = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc";
        let codec =
            format!("-c:v libx265 -pix_fmt yuv420p10le -x265-params log-level=error:{screen}");
        let second = "-f lavfi -i sine=f=2000:d=6 -map 0 -map 1 -map 2 -c:a pcm_s16le";
        let args = format!("{PICTURES} {SOUND} {second} {codec} -preset ultrafast");
        let lying = self.make("lying.mov", &format!("{args} -timecode 01:00:00:00"));
        let turn = format!(
            "-i {} -map 0 -c copy -metadata:s:v rotate=90",
            lying.display()
        );
        self.make("camera.mov", &turn)
    }

    /// As browsers record it: nothing says how long it is.
    pub(super) fn of_the_web(&self) -> PathBuf {
        let codecs = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus";
        self.both("web.webm", &format!("{codecs} -live 1"))
    }

    /// Four seconds of pictures, the last of which is shown for eight more.
    pub(super) fn of_a_picture_that_stays(&self) -> PathBuf {
        let pictures = "-f lavfi -i testsrc2=s=320x180:r=25:d=4 -preset ultrafast";
        let moving = self.make("moving.mp4", pictures);
        let longer = "setts=duration=if(eq(N\\,99)\\,8/TB\\,DURATION)";
        let args = format!("-i {} -c copy -bsf:v {longer}", moving.display());
        self.make("stays.mp4", &args)
    }

    /// One picture every five seconds.
    pub(super) fn of_slides(&self) -> PathBuf {
        let pictures = "-f lavfi -i testsrc2=s=320x180:r=1/5:d=20";
        self.make("slides.mp4", &format!("{pictures} -f lavfi -i sine=d=18"))
    }

    /// A stream that was begun a day before, so that its clock starts anew in the middle.
    pub(super) fn of_a_long_stream(&self) -> PathBuf {
        let codecs = "-c:v libx264 -c:a aac -output_ts_offset 95440";
        self.both("stream.ts", codecs)
    }

    /// Sides that are odd numbers, six channels, and more samples than AAC takes.
    pub(super) fn of_odd_sides(&self) -> PathBuf {
        let pictures = "-f lavfi -i testsrc=s=321x181:r=25:d=6";
        let sound =
            format!("{SOUND},aresample=192000,pan=5.1|FL=c0|FR=c0|FC=c0|LFE=c0|BL=c0|BR=c0");
        let codecs = "-preset ultrafast -pix_fmt yuv444p -c:a flac";
        self.make("odd.mkv", &format!("{pictures} {sound} {codecs}"))
    }

    /// The sound begins half a second after the pictures.
    pub(super) fn of_late_sound(&self) -> PathBuf {
        let tone = "sine=d=5.5,volume='lt(t\\,1.5)+gte(t\\,3.5)':eval=frame";
        let args = format!("{PICTURES} -itsoffset 0.5 -f lavfi -i {tone} -preset ultrafast");
        self.make("late-sound.mp4", &args)
    }

    /// The pictures begin half a second after the sound.
    pub(super) fn of_late_pictures(&self) -> PathBuf {
        let pictures = "-itsoffset 0.5 -f lavfi -i testsrc2=s=320x180:r=25:d=5.5";
        let args = format!("{pictures} {SOUND} -preset ultrafast -c:a aac");
        self.make("late-pictures.mkv", &args)
    }

    /// With the picture of an album, which is none of its own.
    pub(super) fn sound_with_a_cover_in(&self, format: &str) -> PathBuf {
        let cover = self.make("cover.png", "-f lavfi -i testsrc=s=64x64 -frames:v 1");
        let maps = "-map 0 -map 1 -c:v copy -disposition:v attached_pic";
        let args = format!("{SOUND} -i {} {maps}", cover.display());
        self.make(&format!("cover.{format}"), &args)
    }

    pub(super) fn sound_alone_in(&self, format: &str) -> PathBuf {
        self.make(&format!("sound.{format}"), SOUND)
    }

    pub(super) fn pictures_alone(&self) -> PathBuf {
        self.make("silent.mp4", &format!("{PICTURES} -preset ultrafast"))
    }

    /// As large as is taken, and only a picture every half second, so that it is made soon.
    pub(super) fn large_pictures(&self) -> PathBuf {
        let args = format!("-f lavfi -i color=s=7680x4320:r=2:d=6 {SOUND} -preset ultrafast");
        self.make("large.mp4", &args)
    }

    /// Four thousand bytes in the middle of it are not what they were.
    pub(super) fn damaged(&self) -> PathBuf {
        let mut bytes = std::fs::read(self.usual()).expect("readable");
        let third = bytes.len() / 3;
        bytes[third..third + 4000].fill(0x55);
        self.written("damaged.mp4", &bytes)
    }

    /// A film that is called a picture.
    pub(super) fn called_a_picture(&self) -> PathBuf {
        let clip = self.path("film.jpg");
        std::fs::rename(self.usual(), &clip).expect("renamed");
        clip
    }

    /// Matroska that is called MP4.
    pub(super) fn called_another_film(&self) -> PathBuf {
        let film = self.both("film.mkv", "-c:a aac");
        let clip = self.path("film.mp4");
        std::fs::rename(film, &clip).expect("renamed");
        clip
    }

    /// The first part of a file, by percent.
    pub(super) fn cut_off(&self, whole: &std::path::Path, percent: usize) -> PathBuf {
        let bytes = std::fs::read(whole).expect("readable");
        let name = whole.file_name().and_then(|name| name.to_str());
        let name = format!("half-{}", name.expect("a name"));
        self.written(&name, &bytes[..bytes.len() * percent / 100])
    }

    /// Its pictures go on for two seconds after the sound.
    pub(super) fn of_sound_that_ends_early(&self, container: &str) -> PathBuf {
        let sound = "-f lavfi -i sine=d=4 -preset ultrafast";
        let name = format!("early.{container}");
        self.make(&name, &format!("{PICTURES} {sound}"))
    }

    /// Pictures and sound in a container other than MP4.
    pub(super) fn in_a(&self, container: &str) -> PathBuf {
        self.both(&format!("usual.{container}"), "-ar 48000")
    }

    pub(super) fn written(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}
