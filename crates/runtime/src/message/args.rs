//! Args as they travel, and how they become the task's struct: by position, by keyword or mixed, like a call in Python.
//! The order of positional args is the order of the struct's fields. No guessing: a name given twice is an error.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The args of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Args {
    /// Args by position.
    pub positional: Vec<Value>,
    /// Args by keyword.
    pub keyword: Map<String, Value>,
}

/// Args that do not fit the task.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the args do not fit the task: {}", self.reason())]
pub struct ArgsError {
    /// Where: names and indices, the outermost first; empty for the args as a whole.
    pub(super) place: String,
    pub(super) what: String,
}

impl ArgsError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            place: String::new(),
            what: what.into(),
        }
    }

    pub(super) fn reason(&self) -> String {
        if self.place.is_empty() {
            return self.what.clone();
        }
        format!("`{}`: {}", self.place, self.what)
    }
}

impl Args {
    /// The args of a task: a struct's fields by keyword, anything else by position.
    ///
    /// # Errors
    /// [`ArgsError`] when the value has no form in JSON.
    pub fn of<T: Serialize>(task: &T) -> Result<Self, ArgsError> {
        let value =
            serde_json::to_value(task).map_err(|error| ArgsError::new(error.to_string()))?;
        Ok(Self::from(value))
    }

    /// The args as the task's type.
    ///
    /// # Errors
    /// [`ArgsError`]: what is missing, given twice, too many, or of the wrong type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        T::deserialize(self)
    }

    /// Positional args under the names of the fields they stand for, then the keyword args.
    pub(super) fn named(
        &self,
        fields: &'static [&'static str],
    ) -> Result<impl Iterator<Item = (&str, &Value)>, ArgsError> {
        if self.positional.len() > fields.len() {
            let (given, known) = (self.positional.len(), fields.len());
            return Err(ArgsError::new(format!(
                "{given} args by position, but the task has {known}"
            )));
        }
        let positional = fields.iter().copied().zip(&self.positional);
        let mut twice = positional.clone();
        if let Some((field, _)) = twice.find(|(field, _)| self.keyword.contains_key(*field)) {
            return Err(ArgsError::new(format!(
                "`{field}` is given by position and by keyword"
            )));
        }
        Ok(positional.chain(by_name(&self.keyword)))
    }

    pub(super) fn only_positional(&self) -> Result<&[Value], ArgsError> {
        match self.keyword.keys().next() {
            Some(name) => Err(ArgsError::new(format!(
                "`{name}` is given by keyword, but the task's args have no names"
            ))),
            None => Ok(&self.positional),
        }
    }
}

/// The entries of an object.
pub(super) fn by_name(object: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    object.iter().map(|(name, value)| (name.as_str(), value))
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
        #[serde(default)]
        look: Look,
    }

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Look {
        colour: u8,
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
            look: Look::default(),
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

    /// Whoever kicks may be newer than whoever runs it.
    #[test]
    fn a_keyword_that_a_struct_does_not_know_is_passed_over() {
        let call = args(json!(["e1", 640]), json!({"of_tomorrow": true}));
        assert_eq!(call.decode::<Render>().expect("fits"), render(None));
    }

    #[test]
    fn what_does_not_fit_is_said_in_one_clear_sentence() {
        let table = [
            (
                args(json!(["e1", 1, "n", "small", {}, 5]), json!({})),
                "6 args by position, but the task has 5",
            ),
            (
                args(json!(["e1", 1]), json!({"width": 2})),
                "`width` is given by position and by keyword",
            ),
            (args(json!(["e1"]), json!({})), "missing field `width`"),
            (
                args(json!(["e1", 1, null, {"large": "secret"}]), json!({})),
                "`size.large`: found a string, expected u8",
            ),
            (
                args(json!(["e1", 1, null, "secret"]), json!({})),
                "`size`: unknown variant, expected one of small, large",
            ),
            (
                args(json!(["e1", 1]), json!({"look": {"color": "secret"}})),
                "`look`: unknown field `color`, expected one of colour",
            ),
            (
                args(json!(["e1", 1]), json!({"look": {"a secret\n": 1}})),
                "`look`: unknown field `..`, expected one of colour",
            ),
            (
                args(json!(["e1", "wide"]), json!({})),
                "`width`: found a string, expected u32",
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

    /// Types of other crates quote what they do not like.
    #[test]
    fn what_a_type_says_is_kept_without_what_it_quotes() {
        #[derive(Debug, Deserialize)]
        struct Export {
            #[expect(dead_code, reason = "never read: it does not fit")]
            id: uuid::Uuid,
        }
        let call = args(json!(["secret"]), json!({}));
        let error = call.decode::<Export>().expect_err("no id").to_string();
        assert!(
            error.contains("`id`: ") && error.contains("found .."),
            "{error}"
        );
        let said = |text: &str| <ArgsError as serde::de::Error>::custom(text).to_string();
        let rule = said("a task's name is not \"one two\" nor 'b' or `c");
        assert!(
            rule.ends_with("a task's name is not .. nor .. or .."),
            "{rule}"
        );
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
            let expected = Render { export: export.clone(), width, note: note.clone(), size: Size::Small, look: Look::default() };
            let all = [("export", json!(export)), ("width", json!(width)), ("note", json!(note))];
            let positional = all[..split].iter().map(|(_, v)| v.clone()).collect();
            let keyword = all[split..].iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
            prop_assert_eq!(Args { positional, keyword }.decode::<Render>().expect("fits"), expected);
        }

        #[test]
        fn what_we_kick_is_what_the_handler_gets(export in ".{0,8}", width: u32) {
            let task = Render { export, width, note: None, size: Size::Large(1), look: Look::default() };
            prop_assert_eq!(Args::of(&task).expect("serializes").decode::<Render>().expect("fits"), task);
        }
    }
}
