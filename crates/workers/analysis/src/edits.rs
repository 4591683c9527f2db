//! What is kept, muted and read of a clip, from what was found in it. Pure. Whatever comes in, what goes out is in order, inside the
//! clip, and does not overlap: that is what validating means here.

use std::time::Duration;

use sapari_services::{CutSettings, Segment, Silence, keep_segments};
use serde::{Deserialize, Serialize};

use crate::false_starts::FalseStart;
use crate::profanity::Censored;
use crate::words::{Stretch, Word, merged};

/// A shorter rest between two cuts is no sound that anybody misses: two frames of a usual video, in microseconds.
const SHORTEST: u64 = 80_000;
/// The most that one caption has, in characters: two lines.
const MAX_CHARS: usize = 84;
/// The longest that one caption stands, in microseconds.
const MAX_STANDS: u64 = 6_000_000;
/// A pause that ends a caption, in microseconds.
const PAUSE: u64 = 800_000;

/// What was found in the sound of a clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quiet {
    /// How long the clip is.
    pub(crate) length_us: u64,
    pub(crate) silences: Vec<Stretch>,
}

/// What is kept of a clip, what of that is muted, and what is said in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Edits {
    pub(crate) keep: Vec<Stretch>,
    pub(crate) mutes: Vec<Stretch>,
    pub(crate) words: Vec<Word>,
}

/// The edits that follow from silences, and where there is a transcript, from false starts and strong language.
pub(crate) fn validated(
    quiet: &Quiet,
    starts: &[FalseStart],
    censored: Option<&Censored>,
) -> Edits {
    let keep = kept(quiet, starts);
    let inside = |stretch: &Stretch| Stretch {
        from_us: stretch.from_us.min(quiet.length_us),
        to_us: stretch.to_us.min(quiet.length_us),
    };
    let is_heard = |mute: &Stretch| {
        keep.iter()
            .any(|it| it.from_us < mute.to_us && mute.from_us < it.to_us)
    };
    let is_said = |word: &Word| {
        let middle = word.at.middle();
        keep.iter()
            .any(|it| (it.from_us..it.to_us).contains(&middle))
    };
    let (words, mutes) = censored.map_or((&[][..], &[][..]), |it| (&it.words, &it.mutes));
    let mut words: Vec<Word> = words.iter().filter(|word| is_said(word)).cloned().collect();
    words.sort_by_key(|word| word.at.from_us);
    let mut mutes = merged(mutes.iter().map(inside).collect());
    mutes.retain(is_heard);
    Edits { keep, mutes, words }
}

fn kept(quiet: &Quiet, starts: &[FalseStart]) -> Vec<Stretch> {
    let silence = |it: &Stretch| Silence {
        from: it.from(),
        to: it.to(),
    };
    let silences: Vec<Silence> = quiet.silences.iter().map(silence).collect();
    let length = Duration::from_micros(quiet.length_us);
    let segments = keep_segments(length, &silences, CutSettings::default());
    let cuts = merged(starts.iter().map(|start| start.cut).collect());
    let between = |segment: Segment| without(Stretch::between(segment.from, segment.to), &cuts);
    segments.into_iter().flat_map(between).collect()
}

/// What is left of a stretch without the cuts, which are in order and apart. A stretch that no cut touches is left as it is.
fn without(stretch: Stretch, cuts: &[Stretch]) -> Vec<Stretch> {
    let mut left = Vec::new();
    let mut from_us = stretch.from_us;
    let touching = |cut: &&Stretch| cut.from_us < stretch.to_us && stretch.from_us < cut.to_us;
    let touching: Vec<&Stretch> = cuts.iter().filter(touching).collect();
    if touching.is_empty() {
        return vec![stretch];
    }
    for cut in touching {
        left.push(Stretch {
            from_us,
            to_us: cut.from_us.max(from_us),
        });
        from_us = cut.to_us;
    }
    let to_us = stretch.to_us.max(from_us);
    left.push(Stretch { from_us, to_us });
    left.retain(|it| it.to_us - it.from_us >= SHORTEST);
    left
}

/// The words in lines for captions: full stops, pauses and the room on a screen end one. None overlaps the next. A false start that
/// was cut is no pause.
pub(crate) fn captions(words: &[Word], starts: &[FalseStart]) -> Vec<Word> {
    let mut lines: Vec<Word> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if goes_on(line, word, starts) => {
                line.text.push(' ');
                line.text.push_str(&word.text);
                line.at.to_us = line.at.to_us.max(word.at.to_us);
            }
            _ => lines.push(word.clone()),
        }
    }
    for at in 1..lines.len() {
        let next = lines[at].at.from_us;
        let before = &mut lines[at - 1].at;
        before.to_us = before.to_us.min(next);
    }
    lines.retain(|line| line.at.from_us < line.at.to_us);
    lines
}

fn goes_on(line: &Word, word: &Word, starts: &[FalseStart]) -> bool {
    let ended = line.text.ends_with(['.', '?', '!', '\u{2026}']);
    let chars = line.text.chars().count() + 1 + word.text.chars().count();
    let stands = word.at.to_us.saturating_sub(line.at.from_us);
    let between = |start: &FalseStart| {
        let (from, to) = (
            start.cut.from_us.max(line.at.to_us),
            start.cut.to_us.min(word.at.from_us),
        );
        to.saturating_sub(from)
    };
    let cut: u64 = starts.iter().map(between).sum();
    let pause = word
        .at
        .from_us
        .saturating_sub(line.at.to_us)
        .saturating_sub(cut);
    !ended && chars <= MAX_CHARS && stands <= MAX_STANDS && pause < PAUSE
}

#[cfg(test)]
mod tests;
