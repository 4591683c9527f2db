//! The headers of a delivery as they came. A worker looks at two or three of them, so that they become text when somebody asks.

use std::borrow::Cow;

use super::Headers;

/// What stands beside the body of a delivery.
pub trait Beside: Send + Sync {
    /// One header as text; none when it is not there or has no text.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;

    /// All that have a text.
    fn headers(&self) -> Headers;
}

impl Beside for Headers {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        Headers::get(self, name).map(|text| Cow::Borrowed(text.as_str()))
    }

    fn headers(&self) -> Headers {
        self.clone()
    }
}
