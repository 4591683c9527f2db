//! From a URL to where mail goes.
//!
//! It deliberately has no mode that tries TLS and goes on without: whoever sits between could then
//! choose.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use super::MailerError;

/// Where mail goes.
#[derive(Debug, Clone)]
pub(super) enum Transport {
    Dir(PathBuf),
    Server(Server),
}

/// A server that speaks SMTP.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) privacy: Privacy,
    pub(super) sign_in: Option<SignIn>,
}

/// What keeps others from reading along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privacy {
    /// TLS from the first byte.
    Tls,
    /// TLS once the server has agreed; else nothing is sent.
    StartTls,
    /// Nothing.
    None,
}

/// Who the worker is to the server.
#[derive(Clone)]
pub(super) struct SignIn {
    pub(super) user: String,
    pub(super) password: String,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignIn(..)")
    }
}

impl Transport {
    pub(super) fn at(url: &str) -> Result<Self, MailerError> {
        // The parser's own words quote nothing.
        let url = Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if url.fragment().is_some() {
            return Err(bad("it has a fragment; write # in a password as %23"));
        }
        match url.scheme() {
            "file" => Self::dir(&url),
            "smtp" => Self::server(&url, Privacy::StartTls),
            "smtps" => Self::server(&url, Privacy::Tls),
            _ => Err(bad("its scheme is none of these")),
        }
    }

    fn dir(url: &Url) -> Result<Self, MailerError> {
        let dir = url.to_file_path();
        dir.map(Self::Dir)
            .map_err(|()| bad("it is not a local absolute path"))
    }

    fn server(url: &Url, privacy: Privacy) -> Result<Self, MailerError> {
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() || !matches!(url.path(), "" | "/") {
            return Err(bad("it is a host, and no path"));
        }
        let privacy = match (url.query(), privacy) {
            (None | Some("tls=required"), privacy) => privacy,
            (Some("tls=none"), Privacy::StartTls) => Privacy::None,
            _ => {
                return Err(bad(
                    "after ? stands tls=required, or after smtp:// tls=none",
                ));
            }
        };
        let sign_in = sign_in(url)?;
        let host = host.trim_matches(['[', ']']);
        if privacy == Privacy::None && sign_in.is_some() && !is_here(host) {
            return Err(bad(
                "a password is not sent in the clear: leave out tls=none",
            ));
        }
        let usual = match privacy {
            Privacy::Tls => 465,
            Privacy::StartTls => 587,
            Privacy::None => 25,
        };
        Ok(Self::Server(Server {
            host: host.to_owned(),
            port: url.port().unwrap_or(usual),
            privacy,
            sign_in,
        }))
    }
}

fn sign_in(url: &Url) -> Result<Option<SignIn>, MailerError> {
    let plain = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(String::from)
            .map_err(|_| bad("user or password is not UTF-8"))
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(bad("a user comes with a password")),
        (user, Some(password)) => Ok(Some(SignIn {
            user: plain(user)?,
            password: plain(password)?,
        })),
    }
}

fn is_here(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn bad(reason: impl Into<String>) -> MailerError {
    let reason = reason.into();
    MailerError::BadUrl { reason }
}

/// Without user and password.
impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(dir) => write!(f, "{}", dir.display()),
            Self::Server(server) => server.fmt(f),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.privacy {
            Privacy::Tls => "smtps",
            Privacy::StartTls | Privacy::None => "smtp",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}
