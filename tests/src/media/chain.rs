//! Every kind of recording from a link to a preview: what `download_media` stored is taken apart by `process_clip_artifacts` and made light
//! by `make_proxy`, and the edit list that `analyze_project` made of it is shown by `render_preview`. `trim_asset` and `extract_audio` get
//! the same file.

use std::path::PathBuf;

use sapari_tasks::{AudioFormat, ClipArtifacts, EditList};
use serde_json::Value;

use super::shop::{Shop, probe};
use super::stages::{ClipOf, edits};

/// The whole of a recording, and what is left without its pause: a quarter of a second stays at either side.
const SECONDS: f64 = 6.0;
const KEPT: f64 = 4.5;
/// Frames, packets of sound, and in uneven footage a picture that stands for 0.2 s.
const NEAR: f64 = 0.25;

/// A recording, and what the roles are to say of it.
struct Kind {
    file: PathBuf,
    size: Option<(u32, u32)>,
    has_sound: bool,
    plays_in_browsers: bool,
}

impl Kind {
    fn of(file: PathBuf) -> Self {
        Self {
            file,
            size: Some((320, 180)),
            has_sound: true,
            plays_in_browsers: true,
        }
    }

    fn sized(self, size: Option<(u32, u32)>) -> Self {
        Self { size, ..self }
    }

    fn silent(self) -> Self {
        Self {
            has_sound: false,
            ..self
        }
    }

    fn needs_encoding(self) -> Self {
        Self {
            plays_in_browsers: false,
            ..self
        }
    }

    /// The clip goes all the way.
    async fn check(&self, shop: &Shop) {
        let clip = shop.clip_to_come(&self.file);
        self.assert_downloaded(&clip).await;
        self.assert_artifacts(&clip).await;
        self.assert_proxied(&clip).await;
        match self.has_sound {
            true => self.assert_analysed(shop, &clip).await,
            false => self.assert_shown(shop, &clip).await,
        }
        self.assert_edited(shop).await;
    }

    async fn assert_downloaded(&self, clip: &ClipOf<'_>) {
        let (downloaded, stored) = clip.download(&self.file).await.expect("fetched");
        assert_near(downloaded.seconds, SECONDS);
        assert!(downloaded.artifacts_task_id.is_some(), "{downloaded:?}");
        let read = |path| std::fs::read(path).expect("readable");
        assert!(read(&stored) == read(&self.file), "another file");
    }

    async fn assert_artifacts(&self, clip: &ClipOf<'_>) {
        let (found, _) = clip.artifacts().await.expect("taken apart");
        assert_near(found.seconds, SECONDS);
        assert_eq!(found.size, self.size);
        assert_eq!(found.plays_in_browsers, self.plays_in_browsers);
        assert!(found.proxy_task_id.is_some(), "{found:?}");
        assert_eq!(found.analysis_task_id.is_some(), self.has_sound);
        match self.has_sound {
            true => assert_heard(clip, &found),
            false => assert_eq!((found.audio_key, found.waveform_key), (None, None)),
        }
    }

    async fn assert_proxied(&self, clip: &ClipOf<'_>) {
        let (proxy, file) = clip.proxy().await.expect("made a proxy of");
        assert_near(proxy.seconds, SECONDS);
        let (width, height) = self.size.unwrap_or_default();
        let scale = (1280.0 / f64::from(width.max(height))).min(1.0);
        // Even, as the codec wants it, and nearest.
        let even = |side: u32| ((f64::from(side) * scale / 2.0).round() * 2.0) as u32;
        self.assert_streams(&file, SECONDS, Some([even(width), even(height)]));
        let pictures = (proxy.poster_key.is_some(), proxy.thumbnails.is_some());
        assert_eq!(pictures, (self.size.is_some(), self.size.is_some()));
    }

    async fn assert_analysed(&self, shop: &Shop, clip: &ClipOf<'_>) {
        let (analysis, stored) = clip.analyse().await.expect("analysed");
        assert_near(analysis.source_seconds, SECONDS);
        assert_near(analysis.kept_seconds, KEPT);
        assert_eq!(analysis.silences, 1, "{analysis:?}");
        self.assert_preview(shop, &edits(&stored), KEPT).await;
    }

    async fn assert_shown(&self, shop: &Shop, clip: &ClipOf<'_>) {
        let name = self.file.file_name().expect("a name").to_string_lossy();
        let sentence = format!("{name} has no sound: give a recording with an audio track");
        let said = clip.analyse().await.expect_err("analysed");
        assert!(said.ends_with(&sentence), "{said}");
        let edits = shop.edits(&self.file, &[(0.0, 2.25), (3.75, 6.0)]);
        self.assert_preview(shop, &edits, KEPT).await;
    }

    async fn assert_preview(&self, shop: &Shop, edits: &EditList, seconds: f64) {
        let (preview, file) = shop.preview(edits).await.expect("rendered");
        assert_near(preview.seconds, seconds);
        let (width, height) = self.size.unwrap_or_default();
        let scale = (360.0 / f64::from(width.min(height))).min(1.0);
        let expected = [width, height].map(|side| (f64::from(side) * scale) as u32);
        self.assert_streams(&file, seconds, Some(expected));
    }

    async fn assert_edited(&self, shop: &Shop) {
        let (_, file) = shop.trim(&self.file, (1000, 3000)).await.expect("trimmed");
        let size = self.size.map(|(width, height)| [width, height]);
        self.assert_streams(&file, 2.0, size);
        let sound = shop.sound(&self.file, AudioFormat::M4a).await;
        if self.has_sound {
            let (_, file) = sound.expect("extracted");
            assert_near(seconds(&file, "a:0"), SECONDS);
            return;
        }
        let sentence = sound.expect_err("extracted");
        assert!(sentence.contains("has no sound"), "{sentence}");
    }

