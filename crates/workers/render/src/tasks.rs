//! The handlers of the render role.

use sapari_runtime::prelude::*;
use sapari_services::Media;
use sapari_tasks::{ExportManifest, RenderExport};

use crate::pipeline::{Tools, render};

/// Cuts, encodes and uploads one export. Running it twice gives the same object under the same key.
#[task]
pub async fn render_export(
    args: RenderExport,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<ExportManifest> {
    let tools = Tools {
        scratch: media.scratch("render")?,
        media,
    };
    render().run(&cx, tools, args).await
}
