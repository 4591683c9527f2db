//! The handlers of the proxy role.

use std::sync::Arc;

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
    let scratch = Arc::new(media.scratch_of(SCRATCH, cx.id().as_str()).await?);
    let tools = Tools {
        scratch: Arc::clone(&scratch),
        media,
    };
    let done = proxy().run(&cx, tools, args).await;
    if done.as_ref().is_err_and(|error| cx.comes_again(error)) {
        scratch.leave();
    }
    done
}
