//! What the role works with: media, and if they are configured, models that hear and read; from the settings that `--help` lists.

use std::str::FromStr;

use sapari_runtime::host::{Check, Dependencies, LoadError, Setting, Settings};
use sapari_services::{Chat, Endpoint, Media, Price, Whisper};

const WHISPER_URL: &str = "whisper-url";
const WHISPER_KEY: &str = "whisper-key";
const WHISPER_MODEL: &str = "whisper-model";
const WHISPER_PRICE: &str = "whisper-price";
const CHAT_URL: &str = "chat-url";
const CHAT_KEY: &str = "chat-key";
const CHAT_MODEL: &str = "chat-model";
const CHAT_INPUT_PRICE: &str = "chat-input-price";
const CHAT_OUTPUT_PRICE: &str = "chat-output-price";
const BUDGET: &str = "analysis-budget";

/// What the analysis of a clip works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Listener {
    pub(crate) media: Media,
    pub(crate) whisper: Option<Whisper>,
    pub(crate) chat: Option<Chat>,
    /// The most that one project may cost, in millionths of a US dollar.
    pub(crate) budget: Option<u64>,
}

impl Listener {
    /// Without models: silences are cut, and nothing is put into words.
    #[must_use]
    pub fn new(media: Media) -> Self {
        Self {
            media,
            whisper: None,
            chat: None,
            budget: None,
        }
    }

    /// The same, with what puts speech into words.
    #[must_use]
    pub fn with_whisper(self, whisper: Whisper) -> Self {
        let whisper = Some(whisper);
        Self { whisper, ..self }
    }

    /// The same, with what corrects the words.
    #[must_use]
    pub fn with_chat(self, chat: Chat) -> Self {
        let chat = Some(chat);
        Self { chat, ..self }
    }

    /// The same, with the most that one project may cost, in millionths of a US dollar.
    #[must_use]
    pub fn with_budget(self, microcents: u64) -> Self {
        let budget = Some(microcents);
        Self { budget, ..self }
    }
}

const OWN: [Setting; 10] = [
    setting(
        WHISPER_URL,
        "What puts speech into words: an endpoint that does as OpenAI's /audio/transcriptions, up to /v1, like https://api.openai.com/v1 [default: nothing does; only silences are cut]",
        None,
    ),
    setting(
        WHISPER_KEY,
        "Its key; better as a variable than as a flag, which others can see",
        None,
    ),
    setting(
        WHISPER_MODEL,
        "Which of its models, one that knows when each word was said",
        Some("whisper-1"),
    ),
    setting(
        WHISPER_PRICE,
        "What a minute of sound costs, in US dollars, like 0.006",
        None,
    ),
    setting(
        CHAT_URL,
        "What corrects the words: an endpoint that does as OpenAI's /chat/completions, up to /v1 [default: nothing does]",
        None,
    ),
    setting(
        CHAT_KEY,
        "Its key; better as a variable than as a flag, which others can see",
        None,
    ),
    setting(CHAT_MODEL, "Which of its models", Some("gpt-4o-mini")),
    setting(
        CHAT_INPUT_PRICE,
        "What a million tokens read cost, in US dollars, like 0.15",
        None,
    ),
    setting(
        CHAT_OUTPUT_PRICE,
        "What a million tokens written cost, in US dollars, like 0.60",
        None,
    ),
    setting(
        BUDGET,
        "The most that the models may cost for one project, in US dollars, by the prices above",
        Some("1.00"),
    ),
];

const ALL: [Setting; OWN.len() + Media::SETTINGS.len()] = all();

const fn setting(name: &'static str, help: &'static str, default: Option<&'static str>) -> Setting {
    Setting {
        name,
        help,
        default,
    }
}

const fn all() -> [Setting; OWN.len() + Media::SETTINGS.len()] {
    let mut all = [OWN[0]; OWN.len() + Media::SETTINGS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = match at < OWN.len() {
            true => OWN[at],
            false => Media::SETTINGS[at - OWN.len()],
        };
        at += 1;
    }
    all
}

impl Dependencies for Listener {
    const SETTINGS: &'static [Setting] = &ALL;

