//! The tasks of the email role.

use std::collections::BTreeMap;
use std::fmt;

use sapari_runtime::duration::{minutes, seconds};
use sapari_runtime::queue::Queue;
use sapari_runtime::task::{Backoff, Policy, Task};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Role;

/// Sends one mail, made from a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendEmail {
    /// To whom: `ada@example.com`, or `Ada <ada@example.com>`.
    pub to: String,
    /// Which mail.
    pub template: EmailTemplate,
    /// What stands in its gaps: each that the template has, and no other.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// The project that it is about, under which its calls are found.
    #[serde(default)]
    pub project_uuid: Option<Uuid>,
}

/// The mails that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailTemplate {
    /// The video is there: `project_name`, `link`, `length`.
    ExportReady,
    /// There will be no video: `project_name`, `reason`.
    ExportFailed,
}

/// A mail that was handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentEmail {
    /// Its `Message-ID`: the same whenever the same kick is sent.
    pub email_id: String,
    /// The file that holds it, if it went into a directory and not to a server.
    pub file: Option<String>,
}

impl EmailTemplate {
    /// Every template.
    pub const ALL: [Self; 2] = [Self::ExportReady, Self::ExportFailed];
}

/// As it is asked for.
impl fmt::Display for EmailTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Task for SendEmail {
    const NAME: &'static str = "send_email";
    const QUEUE: Queue = Role::Email.queue();
    /// Long enough for a server that is busy, or greylists: a quarter of an hour and more in all.
    const POLICY: Policy = Policy::DEFAULT
        .attempts(8)
        .timeout(minutes(2))
        .backoff(Backoff::exponential(seconds(5), minutes(15)));
    type Output = SentEmail;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        let project = self.project_uuid;
        let project = project.map(|project| ("project_uuid", project.to_string()));
        project.into_iter().collect()
    }
}
