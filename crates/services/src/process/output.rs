//! What is done with the bytes a process writes: lines, a bounded buffer, or only the tail.
//!
//! It deliberately does no I/O and never logs: process output may hold names and addresses of
//! customers.

/// A longer line is cut here; the rest of it is dropped.
pub(super) const MAX_LINE: usize = 64 * 1024;
/// How much of stderr is kept.
pub(super) const TAIL: usize = 16 * 1024;

/// Where the bytes of stdout go.
pub(super) trait Sink {
    /// Takes the next bytes. `Err` is the limit, in bytes, that they broke.
    fn feed(&mut self, chunk: &[u8]) -> Result<(), usize>;
    /// There is no more.
    fn end(&mut self);
}

/// Hands out whole lines, without their ends, as text (bytes that are not UTF-8 are replaced).
pub(super) struct Lines<F> {
    on_line: F,
    line: Vec<u8>,
}

impl<F: FnMut(&str)> Lines<F> {
    pub(super) fn new(on_line: F) -> Self {
        Self {
            on_line,
            line: Vec::new(),
        }
    }

    fn push(&mut self, piece: &[u8]) {
        let room = MAX_LINE - self.line.len();
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn emit(&mut self) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        (self.on_line)(&String::from_utf8_lossy(line));
        self.line.clear();
    }
}

impl<F: FnMut(&str)> Sink for Lines<F> {
    fn feed(&mut self, chunk: &[u8]) -> Result<(), usize> {
        let mut pieces = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.push(piece);
            if pieces.peek().is_some() {
                self.emit();
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        if !self.line.is_empty() {
            self.emit();
        }
    }
}

/// Keeps everything, up to a limit.
pub(super) struct Bounded {
    pub(super) bytes: Vec<u8>,
    limit: usize,
}

impl Bounded {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
        }
    }
}

impl Sink for Bounded {
    fn feed(&mut self, chunk: &[u8]) -> Result<(), usize> {
        if chunk.len() > self.limit - self.bytes.len() {
            return Err(self.limit);
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    fn end(&mut self) {}
}

/// Keeps the last [`TAIL`] bytes.
#[derive(Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        // Trimmed at twice the size, so that the copying stays proportional to the input.
        if self.bytes.len() > 2 * TAIL {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let surplus = self.bytes.len().saturating_sub(TAIL);
        self.cut |= surplus > 0;
        self.bytes.drain(..surplus);
    }

    pub(super) fn into_text(mut self) -> String {
        self.trim();
        let text = String::from_utf8_lossy(&self.bytes);
        if !self.cut {
            return text.into_owned();
        }
        // A line cut in half could begin inside a URL's secret, where no redaction would see it.
        text.split_once('\n')
            .map_or("", |(_, whole)| whole)
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
        let mut seen = Vec::new();
        let mut lines = Lines::new(|line: &str| seen.push(line.to_owned()));
        for chunk in chunks {
            lines.feed(chunk).unwrap();
        }
        lines.end();
        seen
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        assert_eq!(lines_of(&[]), Vec::<String>::new());
        assert_eq!(lines_of(&[b"a\n"]), ["a"]);
        assert_eq!(lines_of(&[b"a", b"b\r\n\nc"]), ["ab", "", "c"]);
        assert_eq!(lines_of(&[b"\xff\n"]), ["\u{fffd}"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let long = vec![b'x'; MAX_LINE + 10];
        let seen = lines_of(&[&long, &long, b"\nnext\n"]);
        assert_eq!(seen[0].len(), MAX_LINE);
        assert_eq!(seen[1], "next");
    }

    #[test]
    fn the_tail_keeps_whole_last_lines() {
        let mut tail = Tail::default();
        for number in 0..10_000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        let text = tail.into_text();
        assert!(text.len() <= TAIL);
        assert!(text.starts_with("line ") && text.ends_with("line 9999\n"));
    }

    #[test]
    fn a_short_tail_is_kept_as_it_is() {
        let mut tail = Tail::default();
        tail.push(b"one\ntwo");
        assert_eq!(tail.into_text(), "one\ntwo");
    }

    proptest::proptest! {
        #[test]
        fn where_the_chunks_end_does_not_matter(
            text in "[a-c\n]{0,60}", at in 0usize..60,
        ) {
            let bytes = text.as_bytes();
            let at = at.min(bytes.len());
            proptest::prop_assert_eq!(
                lines_of(&[bytes]),
                lines_of(&[&bytes[..at], &bytes[at..]])
            );
        }
    }
}
