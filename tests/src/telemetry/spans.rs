//! Names, kinds, attributes and parents, on exported spans.

use std::collections::HashMap;
use std::time::Duration;

use sapari_telemetry::framework::{self, Parenting, PipelineSpan, PublishSpan, StepSpan, TaskSpan};
use sapari_telemetry::testing::Collector;
use sapari_telemetry::tree::{Attributes, TreeStyle};
use sapari_telemetry::{
    Carrier, SpanStatus, current_trace_id, ext_span, mark_failed, service_span, sse_span,
    trace_id_of,
};

use super::{only, text};

const KICK: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const KICK_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const KICK_SPAN: &str = "00f067aa0ba902b7";

fn carrier(traceparent: &'static str) -> Carrier {
    Carrier::from_lookup(|key| (key == "traceparent").then_some(traceparent))
}

/// Everything, so that a field too many is seen as well.
fn all() -> TreeStyle {
    TreeStyle {
        attributes: Attributes::All,
        ..TreeStyle::for_tests(&[])
    }
}

fn task<'a>() -> TaskSpan<'a> {
    TaskSpan {
        system: "rabbitmq",
        destination: "render",
        task_name: "render_clip",
        task_id: "t-1",
        attempt: 2,
        max_attempts: 5,
        queue: "render",
        priority: 3,
        queue_wait_ms: Some(70),
        ..TaskSpan::default()
    }
}

#[test]
fn the_macros_name_the_spans_and_declare_the_outcomes() {
    let (collector, _guard) = Collector::scoped();
    let clip = 7;
    let part = 3_i64;
    ext_span!(whisper.transcribe { clip_file_uuid = %clip, part = part }).in_scope(|| {});
    let reserve = service_span!(credits.reserve { user_id = %clip } -> reserved, left);
    reserve.in_scope(|| reserve.record("reserved", true));
    drop(reserve);
    let sse = sse_span!(clip_ready { project_uuid = %clip });
    sse.in_scope(|| sse.record("receivers", 2));
    drop(sse);
    service_span!(storage.sweep {} -> removed).in_scope(|| {});
    let expected = "\
trace <id 1> test
ext.whisper.transcribe [client]  clip_file_uuid=7 part=3

trace <id 2> test
credits.reserve  user_id=7 reserved=true

trace <id 3> test
sse.clip_ready [producer]  project_uuid=7 receivers=2

trace <id 4> test
storage.sweep
";
    assert_eq!(collector.tree(&all()), expected);
}

#[test]
fn the_frameworks_spans_carry_what_the_table_says() {
    let (collector, _guard) = Collector::scoped();
    let publish = framework::publish_span(&PublishSpan {
        system: "rabbitmq",
        destination: "render",
        task_name: "render_clip",
        task_id: "t-1",
        priority: 3,
    });
    let mut message = Carrier::default();
    publish.in_scope(|| message = Carrier::current());
    drop(publish);
    let span = framework::task_span(&task(), &message);
    span.in_scope(|| {
        let keys = [("project_uuid", "p-1".to_owned())];
        let pipeline = framework::pipeline_span(&PipelineSpan {
            worker: "render",
            steps: 2,
            keys: &keys,
        });
        pipeline.in_scope(|| {
            let step = framework::step_span(&StepSpan {
                id: "cut",
                depends_on: "probe,fetch",
                attempt: 1,
                ..StepSpan::default()
            });
            step.in_scope(|| {
                framework::record_step_outcome(&step, "done");
                framework::record_step_wait(&step, Duration::from_millis(4));
                framework::set_attribute(&step, "usage.tokens", 12_u64);
            });
        });
        framework::record_pipeline_outcome(&pipeline, "done", "probe,cut");
    });
    framework::record_outcome(&span, "retry");
    framework::record_retry_delay(&span, Duration::from_secs(2));
    drop(span);
    let expected = "\
trace <id 1> test
publish render_clip [producer]  messaging.system=rabbitmq messaging.destination.name=render \
messaging.operation.name=publish messaging.operation.type=send messaging.message.id=t-1 \
taskiq.task_name=render_clip taskiq.priority=3
└─ taskiq.render_clip [consumer]  messaging.system=rabbitmq messaging.destination.name=render \
messaging.operation.name=process messaging.operation.type=process messaging.message.id=t-1 \
messaging.redelivered=false taskiq.task_id=t-1 taskiq.task_name=render_clip taskiq.attempt=2 \
taskiq.max_attempts=5 taskiq.queue=render taskiq.priority=3 taskiq.queue_wait_ms=70 \
task_type=queue taskiq.outcome=retry taskiq.retry.delay_ms=2000
   └─ render.pipeline  pipeline.steps=2 project_uuid=p-1 pipeline.outcome=done \
pipeline.critical_path=probe,cut
      └─ step.cut  step.id=cut step.depends_on=probe,fetch step.attempt=1 project_uuid=p-1 step.outcome=done \
step.wait_ms=4 usage.tokens=12
";
    assert_eq!(collector.tree(&all()), expected);
}

#[test]
fn a_task_is_a_child_of_its_kick_with_a_link() {
    let (collector, _guard) = Collector::scoped();
    // The consumer's own span must not become the parent.
    tracing::info_span!("consumer").in_scope(|| {
        framework::task_span(&task(), &carrier(KICK)).in_scope(|| {
            assert_eq!(current_trace_id().as_deref(), Some(KICK_TRACE));
        });
    });
    let span = &collector.spans()[0];
    assert_eq!(span.trace_id, KICK_TRACE);
    assert_eq!(span.parent_id.as_deref(), Some(KICK_SPAN));
    assert!(span.parent_is_remote);
    assert_eq!(span.links.len(), 1);
    assert_eq!(span.links[0].span_id, KICK_SPAN);
    let tree = collector.tree_of(KICK_TRACE, &TreeStyle::for_tests(&[]));
    assert!(
        tree.contains("taskiq.render_clip [consumer] (remote parent)"),
        "{tree}"
    );
}

