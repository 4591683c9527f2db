//! The answers of endpoints, as far as anything reads them.

use serde::Deserialize;

/// `/audio/transcriptions` as `verbose_json`.
#[derive(Deserialize)]
pub(super) struct Transcription {
    #[serde(default)]
    pub(super) text: String,
    pub(super) language: Option<String>,
    /// There when word timestamps were asked for and are known.
    pub(super) words: Option<Vec<SpokenWord>>,
    pub(super) usage: Option<TokenUsage>,
}

/// A word, and when it was said, in seconds.
#[derive(Deserialize)]
pub(super) struct SpokenWord {
    pub(super) word: String,
    pub(super) start: f64,
    pub(super) end: f64,
}

/// `/chat/completions`.
#[derive(Deserialize)]
pub(super) struct Completion {
    pub(super) model: Option<String>,
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<TokenUsage>,
}

/// One of the texts that the model offers.
#[derive(Deserialize)]
pub(super) struct Choice {
    pub(super) message: Message,
    pub(super) finish_reason: Option<String>,
}

/// The text, unless the model would not say anything.
#[derive(Deserialize)]
pub(super) struct Message {
    pub(super) content: Option<String>,
}

/// Tokens: chat and speech to text count under different names, and some count seconds.
#[derive(Deserialize, Default)]
pub(super) struct TokenUsage {
    #[serde(default, alias = "input_tokens")]
    pub(super) prompt_tokens: u64,
    #[serde(default, alias = "output_tokens")]
    pub(super) completion_tokens: u64,
}

/// What an endpoint says when it says no.
#[derive(Deserialize)]
pub(super) struct No {
    pub(super) error: NoDetail,
}

/// Its codes; the sentence beside them is left where it is.
#[derive(Deserialize)]
pub(super) struct NoDetail {
    pub(super) code: Option<serde_json::Value>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}
