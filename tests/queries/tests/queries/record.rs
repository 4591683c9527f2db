//! A span as a row of Logfire's `records_all`: what its documentation says of each column, as a value. No engine here.

use serde_json::{Map, Value, json};

use crate::otlp::Span;

/// One row. Columns that no span fills (`log_body`) and Logfire's internal ones are left out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) kind: String,
    pub(crate) span_name: String,
    pub(crate) message: String,
    /// JSON.
    pub(crate) attributes: String,
    pub(crate) tags: Vec<String>,
    pub(crate) level: i16,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent_span_id: Option<String>,
    /// Microseconds since 1970, as is the end.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Seconds; none for logs.
    pub(crate) duration: Option<f64>,
    pub(crate) is_exception: bool,
    pub(crate) exception_type: Option<String>,
    pub(crate) exception_message: Option<String>,
    pub(crate) exception_stacktrace: Option<String>,
    pub(crate) otel_resource_attributes: String,
    pub(crate) deployment_environment: Option<String>,
    pub(crate) service_name: Option<String>,
    pub(crate) service_version: Option<String>,
    pub(crate) service_instance_id: Option<String>,
    pub(crate) service_namespace: Option<String>,
    pub(crate) process_pid: Option<i64>,
    pub(crate) telemetry_sdk_name: Option<String>,
    pub(crate) telemetry_sdk_language: Option<String>,
    pub(crate) telemetry_sdk_version: Option<String>,
    pub(crate) otel_scope_name: Option<String>,
    pub(crate) otel_scope_version: Option<String>,
    pub(crate) http_response_status_code: Option<i64>,
    pub(crate) http_route: Option<String>,
    pub(crate) http_method: Option<String>,
    pub(crate) url_full: Option<String>,
    pub(crate) url_path: Option<String>,
    pub(crate) url_query: Option<String>,
    pub(crate) otel_status_code: String,
    pub(crate) otel_status_message: Option<String>,
    pub(crate) otel_events: String,
    pub(crate) otel_links: String,
}

/// Logfire's levels by name: the numbers of OpenTelemetry's severities.
pub(crate) const LEVELS: [(&str, i16); 7] = [
    ("trace", 1),
    ("debug", 5),
    ("info", 9),
    ("notice", 10),
    ("warn", 13),
    ("error", 17),
    ("fatal", 21),
];
const INFO: i64 = 9;
const ERROR: i64 = 17;

/// These fill columns of their own and are not kept among the attributes.
const TAKEN: [&str; 3] = ["logfire.msg", "logfire.tags", "logfire.level_num"];

impl From<Span> for Record {
    fn from(span: Span) -> Self {
        let of_span = |names: &[&str]| text(&span.attributes, names);
        let of_resource = |names: &[&str]| text(&span.resource, names);
        let kind = of_span(&["logfire.span_type"]).unwrap_or_else(|| "span".to_owned());
        let exceptions = |(name, _): &&(String, _)| name == "exception";
        let exception = span.events.iter().find(exceptions).map(|(_, about)| about);
        let of_exception = |name: &str| exception.and_then(|about| text(about, &[name]));
        Self {
            span_name: span.name.clone(),
            message: of_span(&["logfire.msg"]).unwrap_or_else(|| span.name.clone()),
            attributes: kept(&span.attributes),
            tags: tags(&span.attributes),
            level: level(&span),
            trace_id: span.trace_id.clone(),
            span_id: span.span_id.clone(),
            parent_span_id: Some(span.parent_span_id.clone()).filter(|id| !id.is_empty()),
            start: span.start_nanos / 1000,
            end: span.end_nanos / 1000,
            duration: (kind != "log").then(|| seconds(&span)),
            kind,
            is_exception: exception.is_some(),
            exception_type: of_exception("exception.type"),
            exception_message: of_exception("exception.message"),
            exception_stacktrace: of_exception("exception.stacktrace"),
            otel_resource_attributes: Value::from(span.resource.clone()).to_string(),
            deployment_environment: of_resource(&[
                "deployment.environment.name",
                "deployment.environment",
            ]),
            service_name: of_resource(&["service.name"]),
            service_version: of_resource(&["service.version"]),
            service_instance_id: of_resource(&["service.instance.id"]),
            service_namespace: of_resource(&["service.namespace"]),
            process_pid: number(&span.resource, &["process.pid"]),
            telemetry_sdk_name: of_resource(&["telemetry.sdk.name"]),
            telemetry_sdk_language: of_resource(&["telemetry.sdk.language"]),
            telemetry_sdk_version: of_resource(&["telemetry.sdk.version"]),
            otel_scope_name: span.scope_name.clone(),
            otel_scope_version: span.scope_version.clone(),
            http_response_status_code: number(
                &span.attributes,
                &["http.response.status_code", "http.status_code"],
            ),
            http_route: of_span(&["http.route"]),
            http_method: of_span(&["http.request.method", "http.method"]),
            url_full: of_span(&["url.full", "http.url"]),
            url_path: of_span(&["url.path"]),
            url_query: of_span(&["url.query"]),
            otel_status_code: status(&span).to_owned(),
            otel_status_message: span.status_message.clone(),
            otel_events: events(&span),
            otel_links: Value::from(span.links.clone()).to_string(),
        }
    }
}

/// The first of these attributes that is a text.
fn text(attributes: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let mut found = names.iter().filter_map(|name| attributes.get(*name));
    found.find_map(|value| value.as_str().map(str::to_owned))
}

/// The first of these attributes that is a number.
fn number(attributes: &Map<String, Value>, names: &[&str]) -> Option<i64> {
    let mut found = names.iter().filter_map(|name| attributes.get(*name));
    found.find_map(Value::as_i64)
}

