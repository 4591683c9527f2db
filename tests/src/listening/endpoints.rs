//! Endpoints that speak OpenAI's dialect, as much of it as the role uses, and fail in the ways that endpoints do. What they were asked
//! can be looked at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::request::Request;

/// Between two bytes of a slow answer.
const NOW_AND_AGAIN: Duration = Duration::from_millis(20);

/// What one call is answered.
#[derive(Debug, Clone)]
pub(super) enum Says {
    /// Yes, with this.
    Json(Value),
    /// Yes, with something else.
    Text(&'static str),
    /// No, with this status, these headers, and this code.
    No(u16, &'static str, &'static str),
    /// More than anybody reads.
    Endless,
    /// Nothing, and the connection stays open.
    Silence,
    /// A beginning, and then a byte now and again, without an end.
    Slowly,
    /// Half of an answer, and the connection ends.
    Half,
}

/// What was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

/// Listens as long as it lives.
pub(super) struct Models {
    port: u16,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

#[derive(Default)]
struct State {
    hears: Mutex<VecDeque<Says>>,
    reads: Mutex<VecDeque<Says>>,
    asked: Mutex<Vec<Asked>>,
}

impl Models {
    /// What is answered to those that send sound, and to those that chat, one after the other; the last one stays.
    pub(super) async fn start(
        hears: impl IntoIterator<Item = Says>,
        reads: impl IntoIterator<Item = Says>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State {
            hears: Mutex::new(hears.into_iter().collect()),
            reads: Mutex::new(reads.into_iter().collect()),
            asked: Mutex::default(),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&state)));
        Self {
            port,
            state,
            _accepting: accepting,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Everything that was asked for at a path that ends so.
    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self
            .state
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        asked
            .iter()
            .filter(|asked| asked.path.ends_with(path))
            .cloned()
            .collect()
    }
}

impl State {
    fn answer(&self, asked: Asked) -> Says {
        let queue = match asked.path.as_str() {
            "/v1/audio/transcriptions" => &self.hears,
            "/v1/chat/completions" => &self.reads,
            _ => return Says::No(404, "", "no_such_path"),
        };
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(asked);
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.len() {
            0 => Says::No(404, "", "nobody_here"),
            1 => queue[0].clone(),
            _ => queue.pop_front().expect("there are some"),
        }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a listening socket accepts");
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let mut stream = BufStream::new(stream);
            // A client that goes away ends its connection, and nothing else.
            while let Ok(Some(request)) = Request::read(&mut stream).await {
                let asked = Asked {
                    path: request.path().to_owned(),
                    authorization: request
                        .header("authorization")
                        .unwrap_or_default()
                        .to_owned(),
                    body: String::from_utf8_lossy(&request.body).into_owned(),
                };
                if !matches!(say(&mut stream, state.answer(asked)).await, Ok(true)) {
                    return;
                }
            }
        });
    }
}

/// Whether the connection goes on.
async fn say(stream: &mut BufStream<TcpStream>, says: Says) -> std::io::Result<bool> {
    match says {
        Says::Json(value) => write(stream, 200, "", &value.to_string()).await?,
        Says::Text(text) => write(stream, 200, "", text).await?,
        Says::No(status, headers, code) => {
            // What an endpoint says repeats what it was given.
            let no = serde_json::json!({ "error": { "message": "bad key sk-test-key for: I want", "code": code } });
            write(stream, status, headers, &no.to_string()).await?;
        }
        Says::Endless => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                .await?;
            loop {
                stream.write_all(&[b' '; 8192]).await?;
            }
        }
        Says::Silence => std::future::pending().await,
        Says::Slowly => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{\"te")
                .await?;
            let mut now_and_again = tokio::time::interval(NOW_AND_AGAIN);
            loop {
                stream.write_all(b" ").await?;
                stream.flush().await?;
                now_and_again.tick().await;
            }
        }
        Says::Half => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"te")
                .await?;
            stream.flush().await?;
            return Ok(false);
        }
    }
    Ok(true)
}

async fn write(
    stream: &mut BufStream<TcpStream>,
    status: u16,
    headers: &str,
    body: &str,
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Answer\r\n{headers}content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.flush().await
}
