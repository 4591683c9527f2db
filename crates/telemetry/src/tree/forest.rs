//! Which span is whose child, and in which order they are shown.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::record::SpanRecord;

/// The spans of one trace.
pub(super) struct Forest<'a> {
    pub(super) trace_id: &'a str,
    roots: Vec<&'a SpanRecord>,
    children: HashMap<&'a str, Vec<&'a SpanRecord>>,
}

/// A span with its place in the tree.
pub(super) struct Place<'a> {
    pub(super) span: &'a SpanRecord,
    /// The branches drawn before the name.
    pub(super) indent: String,
    /// Its parent is not among the given spans.
    pub(super) orphan: bool,
    /// The service, where it is another one than the parent's.
    pub(super) service: Option<&'a str>,
}

/// By start, then by name: two spans of one instant keep their order from run to run.
fn sort(spans: &mut [&SpanRecord]) {
    spans.sort_by(|a, b| (a.start, &a.name, &a.span_id).cmp(&(b.start, &b.name, &b.span_id)));
}

impl<'a> Forest<'a> {
    /// The traces of `spans`, the oldest first.
    pub(super) fn all(spans: &'a [SpanRecord]) -> Vec<Self> {
        let mut by_trace: BTreeMap<&str, Vec<&SpanRecord>> = BTreeMap::new();
        for span in spans {
            by_trace.entry(&span.trace_id).or_default().push(span);
        }
        let mut forests: Vec<Self> = by_trace
            .into_iter()
            .map(|(trace_id, spans)| Self::new(trace_id, spans))
            .collect();
        // Stable, so traces of one instant stay in the order of their ids.
        forests.sort_by_key(|forest| forest.roots.first().map(|root| (root.start, &root.name)));
        forests
    }

    fn new(trace_id: &'a str, mut spans: Vec<&'a SpanRecord>) -> Self {
        sort(&mut spans);
        let present: HashSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
        let mut forest = Self {
            trace_id,
            roots: Vec::new(),
            children: HashMap::new(),
        };
        for span in spans {
            match span.parent_id.as_deref().filter(|id| present.contains(id)) {
                Some(parent) => forest.children.entry(parent).or_default().push(span),
                None => forest.roots.push(span),
            }
        }
        forest
    }

    /// The service of the first root, which the header names.
    pub(super) fn service(&self) -> &'a str {
        self.roots.first().map_or("", |root| root.service.as_str())
    }

    /// Every span in the order of the lines.
    pub(super) fn walk(&self) -> Vec<Place<'a>> {
        let mut places = Vec::new();
        let mut stack: Vec<Pending<'a>> = Vec::new();
        for root in self.roots.iter().rev() {
            stack.push(Pending::root(root, self.service()));
        }
        // A stack of our own: a deep trace must not overflow the thread's.
        while let Some(pending) = stack.pop() {
            let children = self.children.get(pending.span.span_id.as_str());
            for (nth, child) in children.into_iter().flatten().rev().enumerate() {
                stack.push(pending.child(child, nth == 0));
            }
            places.push(pending.place());
        }
        places
    }
}

struct Pending<'a> {
    span: &'a SpanRecord,
    /// What is drawn before the children of the parent.
    trunk: String,
    branch: &'static str,
    parent_service: &'a str,
}

impl<'a> Pending<'a> {
    fn root(span: &'a SpanRecord, parent_service: &'a str) -> Self {
        Self {
            span,
            trunk: String::new(),
            branch: "",
            parent_service,
        }
    }

    fn child(&self, span: &'a SpanRecord, last: bool) -> Self {
        let below = match self.branch {
            "" => "",
            "└─ " => "   ",
            _ => "│  ",
        };
        Self {
            span,
            trunk: format!("{}{below}", self.trunk),
            branch: if last { "└─ " } else { "├─ " },
            parent_service: &self.span.service,
        }
    }

    fn place(self) -> Place<'a> {
        let service = self.span.service.as_str();
        Place {
            span: self.span,
            indent: format!("{}{}", self.trunk, self.branch),
            orphan: self.branch.is_empty() && self.span.parent_id.is_some(),
            service: (service != self.parent_service).then_some(service),
        }
    }
}
