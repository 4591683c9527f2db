//! The tasks of the proxy role.

use sapari_runtime::duration::hours;
use sapari_runtime::queue::Queue;
use sapari_runtime::task::{Policy, Task};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Role;

/// Makes a light copy of a clip that every browser plays, a poster, and a sheet of thumbnails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeProxy {
    /// The project that the clip is of.
    pub project_uuid: Uuid,
    /// The clip's id.
    pub clip_file_uuid: Uuid,
    /// Where the clip lies in storage.
    pub clip_key: String,
}

/// What was made, and where it lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProxyManifest {
    /// The clip's id.
    pub clip_file_uuid: Uuid,
    /// Where the proxy lies in storage: MP4 with H.264 and AAC, of at most 720p.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Its width and height; none if the clip has no pictures.
    pub size: Option<(u32, u32)>,
    /// Nothing had to be encoded.
    pub remuxed: bool,
    /// Where the poster lies, a JPEG; none if the clip has no pictures.
    pub poster_key: Option<String>,
    /// The sheet of thumbnails; none if the clip has no pictures.
    pub thumbnails: Option<Thumbnails>,
}

/// A sheet of thumbnails: row by row, the first one at the start of the clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thumbnails {
    /// Where it lies in storage, a JPEG.
    pub key: String,
    /// How many there are.
    pub tiles: u32,
    /// How many stand in a row.
    pub columns: u32,
    /// The width of one, in pixels.
    pub tile_width: u32,
    /// Its height.
    pub tile_height: u32,
    /// How far apart they are in the clip, in seconds.
    pub interval_seconds: f64,
}

impl Task for MakeProxy {
    const NAME: &'static str = "make_proxy";
    const QUEUE: Queue = Role::Proxy.queue();
    const POLICY: Policy = Policy::DEFAULT.attempts(3).timeout(hours(2));
    type Output = ProxyManifest;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        vec![
            ("project_uuid", self.project_uuid.to_string()),
            ("clip_file_uuid", self.clip_file_uuid.to_string()),
        ]
    }
}

impl MakeProxy {
    /// Where a file of the proxy lies in storage: `proxy.mp4`, `poster.jpg`, `thumbnails.jpg`.
    #[must_use]
    pub fn key(&self, file: &str) -> String {
        format!("proxies/{}/{file}", self.clip_file_uuid)
    }
}
