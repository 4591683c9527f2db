//! Reading single variables. It does not know which variables there are.

use super::error::SettingsError;

/// The largest number that is taken.
const MOST: usize = 1_000_000;

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) struct Vars<'a> {
    lookup: Lookup<'a>,
}

impl<'a> Vars<'a> {
    pub(super) fn new(lookup: Lookup<'a>) -> Self {
        Self { lookup }
    }

    /// The value without surrounding blanks; an empty one counts as unset.
    pub(super) fn get(&self, variable: &str) -> Option<String> {
        let value = (self.lookup)(variable)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// One of the allowed words, in lower case.
    pub(super) fn one_of(
        &self,
        variable: &str,
        allowed: &[&str],
    ) -> Result<Option<String>, SettingsError> {
        let Some(value) = self.get(variable) else {
            return Ok(None);
        };
        let word = value.to_ascii_lowercase();
        if allowed.contains(&word.as_str()) {
            return Ok(Some(word));
        }
        Err(invalid(variable, value, allowed.join(", ")))
    }

    /// Yes or no. The OpenTelemetry specification knows only `true` and `false`.
    pub(super) fn flag(&self, variable: &str) -> Result<Option<bool>, SettingsError> {
        let word = self.one_of(variable, &["true", "false"])?;
        Ok(word.map(|word| word == "true"))
    }

    /// A flag in any of the words that pydantic's settings take: the Python services read the same file with them.
    pub(super) fn switch(&self, variable: &str) -> Result<Option<bool>, SettingsError> {
        const YES: [&str; 6] = ["true", "1", "yes", "on", "t", "y"];
        const NO: [&str; 6] = ["false", "0", "no", "off", "f", "n"];
        let Some(word) = self.get(variable) else {
            return Ok(None);
        };
        let is_in = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
        match (is_in(&YES), is_in(&NO)) {
            (true, _) => Ok(Some(true)),
            (_, true) => Ok(Some(false)),
            _ => Err(invalid(variable, word, "true or false")),
        }
    }

    /// A whole number from 1, and not so large that room for it cannot be had.
    pub(super) fn positive(&self, variable: &str) -> Result<Option<usize>, SettingsError> {
        let Some(value) = self.get(variable) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) if (1..=MOST).contains(&number) => Ok(Some(number)),
            _ => Err(invalid(variable, value, "a whole number from 1 to 1000000")),
        }
    }

    /// A comma list of allowed words, where `none` stands alone and means the empty list.
    pub(super) fn list(
        &self,
        variable: &str,
        allowed: &[&str],
    ) -> Result<Option<Vec<String>>, SettingsError> {
        let Some(value) = self.get(variable) else {
            return Ok(None);
        };
        let words: Vec<String> = value
            .split(',')
            .map(|word| word.trim().to_ascii_lowercase())
            .filter(|word| !word.is_empty())
            .collect();
        let known = words.iter().all(|word| allowed.contains(&word.as_str()));
        let none = words.iter().any(|word| word == "none");
        match (known, none) {
            (true, false) => Ok(Some(words)),
            (true, true) if words.len() == 1 => Ok(Some(Vec::new())),
            _ => {
                let allowed = format!("a comma list of {} (none alone)", allowed.join(", "));
                Err(invalid(variable, value, allowed))
            }
        }
    }

    /// `key=value` pairs separated by commas.
    pub(super) fn pairs(&self, variable: &str) -> Result<Vec<(String, String)>, SettingsError> {
        let Some(value) = self.get(variable) else {
            return Ok(Vec::new());
        };
        value
            .split(',')
            .filter(|pair| !pair.trim().is_empty())
            .map(|pair| match pair.split_once('=') {
                Some((key, text)) if !key.trim().is_empty() => {
                    Ok((key.trim().to_owned(), text.trim().to_owned()))
                }
                _ => Err(invalid(
                    variable,
                    pair.to_owned(),
                    "key=value pairs separated by commas",
                )),
            })
            .collect()
    }

    /// The address of an HTTP server, without a trailing slash.
    pub(super) fn url(&self, variable: &str) -> Result<Option<String>, SettingsError> {
        let Some(value) = self.get(variable) else {
            return Ok(None);
        };
        match reqwest::Url::parse(&value) {
            Ok(url) if has_credentials(&url) => Err(invalid(
                variable,
                HIDDEN.to_owned(),
                "an address without user and password; those go into OTEL_EXPORTER_OTLP_HEADERS",
            )),
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                Ok(Some(value.trim_end_matches('/').to_owned()))
            }
            _ => Err(invalid(
                variable,
                // What is no address may hold a password all the same.
                if value.contains('@') {
                    HIDDEN.to_owned()
                } else {
                    value
                },
                "an address that starts with http:// or https://",
            )),
        }
    }
}

/// Stands where a value may hold a password.
const HIDDEN: &str = "[hidden]";

/// They would end in the log line that says where nothing can be sent to.
fn has_credentials(url: &reqwest::Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

pub(super) fn invalid(variable: &str, value: String, allowed: impl Into<String>) -> SettingsError {
    SettingsError::Invalid {
        variable: variable.to_owned(),
        value,
        allowed: allowed.into(),
    }
}
