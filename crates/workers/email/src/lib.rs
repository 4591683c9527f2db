//! The email role: sends mails, each made from a template. Its handlers, its templates, its pipeline, its process.
//! Whom to write to, and when, is not its decision.

mod deps;
mod fill;
mod pipeline;
mod tasks;
mod templates;

pub use deps::Post;
pub use tasks::send_email;

use sapari_runtime::worker::Worker;
use sapari_tasks::Role;

/// The role's worker: every task of its queue.
#[must_use]
pub fn worker(post: Post) -> Worker<Post> {
    Worker::new(Role::Email.queue(), post)
        .task::<send_email>()
        .pipeline(pipeline::email().describe())
}
