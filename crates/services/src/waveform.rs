//! The peaks of a recording, to be drawn: the lowest and the highest sample of each stretch.
//!
//! The layout is that of audiowaveform's JSON, version 2, which players read. It deliberately reads one kind of WAV
//! only: 16 bits, mono, as [`Ffmpeg::extract_audio`](crate::Ffmpeg::extract_audio) writes it.

use std::io::{self, BufReader, Read};

use serde::Serialize;

/// Twenty pixels a second at 16 kHz.
const SAMPLES_PER_PIXEL: u64 = 800;
/// A longer recording has longer stretches: a browser draws no more.
const MAX_PIXELS: u64 = 200_000;

/// Peaks, in audiowaveform's layout.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Waveform {
    version: u8,
    channels: u8,
    sample_rate: u32,
    samples_per_pixel: u64,
    bits: u8,
    length: usize,
    /// Lowest and highest in turn, of -128..=127.
    data: Vec<i8>,
}

impl Waveform {
    /// Reads a WAV file to its end.
    ///
    /// # Errors
    ///
    /// The reader's, or `InvalidData` for what is not a WAV of 16 bits, mono.
    pub fn of_wav(wav: impl Read) -> io::Result<Self> {
        let mut wav = BufReader::new(wav);
        let head = Head::read(&mut wav)?;
        // What is written to a pipe does not tell its length.
        let samples = u64::from(head.data_bytes) / 2;
        let samples_per_pixel = SAMPLES_PER_PIXEL.max(samples.div_ceil(MAX_PIXELS));
        let data = peaks(&mut wav.take(head.data_bytes.into()), samples_per_pixel)?;
        Ok(Self {
            version: 2,
            channels: 1,
            sample_rate: head.sample_rate,
            samples_per_pixel,
            bits: 8,
            length: data.len() / 2,
            data,
        })
    }

    /// How many stretches there are.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.length
    }
}

struct Head {
    sample_rate: u32,
    data_bytes: u32,
}

impl Head {
    /// Reads up to the first sample.
    fn read(wav: &mut impl Read) -> io::Result<Self> {
        let mut riff = [0; 12];
        wav.read_exact(&mut riff)?;
        if &riff[..4] != b"RIFF" || &riff[8..] != b"WAVE" {
            return Err(bad("it is no WAV file"));
        }
        let mut sample_rate = None;
        loop {
            let mut chunk = [0; 8];
            wav.read_exact(&mut chunk)?;
            let [a, b, c, d, size @ ..] = chunk;
            let size = u32::from_le_bytes(size);
            match (&[a, b, c, d], sample_rate) {
                (b"fmt ", _) => sample_rate = Some(format(wav, size)?),
                (b"data", Some(sample_rate)) => {
                    return Ok(Self {
                        sample_rate,
                        data_bytes: size,
                    });
                }
                // Chunks begin at even places.
                _ => skip(wav, u64::from(size) + u64::from(size % 2))?,
            }
        }
    }
}

/// The sample rate of a format that is read here.
fn format(wav: &mut impl Read, size: u32) -> io::Result<u32> {
    let mut format = [0; 16];
    wav.read_exact(&mut format)?;
    skip(wav, u64::from(size.saturating_sub(16)))?;
    let short = |at: usize| u16::from_le_bytes([format[at], format[at + 1]]);
    if (short(2), short(14)) != (1, 16) {
        return Err(bad("it is not mono with 16 bits"));
    }
    let [_, _, _, _, a, b, c, d, ..] = format;
    Ok(u32::from_le_bytes([a, b, c, d]))
}

fn skip(wav: &mut impl Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut wav.take(bytes), &mut io::sink())?;
    match skipped == bytes {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn peaks(samples: &mut impl Read, per_pixel: u64) -> io::Result<Vec<i8>> {
    let mut data = Vec::new();
    let (mut low, mut high, mut seen) = (i16::MAX, i16::MIN, 0);
    let mut sample = [0; 2];
    while read_whole(samples, &mut sample)? {
        let value = i16::from_le_bytes(sample);
        (low, high, seen) = (low.min(value), high.max(value), seen + 1);
        if seen == per_pixel {
            data.extend([eight_bits(low), eight_bits(high)]);
            (low, high, seen) = (i16::MAX, i16::MIN, 0);
        }
    }
    if seen > 0 {
        data.extend([eight_bits(low), eight_bits(high)]);
    }
    Ok(data)
}

/// False at the end; half a sample there is none.
fn read_whole(from: &mut impl Read, sample: &mut [u8; 2]) -> io::Result<bool> {
    match from.read_exact(sample) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn eight_bits(sample: i16) -> i8 {
    let [_, high] = sample.to_le_bytes();
    high.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(channels: u8, data: &[i16]) -> Vec<u8> {
        let mut wav = b"RIFF\0\0\0\0WAVE".to_vec();
        wav.extend(b"LIST\x03\0\0\0abc\0");
        wav.extend(b"fmt \x10\0\0\0\x01\0");
        wav.extend([channels, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0]);
        wav.extend(b"data");
        wav.extend(u32::try_from(data.len() * 2).unwrap().to_le_bytes());
        wav.extend(data.iter().flat_map(|sample| sample.to_le_bytes()));
        wav
    }

    #[test]
    fn each_stretch_has_its_lowest_and_highest_sample() {
        let mut samples = vec![0; 2000];
        (samples[10], samples[20], samples[900], samples[1999]) = (i16::MAX, i16::MIN, 256, -1);
        let waveform = Waveform::of_wav(&wav(1, &samples)[..]).unwrap();
        assert_eq!(waveform.data, [-128, 127, 0, 1, -1, 0]);
        assert_eq!((waveform.pixels(), waveform.sample_rate), (3, 16_000));
        let json = serde_json::to_value(&waveform).unwrap();
        assert_eq!(json["samples_per_pixel"], 800);
        assert_eq!((&json["version"], &json["bits"]), (&2.into(), &8.into()));
    }

    #[test]
    fn silence_and_nothing_are_drawn_too() {
        assert_eq!(Waveform::of_wav(&wav(1, &[])[..]).unwrap().pixels(), 0);
        assert_eq!(Waveform::of_wav(&wav(1, &[0])[..]).unwrap().data, [0, 0]);
    }

    #[test]
    fn what_is_no_such_wav_is_refused() {
        for bytes in [
            wav(2, &[0, 0]),
            b"RIFX....WAVE....".to_vec(),
            b"RIFF".to_vec(),
            Vec::new(),
        ] {
            assert!(Waveform::of_wav(&bytes[..]).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_long_recording_has_longer_stretches() {
        let samples = vec![1_i16; 1000];
        let stretched = peaks(&mut &wav(1, &samples)[56..], 500).unwrap();
        assert_eq!(stretched.len(), 4);
    }
}
