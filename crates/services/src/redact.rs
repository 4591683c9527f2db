//! Takes secrets out of URLs inside foreign text.
//!
//! A presigned URL is a password: ffmpeg repeats it in its messages, and so do HTTP clients. It
//! deliberately knows no particular secret; every query string and user name of a URL goes.

const MARK: &str = "[redacted]";

/// `text` with the query, fragment and user part of every `scheme://` URL replaced.
pub(crate) fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        let end = url.find(ends_url).unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        push_url(&mut out, url);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')')
}

fn push_url(out: &mut String, url: &str) {
    let (place, secret) = match url.find(['?', '#']) {
        Some(at) => (&url[..at], &url[at..]),
        None => (url, ""),
    };
    let host_end = place.find('/').unwrap_or(place.len());
    match place[..host_end].rfind('@') {
        Some(at) => {
            out.push_str(MARK);
            out.push_str(&place[at..]);
        }
        None => out.push_str(place),
    }
    if let Some(sign) = secret.chars().next() {
        out.push(sign);
        out.push_str(MARK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_users_go_and_the_rest_stays() {
        let table = [
            ("nothing here", "nothing here"),
            (
                "https://h/a.mp4: Server returned 403",
                "https://h/a.mp4: Server returned 403",
            ),
            (
                "https://h/a.mp4?X-Amz-Signature=s3cret: Server returned 403",
                "https://h/a.mp4?[redacted] Server returned 403",
            ),
            (
                "(https://key:s3cret@h/a) and http://h?s3cret \u{e4}",
                "(https://[redacted]@h/a) and http://h?[redacted] \u{e4}",
            ),
            ("ends with ://", "ends with ://"),
        ];
        for (text, expected) in table {
            assert_eq!(redacted(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_follows_a_question_mark_in_a_url_is_never_left(
            before in "[ -~]{0,20}", secret in "[A-Z]{8}", after in "[ -~]{0,20}",
        ) {
            let text = format!("{before} https://host/key?sig={secret} {after}");
            let leak = format!("sig={secret}");
            proptest::prop_assert!(!redacted(&text).contains(&leak));
        }
    }
}
