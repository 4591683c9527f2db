//! The tasks of the render role.

use sapari_runtime::duration::minutes;
use sapari_runtime::queue::{Priority, Queue};
use sapari_runtime::task::{Policy, Task};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Role;

/// Renders one export of a project from its edit list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderExport {
    /// The export.
    pub export_uuid: Uuid,
    /// The project whose edit list is rendered.
    pub project_uuid: Uuid,
    /// How it is to look and sound.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub settings: ExportSettings,
}

/// Renders a small version of what an export of a project would be, fast, in place of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderPreview {
    /// The project whose edit list is rendered.
    pub project_uuid: Uuid,
    /// As the export's; resolution and codec are the preview's own.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub settings: ExportSettings,
}

/// Deletes the exports and previews that have lain in storage for longer than they are kept. Kicked by a timetable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupExpiredExports {
    /// How many days exports are kept, at least 1.
    #[serde(default = "usual_days")]
    pub keep_days: u32,
}

/// Counts what lies in storage. Kicked by a timetable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileStorage {}

/// What lies in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageUse {
    /// One for each bucket, empty ones included.
    pub buckets: Vec<BucketUse>,
}

/// What lies in one bucket, the first part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketUse {
    /// Its name; `other` is all that lies in none.
    pub bucket: String,
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a cleanup came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanedUp {
    /// How many objects were deleted.
    pub deleted: usize,
    /// How many bytes they had.
    pub bytes: u64,
    /// Whether there may be more: a run deletes so many and leaves the rest to the next.
    pub is_more: bool,
}

fn usual_days() -> u32 {
    30
}

impl Default for CleanupExpiredExports {
    fn default() -> Self {
        Self {
            keep_days: usual_days(),
        }
    }
}

/// How an export looks and sounds. By default as the clip does. A setting of another name is refused: an export that is not what was
/// asked for is worse than none. So only what differs from the usual is written, and a worker that is older than who kicks reads the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportSettings {
    /// What is heard where the edit list mutes.
    #[serde(skip_serializing_if = "is_usual")]
    pub muted: MutedAs,
    /// The loudness that it is brought to, in LUFS from -36 to -6: -14 is usual for the web, -23 for television.
    #[serde(skip_serializing_if = "is_usual")]
    pub loudness_lufs: Option<i8>,
    /// What becomes of the edit list's captions.
    #[serde(skip_serializing_if = "is_usual")]
    pub captions: CaptionsAs,
    /// How large the pictures are at most.
    #[serde(skip_serializing_if = "is_usual")]
    pub resolution: Resolution,
    /// How the pictures are encoded.
    #[serde(skip_serializing_if = "is_usual")]
    pub codec: VideoCodec,
}

fn is_usual<T: Default + PartialEq>(setting: &T) -> bool {
    *setting == T::default()
}

/// What is heard where the edit list mutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutedAs {
    /// Nothing.
    #[default]
    Silence,
    /// A tone.
    Bleep,
}

/// What becomes of the captions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionsAs {
    /// They are left out.
    #[default]
    None,
    /// Part of the pictures.
    Burnt,
    /// A SubRip file beside the export.
    Srt,
    /// A WebVTT file beside the export.
    Vtt,
}

/// How large the pictures are at most: how many pixels their shorter side has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// As the clip's.
    #[default]
    #[serde(rename = "source")]
    Source,
    /// 2160 pixels.
    #[serde(rename = "2160p")]
    P2160,
    /// 1080 pixels.
    #[serde(rename = "1080p")]
    P1080,
    /// 720 pixels.
    #[serde(rename = "720p")]
    P720,
    /// 480 pixels.
    #[serde(rename = "480p")]
    P480,
}

/// How the pictures are encoded. The file is an MP4 with AAC in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoCodec {
    /// Plays everywhere.
    #[default]
    H264,
    /// Half the size, not in every browser.
    H265,
    /// Smaller still, slow to make.
    Av1,
}

/// What was rendered, and where it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportManifest {
    /// The export.
    pub export_uuid: Uuid,
    /// Where the video lies in storage.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its length in seconds.
    pub seconds: f64,
    /// How many segments of the clip it is made of.
    pub segments: usize,
    /// Where the file of its captions lies in storage, if one was asked for.
    #[serde(default)]
    pub captions_key: Option<String>,
}

/// A preview as it was rendered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The project.
    pub project_uuid: Uuid,
    /// Where the video lies in storage.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its length in seconds.
    pub seconds: f64,
}

impl Task for RenderExport {
    const NAME: &'static str = "render_export";
    const QUEUE: Queue = Role::Render.queue();
    const POLICY: Policy = Policy::DEFAULT
        .attempts(3)
        .timeout(minutes(30))
        .priority(Priority::High);
    type Output = ExportManifest;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        vec![
            ("export_uuid", self.export_uuid.to_string()),
            ("project_uuid", self.project_uuid.to_string()),
        ]
    }
}

