//! Spans out of OTLP/JSON lines, each with who sent it. Reads what the queries' columns are made of, and no more.

use serde_json::{Map, Value};

/// A span as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) resource: Map<String, Value>,
    pub(crate) scope_name: Option<String>,
    pub(crate) scope_version: Option<String>,
    pub(crate) name: String,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    /// Empty for a root.
    pub(crate) parent_span_id: String,
    pub(crate) start_nanos: i64,
    pub(crate) end_nanos: i64,
    pub(crate) attributes: Map<String, Value>,
    /// 0 unset, 1 ok, 2 error.
    pub(crate) status_code: i64,
    pub(crate) status_message: Option<String>,
    /// Name, and attributes.
    pub(crate) events: Vec<(String, Map<String, Value>)>,
    pub(crate) links: Vec<Value>,
}

/// The spans of a file of the collector's kind: a `TracesData` a line.
pub(crate) fn spans(lines: &str) -> Vec<Span> {
    let requests = lines.lines().map(|line| {
        let request: Value = serde_json::from_str(line).expect("a line is JSON");
        request
    });
    let mut spans = Vec::new();
    for request in requests {
        for group in list(&request["resourceSpans"]) {
            let resource = attributes(&group["resource"]["attributes"]);
            for scope in list(&group["scopeSpans"]) {
                let of_scope = list(&scope["spans"]);
                spans.extend(of_scope.map(|span| read(span, &resource, &scope["scope"])));
            }
        }
    }
    spans
}

fn read(span: &Value, resource: &Map<String, Value>, scope: &Value) -> Span {
    let event = |event: &Value| (text(&event["name"]), attributes(&event["attributes"]));
    Span {
        resource: resource.clone(),
        scope_name: some_text(&scope["name"]),
        scope_version: some_text(&scope["version"]),
        name: text(&span["name"]),
        trace_id: text(&span["traceId"]),
        span_id: text(&span["spanId"]),
        parent_span_id: text(&span["parentSpanId"]),
        start_nanos: integer(&span["startTimeUnixNano"]),
        end_nanos: integer(&span["endTimeUnixNano"]),
        attributes: attributes(&span["attributes"]),
        status_code: span["status"]["code"].as_i64().unwrap_or_default(),
        status_message: some_text(&span["status"]["message"]),
        events: list(&span["events"]).map(event).collect(),
        links: list(&span["links"]).cloned().collect(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn some_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn text(value: &Value) -> String {
    some_text(value).unwrap_or_default()
}

/// 64 bits travel as text.
fn integer(value: &Value) -> i64 {
    let text = value
        .as_str()
        .expect("a 64-bit number is text in OTLP/JSON");
    text.parse().expect("a number")
}

fn attributes(pairs: &Value) -> Map<String, Value> {
    list(pairs)
        .map(|pair| (text(&pair["key"]), plain(&pair["value"])))
        .collect()
}

/// What an `AnyValue` says, as plain JSON.
fn plain(any: &Value) -> Value {
    let Some((kind, value)) = any.as_object().and_then(|fields| fields.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "intValue" => integer(value).into(),
        "arrayValue" => list(&value["values"]).map(plain).collect(),
        "kvlistValue" => attributes(&value["values"]).into(),
        _ => value.clone(),
    }
}

#[test]
fn a_value_of_each_kind_becomes_plain_json() {
    let cases = [
        (r#"{"stringValue":""}"#, r#""""#),
        (r#"{"intValue":"-7"}"#, "-7"),
        (r#"{"doubleValue":0.25}"#, "0.25"),
        (r#"{"boolValue":false}"#, "false"),
        (
            r#"{"arrayValue":{"values":[{"intValue":"1"},{"stringValue":"a"}]}}"#,
            r#"[1,"a"]"#,
        ),
        (
            r#"{"kvlistValue":{"values":[{"key":"a","value":{"boolValue":true}}]}}"#,
            r#"{"a":true}"#,
        ),
        ("{}", "null"),
    ];
    for (any, expected) in cases {
        let any = serde_json::from_str(any).expect("JSON");
        assert_eq!(plain(&any).to_string(), expected);
    }
}
