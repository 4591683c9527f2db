//! Edits by table, and whatever comes in, by property.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1000;

fn stretch(from_ms: u64, to_ms: u64) -> Stretch {
    Stretch {
        from_us: from_ms * MS,
        to_us: to_ms * MS,
    }
}

fn word(text: &str, from_ms: u64, to_ms: u64) -> Word {
    Word {
        text: text.to_owned(),
        at: stretch(from_ms, to_ms),
    }
}

fn start(from_ms: u64, to_ms: u64) -> FalseStart {
    FalseStart {
        first: 0,
        again: 1,
        cut: stretch(from_ms, to_ms),
    }
}

fn quiet(length_ms: u64, silences: &[(u64, u64)]) -> Quiet {
    Quiet {
        length_us: length_ms * MS,
        silences: silences
            .iter()
            .map(|(from, to)| stretch(*from, *to))
            .collect(),
    }
}

#[test]
fn without_a_transcript_only_silences_are_cut() {
    let edits = validated(&quiet(10_000, &[(4_000, 7_000)]), &[], None);
    assert_eq!(edits.keep, [stretch(0, 4_250), stretch(6_750, 10_000)]);
    assert!(edits.mutes.is_empty() && edits.words.is_empty());
}

#[test]
fn false_starts_are_cut_out_of_what_is_kept_and_their_words_with_them() {
    let censored = Censored {
        words: vec![
            word("I", 1_000, 1_200),
            word("I", 1_600, 1_800),
            word("go", 1_900, 2_200),
            word("away", 5_000, 5_500),
        ],
        mutes: vec![
            stretch(1_550, 1_850),
            stretch(5_000, 5_500),
            stretch(9_900, 12_000),
        ],
    };
    let edits = validated(
        &quiet(10_000, &[(4_000, 7_000)]),
        &[start(1_000, 1_600)],
        Some(&censored),
    );
    let keep = [
        stretch(0, 1_000),
        stretch(1_600, 4_250),
        stretch(6_750, 10_000),
    ];
    assert_eq!(edits.keep, keep);
    let texts: Vec<&str> = edits.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(texts, ["I", "go"], "once, and not what is cut as silence");
    assert_eq!(edits.mutes, [stretch(1_550, 1_850), stretch(9_900, 10_000)]);
}

#[test]
fn a_rest_that_nobody_misses_goes_with_the_cuts_beside_it() {
    let starts = [start(1_000, 2_000), start(2_050, 3_000)];
    let edits = validated(&quiet(10_000, &[]), &starts, None);
    assert_eq!(edits.keep, [stretch(0, 1_000), stretch(3_000, 10_000)]);
}

#[test]
fn captions_end_with_sentences_pauses_and_the_screen() {
    let words = [
        word("So", 0, 200),
        word("yes.", 200, 500),
        word("And", 600, 800),
        word("then", 2_000, 2_300),
        word(&"x".repeat(80), 2_300, 2_600),
        word("end", 2_500, 9_500),
    ];
    let lines: Vec<(String, Stretch)> = captions(&words, &[])
        .into_iter()
        .map(|line| (line.text, line.at))
        .collect();
    let expected = [
        ("So yes.".to_owned(), stretch(0, 500)),
        ("And".to_owned(), stretch(600, 800)),
        ("then".to_owned(), stretch(2_000, 2_300)),
        ("x".repeat(80), stretch(2_300, 2_500)),
        ("end".to_owned(), stretch(2_500, 9_500)),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_false_start_that_was_cut_is_no_pause() {
    let words = [word("so", 0, 400), word("I", 1_300, 1_500)];
    assert_eq!(captions(&words, &[]).len(), 2);
    assert_eq!(captions(&words, &[start(500, 1_300)]).len(), 1);
}

fn stretches(most: u64) -> impl Strategy<Value = Vec<Stretch>> {
    let one = (0..most, 0..4_000_u64).prop_map(|(from, long)| stretch(from, from + long));
    proptest::collection::vec(one, 0..8)
}

fn words() -> impl Strategy<Value = Vec<Word>> {
    let one = ("[a-z]{1,12}[.]?", 0..20_000_u64, 0..900_u64);
    let one = one.prop_map(|(text, from, long)| word(&text, from, from + long));
    proptest::collection::vec(one, 0..30)
}

fn apart(stretches: &[Stretch]) -> bool {
    let long = stretches.iter().all(|it| it.from_us < it.to_us);
    long && stretches
        .windows(2)
        .all(|pair| pair[0].to_us <= pair[1].from_us)
}

proptest! {
    #[test]
    fn whatever_comes_in_edits_are_in_order_inside_the_clip_and_apart(
        length in 0..15_000_u64, silences in stretches(20_000), cuts in stretches(20_000), mutes in stretches(20_000), words in words()
    ) {
        let quiet = Quiet { length_us: length * MS, silences };
        let starts: Vec<FalseStart> = cuts.iter().map(|cut| FalseStart { first: 0, again: 1, cut: *cut }).collect();
        let edits = validated(&quiet, &starts, Some(&Censored { words, mutes }));
        prop_assert!(apart(&edits.keep) && apart(&edits.mutes));
        prop_assert!(edits.keep.iter().chain(&edits.mutes).all(|it| it.to_us <= quiet.length_us));
        for cut in cuts.iter().filter(|cut| cut.from_us < cut.to_us) {
            prop_assert!(edits.keep.iter().all(|it| it.to_us <= cut.from_us || cut.to_us <= it.from_us));
        }
        for word in &edits.words {
            let middle = word.at.middle();
            prop_assert!(edits.keep.iter().any(|it| (it.from_us..it.to_us).contains(&middle)));
        }
        let captions = captions(&edits.words, &starts);
        let times: Vec<Stretch> = captions.iter().map(|line| line.at).collect();
        prop_assert!(apart(&times));
        prop_assert!(captions.iter().all(|line| line.text.chars().count() <= MAX_CHARS));
    }
}
