//! The handlers of the email role.

use sapari_runtime::prelude::*;
use sapari_services::{Letter, MailError};
use sapari_tasks::{SendEmail, SentEmail};

use crate::deps::Post;
use crate::templates::written;

/// Sends one mail. A server may get it twice when the worker dies between its yes and the ack, under the same `Message-ID`.
#[task]
pub async fn send_email(
    args: SendEmail,
    cx: TaskContext,
    State(post): State<Post>,
) -> TaskResult<SentEmail> {
    let written = written(args.template, &args.variables).permanent()?;
    let letter = Letter {
        to: args.to,
        subject: written.subject,
        text: written.text,
        html: written.html,
    };
    let handed = post.mailer.send(&cx.id().to_string(), &letter).await;
    let handed = handed.permanent_when(MailError::is_permanent)?;
    Ok(SentEmail {
        email_id: handed.email_id,
        file: handed.file.map(|file| file.display().to_string()),
    })
}
