//! One mail, and the bytes of it.

use lettre::Message;
use lettre::address::AddressError;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use super::MailError;
use crate::hash::hashed;

/// The longest name that is taken as it is.
const MAX_NAME: usize = 100;

/// One mail: to whom, and the same twice, as text and as HTML.
#[derive(Clone)]
pub struct Letter {
    /// `ada@example.com`, or `Ada <ada@example.com>`.
    pub to: String,
    /// One line.
    pub subject: String,
    /// For readers that show no HTML.
    pub text: String,
    /// What most people see.
    pub html: String,
}

impl Letter {
    pub(super) fn message(&self, name: &str, from: &Mailbox) -> Result<Message, MailError> {
        let to: Mailbox = self.to.trim().parse().map_err(bad_recipient)?;
        Message::builder()
            .from(from.clone())
            .to(to)
            .subject(&self.subject)
            .message_id(Some(format!("<{name}@{}>", from.email.domain())))
            .raw_header(auto_submitted())
            .multipart(MultiPart::alternative_plain_html(
                self.text.clone(),
                self.html.clone(),
            ))
            .map_err(|error| MailError::BadLetter {
                reason: error.to_string(),
            })
    }
}

#[allow(clippy::needless_pass_by_value)] // As `map_err` hands it over.
fn bad_recipient(error: AddressError) -> MailError {
    // What is wrong, never the address.
    let reason = match error {
        AddressError::MissingParts => "something is missing before or after its @",
        AddressError::InvalidUser => "what stands before its @ is no mailbox",
        AddressError::InvalidDomain => "what stands after its @ is no domain",
        _ => "it is not written like you@example.com or You <you@example.com>",
    };
    MailError::BadRecipient { reason }
}

/// The name of a mail, for its `Message-ID` and for a file: the id where that can be either, else a
/// hash of it.
pub(super) fn name(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !id.is_empty() && id.len() <= MAX_NAME && id.chars().all(plain) {
        return id.to_owned();
    }
    hashed(id.as_bytes())
}

/// Asks for no answer from those who are on holiday (RFC 3834).
fn auto_submitted() -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    HeaderValue::new(name, "auto-generated".to_owned())
}
