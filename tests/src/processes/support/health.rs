//! A process's health port, asked as a probe asks it: one connection, one request.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Process, json, within};

/// The pause between two looks at a page, which tells nobody when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The health port of a process.
pub(crate) struct Health(SocketAddr);

/// A page as it was answered.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Process {
    /// Its health port, as its log names it.
    pub(crate) async fn health(&self) -> Health {
        let line = self.stderr.message("health").await;
        let address = line["fields"]["address"].as_str().expect("an address");
        Health(address.parse().expect("an IP address and a port"))
    }
}

impl Health {
    pub(crate) fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// The same port on another address.
    pub(crate) fn at(&self, ip: IpAddr) -> SocketAddr {
        SocketAddr::new(ip, self.0.port())
    }

    /// The page; none when the port does not answer, as when the process has ended.
    pub(crate) async fn try_get(&self, path: &str) -> Option<Page> {
        let mut stream = TcpStream::connect(self.0).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.0);
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some(Page {
            status: head.get(9..12)?.parse().ok()?,
            body: body.to_owned(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        within(path, self.try_get(path)).await.expect("an answer")
    }

    /// Looks until the page is as wanted, and returns it.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Page) -> bool) -> Page {
        let mut looks = tokio::time::interval(LOOK_AGAIN);
        let mut last = None;
        let look = async {
            loop {
                looks.tick().await;
                let page = self.get(path).await;
                if wanted(&page) {
                    return page;
                }
                last = Some(page);
            }
        };
        match tokio::time::timeout(super::PATIENCE, look).await {
            Ok(page) => page,
            Err(_) => panic!("{path} did not become as wanted: {last:?}"),
        }
    }

    /// Waits until the process is ready.
    pub(crate) async fn until_ready(&self) {
        let page = self.until("/readyz", |page| page.status == 200).await;
        assert_eq!(json(&page.body)["ready"], true, "{page:?}");
    }

    /// Waits until it is not ready because of this check, and returns what all checks say.
    pub(crate) async fn until_failed(&self, check: &str) -> Value {
        let failed =
            |page: &Page| page.status == 503 && json(&page.body)["checks"][check] != Value::Null;
        let page = self.until("/readyz", failed).await;
        let body = json(&page.body);
        assert_eq!(body["ready"], false, "{page:?}");
        body["checks"].clone()
    }

    /// Waits until the metric has this value or more.
    pub(crate) async fn until_metric(&self, series: &str, value: f64) {
        let reached = |page: &Page| page.metric(series).is_some_and(|it| it >= value);
        self.until("/metrics", reached).await;
    }
}

impl Page {
    /// The value of a series, like `name{label="value"}`.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let mut lines = self.body.lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        value.parse().ok()
    }
}
