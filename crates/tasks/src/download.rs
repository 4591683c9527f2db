//! The tasks of the download role.

use std::fmt;

use sapari_runtime::duration::{hours, minutes, seconds};
use sapari_runtime::queue::Queue;
use sapari_runtime::task::{Backoff, Policy, Task};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Role;

/// Fetches a clip from the web into storage.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadMedia {
    /// The project that the clip is for.
    pub project_uuid: Uuid,
    /// The clip's id, under which its calls are found.
    pub clip_file_uuid: Uuid,
    /// Where it is fetched from. A link that was shared in private is a password: it is not shown.
    pub url: String,
    /// Where the clip is to lie in storage.
    pub clip_key: String,
    /// An export to render as soon as the clip is analysed.
    #[serde(default)]
    pub export_uuid: Option<Uuid>,
}

/// What was fetched, and where it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Downloaded {
    /// Where the clip lies in storage.
    pub clip_key: String,
    /// Its size.
    pub bytes: u64,
    /// Its length in seconds.
    pub seconds: f64,
    /// The id of the task that makes what others need of it.
    pub artifacts_task_id: Option<String>,
}

/// Looks at a clip that has come into storage, keeps its sound and its waveform beside it, and kicks what follows: its proxy and, if
/// it has sound, its analysis. Of a clip that was uploaded, this is the first task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessClipArtifacts {
    /// The project that the clip is of.
    pub project_uuid: Uuid,
    /// The clip's id.
    pub clip_file_uuid: Uuid,
    /// Where the clip lies in storage.
    pub clip_key: String,
    /// An export to render as soon as the clip is analysed.
    #[serde(default)]
    pub export_uuid: Option<Uuid>,
}

/// What a clip is, and where what was made of it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipArtifacts {
    /// The clip's id.
    pub clip_file_uuid: Uuid,
    /// Its length in seconds.
    pub seconds: f64,
    /// Its width and height as shown; none if it has no pictures.
    pub size: Option<(u32, u32)>,
    /// Every browser plays it as it is.
    pub plays_in_browsers: bool,
    /// Where its sound lies: WAV with 16 kHz, mono. None if it has no sound.
    pub audio_key: Option<String>,
    /// Where its peaks lie: JSON as audiowaveform writes it. None if it has no sound.
    pub waveform_key: Option<String>,
    /// The id of the task that makes its proxy.
    pub proxy_task_id: Option<String>,
    /// The id of the task that analyses it; none if it has no sound.
    pub analysis_task_id: Option<String>,
}

impl Task for ProcessClipArtifacts {
    const NAME: &'static str = "process_clip_artifacts";
    const QUEUE: Queue = Role::Download.queue();
    const POLICY: Policy = Policy::DEFAULT.attempts(3).timeout(hours(1));
    type Output = ClipArtifacts;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        vec![
            ("project_uuid", self.project_uuid.to_string()),
            ("clip_file_uuid", self.clip_file_uuid.to_string()),
        ]
    }
}

impl ProcessClipArtifacts {
    /// Where an artifact lies in storage: `audio.wav`, `waveform.json`.
    #[must_use]
    pub fn key(&self, file: &str) -> String {
        format!("artifacts/{}/{file}", self.clip_file_uuid)
    }
}

impl Task for DownloadMedia {
    const NAME: &'static str = "download_media";
    const QUEUE: Queue = Role::Download.queue();
    // A server that is down for some minutes is waited for.
    const POLICY: Policy = Policy::DEFAULT
        .attempts(5)
        .timeout(hours(3))
        .backoff(Backoff::exponential(seconds(5), minutes(10)));
    type Output = Downloaded;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        vec![
            ("project_uuid", self.project_uuid.to_string()),
            ("clip_file_uuid", self.clip_file_uuid.to_string()),
        ]
    }
}

/// Without the address.
impl fmt::Debug for DownloadMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadMedia")
            .field("project_uuid", &self.project_uuid)
            .field("clip_file_uuid", &self.clip_file_uuid)
            .field("clip_key", &self.clip_key)
            .field("export_uuid", &self.export_uuid)
            .finish_non_exhaustive()
    }
}
