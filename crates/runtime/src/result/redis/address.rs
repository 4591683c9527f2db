//! Where a Redis is, and how to get in. `Display` shows host and port, never the password.

use std::fmt;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult};

use crate::broker::reach;
use crate::result::ResultError;

/// The schemes that name a Redis.
pub(crate) const SCHEMES: [&str; 2] = ["redis", "rediss"];

/// A parsed `redis(s)://` URL.
pub(super) struct Address {
    info: ConnectionInfo,
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, ResultError> {
        let parsed = reach::parse(url, "result store", &SCHEMES).map_err(ResultError::BadUrl)?;
        if parsed.host_str().unwrap_or_default().is_empty() {
            let text = "the result store's URL names no host: redis://user:password@host:6379/0";
            return Err(ResultError::BadUrl(text.to_owned()));
        }
        // The library's own words name the part that is wrong, and never the password.
        let info = parsed.into_connection_info().map_err(|error| {
            ResultError::BadUrl(format!(
                "the result store's URL cannot be used: {}",
                error.category()
            ))
        })?;
        // Without it, Nagle's algorithm holds small commands back.
        let tcp = TcpSettings::default().set_nodelay(true);
        Ok(Self {
            info: info.set_tcp_settings(tcp),
        })
    }

    pub(super) fn client(&self) -> RedisResult<Client> {
        Client::open(self.info.clone())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                write!(f, "{host}:{port}")
            }
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_redis_are_read_and_their_password_is_not_shown() {
        for (url, place) in [
            ("redis://me:s3cret@h:1/2", "h:1"),
            ("rediss://h", "h:6379"),
            ("redis://127.0.0.1", "127.0.0.1:6379"),
        ] {
            assert_eq!(
                Address::parse(url)
                    .map(|address| address.to_string())
                    .expect(url),
                place
            );
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_the_password() {
        for url in [
            "redis://:s3cret@h/notanumber",
            "http://:s3cret@h",
            "redis://:s3cret@h:port",
        ] {
            let Err(error) = Address::parse(url) else {
                panic!("{url} passed")
            };
            assert!(
                matches!(error, ResultError::BadUrl(_)) && !error.to_string().contains("s3cret"),
                "{error}"
            );
        }
    }
}
