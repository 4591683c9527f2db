//! What the role works with: a mailer, made from the settings that `--help` lists.

use sapari_runtime::host::{Check, Dependencies, LoadError, Setting, Settings};
use sapari_services::{Mailer, data_dir};

const URL: &str = "email-url";
const FROM: &str = "email-from";
const CA_FILE: &str = "email-ca-file";

/// The sender of mails that go into a directory. No server takes it.
const NOBODY: &str = "Sapari <sapari@localhost>";

/// How mail goes out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Post {
    pub(crate) mailer: Mailer,
}

impl Post {
    /// By way of this mailer.
    #[must_use]
    pub fn by(mailer: Mailer) -> Self {
        Self { mailer }
    }
}

impl Dependencies for Post {
    const SETTINGS: &'static [Setting] = &[
        Setting {
            name: URL,
            help: "How mail goes out: smtp://user:password@host (STARTTLS, or nothing is sent), \
                   smtps://user:password@host, smtp://host?tls=none, or file:///absolute/dir for \
                   .eml files [default: file:// in this user's data directory]",
            default: None,
        },
        Setting {
            name: FROM,
            help: "Whom mail is from, like Sapari <hello@example.com>; needed with a server",
            default: None,
        },
        Setting {
            name: CA_FILE,
            help: "A PEM file of authorities whose certificates a mail server may have, beside those \
                   that the system trusts",
            default: None,
        },
    ];

    fn load(settings: &Settings) -> Result<Self, LoadError> {
        let (url, from) = match (settings.get(URL), settings.get(FROM)) {
            (Some(url), Some(from)) => (url.to_owned(), from),
            (None, from) => (in_data_dir()?, from.unwrap_or(NOBODY)),
            (Some(url), None) if url.starts_with("file:") => (url.to_owned(), NOBODY),
            (Some(_), None) => return Err(LoadError::new(FROM, "say whom mail is from")),
        };
        let mailer = Mailer::open(&url, from);
        let mailer = mailer.map_err(|error| match error {
            sapari_services::MailerError::BadSender => LoadError::new(FROM, error),
            error => LoadError::new(URL, error),
        })?;
        Ok(Self::by(match settings.get(CA_FILE) {
            Some(file) => mailer.trusting(file),
            None => mailer,
        }))
    }

    fn check(&self) -> Check {
        let mailer = self.mailer.clone();
        Box::pin(async move {
            mailer.prepare()?;
            let place = mailer.place();
            tracing::info!(place, "mail goes out");
            Ok(())
        })
    }
}

fn in_data_dir() -> Result<String, LoadError> {
    let missing = || LoadError::new(URL, "no home directory is known: set it");
    let place = data_dir().ok_or_else(missing)?.join("mail");
    url::Url::from_directory_path(place)
        .map(String::from)
        .map_err(|()| missing())
}
