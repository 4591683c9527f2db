//! A pipeline's graph as data, and as text for people: Mermaid, and DOT. With how its last run went, the critical path stands out.

use std::fmt::Write as _;
use std::time::Duration;

use super::builder::Dag;
use super::work::{Node, Work};
use crate::ledger::LastRun;

/// A pipeline's graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The pipeline; with `.pipeline` behind it the name of its span.
    pub name: &'static str,
    /// Its version.
    pub version: u32,
    /// Its steps, in an order in which they could run.
    pub steps: Vec<GraphStep>,
    /// The step whose output is the pipeline's.
    pub output: &'static str,
}

/// A step of it.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphStep {
    /// Its id; with `step.` before it the name of its span.
    pub id: &'static str,
    /// The steps that it needs.
    pub needs: Vec<&'static str>,
    /// The steps that it takes if they are there.
    pub takes: Vec<&'static str>,
    /// How often it is tried at most.
    pub attempts: u32,
    /// The longest that one attempt may take.
    pub timeout: Duration,
    /// Whether its output is kept for another attempt at the message.
    pub kept: bool,
    /// For a step over a list, how many items are worked on at once.
    pub items_at_once: Option<usize>,
}

impl<In, Deps> Dag<In, Deps> {
    pub(super) fn describe(&self) -> Graph {
        let id = |step: usize| self.steps[step].spec.id;
        let names = |node: &Node<In, Deps>, needed: bool| {
            let inputs = node.inputs.iter().filter(|need| need.needed == needed);
            inputs.map(|need| id(need.step)).collect()
        };
        let step = |node: &Node<In, Deps>| GraphStep {
            id: node.spec.id,
            needs: names(node, true),
            takes: names(node, false),
            attempts: node.spec.attempts,
            timeout: node.spec.timeout,
            kept: node.keep.is_some(),
            items_at_once: match node.work {
                Work::Each(_) => Some(node.spec.at_once),
                Work::One(_) => None,
            },
        };
        Graph {
            name: self.name,
            version: self.version,
            steps: self.steps.iter().map(step).collect(),
            output: id(self.output),
        }
    }
}

impl Graph {
    /// As a Mermaid flowchart; with the last run, durations stand at the steps and its critical path is thick.
    #[must_use]
    pub fn mermaid(&self, last: Option<&LastRun>) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for (number, step) in self.steps.iter().enumerate() {
            let label = step.lines(last).join("<br/>").replace('"', "#quot;");
            let _ = writeln!(text, "  s{number}[\"{label}\"]");
        }
        for (from, to, needed) in self.edges() {
            let critical = self.is_critical(last, from, to);
            let arrow = match (needed, critical) {
                (_, true) => "==>",
                (true, false) => "-->",
                (false, false) => "-.->",
            };
            let _ = writeln!(text, "  s{from} {arrow} s{to}");
        }
        let critical = self.critical_steps(last);
        if !critical.is_empty() {
            let critical: Vec<String> = critical.iter().map(|step| format!("s{step}")).collect();
            let _ = writeln!(text, "  classDef critical stroke-width:4px");
            let _ = writeln!(text, "  class {} critical", critical.join(","));
        }
        text
    }

    /// The same as DOT, for Graphviz.
    #[must_use]
    pub fn dot(&self, last: Option<&LastRun>) -> String {
        let mut text = format!(
            "digraph {} {{\n  rankdir=LR\n  node [shape=box]\n",
            quoted(self.name)
        );
        let critical = self.critical_steps(last);
        for (number, step) in self.steps.iter().enumerate() {
            let label = quoted(&step.lines(last).join("\n"));
            let thick = if critical.contains(&number) {
                ", penwidth=3"
            } else {
                ""
            };
            let _ = writeln!(text, "  {} [label={label}{thick}]", quoted(step.id));
        }
        for (from, to, needed) in self.edges() {
            let style = match (needed, self.is_critical(last, from, to)) {
                (_, true) => " [penwidth=3]",
                (true, false) => "",
                (false, false) => " [style=dashed]",
            };
            let (from, to) = (quoted(self.steps[from].id), quoted(self.steps[to].id));
            let _ = writeln!(text, "  {from} -> {to}{style}");
        }
        text.push_str("}\n");
        text
    }

    /// The critical path of the last run as one line, each step with how long it took.
    #[must_use]
    pub fn critical_path(last: &LastRun) -> String {
        let step = |id: &String| match last.steps.get(id) {
            Some(seconds) => format!("{id} {}", span(*seconds)),
            None => id.clone(),
        };
        let steps: Vec<String> = last.critical_path.iter().map(step).collect();
        format!("{}: {}", span(last.seconds), steps.join(" > "))
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.id == id)
    }

    /// From, to, and whether it is needed.
    fn edges(&self) -> Vec<(usize, usize, bool)> {
        let mut edges = Vec::new();
        for (to, step) in self.steps.iter().enumerate() {
            for (names, needed) in [(&step.needs, true), (&step.takes, false)] {
                let from = names.iter().filter_map(|id| self.place(id));
                edges.extend(from.map(|from| (from, to, needed)));
            }
        }
        edges
    }

    fn critical_steps(&self, last: Option<&LastRun>) -> Vec<usize> {
        let path = last.map_or(&[][..], |last| last.critical_path.as_slice());
        path.iter().filter_map(|id| self.place(id)).collect()
    }

    fn is_critical(&self, last: Option<&LastRun>, from: usize, to: usize) -> bool {
        let path = self.critical_steps(last);
        path.windows(2).any(|pair| pair == [from, to])
    }
}

