//! Where a Redis is, and how to get in. `Display` shows host and port, never the password.

use std::fmt;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult};
use url::Url;

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
            return Err(bad("names no host: redis://user:password@host:6379/0"));
        }
        if !is_database(parsed.path()) {
            return Err(bad(
                "names no database: after the host stands its number and nothing else, like redis://host:6379/0",
            ));
        }
        check_query(&parsed)?;
        let info = parsed.into_connection_info();
        // What the library says may quote the URL; these are all its reasons that are left.
        let info = info.map_err(|_| {
            bad("cannot be used: the host must not be 0.0.0.0 or ::, user and password are UTF-8, and protocol is 2 or 3")
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

fn bad(what: &str) -> ResultError {
    ResultError::BadUrl(format!("the result store's URL {what}"))
}

fn is_database(path: &str) -> bool {
    let number = path.trim_matches('/');
    number.is_empty() || number.parse::<u32>().is_ok()
}

/// The library passes over what it does not know: with `?db=1`, as other clients have it, results would lie in database 0.
fn check_query(url: &Url) -> Result<(), ResultError> {
    match url.query_pairs().find(|(name, _)| name != "protocol") {
        Some((name, _)) => Err(bad(&format!(
            "may set protocol after its ?, not {name}; its database stands after the host, like redis://host:6379/0"
        ))),
        None => Ok(()),
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
        for (url, words) in [
            ("redis://:s3cret@h/notanumber", "names no database"),
            ("redis://:s3cret@h/-1", "names no database"),
            ("rediss://:s3cret@h/0/1", "names no database"),
            (
                "redis://:s3cret@h?db=1",
                "not db; its database stands after the host",
            ),
            ("redis://:s3cret@h?protocol=9", "protocol is 2 or 3"),
            ("redis://:s3cret@0.0.0.0", "must not be 0.0.0.0"),
            ("redis:///0", "names no host"),
            (
                "http://:s3cret@h",
                "must start with one of redis://, rediss://",
            ),
            ("redis://:s3cret@h:port", "invalid port number"),
            ("rediss://:s3cret@h#insecure", "%23"),
        ] {
            let Err(ResultError::BadUrl(said)) = Address::parse(url).map(drop) else {
                panic!("{url} passed")
            };
            assert!(
                said.contains(words) && !said.contains("s3cret"),
                "{url}: {said}"
            );
        }
        for good in ["redis://h/", "redis://h/15", "redis://h/1?protocol=3"] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
    }
}
