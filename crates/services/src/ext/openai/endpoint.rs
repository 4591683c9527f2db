//! One endpoint: where it is, the key, and one request to it, bounded in time and size.

use std::error::Error as _;
use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::ModelError;
use super::answers_json::No;
use crate::redact::redacted;

/// How long it may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The most that is read of a no.
const MAX_NO: usize = 64 * 1024;
/// The longest that an endpoint is left alone because it asked for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Means that no pause will help.
const NO_MONEY: &str = "insufficient_quota";

/// What is no endpoint. It never holds the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadEndpoint {
    /// The URL is wrong.
    #[error("it is no endpoint: {0}; give one like https://api.openai.com/v1")]
    Url(String),
    /// The key is not what a key can be.
    #[error("it is no key: it has characters that no header may have")]
    Key,
    /// There is no client.
    #[error("there is no HTTP client: {0}")]
    Client(String),
}

/// An endpoint that speaks OpenAI's dialect. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint {
    base: Url,
    key: Option<HeaderValue>,
    http: Client,
    place: String,
    /// Less than what a call may take by itself.
    patience: Option<Duration>,
}

/// A status, with the code that the endpoint gave beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    status: u16,
    code: Option<String>,
}

/// What is sent.
pub(super) struct Call<'a> {
    pub(super) path: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: Vec<u8>,
    /// The most that the whole call may take.
    pub(super) within: Duration,
    /// The most that the answer may have.
    pub(super) most: usize,
    pub(super) cancel: &'a CancellationToken,
}

impl Endpoint {
    /// The endpoint at `url`, up to and with `/v1`, and its key if it wants one. Installs ring as the process's TLS provider if
    /// none is installed. Reaches for nothing yet.
    ///
    /// # Errors
    ///
    /// [`BadEndpoint`].
    pub fn open(url: &str, key: Option<&str>) -> Result<Self, BadEndpoint> {
        let mut base = Url::parse(url).map_err(|error| BadEndpoint::Url(error.to_string()))?;
        let bad = |why: &str| Err(BadEndpoint::Url(why.to_owned()));
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return bad("it is neither http nor https");
        }
        if !base.username().is_empty() || base.password().is_some() {
            return bad("it holds a password; give the key by itself");
        }
        if base.query().is_some() || base.fragment().is_some() {
            return bad("it has a query or a fragment");
        }
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        let place = base.host_str().unwrap_or_default().to_owned();
        let place = base
            .port()
            .map_or(place.clone(), |port| format!("{place}:{port}"));
        Ok(Self {
            key: key.map(bearer).transpose()?,
            http: client()?,
            base,
            place,
            patience: None,
        })
    }

    /// With less time for each call than it would have by itself: half an hour to hear, three minutes to answer.
    #[must_use]
    pub fn patient_for(self, most: Duration) -> Self {
        Self {
            patience: Some(most),
            ..self
        }
    }

    /// Host and port.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Posts, and returns the body of a yes.
    pub(super) async fn post(&self, call: Call<'_>) -> Result<Vec<u8>, ModelError> {
        let (most, cancel) = (self.patience.unwrap_or(call.within), call.cancel);
        let within = most.min(call.within);
        let late = |_| self.no_answer(format!("not within {within:?}"));
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ModelError::Cancelled),
            done = tokio::time::timeout(within, self.posted(call)) => done.map_err(late)?,
        }
    }

    async fn posted(&self, call: Call<'_>) -> Result<Vec<u8>, ModelError> {
        // A path of ours always joins.
        let url = self.base.join(call.path);
        let url = url.map_err(|error| self.no_answer(error.to_string()))?;
        let mut request = self.http.post(url).header(CONTENT_TYPE, call.content_type);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.clone());
        }
        let sent = request.body(call.body).send().await;
        let response = sent.map_err(|error| self.broken(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refusal(response).await);
        }
        match self.body(response, call.most).await? {
            Some(body) => Ok(body),
            None => Err(self.malformed(format!("more than {} bytes", call.most))),
        }
    }

    /// The body, unless it is larger than that.
    async fn body(&self, mut of: Response, most: usize) -> Result<Option<Vec<u8>>, ModelError> {
        let mut body = Vec::new();
        while let Some(chunk) = of.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > most {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }

    async fn refusal(&self, response: Response) -> ModelError {
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER);
        let retry_after = asked.and_then(|asked| pause(asked.to_str().ok()?, SystemTime::now()));
        // The status says enough if the rest does not come.
        let body = self.body(response, MAX_NO).await.ok().flatten();
        let code = body.as_deref().and_then(code);
        let no_money = code.as_deref() == Some(NO_MONEY);
        let place = self.place.clone();
        let passes = passes(status) && !no_money;
        let status = Status {
            status: status.as_u16(),
            code,
        };
        if !passes {
            return ModelError::Refused { place, status };
        }
        ModelError::Busy {
            place,
            status,
            retry_after,
        }
    }

    pub(super) fn malformed(&self, reason: impl Into<String>) -> ModelError {
        ModelError::Malformed {
            place: self.place.clone(),
            reason: reason.into(),
        }
    }

    fn no_answer(&self, cause: String) -> ModelError {
        let place = self.place.clone();
        ModelError::NoAnswer { place, cause }
    }

    fn broken(&self, error: &reqwest::Error) -> ModelError {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            text = format!("{text}: {cause}");
            next = cause.source();
        }
        self.no_answer(redacted(&text))
    }
}

