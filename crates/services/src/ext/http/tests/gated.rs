//! The proxy for programs that open connections themselves.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// What comes back for these bytes, to the end.
async fn sent(gate: &gate::Gate, bytes: &str) -> String {
    let place = gate.url()["http://".len()..].to_owned();
    let mut stream = TcpStream::connect(place).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(BOUND, read).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_gate_leads_to_what_is_allowed() {
    let server = serving(answer("200 OK", &[], b"a film")).await;
    let gate = http(limits()).gate().await.unwrap();
    let url = server.url("/a?b=c");
    let plain = format!("GET {url} HTTP/1.1\r\nhost: h\r\nproxy-authorization: s3cret\r\n\r\n");
    assert!(sent(&gate, &plain).await.ends_with("a film"));
    let tunnel = format!(
        "CONNECT 127.0.0.1:{} HTTP/1.1\r\n\r\nGET /t HTTP/1.1\r\n\r\n",
        server.port()
    );
    let through = sent(&gate, &tunnel).await;
    assert!(
        through.starts_with("HTTP/1.1 200 Connection") && through.ends_with("a film"),
        "{through}"
    );
    let asked = server.asked();
    assert_eq!(
        (&*asked[0][0], &*asked[1][0]),
        ("GET /a?b=c HTTP/1.1", "GET /t HTTP/1.1")
    );
    assert_eq!(header(&asked[0], "proxy-authorization"), None);
    assert_eq!(header(&asked[0], "connection"), Some("close"));
    assert!(gate.refused().is_none());
}

#[tokio::test]
async fn a_gate_leads_nowhere_else() {
    let inside = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let place = inside.local_addr().unwrap();
    let gate = http(limits()).gate().await.unwrap();
    for request in [
        format!("CONNECT {place} HTTP/1.1\r\n\r\n"),
        format!("GET http://{place}/ HTTP/1.1\r\n\r\n"),
    ] {
        let answer = sent(&gate, &request).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{request}: {answer}");
        assert!(
            matches!(gate.refused(), Some(FetchError::Refused { .. })),
            "{request}"
        );
    }
    for nonsense in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET file:///etc/passwd HTTP/1.1\r\n\r\n",
        "\r\n\r\n",
    ] {
        assert_eq!(sent(&gate, nonsense).await, "", "{nonsense}");
    }
    assert!(inside.accept().is_err(), "somebody connected");
}
