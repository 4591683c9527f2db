//! The tasks of the analysis role.

use sapari_runtime::duration::minutes;
use sapari_runtime::pipeline::StepFailure;
use sapari_runtime::queue::Queue;
use sapari_runtime::task::{Policy, Task};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Role;

/// Finds what to cut in a project's clip, and stores the edit list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyzeProject {
    /// The project.
    pub project_uuid: Uuid,
    /// The clip's id, under which its calls are found.
    pub clip_file_uuid: Uuid,
    /// Where the clip lies in storage.
    pub clip_key: String,
    /// An export to render as soon as the edit list is stored.
    #[serde(default)]
    pub export_uuid: Option<Uuid>,
}

/// What the analysis of a project came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Where the edit list lies in storage.
    pub edits_key: String,
    /// How long the clip is, in seconds.
    pub source_seconds: f64,
    /// How long what is kept is, in seconds.
    pub kept_seconds: f64,
    /// How many silences were found, short ones that stay included.
    pub silences: usize,
    /// How many beginnings were cut that were said again.
    #[serde(default)]
    pub false_starts: usize,
    /// How many stretches are muted.
    #[serde(default)]
    pub mutes: usize,
    /// How many captions there are.
    #[serde(default)]
    pub captions: usize,
    /// What the models cost, by the prices that were configured, in millionths of a US dollar.
    #[serde(default)]
    pub spent_microcents: u64,
    /// The steps that failed and were passed over.
    #[serde(default)]
    pub failures: Vec<StepFailure>,
    /// The id of the render task, when an export was asked for.
    pub render_task_id: Option<String>,
}

impl Task for AnalyzeProject {
    const NAME: &'static str = "analyze_project";
    const QUEUE: Queue = Role::Analysis.queue();
    const POLICY: Policy = Policy::DEFAULT.attempts(3).timeout(minutes(60));
    type Output = Analysis;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        vec![("project_uuid", self.project_uuid.to_string())]
    }
}