fn bearer(key: &str) -> Result<HeaderValue, BadEndpoint> {
    let header = HeaderValue::from_str(&format!("Bearer {}", key.trim()));
    let mut header = header.map_err(|_| BadEndpoint::Key)?;
    header.set_sensitive(true);
    Ok(header)
}

fn client() -> Result<Client, BadEndpoint> {
    // An error only says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT);
    client
        .build()
        .map_err(|error| BadEndpoint::Client(error.to_string()))
}

/// Whether the same call may be answered later.
fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 409 | 425 | 429) || status.is_server_error()
}

/// The code of a no, or its kind: a word that the endpoint made, and nothing that it was given.
fn code(body: &[u8]) -> Option<String> {
    let No { error } = serde_json::from_slice(body).ok()?;
    let code = error.code.and_then(|code| match code {
        serde_json::Value::String(code) => Some(code),
        serde_json::Value::Number(code) => Some(code.to_string()),
        _ => None,
    });
    let word = |text: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        (1..=60).contains(&text.len()) && text.chars().all(plain)
    };
    code.or(error.kind).filter(word)
}

/// `Retry-After`: seconds, or a date.
fn pause(asked: &str, now: SystemTime) -> Option<Duration> {
    let asked = asked.trim();
    let pause = match asked.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        // A date that has passed is no pause.
        Err(_) => {
            let at = httpdate::parse_http_date(asked).ok()?;
            at.duration_since(now).unwrap_or_default()
        }
    };
    Some(pause.min(LONGEST_PAUSE))
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} ({code})", self.status),
            None => self.status.fmt(f),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.place).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn urls_and_keys_that_make_no_sense_are_refused_without_being_repeated() {
        let table = [
            ("api.openai.com", "relative URL"),
            ("ftp://h/v1", "neither http nor https"),
            ("https://u:secret@h/v1", "it holds a password"),
            ("https://h/v1?key=secret", "a query"),
        ];
        for (url, words) in table {
            let error = Endpoint::open(url, None).expect_err(url).to_string();
            assert!(
                error.contains(words) && !error.contains("secret"),
                "{error}"
            );
        }
        let error = Endpoint::open("https://h/v1", Some("sec\nret")).expect_err("no key");
        assert_eq!(error, BadEndpoint::Key);
        let endpoint = Endpoint::open("https://h:8/v1/", Some("secret")).expect("an endpoint");
        assert_eq!(endpoint.base.as_str(), "https://h:8/v1/");
        assert_eq!(format!("{endpoint:?}"), r#"Endpoint("h:8")"#);
    }

    #[test]
    fn a_pause_is_seconds_or_a_date_and_never_long() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        let table = [
            ("2", Some(2.0)),
            (" 0.5 ", Some(0.5)),
            ("86400", Some(300.0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30.0)),
            ("Sat, 06 Nov 1993 08:49:37 GMT", Some(0.0)),
            ("-1", None),
            ("soon", None),
        ];
        for (asked, expected) in table {
            let pause = pause(asked, now).map(|pause| pause.as_secs_f64());
            assert_eq!(pause, expected, "{asked}");
        }
    }

    #[test]
    fn a_no_is_known_by_its_word_and_its_sentence_is_left_where_it_is() {
        let table = [
            (
                r#"{"error": {"message": "no: secret", "code": "invalid_api_key"}}"#,
                Some("invalid_api_key"),
            ),
            (
                r#"{"error": {"message": "x", "type": "server_error", "code": null}}"#,
                Some("server_error"),
            ),
            (r#"{"error": {"code": 42}}"#, Some("42")),
            (r#"{"error": {"code": "you said: secret"}}"#, None),
            (r#"{"detail": "secret"}"#, None),
            ("<html>", None),
        ];
        for (body, expected) in table {
            assert_eq!(code(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
