//! What yt-dlp says when it fails, and whether another try can help.
//!
//! It quotes addresses and ids, which may be secret: both are taken out.

use crate::ext::http::FetchError;
use crate::process::{Exit, ProcessError};

/// Why there is no film of a page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The address, its size or its time are not allowed, or it cannot be reached.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// yt-dlp finds no film there that it may have. Permanent or not, by what it says.
    #[error("yt-dlp got no film from {host}: {reason}")]
    NoFilm {
        /// The host.
        host: String,
        /// What it says.
        reason: String,
        /// Whether another try may help.
        may_heal: bool,
    },
    /// yt-dlp was not found, or was stopped.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

impl PageError {
    /// Whether no retry can heal this.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_permanent(),
            Self::NoFilm { may_heal, .. } => !may_heal,
            Self::Process(error) => matches!(error, ProcessError::NotFound { .. }),
        }
    }
}

pub(super) fn sorted(host: &str, limit: u64, error: ProcessError) -> PageError {
    let reason = match &error {
        ProcessError::Failed {
            exit: Exit::Code(_),
            stderr_tail,
            ..
        } => said(stderr_tail),
        _ => return error.into(),
    };
    // The kernel's word for a file over the limit of its process.
    if reason.contains("File too large") {
        return FetchError::TooLarge {
            host: host.to_owned(),
            limit,
        }
        .into();
    }
    PageError::NoFilm {
        host: host.to_owned(),
        may_heal: !LASTING.iter().any(|words| reason.contains(words)),
        reason,
    }
}

/// What no later try finds otherwise. A site that changed is not among them: yt-dlp learns of that with its next version.
const LASTING: [&str; 12] = [
    "Unsupported URL",
    "is not a valid URL",
    "HTTP Error 401",
    "HTTP Error 403",
    "HTTP Error 404",
    "HTTP Error 410",
    "Private video",
    "private video",
    "Video unavailable",
    "has been removed",
    "Sign in",
    "No video formats found",
];

/// The last line with `ERROR:`, without addresses, ids and what caused it inside yt-dlp.
fn said(stderr: &str) -> String {
    let mut errors = stderr
        .lines()
        .filter_map(|line| line.trim().strip_prefix("ERROR:"));
    let Some(line) = errors.next_back() else {
        return "it does not say why".to_owned();
    };
    let line = line.split("(caused by").next().unwrap_or_default().trim();
    // `[extractor] id: what happened`
    let line = match line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(": "))
    {
        Some((_, words)) => words,
        None => line,
    };
    let words = line.split_whitespace().filter(|word| !word.contains("://"));
    let words: Vec<&str> = words.collect();
    words.join(" ").trim_end_matches(':').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(stderr: &str) -> (String, bool) {
        let failed = ProcessError::Failed {
            program: "yt-dlp".to_owned(),
            exit: Exit::Code(1),
            stderr_tail: stderr.to_owned(),
        };
        let error = sorted("h", 7, failed);
        (error.to_string(), error.is_permanent())
    }

    #[test]
    fn the_words_of_yt_dlp() {
        let table = [
            (
                "ERROR: Unsupported URL: http://h/s3cret/none.html\n",
                "Unsupported URL",
                true,
            ),
            (
                "WARNING: x\nERROR: [generic] s3cret: Unable to download webpage: HTTP Error 404: File not \
                 found (caused by <HTTPError 404: s3cret>)\n",
                "Unable to download webpage: HTTP Error 404: File not found",
                true,
            ),
            (
                "ERROR: [youtube] s3cret: Unable to download API page: HTTP Error 503: Busy",
                "Unable to download API page: HTTP Error 503: Busy",
                false,
            ),
            (
                "Traceback (most recent call last): s3cret",
                "it does not say why",
                false,
            ),
            ("", "it does not say why", false),
        ];
        for (stderr, words, permanent) in table {
            let said = sentence(stderr);
            assert_eq!(
                said,
                (format!("yt-dlp got no film from h: {words}"), permanent)
            );
        }
    }

    #[test]
    fn a_file_over_the_limit_is_told_apart() {
        let (said, permanent) = sentence("ERROR: unable to write data: [Errno 27] File too large");
        assert_eq!(
            said,
            "the file from h has more than the 7 bytes that are allowed"
        );
        assert!(permanent);
    }
}
