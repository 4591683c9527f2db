//! The handlers of the analysis role.

use sapari_runtime::message::MessageId;
use sapari_runtime::prelude::*;
use sapari_tasks::{Analysis, AnalyzeProject, RenderExport};

use uuid::Uuid;

use crate::deps::Listener;
use crate::pipeline::{Tools, analysis};

/// Finds what to cut in a project's clip, stores the edit list, and kicks the render when an export was asked for.
#[task]
pub async fn analyze_project(
    args: AnalyzeProject,
    cx: TaskContext,
    State(listener): State<Listener>,
) -> TaskResult<Analysis> {
    let pipeline = analysis(listener.budget);
    let tools = Tools {
        scratch: listener.media.scratch("analysis").await?,
        listener,
    };
    let report = pipeline.run_reported(&cx, tools, args.clone()).await;
    let spent_microcents = report.spent.microcents;
    let found = report.output?;
    let render_task_id = match args.export_uuid {
        Some(export_uuid) => {
            let render = RenderExport::new(export_uuid, args.project_uuid);
            Some(
                cx.tasks()
                    .kick(render)
                    .id(render_id(export_uuid))
                    .await?
                    .id()
                    .to_string(),
            )
        }
        None => None,
    };
    Ok(Analysis {
        render_task_id,
        spent_microcents,
        ..found
    })
}

/// Named after the export: whoever asks for it again, a second attempt of this task included, waits for the same result.
fn render_id(export_uuid: Uuid) -> MessageId {
    MessageId::from(export_uuid)
}
