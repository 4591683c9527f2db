//! Trees of made-up spans, compared as text.

use std::time::{Duration, SystemTime};

use super::*;
use crate::record::{SpanKind, SpanLink, SpanStatus};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn span(id: u64, parent: Option<u64>, name: &str, start_ms: u64, micros: u64) -> SpanRecord {
    SpanRecord {
        trace_id: TRACE.to_owned(),
        span_id: format!("{id:016x}"),
        parent_id: parent.map(|id| format!("{id:016x}")),
        parent_is_remote: false,
        name: name.to_owned(),
        kind: SpanKind::Internal,
        start: SystemTime::UNIX_EPOCH + Duration::from_millis(start_ms),
        duration: Duration::from_micros(micros),
        attributes: Vec::new(),
        status: SpanStatus::Unset,
        links: Vec::new(),
        events: Vec::new(),
        service: "render".to_owned(),
    }
}

fn sample() -> Vec<SpanRecord> {
    let mut call = span(5, Some(4), "ext.whisper.transcribe", 12, 250_000);
    call.kind = SpanKind::Client;
    call.status = SpanStatus::Error("timed out\nafter 250 ms".to_owned());
    call.attributes = vec![
        (
            "clip".to_owned(),
            "0190a1b2-0000-7000-8000-000000000001".into(),
        ),
        ("error.type".to_owned(), "Timeout".into()),
    ];
    let mut task = span(2, Some(1), "taskiq.render", 5, 1_240_000);
    task.kind = SpanKind::Consumer;
    task.links = vec![SpanLink {
        trace_id: TRACE.to_owned(),
        span_id: format!("{:016x}", 1),
    }];
    vec![
        call,
        span(3, Some(2), "step.z", 10, 850),
        task,
        span(4, Some(2), "step.b", 11, 61_000_000),
        span(1, None, "publish render", 1, 13_200),
    ]
}

#[test]
fn a_tree_for_people_has_aligned_durations() {
    let style = TreeStyle {
        durations: true,
        ..TreeStyle::default()
    };
    let expected = "\
trace 4bf92f35 render
publish render                    13.2 ms
└─ taskiq.render                   1.24 s
   ├─ step.z                       850 µs
   └─ step.b                       1m 01s
      └─ ext.whisper.transcribe    250 ms  ✗ Timeout: timed out after 250 ms
";
    assert_eq!(render(&sample(), &style), expected);
}

#[test]
fn a_tree_for_tests_has_kinds_and_numbered_ids() {
    let mut style = TreeStyle::for_tests(&["clip"]);
    style.links = true;
    let expected = "\
trace <id 1> render
publish render
└─ taskiq.render [consumer]  link=<id 2>
   ├─ step.z
   └─ step.b
      └─ ext.whisper.transcribe [client]  clip=<id 3>  ✗ Timeout: timed out after 250 ms
";
    assert_eq!(render(&sample(), &style), expected);
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    let style = TreeStyle::for_people(false);
    let mut spans = sample();
    let expected = render(&spans, &style);
    for _ in 0..spans.len() {
        spans.rotate_left(1);
        assert_eq!(render(&spans, &style), expected);
    }
}

#[test]
fn an_orphan_is_a_root_with_a_mark() {
    let orphans = [
        span(9, Some(7), "taskiq.b", 2, 1),
        span(8, Some(7), "taskiq.a", 1, 1),
    ];
    let expected = "\
trace 4bf92f35 render
taskiq.a (remote parent)
taskiq.b (remote parent)
";
    assert_eq!(render(&orphans, &TreeStyle::default()), expected);
}

#[test]
fn traces_are_apart_and_the_oldest_is_first() {
    let mut older = span(1, None, "cron", 1, 1);
    older.trace_id = "ffffffffffffffffffffffffffffffff".to_owned();
    older.service = "scheduler".to_owned();
    let spans = [span(2, None, "task", 2, 1), older];
    let expected = "trace ffffffff scheduler\ncron\n\ntrace 4bf92f35 render\ntask\n";
    assert_eq!(render(&spans, &TreeStyle::default()), expected);
}

#[test]
fn another_service_is_named() {
    let mut child = span(2, Some(1), "taskiq.x", 2, 1);
    child.service = "analysis".to_owned();
    let text = render(
        &[span(1, None, "publish x", 1, 1), child],
        &TreeStyle::default(),
    );
    assert!(text.ends_with("└─ taskiq.x @analysis\n"), "{text}");
}

#[test]
fn colours_only_when_asked() {
    let coloured = render(&sample(), &TreeStyle::for_people(true));
    assert!(coloured.contains("\x1b[31m✗ Timeout"), "{coloured}");
    assert!(!render(&sample(), &TreeStyle::for_people(false)).contains('\x1b'));
}

#[test]
fn a_message_cannot_steer_the_terminal() {
    let mut bad = span(1, None, "x", 1, 1);
    bad.status = SpanStatus::Error("\x1b[2J\nboo".to_owned());
    let text = render(&[bad], &TreeStyle::default());
    assert!(!text.contains('\x1b'), "{text}");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn durations_keep_three_digits() {
    let table = [
        (0, "0 µs"),
        (999, "999 µs"),
        (1_000, "1.00 ms"),
        (9_996, "10.0 ms"),
        (99_960, "100 ms"),
        (999_600, "1.00 s"),
        (59_990_000, "60.0 s"),
        (3_725_000_000, "62m 05s"),
    ];
    for (micros, expected) in table {
        let text = line::duration(Duration::from_micros(micros));
        assert_eq!(text, expected);
    }
}
