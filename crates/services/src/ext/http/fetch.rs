//! One fetch: from an address, through redirects, to a file.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, IF_RANGE, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::place::Place;
use super::resume::{Begun, Left, Plan, plan};
use super::{FetchError, Http};
use crate::cause::Cause;
use crate::ext::ffmpeg::ClipCall;

/// What is to be fetched, and where to.
#[derive(Clone, Copy)]
pub struct FetchJob<'a> {
    /// The address, as it was given.
    pub url: &'a str,
    /// The file to write.
    pub to: &'a Path,
}

/// What was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// How large the file is.
    pub bytes: u64,
    /// How much of it an earlier call had fetched.
    pub resumed_from: u64,
}

/// More than any honest service takes.
const MAX_REDIRECTS: usize = 8;
const USER_AGENT: &str = concat!("sapari/", env!("CARGO_PKG_VERSION"));
/// How often what is left behind may be found not to fit: once to see it, once to do without.
const TRIES: usize = 2;

impl Http {
    /// Within the limit of time, and until the task is asked to end.
    pub(super) async fn bounded(
        &self,
        call: ClipCall<'_>,
        place: Place,
        to: &Path,
        progress: impl FnMut(f64) + Send,
    ) -> Result<Fetched, FetchError> {
        let host = place.host.clone();
        let limit = self.rules.limits.max_time;
        let work = timeout(limit, self.fetched(place, to, progress));
        tokio::select! {
            biased;
            () = call.cancel.cancelled() => Err(FetchError::Cancelled { host }),
            done = work => done.unwrap_or(Err(FetchError::TooSlow { host, limit })),
        }
    }

    async fn fetched(
        &self,
        place: Place,
        to: &Path,
        mut progress: impl FnMut(f64) + Send,
    ) -> Result<Fetched, FetchError> {
        let begun = Begun::of(to);
        for _ in 0..TRIES {
            let left = begun.left().await;
            let (place, answer) = self.answer(place.clone(), left.as_ref()).await?;
            let host = &place.host;
            match plan(answer.status(), answer.headers(), left.as_ref()) {
                Plan::Afresh => begun.clear().await,
                Plan::From { offset, whole } => {
                    accepted(&answer, host)?;
                    let body = Body {
                        http: self,
                        host,
                        begun: &begun,
                        offset,
                        whole,
                    };
                    let bytes = body.write(answer, &mut progress).await?;
                    let kept = begun.finish(to).await;
                    kept.map_err(io("rename the finished part file to", to))?;
                    note(bytes, offset);
                    return Ok(Fetched {
                        bytes,
                        resumed_from: offset,
                    });
                }
            }
        }
        Err(FetchError::BadRange { host: place.host })
    }

    /// The answer at the end of all redirects, and where it came from.
    async fn answer(
        &self,
        mut place: Place,
        left: Option<&Left>,
    ) -> Result<(Place, Response), FetchError> {
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.ask(&place, left).await?;
            let status = answer.status();
            tracing::Span::current()
                .record("http.response.status_code", i64::from(status.as_u16()));
            if !leads_on(status) {
                return Ok((place, answer));
            }
            let location = answer.headers().get(LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            place = place.led_on(location.unwrap_or_default())?;
        }
        Err(FetchError::BadRedirect {
            host: place.host,
            reason: format!("more than {MAX_REDIRECTS} times"),
        })
    }

    /// Asks one place, at an address that was checked.
    async fn ask(&self, place: &Place, left: Option<&Left>) -> Result<Response, FetchError> {
        let stall = self.rules.limits.stall;
        let addresses = self
            .in_time(&place.host, place.addresses(&self.rules.address))
            .await??;
        let failed = |doing: &'static str| {
            let host = place.host.clone();
            move |error: reqwest::Error| FetchError::Connection {
                doing,
                host,
                cause: Cause::of(&error.without_url()),
            }
        };
        // A client for each place: whatever name it asks for, it gets the addresses that were checked.
        let client = Client::builder()
            .dns_resolver(Arc::new(Checked(addresses)))
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(stall)
            .user_agent(USER_AGENT)
            .build()
            .map_err(failed("make a client for"))?;
        let mut ask = client
            .get(place.url.clone())
            .header(ACCEPT_ENCODING, "identity");
        if let Some(Left { bytes, validator }) = left {
            ask = ask
                .header(RANGE, format!("bytes={bytes}-"))
                .header(IF_RANGE, validator);
        }
        self.in_time(&place.host, ask.send())
            .await?
            .map_err(failed("fetch from"))
    }

    /// Not longer than a server may be silent.
    async fn in_time<T>(
        &self,
        host: &str,
        event: impl Future<Output = T>,
    ) -> Result<T, FetchError> {
        let after = self.rules.limits.stall;
        let event = timeout(after, event).await;
        event.map_err(|_| FetchError::Stalled {
            host: host.to_owned(),
            after,
        })
    }
}

