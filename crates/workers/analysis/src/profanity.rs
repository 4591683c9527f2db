//! Strong language: where it is said, so that it can be muted, and how it reads in captions. Pure. English only.
//!
//! What was heard counts as well as what a model made of it: a model that is too polite must not put it past the mute.

use serde::{Deserialize, Serialize};

use crate::words::{Stretch, Word, merged, plain};

/// How much more than the word is muted at either side, in microseconds: recognisers are a little early or late.
const MARGIN: u64 = 50_000;
/// What may stand behind a stem.
const ENDINGS: [&str; 10] = ["", "s", "es", "ed", "er", "ers", "in", "ing", "y", "ty"];

/// Words as they may be read, and where not to hear them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Censored {
    pub(crate) words: Vec<Word>,
    pub(crate) mutes: Vec<Stretch>,
}

/// `read` is what stands in captions, `heard` what the recogniser heard.
pub(crate) fn censored(read: &[Word], heard: &[Word]) -> Censored {
    let said = heard
        .iter()
        .chain(read)
        .filter(|word| is_profane(&word.text));
    let mutes = said.map(|word| Stretch {
        from_us: word.at.from_us.saturating_sub(MARGIN),
        to_us: word.at.to_us.saturating_add(MARGIN),
    });
    let mutes = merged(mutes.collect());
    let word = |word: &Word| Word {
        text: match is_profane(&word.text) {
            true => masked(&word.text),
            false => word.text.clone(),
        },
        at: word.at,
    };
    let words = read.iter().map(word).collect();
    Censored { words, mutes }
}

/// A line each, in `profanity.txt`.
fn stems() -> impl Iterator<Item = &'static str> {
    include_str!("profanity.txt").lines()
}

fn is_profane(word: &str) -> bool {
    let word = plain(word);
    stems().any(|stem| {
        let ending = word.strip_prefix(stem);
        ending.is_some_and(|ending| ENDINGS.contains(&ending))
    })
}

/// The first letter, and a star for each other; what is no letter stays.
fn masked(word: &str) -> String {
    let mut seen = false;
    let mask = |c: char| match c.is_alphanumeric() {
        false => c,
        true if std::mem::replace(&mut seen, true) => '*',
        true => c,
    };
    word.chars().map(mask).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word(text: &str, from_us: u64, to_us: u64) -> Word {
        Word {
            text: text.to_owned(),
            at: Stretch { from_us, to_us },
        }
    }

    #[test]
    fn words_are_known_in_their_forms_and_not_within_others() {
        for said in [
            "shit", "Shit!", "SHITTY,", "bullshit", "fucking", "fuckin'", "bitches",
        ] {
            assert!(is_profane(said), "{said}");
        }
        for fine in [
            "",
            "-",
            "shitake",
            "Scunthorpe",
            "cocktail",
            "class",
            "Dick",
            "shirt",
        ] {
            assert!(!is_profane(fine), "{fine}");
        }
        assert_eq!(masked("\"Shitty,\""), "\"S*****,\"");
    }

    #[test]
    fn what_was_heard_is_muted_also_when_it_reads_otherwise() {
        let heard = [
            word("oh", 0, 200_000),
            word("shit", 300_000, 600_000),
            word("shit", 620_000, 900_000),
        ];
        let read = [
            word("Oh,", 0, 200_000),
            word("sugar", 300_000, 600_000),
            word("shit.", 620_000, 900_000),
        ];
        let censored = censored(&read, &heard);
        let texts: Vec<&str> = censored
            .words
            .iter()
            .map(|word| word.text.as_str())
            .collect();
        assert_eq!(texts, ["Oh,", "sugar", "s***."]);
        let stretch = Stretch {
            from_us: 250_000,
            to_us: 950_000,
        };
        assert_eq!(censored.mutes, [stretch]);
    }

    proptest! {
        #[test]
        fn every_profane_word_is_muted_whole_and_never_read(
            said in proptest::collection::vec((prop_oneof!["shit", "Bullshit!", "so", "yes"], 0_u64..5_000_000, 0_u64..900_000), 0..20)
        ) {
            let words: Vec<Word> = said.iter().map(|(text, from, long)| word(text, *from, from + long)).collect();
            let censored = censored(&words, &words);
            prop_assert_eq!(censored.words.len(), words.len());
            prop_assert!(!censored.words.iter().any(|word| is_profane(&word.text)));
            for word in words.iter().filter(|word| is_profane(&word.text)) {
                prop_assert!(censored.mutes.iter().any(|mute| mute.from_us <= word.at.from_us && word.at.to_us <= mute.to_us));
            }
            prop_assert!(censored.mutes.windows(2).all(|pair| pair[0].to_us < pair[1].from_us));
        }
    }
}
