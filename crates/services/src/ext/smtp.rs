//! Mail: a server that speaks SMTP, or a directory of `.eml` files, behind one type.
//!
//! Every mail goes out in its `ext.smtp.send` span, which has a hash of the recipient and never an
//! address. It deliberately retries nothing, keeps no connection open, and knows no templates.

mod address;
mod error;
mod letter;
mod server;
#[cfg(test)]
mod tests;
mod trust;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lettre::message::Mailbox;
use lettre::transport::smtp::client::TlsParameters;
use sapari_telemetry::{Traced, ext_span};

pub use error::{MailError, MailerError};
pub use letter::Letter;

use crate::hash::hashed;
use crate::part::PartFile;
use address::{Privacy, Server, Transport};

/// Sends mail from one address. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Transport,
    from: Mailbox,
    /// A file of authorities that are trusted beside the system's.
    authorities: Option<PathBuf>,
    /// Made once: to read the system's authorities takes longer than most mails.
    tls: OnceLock<TlsParameters>,
}

/// A mail that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Its `Message-ID`.
    pub email_id: String,
    /// The file that holds it, if it went into a directory.
    pub file: Option<PathBuf>,
}

impl Mailer {
    /// Mail by way of `url`: `smtp://user:password@host` (STARTTLS, or nothing is sent),
    /// `smtps://..` (TLS from the start), `smtp://host?tls=none` (in the clear, for a relay beside
    /// it), or `file:///absolute/dir`. Reaches for nothing yet.
    ///
    /// # Errors
    ///
    /// [`MailerError`]: neither makes sense. It never holds the password.
    pub fn open(url: &str, from: &str) -> Result<Self, MailerError> {
        let from = from.parse().map_err(|_| MailerError::BadSender)?;
        let transport = Transport::at(url)?;
        Ok(Self::of(transport, from, None))
    }

    /// Believes certificates of the authorities in this PEM file, too. It is read when TLS is first
    /// needed, or by [`Mailer::prepare`].
    #[must_use]
    pub fn trusting(&self, authorities: impl Into<PathBuf>) -> Self {
        let Inner {
            transport, from, ..
        } = &*self.inner;
        Self::of(transport.clone(), from.clone(), Some(authorities.into()))
    }

    fn of(transport: Transport, from: Mailbox, authorities: Option<PathBuf>) -> Self {
        Self {
            inner: Arc::new(Inner {
                transport,
                from,
                authorities,
                tls: OnceLock::new(),
            }),
        }
    }

    /// Where mail goes, without user and password.
    #[must_use]
    pub fn place(&self) -> String {
        self.inner.transport.to_string()
    }

    /// Makes the directory, if mail goes into one; reads the authorities, if TLS needs them. A server
    /// is not asked: one that is away for a while must not keep a worker from starting.
    ///
    /// # Errors
    ///
    /// [`MailError::Io`], [`MailError::BadAuthorities`].
    pub fn prepare(&self) -> Result<(), MailError> {
        match &self.inner.transport {
            Transport::Dir(dir) => made(dir),
            Transport::Server(server) => self.tls(server).map(drop),
        }
    }

    /// Hands one mail over. `id` names it: its `Message-ID` is made from it, so that what is sent
    /// twice can be recognised by whoever receives it, and its file replaces an earlier one.
    ///
    /// # Cancel safety
    ///
    /// A file appears only when it is whole. A server may have taken a mail whose future is
    /// dropped.
    ///
    /// # Errors
    ///
    /// See [`MailError`]; no message holds an address.
    pub async fn send(&self, id: &str, letter: &Letter) -> Result<Handed, MailError> {
        let name = letter::name(id);
        let recipient = hashed(letter.to.trim().to_lowercase().as_bytes());
        let span = ext_span!(smtp.send {
            email_id = %name, recipient_hash = %recipient, server = %self.inner.transport
        });
        Box::pin(self.sent(&name, letter)).traced(span).await
    }

    async fn sent(&self, name: &str, letter: &Letter) -> Result<Handed, MailError> {
        let Inner {
            transport, from, ..
        } = &*self.inner;
        let message = letter.message(name, from)?;
        let email_id = format!("{name}@{}", from.email.domain());
        let file = match transport {
            Transport::Dir(dir) => Some(filed(dir, name, &message.formatted()).await?),
            Transport::Server(server) => {
                let tls = self.tls(server)?;
                server::send(server, tls, from.email.domain(), &message).await?;
                None
            }
        };
        Ok(Handed { email_id, file })
    }

    fn tls(&self, server: &Server) -> Result<Option<TlsParameters>, MailError> {
        if server.privacy == Privacy::None {
            return Ok(None);
        }
        let Inner {
            authorities, tls, ..
        } = &*self.inner;
        if let Some(made) = tls.get() {
            return Ok(Some(made.clone()));
        }
        let made = trust::parameters(server, authorities.as_deref())?;
        Ok(Some(tls.get_or_init(|| made).clone()))
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mailer").field(&self.place()).finish()
    }
}

async fn filed(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, MailError> {
    made(dir)?;
    let path = dir.join(format!("{name}.eml"));
    let part = PartFile::of(&path);
    let io = MailError::io("write", &path);
    let written = async {
        tokio::fs::write(part.path(), bytes).await?;
        part.commit().await
    };
    written.await.map_err(io)?;
    Ok(path)
}

/// For this user only: what a mail links to is meant for one person.
fn made(dir: &Path) -> Result<(), MailError> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(dir);
    made.map_err(MailError::io("make the directory", dir))
}
