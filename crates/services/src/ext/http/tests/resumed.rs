//! Transfers that break, and what the next call makes of what came.

use super::*;

const HALF: usize = 600_000;

/// Breaks off after the first half; a request for the rest of the same version gets it.
async fn breaking(version: &'static str, now: &'static str) -> Server {
    Server::start(move |asked| {
        let (whole, tag) = (film(), format!("etag: {now}"));
        let length = format!("content-length: {}", whole.len());
        match (header(asked, "range"), header(asked, "if-range")) {
            (None, _) => {
                let first = format!("etag: {version}");
                let mut reply = head("200 OK", &[&length, &first]);
                reply.extend(&whole[..HALF]);
                Reply::Bytes(reply)
            }
            (Some(range), Some(wanted)) if wanted == now => {
                let from: usize = range["bytes=".len()..range.len() - 1].parse().unwrap();
                let part = format!(
                    "content-range: bytes {from}-{}/{}",
                    whole.len() - 1,
                    whole.len()
                );
                Reply::Bytes(answer(
                    "206 Partial Content",
                    &[&part, &tag],
                    &whole[from..],
                ))
            }
            _ => Reply::Bytes(answer("200 OK", &[&tag], &whole)),
        }
    })
    .await
}

#[tokio::test]
async fn a_broken_transfer_is_gone_on_with() {
    let server = breaking("\"v1\"", "\"v1\"").await;
    let (target, http) = (Target::new(), http(limits()));
    let broken = target.fetch(&http, &server.url("/")).await.unwrap_err();
    assert!(!broken.is_permanent(), "{broken}");
    assert_eq!(
        target.names(),
        ["clip.mp4.fetching", "clip.mp4.fetching.version"]
    );
    let came = std::fs::metadata(target.scratch.path("clip.mp4.fetching").unwrap())
        .unwrap()
        .len();
    assert!(came > 0, "nothing of the first half was kept");

    let fetched = target.fetch(&http, &server.url("/")).await.unwrap();
    assert_eq!(fetched.resumed_from, came);
    assert_file(&target.file(), &film());
    assert_eq!(target.names(), ["clip.mp4"]);
    let asked = &server.asked()[1];
    assert_eq!(header(asked, "range"), Some(&*format!("bytes={came}-")));
    assert_eq!(header(asked, "if-range"), Some("\"v1\""));
}

#[tokio::test]
async fn another_version_of_the_file_is_fetched_from_its_start() {
    let server = breaking("\"v1\"", "\"v2\"").await;
    let (target, http) = (Target::new(), http(limits()));
    target.fetch(&http, &server.url("/")).await.unwrap_err();
    let fetched = target.fetch(&http, &server.url("/")).await.unwrap();
    assert_eq!(fetched.resumed_from, 0);
    assert_file(&target.file(), &film());
}

#[tokio::test]
async fn without_a_strong_validator_nothing_is_gone_on_with() {
    let server = breaking("W/\"v1\"", "W/\"v1\"").await;
    let (target, http) = (Target::new(), http(limits()));
    for _ in 0..2 {
        let broken = target.fetch(&http, &server.url("/")).await.unwrap_err();
        assert!(!broken.is_permanent(), "{broken}");
    }
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| header(asked, "range").is_none())
    );
}

#[tokio::test]
async fn a_part_that_does_not_fit_is_thrown_away() {
    for wrong in ["416 Range Not Satisfiable", "206 Partial Content"] {
        let server = Server::start(move |asked| {
            Reply::Bytes(match header(asked, "range") {
                Some(_) => answer(wrong, &["content-range: bytes 1-5/6"], b" film"),
                None => answer("200 OK", &[], b"a film"),
            })
        })
        .await;
        let target = Target::new();
        let left =
            |name: &str, text: &str| std::fs::write(target.scratch.path(name).unwrap(), text);
        left("clip.mp4.fetching", "of something else").unwrap();
        left("clip.mp4.fetching.version", "\"v1\"").unwrap();
        let fetched = target
            .fetch(&http(limits()), &server.url("/"))
            .await
            .unwrap();
        assert_eq!((fetched.bytes, fetched.resumed_from), (6, 0), "{wrong}");
        assert_file(&target.file(), b"a film");
    }
}

#[tokio::test]
async fn a_server_that_sends_parts_nobody_asked_for_is_given_up() {
    let part = answer(
        "206 Partial Content",
        &["content-range: bytes 0-5/6"],
        b"a film",
    );
    let server = serving(part).await;
    let failed = Target::new()
        .fetch(&http(limits()), &server.url("/"))
        .await
        .unwrap_err();
    assert!(matches!(failed, FetchError::BadRange { .. }), "{failed}");
}
