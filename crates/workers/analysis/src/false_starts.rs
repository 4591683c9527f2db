//! Where somebody began to say something, stopped, and said it again: `I want to I want to go`. Pure.
//!
//! Only what is said again word for word is taken for one: whatever is cut is heard once more, so that nothing is lost when it was
//! meant. A single word counts only where nobody repeats it for effect. It knows no language but English's short words.

use serde::{Deserialize, Serialize};

use crate::words::{Stretch, Word, plain};

/// The longest beginning that is looked for, in words.
const LONGEST: usize = 8;
/// Whoever begins again does so soon, in microseconds; after a longer pause it is a new thought.
const SOON: u64 = 1_500_000;
/// Words that are said twice by mistake. `That that` and `had had` are good English, `very very` is meant.
const STUTTERED: [&str; 34] = [
    "a", "about", "an", "and", "as", "at", "because", "but", "by", "for", "from", "he", "i", "if",
    "in", "is", "it", "my", "of", "on", "or", "our", "she", "so", "the", "their", "they", "this",
    "to", "was", "we", "what", "with", "you",
];
/// What is repeated with one of these between is meant: `again and again and again`.
const JOINING: [&str; 4] = ["and", "or", "by", "after"];

/// Words that are said again right behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FalseStart {
    /// The first word.
    pub(crate) first: usize,
    /// The word that begins again.
    pub(crate) again: usize,
    /// What to cut: up to where it is said again.
    pub(crate) cut: Stretch,
}

/// Every false start, in order. They do not overlap.
pub(crate) fn false_starts(words: &[Word]) -> Vec<FalseStart> {
    let said: Vec<String> = words.iter().map(|word| plain(&word.text)).collect();
    let mut found = Vec::new();
    let mut first = 0;
    while first < words.len() {
        let length = (1..=LONGEST)
            .rev()
            .find(|length| is_said_again(words, &said, first, *length));
        let Some(length) = length else {
            first += 1;
            continue;
        };
        let again = first + length;
        let cut = Stretch {
            from_us: words[first].at.from_us,
            to_us: words[again].at.from_us,
        };
        found.push(FalseStart { first, again, cut });
        first = again;
    }
    found
}

fn is_said_again(words: &[Word], said: &[String], first: usize, length: usize) -> bool {
    let (again, end) = (first + length, first + 2 * length);
    if end > said.len() || said[first..again] != said[again..end] {
        return false;
    }
    let once = &said[first..again];
    let pause = words[again]
        .at
        .from_us
        .saturating_sub(words[again - 1].at.to_us);
    if once.iter().any(String::is_empty) || pause > SOON {
        return false;
    }
    let (head, tail) = (once[0].as_str(), once[length - 1].as_str());
    let joins = |word: &str| JOINING.contains(&word);
    match once.iter().all(|word| *word == head) {
        true => STUTTERED.contains(&head),
        false => !joins(tail) && (length > 2 || !joins(head)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words of 0.3 s with 0.1 s between them; `_` is a pause of two seconds.
    fn spoken(text: &str) -> Vec<Word> {
        let mut at = 0;
        let mut words = Vec::new();
        for text in text.split_whitespace() {
            if text == "_" {
                at += 2_000_000;
                continue;
            }
            let stretch = Stretch {
                from_us: at,
                to_us: at + 300_000,
            };
            words.push(Word {
                text: text.to_owned(),
                at: stretch,
            });
            at += 400_000;
        }
        words
    }

    fn left(text: &str) -> String {
        let words = spoken(text);
        let cut = false_starts(&words);
        let is_cut = |index: usize| cut.iter().any(|it| (it.first..it.again).contains(&index));
        let left = words
            .iter()
            .enumerate()
            .filter(|(index, _)| !is_cut(*index));
        left.map(|(_, word)| word.text.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn what_is_said_again_is_cut_once() {
        let table = [
            ("I want to I want to go", "I want to go"),
            ("the the the cat", "the cat"),
            ("So we So, we went", "So, we went"),
            ("it is what it is", "it is what it is"),
            ("no no no", "no no no"),
            ("very very good", "very very good"),
            ("that that is", "that that is"),
            ("again and again and again", "again and again and again"),
            ("I want to _ I want to go", "I want to _ I want to go"),
            ("I wan- I want", "I wan- I want"),
            ("- - the", "- - the"),
            ("", ""),
        ];
        for (said, expected) in table {
            let expected = expected.split_whitespace().filter(|word| *word != "_");
            assert_eq!(left(said), expected.collect::<Vec<_>>().join(" "), "{said}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_cut_is_heard_again(text in "((i|want|to|the|and|go|_) ){0,40}") {
            let words = spoken(&text);
            let found = false_starts(&words);
            let mut last = 0;
            for FalseStart { first, again, cut } in found {
                prop_assert!(last <= first && first < again);
                let end = again + (again - first);
                let said = |range: std::ops::Range<usize>| {
                    words[range].iter().map(|word| plain(&word.text)).collect::<Vec<_>>()
                };
                prop_assert_eq!(said(first..again), said(again..end));
                prop_assert_eq!((cut.from_us, cut.to_us), (words[first].at.from_us, words[again].at.from_us));
                last = again;
            }
        }
    }
}
