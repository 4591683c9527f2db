//! The handlers of the email role.

use sapari_runtime::prelude::*;
use sapari_tasks::{SendEmail, SentEmail};

use crate::deps::Post;
use crate::pipeline::email;

/// Sends one mail. A server may get it twice when the worker dies between its yes and the moment at which that is kept, under the same
/// `Message-ID`.
#[task]
pub async fn send_email(
    args: SendEmail,
    cx: TaskContext,
    State(post): State<Post>,
) -> TaskResult<SentEmail> {
    email().run(&cx, post, args).await
}
