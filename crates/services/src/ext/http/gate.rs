//! A way to the web for programs that open connections themselves: an HTTP proxy on loopback that
//! asks the address rule about each.
//!
//! It deliberately reads no more than the head of a first request, caches nothing, and keeps no
//! connection for a second one. Whoever may use this machine may use it: it leads nowhere that
//! they could not go.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::place::Place;
use super::{AddressRule, FetchError, Http};

const MAX_HEAD: u64 = 32 * 1024;
const MAX_CONNECTIONS: usize = 64;

/// Open until it is dropped; what goes through it ends with it.
pub(crate) struct Gate {
    address: SocketAddr,
    rules: Arc<GateRules>,
    _accepting: JoinSet<()>,
}

struct GateRules {
    address: AddressRule,
    stall: Duration,
    refused: Mutex<Option<FetchError>>,
}

impl Http {
    /// A proxy that leads where this client may fetch from.
    pub(crate) async fn gate(&self) -> io::Result<Gate> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let rules = Arc::new(GateRules {
            address: self.rules.address.clone(),
            stall: self.rules.limits.stall,
            refused: Mutex::new(None),
        });
        let address = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&rules)));
        Ok(Gate {
            address,
            rules,
            _accepting: accepting,
        })
    }
}

impl Gate {
    /// As programs take the address of a proxy.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first address that it did not lead to.
    pub(crate) fn refused(&self) -> Option<FetchError> {
        self.rules
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

async fn accept(listener: TcpListener, rules: Arc<GateRules>) {
    let mut passing = JoinSet::new();
    loop {
        while passing.len() >= MAX_CONNECTIONS {
            passing.join_next().await;
        }
        while passing.try_join_next().is_some() {}
        // An error is about one connection that is gone again.
        if let Ok((client, _)) = listener.accept().await {
            passing.spawn(pass(client, Arc::clone(&rules)));
        }
    }
}

async fn pass(client: TcpStream, rules: Arc<GateRules>) {
    let mut client = BufReader::new(client);
    let Ok(Some(asked)) = timeout(rules.stall, Asked::read(&mut client)).await else {
        return;
    };
    match asked.server(&rules).await {
        Ok(mut server) => {
            let told = asked.tell(&mut client, &mut server).await;
            if told.is_ok() {
                // It ends when either end does; which of them, and why, they know themselves.
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        }
        Err(error) => {
            let status = match error {
                FetchError::Refused { .. } => "403 Forbidden",
                _ => "502 Bad Gateway",
            };
            if matches!(error, FetchError::Refused { .. }) {
                let mut refused = rules.refused.lock().unwrap_or_else(PoisonError::into_inner);
                refused.get_or_insert(error);
            }
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            // Whoever asked may have left.
            let _ = client.write_all(answer.as_bytes()).await;
        }
    }
}

/// The head of a request to a proxy.
struct Asked {
    method: String,
    place: Place,
    headers: Vec<String>,
}

impl Asked {
    /// None for what is no such request.
    async fn read(client: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut head = client.take(MAX_HEAD);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            head.read_line(&mut line).await.ok()?;
            // Cut off, or too long.
            line.ends_with('\n').then_some(())?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        Self::of(&lines)
    }

    fn of(lines: &[String]) -> Option<Self> {
        let (first, headers) = lines.split_first()?;
        let (method, rest) = first.split_once(' ')?;
        let (target, _) = rest.split_once(' ')?;
        let place = match method {
            "CONNECT" => Place::of(&format!("https://{target}/")).ok()?,
            _ => Place::of(target).ok()?,
        };
        Some(Self {
            method: method.to_owned(),
            place,
            headers: headers
                .iter()
                .filter(|line| goes_on(line))
                .cloned()
                .collect(),
        })
    }

    /// A connection to an address that was checked.
    async fn server(&self, rules: &GateRules) -> Result<TcpStream, FetchError> {
        let stalled = |_| FetchError::Stalled {
            host: self.place.host.clone(),
            after: rules.stall,
        };
        let addresses = timeout(rules.stall, self.place.addresses(&rules.address)).await;
        let addresses = addresses.map_err(stalled)??;
        let connected = timeout(rules.stall, TcpStream::connect(&addresses[..])).await;
        let connected = connected.map_err(stalled)?;
        connected.map_err(|error| FetchError::Connection {
            doing: "connect to",
            host: self.place.host.clone(),
            cause: crate::cause::Cause::of(&error),
        })
    }

    /// Says to the one end that there is a connection, or to the other what is asked of it.
    async fn tell(
        &self,
        client: &mut BufReader<TcpStream>,
        server: &mut TcpStream,
    ) -> io::Result<()> {
        if self.method == "CONNECT" {
            return client
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .await;
        }
        let url = &self.place.url;
        let query = url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let mut head = format!("{} {}{query} HTTP/1.1\r\n", self.method, url.path());
        for line in &self.headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("connection: close\r\n\r\n");
        server.write_all(head.as_bytes()).await
    }
}

/// What is meant for the server and not for the proxy.
fn goes_on(line: &str) -> bool {
    let name = line
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    !matches!(
        &*name,
        "connection" | "keep-alive" | "proxy-connection" | "proxy-authorization"
    )
}
