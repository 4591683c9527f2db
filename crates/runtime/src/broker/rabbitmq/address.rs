//! Where a RabbitMQ is, and how to get in. The password goes to the client library and nowhere else:
//! `Debug` and `Display` show host, port and virtual host.

use std::fmt;

use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use url::Url;

use crate::broker::{BrokerError, reach};

/// The schemes that name a RabbitMQ.
pub(crate) const SCHEMES: [&str; 2] = ["amqp", "amqps"];
/// Seconds between heartbeats: a dead peer is noticed after two.
const HEARTBEAT: u16 = 10;
/// The largest frame, in bytes. The client library keeps two buffers of 32 frames for each connection; the servers' usual
/// 128 KiB would be most of an idle worker's memory.
const FRAME_MAX: u32 = 64 * 1024;
/// Milliseconds for the TCP connection.
const CONNECT_TIMEOUT: u64 = 10_000;

/// A parsed `amqp(s)://` URL.
#[derive(Clone)]
pub(super) struct Address {
    uri: AMQPUri,
}

impl Address {
    /// Reads the URL. Without a path it means the virtual host `/`, as every AMQP client has it.
    pub(super) fn parse(url: &str) -> Result<Self, BrokerError> {
        let url = reach::parse(url, "broker", &SCHEMES).map_err(BrokerError::BadUrl)?;
        let scheme = match url.scheme() {
            "amqps" => AMQPScheme::AMQPS,
            _ => AMQPScheme::AMQP,
        };
        let authority = AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: credential(url.username(), "user")?,
                password: credential(url.password().unwrap_or_default(), "password")?,
            },
            host: host(&url)?,
            port: url.port().unwrap_or_else(|| scheme.default_port()),
        };
        let vhost = vhost(&url)?;
        let query = query(&url)?;
        Ok(Self {
            uri: AMQPUri {
                scheme,
                authority,
                vhost,
                query,
            },
        })
    }

    /// The same with another time between heartbeats, in seconds.
    pub(super) fn with_heartbeat(mut self, seconds: u16) -> Self {
        self.uri.query.heartbeat = Some(seconds);
        self
    }

    /// What the client library wants.
    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }
}

fn bad(text: &str) -> BrokerError {
    BrokerError::BadUrl(text.to_owned())
}

fn decode(text: &str, what: &str) -> Result<String, BrokerError> {
    // A query is the one place where the url crate undoes percent signs; a plus would become a space there.
    let pair = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    let decoded = url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned());
    decoded.ok_or_else(|| bad(&format!("the {what} in the broker's URL cannot be read")))
}

fn credential(text: &str, what: &str) -> Result<String, BrokerError> {
    match text {
        "" => Ok("guest".to_owned()),
        text => decode(text, what),
    }
}

fn host(url: &Url) -> Result<String, BrokerError> {
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() {
        return Err(bad(
            "the broker's URL names no host: amqp://user:password@host:5672/vhost",
        ));
    }
    Ok(host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned())
}

fn vhost(url: &Url) -> Result<String, BrokerError> {
    match url.path() {
        "" | "/" => Ok("/".to_owned()),
        path => decode(path.trim_start_matches('/'), "virtual host"),
    }
}

fn query(url: &Url) -> Result<AMQPQueryString, BrokerError> {
    let mut query = AMQPQueryString {
        frame_max: Some(FRAME_MAX),
        heartbeat: Some(HEARTBEAT),
        connection_timeout: Some(CONNECT_TIMEOUT),
        ..AMQPQueryString::default()
    };
    let wrong = |name: &str| bad(&format!("{name} in the broker's URL is not a number"));
    for (name, value) in url.query_pairs() {
        match &*name {
            "heartbeat" => query.heartbeat = Some(value.parse().map_err(|_| wrong("heartbeat"))?),
            "connection_timeout" => {
                query.connection_timeout =
                    Some(value.parse().map_err(|_| wrong("connection_timeout"))?);
            }
            other => {
                return Err(bad(&format!(
                    "the broker's URL may set heartbeat and connection_timeout, not {other}"
                )));
            }
        }
    }
    Ok(query)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vhost = self.uri.vhost.trim_start_matches('/');
        write!(
            f,
            "{}:{}/{vhost}",
            self.uri.authority.host, self.uri.authority.port
        )
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_other_amqp_clients_read_them() {
        let table = [
            ("amqp://127.0.0.1", "127.0.0.1", 5672, "guest", "guest", "/"),
            (
                "amqp://127.0.0.1/",
                "127.0.0.1",
                5672,
                "guest",
                "guest",
                "/",
            ),
            ("amqp://h:1/%2f", "h", 1, "guest", "guest", "/"),
            ("amqp://h/staging", "h", 5672, "guest", "guest", "staging"),
            (
                "amqps://u:p%40+%26%25@h/a%2Fb",
                "h",
                5671,
                "u",
                "p@+&%",
                "a/b",
            ),
            ("amqp://[::1]:5673/", "::1", 5673, "guest", "guest", "/"),
        ];
        for (url, host, port, user, password, vhost) in table {
            let uri = Address::parse(url).expect(url).uri();
            let info = (
                &*uri.authority.userinfo.username,
                &*uri.authority.userinfo.password,
            );
            assert_eq!(
                (&*uri.authority.host, uri.authority.port),
                (host, port),
                "{url}"
            );
            assert_eq!((info, &*uri.vhost), ((user, password), vhost), "{url}");
        }
    }

    #[test]
    fn the_password_is_never_shown() {
        let address = Address::parse("amqp://me:s3cret@h:1/v").expect("good");
        assert_eq!(address.to_string(), "h:1/v");
        assert!(!format!("{address:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for url in [
            "amqp:///v",
            "amqp://h?heartbeat=soon",
            "amqp://h?frame_max=1",
            "redis://h",
        ] {
            assert!(
                matches!(Address::parse(url), Err(BrokerError::BadUrl(_))),
                "{url}"
            );
        }
    }
}
