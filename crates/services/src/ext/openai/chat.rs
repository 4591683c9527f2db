//! One question to a chat model, and its answer as text.
//!
//! What is asked and answered stands on no span: a hash of it does.

use std::time::Duration;

use sapari_telemetry::switches::{LlmSpan, LlmUsage, llm_span, record_usage};
use sapari_telemetry::{Traced, ext_span};
use serde_json::json;
use tracing::Span;

use super::answers_json::{Choice, Completion};
use super::endpoint::Call;
use super::whisper::place_of;
use super::{Endpoint, ModelError, Price, Used};
use crate::ext::ffmpeg::ClipCall;
use crate::hash::hashed;

/// The most that an answer may have.
const MAX_ANSWER: usize = 1024 * 1024;
/// The most that one call may take.
const WITHIN: Duration = Duration::from_secs(3 * 60);

/// A model that answers.
#[derive(Debug, Clone)]
pub struct Chat {
    endpoint: Endpoint,
    model: String,
    /// For a million tokens read.
    reading: Option<Price>,
    /// For a million tokens written.
    writing: Option<Price>,
}

/// What is asked: what the model is to do, and with what. The answer is a JSON object.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// What it is to do.
    pub system: &'a str,
    /// With what.
    pub user: &'a str,
    /// The most that it may write.
    pub most_tokens: u32,
}

/// What the model said.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text, as it came.
    pub text: String,
    /// What the call took.
    pub used: Used,
}

impl Chat {
    /// This model of an endpoint, at so many dollars a million tokens read and written.
    #[must_use]
    pub fn new(
        endpoint: Endpoint,
        model: impl Into<String>,
        (reading, writing): (Option<Price>, Option<Price>),
    ) -> Self {
        Self {
            endpoint,
            model: model.into(),
            reading,
            writing,
        }
    }

    /// Host and port of the endpoint.
    #[must_use]
    pub fn place(&self) -> &str {
        self.endpoint.place()
    }

    /// The most that a question may cost, in millionths of a dollar; 0 when no price is known.
    #[must_use]
    pub fn most(&self, question: Question<'_>) -> u64 {
        // No token is shorter than a byte.
        let bytes = question.system.len() + question.user.len();
        self.cost(bytes as u64, question.most_tokens.into())
    }

    fn cost(&self, input: u64, output: u64) -> u64 {
        let of = |price: Option<Price>, tokens| price.map_or(0, |price| price.of_tokens(tokens));
        of(self.reading, input).saturating_add(of(self.writing, output))
    }

    /// Asks, once.
    ///
    /// # Cancel safety
    ///
    /// A dropped future ends the call. The endpoint may charge for it.
    ///
    /// # Errors
    ///
    /// See [`ModelError`].
    pub async fn ask(
        &self,
        call: ClipCall<'_>,
        question: Question<'_>,
    ) -> Result<Answer, ModelError> {
        let span =
            ext_span!(llm.chat { clip_file_uuid = %call.clip_file_uuid, model = %self.model });
        Box::pin(self.asked(call, question)).traced(span).await
    }

    async fn asked(
        &self,
        call: ClipCall<'_>,
        question: Question<'_>,
    ) -> Result<Answer, ModelError> {
        // Made in here, so that it stands below the call's own.
        let work = async {
            let span = self.span(question);
            self.answered(call, question, &span)
                .traced(span.clone())
                .await
        };
        work.await
    }

    fn span(&self, question: Question<'_>) -> Span {
        let prompt = hashed([question.system, question.user].join("\n").as_bytes());
        llm_span(|| LlmSpan {
            operation: "chat",
            provider: match self.place() {
                "api.openai.com" => "openai",
                _ => "openai-compatible",
            },
            model: &self.model,
            prompt_hash: &prompt,
        })
    }

    async fn answered(
        &self,
        call: ClipCall<'_>,
        question: Question<'_>,
        span: &Span,
    ) -> Result<Answer, ModelError> {
        let body = json!({
            "model": self.model,
            "messages": [
                { "role": "system", "content": question.system },
                { "role": "user", "content": question.user },
            ],
            "response_format": { "type": "json_object" },
            "max_completion_tokens": question.most_tokens,
        });
        let answer = self.endpoint.post(Call {
            path: "chat/completions",
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            within: WITHIN,
            most: MAX_ANSWER,
            cancel: call.cancel,
        });
        let answer = answer.await?;
        let completion: Completion = serde_json::from_slice(&answer)
            .map_err(|error| self.endpoint.malformed(place_of(&error)))?;
        let used = self.used(&completion);
        record_usage(
            span,
            LlmUsage {
                model: &used.model,
                input_tokens: used.input_tokens,
                output_tokens: used.output_tokens,
                cost: self.reading.map(|_| used.microcents as f64 / 1e6),
            },
        );
        let text = text(completion.choices).map_err(|reason| self.endpoint.malformed(reason))?;
        Ok(Answer { text, used })
    }

    fn used(&self, completion: &Completion) -> Used {
        let tokens = completion.usage.as_ref();
        let tokens = tokens.map_or((0, 0), |usage| {
            (usage.prompt_tokens, usage.completion_tokens)
        });
        let (input_tokens, output_tokens) = tokens;
        Used {
            model: completion
                .model
                .clone()
                .unwrap_or_else(|| self.model.clone()),
            input_tokens,
            output_tokens,
            microcents: self.cost(input_tokens, output_tokens),
        }
    }
}

/// The first text, if it is whole.
fn text(choices: Vec<Choice>) -> Result<String, &'static str> {
    let choice = choices.into_iter().next().ok_or("it has no choices")?;
    if choice.finish_reason.as_deref() == Some("length") {
        return Err("the answer is cut off at the most that was asked for");
    }
    let text = choice.message.content.unwrap_or_default();
    match text.trim() {
        "" => Err("the answer is empty"),
        _ => Ok(text),
    }
}
