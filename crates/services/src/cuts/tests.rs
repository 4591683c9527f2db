//! What is kept: a table of cases, and what holds for any input.

use proptest::prelude::*;

use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn silences(list: &[(u64, u64)]) -> Vec<Silence> {
    let silence = |&(from, to): &(u64, u64)| Silence {
        from: ms(from),
        to: ms(to),
    };
    list.iter().map(silence).collect()
}

fn kept(duration: u64, list: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let settings = CutSettings {
        padding: ms(100),
        min_silence: ms(1000),
        min_keep: ms(200),
    };
    keep_segments(ms(duration), &silences(list), settings)
        .iter()
        .map(|s| (s.from.as_millis() as u64, s.to.as_millis() as u64))
        .collect()
}

#[test]
fn the_table() {
    type Pairs = &'static [(u64, u64)];
    let table: &[(&str, Pairs, Pairs)] = &[
        ("no silence", &[], &[(0, 10_000)]),
        ("a pause", &[(2000, 4000)], &[(0, 2100), (3900, 10_000)]),
        ("a breath", &[(2000, 2999)], &[(0, 10_000)]),
        (
            "just long enough",
            &[(2000, 3000)],
            &[(0, 2100), (2900, 10_000)],
        ),
        ("at the start", &[(0, 2000)], &[(1900, 10_000)]),
        ("at the end", &[(8000, 10_000)], &[(0, 8100)]),
        ("past the end", &[(8000, 12_000)], &[(0, 8100)]),
        ("beyond the end", &[(11_000, 12_000)], &[(0, 10_000)]),
        ("everything", &[(0, 10_000)], &[]),
        ("all but a click at either end", &[(150, 9850)], &[]),
        (
            "a click between",
            &[(2000, 4000), (4150, 6000)],
            &[(0, 2100), (5900, 10_000)],
        ),
        (
            "a word between",
            &[(2000, 4000), (4200, 6000)],
            &[(0, 2100), (3900, 4300), (5900, 10_000)],
        ),
        (
            "unordered",
            &[(6000, 8000), (2000, 4000)],
            &[(0, 2100), (3900, 6100), (7900, 10_000)],
        ),
        (
            "overlapping",
            &[(2000, 4000), (3000, 5000)],
            &[(0, 2100), (4900, 10_000)],
        ),
        (
            "touching breaths",
            &[(2000, 2600), (2600, 3200)],
            &[(0, 2100), (3100, 10_000)],
        ),
        ("backwards", &[(4000, 2000)], &[(0, 10_000)]),
    ];
    for (name, list, expected) in table {
        assert_eq!(kept(10_000, list), *expected, "{name}");
    }
}

#[test]
fn nothing_is_kept_of_nothing() {
    assert_eq!(kept(0, &[]), []);
    assert_eq!(kept(0, &[(0, 5000)]), []);
}

#[test]
fn padding_that_fills_a_silence_leaves_it() {
    let settings = CutSettings {
        padding: ms(600),
        ..CutSettings::default()
    };
    let kept = keep_segments(ms(5000), &silences(&[(2000, 3100)]), settings);
    assert_eq!(
        kept,
        [Segment {
            from: ms(0),
            to: ms(5000)
        }]
    );
}

prop_compose! {
    fn any_settings()(padding in 0u64..800, min_silence in 0u64..2000, min_keep in 0u64..800) -> CutSettings {
        CutSettings { padding: ms(padding), min_silence: ms(min_silence), min_keep: ms(min_keep) }
    }
}

prop_compose! {
    fn any_silences()(list in prop::collection::vec((0u64..70_000, 0u64..9000), 0..20)) -> Vec<Silence> {
        list.iter().map(|&(from, length)| Silence { from: ms(from), to: ms(from + length) }).collect()
    }
}

