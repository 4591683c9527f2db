//! How long a WAV file says it is: ffprobe tells that only when as much is there.
//!
//! It deliberately understands plain samples only, whose number of bytes is their length, and reads nothing but the head.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Ffmpeg, MediaError, MediaSource, explained};

/// Notes of the recorder stand before the samples; more than this of them is not read.
const HEAD: usize = 64 * 1024;
/// Whole numbers, fractions, and either with more said about them.
const PLAIN: [u64; 3] = [1, 3, 0xfffe];
/// From here on, a size means that whoever began to write did not know it.
const UNKNOWN: u64 = 0x7fff_f000;

impl Ffmpeg {
    /// What the head of a WAV file says.
    pub(super) async fn length_of_wav(
        &self,
        cancel: &CancellationToken,
        source: &MediaSource,
    ) -> Result<Option<Duration>, MediaError> {
        let head = HEAD.to_string();
        let run = self
            .ffmpeg()
            .args(["-f", "data", "-raw_packet_size", &head])
            .args(source.input_args_of("data"))
            .args(["-map", "0", "-c", "copy", "-frames:d", "1"])
            .args(["-f", "data", "pipe:1"]);
        let answer = run.collect(cancel, HEAD).await;
        let answer = answer.map_err(|error| explained(source, error))?;
        Ok(told(&answer.stdout))
    }
}

/// The length by the first chunks of a file.
fn told(head: &[u8]) -> Option<Duration> {
    let is_wav = matches!(head.get(..4)?, b"RIFF" | b"RF64") && head.get(8..12)? == b"WAVE";
    let mut rest = is_wav.then(|| head.get(12..))??;
    let (mut bytes_per_second, mut long_size) = (None, None);
    loop {
        let (name, size) = (rest.get(..4)?, number(rest, 4, 4)?);
        let body = rest.get(8..)?;
        match name {
            b"fmt " if PLAIN.contains(&number(body, 0, 2)?) => {
                bytes_per_second = Some(number(body, 8, 4)?);
            }
            b"ds64" => long_size = Some(number(body, 8, 8)?),
            b"data" => {
                let size = long_size.or((1..UNKNOWN).contains(&size).then_some(size))?;
                let seconds = size as f64 / bytes_per_second? as f64;
                return Duration::try_from_secs_f64(seconds).ok();
            }
            _ => {}
        }
        rest = body.get(usize::try_from(size.next_multiple_of(2)).ok()?..)?;
    }
}

/// So many bytes from there on, the lowest one first.
fn number(bytes: &[u8], from: usize, count: usize) -> Option<u64> {
    let bytes = bytes.get(from..from + count)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &str, size: u32, body: &[u8]) -> Vec<u8> {
        [name.as_bytes(), &size.to_le_bytes(), body].concat()
    }

    /// The head of a file with 1000 bytes a second.
    fn head(kind: &str, format: u16, chunks: &[Vec<u8>]) -> Vec<u8> {
        let mut body = format.to_le_bytes().to_vec();
        body.extend([1, 0, 0, 4, 0, 0]);
        body.extend(1000_u32.to_le_bytes());
        body.extend([2, 0, 16, 0]);
        let start = [kind.as_bytes(), &[0; 4], b"WAVE"].concat();
        [start, chunk("fmt ", 16, &body), chunks.concat()].concat()
    }

    #[test]
    fn what_heads_say() {
        let data = |size: u32| chunk("data", size, b"");
        let notes = chunk("LIST", 3, b"abc\0");
        let long = chunk(
            "ds64",
            16,
            &[[0; 8], 5_000_000_000_u64.to_le_bytes()].concat(),
        );
        let table = [
            (head("RIFF", 1, &[data(2500)]), Some(2.5)),
            (
                head("RIFF", 0xfffe, &[notes.clone(), data(2500)]),
                Some(2.5),
            ),
            (head("RF64", 3, &[long, data(u32::MAX)]), Some(5_000_000.0)),
            // MP3 in a WAV, sizes that were not known, and no samples at all.
            (head("RIFF", 0x55, &[data(2500)]), None),
            (head("RIFF", 1, &[data(0)]), None),
            (head("RIFF", 1, &[data(u32::MAX)]), None),
            (head("RIFF", 1, &[data(0x7fff_ffdb)]), None),
            (head("RIFF", 1, &[notes]), None),
            (head("OggS", 1, &[data(2500)]), None),
            (Vec::new(), None),
        ];
        for (head, seconds) in table {
            assert_eq!(told(&head).map(|length| length.as_secs_f64()), seconds);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_head_is_too_odd(mut bytes in proptest::collection::vec(0u8.., 0..200)) {
            let _ = told(&bytes);
            let start = head("RIFF", 1, &[]);
            bytes.splice(0..0, start);
            let _ = told(&bytes);
        }
    }
}
