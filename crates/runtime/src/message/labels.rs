//! Labels: what travels beside the args, each value as text with its type beside it, as TaskIQ does.
//! Middleware of TaskIQ also writes bare JSON values without a type; both are read, and kept as they came.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

const INT: u8 = 2;
const TEXT: u8 = 3;
const FLOAT: u8 = 4;
const BOOL: u8 = 5;

/// Named values beside the args.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels(BTreeMap<String, Label>);

/// One value as it stands on the wire, and TaskIQ's number for its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    value: Value,
    kind: Option<Value>,
}

impl Labels {
    /// The value as text: strings as they are; other JSON values have none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.value.as_str()
    }

    /// The value as a whole number, whether written as `3` or as `"3"`.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        let value = &self.0.get(name)?.value;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    /// The value as a finite number.
    #[must_use]
    pub fn float(&self, name: &str) -> Option<f64> {
        let value = &self.0.get(name)?.value;
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        number.filter(|n: &f64| n.is_finite())
    }

    /// The value as a truth, whether `true`, `"True"` or `"true"`.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        let value = &self.0.get(name)?.value;
        value
            .as_bool()
            .or_else(|| value.as_str()?.to_ascii_lowercase().parse().ok())
    }

    /// Sets a text.
    pub fn set_text(&mut self, name: &str, value: impl Into<String>) {
        self.set(name, value.into(), TEXT);
    }

    /// Sets a whole number.
    pub fn set_int(&mut self, name: &str, value: i64) {
        self.set(name, value.to_string(), INT);
    }

    /// Sets a number.
    pub fn set_float(&mut self, name: &str, value: f64) {
        self.set(name, value.to_string(), FLOAT);
    }

    /// Sets a truth, in Python's spelling.
    pub fn set_flag(&mut self, name: &str, value: bool) {
        self.set(name, if value { "True" } else { "False" }.to_owned(), BOOL);
    }

    /// Takes a label away.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Names and values as text, for message headers.
    pub fn headers(&self) -> impl Iterator<Item = (&str, String)> {
        self.0
            .iter()
            .map(|(name, label)| (name.as_str(), label.header()))
    }

    fn set(&mut self, name: &str, value: String, kind: u8) {
        let label = Label {
            value: Value::String(value),
            kind: Some(json!(kind)),
        };
        self.0.insert(name.to_owned(), label);
    }

    pub(super) fn from_wire(
        labels: Map<String, Value>,
        types: Option<&Map<String, Value>>,
    ) -> Self {
        let kind_of = |name: &str| types.and_then(|types| types.get(name)).cloned();
        let entries = labels.into_iter().map(|(name, value)| {
            let kind = kind_of(&name);
            (name, Label { value, kind })
        });
        Self(entries.collect())
    }

    /// The values and their types, as they are written.
    pub(super) fn to_wire(&self) -> (Values<'_>, Kinds<'_>) {
        (Values(self), Kinds(self))
    }
}

/// The values by name.
pub(super) struct Values<'a>(&'a Labels);

/// The types by name, of those that have one.
pub(super) struct Kinds<'a>(&'a Labels);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let labels = self.0.0.iter();
        serializer.collect_map(labels.map(|(name, label)| (name, &label.value)))
    }
}

impl Serialize for Kinds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let labels = self.0.0.iter();
        let kinds = labels.filter_map(|(name, label)| Some((name, label.kind.as_ref()?)));
        serializer.collect_map(kinds)
    }
}

impl Label {
    fn header(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_and_without_a_type() {
        let wire =
            json!({"a": "3", "b": 3, "c": 1.5, "d": "False", "e": true, "f": "nan", "g": null});
        let labels = Labels::from_wire(wire.as_object().cloned().unwrap_or_default(), None);
        assert_eq!(labels.int("a"), Some(3));
        assert_eq!(labels.int("b"), Some(3));
        assert_eq!(labels.float("c"), Some(1.5));
        assert_eq!(labels.flag("d"), Some(false));
        assert_eq!(labels.flag("e"), Some(true));
        assert_eq!(labels.float("f"), None);
        assert_eq!(labels.text("g"), None);
    }

    #[test]
    fn what_is_set_is_written_as_python_reads_it() {
        let mut labels = Labels::default();
        labels.set_flag("on", true);
        labels.set_int("n", -2);
        let (values, types) = labels.to_wire();
        assert_eq!(json!(values), json!({"on": "True", "n": "-2"}));
        assert_eq!(json!(types), json!({"on": 5, "n": 2}));
    }
}