proptest! {
    #[test]
    fn segments_are_ordered_apart_and_inside(
        duration in 0u64..60_000, list in any_silences(), settings in any_settings(),
    ) {
        let duration = ms(duration);
        let kept = keep_segments(duration, &list, settings);
        let mut end = None;
        for segment in &kept {
            prop_assert!(segment.from < segment.to && segment.to <= duration);
            prop_assert!(end.is_none_or(|end| end < segment.from));
            end = Some(segment.to);
        }
    }

    #[test]
    fn kept_and_cut_make_the_whole(
        duration in 0u64..60_000, list in any_silences(), settings in any_settings(),
    ) {
        let duration = ms(duration);
        let kept = keep_segments(duration, &list, settings);
        let mut cut = Duration::ZERO;
        let mut at = Duration::ZERO;
        for segment in &kept {
            cut += segment.from - at;
            at = segment.to;
        }
        cut += duration - at;
        prop_assert_eq!(total(&kept) + cut, duration);
    }

    #[test]
    fn without_crumbs_only_silence_is_cut(
        duration in 1u64..60_000, list in any_silences(), settings in any_settings(), at in 0u64..60_000,
    ) {
        let settings = CutSettings { min_keep: Duration::ZERO, ..settings };
        let at = ms(at.min(duration - 1));
        let silent = list.iter().any(|s| s.from <= at && at < s.to);
        let kept = keep_segments(ms(duration), &list, settings);
        prop_assert!(silent || kept.iter().any(|s| s.from <= at && at < s.to));
    }

    #[test]
    fn no_crumb_is_kept_beside_a_cut(
        duration in 0u64..60_000, list in any_silences(), settings in any_settings(),
    ) {
        let kept = keep_segments(ms(duration), &list, settings);
        let whole = kept.len() == 1 && kept[0].length() == ms(duration);
        prop_assert!(whole || kept.iter().all(|s| s.length() >= settings.min_keep));
    }
}

#[test]
fn what_is_no_list_of_segments_is_said() {
    let clip = Duration::from_millis(10_000);
    let at = |from: u64, to: u64| Segment {
        from: Duration::from_millis(from),
        to: Duration::from_millis(to),
    };
    let good: [(&[Segment], &[Segment]); 3] = [
        (&[at(0, 10_000)], &[at(0, 10_000)]),
        (&[at(0, 10_400)], &[at(0, 10_000)]),
        (
            &[at(0, 10), at(10, 10), at(10, 20)],
            &[at(0, 10), at(10, 20)],
        ),
    ];
    for (keep, expected) in good {
        assert_eq!(checked(keep, clip).as_deref(), Ok(expected));
    }
    let bad: [(&[Segment], CutFault); 6] = [
        (&[], CutFault::Nothing),
        (&[at(5, 5)], CutFault::Nothing),
        (&[at(9, 5)], CutFault::Backwards(at(9, 5))),
        (
            &[at(0, 9), at(8, 10)],
            CutFault::Overlap(at(0, 9), at(8, 10)),
        ),
        (&[at(0, 10_501)], CutFault::Outside(at(0, 10_501), clip)),
        (
            &[at(10_001, 10_100)],
            CutFault::Outside(at(10_001, 10_100), clip),
        ),
    ];
    for (keep, expected) in bad {
        assert_eq!(checked(keep, clip), Err(expected));
        assert!(!expected.to_string().contains('\n'));
    }
}

#[test]
fn a_moment_after_the_cuts() {
    let at = |from: u64, to: u64| Segment {
        from: Duration::from_millis(from),
        to: Duration::from_millis(to),
    };
    let keep = [at(1000, 2000), at(5000, 6000)];
    for (time, expected) in [
        (0, 0),
        (1000, 0),
        (1500, 500),
        (3000, 1000),
        (5500, 1500),
        (9000, 2000),
    ] {
        assert_eq!(
            after_cuts(Duration::from_millis(time), &keep),
            Duration::from_millis(expected),
            "{time}"
        );
    }
}
