//! The health port as a client sees it, on a real socket: what it answers, and that it does so while the loop it watches is
//! blocked. Nothing of a broker.

use std::sync::mpsc;

use hyper::StatusCode;
use sapari_telemetry::Scraper;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::broker::Broker;
use crate::broker::memory::MemoryBroker;
use crate::duration::seconds;
use crate::message::MessageId;
use crate::queue::Queue;
use crate::vitals::{Vitals, Working};

const PATIENCE: Duration = seconds(60);
const QUEUE: Queue = Queue::named("q").levels(2);

fn any_port() -> Port {
    let addr = "127.0.0.1:0".parse().expect("an address");
    Port::take(addr).expect("a free port").expect("not off")
}

fn served(vitals: &Vitals) -> SocketAddr {
    let pages = Pages {
        vitals: vitals.clone(),
        scraper: Scraper::default(),
    };
    any_port().start(pages).expect("a thread")
}

async fn working(vitals: &Vitals) {
    let broker = Arc::new(MemoryBroker::new());
    let consumer = broker.consume(QUEUE, 1).await.expect("consumed");
    vitals.working(Working {
        queue: QUEUE,
        slots: 1,
        in_use: Arc::default(),
        liveness: consumer.liveness(),
        broker,
    });
}

/// Sends the bytes, and returns all that comes until the other side closes, or resets because it has heard enough.
async fn exchange(to: SocketAddr, request: &[u8]) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(to).await.expect("it listens");
        let mut answer = Vec::new();
        let _ = stream.write_all(request).await;
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    timeout(PATIENCE, talk).await.expect("in time")
}

async fn ask(to: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: health\r\n\r\n");
    let answer = exchange(to, request.as_bytes()).await;
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("no status: {answer:?}")),
        answer,
    )
}

#[tokio::test]
async fn it_answers_what_it_is_asked_and_nothing_else() {
    let vitals = Vitals::new();
    working(&vitals).await;
    let at = served(&vitals);
    let table = [
        ("GET", "/livez", StatusCode::OK, r#""live":true"#),
        ("GET", "/readyz", StatusCode::OK, r#""ready":true"#),
        ("GET", "/readyz?verbose", StatusCode::OK, r#""ready":true"#),
        ("GET", "/metrics", StatusCode::OK, "version=0.0.4"),
        ("GET", "/", StatusCode::NOT_FOUND, "/livez"),
        ("GET", "/livez/", StatusCode::NOT_FOUND, "/livez"),
        (
            "POST",
            "/livez",
            StatusCode::METHOD_NOT_ALLOWED,
            "allow: GET, HEAD",
        ),
        (
            "DELETE",
            "/none",
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET",
        ),
    ];
    for (method, path, status, words) in table {
        let (answered, text) = ask(at, method, path).await;
        assert_eq!(answered, status.as_u16(), "{method} {path}: {text}");
        assert!(text.contains(words), "{method} {path}: {text}");
    }
    let (status, head) = ask(at, "HEAD", "/readyz").await;
    assert_eq!(status, 200);
    assert!(head.ends_with("\r\n\r\n"), "no body: {head:?}");
}

#[tokio::test]
async fn it_says_why_the_process_is_not_ready() {
    let (vitals, id) = (Vitals::new(), MessageId::new());
    let at = served(&vitals);
    let not_ready = async |words: &str| {
        let (status, text) = ask(at, "GET", "/readyz").await;
        assert_eq!(status, 503, "{text}");
        assert!(
            text.contains(r#""ready":false"#) && text.contains(words),
            "{text}"
        );
    };
    not_ready(r#""phase":"starting"#).await;
    working(&vitals).await;
    let mark = vitals.stuck("cut", &id);
    not_ready(&format!(r#""handlers":"cut {id} has been stuck"#)).await;
    drop(mark);
    assert_eq!(ask(at, "GET", "/readyz").await.0, 200);
    vitals.draining();
    not_ready(r#""phase":"draining"#).await;
    assert_eq!(
        ask(at, "GET", "/livez").await.0,
        200,
        "it lives while it drains"
    );
}

/// A runtime whose only thread is blocked: what a handler does that computes where it should await.
#[tokio::test]
async fn it_answers_while_the_event_loop_stands_still() {
    let vitals = Vitals::new();
    working(&vitals).await;
    let at = served(&vitals);
    let (release, released) = mpsc::channel::<()>();
    let watched = vitals.clone();
    let blocked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.expect("a runtime").block_on(async {
            tokio::spawn(watched.keep_ticking());
            tokio::task::yield_now().await;
            // Ends with an error when the test has failed and let go of the sender.
            let _ = released.recv();
            std::future::pending::<()>().await;
        });
    });
    let until = async |wanted: u16| {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        loop {
            looks.tick().await;
            let (status, text) = ask(at, "GET", "/readyz").await;
            if status == wanted {
                return text;
            }
        }
    };
    let text = timeout(PATIENCE, until(503)).await.expect("noticed");
    assert!(
        text.contains("the event loop has stood still for 2 s"),
        "{text}"
    );
    assert_eq!(ask(at, "GET", "/livez").await.0, 200, "it may come round");
    release.send(()).expect("it is blocked");
    timeout(PATIENCE, until(200)).await.expect("turns again");
    assert!(!blocked.is_finished());
}

#[tokio::test]
async fn what_is_too_large_or_no_http_is_turned_away() {
    let at = served(&Vitals::new());
    let long = format!(
        "GET /livez HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    for request in [long.as_bytes(), b"\x16\x03\x01 hello\r\n\r\n"] {
        let answer = exchange(at, request).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    assert_eq!(ask(at, "GET", "/livez").await.0, 200);
}

/// Silent connections take up places only for so long.
#[tokio::test]
async fn silent_connections_do_not_lock_others_out() {
    let at = served(&Vitals::new());
    let mut silent = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        silent.push(TcpStream::connect(at).await.expect("a connection"));
    }
    assert_eq!(ask(at, "GET", "/livez").await.0, 200);
    drop(silent);
}

#[test]
fn a_port_that_is_taken_is_said_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("bound");
    let failure = Port::take(HealthAddr::At(addr)).err().expect("taken");
    assert_eq!(failure.exit, Exit::Unavailable);
    assert!(failure.message.contains(&addr.to_string()), "{failure:?}");
    assert!(Port::take(HealthAddr::Off).expect("off").is_none());
}

#[test]
fn an_address_is_an_ip_and_a_port() {
    let good = ["127.0.0.1:0", "0.0.0.0:9100", "[::1]:9100", "off"];
    let bad = ["", "9100", ":9100", "localhost:9100", "127.0.0.1", "on"];
    assert!(good.iter().all(|text| text.parse::<HealthAddr>().is_ok()));
    assert!(bad.iter().all(|text| text.parse::<HealthAddr>().is_err()));
}
