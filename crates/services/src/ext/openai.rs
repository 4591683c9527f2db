//! Endpoints that speak OpenAI's dialect: speech to text, and chat. OpenAI itself, or any of the servers that do as it does.
//!
//! It deliberately is no client of all that OpenAI offers, retries nothing, follows no redirect (the key would go along), and
//! repeats nothing that an endpoint says but its error codes: what it was given stands there too.

mod answers_json;
mod chat;
mod endpoint;
mod error;
mod multipart;
mod price;
mod whisper;

pub use chat::{Answer, Chat, Question};
pub use endpoint::{BadEndpoint, Endpoint};
pub use error::ModelError;
pub use price::{BadPrice, Price};
pub use whisper::{Heard, Whisper, Word};

/// What a call took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// The model that answered.
    pub model: String,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What it cost by the prices that were configured, in millionths of a US dollar.
    pub microcents: u64,
}
