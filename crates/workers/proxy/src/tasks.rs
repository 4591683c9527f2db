//! The handlers of the proxy role.

use sapari_runtime::prelude::*;
use sapari_services::Media;
use sapari_tasks::{MakeProxy, ProxyManifest};

use crate::pipeline::{Tools, proxy};

/// The label of its scratch directories.
pub(crate) const SCRATCH: &str = "proxy";

/// Makes a clip's proxy, poster and thumbnails. Running it twice gives the same objects under the same keys.
#[task]
pub async fn make_proxy(
    args: MakeProxy,
    cx: TaskContext,
    State(media): State<Media>,
) -> TaskResult<ProxyManifest> {
    let (message, again) = ((SCRATCH, cx.id().as_str()), |error: Option<&_>| {
        cx.comes_again(error)
    });
    let (pipeline, media_of_steps) = (proxy(), media.clone());
    let work = |scratch| {
        let media = media_of_steps;
        pipeline.run(&cx, Tools { scratch, media }, args)
    };
    media.in_scratch_of(message, again, work).await
}
