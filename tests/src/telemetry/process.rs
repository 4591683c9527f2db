//! `init` as a process calls it: one test, because the global subscriber is set once. Other tests' spans reach it too.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use sapari_telemetry::framework::{self, TaskSpan};
use sapari_telemetry::switches::ProcessKind;
use sapari_telemetry::testing::Collector;
use sapari_telemetry::tree::TreeStyle;
use sapari_telemetry::{
    Carrier, Defaults, Guard, InitError, Outputs, Settings, TaskMetrics, ext_span, init, init_with,
};

const DEFAULTS: Defaults<'static> = Defaults {
    prefix: "ACME",
    role: "acme-render",
    service_name: None,
    namespace: Some("acme"),
    version: Some("1.2.3"),
    terminal: false,
    kind: ProcessKind::Worker,
};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no writer panics")).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers every request with 200 and hands out its head and body.
fn receiver() -> (u16, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("is bound").port();
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            thread::spawn(move || while answer(&stream, &sender).is_some() {});
        }
    });
    (port, requests)
}

fn answer(mut stream: &TcpStream, sender: &Sender<(String, Vec<u8>)>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.split("content-length: ").nth(1)?;
    let length: usize = length.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    sender.send((head, body)).ok()?;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(answer).ok()
}

fn settings(vars: &[(&str, String)]) -> Settings {
    Settings::from_lookup(&DEFAULTS, |name| {
        let found = vars.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.clone())
    })
    .expect("valid settings")
}

fn work() {
    let attrs = TaskSpan {
        task_name: "render_clip",
        task_id: "t-1",
        attempt: 1,
        ..TaskSpan::default()
    };
    framework::task_span(&attrs, &Carrier::default()).in_scope(|| {
        ext_span!(whisper.transcribe { clip = 7 }).in_scope(|| tracing::info!("transcribed"));
    });
    let metrics = TaskMetrics::new();
    metrics.task_finished("render_clip", "done", 1.5);
    metrics.settled("render_clip", "done");
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn stopped_in_time(guard: Guard, deadline: Duration) -> bool {
    let before = SystemTime::now();
    guard.shutdown(deadline);
    before.elapsed().expect("the clock goes on") < deadline + Duration::from_secs(1)
}

/// Everything that one process sent and said.
struct Said {
    requests: Vec<(String, Vec<u8>)>,
    log: String,
    console: String,
    collector: Collector,
}

/// Turns telemetry on, works, and stops in time.
fn say() -> Said {
    let (port, requests) = receiver();
    let vars = [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://127.0.0.1:{port}"),
        ),
        ("OTEL_TRACES_EXPORTER", "otlp,console".to_owned()),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=blue".to_owned()),
    ];
    let (log, console) = (Buffer::default(), Buffer::default());
    let collector = Collector::default();
    let outputs = Outputs {
        log: Some(Box::new(log.clone())),
        console: Some(Box::new(console.clone())),
        collector: Some(collector.clone()),
    };
    let guard = init_with(settings(&vars), outputs).unwrap();
    refuse_a_second();
    work();
    assert!(stopped_in_time(guard, Duration::from_secs(5)));
    Said {
        requests: requests.try_iter().collect(),
        log: log.text(),
        console: console.text(),
        collector,
    }
}

/// A second one is refused, and a dead receiver does not keep it from stopping.
fn refuse_a_second() {
    let dead = [(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "http://127.0.0.1:9".to_owned(),
    )];
    let refused = init(settings(&dead));
    assert!(matches!(refused, Err(InitError::SubscriberSet(_))));
}

#[track_caller]
fn assert_sent(said: &Said, path: &str, texts: &[&str]) {
    let head = format!("post {path} ");
    let mut bodies = said
        .requests
        .iter()
        .filter(|(start, _)| start.starts_with(&head));
    let all_in = |body: &[u8]| texts.iter().all(|text| contains(body, text));
    assert!(
        bodies.any(|(_, body)| all_in(body)),
        "nothing to {path} holds {texts:?}"
    );
}

/// On a runtime's thread on purpose: that is where a blocking client must not be built.
#[tokio::test]
async fn a_process_exports_traces_metrics_lines_and_trees() {
    let said = say();
    let spans = ["taskiq.render_clip", "ext.whisper.transcribe"];
    let resource = ["acme-render", "service.namespace", "host.name", "blue"];
    assert_sent(&said, "/v1/traces", &[&spans[..], &resource[..]].concat());
    let metrics = ["taskiq_tasks_total", "taskiq_task_duration_seconds"];
    assert_sent(
        &said,
        "/v1/metrics",
        &[&metrics[..], &["render_clip"]].concat(),
    );

    let spans = said.collector.spans();
    let task = spans.iter().find(|span| span.name == "taskiq.render_clip");
    let trace_id = &task.expect("the task's span").trace_id;
    let line = said.log.lines().find(|line| line.contains("transcribed"));
    let line = line.expect("the log line");
    assert!(line.contains(r#""task":"render_clip""#), "{line}");
    assert!(line.contains(trace_id.as_str()), "{line}");
    let tree = &said.console;
    assert!(tree.contains("acme-render\ntaskiq.render_clip "), "{tree}");
    assert!(tree.contains("└─ ext.whisper.transcribe"), "{tree}");
    let expected =
        "trace <id 1> test\ntaskiq.render_clip [consumer]\n└─ ext.whisper.transcribe [client]\n";
    let style = TreeStyle::for_tests(&[]);
    assert_eq!(said.collector.tree_of(trace_id, &style), expected);
}
