//! Where media is read from.
//!
//! It deliberately allows each kind only the protocols it needs: what ffmpeg may open is decided
//! here, not by the bytes of an upload.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::{FORMATS, MediaError, file_arg};

/// A stalled connection is given up after this long, in microseconds as ffmpeg wants it.
const NETWORK_TIMEOUT_US: &str = "30000000";

/// What ffmpeg reads.
#[derive(Clone, PartialEq, Eq)]
pub enum MediaSource {
    /// A local file.
    File(PathBuf),
    /// An `http` or `https` address, usually presigned. Shown without its query, which is a secret.
    Url(String),
}

impl MediaSource {
    /// The last component, for messages: a file name, or the path's end of a URL.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path
                .file_name()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
            Self::Url(url) => {
                let place = url.split(['?', '#']).next().unwrap_or_default();
                place.rsplit('/').next().unwrap_or_default().to_owned()
            }
        }
    }

    /// The options that open this source as an input.
    pub(super) fn input_args(&self) -> Vec<OsString> {
        self.input_args_of(FORMATS)
    }

    /// The same, if it is of one of these formats.
    pub(super) fn input_args_of(&self, formats: &str) -> Vec<OsString> {
        let protocols = match self {
            Self::File(_) => "file,pipe",
            // Not `file` as well: nothing remote has business with local files.
            Self::Url(_) => "https,tls,tcp,http",
        };
        let mut args: Vec<OsString> = [
            "-protocol_whitelist",
            protocols,
            "-format_whitelist",
            formats,
        ]
        .map(OsString::from)
        .into();
        if let Self::Url(_) = self {
            args.extend(["-rw_timeout", NETWORK_TIMEOUT_US].map(OsString::from));
        }
        args.push("-i".into());
        args.push(match self {
            Self::File(path) => file_arg(path),
            Self::Url(url) => url.into(),
        });
        args
    }

    /// Finds out what ffmpeg would say less clearly, or where its words would not tell a missing
    /// file from a broken one.
    pub(super) async fn check(&self) -> Result<(), MediaError> {
        match self {
            Self::Url(url) if is_web(url) => Ok(()),
            Self::Url(_) => Err(MediaError::Unsupported {
                name: self.name(),
                reason: "only http and https addresses are read".to_owned(),
            }),
            Self::File(path) => {
                let io = |source| MediaError::Io {
                    doing: "read",
                    path: path.clone(),
                    source,
                };
                let file = tokio::fs::File::open(path).await.map_err(io)?;
                let found = file.metadata().await.map_err(io)?;
                if found.is_file() && found.len() > 0 {
                    return Ok(());
                }
                let reason = if found.is_file() {
                    "it is empty"
                } else {
                    "it is not a file"
                };
                Err(MediaError::NotMedia {
                    name: self.name(),
                    reason: reason.to_owned(),
                })
            }
        }
    }
}

fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

impl fmt::Debug for MediaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Url(url) => f
                .debug_tuple("Url")
                .field(&crate::redact::redacted(url))
                .finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_never_an_option_or_a_protocol() {
        for name in ["-i", "http:evil", "a b", "concat:a|b"] {
            let args = MediaSource::File(name.into()).input_args();
            assert_eq!(
                args.last().unwrap(),
                &OsString::from(format!("file:{name}"))
            );
        }
    }

    #[test]
    fn a_presigned_url_is_shown_without_its_secret() {
        let source = MediaSource::Url("https://h/b/clip.mp4?X-Amz-Signature=s3cret".to_owned());
        assert_eq!(source.name(), "clip.mp4");
        assert_eq!(
            format!("{source:?}"),
            "Url(\"https://h/b/clip.mp4?[redacted]\")"
        );
    }

    #[tokio::test]
    async fn other_schemes_are_refused() {
        for url in ["file:///etc/passwd", "concat:a|b", "nonsense", "rtmp://h/a"] {
            let error = MediaSource::Url(url.to_owned()).check().await.unwrap_err();
            assert!(error.is_permanent(), "{url}");
        }
    }
}
