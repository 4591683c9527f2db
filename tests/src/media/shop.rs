//! Files that ffmpeg makes on the spot, and the handlers that get them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sapari_asset_edit::{extract_audio, normalize_image, trim_asset};
use sapari_render::{render_export, render_preview};
use sapari_runtime::error::{ErrorKind, TaskError};
use sapari_runtime::handler::State;
use sapari_runtime::pipeline::Alone;
use sapari_services::{Ffmpeg, Media, Scratch, Storage};
use sapari_tasks::{
    AudioFormat, EditList, ExportManifest, ExportSettings, ExtractAudio, ImageFormat, Kept,
    NormalizeImage, Preview, RenderExport, RenderPreview, StoredImage, StoredRecording, TrimAsset,
};
use uuid::Uuid;

/// A directory with a storage in it.
pub(super) struct Shop {
    place: Scratch,
    media: Media,
}

/// What came of it: a file, or the sentence with which it was refused for good.
pub(super) type Fate<T> = Result<(T, PathBuf), String>;

impl Shop {
    pub(super) fn new() -> Self {
        let place = Scratch::new(&std::env::temp_dir(), "media-tests").expect("writable");
        let storage = Storage::open(&format!("file://{}/storage", place.dir().display()));
        let media = Media::new(
            Ffmpeg::in_path(),
            storage.expect("a directory"),
            place.dir().join("scratch"),
        );
        Self { place, media }
    }

    /// ffmpeg, and this test's storage and scratch space.
    pub(super) fn media(&self) -> Media {
        self.media.clone()
    }

    /// Where a file of this test lies, or an object of its storage.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.dir().join(name)
    }

    pub(super) fn object(&self, key: &str) -> PathBuf {
        self.path("storage").join(key)
    }

    /// Makes a file with ffmpeg.
    pub(super) fn make(&self, name: &str, args: &str) -> PathBuf {
        let path = self.path(name);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin", "-y"]);
        let output = ffmpeg.args(args.split(' ')).arg(&path).output();
        let output = output.expect("ffmpeg is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        path
    }

    /// Puts a file into storage, and tells its key.
    pub(super) fn put(&self, file: &Path) -> String {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let key = format!("clips/{name}");
        let to = self.object(&key);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("writable");
        std::fs::copy(file, to).expect("copied");
        key
    }

    /// The edit list that keeps this of a file, in seconds.
    pub(super) fn edits(&self, file: &Path, keep: &[(f64, f64)]) -> EditList {
        let kept = |(from, to): &(f64, f64)| Kept::between(seconds(*from), seconds(*to));
        let keep = keep.iter().map(kept).collect();
        EditList::new(Uuid::new_v4(), (Uuid::new_v4(), &self.put(file)), keep)
    }

    fn store(&self, edits: &EditList) {
        let to = self.object(&EditList::key(edits.project_uuid));
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("writable");
        std::fs::write(to, serde_json::to_vec(edits).expect("JSON")).expect("written");
    }

    /// Renders what is kept of a file, in seconds.
    pub(super) async fn render(&self, file: &Path, keep: &[(f64, f64)]) -> Fate<ExportManifest> {
        let edits = self.edits(file, keep);
        self.export(&edits, ExportSettings::default()).await
    }

    pub(super) async fn export(
        &self,
        edits: &EditList,
        settings: ExportSettings,
    ) -> Fate<ExportManifest> {
        self.store(edits);
        let task = RenderExport {
            settings,
            ..RenderExport::new(Uuid::new_v4(), edits.project_uuid)
        };
        let to = self.object(&task.key());
        let cx = Alone::new().cx::<RenderExport>();
        fate(render_export(task, cx, State(self.media.clone())).await, to)
    }

    pub(super) async fn preview(&self, edits: &EditList) -> Fate<Preview> {
        self.store(edits);
        let task = RenderPreview {
            project_uuid: edits.project_uuid,
            settings: ExportSettings::default(),
        };
        let to = self.object(&task.key());
        let cx = Alone::new().cx::<RenderPreview>();
        fate(
            render_preview(task, cx, State(self.media.clone())).await,
            to,
        )
    }

    /// What lies under a key, as text.
    pub(super) fn text(&self, key: &str) -> String {
        std::fs::read_to_string(self.object(key)).expect("it is stored")
    }

    pub(super) async fn trim(&self, file: &Path, (from, to): (u64, u64)) -> Fate<StoredRecording> {
        let task = TrimAsset {
            asset_file_uuid: Uuid::new_v4(),
            asset_key: self.put(file),
            to_key: "made/trimmed.mp4".to_owned(),
            from_us: from * 1000,
            to_us: to * 1000,
        };
        let to = self.object(&task.to_key);
        let cx = Alone::new().cx::<TrimAsset>();
        fate(trim_asset(task, cx, State(self.media.clone())).await, to)
    }

    pub(super) async fn sound(&self, file: &Path, format: AudioFormat) -> Fate<StoredRecording> {
        let task = ExtractAudio {
            asset_file_uuid: Uuid::new_v4(),
            asset_key: self.put(file),
            to_key: "made/sound".to_owned(),
            format,
        };
        let to = self.object(&task.to_key);
        let cx = Alone::new().cx::<ExtractAudio>();
        fate(extract_audio(task, cx, State(self.media.clone())).await, to)
    }

    pub(super) async fn image(&self, file: &Path, format: ImageFormat) -> Fate<StoredImage> {
        let task = NormalizeImage {
            asset_file_uuid: Uuid::new_v4(),
            asset_key: self.put(file),
            to_key: "made/image".to_owned(),
            max_side: 64,
            format,
        };
        let to = self.object(&task.to_key);
        let cx = Alone::new().cx::<NormalizeImage>();
        fate(
            normalize_image(task, cx, State(self.media.clone())).await,
            to,
        )
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Fails unless what failed failed for good, and said so in one sentence.
#[track_caller]
pub(super) fn fate<T>(done: Result<T, TaskError>, to: PathBuf) -> Fate<T> {
    match done {
        Ok(output) => Ok((output, to)),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Permanent, "{error:?}");
            assert!(!to.exists(), "nothing is stored of what is refused");
            let sentence = error.sentence();
            assert!(!sentence.contains('\n'), "{sentence}");
            Err(sentence)
        }
    }
}

/// What ffprobe says of the first video or audio stream, by these entries, with commas.
pub(super) fn probe(file: &Path, stream: &str, entries: &str) -> String {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "error", "-select_streams", stream, "-show_entries"]);
    ffprobe.args([&format!("stream={entries}"), "-of", "csv=p=0"]);
    let output = ffprobe.arg(file).output().expect("ffprobe is installed");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Fails unless picture and sound have this length, to two frames.
#[track_caller]
pub(super) fn assert_seconds(file: &Path, expected: f64) {
    for stream in ["v:0", "a:0"] {
        let length: f64 = probe(file, stream, "duration").parse().expect("a length");
        assert!(
            (length - expected).abs() <= 0.1,
            "{stream} of {} has {length} s",
            file.display()
        );
    }
}
