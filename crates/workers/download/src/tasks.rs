//! The handlers of the download role.

use sapari_runtime::prelude::*;
use sapari_tasks::{DownloadMedia, Downloaded};

use crate::Sources;
use crate::pipeline::{Tools, download};

/// Fetches one clip into storage. Running it twice gives the same object under the same key.
#[task]
pub async fn download_media(
    args: DownloadMedia,
    cx: TaskContext,
    State(sources): State<Sources>,
) -> TaskResult<Downloaded> {
    let tools = Tools {
        scratch: sources.media.scratch("download")?,
        sources,
    };
    download().run(&cx, tools, args).await
}