    fn load(settings: &Settings) -> Result<Self, LoadError> {
        let model = |name| settings.get(name).unwrap_or_default();
        let whisper_price = parsed(settings, WHISPER_PRICE)?;
        let whisper = endpoint(settings, WHISPER_URL, WHISPER_KEY)?;
        let prices = (
            parsed(settings, CHAT_INPUT_PRICE)?,
            parsed(settings, CHAT_OUTPUT_PRICE)?,
        );
        let chat = endpoint(settings, CHAT_URL, CHAT_KEY)?;
        Ok(Self {
            media: Media::load(settings)?,
            whisper: whisper.map(|at| Whisper::new(at, model(WHISPER_MODEL), whisper_price)),
            chat: chat.map(|at| Chat::new(at, model(CHAT_MODEL), prices)),
            budget: parsed(settings, BUDGET)?.map(Price::microcents),
        })
    }

    fn check(&self) -> Check {
        let media = self.media.check();
        let hears = self.whisper.as_ref().map(|it| it.place().to_owned());
        let reads = self.chat.as_ref().map(|it| it.place().to_owned());
        Box::pin(async move {
            media.await?;
            match (hears, reads) {
                (None, _) => {
                    tracing::info!("nothing puts speech into words: only silences are cut")
                }
                (Some(whisper), None) => {
                    tracing::info!(whisper, "speech is put into words, which nothing corrects");
                }
                (Some(whisper), Some(chat)) => {
                    tracing::info!(
                        whisper,
                        chat,
                        "speech is put into words, and these are corrected"
                    );
                }
            }
            Ok(())
        })
    }
}

/// A variable that is there and empty says nothing: so a list of them can stand in a file.
fn given<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings.get(name).filter(|value| !value.is_empty())
}

fn endpoint(
    settings: &Settings,
    url: &'static str,
    key: &str,
) -> Result<Option<Endpoint>, LoadError> {
    let at = given(settings, url).map(|at| Endpoint::open(at, given(settings, key)));
    at.transpose().map_err(|error| LoadError::new(url, error))
}

fn parsed<T: FromStr<Err = sapari_services::BadPrice>>(
    settings: &Settings,
    name: &'static str,
) -> Result<Option<T>, LoadError> {
    let value = given(settings, name).map(str::parse).transpose();
    value.map_err(|error| LoadError::new(name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(values: &[(&'static str, &str)]) -> Result<Listener, String> {
        let media = [("storage-url", "memory://"), ("scratch-dir", "/nowhere")];
        let all = media.iter().chain(values);
        let all = all.map(|(name, value)| (*name, (*value).to_owned()));
        Listener::load(&Settings::of(all)).map_err(|error| error.to_string())
    }

    #[test]
    fn models_are_there_when_they_are_configured() {
        let none = load(&[
            ("analysis-budget", "0.5"),
            ("chat-url", ""),
            ("whisper-price", ""),
        ])
        .expect("nothing more is needed");
        assert!(none.whisper.is_none() && none.chat.is_none());
        assert_eq!(none.budget, Some(500_000));
        let both = [
            ("whisper-url", "http://127.0.0.1:9/v1"),
            ("whisper-price", "0.006"),
            ("chat-url", "http://127.0.0.1:9/v1"),
            ("chat-key", "secret"),
            ("chat-model", "m"),
        ];
        let both = load(&both).expect("settings that make sense");
        assert!(both.whisper.is_some() && both.chat.is_some());
        assert!(!format!("{both:?}").contains("secret"), "{both:?}");
    }

    #[test]
    fn settings_that_make_no_sense_are_said_by_name() {
        for (name, value) in [
            ("whisper-url", "api.openai.com"),
            ("chat-url", "ftp://h/v1"),
            ("whisper-price", "cheap"),
            ("chat-input-price", "-1"),
            ("analysis-budget", "a lot"),
        ] {
            let error = load(&[(name, value)]).expect_err(name);
            assert!(error.starts_with(name), "{error}");
        }
        let names = Listener::SETTINGS.iter().map(|setting| setting.name);
        let names: Vec<&str> = names.collect();
        assert!(
            names.contains(&"storage-url") && names.contains(&"chat-url"),
            "{names:?}"
        );
    }
}
