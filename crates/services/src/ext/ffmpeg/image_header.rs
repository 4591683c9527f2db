//! What the first bytes of a picture say: its format and its size.
//!
//! It deliberately reads no pixels: whether a picture is too large is known before anything is decoded. A name is not looked at; a
//! mislabelled picture is what its bytes say.

/// What a picture is, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// ffmpeg's demuxer for it.
    pub(super) demuxer: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// How much of a file is enough, unless a camera wrote more than that before the size.
pub(super) const ENOUGH: usize = 1024 * 1024;

/// `Err` is the reason in words.
pub(super) fn read(bytes: &[u8]) -> Result<Header, &'static str> {
    let (demuxer, size) = match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', rest @ ..] => ("png_pipe", png(rest)),
        [0xff, 0xd8, rest @ ..] => ("jpeg_pipe", jpeg(rest)),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', rest @ ..] => ("gif", gif(rest)),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            rest @ ..,
        ] => ("webp_pipe", webp(rest)),
        _ => return Err("it is not a JPEG, PNG, WebP or GIF"),
    };
    match size {
        None => Err("it ends before it says how large it is"),
        Some((0, _) | (_, 0)) => Err("it says that it has no pixels"),
        Some((width, height)) => Ok(Header {
            demuxer,
            width,
            height,
        }),
    }
}

fn png(rest: &[u8]) -> Option<(u32, u32)> {
    let chunk = rest.get(..16)?;
    (&chunk[4..8] == b"IHDR").then(|| (big(&chunk[8..12]), big(&chunk[12..16])))
}

fn gif(rest: &[u8]) -> Option<(u32, u32)> {
    let size = rest.get(..4)?;
    Some((little(&size[..2]), little(&size[2..])))
}

/// Goes from marker to marker to the one that starts a frame.
fn jpeg(rest: &[u8]) -> Option<(u32, u32)> {
    let mut at = 0;
    loop {
        let (mark, kind) = (*rest.get(at)?, *rest.get(at + 1)?);
        match (mark, kind) {
            // Between markers there may be any number of these.
            (0xff, 0xff) => at += 1,
            (0xff, 0x01 | 0xd0..=0xd7) => at += 2,
            // The pixels have begun, and nothing said how many.
            (0xff, 0xd9 | 0xda) => return None,
            // All frames but those three, which are tables.
            (0xff, 0xc0..=0xcf) if !matches!(kind, 0xc4 | 0xc8 | 0xcc) => {
                let frame = rest.get(at + 5..at + 9)?;
                return Some((big(&frame[2..4]), big(&frame[..2])));
            }
            (0xff, _) => at += 2 + usize::try_from(big(rest.get(at + 2..at + 4)?)).ok()?,
            _ => return None,
        }
    }
}

fn webp(rest: &[u8]) -> Option<(u32, u32)> {
    let (kind, body) = (rest.get(..4)?, rest.get(8..)?);
    match kind {
        b"VP8 " => {
            let size = body.get(6..10)?;
            Some((little(&size[..2]) & 0x3fff, little(&size[2..]) & 0x3fff))
        }
        b"VP8L" => {
            let bits = little(body.get(1..5)?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            let size = body.get(4..10)?;
            Some((little(&size[..3]) + 1, little(&size[3..]) + 1))
        }
        _ => None,
    }
}

fn big(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

fn little(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(bytes: &[u8]) -> Result<(u32, u32), &'static str> {
        read(bytes).map(|header| (header.width, header.height))
    }

    #[test]
    fn sizes_of_every_format() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x02\0\0\0\x03";
        assert_eq!(size(png), Ok((258, 3)));
        assert_eq!(size(b"GIF89a\x02\x01\x03\0"), Ok((258, 3)));
        let jpeg = b"\xff\xd8\xff\xe1\0\x04ab\xff\xff\xc4\0\x03c\xff\xc2\0\x11\x08\0\x03\x01\x02";
        assert_eq!(size(jpeg), Ok((258, 3)));
        let lossy = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0abc\x9d\x01\x2a\x02\x01\x03\0";
        assert_eq!(size(lossy), Ok((258, 3)));
        let lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x01\x81\0\0";
        assert_eq!(size(lossless), Ok((258, 3)));
        let extended = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x01\x01\0\x02\0\0";
        assert_eq!(size(extended), Ok((258, 3)));
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for other in [
            &b""[..],
            b"\xff",
            b"%PDF-1.7",
            b"<svg/>",
            b"RIFF\0\0\0\0WAVEfmt ",
        ] {
            assert_eq!(size(other), Err("it is not a JPEG, PNG, WebP or GIF"));
        }
        let pixels_at_once = b"\xff\xd8\xff\xda\0\x02";
        for cut in [
            &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0"[..],
            b"\xff\xd8\xff\xe1\xff\xff",
            pixels_at_once,
        ] {
            assert_eq!(size(cut), Err("it ends before it says how large it is"));
        }
        assert_eq!(
            size(b"GIF89a\0\0\x03\0"),
            Err("it says that it has no pixels")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            start in proptest::sample::select(vec![
                &b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8", b"\xff\xd8\xff\xe1", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8L",
                b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8 ", b"",
            ]),
            rest in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
        ) {
            let _ = read(&[start, &rest].concat());
        }
    }
}
