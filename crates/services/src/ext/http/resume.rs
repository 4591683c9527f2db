//! How a transfer that broke goes on: what is there already, and whether the rest still fits to it.
//!
//! It deliberately goes on only with a validator of the server (`ETag`, `Last-Modified`): a file
//! put together from two versions would look whole.

use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED};

use crate::part::with_suffix;

/// A longer validator is none that a server means.
const MAX_VALIDATOR: usize = 1024;

/// The two files of a transfer under way: what came, and of which version of the file that is.
pub(super) struct Begun {
    pub(super) part: PathBuf,
    validator: PathBuf,
}

/// What an earlier try left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) bytes: u64,
    pub(super) validator: String,
}

impl Begun {
    pub(super) fn of(target: &Path) -> Self {
        Self {
            part: with_suffix(target, ".fetching"),
            validator: with_suffix(target, ".fetching.version"),
        }
    }

    /// What is there to go on with.
    pub(super) async fn left(&self) -> Option<Left> {
        let bytes = tokio::fs::metadata(&self.part).await.ok()?.len();
        let validator = tokio::fs::read_to_string(&self.validator).await.ok()?;
        (bytes > 0 && !validator.is_empty()).then_some(Left { bytes, validator })
    }

    /// Writes down which version of the file is being fetched.
    pub(super) async fn note(&self, headers: &HeaderMap) -> std::io::Result<()> {
        let validator = validator_of(headers).unwrap_or_default();
        tokio::fs::write(&self.validator, validator).await
    }

    /// Forgets all of it.
    pub(super) async fn clear(&self) {
        // What is not there needs no removing, and what stays is in a scratch directory.
        let _ = tokio::fs::remove_file(&self.part).await;
        let _ = tokio::fs::remove_file(&self.validator).await;
    }

    /// The file is whole.
    pub(super) async fn finish(self, target: &Path) -> std::io::Result<()> {
        tokio::fs::rename(&self.part, target).await?;
        let _ = tokio::fs::remove_file(&self.validator).await;
        Ok(())
    }
}

/// A strong validator, as `If-Range` wants one.
fn validator_of(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name)?.to_str().ok();
    let strong = |tag: &&str| !tag.starts_with("W/");
    let found = text(ETAG).filter(strong).or_else(|| text(LAST_MODIFIED));
    found.filter(|validator| validator.len() <= MAX_VALIDATOR)
}

/// What an answer means for the bytes that are there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The body is the file from this byte on; the whole has so many, if that is known.
    From { offset: u64, whole: Option<u64> },
    /// What is there does not fit: ask for all of it.
    Afresh,
}

/// `left` is what was asked to go on with.
pub(super) fn plan(status: StatusCode, headers: &HeaderMap, left: Option<&Left>) -> Plan {
    match (status, left) {
        (StatusCode::PARTIAL_CONTENT, Some(left)) => match range_of(headers) {
            Some((offset, whole)) if offset == left.bytes => Plan::From { offset, whole },
            _ => Plan::Afresh,
        },
        // Nobody asked for a part.
        (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => Plan::Afresh,
        _ => Plan::From {
            offset: 0,
            whole: length_of(headers),
        },
    }
}

fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The first byte and the whole length of `bytes 5-9/10`.
fn range_of(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, whole.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    fn left() -> Left {
        Left {
            bytes: 5,
            validator: "\"v1\"".to_owned(),
        }
    }

    #[test]
    fn a_transfer_goes_on_only_where_it_broke() {
        let range = |value| headers(&[(CONTENT_RANGE, value)]);
        let (part, none) = (StatusCode::PARTIAL_CONTENT, HeaderMap::new());
        let from = |offset, whole| Plan::From { offset, whole };
        let table = [
            (part, range("bytes 5-9/10"), Some(left()), from(5, Some(10))),
            (part, range("bytes 5-9/*"), Some(left()), from(5, None)),
            (part, range("bytes 4-9/10"), Some(left()), Plan::Afresh),
            (part, range("lines 5-9/10"), Some(left()), Plan::Afresh),
            (part, none.clone(), Some(left()), Plan::Afresh),
            (part, range("bytes 0-9/10"), None, Plan::Afresh),
            (
                StatusCode::RANGE_NOT_SATISFIABLE,
                none.clone(),
                Some(left()),
                Plan::Afresh,
            ),
            (
                StatusCode::OK,
                headers(&[(CONTENT_LENGTH, "10")]),
                Some(left()),
                from(0, Some(10)),
            ),
            (StatusCode::OK, none, None, from(0, None)),
        ];
        for (status, headers, left, expected) in table {
            assert_eq!(
                plan(status, &headers, left.as_ref()),
                expected,
                "{status} {headers:?}"
            );
        }
    }

    #[test]
    fn only_a_strong_validator_counts() {
        const DATE: &str = "Sat, 28 Nov 2026 10:00:00 GMT";
        let table = [
            (
                vec![(ETAG, "\"v1\""), (LAST_MODIFIED, DATE)],
                Some("\"v1\""),
            ),
            (vec![(ETAG, "W/\"v1\""), (LAST_MODIFIED, DATE)], Some(DATE)),
            (vec![(ETAG, "W/\"v1\"")], None),
            (vec![], None),
        ];
        for (pairs, expected) in table {
            assert_eq!(validator_of(&headers(&pairs)), expected);
        }
    }
}
