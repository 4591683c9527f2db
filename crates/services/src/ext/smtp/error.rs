//! How sending mail can fail.
//!
//! What a server says is kept, without the addresses that it likes to repeat: errors stand in logs,
//! on spans and in dead letters.

use std::io;
use std::path::{Path, PathBuf};

/// Why a mailer cannot be made. No message holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailerError {
    /// The URL is wrong.
    #[error(
        "it is not usable: {reason}; give smtp://user:password@host, smtps://.., or file:///dir"
    )]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// The sender is no address.
    #[error("it is no address; give one like Sapari <hello@example.com>")]
    BadSender,
}

/// Why a mail was not handed over. No message holds an address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The recipient is no address. Permanent.
    #[error("the recipient is no mail address: {reason}")]
    BadRecipient {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The parts make no mail. Permanent.
    #[error("the mail cannot be put together: {reason}")]
    BadLetter {
        /// What is wrong with it.
        reason: String,
    },
    /// The server takes no such mail: there is no such mailbox, or it does not like what it says.
    /// Permanent.
    #[error("{server} refused the mail with {code}: {said}")]
    Refused {
        /// Which server.
        server: String,
        /// Its code, 5xx.
        code: u16,
        /// Its words.
        said: String,
    },
    /// The server cannot take it now. A retry may help.
    #[error("{server} is busy, it said {code}: {said}")]
    Busy {
        /// Which server.
        server: String,
        /// Its code, 4xx.
        code: u16,
        /// Its words.
        said: String,
    },
    /// The server does not know user and password, or wants some. Heals once they are put right.
    #[error("{server} lets nobody send with this user and password: {said}; check the mail URL")]
    SignIn {
        /// Which server.
        server: String,
        /// Its words.
        said: String,
    },
    /// There is no TLS with this server, so nothing was sent. A retry may help.
    #[error(
        "there is no TLS with {server}, and nothing was sent: {said}; if it speaks TLS from the start, give smtps://, and if it is a relay beside this one, ?tls=none"
    )]
    NotPrivate {
        /// Which server.
        server: String,
        /// Its words, or those of the TLS library.
        said: String,
    },
    /// The server's certificate is not believed, so nothing was sent. Heals once it is put right.
    #[error("{server} got no password and no mail: its certificate {fault}")]
    NotTrusted {
        /// Which server.
        server: String,
        /// What is wrong with it, and what to do.
        fault: String,
    },
    /// The file of authorities holds none, or one that is not whole.
    #[error("{} names no authorities: {reason}; give their certificates as PEM", path.display())]
    BadAuthorities {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The server could not be reached, or did not answer, before it had the mail. A retry may
    /// help.
    #[error("{server} cannot be reached: {said}")]
    Unreachable {
        /// Which server.
        server: String,
        /// What happened.
        said: String,
    },
    /// The connection ended while the server had the mail, and said neither yes nor no. A retry may
    /// help, and may send it twice.
    #[error("{server} did not say whether it took the mail: {said}")]
    Unanswered {
        /// Which server.
        server: String,
        /// What happened.
        said: String,
    },
    /// A file could not be written. A retry may help.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl MailError {
    /// Whether no retry can heal this.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::BadRecipient { .. } | Self::BadLetter { .. } | Self::Refused { .. }
        )
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}