fn kept(attributes: &Map<String, Value>) -> String {
    let mut attributes = attributes.clone();
    attributes.retain(|name, _| !TAKEN.contains(&name.as_str()));
    Value::from(attributes).to_string()
}

fn tags(attributes: &Map<String, Value>) -> Vec<String> {
    let tags = attributes.get("logfire.tags").and_then(Value::as_array);
    let text = |tag: &Value| tag.as_str().map(str::to_owned);
    tags.into_iter().flatten().filter_map(text).collect()
}

/// What it says itself, else by its status.
fn level(span: &Span) -> i16 {
    let by_status = if span.status_code == 2 { ERROR } else { INFO };
    let level = number(&span.attributes, &["logfire.level_num"]).unwrap_or(by_status);
    i16::try_from(level).expect("a level is a small number")
}

fn status(span: &Span) -> &'static str {
    match span.status_code {
        0 => "UNSET",
        1 => "OK",
        _ => "ERROR",
    }
}

fn seconds(span: &Span) -> f64 {
    // Exact: a span of 104 days is not recorded.
    (span.end_nanos / 1000 - span.start_nanos / 1000) as f64 / 1e6
}

fn events(span: &Span) -> String {
    let event = |(name, about): &(String, Map<String, Value>)| json!({ "event_name": name, "attributes": about });
    let events: Vec<Value> = span.events.iter().map(event).collect();
    Value::from(events).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A span of two seconds, with these fields beside it.
    fn record(fields: &str) -> Record {
        let line = r#"{"resourceSpans":[{
            "resource":{"attributes":[
                {"key":"service.name","value":{"stringValue":"sapari-render"}},
                {"key":"process.pid","value":{"intValue":"42"}},
                {"key":"deployment.environment","value":{"stringValue":"old"}}]},
            "scopeSpans":[{"scope":{"name":"scope"},"spans":[{"name":"a.b","traceId":"t","spanId":"s",
                "startTimeUnixNano":"1000000999","endTimeUnixNano":"3000000000" FIELDS}]}]}]}"#;
        let line = line.replace("FIELDS", fields).replace('\n', "");
        let [span] = <[Span; 1]>::try_from(crate::otlp::spans(&line)).expect("one span");
        span.into()
    }

    fn with_attribute(name: &str, value: &str) -> Record {
        record(&format!(
            r#","attributes":[{{"key":"{name}","value":{value}}}]"#
        ))
    }

    #[test]
    fn a_plain_span() {
        let expected = Record {
            kind: "span".to_owned(),
            span_name: "a.b".to_owned(),
            message: "a.b".to_owned(),
            attributes: "{}".to_owned(),
            level: 9,
            trace_id: "t".to_owned(),
            span_id: "s".to_owned(),
            start: 1_000_000,
            end: 3_000_000,
            duration: Some(2.0),
            otel_resource_attributes:
                r#"{"deployment.environment":"old","process.pid":42,"service.name":"sapari-render"}"#
                    .to_owned(),
            deployment_environment: Some("old".to_owned()),
            service_name: Some("sapari-render".to_owned()),
            process_pid: Some(42),
            otel_scope_name: Some("scope".to_owned()),
            otel_status_code: "UNSET".to_owned(),
            otel_events: "[]".to_owned(),
            otel_links: "[]".to_owned(),
            ..Record::default()
        };
        assert_eq!(record(""), expected);
    }

    #[test]
    fn a_level_is_the_spans_own_or_follows_its_status() {
        assert_eq!(record(r#","status":{"code":1}"#).level, 9);
        assert_eq!(record(r#","status":{"code":2}"#).level, 17);
        let own = with_attribute("logfire.level_num", r#"{"intValue":"13"}"#);
        assert_eq!((own.level, &*own.attributes), (13, "{}"));
    }

    #[test]
    fn what_fills_a_column_of_its_own_is_no_attribute() {
        let message = with_attribute("logfire.msg", r#"{"stringValue":"said"}"#);
        assert_eq!((&*message.message, &*message.attributes), ("said", "{}"));
        let other = with_attribute("taskiq.attempt", r#"{"intValue":"2"}"#);
        assert_eq!(other.attributes, r#"{"taskiq.attempt":2}"#);
    }

    #[test]
    fn kinds_and_durations() {
        let pending = with_attribute("logfire.span_type", r#"{"stringValue":"pending_span"}"#);
        assert_eq!(
            (&*pending.kind, pending.duration),
            ("pending_span", Some(2.0))
        );
        let log = with_attribute("logfire.span_type", r#"{"stringValue":"log"}"#);
        assert_eq!((&*log.kind, log.duration), ("log", None));
    }

    #[test]
    fn the_web_has_old_and_new_names() {
        for name in ["http.status_code", "http.response.status_code"] {
            let record = with_attribute(name, r#"{"intValue":"503"}"#);
            assert_eq!(record.http_response_status_code, Some(503), "{name}");
        }
        let route = with_attribute("http.route", r#"{"stringValue":"/a"}"#);
        assert_eq!(route.http_route.as_deref(), Some("/a"));
    }

    #[test]
    fn an_exception_is_an_event_of_that_name() {
        let failed = record(
            r#","status":{"code":2,"message":"no"},"events":[{"name":"other"},{"name":"exception","attributes":[
            {"key":"exception.type","value":{"stringValue":"Gone"}},
            {"key":"exception.message","value":{"stringValue":""}}]}]"#,
        );
        assert!(failed.is_exception);
        assert_eq!(failed.exception_type.as_deref(), Some("Gone"));
        assert_eq!(failed.exception_message.as_deref(), Some(""));
        assert_eq!(failed.otel_status_code, "ERROR");
        assert_eq!(failed.otel_status_message.as_deref(), Some("no"));
    }
}
