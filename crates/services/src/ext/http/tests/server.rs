//! A web server that answers as the test says, byte for byte, and remembers what it was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The lines of a request, the request line first, names of headers in small letters.
pub(super) type Asked = Vec<String>;

/// What is answered, and what then becomes of the connection.
pub(super) enum Reply {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// These bytes, and then nothing for as long as the client stays.
    Hold(Vec<u8>),
}

/// Listens until it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _accepting: JoinSet<()>,
}

impl Server {
    pub(super) async fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&asked), Arc::new(reply)));
        Self {
            address,
            asked,
            _accepting: accepting,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every request so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// `200 OK` or another head, with what `headers` says and the right length.
pub(super) fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("content-length: {}", body.len());
    let headers = [headers, &[&length]].concat();
    head(status, &headers)
        .into_iter()
        .chain(body.iter().copied())
        .collect()
}

/// A head alone.
pub(super) fn head(status: &str, headers: &[&str]) -> Vec<u8> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{lines}\r\n").into_bytes()
}

/// The value of a header of a request.
pub(super) fn header<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    let values = asked.iter().filter_map(|line| line.split_once(": "));
    values
        .into_iter()
        .find(|(it, _)| *it == name)
        .map(|(_, value)| value)
}

async fn accept(
    listener: TcpListener,
    asked: Arc<Mutex<Vec<Asked>>>,
    reply: Arc<impl Fn(&Asked) -> Reply + Send + Sync + 'static>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        connections.spawn(serve(client, Arc::clone(&asked), Arc::clone(&reply)));
    }
}

async fn serve(
    client: TcpStream,
    asked: Arc<Mutex<Vec<Asked>>>,
    reply: Arc<impl Fn(&Asked) -> Reply>,
) {
    let mut client = BufReader::new(client);
    let mut request = Asked::new();
    loop {
        let mut line = String::new();
        match client.read_line(&mut line).await {
            Ok(1..) if !line.trim().is_empty() => request.push(lowered(line.trim())),
            _ => break,
        }
    }
    asked.lock().unwrap().push(request.clone());
    let (bytes, hold) = match reply(&request) {
        Reply::Bytes(bytes) => (bytes, false),
        Reply::Hold(bytes) => (bytes, true),
    };
    // An error means that the client has left, as it may.
    let _ = client.write_all(&bytes).await;
    let _ = client.flush().await;
    if hold {
        let mut rest = String::new();
        let _ = client.read_line(&mut rest).await;
    }
}

fn lowered(line: &str) -> String {
    match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    }
}
