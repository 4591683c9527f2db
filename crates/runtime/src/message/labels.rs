//! Labels: what travels beside the args, each value as text with its type beside it, as TaskIQ does.
//! Middleware of TaskIQ also writes bare JSON values without a type; both are read, and kept as they came.
//!
//! Sorted lists, not maps: every message is read and written, and has a handful of labels, most of them with a known name.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::label;

/// As many labels as most messages have.
const USUAL: usize = 6;

const INT: u8 = 2;
const TEXT: u8 = 3;
const FLOAT: u8 = 4;
const BOOL: u8 = 5;

/// The names that are not kept as text of their own.
const KNOWN: [&str; 16] = [
    label::PRIORITY,
    label::RETRIES,
    label::MAX_ATTEMPTS,
    label::TIMEOUT,
    label::QUEUED_AT,
    label::KICK,
    label::HOP,
    label::EXPIRES_AT,
    label::HISTORY,
    label::UNKNOWN_FOR,
    label::UNIQUE,
    label::DEBOUNCE,
    label::SCHEDULE_ID,
    label::SCHEDULE_CRON,
    label::SCHEDULED_TIME,
    label::SCHEDULE_LAG,
];

type Name = Cow<'static, str>;

/// Named values beside the args.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels(ByName<Label>);

/// Things by name, sorted, each name once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ByName<T>(Vec<(Name, T)>);

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
        self.0.iter().map(|(name, label)| (name, label.header()))
    }

    fn set(&mut self, name: &str, value: String, kind: u8) {
        let label = Label {
            value: Value::String(value),
            kind: Some(json!(kind)),
        };
        self.0.insert(name, label);
    }

    pub(super) fn from_wire(labels: ByName<Value>, mut types: ByName<Value>) -> Self {
        let entries = labels.0.into_iter().map(|(name, value)| {
            let kind = types.get_mut(&name).map(Value::take);
            (name, Label { value, kind })
        });
        Self(ByName(entries.collect()))
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

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByName<T> {
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    fn get(&self, name: &str) -> Option<&T> {
        let at = self.find(name).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let at = self.find(name).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    fn insert(&mut self, name: &str, value: T) {
        match self.find(name) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (interned(name), value)),
        }
    }

    fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// In any order, a name perhaps more than once: its last value counts, as in any JSON reader.
    fn of(mut entries: Vec<(Name, T)>) -> Self {
        // The last of its name first, where `dedup` keeps it.
        entries.reverse();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.dedup_by(|(a, _), (b, _)| a == b);
        Self(entries)
    }
}

fn interned(name: &str) -> Name {
    let known = KNOWN.iter().find(|known| **known == name);
    known.map_or_else(
        || Cow::Owned(name.to_owned()),
        |known| Cow::Borrowed(*known),
    )
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}

/// Reads an object.
struct Entries<T>(std::marker::PhantomData<fn() -> T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
    type Value = ByName<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByName<T>, A::Error> {
        let mut entries = Vec::with_capacity(USUAL);
        while let Some(Key(name)) = map.next_key()? {
            entries.push((name, map.next_value()?));
        }
        Ok(ByName::of(entries))
    }
}

/// A name as it is read: a known one needs no text of its own.
struct Key(Name);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(Key(interned(name)))
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
        let wire = serde_json::from_value(wire).expect("an object");
        let labels = Labels::from_wire(wire, ByName::default());
        assert_eq!(labels.int("a"), Some(3));
        assert_eq!(labels.int("b"), Some(3));
        assert_eq!(labels.float("c"), Some(1.5));
        assert_eq!(labels.flag("d"), Some(false));
        assert_eq!(labels.flag("e"), Some(true));
        assert_eq!(labels.float("f"), None);
        assert_eq!(labels.text("g"), None);
    }

    #[test]
    fn names_are_sorted_and_the_last_value_of_one_counts() {
        let read = |json: &str| serde_json::from_str::<ByName<Value>>(json).expect("an object");
        let values = read(r#"{"own": "1", "kick": "a", "b": 1, "own": "2", "kick": "b"}"#);
        let types = read(r#"{"kick": 1, "own": 3, "kick": 2, "nobody": 4}"#);
        let mut labels = Labels::from_wire(values, types);
        labels.set_int("b", 7);
        labels.set_int("a", 8);
        let names: Vec<_> = labels.headers().collect();
        let value = |name, value: &str| (name, value.to_owned());
        assert_eq!(
            names,
            [
                value("a", "8"),
                value("b", "7"),
                value("kick", "b"),
                value("own", "2")
            ]
        );
        let (_, types) = labels.to_wire();
        assert_eq!(json!(types), json!({"a": 2, "b": 2, "kick": 2, "own": 3}));
        labels.remove("kick");
        assert_eq!(labels.text("kick"), None);
        assert_eq!(labels.text("own"), Some("2"));
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
