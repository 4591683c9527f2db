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
    /// Where the rendered video lies in storage.
    #[must_use]
    pub fn key(&self) -> String {
        format!("exports/{}.mp4", self.export_uuid)
    }
}
