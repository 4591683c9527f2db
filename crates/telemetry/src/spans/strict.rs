//! Reports spans that do not fit the taxonomy, once for each name. Debug builds only: macros hold it at compile time where
//! they are used, and this finds what was made without them.
//!
//! It changes no span, and drops none.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;

/// Names that are remembered as reported at most.
const MAX_REPORTED: usize = 256;

/// A kind of span that the taxonomy knows.
pub(crate) struct Family {
    /// How its names look, for people.
    pub(crate) pattern: &'static str,
    kind: SpanKind,
    belongs: fn(&str) -> bool,
    /// Attributes that each has from its start.
    required: &'static [&'static str],
}

/// Every family, the most special first.
pub(crate) const FAMILIES: [Family; 9] = [
    Family {
        pattern: "publish <task>",
        kind: SpanKind::Producer,
        belongs: |name| name.starts_with("publish "),
        required: &[
            "messaging.system",
            "messaging.destination.name",
            "messaging.message.id",
            "taskiq.task_name",
        ],
    },
    Family {
        pattern: "taskiq.<task>",
        kind: SpanKind::Consumer,
        belongs: |name| name.starts_with("taskiq."),
        required: &[
            "messaging.system",
            "messaging.destination.name",
            "taskiq.attempt",
            "taskiq.queue",
            "task_type",
        ],
    },
    Family {
        pattern: "<worker>.pipeline",
        kind: SpanKind::Internal,
        belongs: |name| name.ends_with(".pipeline"),
        required: &["pipeline.steps"],
    },
    Family {
        pattern: "step.<id>",
        kind: SpanKind::Internal,
        belongs: |name| name.starts_with("step."),
        required: &["step.id", "step.attempt"],
    },
    Family {
        pattern: "ext.<service>.<op>",
        kind: SpanKind::Client,
        belongs: |name| name.strip_prefix("ext.").is_some_and(two_words),
        required: &[],
    },
    Family {
        pattern: "sse.<event>",
        kind: SpanKind::Producer,
        belongs: |name| name.strip_prefix("sse.").is_some_and(word),
        required: &[],
    },
    Family {
        pattern: "scheduler.fire",
        kind: SpanKind::Internal,
        belongs: |name| name == "scheduler.fire",
        required: &["schedule.id"],
    },
    Family {
        pattern: "<COMMAND>, of Redis and SQL, and <operation> <model>, of LLMs",
        kind: SpanKind::Client,
        belongs: |name| !name.contains('.') || name.contains(' '),
        required: &[],
    },
    Family {
        pattern: "<module>.<method>",
        kind: SpanKind::Internal,
        belongs: |name| !name.starts_with("ext.") && two_words(name),
        required: &[],
    },
];

fn word(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.chars().all(plain)
}

fn two_words(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(first, second)| word(first) && word(second))
}

/// What is wrong with a span, if something is.
fn fault(span: &SpanData) -> Option<String> {
    let belongs = |family: &&Family| (family.belongs)(&span.name);
    let Some(family) = FAMILIES.iter().find(belongs) else {
        let patterns: Vec<_> = FAMILIES.iter().map(|family| family.pattern).collect();
        return Some(format!(
            "no span is called so; they are {}",
            patterns.join(", ")
        ));
    };
    if family.kind != span.span_kind {
        let (pattern, kind) = (family.pattern, &family.kind);
        return Some(format!("a span {pattern} is of kind {kind:?}"));
    }
    let has = |key: &str| span.attributes.iter().any(|pair| pair.key.as_str() == key);
    let missing = family.required.iter().find(|key| !has(key))?;
    Some(format!(
        "a span {} has the attribute {missing}",
        family.pattern
    ))
}

/// Looks at every span that ends.
#[derive(Debug, Default)]
pub(super) struct Strict {
    reported: Mutex<BTreeSet<String>>,
}

impl Strict {
    pub(super) fn look(&self, span: &SpanData) {
        if let Some(fault) = fault(span)
            && self.is_new(&span.name)
        {
            let name = span.name.as_ref();
            tracing::warn!(span = name, "a span outside the taxonomy: {fault}");
        }
    }

    fn is_new(&self, name: &str) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.len() < MAX_REPORTED && reported.insert(name.to_owned())
    }
}
