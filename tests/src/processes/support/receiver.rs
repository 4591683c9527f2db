//! A receiver of OTLP over http/protobuf, small: no TLS, traces kept and metrics thrown away. It can refuse, or be slow.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span as OtlpSpan, span};
use prost::Message;
use sapari_telemetry::{AttrValue, SpanKind, SpanLink, SpanRecord, SpanStatus};
use tokio::io::{AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::within;
use crate::request::Request;

/// How a request is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    /// With this status, at once.
    Status(u16),
    /// Never; the connection stays open.
    Silence,
}

/// Ids in hex, attributes as text.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: span::SpanKind,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    /// The spans that it links to.
    pub(crate) links: Vec<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// Who sent it.
    pub(crate) resource: BTreeMap<String, String>,
    /// The same, for a tree.
    pub(crate) record: SpanRecord,
    /// The `Authorization` and the `Content-Encoding` of the request that it came with.
    pub(crate) authorization: Option<String>,
    pub(crate) encoding: Option<String>,
}

/// Listens as long as it lives.
pub(crate) struct Receiver {
    port: u16,
    spans: watch::Receiver<Vec<Span>>,
    _accepting: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::answering(Answer::Status(200)).await
    }

    pub(crate) async fn answering(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, spans) = watch::channel(Vec::new());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, sender, answer));
        Self {
            port,
            spans,
            _accepting: accepting,
        }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until spans of all these names are there, and returns all there are. A span is sent when it ends, so a task's
    /// comes after everything below it.
    pub(crate) async fn spans(&self, names: &[&str]) -> Vec<Span> {
        let all = |spans: &[Span]| {
            names
                .iter()
                .all(|name| spans.iter().any(|span| span.name == *name))
        };
        self.until(&format!("spans called {names:?}"), all).await
    }

    /// Waits until the spans are as wanted, and returns all there are.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let mut spans = self.spans.clone();
        let there = within(what, spans.wait_for(|spans| wanted(spans))).await;
        there.expect("the receiver listens").clone()
    }
}

async fn accept(listener: TcpListener, sender: watch::Sender<Vec<Span>>, how: Answer) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a listening socket accepts");
        let sender = sender.clone();
        connections.spawn(async move {
            let mut stream = BufStream::new(stream);
            // An exporter that goes away ends its connection, and nothing else.
            while let Ok(Some(request)) = Request::read(&mut stream).await {
                keep(&request, &sender);
                let Answer::Status(status) = how else {
                    std::future::pending().await
                };
                if answer(&mut stream, status).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn answer(stream: &mut BufStream<TcpStream>, status: u16) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await
}

fn keep(request: &Request, sender: &watch::Sender<Vec<Span>>) {
    if request.path() != "/v1/traces" {
        return;
    }
    let header = |name| request.header(name).map(str::to_owned);
    let (authorization, encoding) = (header("authorization"), header("content-encoding"));
    let body = match encoding.as_deref() {
        Some("gzip") => Cow::Owned(unzipped(&request.body)),
        _ => Cow::Borrowed(&*request.body),
    };
    let traces = ExportTraceServiceRequest::decode(&*body).expect("protobuf");
    let spans = traces.resource_spans.into_iter().flat_map(of_resource);
    let spans = spans.map(|span| Span {
        authorization: authorization.clone(),
        encoding: encoding.clone(),
        ..span
    });
    sender.send_modify(|all| all.extend(spans));
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut reader = GzDecoder::new(body);
    reader.read_to_end(&mut plain).expect("gzip");
    plain
}

fn of_resource(group: ResourceSpans) -> impl Iterator<Item = Span> {
    let resource = attributes(group.resource.unwrap_or_default().attributes);
    let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(move |span| Span {
        record: record(&span, &resource),
        kind: span.kind(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        attributes: attributes(span.attributes),
        resource: resource.clone(),
        authorization: None,
        encoding: None,
        name: span.name,
    })
}

fn record(span: &OtlpSpan, resource: &BTreeMap<String, String>) -> SpanRecord {
    let texts = attributes(span.attributes.clone()).into_iter();
    let link = |link: &span::Link| SpanLink {
        trace_id: hex(&link.trace_id),
        span_id: hex(&link.span_id),
    };
    SpanRecord {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        // What the wire says of it is not needed here.
        parent_is_remote: false,
        name: span.name.clone(),
        kind: match span.kind() {
            span::SpanKind::Client => SpanKind::Client,
            span::SpanKind::Server => SpanKind::Server,
            span::SpanKind::Producer => SpanKind::Producer,
            span::SpanKind::Consumer => SpanKind::Consumer,
            span::SpanKind::Internal | span::SpanKind::Unspecified => SpanKind::Internal,
        },
        start: UNIX_EPOCH + Duration::from_nanos(span.start_time_unix_nano),
        duration: Duration::from_nanos(
            span.end_time_unix_nano
                .saturating_sub(span.start_time_unix_nano),
        ),
        attributes: texts
            .map(|(key, text)| (key, AttrValue::Str(text)))
            .collect(),
        status: match &span.status {
            Some(status) if status.code() == StatusCode::Error => {
                SpanStatus::Error(status.message.clone())
            }
            _ => SpanStatus::Unset,
        },
        links: span.links.iter().map(link).collect(),
        events: Vec::new(),
        service: resource.get("service.name").cloned().unwrap_or_default(),
    }
}

fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<Value>| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |pair: KeyValue| (pair.key, text(pair.value.and_then(|any| any.value)));
    pairs.into_iter().map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
