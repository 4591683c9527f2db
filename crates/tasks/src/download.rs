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
            .finish_non_exhaustive()
    }
}