    /// Pictures and sound where there are some, equally long, of 8 bits and of this size.
    fn assert_streams(&self, file: &std::path::Path, long: f64, size: Option<[u32; 2]>) {
        let expected = self.size.and(size).map(|[width, height]| {
            // Even, as the codec wants it.
            format!("h264,{},{},yuv420p", width & !1, height & !1)
        });
        let found = probe(file, "v:0", "codec_name,width,height,pix_fmt");
        assert_eq!(found, expected.unwrap_or_default());
        if self.size.is_some() {
            assert_near(seconds(file, "v:0"), long);
        }
        let found = probe(file, "a:0", "codec_name");
        assert_eq!(found, if self.has_sound { "aac" } else { "" });
        if self.has_sound {
            assert_near(seconds(file, "a:0"), long);
        }
    }
}

/// The sound lies beside the clip with the clip's length, and its waveform is flat in the pause, and only there.
fn assert_heard(clip: &ClipOf<'_>, found: &ClipArtifacts) {
    let stored = |key: &Option<String>| clip.object(key.as_deref().expect("it has sound"));
    let audio = stored(&found.audio_key);
    assert_eq!(probe(&audio, "a:0", "sample_rate,channels"), "16000,1");
    assert_near(seconds(&audio, "a:0"), SECONDS);
    let waveform = std::fs::read(stored(&found.waveform_key)).expect("readable");
    let waveform: Value = serde_json::from_slice(&waveform).expect("JSON");
    let data: Vec<i64> = serde_json::from_value(waveform["data"].clone()).expect("numbers");
    // Twenty pairs a second.
    let loudest = |from: f64, to: f64| {
        let [from, to] = [from, to].map(|at| (at * 40.0) as usize);
        data[from..to].iter().max().copied().unwrap_or_default()
    };
    let parts = [loudest(0.0, 1.8), loudest(2.2, 3.8), loudest(4.2, 5.8)];
    assert!(parts[0] > 5 && parts[1] < 2 && parts[2] > 5, "{parts:?}");
}

/// When a stream ends: it may begin late.
fn seconds(file: &std::path::Path, stream: &str) -> f64 {
    let text = probe(file, stream, "start_time,duration");
    let mut times = text.split(',').map(|time| time.parse().unwrap_or(0.0));
    let (start, length): (f64, f64) = (
        times.next().expect("a start"),
        times.next().expect("a length"),
    );
    assert!(length > 0.0, "{stream}: {text}");
    start + length
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= NEAR,
        "{found} s and not {expected} s"
    );
}

#[tokio::test]
async fn nothing_unusual() {
    let shop = Shop::new();
    Kind::of(shop.usual()).check(&shop).await;
}

#[tokio::test]
async fn of_a_variable_frame_rate() {
    let shop = Shop::new();
    let clip = shop.of_a_variable_frame_rate();
    Kind::of(clip).check(&shop).await;
}

#[tokio::test]
async fn of_sound_alone() {
    let shop = Shop::new();
    // The rate of AAC without a container varies, and nothing tells its length: by its beginning it has 4.3 s.
    let kind = Kind::of(shop.sound_alone_in("aac")).sized(None);
    kind.needs_encoding().check(&shop).await;
}

#[tokio::test]
async fn of_pictures_alone() {
    let shop = Shop::new();
    Kind::of(shop.pictures_alone()).silent().check(&shop).await;
}

#[tokio::test]
async fn of_the_largest_pictures_that_are_taken() {
    let shop = Shop::new();
    let kind = Kind::of(shop.large_pictures());
    kind.sized(Some((7680, 4320))).check(&shop).await;
}

#[tokio::test]
async fn damaged_in_the_middle() {
    let shop = Shop::new();
    Kind::of(shop.damaged()).check(&shop).await;
}

#[tokio::test]
async fn called_a_picture() {
    let shop = Shop::new();
    Kind::of(shop.called_a_picture()).check(&shop).await;
}

#[tokio::test]
async fn called_another_film() {
    let shop = Shop::new();
    let kind = Kind::of(shop.called_another_film());
    kind.needs_encoding().check(&shop).await;
}

#[tokio::test]
async fn of_a_camera() {
    let shop = Shop::new();
    let kind = Kind::of(shop.of_a_camera()).sized(Some((180, 320)));
    kind.needs_encoding().check(&shop).await;
}

#[tokio::test]
async fn of_the_web() {
    let shop = Shop::new();
    let kind = Kind::of(shop.of_the_web());
    kind.needs_encoding().check(&shop).await;
}

#[tokio::test]
async fn of_a_long_stream() {
    let shop = Shop::new();
    let kind = Kind::of(shop.of_a_long_stream());
    kind.needs_encoding().check(&shop).await;
}

#[tokio::test]
async fn of_odd_sides_and_six_channels() {
    let shop = Shop::new();
    let kind = Kind::of(shop.of_odd_sides()).sized(Some((321, 181)));
    kind.needs_encoding().check(&shop).await;
}

#[tokio::test]
async fn of_late_sound() {
    let shop = Shop::new();
    Kind::of(shop.of_late_sound()).check(&shop).await;
}

#[tokio::test]
async fn of_late_pictures() {
    let shop = Shop::new();
    let kind = Kind::of(shop.of_late_pictures());
    kind.needs_encoding().check(&shop).await;
}

#[tokio::test]
async fn of_sound_with_a_cover() {
    let shop = Shop::new();
    for (format, plays) in [("mp3", false), ("m4a", true)] {
        let kind = Kind::of(shop.sound_with_a_cover_in(format)).sized(None);
        let kind = Kind {
            plays_in_browsers: plays,
            ..kind
        };
        kind.check(&shop).await;
    }
}
