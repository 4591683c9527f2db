//! Finished spans as an indented text tree: for people, and for tests to compare.
//!
//! Pure: the same spans in any order give the same text. It does not collect or print anything.

mod forest;
mod line;
mod normal;

use crate::record::SpanRecord;
use forest::Forest;
use line::Line;
use normal::Ids;

/// Which attributes are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attributes {
    /// None.
    #[default]
    None,
    /// All, in the order they were set.
    All,
    /// These, in this order.
    Only(Vec<String>),
}

/// How a tree looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeStyle {
    /// A column of durations.
    pub durations: bool,
    /// Which attributes are shown.
    pub attributes: Attributes,
    /// `[client]` and so on, for spans that are not internal.
    pub kinds: bool,
    /// Which spans a span links to.
    pub links: bool,
    /// Colours for a terminal.
    pub colours: bool,
    /// Ids as `<id 1>`, `<id 2>` in the order they appear, so that two runs compare equal.
    pub normalise_ids: bool,
}

impl TreeStyle {
    /// For a person: durations, and the attributes that lead somewhere.
    #[must_use]
    pub fn for_people(colours: bool) -> Self {
        let keys = [
            "taskiq.task_id",
            "taskiq.attempt",
            "taskiq.outcome",
            "step.outcome",
            "pipeline.critical_path",
        ];
        Self {
            durations: true,
            attributes: Attributes::Only(keys.map(str::to_owned).to_vec()),
            colours,
            ..Self::default()
        }
    }

    /// For a test: kinds and the given attributes; no durations, and ids numbered.
    #[must_use]
    pub fn for_tests(attributes: &[&str]) -> Self {
        let keys = attributes.iter().map(|key| (*key).to_owned()).collect();
        Self {
            attributes: Attributes::Only(keys),
            kinds: true,
            normalise_ids: true,
            ..Self::default()
        }
    }
}

/// One tree per trace, the oldest first. Failed spans are marked, and so are spans whose parent is
/// not among the given ones.
#[must_use]
pub fn render(spans: &[SpanRecord], style: &TreeStyle) -> String {
    let mut ids = Ids::new(style.normalise_ids);
    let mut text = String::new();
    for forest in Forest::all(spans) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line::header(&forest, style, &mut ids));
        let lines: Vec<Line> = forest
            .walk()
            .iter()
            .map(|place| Line::new(place, style, &mut ids))
            .collect();
        let width = lines.iter().map(Line::name_width).max().unwrap_or(0);
        for line in &lines {
            text.push_str(&line.text(width, style));
        }
    }
    text
}

#[cfg(test)]
mod tests;
