//! Takes secrets out of spans before they leave the process.
//!
//! It looks at attributes of spans and of their events; names are of low cardinality and are left alone, as Logfire's SDK
//! leaves them.

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::secrets::found;

/// Attributes that are looked at by nobody: what stands there is made by us or by a convention that names no secret, and a
/// sentence about an authorization is no authorization.
const SAFE: [&str; 11] = [
    "logfire.",
    "exception.",
    "error.type",
    "http.",
    "url.",
    "db.statement",
    "db.query.text",
    "db.plan",
    "rpc.method",
    "event.name",
    "gen_ai.usage.",
];

/// Takes out what speaks of a secret, of the span and of its events.
pub(crate) fn scrub(span: &mut SpanData) {
    span.attributes.iter_mut().for_each(scrub_pair);
    for event in &mut span.events.events {
        event.attributes.iter_mut().for_each(scrub_pair);
    }
}

fn scrub_pair(pair: &mut KeyValue) {
    let key = pair.key.as_str();
    if SAFE.iter().any(|safe| key.starts_with(safe)) {
        return;
    }
    let text = match &pair.value {
        Value::String(text) => text.as_str(),
        _ => "",
    };
    // A value that is nothing but the word, say a task called `session`, gives nothing away.
    let in_value = found(text).filter(|word| *word != text);
    if let Some(word) = found(key).or(in_value) {
        pair.value = format!("[Scrubbed due to '{word}']").into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let table = [
            ("api_key", "abc", "[Scrubbed due to 'api_key']"),
            ("note", "my password is x", "[Scrubbed due to 'password']"),
            ("kind", "session", "session"),
            ("exception.message", "bad password", "bad password"),
            ("url.full", "https://h/?session=1", "https://h/?session=1"),
            ("project_uuid", "p1", "p1"),
        ];
        for (key, value, expected) in table {
            let mut pair = KeyValue::new(key, value);
            scrub_pair(&mut pair);
            assert_eq!(pair.value.as_str(), expected, "{key}={value}");
        }
        let mut number = KeyValue::new("session_count", 7_i64);
        scrub_pair(&mut number);
        assert_eq!(number.value.as_str(), "[Scrubbed due to 'session']");
    }
}
