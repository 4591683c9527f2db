//! Args as they travel, and how they become the task's struct: by position, by keyword or mixed, like a call in Python.
//! The order of positional args is the order of the struct's fields. No guessing: a name given twice is an error.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor,
};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::{Map, Number, Value};

/// The args of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Args {
    /// Args by position.
    pub positional: Vec<Value>,
    /// Args by keyword.
    pub keyword: Map<String, Value>,
}

/// Args that do not fit the task.
#[derive(Debug, thiserror::Error)]
#[error("the args do not fit the task: {0}")]
pub struct ArgsError(String);

impl Args {
    /// The args of a task: a struct's fields by keyword, anything else by position.
    ///
    /// # Errors
    /// [`ArgsError`] when the value has no form in JSON.
    pub fn of<T: Serialize>(task: &T) -> Result<Self, ArgsError> {
        let value = serde_json::to_value(task).map_err(|error| ArgsError(error.to_string()))?;
        Ok(Self::from(value))
    }

    /// The args as the task's type.
    ///
    /// # Errors
    /// [`ArgsError`]: what is missing, given twice, too many, or of the wrong type.
    pub fn decode<T: DeserializeOwned>(self) -> Result<T, ArgsError> {
        T::deserialize(self)
    }

    /// Positional args under the names of the fields they stand for, then the keyword args.
    fn named(self, fields: &'static [&'static str]) -> Result<Map<String, Value>, ArgsError> {
        if self.positional.len() > fields.len() {
            let (given, known) = (self.positional.len(), fields.len());
            return Err(ArgsError(format!(
                "{given} args by position, but the task has {known}"
            )));
        }
        let mut named = self.keyword;
        for (field, value) in fields.iter().zip(self.positional) {
            if named.insert((*field).to_owned(), value).is_some() {
                return Err(ArgsError(format!(
                    "`{field}` is given by position and by keyword"
                )));
            }
        }
        Ok(named)
    }

    fn only_positional(self) -> Result<Vec<Value>, ArgsError> {
        match self.keyword.keys().next() {
            Some(name) => Err(ArgsError(format!(
                "`{name}` is given by keyword, but the task's args have no names"
            ))),
            None => Ok(self.positional),
        }
    }
}

impl From<Value> for Args {
    fn from(value: Value) -> Self {
        match value {
            Value::Object(keyword) => Self {
                positional: Vec::new(),
                keyword,
            },
            Value::Array(positional) => Self {
                positional,
                keyword: Map::new(),
            },
            Value::Null => Self::default(),
            one => Self {
                positional: vec![one],
                keyword: Map::new(),
            },
        }
    }
}

/// Errors name the place and the type, never the value: args may hold what no log may show.
impl de::Error for ArgsError {
    fn custom<M: std::fmt::Display>(message: M) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("found {}, expected {expected}", kind_of(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!(
            "found {} of another value, expected {expected}",
            kind_of(found)
        ))
    }

    fn unknown_variant(_found: &str, expected: &'static [&'static str]) -> Self {
        Self(format!(
            "unknown variant, expected one of {}",
            expected.join(", ")
        ))
    }
}

fn kind_of(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        Unexpected::Unit | Unexpected::Option => "null",
        _ => "something else",
    }
}

/// One JSON value. Not `Value`'s own deserializer, because that one quotes values in its errors.
struct Arg(Value);

fn seq(values: Vec<Value>) -> SeqDeserializer<impl Iterator<Item = Arg>, ArgsError> {
    SeqDeserializer::new(values.into_iter().map(Arg))
}

fn map<'de>(
    entries: Map<String, Value>,
) -> MapDeserializer<'de, impl Iterator<Item = (String, Arg)>, ArgsError> {
    MapDeserializer::new(entries.into_iter().map(|(name, value)| (name, Arg(value))))
}

impl<'de> Deserializer<'de> for Arg {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(truth),
            Value::Number(number) => visit_number(&number, visitor),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(values) => visitor.visit_seq(seq(values)),
            Value::Object(entries) => visitor.visit_map(map(entries)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        if self.0.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        match self.0 {
            Value::String(variant) => visitor.visit_enum(variant.into_deserializer()),
            Value::Object(entries) => visitor.visit_enum(MapAccessDeserializer::new(map(entries))),
            _ => Err(ArgsError(
                "expected a variant's name, or an object with one".to_owned(),
            )),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Why bytes are not a `T`: reads them once more, with errors that quote nothing of them.
pub(super) fn what_is_wrong<T: DeserializeOwned>(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Err(syntax) => syntax.to_string(),
        Ok(value) => T::deserialize(Arg(value))
            .map_or_else(|error| error.0, |_| "it is one after all".to_owned()),
    }
}

fn visit_number<'de, V: Visitor<'de>>(number: &Number, visitor: V) -> Result<V::Value, ArgsError> {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(n), _, _) => visitor.visit_u64(n),
        (None, Some(n), _) => visitor.visit_i64(n),
        (None, None, Some(n)) => visitor.visit_f64(n),
        (None, None, None) => Err(ArgsError("a number that fits no type".to_owned())),
    }
}

