//! What is not fetched: where it lies, how much it is, how slowly it comes, what it is.

use std::net::TcpListener;

use super::*;

const AT_ONCE: Duration = Duration::from_millis(300);

/// A port on another address of this machine, to which nobody must come.
fn watched() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/secret", listener.local_addr().unwrap());
    (listener, url)
}

#[track_caller]
fn assert_nobody_came(listener: &TcpListener) {
    assert!(listener.accept().is_err(), "somebody connected");
}

#[tokio::test]
async fn a_private_address_is_refused_before_anything_is_sent() {
    let (listener, url) = watched();
    let public = Http::new(AddressRule::public(), limits());
    for http in [&public, &http(limits())] {
        let refused = Target::new().fetch(http, &url).await.unwrap_err();
        assert!(refused.is_permanent(), "{refused}");
        assert!(
            refused
                .to_string()
                .contains("127.0.0.2 is a loopback address"),
            "{refused}"
        );
    }
    assert_nobody_came(&listener);
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let (listener, url) = watched();
    let location = format!("location: {url}");
    let server = serving(answer("302 Found", &[&location], b"")).await;
    let refused = Target::new()
        .fetch(&http(limits()), &server.url("/"))
        .await
        .unwrap_err();
    assert!(matches!(refused, FetchError::Refused { .. }), "{refused}");
    assert_nobody_came(&listener);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_refused() {
    for location in ["/", "file:///etc/passwd", "http://", ""] {
        let header = format!("location: {location}");
        let server = serving(answer("301 Moved Permanently", &[&header], b"")).await;
        let refused = Target::new()
            .fetch(&http(limits()), &server.url("/"))
            .await
            .unwrap_err();
        assert!(refused.is_permanent(), "{location}: {refused}");
        assert!(server.asked().len() <= 9, "{location}");
    }
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_at_its_first_byte_too_many() {
    let told = answer("200 OK", &[], &film());
    let mut untold = head("200 OK", &["transfer-encoding: chunked"]);
    untold.extend(format!("{:x}\r\n", film().len()).bytes());
    untold.extend(film());
    untold.extend(b"\r\n0\r\n\r\n");
    let small = FetchLimits {
        max_bytes: 500_000,
        ..limits()
    };
    for reply in [told, untold] {
        let (server, target) = (serving(reply).await, Target::new());
        let refused = target
            .fetch(&http(small.clone()), &server.url("/"))
            .await
            .unwrap_err();
        assert!(
            matches!(refused, FetchError::TooLarge { limit: 500_000, .. }),
            "{refused}"
        );
        assert!(refused.is_permanent());
        assert!(target.names().is_empty(), "{:?}", target.names());
    }
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let hasty = FetchLimits {
        stall: AT_ONCE,
        ..limits()
    };
    let half = [
        answer("200 OK", &["etag: \"v1\""], &film())[..100_000].to_vec(),
        Vec::new(),
    ];
    for sent in half {
        let (body, target) = (!sent.is_empty(), Target::new());
        let server = Server::start(move |_| Reply::Hold(sent.clone())).await;
        let stalled = target
            .fetch(&http(hasty.clone()), &server.url("/"))
            .await
            .unwrap_err();
        assert!(matches!(stalled, FetchError::Stalled { .. }), "{stalled}");
        assert!(!stalled.is_permanent());
        assert_eq!(!target.names().is_empty(), body, "what came is kept");
    }
}

#[tokio::test]
async fn a_fetch_as_a_whole_has_a_limit_and_ends_with_its_task() {
    let (server, target) = (
        Server::start(|_| Reply::Hold(Vec::new())).await,
        Target::new(),
    );
    let hasty = FetchLimits {
        max_time: AT_ONCE,
        ..limits()
    };
    let late = target
        .fetch(&http(hasty), &server.url("/"))
        .await
        .unwrap_err();
    assert!(matches!(late, FetchError::TooSlow { .. }), "{late}");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let ended = target
        .fetch_until(&http(limits()), &server.url("/"), &cancel)
        .await;
    assert!(matches!(ended.unwrap_err(), FetchError::Cancelled { .. }));
}

#[tokio::test]
async fn what_a_server_says_decides_whether_it_is_asked_again() {
    let table = [
        ("401 Unauthorized", true),
        ("403 Forbidden", true),
        ("404 Not Found", true),
        ("410 Gone", true),
        ("418 I'm a teapot", true),
        ("408 Request Timeout", false),
        ("429 Too Many Requests", false),
        ("500 Internal Server Error", false),
        ("503 Service Unavailable", false),
        ("304 Not Modified", true),
    ];
    for (status, permanent) in table {
        let server = serving(answer(status, &["retry-after: 7"], b"")).await;
        let said = Target::new()
            .fetch(&http(limits()), &server.url("/"))
            .await
            .unwrap_err();
        assert_eq!(said.is_permanent(), permanent, "{said}");
        assert!(said.to_string().contains(&status[..3]), "{said}");
        assert_eq!(said.retry_after(), Some(Duration::from_secs(7)), "{said}");
    }
}

#[tokio::test]
async fn a_page_and_an_empty_file_are_no_media() {
    let page = answer(
        "200 OK",
        &["content-type: Text/HTML; charset=utf-8"],
        b"<html>",
    );
    let server = serving(page).await;
    let said = Target::new()
        .fetch(&http(limits()), &server.url("/"))
        .await
        .unwrap_err();
    assert!(
        matches!(said, FetchError::Page { .. }) && said.is_permanent(),
        "{said}"
    );
    let server = serving(answer("200 OK", &[], b"")).await;
    let said = Target::new()
        .fetch(&http(limits()), &server.url("/"))
        .await
        .unwrap_err();
    assert!(
        matches!(said, FetchError::Empty { .. }) && said.is_permanent(),
        "{said}"
    );
}

#[tokio::test]
async fn nobody_there_may_heal() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/{SECRET}", gone.local_addr().unwrap());
    drop(gone);
    let said = Target::new()
        .fetch(&http(limits()), &url)
        .await
        .unwrap_err();
    assert!(
        matches!(said, FetchError::Connection { .. }) && !said.is_permanent(),
        "{said}"
    );
    assert!(!format!("{said:?}").contains(SECRET), "{said:?}");
}