impl GraphStep {
    /// What stands in its box.
    fn lines(&self, last: Option<&LastRun>) -> Vec<String> {
        let mut lines = vec![self.id.to_owned()];
        if let Some(at_once) = self.items_at_once {
            lines.push(format!("each item, {at_once} at once"));
        }
        if let Some(seconds) = last.and_then(|last| last.steps.get(self.id)) {
            lines.push(span(*seconds));
        }
        lines
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}

fn span(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        let step = |id, needs: &[&'static str], takes: &[&'static str]| GraphStep {
            id,
            needs: needs.to_vec(),
            takes: takes.to_vec(),
            attempts: 1,
            timeout: Duration::from_secs(1),
            kept: false,
            items_at_once: None,
        };
        Graph {
            name: "desk",
            version: 0,
            steps: vec![
                step("top", &[], &[]),
                step("left", &["top"], &[]),
                step("right", &["top"], &[]),
                step("sum", &["left"], &["right"]),
            ],
            output: "sum",
        }
    }

    fn last() -> LastRun {
        let steps = [("top", 1.0), ("left", 5.0), ("right", 0.3), ("sum", 0.0)];
        LastRun {
            at: 0.0,
            seconds: 6.0,
            critical_path: ["top", "left", "sum"].map(str::to_owned).to_vec(),
            steps: steps.map(|(id, took)| (id.to_owned(), took)).into(),
        }
    }

    #[test]
    fn mermaid_has_every_edge_and_the_critical_path_is_thick() {
        assert_eq!(
            graph().mermaid(None),
            "flowchart LR\n  s0[\"top\"]\n  s1[\"left\"]\n  s2[\"right\"]\n  s3[\"sum\"]\n  s0 --> s1\n  s0 --> s2\n  s1 --> s3\n  s2 -.-> s3\n"
        );
        let text = graph().mermaid(Some(&last()));
        for line in [
            "  s1[\"left<br/>5.0 s\"]\n",
            "  s2[\"right<br/>300 ms\"]\n",
            "  s0 ==> s1\n",
            "  s0 --> s2\n",
            "  class s0,s1,s3 critical\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn dot_has_every_edge_and_the_critical_path_is_thick() {
        let text = graph().dot(Some(&last()));
        for line in [
            "digraph \"desk\" {\n",
            "  \"left\" [label=\"left\\n5.0 s\", penwidth=3]\n",
            "  \"right\" [label=\"right\\n300 ms\"]\n",
            "  \"top\" -> \"left\" [penwidth=3]\n",
            "  \"top\" -> \"right\"\n",
            "  \"right\" -> \"sum\" [style=dashed]\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn the_critical_path_is_one_line() {
        assert_eq!(
            Graph::critical_path(&last()),
            "6.0 s: top 1.0 s > left 5.0 s > sum 0 ms"
        );
    }
}
