//! A web server on loopback for what the roles fetch: files with ranges, redirects, refusals, silence.
//! It ends with its last handle.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What is answered under a path.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A file of this type, or the part of it that was asked for.
    File(&'static str, Vec<u8>),
    /// The address of another place.
    Leads(String),
    /// The first half of a file, and then nothing more; the rest to whoever asks for it.
    Half(Vec<u8>),
}

/// Answers under the paths it was given, and 404 under any other.
pub(crate) struct Web {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Web {
    pub(crate) async fn serving(answers: &[(&str, Answer)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let answers = answers.iter().cloned();
        let answers = answers.map(|(path, answer)| (path.to_owned(), answer));
        let served = Served {
            answers: Arc::new(answers.collect()),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&served.asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, served));
        Self {
            address,
            asked,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The `range` of each request so far, or nothing.
    pub(crate) fn ranges(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

#[derive(Clone)]
struct Served {
    answers: Arc<HashMap<String, Answer>>,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn accept(listener: TcpListener, served: Served) {
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a listening socket accepts");
        connections.spawn(serve(client, served.clone()));
    }
}

async fn serve(client: TcpStream, served: Served) {
    let mut client = BufReader::new(client);
    let (mut path, mut range) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        if !matches!(client.read_line(&mut line).await, Ok(3..)) {
            break;
        }
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().unwrap_or_default().to_owned();
        } else if let Some((_, value)) = line.split_once("ange: bytes=") {
            range = value.to_owned();
        }
    }
    served.asked.lock().expect("no panic").push(range.clone());
    let from: usize = range.trim_end_matches('-').parse().unwrap_or(0);
    let (reply, hold) = match served.answers.get(&path) {
        Some(Answer::Half(body)) if from == 0 => {
            let mut reply = file("video/mp4", body, 0);
            reply.truncate(reply.len() - body.len() / 2);
            (reply, true)
        }
        Some(Answer::File(_, body)) if from > body.len() => (head("416 None", ""), false),
        Some(Answer::File(kind, body)) => (file(kind, body, from), false),
        Some(Answer::Half(body)) => (file("video/mp4", body, from), false),
        Some(Answer::Leads(to)) => (head("302 Found", &format!("location: {to}\r\n")), false),
        None => (head("404 Not Found", ""), false),
    };
    // An error means that the client has left, as it may.
    let _ = client.write_all(&reply).await;
    let _ = client.flush().await;
    if hold {
        let _ = client.read_line(&mut path).await;
    }
}

fn file(kind: &str, body: &[u8], from: usize) -> Vec<u8> {
    let (rest, whole) = (&body[from..], body.len());
    let status = if from == 0 {
        "200 OK"
    } else {
        "206 Partial Content"
    };
    let range = format!(
        "content-range: bytes {from}-{}/{whole}\r\n",
        whole.max(1) - 1
    );
    let headers = format!(
        "content-type: {kind}\r\netag: \"v1\"\r\ncontent-length: {}\r\n{}",
        rest.len(),
        if from == 0 { "" } else { &range }
    );
    let mut reply = head(status, &headers);
    reply.extend(rest);
    reply
}

fn head(status: &str, headers: &str) -> Vec<u8> {
    let length = if headers.contains("content-length") {
        ""
    } else {
        "content-length: 0\r\n"
    };
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}{length}\r\n").into_bytes()
}