impl RenderExport {
    /// An export that looks and sounds as the clip does.
    #[must_use]
    pub fn new(export_uuid: Uuid, project_uuid: Uuid) -> Self {
        Self {
            export_uuid,
            project_uuid,
            settings: ExportSettings::default(),
        }
    }

    /// Where the rendered video lies in storage.
    #[must_use]
    pub fn key(&self) -> String {
        format!("exports/{}.mp4", self.export_uuid)
    }

    /// Where the file of its captions lies in storage, if one is asked for.
    #[must_use]
    pub fn captions_key(&self) -> Option<String> {
        let extension = match self.settings.captions {
            CaptionsAs::None | CaptionsAs::Burnt => return None,
            CaptionsAs::Srt => "srt",
            CaptionsAs::Vtt => "vtt",
        };
        Some(format!("exports/{}.{extension}", self.export_uuid))
    }
}

impl Task for RenderPreview {
    const NAME: &'static str = "render_preview";
    const QUEUE: Queue = Role::Render.queue();
    const POLICY: Policy = Policy::DEFAULT
        .attempts(2)
        .timeout(minutes(10))
        .priority(Priority::Low);
    type Output = Preview;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        vec![("project_uuid", self.project_uuid.to_string())]
    }
}

impl RenderPreview {
    /// Where a project's preview lies in storage.
    #[must_use]
    pub fn key(&self) -> String {
        format!("previews/{}.mp4", self.project_uuid)
    }
}

impl Task for ReconcileStorage {
    const NAME: &'static str = "reconcile_storage";
    const QUEUE: Queue = Role::Render.queue();
    const POLICY: Policy = Policy::DEFAULT
        .attempts(3)
        .timeout(minutes(30))
        .priority(Priority::Low);
    type Output = StorageUse;
}

impl Task for CleanupExpiredExports {
    const NAME: &'static str = "cleanup_expired_exports";
    const QUEUE: Queue = Role::Render.queue();
    const POLICY: Policy = Policy::DEFAULT
        .attempts(3)
        .timeout(minutes(20))
        .priority(Priority::Low);
    type Output = CleanedUp;
}

impl Resolution {
    /// How many pixels the shorter side has at most; none for no limit.
    #[must_use]
    pub const fn short_side(self) -> Option<u32> {
        match self {
            Self::Source => None,
            Self::P2160 => Some(2160),
            Self::P1080 => Some(1080),
            Self::P720 => Some(720),
            Self::P480 => Some(480),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kick_of_before_there_were_settings_is_still_read() {
        let old = r#"{"export_uuid": "018f2a3e-0000-7000-8000-000000000001",
            "project_uuid": "018f2a3e-0000-7000-8000-000000000002"}"#;
        let task: RenderExport = serde_json::from_str(old).unwrap();
        assert_eq!(task, RenderExport::new(task.export_uuid, task.project_uuid));
    }

    #[test]
    fn a_timetable_needs_to_say_nothing() {
        let task: CleanupExpiredExports = serde_json::from_str("{}").unwrap();
        assert_eq!(task, CleanupExpiredExports::default());
    }

    #[test]
    fn settings_are_written_as_people_say_them() {
        let text = r#"{"muted": "bleep", "loudness_lufs": -14, "captions": "srt", "resolution": "720p", "codec": "h265"}"#;
        let settings: ExportSettings = serde_json::from_str(text).unwrap();
        let expected = ExportSettings {
            muted: MutedAs::Bleep,
            loudness_lufs: Some(-14),
            captions: CaptionsAs::Srt,
            resolution: Resolution::P720,
            codec: VideoCodec::H265,
        };
        assert_eq!(settings, expected);
        assert!(serde_json::from_str::<ExportSettings>(r#"{"codec": "theora"}"#).is_err());
    }

    #[test]
    fn a_setting_that_there_is_not_is_refused_by_name() {
        let uuid = "018f2a3e-0000-7000-8000-000000000001";
        let args = serde_json::json!({
            "export_uuid": uuid, "project_uuid": uuid, "settings": {"resolutoin": "720p"},
        });
        let args = sapari_runtime::message::Args::from(args);
        let said = args.decode::<RenderExport>().unwrap_err().to_string();
        let expected = "`settings`: unknown field `resolutoin`, expected one of muted, ";
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn only_what_differs_from_the_usual_is_written() {
        let mut task = RenderExport::new(Uuid::nil(), Uuid::nil());
        let written = |task: &RenderExport| serde_json::to_value(task).unwrap();
        assert!(written(&task).get("settings").is_none());
        task.settings.codec = VideoCodec::Av1;
        let settings = serde_json::json!({"codec": "av1"});
        assert_eq!(written(&task)["settings"], settings);
    }
}
