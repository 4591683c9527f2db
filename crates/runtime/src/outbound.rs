//! A message on its way out, and why it may not get there: what the kicking side and its middleware both speak of.

use crate::broker::PublishError;
use crate::ledger::LedgerError;
use crate::message::{ArgsError, Message, Route};

/// A message on its way out, and where it goes.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// What is kicked.
    pub message: Message,
    /// Where it goes.
    pub route: Route,
}

/// A message that was not kicked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KickError {
    /// The task's args have no form in JSON.
    #[error(transparent)]
    BadArgs(#[from] ArgsError),
    /// The broker did not take it, or did not say so.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The ledger that holds unique keys could not be asked. Nothing was kicked, unless it was debounced: then it runs, and an
    /// earlier one may, too.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A middleware refused it.
    #[error("the kick was refused: {0}")]
    Refused(String),
}

impl KickError {
    /// A low-cardinality name for spans.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::BadArgs(_) => "BadArgs",
            Self::Publish(error) => error.type_name(),
            Self::Ledger(_) => "Ledger",
            Self::Refused(_) => "Refused",
        }
    }
}
