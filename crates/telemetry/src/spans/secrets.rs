//! Whether a text speaks of a secret, by the patterns that Logfire's own SDK has by default.
//!
//! Pure. The server does not scrub: what leaves the process unscrubbed stays so. The patterns are those of
//! `logfire/_internal/scrubbing.py` (4.41), written out, because one of them looks ahead.

/// Words that count wherever they stand. A space in one stands for nothing, a dot, an underscore, a dash or a space.
const ANYWHERE: [&str; 12] = [
    "password",
    "passwd",
    "mysql_pwd",
    "secret",
    "credential",
    "private key",
    "api key",
    "session",
    "cookie",
    "social security",
    "credit card",
    "logfire token",
];
/// Words that count only when they stand alone.
const ALONE: [&str; 4] = ["csrf", "xsrf", "jwt", "ssn"];

/// The part of the text that makes it a secret, as it stands there.
pub(super) fn found(text: &str) -> Option<&str> {
    // Lower-casing only ASCII keeps every byte where it is.
    let lower = text.to_ascii_lowercase();
    let range = anywhere(&lower)
        .or_else(|| auth(&lower))
        .or_else(|| write_token(&lower))
        .or_else(|| alone(&lower))?;
    text.get(range)
}

type Range = std::ops::Range<usize>;

fn anywhere(lower: &str) -> Option<Range> {
    ANYWHERE.iter().find_map(|word| match word.split_once(' ') {
        None => lower.find(word).map(|at| at..at + word.len()),
        Some((first, second)) => pair(lower, first, second),
    })
}

fn pair(lower: &str, first: &str, second: &str) -> Option<Range> {
    lower.match_indices(first).find_map(|(at, _)| {
        let after = at + first.len();
        let rest = &lower[after..];
        let gap = rest.len() - rest.trim_start_matches(['.', '_', '-', ' ']).len();
        let here = rest.get(gap.min(1)..)?;
        let end = after + gap.min(1) + second.len();
        here.starts_with(second).then_some(at..end)
    })
}

/// `auth`, but not `author` and `authors`.
fn auth(lower: &str) -> Option<Range> {
    let harmless = |rest: &str| {
        let tail = rest.strip_prefix("ors").or_else(|| rest.strip_prefix("or"));
        tail.is_some_and(|tail| !tail.starts_with(is_word))
    };
    lower
        .match_indices("auth")
        .map(|(at, word)| at..at + word.len())
        .find(|range| !harmless(&lower[range.end..]))
}

/// A token of Logfire itself: `pylf_v` and a number.
fn write_token(lower: &str) -> Option<Range> {
    lower.match_indices("pylf_v").find_map(|(at, word)| {
        let rest = &lower[at + word.len()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let ends = rest[digits..].starts_with('_');
        (digits > 0 && ends).then(|| at..at + word.len() + digits + 1)
    })
}

fn alone(lower: &str) -> Option<Range> {
    ALONE.iter().find_map(|word| {
        let ranges = lower.match_indices(word).map(|(at, _)| at..at + word.len());
        let mut alone = ranges.filter(|range| {
            let before = lower[..range.start].chars().next_back();
            let after = lower[range.end..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        });
        alone.next()
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_as_logfire_finds_them() {
        let table = [
            ("password", Some("password")),
            ("db_Password", Some("Password")),
            ("MYSQL_PWD", Some("MYSQL_PWD")),
            ("client_secret", Some("secret")),
            ("Authorization", Some("Auth")),
            ("oauth2", Some("auth")),
            ("author", None),
            ("authors", None),
            ("authority", Some("auth")),
            ("authorise", Some("auth")),
            ("private key", Some("private key")),
            ("privatekey", Some("privatekey")),
            ("private--key", None),
            ("apiKey", Some("apiKey")),
            ("api_key", Some("api_key")),
            ("session_id", Some("session")),
            ("cookies", Some("cookie")),
            ("credit-card", Some("credit-card")),
            ("pylf_v1_us_abc", Some("pylf_v1_")),
            ("pylf_vx_", None),
            ("jwt", Some("jwt")),
            ("a jwt.", Some("jwt")),
            ("ssnake", None),
            ("my_ssn", None),
            ("kid", None),
            ("bucket", None),
            ("é password", Some("password")),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(found(text), expected, "{text:?}");
        }
    }
}
