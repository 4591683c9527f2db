//! What a role's handlers need, made from settings that `--help` lists. Loading reads settings; checking touches the world.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use crate::error::BoxError;

/// A setting of a role: a flag `--storage-url`, or the environment variable `<APP>_STORAGE_URL`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name as a flag, without dashes before it.
    pub name: &'static str,
    /// What it is, for `--help`.
    pub help: &'static str,
    /// What it is when nobody says.
    pub default: Option<&'static str>,
}

/// The settings of a role, read from flags and environment.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// Settings by name, as a test or another process gives them.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// The value of a setting, if it has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// What must be true before the worker starts, as a future that the host awaits.
pub type Check = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// The state of a role's worker.
pub trait Dependencies: Sized + Send + Sync + 'static {
    /// What it is made from.
    const SETTINGS: &'static [Setting];

    /// Makes it, touching nothing outside.
    ///
    /// # Errors
    /// [`LoadError`]: a setting makes no sense. The process exits with 64.
    fn load(settings: &Settings) -> Result<Self, LoadError>;

    /// Whether everything outside is there: programs, directories. Not called for `--explain`. A failure exits with 69.
    fn check(&self) -> Check {
        Box::pin(async { Ok(()) })
    }
}

impl Dependencies for () {
    const SETTINGS: &'static [Setting] = &[];

    fn load(_settings: &Settings) -> Result<Self, LoadError> {
        Ok(())
    }
}

/// A setting that makes no sense: which, and what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {source}")]
pub struct LoadError {
    /// The setting's name.
    pub setting: &'static str,
    /// What is wrong with it.
    #[source]
    pub source: BoxError,
}

impl LoadError {
    /// A setting and what is wrong with it.
    pub fn new(setting: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            setting,
            source: source.into(),
        }
    }
}