#[test]
fn a_wide_fan_out_is_linked_only() {
    let (collector, _guard) = Collector::scoped();
    let attrs = TaskSpan {
        parenting: Parenting::Link,
        ..task()
    };
    tracing::info_span!("consumer").in_scope(|| {
        framework::task_span(&attrs, &carrier(KICK)).in_scope(|| {});
    });
    let span = &collector.spans()[0];
    assert_ne!(span.trace_id, KICK_TRACE);
    assert_eq!(span.parent_id, None);
    assert_eq!(span.links[0].trace_id, KICK_TRACE);
}

#[test]
fn a_malformed_traceparent_makes_a_root() {
    let bad = [
        "",
        "garbage",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E473Z-00f067aa0ba902b7-01",
    ];
    for traceparent in bad {
        let (collector, _guard) = Collector::scoped();
        assert_eq!(carrier(traceparent).trace_id(), None, "{traceparent}");
        tracing::info_span!("consumer").in_scope(|| {
            framework::task_span(&task(), &carrier(traceparent)).in_scope(|| {});
        });
        let span = &collector.spans()[0];
        assert_eq!(span.parent_id, None, "{traceparent}");
        assert!(span.links.is_empty(), "{traceparent}");
    }
}

#[test]
fn an_unknown_task_keeps_its_raw_name_out_of_the_span_name() {
    let (collector, _guard) = Collector::scoped();
    let attrs = TaskSpan {
        task_name: "unknown",
        raw_task_name: Some("rm -rf"),
        ..task()
    };
    framework::task_span(&attrs, &Carrier::default()).in_scope(|| {});
    let span = only(&collector);
    assert_eq!(span.name, "taskiq.unknown");
    assert_eq!(text(&span, "taskiq.raw_task_name"), "rm -rf");
}

#[test]
fn the_carrier_brings_context_and_baggage_to_the_other_side() {
    let (collector, _guard) = Collector::scoped();
    let headers: HashMap<&str, &str> = HashMap::from([
        ("traceparent", KICK),
        ("tracestate", "vendor=1"),
        ("baggage", "tenant=blue"),
    ]);
    let incoming = Carrier::from_lookup(|key| headers.get(key).copied());
    assert_eq!(incoming.trace_id().as_deref(), Some(KICK_TRACE));
    let span = framework::task_span(&task(), &incoming);
    let of_span = Carrier::of(&span);
    assert_eq!(trace_id_of(&span).as_deref(), Some(KICK_TRACE));
    let onward = span.in_scope(Carrier::current);
    drop(span);
    assert_eq!(of_span, onward);
    let pairs: HashMap<_, _> = onward.iter().collect();
    let own = only(&collector).span_id;
    assert_eq!(pairs["traceparent"], format!("00-{KICK_TRACE}-{own}-01"));
    assert_eq!(pairs["tracestate"], "vendor=1");
    assert_eq!(pairs["baggage"], "tenant=blue");
}

#[test]
fn outside_any_span_there_is_nothing_to_carry() {
    let (_collector, _guard) = Collector::scoped();
    assert!(Carrier::current().is_empty());
    assert_eq!(Carrier::default().iter().count(), 0);
    assert_eq!(current_trace_id(), None);
    assert_eq!(trace_id_of(&tracing::Span::none()), None);
}

#[test]
fn what_is_empty_is_not_sent() {
    let (_collector, _guard) = Collector::scoped();
    let sent = framework::task_span(&task(), &Carrier::default()).in_scope(Carrier::current);
    let keys: Vec<_> = sent.iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["traceparent"]);
}

#[test]
fn a_header_longer_than_allowed_is_dropped() {
    let long = "x=".to_owned() + &"y".repeat(9000);
    assert!(Carrier::from_lookup(|_| Some(long.as_str())).is_empty());
}

#[test]
fn an_error_event_does_not_mark_the_span() {
    let (collector, _guard) = Collector::scoped();
    ext_span!(bank.charge { user_id = 1 }).in_scope(|| {
        tracing::error!("a person must act, but the task recovers");
    });
    let span = only(&collector);
    assert_eq!(span.status, SpanStatus::Unset);
    assert!(span.events.is_empty());
}

#[test]
fn the_span_can_be_marked_after_it_was_left() {
    let (collector, _guard) = Collector::scoped();
    let span = framework::task_span(&task(), &Carrier::default());
    span.in_scope(|| {});
    mark_failed(&span, "timeout", "took longer than 5 s");
    drop(span);
    let tree = collector.tree(&TreeStyle::for_tests(&[]));
    assert!(tree.contains("✗ timeout: took longer than 5 s"), "{tree}");
}

#[test]
fn the_transports_spans_are_left_out() {
    let (collector, _guard) = Collector::scoped();
    tracing::info_span!(target: "lapin::io_loop", "io_loop").in_scope(|| {
        tracing::info_span!(target: "hyper_util::client", "connect").in_scope(|| {
            ext_span!(bank.charge { user_id = 1 }).in_scope(|| {});
        });
    });
    let span = only(&collector);
    assert_eq!(
        (span.name.as_str(), span.parent_id),
        ("ext.bank.charge", None)
    );
}
