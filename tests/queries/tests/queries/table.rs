//! Rows as a table of the engine, with Logfire's names and, as far as it says them, its types.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int16Array, Int64Array, ListBuilder, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::record_batch::RecordBatch;

use crate::record::Record;

/// # Errors
/// Never for rows: the columns are of one length.
pub(crate) fn table(rows: &[Record]) -> Result<RecordBatch, ArrowError> {
    let mut columns = about_the_span(rows);
    columns.extend(about_its_end(rows));
    columns.extend(about_its_process(rows));
    columns.extend(about_the_web(rows));
    let nullable = columns
        .into_iter()
        .map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(nullable)
}

type Column = (&'static str, ArrayRef);

fn texts<'a>(rows: &'a [Record], of: impl Fn(&'a Record) -> &'a str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
}

fn some_texts<'a>(rows: &'a [Record], of: impl Fn(&'a Record) -> &'a Option<String>) -> ArrayRef {
    let values = rows.iter().map(|row| of(row).as_deref());
    Arc::new(values.collect::<StringArray>())
}

fn times(rows: &[Record], of: impl Fn(&Record) -> i64) -> ArrayRef {
    let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(of));
    Arc::new(times.with_timezone("UTC"))
}

fn numbers(rows: &[Record], of: impl Fn(&Record) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<Int64Array>())
}

fn tags(rows: &[Record]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows {
        lists.append_value(row.tags.iter().map(Some));
    }
    Arc::new(lists.finish())
}

fn about_the_span(rows: &[Record]) -> Vec<Column> {
    let levels = Int16Array::from_iter_values(rows.iter().map(|row| row.level));
    let durations: Float64Array = rows.iter().map(|row| row.duration).collect();
    vec![
        ("kind", texts(rows, |row| &row.kind)),
        ("span_name", texts(rows, |row| &row.span_name)),
        ("message", texts(rows, |row| &row.message)),
        ("attributes", texts(rows, |row| &row.attributes)),
        ("tags", tags(rows)),
        ("level", Arc::new(levels)),
        ("trace_id", texts(rows, |row| &row.trace_id)),
        ("span_id", texts(rows, |row| &row.span_id)),
        (
            "parent_span_id",
            some_texts(rows, |row| &row.parent_span_id),
        ),
        ("start_timestamp", times(rows, |row| row.start)),
        ("end_timestamp", times(rows, |row| row.end)),
        ("duration", Arc::new(durations)),
        ("otel_links", texts(rows, |row| &row.otel_links)),
    ]
}

fn about_its_end(rows: &[Record]) -> Vec<Column> {
    let exceptions = rows.iter().map(|row| Some(row.is_exception));
    vec![
        (
            "is_exception",
            Arc::new(exceptions.collect::<BooleanArray>()),
        ),
        (
            "exception_type",
            some_texts(rows, |row| &row.exception_type),
        ),
        (
            "exception_message",
            some_texts(rows, |row| &row.exception_message),
        ),
        (
            "exception_stacktrace",
            some_texts(rows, |row| &row.exception_stacktrace),
        ),
        ("otel_status_code", texts(rows, |row| &row.otel_status_code)),
        (
            "otel_status_message",
            some_texts(rows, |row| &row.otel_status_message),
        ),
        ("otel_events", texts(rows, |row| &row.otel_events)),
    ]
}

fn about_its_process(rows: &[Record]) -> Vec<Column> {
    type Field = fn(&Record) -> &Option<String>;
    let fields: [(&'static str, Field); 10] = [
        ("deployment_environment", |row| &row.deployment_environment),
        ("service_name", |row| &row.service_name),
        ("service_version", |row| &row.service_version),
        ("service_instance_id", |row| &row.service_instance_id),
        ("service_namespace", |row| &row.service_namespace),
        ("telemetry_sdk_name", |row| &row.telemetry_sdk_name),
        ("telemetry_sdk_language", |row| &row.telemetry_sdk_language),
        ("telemetry_sdk_version", |row| &row.telemetry_sdk_version),
        ("otel_scope_name", |row| &row.otel_scope_name),
        ("otel_scope_version", |row| &row.otel_scope_version),
    ];
    let columns = fields
        .into_iter()
        .map(|(name, of)| (name, some_texts(rows, of)));
    let whole = texts(rows, |row| &row.otel_resource_attributes);
    columns
        .chain([
            ("process_pid", numbers(rows, |row| row.process_pid)),
            ("otel_resource_attributes", whole),
        ])
        .collect()
}

fn about_the_web(rows: &[Record]) -> Vec<Column> {
    let statuses = numbers(rows, |row| row.http_response_status_code);
    vec![
        ("http_response_status_code", statuses),
        ("http_route", some_texts(rows, |row| &row.http_route)),
        ("http_method", some_texts(rows, |row| &row.http_method)),
        ("url_full", some_texts(rows, |row| &row.url_full)),
        ("url_path", some_texts(rows, |row| &row.url_path)),
        ("url_query", some_texts(rows, |row| &row.url_query)),
    ]
}
