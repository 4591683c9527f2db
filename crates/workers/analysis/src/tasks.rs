//! The handlers of the analysis role.

use sapari_runtime::prelude::*;
use sapari_services::Media;
use sapari_tasks::{Analysis, AnalyzeProject, RenderExport};

use crate::pipeline::{Tools, analysis};

/// Finds what to cut in a project's clip, stores the edit list, and kicks the render when an export was asked for.
#[task]
pub async fn analyze_project(
    args: AnalyzeProject,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<Analysis> {
    let tools = Tools {
        scratch: media.scratch("analysis")?,
        media,
    };
    let found = analysis().run(&cx, tools, args.clone()).await?;
    let render_task_id = match args.export_uuid {
        Some(export_uuid) => {
            let render = RenderExport {
                export_uuid,
                project_uuid: args.project_uuid,
            };
            Some(
                cx.tasks()
                    .kick(render)
                    .id(render_id(&cx)?)
                    .await?
                    .id()
                    .to_string(),
            )
        }
        None => None,
    };
    Ok(Analysis {
        render_task_id,
        ..found
    })
}

/// Derived from this task's id: a second attempt that kicks again kicks the same message, and no second render.
fn render_id(cx: &TaskContext) -> TaskResult<sapari_runtime::message::MessageId> {
    format!("{}-render", cx.id()).parse().permanent()
}
