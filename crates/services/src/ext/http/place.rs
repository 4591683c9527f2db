//! An address that was given, taken apart and checked: nothing is asked of it before.
//!
//! It deliberately resolves the name itself, so that the addresses that were judged are those that
//! are connected to: a name that answers differently the second time is never asked twice.

use std::net::SocketAddr;

use url::{Host, Url};

use super::{AddressRule, FetchError};
use crate::cause::Cause;

/// No link that people share is longer.
const MAX_URL: usize = 8 * 1024;

/// Where a file is to be fetched from.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) url: Url,
    /// As messages and spans show it: the name or the address, and nothing else.
    pub(super) host: String,
}

impl Place {
    /// Takes an address apart.
    pub(super) fn of(text: &str) -> Result<Self, FetchError> {
        if text.len() > MAX_URL {
            return Err(bad("it is longer than 8 KiB"));
        }
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        Self::at(url)
    }

    /// Where a redirect of this place leads.
    pub(super) fn led_on(&self, location: &str) -> Result<Self, FetchError> {
        let failed = |reason: String| FetchError::BadRedirect {
            host: self.host.clone(),
            reason,
        };
        if location.len() > MAX_URL {
            return Err(failed("its next address is longer than 8 KiB".to_owned()));
        }
        let next = self.url.join(location);
        let next = next.map_err(|error| failed(format!("its next address: {error}")))?;
        if self.url.scheme() == "https" && next.scheme() == "http" {
            return Err(failed("from https to http".to_owned()));
        }
        Self::at(next)
    }

    fn at(mut url: Url) -> Result<Self, FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it holds a user name or a password"));
        }
        let host = match url.host_str() {
            Some(host) if !host.is_empty() => host.to_owned(),
            _ => return Err(bad("it names no host")),
        };
        url.set_fragment(None);
        Ok(Self { url, host })
    }

    /// The addresses behind it, all of which the rule allows. A name with one that is not allowed
    /// is refused as a whole: whoever owns it means to lead there.
    pub(super) async fn addresses(
        &self,
        rule: &AddressRule,
    ) -> Result<Vec<SocketAddr>, FetchError> {
        // Known for http and https.
        let port = self.url.port_or_known_default().unwrap_or_default();
        let found: Vec<SocketAddr> = match self.url.host() {
            Some(Host::Ipv4(address)) => vec![SocketAddr::new(address.into(), port)],
            Some(Host::Ipv6(address)) => vec![SocketAddr::new(address.into(), port)],
            Some(Host::Domain(name)) => self.resolved(name, port).await?,
            None => Vec::new(),
        };
        for socket in &found {
            if let Some(reason) = rule.refusal(socket.ip()) {
                return Err(FetchError::Refused {
                    host: self.host.clone(),
                    address: socket.ip(),
                    reason,
                });
            }
        }
        Ok(found)
    }

    async fn resolved(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
        let found = tokio::net::lookup_host((name, port)).await;
        let found = found.map_err(|error| FetchError::Connection {
            doing: "find",
            host: self.host.clone(),
            cause: Cause::of(&error),
        })?;
        Ok(found.collect())
    }
}

fn bad(reason: &str) -> FetchError {
    FetchError::BadUrl {
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_web_addresses_are_taken() {
        let long = format!("http://h/{}", "x".repeat(MAX_URL));
        for text in [
            "",
            "clip.mp4",
            "file:///etc/passwd",
            "ftp://h/a",
            "gopher://h/",
            "data:video/mp4;base64,AA",
            "http://",
            "http://user@h/a",
            "https://user:s3cret@h/a",
            &long,
        ] {
            let error = Place::of(text).map(|place| place.host).unwrap_err();
            assert!(error.is_permanent(), "{text}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
        let place = Place::of("HTTPS://Media.Example.COM:8443/a%20b?token=t#part").unwrap();
        assert_eq!(place.host, "media.example.com");
        assert_eq!(
            place.url.as_str(),
            "https://media.example.com:8443/a%20b?token=t"
        );
    }

    #[test]
    fn a_redirect_is_taken_apart_like_the_first_address() {
        let place = Place::of("https://h/dir/a").unwrap();
        assert_eq!(
            place.led_on("b?x=1").unwrap().url.as_str(),
            "https://h/dir/b?x=1"
        );
        assert_eq!(place.led_on("//other/c").unwrap().host, "other");
        for location in [
            "file:///etc/passwd",
            "http://h/dir/b",
            "https://u:p@h/",
            "https://",
        ] {
            let led = place.led_on(location).map(|place| place.host);
            assert!(led.unwrap_err().is_permanent(), "{location}");
        }
        let plain = Place::of("http://h/").unwrap();
        assert_eq!(plain.led_on("https://h/").unwrap().url.scheme(), "https");
    }

    #[tokio::test]
    async fn an_address_is_judged_however_it_is_written() {
        let public = AddressRule::public();
        for text in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://localhost/",
            "http://169.254.169.254/latest/meta-data/",
            "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
        ] {
            let place = Place::of(text).unwrap();
            let refused = place.addresses(&public).await.unwrap_err();
            assert!(
                matches!(refused, FetchError::Refused { .. }),
                "{text}: {refused}"
            );
            assert!(refused.is_permanent() && refused.to_string().contains("--fetch-allow"));
        }
        let allowed = AddressRule::public().and(["127.0.0.1".parse().unwrap()]);
        let place = Place::of("http://127.0.0.1:8080/").unwrap();
        let found = place.addresses(&allowed).await.unwrap();
        assert_eq!(found, ["127.0.0.1:8080".parse().unwrap()]);
    }
}
