//! The handlers of the render role.

use sapari_runtime::pipeline::Pipeline;
use sapari_runtime::prelude::*;
use sapari_services::Media;
use sapari_tasks::{ExportManifest, Preview, RenderExport, RenderPreview};

use crate::order::Order;
use crate::pipeline::{Tools, preview, render};
use crate::steps::Stored;

/// The label of its scratch directories.
pub(crate) const SCRATCH: &str = "render";

/// Cuts, encodes and uploads one export. Running it twice gives the same object under the same key.
#[task]
pub async fn render_export(
    args: RenderExport,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<ExportManifest> {
    let order = Order::export(&args)?;
    let stored = run(render(), &cx, (media, order), args.clone()).await?;
    Ok(ExportManifest {
        export_uuid: args.export_uuid,
        key: args.key(),
        bytes: stored.bytes,
        seconds: stored.seconds,
        segments: stored.segments,
        captions_key: args.captions_key(),
    })
}

/// The same, small and fast: to be looked at before an export is asked for.
#[task]
pub async fn render_preview(
    args: RenderPreview,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<Preview> {
    let order = Order::preview(&args)?;
    let stored = run(preview(), &cx, (media, order), args.clone()).await?;
    Ok(Preview {
        project_uuid: args.project_uuid,
        key: args.key(),
        bytes: stored.bytes,
        seconds: stored.seconds,
    })
}

async fn run<In: Task + Clone>(
    pipeline: Pipeline<In, Tools, Stored>,
    cx: &TaskContext,
    (media, order): (Media, Order),
    args: In,
) -> TaskResult<Stored> {
    let (message, again) = ((SCRATCH, cx.id().as_str()), |error: Option<&_>| {
        cx.comes_again(error)
    });
    let tools = |scratch| Tools {
        scratch,
        media: media.clone(),
        order,
    };
    let work = |scratch| pipeline.run(cx, tools(scratch), args);
    media.in_scratch_of(message, again, work).await
}
