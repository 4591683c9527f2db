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
        self.both(&format!("usual.{container}"), "-movflags +faststart")
    }

    pub(super) fn written(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}
