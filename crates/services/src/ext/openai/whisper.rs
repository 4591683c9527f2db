//! Speech to text, with the time of each word.
//!
//! What is heard is checked before anybody builds on it: times that run backwards or past the end would cut where nothing was
//! said.

use std::path::Path;
use std::time::Duration;

use sapari_telemetry::{Traced, ext_span};
use tracing::field::Empty;

use super::answers_json::{SpokenWord, TokenUsage, Transcription};
use super::endpoint::Call;
use super::multipart::Form;
use super::{Endpoint, ModelError, Price, Used};
use crate::ext::ffmpeg::ClipCall;

/// The most that OpenAI takes.
const MAX_SOUND: u64 = 25 * 1024 * 1024;
/// A day of words.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// The most that one call may take: an hour of speech on a slow machine.
const WITHIN: Duration = Duration::from_secs(30 * 60);
/// No language has longer ones.
const MAX_WORD: usize = 200;

/// A model that hears words.
#[derive(Debug, Clone)]
pub struct Whisper {
    endpoint: Endpoint,
    model: String,
    a_minute: Option<Price>,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Every word, in the order of their beginnings.
    pub words: Vec<Word>,
    /// In which language, as the endpoint calls it.
    pub language: Option<String>,
    /// What the call took.
    pub used: Used,
}

/// A word, and when it was said. It may be of no length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Without space around it; never empty.
    pub text: String,
    /// When it begins.
    pub from: Duration,
    /// When it ends.
    pub to: Duration,
}

impl Whisper {
    /// The largest file that is sent. Larger sound is compressed first, or refused.
    pub const MAX_SOUND: u64 = MAX_SOUND;

    /// This model of an endpoint, at so many dollars a minute.
    #[must_use]
    pub fn new(endpoint: Endpoint, model: impl Into<String>, a_minute: Option<Price>) -> Self {
        Self {
            endpoint,
            model: model.into(),
            a_minute,
        }
    }

    /// Host and port of the endpoint.
    #[must_use]
    pub fn place(&self) -> &str {
        self.endpoint.place()
    }

    /// What a call costs, in millionths of a dollar; 0 when the price is not known.
    #[must_use]
    pub fn cost(&self, of: Duration) -> u64 {
        self.a_minute
            .map_or(0, |price| price.of(of.as_secs_f64() / 60.0))
    }

    /// The words in a sound file of this length.
    ///
    /// # Cancel safety
    ///
    /// A dropped future ends the call. The endpoint may charge for it.
    ///
    /// # Errors
    ///
    /// See [`ModelError`].
    pub async fn transcribe(
        &self,
        call: ClipCall<'_>,
        sound: &Path,
        length: Duration,
    ) -> Result<Heard, ModelError> {
        let span = ext_span!(whisper.transcribe {
            clip_file_uuid = %call.clip_file_uuid, model = %self.model,
            audio_seconds = length.as_secs_f64(), operation.cost = Empty
        });
        let heard = Box::pin(self.transcribed(call, sound, length))
            .traced(span.clone())
            .await?;
        if self.a_minute.is_some() {
            span.record("operation.cost", heard.used.microcents as f64 / 1e6);
        }
        Ok(heard)
    }

    async fn transcribed(
        &self,
        call: ClipCall<'_>,
        sound: &Path,
        length: Duration,
    ) -> Result<Heard, ModelError> {
        let (content_type, body) = self.form(sound, &read(sound).await?);
        let answer = self.endpoint.post(Call {
            path: "audio/transcriptions",
            content_type: &content_type,
            body,
            within: WITHIN,
            most: MAX_ANSWER,
            cancel: call.cancel,
        });
        let answer = answer.await?;
        let heard: Transcription = serde_json::from_slice(&answer)
            .map_err(|error| self.endpoint.malformed(place_of(&error)))?;
        let words = words(&heard.text, heard.words, length);
        let TokenUsage {
            prompt_tokens,
            completion_tokens,
        } = heard.usage.unwrap_or_default();
        Ok(Heard {
            words: words.map_err(|reason| self.endpoint.malformed(reason))?,
            language: heard.language,
            used: Used {
                model: self.model.clone(),
                input_tokens: prompt_tokens,
                output_tokens: completion_tokens,
                microcents: self.cost(length),
            },
        })
    }

