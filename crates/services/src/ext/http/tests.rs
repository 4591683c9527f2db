//! Fetches from a real server on loopback, which is allowed here as an operator allows it.

mod gated;
mod refused;
mod resumed;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::scratch::Scratch;
use server::{Reply, Server, answer, head, header};

/// Long enough for a loaded machine; reached only when a test fails.
const BOUND: Duration = Duration::from_secs(60);

const SECRET: &str = "t0ken-of-nobody";

/// More than one read of a socket.
fn film() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn limits() -> FetchLimits {
    FetchLimits {
        max_bytes: 10_000_000,
        ..FetchLimits::default()
    }
}

/// Allows the server's address, and no other of this machine.
fn http(limits: FetchLimits) -> Http {
    let server = "127.0.0.1".parse().unwrap();
    Http::new(AddressRule::public().and([server]), limits)
}

/// A place for the file, and what is done with it.
struct Target {
    scratch: Scratch,
}

impl Target {
    fn new() -> Self {
        let scratch = Scratch::new(&std::env::temp_dir(), "http-test").unwrap();
        Self { scratch }
    }

    fn file(&self) -> PathBuf {
        self.scratch.path("clip.mp4").unwrap()
    }

    async fn fetch(&self, http: &Http, url: &str) -> Result<Fetched, FetchError> {
        self.fetch_until(http, url, &CancellationToken::new()).await
    }

    async fn fetch_until(
        &self,
        http: &Http,
        url: &str,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        let call = ClipCall {
            clip_file_uuid: Uuid::now_v7(),
            cancel,
        };
        let to = self.file();
        let job = FetchJob { url, to: &to };
        let fetched = tokio::time::timeout(BOUND, http.fetch(call, job, |_| {})).await;
        fetched.expect("a fetch ends")
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.scratch.dir()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

async fn serving(reply: Vec<u8>) -> Server {
    Server::start(move |_| Reply::Bytes(reply.clone())).await
}

#[track_caller]
fn assert_file(path: &Path, expected: &[u8]) {
    let found = std::fs::read(path).unwrap();
    assert!(
        found == expected,
        "{} bytes, not {}",
        found.len(),
        expected.len()
    );
}

#[tokio::test]
async fn a_file_is_fetched_whole_and_under_its_own_name_only() {
    let server = serving(answer("200 OK", &["etag: \"v1\""], &film())).await;
    let target = Target::new();
    let fetched = target
        .fetch(&http(limits()), &server.url("/clip.mp4?x=1"))
        .await
        .unwrap();
    let bytes = film().len() as u64;
    assert_eq!(
        fetched,
        Fetched {
            bytes,
            resumed_from: 0
        }
    );
    assert_file(&target.file(), &film());
    assert_eq!(target.names(), ["clip.mp4"]);
    let [asked] = &server.asked()[..] else {
        panic!("one request")
    };
    assert_eq!(asked[0], "GET /clip.mp4?x=1 HTTP/1.1");
    assert_eq!(header(asked, "accept-encoding"), Some("identity"));
    for name in ["cookie", "authorization", "referer", "range"] {
        assert_eq!(header(asked, name), None, "{name}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_and_sent_to_the_server() {
    let server = serving(answer("200 OK", &[], b"a film")).await;
    let target = Target::new();
    let both = ["127.0.0.1", "::1"].map(|address| address.parse().unwrap());
    let http = Http::new(AddressRule::public().and(both), limits());
    let url = format!("http://localhost:{}/a", server.port());
    target.fetch(&http, &url).await.unwrap();
    let host = format!("localhost:{}", server.port());
    assert_eq!(header(&server.asked()[0], "host"), Some(&*host));
}

#[tokio::test]
async fn redirects_are_followed_and_each_is_checked() {
    let film = film();
    let server = Server::start(move |asked| {
        Reply::Bytes(match asked[0].split(' ').nth(1) {
            Some("/first") => answer("302 Found", &["location: /second"], b"moved"),
            Some("/second") => answer("307 Temporary Redirect", &["location: third?a=b"], b""),
            Some("/third?a=b") => answer("200 OK", &[], &film),
            _ => answer("404 Not Found", &[], b""),
        })
    })
    .await;
    let target = Target::new();
    target
        .fetch(&http(limits()), &server.url("/first"))
        .await
        .unwrap();
    assert_file(&target.file(), &self::film());
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_body_without_a_length_is_fetched_to_its_end() {
    let mut reply = head("200 OK", &["transfer-encoding: chunked"]);
    reply.extend(b"6\r\na film\r\n0\r\n\r\n");
    let server = serving(reply).await;
    let target = Target::new();
    let fetched = target
        .fetch(&http(limits()), &server.url("/"))
        .await
        .unwrap();
    assert_eq!(fetched.bytes, 6);
}

#[tokio::test]
async fn a_span_tells_of_the_host_and_of_nothing_secret() {
    let (collector, _guard) = sapari_telemetry::testing::Collector::scoped();
    let server = serving(answer("404 Not Found", &[], b"")).await;
    let url = server.url(&format!("/{SECRET}/clip.mp4?token={SECRET}#{SECRET}"));
    let failed = Target::new()
        .fetch(&http(limits()), &url)
        .await
        .unwrap_err();
    assert!(
        !format!("{failed} {failed:?}").contains(SECRET),
        "{failed:?}"
    );
    let spans = collector.spans();
    let [span] = &spans[..] else {
        panic!("one span: {spans:?}")
    };
    assert_eq!(span.name, "ext.http.fetch");
    let attribute = |name| span.attribute(name).map(ToString::to_string);
    assert_eq!(attribute("server.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(
        attribute("http.response.status_code").as_deref(),
        Some("404")
    );
    assert!(!format!("{spans:?}").contains(SECRET), "{spans:?}");
}