/// The answer to every question of a client for one place.
struct Checked(Vec<SocketAddr>);

impl Resolve for Checked {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// The body of an answer on its way to the part file.
struct Body<'a> {
    http: &'a Http,
    host: &'a str,
    begun: &'a Begun,
    offset: u64,
    whole: Option<u64>,
}

impl Body<'_> {
    /// Returns how many bytes the file has in the end.
    async fn write(
        &self,
        mut answer: Response,
        progress: &mut (impl FnMut(f64) + Send),
    ) -> Result<u64, FetchError> {
        self.check(self.whole.unwrap_or(self.offset)).await?;
        let mut file = self.open(answer.headers()).await?;
        let received = self.receive(&mut answer, &mut file, progress).await;
        // Also after a failure: the last write may still be under way, and the next try goes on from the file's length.
        let flushed = file.flush().await;
        let size = received?;
        flushed.map_err(io("write", &self.begun.part))?;
        match (size, self.whole) {
            (0, _) => Err(FetchError::Empty {
                host: self.host.to_owned(),
            }),
            (size, Some(whole)) if size != whole => Err(FetchError::Short {
                host: self.host.to_owned(),
                size,
                whole,
            }),
            (size, _) => Ok(size),
        }
    }

    /// Returns how many bytes the file has once all writes are done.
    async fn receive(
        &self,
        answer: &mut Response,
        file: &mut File,
        progress: &mut (impl FnMut(f64) + Send),
    ) -> Result<u64, FetchError> {
        let mut size = self.offset;
        while let Some(chunk) = self.next(answer).await? {
            size += chunk.len() as u64;
            self.check(size).await?;
            let written = file.write_all(&chunk).await;
            written.map_err(io("write", &self.begun.part))?;
            if let Some(whole) = self.whole {
                progress(size as f64 / whole.max(1) as f64);
            }
        }
        Ok(size)
    }

    async fn next(
        &self,
        answer: &mut Response,
    ) -> Result<Option<impl Deref<Target = [u8]> + use<>>, FetchError> {
        let chunk = self.http.in_time(self.host, answer.chunk()).await?;
        chunk.map_err(|error| FetchError::Connection {
            doing: "fetch from",
            host: self.host.to_owned(),
            cause: Cause::of(&error.without_url()),
        })
    }

    /// What is too large is not kept: nothing can come of it.
    async fn check(&self, size: u64) -> Result<(), FetchError> {
        let limit = self.http.rules.limits.max_bytes;
        if size <= limit {
            return Ok(());
        }
        self.begun.clear().await;
        Err(FetchError::TooLarge {
            host: self.host.to_owned(),
            limit,
        })
    }

    async fn open(&self, headers: &HeaderMap) -> Result<File, FetchError> {
        let failed = || io("write", &self.begun.part);
        let opened = match self.offset {
            0 => File::create(&self.begun.part).await,
            _ => OpenOptions::new().append(true).open(&self.begun.part).await,
        };
        // After the file was emptied: the version must never be newer than what is in it.
        if self.offset == 0 {
            self.begun.note(headers).await.map_err(failed())?;
        }
        opened.map_err(failed())
    }
}

/// A redirect that is followed. 304 is none, and 300 leaves the choice to a person.
fn leads_on(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Refuses what is no file.
fn accepted(answer: &Response, host: &str) -> Result<(), FetchError> {
    let header = |name| answer.headers().get(name)?.to_str().ok();
    if !answer.status().is_success() {
        let pause = header(RETRY_AFTER).and_then(|text| text.parse().ok());
        return Err(FetchError::Status {
            host: host.to_owned(),
            status: answer.status().as_u16(),
            retry_after: pause.map(Duration::from_secs),
        });
    }
    let kind = header(CONTENT_TYPE).unwrap_or_default();
    let page = ["text/html", "application/xhtml+xml"];
    if page
        .iter()
        .any(|page| kind.trim_start().to_ascii_lowercase().starts_with(page))
    {
        return Err(FetchError::Page {
            host: host.to_owned(),
        });
    }
    Ok(())
}

fn note(bytes: u64, resumed_from: u64) {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let span = tracing::Span::current();
    span.record("http.response.body.size", whole(bytes));
    span.record("http.resumed_from", whole(resumed_from));
}

fn io<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> FetchError + use<'a> {
    move |source| FetchError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
