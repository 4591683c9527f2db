//! What can be wrong with a setting.

use tracing_subscriber::filter::ParseError;

/// A variable whose value cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not one of the values the variable knows.
    #[error("{variable}={value:?} is not understood; allowed: {allowed}")]
    Invalid {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A log filter that does not parse.
    #[error(
        "{variable}={value:?} is not a log filter; allowed: a level, or target=level pairs \
         separated by commas, for example info,my_crate=debug"
    )]
    LogFilter {
        /// The variable.
        variable: String,
        /// Its value.
        value: String,
        /// Why.
        source: ParseError,
    },
}
