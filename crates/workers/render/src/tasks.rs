//! The handlers of the render role.

use std::sync::Arc;

use sapari_runtime::error::ErrorKind;
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
    let scratch = Arc::new(media.scratch_of("render", cx.id().as_str()).await?);
    let tools = Tools {
        scratch: Arc::clone(&scratch),
        media,
    };
    let done = render().run(&cx, tools, args).await;
    if done.as_ref().is_err_and(|error| comes_again(&cx, error)) {
        scratch.leave();
    }
    done
}

/// Whether this worker may soon run the next attempt. One that goes away leaves nothing behind.
fn comes_again(cx: &TaskContext, error: &TaskError) -> bool {
    let heals = matches!(
        error.kind(),
        ErrorKind::Retryable | ErrorKind::RetryAfter(_)
    );
    heals && !cx.is_last_attempt() && !cx.stop().is_cancelled()
}
