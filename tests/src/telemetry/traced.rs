//! How futures end, on exported spans.

use std::fmt;
use std::time::Duration;

use sapari_telemetry::testing::Collector;
use sapari_telemetry::tree::TreeStyle;
use sapari_telemetry::{AttrValue, SpanStatus, Traced, ext_span, mark_failed_with};

use super::{only, text};

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the card was refused")
    }
}

#[tokio::test]
async fn ok_leaves_the_status_unset() {
    let (collector, _guard) = Collector::scoped();
    let result = async { Ok::<_, Refused>(5) }
        .traced(ext_span!(bank.charge { user_id = 1 }))
        .await;
    assert_eq!(result.ok(), Some(5));
    let span = only(&collector);
    assert_eq!(span.status, SpanStatus::Unset);
    assert!(span.events.is_empty());
}

#[tokio::test]
async fn err_marks_the_span_failed() {
    let (collector, _guard) = Collector::scoped();
    let result = async { Err::<(), _>(Refused) }
        .traced(ext_span!(bank.charge { user_id = 1 }))
        .await;
    assert!(result.is_err());
    let tree = collector.tree(&TreeStyle::for_tests(&[]));
    assert!(
        tree.contains("ext.bank.charge [client]  ✗ Refused: the card was refused"),
        "{tree}"
    );
    let event = &only(&collector).events[0];
    assert_eq!(event.name, "exception");
    let expected = [
        ("exception.type".to_owned(), AttrValue::from("Refused")),
        (
            "exception.message".to_owned(),
            "the card was refused".into(),
        ),
    ];
    assert_eq!(event.attributes, expected);
}

#[tokio::test]
async fn a_generic_error_has_a_short_type() {
    let (collector, _guard) = Collector::scoped();
    let error: Box<dyn std::error::Error + Send + Sync> = "boxed".into();
    let failing = async { Err::<(), _>(error) };
    let _ = failing.traced(ext_span!(bank.charge { user_id = 1 })).await;
    assert_eq!(text(&only(&collector), "error.type"), "Box");
}

#[tokio::test]
async fn a_dropped_future_is_cancelled() {
    let (collector, _guard) = Collector::scoped();
    let endless = std::future::pending::<Result<(), Refused>>();
    let span = ext_span!(bank.charge { user_id = 1 });
    let limited = tokio::time::timeout(Duration::from_millis(5), endless.traced(span));
    assert!(limited.await.is_err());
    let tree = collector.tree(&TreeStyle::for_tests(&[]));
    assert!(tree.contains("✗ cancelled\n"), "{tree}");
    assert!(only(&collector).events.is_empty());
}

#[tokio::test]
async fn a_future_that_was_never_polled_is_cancelled() {
    let (collector, _guard) = Collector::scoped();
    let span = ext_span!(bank.charge { user_id = 1 });
    drop(std::future::pending::<Result<(), Refused>>().traced(span));
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert!(
        spans
            .iter()
            .all(|span| text(span, "error.type") == "cancelled"),
        "{spans:?}"
    );
}

#[tokio::test]
async fn a_panic_is_marked_and_goes_on() {
    let (collector, _guard) = Collector::scoped();
    let panicking = async {
        tokio::task::yield_now().await;
        if true {
            panic!("on purpose");
        }
        Ok::<(), Refused>(())
    };
    let handle = tokio::spawn(panicking.traced(ext_span!(bank.charge { user_id = 1 })));
    assert!(handle.await.unwrap_err().is_panic());
    let tree = collector.tree(&TreeStyle::for_tests(&[]));
    assert!(tree.contains("✗ panic: panicked"), "{tree}");
}

/// Generic as the runtime is: what `traced` returns must be `Send` when its parts are.
fn spawned<F>(work: F, span: tracing::Span) -> tokio::task::JoinHandle<Result<u8, Refused>>
where
    F: Future<Output = Result<u8, Refused>> + Send + 'static,
{
    tokio::spawn(work.traced(span))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traced_future_goes_to_another_thread() {
    let work = async { Ok::<_, Refused>(7) };
    let done = spawned(work, ext_span!(bank.charge { user_id = 1 })).await;
    assert_eq!(done.expect("does not panic").expect("is Ok"), 7);
}

#[test]
fn a_failure_keeps_its_causes_and_its_bounds() {
    let (collector, _guard) = Collector::scoped();
    let causes = ["broken pipe".to_owned(), "ä".repeat(10_000)];
    let span = ext_span!(bank.charge { user_id = 1 });
    mark_failed_with(&span, "Io", &"ö".repeat(10_000), causes.into_iter());
    span.in_scope(|| {});
    drop(span);
    let span = only(&collector);
    let SpanStatus::Error(message) = &span.status else {
        panic!("not failed: {span:?}");
    };
    assert_eq!(message.len(), 8 * 1024);
    let (key, chain) = &span.events[0].attributes[2];
    assert_eq!(key, "exception.stacktrace");
    let chain = chain.to_string();
    assert!(
        chain.starts_with("caused by: broken pipe\ncaused by: ä"),
        "{chain}"
    );
    assert!(chain.len() <= 8 * 1024);
}
