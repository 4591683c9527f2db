//! Spans of libraries, each behind a switch: LLM calls, SQL, Redis. Off costs one look at a flag: neither the span nor its
//! attributes are made.
//!
//! The switches keep the names they have in the Python services, so that an existing `.env` works. Values of commands and
//! prompts never stand on a span: a caller gives a hash of its prompt.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::field::Empty;
use tracing::{Span, info_span};

/// Which part of the product a process is: the web process and the workers have switches of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessKind {
    /// Answers people.
    Web,
    /// Works on what was kicked; the scheduler and the command line count as workers.
    #[default]
    Worker,
}

/// Which libraries' spans are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Calls to language models. On unless said otherwise: they cost most, and their spans say what.
    pub llm: bool,
    /// SQL queries. On unless said otherwise.
    pub sql: bool,
    /// Redis commands. Off unless said otherwise: there are many, and they are alike.
    pub redis: bool,
}

impl Switches {
    /// What holds when nobody says anything.
    pub const DEFAULT: Self = Self {
        llm: true,
        sql: true,
        redis: false,
    };
}

impl Default for Switches {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The variables of each switch: the first is for the web process, the second for workers.
pub(crate) const LLM: [&str; 2] = ["LOGFIRE_INSTRUMENT_PYDANTIC_AI"; 2];
pub(crate) const SQL: [&str; 2] = [
    "LOGFIRE_INSTRUMENT_SQLALCHEMY",
    "LOGFIRE_INSTRUMENT_SQLALCHEMY_WORKERS",
];
pub(crate) const REDIS: [&str; 2] = [
    "LOGFIRE_INSTRUMENT_REDIS",
    "LOGFIRE_INSTRUMENT_REDIS_WORKERS",
];

impl ProcessKind {
    pub(crate) fn variable(self, pair: [&'static str; 2]) -> &'static str {
        match self {
            Self::Web => pair[0],
            Self::Worker => pair[1],
        }
    }
}

static LLM_ON: AtomicBool = AtomicBool::new(Switches::DEFAULT.llm);
static SQL_ON: AtomicBool = AtomicBool::new(Switches::DEFAULT.sql);
static REDIS_ON: AtomicBool = AtomicBool::new(Switches::DEFAULT.redis);

/// Decides for the whole process.
pub(crate) fn install(switches: Switches) {
    LLM_ON.store(switches.llm, Ordering::Relaxed);
    SQL_ON.store(switches.sql, Ordering::Relaxed);
    REDIS_ON.store(switches.redis, Ordering::Relaxed);
}

/// What a Redis span says.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedisSpan<'a> {
    /// The command, or of several the first: `GET`, `EVALSHA`.
    pub command: &'a str,
    /// How many commands go together.
    pub commands: usize,
    /// Host and port, without a password.
    pub server: &'a str,
}

/// A span around Redis commands, named after the first, kind client; none while the switch is off.
#[must_use]
pub fn redis_span<'a>(attrs: impl FnOnce() -> RedisSpan<'a>) -> Span {
    if !REDIS_ON.load(Ordering::Relaxed) {
        return Span::none();
    }
    let attrs = attrs();
    let several = (attrs.commands > 1).then(|| i64::try_from(attrs.commands).unwrap_or(i64::MAX));
    info_span!(
        "redis",
        otel.name = attrs.command,
        otel.kind = "client",
        db.system.name = "redis",
        db.operation.name = attrs.command,
        db.operation.batch.size = several,
        server.address = attrs.server,
    )
}

/// What an SQL span says.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqlSpan<'a> {
    /// The database: `postgresql`.
    pub system: &'a str,
    /// The query in few words, of low cardinality: `SELECT clips`.
    pub summary: &'a str,
    /// The query with placeholders where values stand.
    pub text: &'a str,
    /// The database's name.
    pub namespace: &'a str,
}

/// A span around an SQL query, kind client; none while the switch is off.
#[must_use]
pub fn sql_span<'a>(attrs: impl FnOnce() -> SqlSpan<'a>) -> Span {
    if !SQL_ON.load(Ordering::Relaxed) {
        return Span::none();
    }
    let attrs = attrs();
    info_span!(
        "sql",
        otel.name = attrs.summary,
        otel.kind = "client",
        db.system.name = attrs.system,
        db.namespace = attrs.namespace,
        db.query.summary = attrs.summary,
        db.query.text = attrs.text,
        db.response.returned_rows = Empty,
    )
}

/// What a span of a call to a language model says.
#[derive(Clone, Copy, Debug, Default)]
pub struct LlmSpan<'a> {
    /// `chat`, `text_completion`, `transcription`.
    pub operation: &'a str,
    /// Who runs the model: `openai`.
    pub provider: &'a str,
    /// The model that is asked for.
    pub model: &'a str,
    /// Tells equal prompts from different ones, without what stands in them.
    pub prompt_hash: &'a str,
}

/// A span around a call to a language model, `<operation> <model>`, kind client; none while the switch is off. What it used
/// is recorded later: see [`record_usage`].
#[must_use]
pub fn llm_span<'a>(attrs: impl FnOnce() -> LlmSpan<'a>) -> Span {
    if !LLM_ON.load(Ordering::Relaxed) {
        return Span::none();
    }
    let attrs = attrs();
    info_span!(
        "llm",
        otel.name = %format_args!("{} {}", attrs.operation, attrs.model),
        otel.kind = "client",
        gen_ai.operation.name = attrs.operation,
        gen_ai.provider.name = attrs.provider,
        gen_ai.request.model = attrs.model,
        gen_ai.prompt.hash = attrs.prompt_hash,
        gen_ai.response.model = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        operation.cost = Empty,
    )
}

/// What a call to a language model used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LlmUsage<'a> {
    /// The model that answered.
    pub model: &'a str,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// In US dollars; none when the price is not known.
    pub cost: Option<f64>,
}

/// Writes on the span of a call what it used.
pub fn record_usage(span: &Span, usage: LlmUsage<'_>) {
    let number = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    span.record("gen_ai.response.model", usage.model);
    span.record("gen_ai.usage.input_tokens", number(usage.input_tokens));
    span.record("gen_ai.usage.output_tokens", number(usage.output_tokens));
    if let Some(cost) = usage.cost {
        span.record("operation.cost", cost);
    }
}