    fn form(&self, sound: &Path, bytes: &[u8]) -> (String, Vec<u8>) {
        let file = match sound.extension().and_then(|extension| extension.to_str()) {
            Some("ogg") => ("audio.ogg", "audio/ogg"),
            _ => ("audio.wav", "audio/wav"),
        };
        let form = Form::new().field("model", &self.model);
        let form = form.field("response_format", "verbose_json");
        let form = form.field("timestamp_granularities[]", "word");
        form.file(file, bytes).end()
    }
}

async fn read(sound: &Path) -> Result<Vec<u8>, ModelError> {
    let io = |source| ModelError::Io {
        path: sound.to_owned(),
        source,
    };
    let bytes = tokio::fs::metadata(sound).await.map_err(io)?.len();
    if bytes > MAX_SOUND {
        let limit = MAX_SOUND;
        return Err(ModelError::TooLarge { bytes, limit });
    }
    tokio::fs::read(sound).await.map_err(io)
}

/// Where JSON is not as expected, without what stands there.
pub(super) fn place_of(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "JSON of another form",
        _ => "no JSON",
    };
    format!("{kind}, at line {} column {}", error.line(), error.column())
}

/// The words, if their times can be believed.
fn words(
    text: &str,
    spoken: Option<Vec<SpokenWord>>,
    length: Duration,
) -> Result<Vec<Word>, String> {
    let Some(spoken) = spoken else {
        // Nothing said is nothing heard; but words without times cut nothing.
        return match text.trim() {
            "" => Ok(Vec::new()),
            _ => Err("there is text, and no `words` with their times".to_owned()),
        };
    };
    let mut words: Vec<Word> = Vec::with_capacity(spoken.len());
    for (index, SpokenWord { word, start, end }) in spoken.into_iter().enumerate() {
        let bad = |what: &str| Err(format!("word {index} {what}"));
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok();
        let (Some(from), Some(to)) = (time(start), time(end)) else {
            return bad("has no time");
        };
        if word.len() > MAX_WORD {
            return bad("is too long");
        }
        if to < from {
            return bad("ends before it begins");
        }
        if words.last().is_some_and(|last| from < last.from) {
            return bad("begins before the one before it");
        }
        // Endpoints round, and hear the last word to the end of their window.
        let (from, to) = (from.min(length), to.min(length));
        let text = word.trim().to_owned();
        if !text.is_empty() {
            words.push(Word { text, from, to });
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(words: &[(&str, f64, f64)]) -> Option<Vec<SpokenWord>> {
        let word = |&(word, start, end): &(&str, f64, f64)| SpokenWord {
            word: word.to_owned(),
            start,
            end,
        };
        Some(words.iter().map(word).collect())
    }

    const LENGTH: Duration = Duration::from_secs(10);

    #[test]
    fn words_are_trimmed_and_kept_inside_the_clip() {
        let heard = spoken(&[(" So", -0.01, 0.5), (" ", 0.5, 0.5), ("yes.", 9.5, 11.0)]);
        let words = words("So yes.", heard, LENGTH).expect("words");
        let at = |ms| Duration::from_millis(ms);
        let expected = [("So", at(0), at(500)), ("yes.", at(9500), at(10_000))];
        let found: Vec<_> = words
            .iter()
            .map(|it| (it.text.as_str(), it.from, it.to))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn times_that_cannot_be_believed_are_malformed() {
        let table = [
            (
                spoken(&[("a", f64::NAN, 1.0), ("b", 1.0, f64::INFINITY)]),
                "has no time",
            ),
            (spoken(&[("a", 2.0, 1.0)]), "ends before it begins"),
            (
                spoken(&[("a", 2.0, 3.0), ("b", 1.0, 4.0)]),
                "word 1 begins before",
            ),
            (spoken(&[(&"x".repeat(201), 2.0, 3.0)]), "is too long"),
            (None, "no `words`"),
        ];
        for (heard, expected) in table {
            let error = words("text", heard, LENGTH).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(words(" ", None, LENGTH), Ok(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_is_in_order_and_inside_or_refused(
            heard in proptest::collection::vec(("[a-z ]{0,4}", -1.0..20.0_f64, -1.0..20.0_f64), 0..12)
        ) {
            let heard: Vec<_> = heard.iter().map(|(word, from, to)| (word.as_str(), *from, *to)).collect();
            if let Ok(words) = words("text", spoken(&heard), LENGTH) {
                proptest::prop_assert!(words.is_sorted_by_key(|word| word.from));
                for word in words {
                    proptest::prop_assert!(word.from <= word.to && word.to <= LENGTH && !word.text.is_empty());
                }
            }
        }
    }
}
