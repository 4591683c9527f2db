//! How a step says that it has nothing to do: an error by form, so that `?` carries it, and no failure.

use crate::error::TaskError;

/// Says from within a step that it is skipped, and why. Steps that need it are skipped too; those that take it as
/// [`optional`](super::Step::optional) run without it. Not tried again, and no failure.
///
/// ```
/// # use sapari_runtime::pipeline::Skip;
/// # use sapari_runtime::prelude::*;
/// async fn transcribe(endpoint: Option<&str>) -> TaskResult<String> {
///     let Some(endpoint) = endpoint else {
///         return Err(Skip::because("no transcription endpoint is configured").into());
///     };
///     Ok(endpoint.to_owned())
/// }
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct Skip {
    reason: String,
}

impl Skip {
    /// Skips the step, for this reason. It stands on the step's span: no args in it.
    pub fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The skip that this error is, whatever was put before it.
    pub(super) fn in_error(error: &TaskError) -> Option<&Self> {
        let first: &(dyn std::error::Error + 'static) = error.source();
        std::iter::successors(Some(first), |error| (*error).source())
            .find_map(|error| error.downcast_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_found_behind_what_was_said_before_it() {
        let skipped: TaskError = Skip::because("nothing to do").into();
        let skipped = skipped.context("while looking");
        assert_eq!(
            Skip::in_error(&skipped).map(Skip::reason),
            Some("nothing to do")
        );
        assert!(Skip::in_error(&"nothing to do".into()).is_none());
    }
}
