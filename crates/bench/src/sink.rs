//! Where spans are exported to: an HTTP server on loopback that reads a request, throws it away and says 200.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Failure;

const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// Listens as long as it lives.
pub(crate) struct Sink {
    port: u16,
    _accepting: JoinSet<()>,
}

impl Sink {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener));
        Ok(Self {
            port,
            _accepting: accepting,
        })
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn accept(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream));
    }
}

async fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufStream::new(stream);
    while let Some(length) = content_length(&mut stream).await? {
        copy(&mut (&mut stream).take(length), &mut sink()).await?;
        stream.write_all(OK).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// Reads a request's head; none at the end of the connection.
async fn content_length(stream: &mut BufStream<TcpStream>) -> std::io::Result<Option<u64>> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            return Ok(Some(length));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
}
