//! The telemetry crate as others use it: its macros, what a future leaves on its span, and a whole process's output.

mod process;
mod spans;
mod traced;

use sapari_telemetry::testing::Collector;
use sapari_telemetry::{AttrValue, SpanRecord};

/// The one span that ended.
fn only(collector: &Collector) -> SpanRecord {
    let mut spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.remove(0)
}

fn text(span: &SpanRecord, key: &str) -> String {
    span.attribute(key)
        .map(AttrValue::to_string)
        .unwrap_or_default()
}
