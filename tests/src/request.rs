//! An HTTP request, as the servers of these tests read it. Whole bodies only, and of a length that the client tells.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufStream};
use tokio::net::TcpStream;

pub(crate) struct Request {
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The next one; none when the client has gone.
    pub(crate) async fn read(stream: &mut BufStream<TcpStream>) -> std::io::Result<Option<Self>> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(None);
            }
        }
        let mut request = Self {
            head,
            body: Vec::new(),
        };
        let length = request.header("content-length");
        let length = length.and_then(|length| length.parse().ok());
        let length = length.expect("the client knows how long its body is");
        request.body.resize(length, 0);
        stream.read_exact(&mut request.body).await?;
        Ok(Some(request))
    }

    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }
}
