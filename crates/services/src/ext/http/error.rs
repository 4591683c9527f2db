//! Why a file was not fetched, in words for the one who gave its address.
//!
//! No message holds more of the address than its host: paths and queries of links that were shared
//! in private are passwords.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::cause::Cause;

/// Why [`Http::fetch`](super::Http::fetch) gave no file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It is no address that can be fetched. Permanent.
    #[error("the address cannot be fetched: {reason}; give an http:// or https:// address")]
    BadUrl {
        /// What is wrong with it.
        reason: String,
    },
    /// It leads where nothing is fetched from. Permanent.
    #[error(
        "nothing is fetched from {host}: {address} is {reason}; if that is meant, allow it with \
         --fetch-allow"
    )]
    Refused {
        /// The host.
        host: String,
        /// The address that it stands for.
        address: std::net::IpAddr,
        /// What kind of address that is.
        reason: &'static str,
    },
    /// There is more of it than allowed. Permanent.
    #[error("the file from {host} has more than the {limit} bytes that are allowed")]
    TooLarge {
        /// The host.
        host: String,
        /// The most that is allowed.
        limit: u64,
    },
    /// There is nothing in it. Permanent.
    #[error("the file from {host} is empty")]
    Empty {
        /// The host.
        host: String,
    },
    /// It is a page for people. Permanent.
    #[error("the address at {host} is that of a web page, not of a file")]
    Page {
        /// The host.
        host: String,
    },
    /// The server said no. Permanent or not, by what it said.
    #[error("{host} answered {status}{}", hint(*status))]
    Status {
        /// The host.
        host: String,
        /// What it said.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It leads on and on, or nowhere. Permanent.
    #[error("{host} leads on in a way that cannot be followed: {reason}")]
    BadRedirect {
        /// The host.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The server is there, and nothing comes. A retry may help.
    #[error("{host} has sent nothing for {} s", after.as_secs_f64())]
    Stalled {
        /// The host.
        host: String,
        /// How long that was waited for.
        after: Duration,
    },
    /// It took too long as a whole. A retry goes on with what has come.
    #[error("the file from {host} took more than the {} s that are allowed", limit.as_secs_f64())]
    TooSlow {
        /// The host.
        host: String,
        /// The most that is allowed.
        limit: Duration,
    },
    /// Less came than the server had said. A retry goes on with it.
    #[error("{host} sent {size} bytes of {whole}, and no more")]
    Short {
        /// The host.
        host: String,
        /// How much there is.
        size: u64,
        /// How much there should be.
        whole: u64,
    },
    /// It answers with parts that were not asked for. A retry may help.
    #[error("{host} answers with a part of the file that was not asked for")]
    BadRange {
        /// The host.
        host: String,
    },
    /// The name or the server was not found, or the connection broke. A retry may help.
    #[error("could not {doing} {host}: {cause}")]
    Connection {
        /// What was being done.
        doing: &'static str,
        /// The host.
        host: String,
        /// What the network says.
        cause: Cause,
    },
    /// The caller's token was cancelled.
    #[error("the fetching from {host} was stopped because its task was cancelled")]
    Cancelled {
        /// The host.
        host: String,
    },
    /// A local file could not be read or written. A retry may help.
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

impl FetchError {
    /// Whether no retry can heal this.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::BadUrl { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::Empty { .. }
            | Self::Page { .. }
            | Self::BadRedirect { .. } => true,
            Self::Status { status, .. } => !may_heal(*status),
            Self::Stalled { .. }
            | Self::TooSlow { .. }
            | Self::Short { .. }
            | Self::BadRange { .. }
            | Self::Connection { .. }
            | Self::Cancelled { .. }
            | Self::Io { .. } => false,
        }
    }

    /// How long the server wants to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Of the refusals, only those that say "later"; and what the server does not blame on the caller.
fn may_heal(status: u16) -> bool {
    matches!(status, 408 | 425 | 429) || (500..600).contains(&status) && status != 501
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it does not give the file to everybody; share a link that needs no sign-in",
        404 | 410 => ": there is no such file there",
        429 => ": it is asked too often",
        500.. => ": it is in trouble",
        _ => "",
    }
}
