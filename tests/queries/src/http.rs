//! As much of HTTP/1.1 as a receiver and a small server need: requests with a body of known length, on connections that stay.

use std::io::{BufRead, BufReader, Read, Result};
use std::net::TcpStream;

use flate2::read::GzDecoder;

pub(crate) struct Request {
    pub(crate) path: String,
    /// Plain, also where it came packed.
    pub(crate) body: Vec<u8>,
}

/// The next request; none when there is no more.
pub(crate) fn read(requests: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if requests.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let header = |name: &str| {
        let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
        pairs
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    let length = header("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    requests.read_exact(&mut body)?;
    if header("content-encoding") == Some("gzip") {
        let mut plain = Vec::new();
        GzDecoder::new(body.as_slice()).read_to_end(&mut plain)?;
        body = plain;
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Ok(Some(Request { path, body }))
}

/// An answer, ready to be written.
pub(crate) fn answer(status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
