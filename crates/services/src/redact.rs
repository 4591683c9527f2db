//! Takes secrets out of foreign text: those of URLs, and mail addresses.
//!
//! A presigned URL is a password: ffmpeg repeats it in its messages, and so do HTTP clients. It
//! deliberately knows no particular secret; every query string and user name of a URL goes. Mail
//! servers repeat whom a mail is for.

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

/// `text` with every mail address replaced.
pub(crate) fn without_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let begins = match before.strip_suffix('"').map(|quoted| quoted.rfind('"')) {
            Some(Some(quote)) => quote,
            _ => before.rfind(ends_address).map_or(0, |end| {
                end + before[end..].chars().next().map_or(0, char::len_utf8)
            }),
        };
        let ends = after.find(ends_address).unwrap_or(after.len());
        out.push_str(&before[..begins]);
        out.push_str("[address]");
        rest = &after[ends..];
    }
    out.push_str(rest);
    out
}

fn ends_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':')
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

    #[test]
    fn addresses_go_and_the_rest_stays() {
        let table = [
            ("no such mailbox", "no such mailbox"),
            (
                "5.1.1 <ada@example.com>: Recipient rejected",
                "5.1.1 <[address]>: Recipient rejected",
            ),
            (
                "ada+x@a.example,bob@b.example are unknown",
                "[address],[address] are unknown",
            ),
            (r#"<"ada l."@a.example> is full"#, "<[address]> is full"),
            ("@", "[address]"),
            (
                "\u{e4}\u{2003}\u{e9}@x \u{e4}",
                "\u{e4}\u{2003}[address] \u{e4}",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(without_addresses(text), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_address_is_left(before in "[ -~]{0,20}", local in "[A-Z]{8}", after in "[ -~]{0,20}") {
            let text = format!("{before} {local}@example.com {after}");
            let left = without_addresses(&text);
            proptest::prop_assert!(!left.contains('@') && !left.contains(&local), "{}", left);
        }

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
