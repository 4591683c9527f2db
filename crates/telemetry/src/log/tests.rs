//! Log lines as people and programs read them.

use std::io;
use std::sync::Arc;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;

use super::*;
use crate::framework::{TaskSpan, task_span};
use crate::propagation::{Carrier, current_trace_id};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logging(format: LogFormat, filter: &str) -> (Buffer, DefaultGuard) {
    let buffer = Buffer::default();
    let layer = LogLayer {
        format,
        colours: false,
        service: "render".to_owned(),
        output: Mutex::new(Box::new(buffer.clone())),
    };
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let subscriber = Registry::default()
        .with(crate::layer::span_layer(tracer))
        .with(layer.with_filter(LogFilter(filter.parse().unwrap())));
    (buffer, tracing::subscriber::set_default(subscriber))
}

fn task() -> tracing::Span {
    let attrs = TaskSpan {
        task_name: "render_clip",
        task_id: "t-1",
        attempt: 2,
        ..TaskSpan::default()
    };
    task_span(&attrs, &Carrier::default())
}

#[derive(Debug, thiserror::Error)]
#[error("the upload failed")]
struct Upload(#[source] io::Error);

#[test]
fn a_json_line_names_trace_task_and_causes() {
    let (buffer, _guard) = logging(LogFormat::Json, "info");
    let error = Upload(io::Error::other("disk full"));
    let error: &(dyn std::error::Error + 'static) = &error;
    let mut trace_id = None;
    task().in_scope(|| {
        crate::ext_span!(store.put { clip = 1 }).in_scope(|| {
            trace_id = current_trace_id();
            tracing::warn!(error, bytes = 3_u64, "will\n\"retry\"");
        });
    });
    let text = buffer.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["target"], "sapari_telemetry::log::tests");
    assert_eq!(line["message"], "will\n\"retry\"");
    assert_eq!(line["fields"]["bytes"], 3);
    assert_eq!(line["fields"]["error"], "the upload failed: disk full");
    assert_eq!(line["service"], "render");
    assert_eq!(line["trace_id"].as_str(), trace_id.as_deref());
    assert_eq!(line["span_id"].as_str().map(str::len), Some(16));
    assert_eq!(line["task"], "render_clip");
    assert_eq!(line["task_id"], "t-1");
    assert_eq!(line["attempt"], 2);
    let timestamp = line["timestamp"].as_str().unwrap();
    assert!(
        timestamp.starts_with("20") && timestamp.ends_with('Z'),
        "{timestamp}"
    );
}

#[test]
fn a_line_outside_any_task_has_no_ids() {
    let (buffer, _guard) = logging(LogFormat::Json, "info");
    tracing::info!("started");
    let line: Value = serde_json::from_str(&buffer.text()).unwrap();
    assert_eq!(line["message"], "started");
    for key in ["trace_id", "span_id", "task", "fields"] {
        assert!(line.get(key).is_none(), "{key}");
    }
}

#[test]
fn a_human_line_is_short() {
    let (buffer, _guard) = logging(LogFormat::Human, "info");
    let mut trace_id = String::new();
    task().in_scope(|| {
        trace_id = current_trace_id().unwrap();
        tracing::info!(path = "a\x1b[2Jb", "rendered");
    });
    let text = buffer.text();
    let (clock, rest) = text.split_at(13);
    let digits: String = clock
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(digits, "00:00:00.000 ");
    let expected = format!(
        " INFO rendered path=a\u{fffd}[2Jb task=render_clip task_id=t-1 attempt=2 [trace {}]\n",
        &trace_id[..8]
    );
    assert_eq!(rest, expected);
}

#[test]
fn a_strict_filter_still_names_the_task() {
    let (buffer, _guard) = logging(LogFormat::Human, "warn");
    task().in_scope(|| {
        tracing::info!("not shown");
        tracing::warn!("shown");
    });
    let text = buffer.text();
    assert!(!text.contains("not shown"), "{text}");
    assert!(text.contains("WARN shown task=render_clip"), "{text}");
}

#[test]
fn levels_are_coloured_on_a_terminal_only() {
    let line = |colours| {
        let fields = EventFields::default();
        let line = Line {
            time: format::now(),
            level: tracing::Level::ERROR,
            target: "t",
            service: "s",
            fields,
            trace_id: None,
            span_id: None,
            task: None,
        };
        format::human(&line, colours)
    };
    assert!(line(true).contains("\x1b[31mERROR\x1b[0m"));
    assert!(!line(false).contains('\x1b'));
}
