//! Tells values apart on spans without giving them away: a mail address, a prompt.
//!
//! Without a key it is no secret: whoever guesses the value can check the guess. It keeps values out
//! of what is read and searched, and that is all it is for.

use std::fmt::Write;

use ring::digest::{SHA256, digest};

/// 64 bits tell a system's values apart.
const BYTES: usize = 8;

/// The first 16 hex digits of SHA-256.
pub(crate) fn hashed(value: &[u8]) -> String {
    hex(&digest(&SHA256, value).as_ref()[..BYTES])
}

/// All of SHA-256, for what must not be taken for anything else: a key in storage.
pub(crate) fn whole(value: &[u8]) -> String {
    hex(digest(&SHA256, value).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_beginning_of_sha_256() {
        // printf '' | sha256sum
        assert_eq!(hashed(b""), "e3b0c44298fc1c14");
        let whole = whole(b"");
        assert!(whole.starts_with("e3b0c44298fc1c14") && whole.ends_with("7852b855"));
        assert_eq!(whole.len(), 64);
        assert_ne!(hashed(b"a"), hashed(b"b"));
    }
}
