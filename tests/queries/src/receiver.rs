//! A receiver of OTLP over http/protobuf that stands in for Logfire. It writes what came as OTLP/JSON, one process a line, as
//! the collector's file exporter would, without what says nothing. Metrics are answered and thrown away.
//!
//! It prints its address first, then a line for each span as it comes: name, span type, outcome. It ends with its stdin.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use serde_json::{Value, json};

use crate::http::{self, Request};

/// Spans by their process and scope, both as JSON text.
type Kept = BTreeMap<(String, String), Vec<Value>>;

pub(crate) fn run(file: &Path) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let keeping = Arc::clone(&kept);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&keeping);
            thread::spawn(move || serve(stream, &kept));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::write(file, text(&kept)?)?;
    Ok(())
}

/// An exporter that goes away ends its connection, and nothing else.
fn serve(stream: TcpStream, kept: &Mutex<Kept>) {
    let Ok(mut answers) = stream.try_clone() else {
        return;
    };
    let mut requests = BufReader::new(stream);
    while let Ok(Some(Request { path, body })) = http::read(&mut requests) {
        if path == "/v1/traces" {
            match ExportTraceServiceRequest::decode(body.as_slice()) {
                Ok(request) => keep(request, kept),
                Err(error) => eprintln!("capture: not protobuf: {error}"),
            }
        }
        let answer = http::answer(200, "application/x-protobuf", b"");
        if answers.write_all(&answer).is_err() {
            return;
        }
    }
}

fn keep(request: ExportTraceServiceRequest, kept: &Mutex<Kept>) {
    for group in request.resource_spans {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = keep_group(group, &mut kept) {
            eprintln!("capture: {error}");
        }
    }
}

fn keep_group(group: ResourceSpans, kept: &mut Kept) -> serde_json::Result<()> {
    let mut resource = serde_json::to_value(group.resource)?;
    hide_host(&mut resource);
    for scope in group.scope_spans {
        let key = (
            lean(resource.clone()).to_string(),
            lean(serde_json::to_value(scope.scope)?).to_string(),
        );
        for span in scope.spans {
            let mut span = lean(serde_json::to_value(span)?);
            announce(&span);
            drop_defaults(&mut span);
            kept.entry(key.clone()).or_default().push(span);
        }
    }
    Ok(())
}

/// Where it was recorded is nobody's business.
fn hide_host(resource: &mut Value) {
    let attributes = resource["attributes"].as_array_mut().into_iter().flatten();
    for pair in attributes.filter(|pair| pair["key"] == "host.name") {
        pair["value"] = json!({ "stringValue": "host" });
    }
}

/// A span without a type is of the type `span`, and one without a message says its name.
fn drop_defaults(span: &mut Value) {
    let name = span["name"].clone();
    let is_default = |pair: &Value| match pair["key"].as_str() {
        Some("logfire.span_type") => pair["value"]["stringValue"] == "span",
        Some("logfire.msg") => pair["value"]["stringValue"] == name,
        _ => false,
    };
    if let Some(attributes) = span["attributes"].as_array_mut() {
        attributes.retain(|pair| !is_default(pair));
    }
}

/// Without what is at its default anyway, which OTLP/JSON lets one leave out.
fn lean(value: Value) -> Value {
    let says_nothing = |key: &str, value: &Value| {
        let counted = key.starts_with("dropped") || key == "flags";
        counted || [json!(null), json!(""), json!([]), json!({ "code": 0 })].contains(value)
    };
    match value {
        Value::Array(items) => items.into_iter().map(lean).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            // The value of an attribute may be an empty text.
            let said = fields.filter(|(key, value)| {
                key.ends_with("Value") && !value.is_null() || !says_nothing(key, value)
            });
            said.map(|(key, value)| (key, lean(value))).collect()
        }
        plain => plain,
    }
}

fn announce(span: &Value) {
    let text = |key: &str| {
        let mut pairs = span["attributes"].as_array().into_iter().flatten();
        let found = pairs.find(|pair| pair["key"] == key);
        found.map_or("-", |pair| {
            pair["value"]["stringValue"].as_str().unwrap_or("-")
        })
    };
    let name = span["name"].as_str().unwrap_or("-");
    let (span_type, outcome) = (text("logfire.span_type"), text("taskiq.outcome"));
    println!("{name} {span_type} {outcome}");
}

fn text(kept: &Kept) -> serde_json::Result<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for ((resource, scope), spans) in kept {
        let start = |span: &Value| {
            let nanos = span["startTimeUnixNano"].as_str().unwrap_or_default();
            nanos.to_owned()
        };
        let mut spans = spans.clone();
        spans.sort_by_key(start);
        let first = spans.first().map(start).unwrap_or_default();
        let resource: Value = serde_json::from_str(resource)?;
        let scope: Value = serde_json::from_str(scope)?;
        let line = json!({ "resourceSpans": [
            { "resource": resource, "scopeSpans": [{ "scope": scope, "spans": spans }] },
        ] });
        lines.push((first, line.to_string()));
    }
    lines.sort();
    let lines = lines.into_iter().map(|(_, line)| line + "\n");
    Ok(lines.collect())
}
