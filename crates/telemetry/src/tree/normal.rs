//! Ids as numbers in the order they appear, so that the trees of two runs compare equal.

use std::collections::HashMap;

pub(super) struct Ids {
    on: bool,
    known: HashMap<String, usize>,
}

impl Ids {
    pub(super) fn new(on: bool) -> Self {
        Self {
            on,
            known: HashMap::new(),
        }
    }

    /// The number of this id.
    pub(super) fn replace(&mut self, id: &str) -> String {
        if !self.on {
            return id.to_owned();
        }
        let next = self.known.len() + 1;
        let number = *self.known.entry(id.to_owned()).or_insert(next);
        format!("<id {number}>")
    }

    /// The text with every word that looks like an id replaced.
    pub(super) fn replace_in(&mut self, text: &str) -> String {
        if !self.on {
            return text.to_owned();
        }
        let mut replaced = String::with_capacity(text.len());
        let mut word = String::new();
        for c in text.chars() {
            if c.is_ascii_alphanumeric() || c == '-' {
                word.push(c);
            } else {
                self.flush(&mut word, &mut replaced);
                replaced.push(c);
            }
        }
        self.flush(&mut word, &mut replaced);
        replaced
    }

    fn flush(&mut self, word: &mut String, replaced: &mut String) {
        if is_id(word) {
            replaced.push_str(&self.replace(word));
        } else {
            replaced.push_str(word);
        }
        word.clear();
    }
}

/// A UUID with or without dashes, a trace id or a span id.
fn is_id(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_hexdigit).count();
    let dashes = word.chars().filter(|c| *c == '-').count();
    let only_these = digits + dashes == word.len();
    only_these && matches!((digits, dashes), (32, 4 | 0) | (16, 0))
}
