//! Which keys are allowed.
//!
//! It deliberately refuses rather than repairs: a repaired key names another object.

use object_store::path::Path;

use super::StorageError;

/// What S3 allows, in bytes.
const MAX_KEY: usize = 1024;
/// File systems take 255 bytes, and what is being written has a few more.
const MAX_PART: usize = 240;

/// `key` as a path, if it is relative, goes only downwards, and is kept alike by every store.
pub(super) fn checked(key: &str) -> Result<Path, StorageError> {
    let bad = |reason| StorageError::BadKey {
        key: shown(key),
        reason,
    };
    if let Some(reason) = fault(key) {
        return Err(bad(reason));
    }
    Path::parse(key).map_err(|_| bad("it is not a valid object path"))
}

fn fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("it is empty");
    }
    if key.len() > MAX_KEY {
        return Some("it is longer than 1024 bytes");
    }
    if key.starts_with('/') {
        return Some("it is absolute");
    }
    if key.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    if key.contains(['\\', '#', '?']) {
        return Some("it has one of \\ # ?, which not every store keeps");
    }
    let mut parts = key.split('/');
    if parts.clone().any(|part| part.len() > MAX_PART) {
        return Some("a part of it is longer than 240 bytes");
    }
    parts
        .any(|part| matches!(part, "" | "." | ".."))
        .then_some("it has an empty part, `.` or `..`")
}

/// Short, and with nothing that could forge a log line.
fn shown(key: &str) -> String {
    key.chars().take(100).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_keys_stay_as_they_are() {
        for key in [
            "a",
            "projects/1/clip one.mp4",
            "-a",
            "a:b",
            "..a/b..",
            "100%.mp4",
            "\u{e4}",
        ] {
            assert_eq!(checked(key).unwrap().as_ref(), key);
        }
    }

    #[test]
    fn bad_keys_are_refused() {
        let long = "x/".repeat(MAX_KEY / 2) + "x";
        let long_part = format!("a/{}", "x".repeat(MAX_PART + 1));
        let bad = [
            "",
            "/",
            "/etc/passwd",
            "..",
            "a/../b",
            "a/..",
            "./a",
            "a//b",
            "a/",
            "a\nb",
            "a\0b",
            "a\\b",
            "a#1",
            "a?b",
            "a\u{7f}",
            &long,
            &long_part,
        ];
        for key in bad {
            let error = checked(key).unwrap_err();
            assert!(
                matches!(error, StorageError::BadKey { .. }) && error.is_permanent(),
                "{key:?}"
            );
            assert!(!error.to_string().contains('\n') && error.to_string().len() < 300);
        }
    }

    proptest::proptest! {
        #[test]
        fn an_allowed_key_goes_only_downwards(key in "[a.%/\\\\ ]{0,12}") {
            if let Ok(path) = checked(&key) {
                proptest::prop_assert_eq!(path.as_ref(), key.as_str());
                proptest::prop_assert!(!key.split('/').any(|part| part == ".." || part.is_empty()));
            }
        }
    }
}
