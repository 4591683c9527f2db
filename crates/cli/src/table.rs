//! Tables and the texts in their cells: aligned, short, and unable to steer a terminal. Pure; no colours.

use std::time::{SystemTime, UNIX_EPOCH};

/// The cells of a row of which nothing is known.
pub(crate) const UNKNOWN: &str = "-";

/// Columns as wide as their widest cell; the last one ends where its text does.
pub(crate) fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let text = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(text).collect()
}

/// Text that somebody else wrote, without what could steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.replace(steers, " ")
}

/// The first `most` characters of a text that somebody else wrote, and a sign if there are more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let mut chars = text.chars();
    let mut kept: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        kept.push('…');
    }
    plain(&kept)
}

/// Whether a character does something to a terminal instead of standing on it: controls, and what turns the direction of text.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Seconds as a person says them: one number, and a unit in which it is not small.
pub(crate) fn age(seconds: u64) -> String {
    match seconds {
        s if s >= 2 * 86_400 => format!("{}d", s / 86_400),
        s if s >= 2 * 3_600 => format!("{}h", s / 3_600),
        s if s >= 120 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// The age of a moment, both in seconds since 1970. What lies ahead, as clocks differ, is now.
pub(crate) fn since(now: f64, then: f64) -> String {
    let passed = std::time::Duration::try_from_secs_f64(now - then);
    age(passed.unwrap_or_default().as_secs())
}

/// Now, in seconds since 1970.
pub(crate) fn now() -> f64 {
    unix(SystemTime::now())
}

/// A moment in seconds since 1970.
pub(crate) fn unix(moment: SystemTime) -> f64 {
    let passed = moment.duration_since(UNIX_EPOCH);
    passed.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["id", "error"], ["longer", "x"], ["é", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), ["id      error", "longer  x", "é"]);
    }

    #[test]
    fn ages_are_short() {
        let table = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_200, "2h"),
            (200_000, "2d"),
        ];
        for (seconds, text) in table {
            assert_eq!(age(seconds), text);
        }
        assert_eq!(since(1000.0, 870.9), "2m");
        assert_eq!(since(1000.0, 2000.0), "0s", "clocks differ");
        assert_eq!(since(1000.0, f64::NAN), "0s");
    }

    #[test]
    fn nothing_that_somebody_wrote_steers_the_terminal() {
        let text = plain("a\u{1b}[31mb\nc\u{9b}d\u{202e}e\u{2066}é");
        assert_eq!(text, "a [31mb c d e é");
        assert_eq!(cut("abc\n", 4), "abc ");
        assert_eq!(cut("abcde", 4), "abcd…");
    }
}
