//! From JSON values to a task's struct, by serde: which value is which field, and errors that quote no value.

use serde::de::value::MapAccessDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Number, Value};

use super::args::{Args, ArgsError, by_name};

/// The longest name of a field that an error repeats, in bytes.
const LONGEST_NAME: usize = 64;

impl ArgsError {
    /// The same error, found at `outer`.
    fn at(mut self, outer: &str) -> Self {
        let nested = !self.place.is_empty() && !self.place.starts_with('[');
        let dot = if nested { "." } else { "" };
        self.place = format!("{outer}{dot}{}", self.place);
        self
    }
}

/// Errors name the place and the type, never the value: args may hold what no log may show.
impl de::Error for ArgsError {
    /// What a type says of its own accord may quote the value: ``invalid character: found `s` at 0``.
    fn custom<M: std::fmt::Display>(message: M) -> Self {
        Self::new(without_quotations(&message.to_string()))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("found {length} values, expected {expected}"))
    }

    /// A name is no value, and without it nobody finds what was mistyped. One that is no plain word is not repeated.
    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let is_word = (1..=LONGEST_NAME).contains(&found.len()) && found.chars().all(plain);
        let found = if is_word { found } else { ".." };
        let expected = expected.join(", ");
        Self::new(format!(
            "unknown field `{found}`, expected one of {expected}"
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("missing field `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("duplicate field `{field}`"))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("found {}, expected {expected}", kind_of(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!(
            "found {} of another value, expected {expected}",
            kind_of(found)
        ))
    }

    fn unknown_variant(_found: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!(
            "unknown variant, expected one of {}",
            expected.join(", ")
        ))
    }
}

/// The text with two dots for whatever stands between quotation marks; an open one reaches to the end. An apostrophe is none.
fn without_quotations(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut open = None;
    for mark in text.chars() {
        let in_a_word = kept.ends_with(char::is_alphanumeric);
        match (open, mark) {
            (Some(opened), _) if opened == mark => open = None,
            (Some(_), _) => {}
            (None, '`' | '"') => open = Some(mark),
            (None, '\'') if !in_a_word => open = Some(mark),
            (None, _) => kept.push(mark),
        }
        if open == Some(mark) {
            kept.push_str("..");
        }
    }
    kept
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
struct Arg<'a>(&'a Value);

impl<'de> Deserializer<'de> for Arg<'_> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Number(number) => visit_number(number, visitor),
            Value::String(text) => visitor.visit_str(text),
            Value::Array(values) => Items::new(values).visit(visitor),
            Value::Object(entries) => visitor.visit_map(Entries::new(by_name(entries))),
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
            Value::String(variant) => visitor.visit_enum(variant.as_str().into_deserializer()),
            Value::Object(entries) => {
                let entries = Entries::new(by_name(entries));
                visitor.visit_enum(MapAccessDeserializer::new(entries))
            }
            _ => Err(ArgsError::new(
                "expected a variant's name, or an object with one",
            )),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The entries of an object; an error in one says its name.
struct Entries<'a, I> {
    rest: I,
    current: Option<(&'a str, &'a Value)>,
}

impl<I> Entries<'_, I> {
    fn new(rest: I) -> Self {
        Self {
            rest,
            current: None,
        }
    }
}

impl<'de, 'a, I: Iterator<Item = (&'a str, &'a Value)>> MapAccess<'de> for Entries<'a, I> {
    type Error = ArgsError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ArgsError> {
        self.current = self.rest.next();
        let name = self.current.map(|(name, _)| name);
        name.map(|name| seed.deserialize(name.into_deserializer()))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ArgsError> {
        let no_key = || ArgsError::new("a value was asked for before its name");
        let (name, value) = self.current.take().ok_or_else(no_key)?;
        seed.deserialize(Arg(value)).map_err(|error| error.at(name))
    }
}

/// The values of a list; an error in one says its index.
struct Items<'a> {
    rest: std::slice::Iter<'a, Value>,
    index: usize,
}

impl<'a> Items<'a> {
    fn new(values: &'a [Value]) -> Self {
        Self {
            rest: values.iter(),
            index: 0,
        }
    }

    /// A visitor that wants fewer values than there are would ignore the others in silence.
    fn visit<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, ArgsError> {
        let value = visitor.visit_seq(&mut self)?;
        match self.rest.len() {
            0 => Ok(value),
            more => Err(ArgsError::new(format!("{more} values too many"))),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_> {
    type Error = ArgsError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ArgsError> {
        let Some(value) = self.rest.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        let element = seed.deserialize(Arg(value));
        element
            .map(Some)
            .map_err(|error| error.at(&format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// Why bytes are not a `T`: reads them once more, with errors that quote nothing of them.
pub(super) fn what_is_wrong<T: DeserializeOwned>(bytes: &[u8]) -> String {
    match serde_json::from_slice::<Value>(bytes) {
        Err(syntax) => syntax.to_string(),
        Ok(value) => T::deserialize(Arg(&value)).map_or_else(
            |error| error.reason(),
            |_| "a name stands in it twice".to_owned(),
        ),
    }
}

fn visit_number<'de, V: Visitor<'de>>(number: &Number, visitor: V) -> Result<V::Value, ArgsError> {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(n), _, _) => visitor.visit_u64(n),
        (None, Some(n), _) => visitor.visit_i64(n),
        (None, None, Some(n)) => visitor.visit_f64(n),
        (None, None, None) => Err(ArgsError::new("a number that fits no type")),
    }
}

impl<'de> Deserializer<'de> for &Args {
    type Error = ArgsError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_map(Entries::new(self.named(fields)?))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        let values = self.only_positional()?;
        if values.len() > len {
            return Err(ArgsError::new(format!(
                "{} args by position, but the task has {len}",
                values.len()
            )));
        }
        Items::new(values).visit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        match self.only_positional()? {
            [value] => visitor.visit_newtype_struct(Arg(value)),
            _ => Err(ArgsError::new("the task takes exactly one arg")),
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
            Err(ArgsError::new("the task takes no args"))
        }
    }

    /// Maps, `#[serde(flatten)]` and enums: there are no field names to give a position a meaning.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        if !self.positional.is_empty() {
            return Err(ArgsError::new("this task takes its args by keyword"));
        }
        visitor.visit_map(Entries::new(by_name(&self.keyword)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit seq tuple map enum identifier ignored_any
    }
}
