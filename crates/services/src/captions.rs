//! Captions: moved through the cuts, and written as files.
//!
//! Pure text. It deliberately knows no styles inside a caption: whatever characters a text has, it
//! is shown as it is, and none of them reaches ffmpeg but in a file.

use std::fmt::Write;
use std::time::Duration;

use crate::cuts::{Segment, after_cuts};

/// A shorter caption is gone before anybody sees it.
const SHORTEST: Duration = Duration::from_millis(40);

/// A text and when it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// When it appears.
    pub from: Duration,
    /// When it goes.
    pub to: Duration,
    /// Plain text, of one or several lines.
    pub text: String,
}

/// The captions of a recording as its cut version has them: `keep` is ordered and does not
/// overlap. What is cut has none, and one that is cut inside goes on after the cut.
#[must_use]
pub fn cut(cues: &[Cue], keep: &[Segment]) -> Vec<Cue> {
    let mut moved: Vec<Cue> = cues
        .iter()
        .map(|cue| Cue {
            from: after_cuts(cue.from, keep),
            to: after_cuts(cue.to, keep),
            text: plain(&cue.text),
        })
        .filter(|cue| cue.to.saturating_sub(cue.from) >= SHORTEST && !cue.text.is_empty())
        .collect();
    moved.sort_by_key(|cue| (cue.from, cue.to));
    moved
}

/// Lines without blank ones between them (those would end a cue) and without control characters.
fn plain(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words: String = line.chars().filter(|c| !c.is_control()).collect();
        words.trim().to_owned()
    });
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

/// As SubRip.
#[must_use]
pub fn srt(cues: &[Cue]) -> String {
    let mut out = String::new();
    for (number, cue) in cues.iter().enumerate() {
        let (from, to) = (clock(cue.from, ','), clock(cue.to, ','));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{}\n{from} --> {to}\n{}\n",
            number + 1,
            arrowless(&cue.text)
        );
    }
    out
}

/// As WebVTT.
#[must_use]
pub fn vtt(cues: &[Cue]) -> String {
    let mut out = String::from("WEBVTT\n\n");
    for cue in cues {
        let (from, to) = (clock(cue.from, '.'), clock(cue.to, '.'));
        let text = cue.text.replace('&', "&amp;");
        let text = text.replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(out, "{from} --> {to}\n{text}\n");
    }
    out
}

/// As Advanced SubStation Alpha, to be burnt into pictures of this size: white with a dark edge,
/// at the bottom.
#[must_use]
pub fn ass(cues: &[Cue], (width, height): (u32, u32)) -> String {
    let short = width.min(height);
    let (size, margin) = ((short / 16).max(8), short / 14);
    let (outline, sides) = ((short / 240).max(1), width / 16);
    let mut out = format!(
        "[Script Info]\nScriptType: v4.00+\nPlayResX: {width}\nPlayResY: {height}\nWrapStyle: 0\n\
         ScaledBorderAndShadow: yes\n\n[V4+ Styles]\n\
         Format: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, BackColour, Bold, \
         BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n\
         Style: Default,Sans,{size},&H00FFFFFF,&H00101010,&H00101010,1,1,{outline},0,2,{sides},\
         {sides},{margin},1\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    );
    for cue in cues {
        let (from, to) = (hundredths(cue.from), hundredths(cue.to));
        let _ = writeln!(
            out,
            "Dialogue: 0,{from},{to},Default,{}",
            unstyled(&cue.text)
        );
    }
    out
}

/// No line of a text is taken for the times of a cue.
fn arrowless(text: &str) -> String {
    text.replace("-->", "->")
}

/// Nothing in a text is taken for a style: a brace is shown as one, and a backslash is kept from
/// the letter after it by a character of no width.
fn unstyled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\N"),
            '{' | '}' => out.extend(['\\', c]),
            '\\' => out.push_str("\\\u{2060}"),
            c => out.push(c),
        }
    }
    out
}

fn clock(time: Duration, point: char) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}{point}{millis:03}",
        seconds % 60
    )
}

fn hundredths(time: Duration) -> String {
    let (seconds, hundredths) = (time.as_secs(), time.subsec_millis() / 10);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}.{hundredths:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(from: u64, to: u64, text: &str) -> Cue {
        Cue {
            from: Duration::from_millis(from),
            to: Duration::from_millis(to),
            text: text.to_owned(),
        }
    }

    fn keep(bounds: &[(u64, u64)]) -> Vec<Segment> {
        let segment = |(from, to): &(u64, u64)| Segment {
            from: Duration::from_millis(*from),
            to: Duration::from_millis(*to),
        };
        bounds.iter().map(segment).collect()
    }

    #[test]
    fn captions_move_with_what_is_kept() {
        let keep = keep(&[(1000, 2000), (5000, 9000)]);
        let table = [
            ((1000, 1500), Some((0, 500))),
            ((0, 1200), Some((0, 200))),
            ((1500, 6000), Some((500, 2000))),
            ((2100, 4900), None),
            ((1990, 5010), None),
            ((8000, 20_000), Some((4000, 5000))),
            ((9000, 9500), None),
        ];
        for ((from, to), expected) in table {
            let moved = cut(&[cue(from, to, "word")], &keep);
            let expected = expected.map(|(from, to)| cue(from, to, "word"));
            assert_eq!(moved, Vec::from_iter(expected), "{from} to {to}");
        }
    }

    #[test]
    fn captions_come_in_order_and_empty_ones_not_at_all() {
        let keep = keep(&[(0, 9000)]);
        let cues = [
            cue(3000, 4000, "b\r\n\r\n c\u{7}"),
            cue(0, 900, "a"),
            cue(5000, 6000, " \n "),
        ];
        assert_eq!(
            cut(&cues, &keep),
            [cue(0, 900, "a"), cue(3000, 4000, "b\nc")]
        );
    }

    #[test]
    fn subrip() {
        let cues = [
            cue(0, 1500, "one\ntwo"),
            cue(3_723_004, 3_724_000, "a --> b"),
        ];
        let expected = "1\n00:00:00,000 --> 00:00:01,500\none\ntwo\n\n\
                        2\n01:02:03,004 --> 01:02:04,000\na -> b\n\n";
        assert_eq!(srt(&cues), expected);
    }

    #[test]
    fn webvtt() {
        let text = vtt(&[cue(0, 1500, "<i>R&D --> x")]);
        let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n&lt;i&gt;R&amp;D --&gt; x\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_in_a_text_is_a_style() {
        let text = ass(&[cue(10, 1509, "{\\b1}C:\\Nice\nnext")], (640, 360));
        let line = text.lines().last().unwrap();
        let words = "\\{\\\u{2060}b1\\}C:\\\u{2060}Nice\\Nnext";
        assert_eq!(
            line,
            format!("Dialogue: 0,0:00:00.01,0:00:01.50,Default,{words}")
        );
        assert!(text.contains("PlayResX: 640\nPlayResY: 360\n"));
    }

    proptest::proptest! {
        #[test]
        fn every_caption_is_one_line_of_the_file_that_is_burnt(text in "[\\PC\n\\\\{},]{0,40}") {
            let cues = cut(&[cue(0, 1000, &text)], &keep(&[(0, 1000)]));
            let lines = ass(&cues, (64, 64)).lines().filter(|line| line.starts_with("Dialogue")).count();
            proptest::prop_assert_eq!(lines, cues.len());
        }
    }
}