impl IntoDeserializer<'_, ArgsError> for Arg {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Args {
    type Error = ArgsError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_map(map(self.named(fields)?))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        let values = self.only_positional()?;
        if values.len() > len {
            return Err(ArgsError(format!(
                "{} args by position, but the task has {len}",
                values.len()
            )));
        }
        visitor.visit_seq(seq(values))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        let mut values = self.only_positional()?;
        match (values.pop(), values.is_empty()) {
            (Some(value), true) => visitor.visit_newtype_struct(Arg(value)),
            _ => Err(ArgsError("the task takes exactly one arg".to_owned())),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        if self.positional.is_empty() && self.keyword.is_empty() {
            visitor.visit_unit()
        } else {
            Err(ArgsError("the task takes no args".to_owned()))
        }
    }

    /// Maps, `#[serde(flatten)]` and enums: there are no field names to give a position a meaning.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        if !self.positional.is_empty() {
            return Err(ArgsError("this task takes its args by keyword".to_owned()));
        }
        visitor.visit_map(map(self.keyword))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit seq tuple map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Render {
        export: String,
        width: u32,
        #[serde(default)]
        note: Option<String>,
        #[serde(default)]
        size: Size,
    }

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Size {
        #[default]
        Small,
        Large(u8),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Nothing;
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct One(u32);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Two(u32, String);

    fn args(positional: Value, keyword: Value) -> Args {
        let Value::Array(positional) = positional else {
            panic!("an array")
        };
        let Value::Object(keyword) = keyword else {
            panic!("an object")
        };
        Args {
            positional,
            keyword,
        }
    }

    fn render(note: Option<&str>) -> Render {
        Render {
            export: "e1".into(),
            width: 640,
            note: note.map(Into::into),
            size: Size::Small,
        }
    }

    #[test]
    fn a_struct_takes_args_by_position_by_keyword_and_mixed() {
        let calls = [
            args(json!(["e1", 640]), json!({})),
            args(json!([]), json!({"export": "e1", "width": 640})),
            args(json!(["e1"]), json!({"width": 640})),
        ];
        for call in calls {
            assert_eq!(call.decode::<Render>().expect("fits"), render(None));
        }
        let full = args(json!(["e1", 640, "hi", {"large": 3}]), json!({}))
            .decode::<Render>()
            .expect("fits");
        assert_eq!(
            full,
            Render {
                size: Size::Large(3),
                ..render(Some("hi"))
            }
        );
    }

    #[test]
    fn what_does_not_fit_is_said_in_one_clear_sentence() {
        let table = [
            (
                args(json!(["e1", 1, "n", "small", 5]), json!({})),
                "5 args by position, but the task has 4",
            ),
            (
                args(json!(["e1", 1]), json!({"width": 2})),
                "`width` is given by position and by keyword",
            ),
            (args(json!(["e1"]), json!({})), "missing field `width`"),
            (
                args(json!(["e1", 1, null, "secret"]), json!({})),
                "unknown variant, expected one of small, large",
            ),
            (
                args(json!(["e1", "wide"]), json!({})),
                "found a string, expected u32",
            ),
        ];
        for (call, sentence) in table {
            let error = call
                .decode::<Render>()
                .expect_err("does not fit")
                .to_string();
            assert_eq!(error, format!("the args do not fit the task: {sentence}"));
        }
    }

    #[test]
    fn unit_newtype_and_tuple_structs_work_too() {
        assert_eq!(Args::default().decode::<Nothing>().expect("fits"), Nothing);
        assert_eq!(
            args(json!([7]), json!({})).decode::<One>().expect("fits"),
            One(7)
        );
        assert_eq!(
            args(json!([7, "x"]), json!({}))
                .decode::<Two>()
                .expect("fits"),
            Two(7, "x".into())
        );
        assert!(args(json!([7, 8]), json!({})).decode::<One>().is_err());
        assert!(args(json!([7, "x", 1]), json!({})).decode::<Two>().is_err());
        assert!(args(json!([1]), json!({})).decode::<Nothing>().is_err());
        assert!(args(json!([]), json!({"a": 1})).decode::<One>().is_err());
    }

    proptest! {
        /// However a caller splits its args between position and keyword, the handler sees the same struct.
        #[test]
        fn every_split_of_a_call_means_the_same(export in "[a-z]{0,8}", width: u32, note in proptest::option::of("[a-z]{1,4}"), split in 0usize..=3) {
            let expected = Render { export: export.clone(), width, note: note.clone(), size: Size::Small };
            let all = [("export", json!(export)), ("width", json!(width)), ("note", json!(note))];
            let positional = all[..split].iter().map(|(_, v)| v.clone()).collect();
            let keyword = all[split..].iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
            prop_assert_eq!(Args { positional, keyword }.decode::<Render>().expect("fits"), expected);
        }

        #[test]
        fn what_we_kick_is_what_the_handler_gets(export in ".{0,8}", width: u32) {
            let task = Render { export, width, note: None, size: Size::Large(1) };
            prop_assert_eq!(Args::of(&task).expect("serializes").decode::<Render>().expect("fits"), task);
        }
    }
}
