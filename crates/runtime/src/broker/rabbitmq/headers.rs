//! Headers between text and AMQP's table of typed values. Pure.
//! Arrays and tables (`x-death`) have no text form and are left out.

use std::borrow::Cow;

use lapin::protocol::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};

use crate::broker::{Beside, Headers, PublishError};

/// The most that all headers of a message may take: they travel in one frame of 64 KiB, with other things.
const MAX_BYTES: usize = 50 * 1024;
/// What a header takes beside its name and value: lengths and type.
const OVERHEAD: usize = 6;
/// The longest name of a header: an AMQP short string.
const MAX_NAME_BYTES: usize = 255;
/// What must not get lost from a dead letter.
const KEPT_TO_THE_LAST: [&str; 3] = ["dead-", "task_id", "task_name"];

/// The headers as AMQP has them, every value a long string.
///
/// # Errors
/// [`PublishError::TooLarge`] when they do not fit into a frame: sending them would break the connection for everybody.
pub(super) fn encode(headers: &Headers) -> Result<FieldTable, PublishError> {
    let bytes = size(headers);
    if bytes > MAX_BYTES {
        return Err(PublishError::TooLarge {
            bytes,
            limit: MAX_BYTES,
        });
    }
    let mut table = FieldTable::default();
    for (name, value) in headers {
        let name = ShortString::try_new(name.as_str()).map_err(|_| PublishError::TooLarge {
            bytes: name.len(),
            limit: MAX_NAME_BYTES,
        })?;
        table.insert(
            name,
            AMQPValue::LongString(LongString::from(value.as_str())),
        );
    }
    Ok(table)
}

/// The headers with the largest left out until they fit: better a dead letter with less beside it than none.
pub(super) fn fitting(mut headers: Headers) -> Headers {
    headers.retain(|name, _| name.len() <= MAX_NAME_BYTES);
    while size(&headers) > MAX_BYTES {
        let spare = |name: &str| !KEPT_TO_THE_LAST.iter().any(|kept| name.starts_with(kept));
        let largest = headers
            .iter()
            .filter(|(name, _)| spare(name))
            .max_by_key(|(_, value)| value.len());
        let Some(name) = largest.map(|(name, _)| name.clone()) else {
            break;
        };
        headers.remove(&name);
    }
    headers
}

fn size(headers: &Headers) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + OVERHEAD)
        .sum()
}

/// The headers of a delivery, in the table they came in.
pub(super) struct Table(pub(super) BasicProperties);

impl Beside for Table {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.0.headers().as_ref()?.inner().get(name)?)
    }

    fn headers(&self) -> Headers {
        self.0.headers().as_ref().map(decode).unwrap_or_default()
    }
}

/// The headers of a message as text.
pub(super) fn decode(table: &FieldTable) -> Headers {
    let pairs = table.inner().iter();
    pairs
        .filter_map(|(name, value)| Some((name.to_string(), text(value)?.into_owned())))
        .collect()
}

fn text(value: &AMQPValue) -> Option<Cow<'_, str>> {
    let written = match value {
        AMQPValue::LongString(text) => return Some(String::from_utf8_lossy(text.as_bytes())),
        AMQPValue::ByteArray(bytes) => return Some(String::from_utf8_lossy(bytes.as_slice())),
        AMQPValue::ShortString(text) => return Some(Cow::Borrowed(text.as_str())),
        AMQPValue::Boolean(flag) => flag.to_string(),
        AMQPValue::ShortShortInt(number) => number.to_string(),
        AMQPValue::ShortShortUInt(number) => number.to_string(),
        AMQPValue::ShortInt(number) => number.to_string(),
        AMQPValue::ShortUInt(number) => number.to_string(),
        AMQPValue::LongInt(number) => number.to_string(),
        AMQPValue::LongUInt(number) => number.to_string(),
        AMQPValue::LongLongInt(number) => number.to_string(),
        AMQPValue::Timestamp(seconds) => seconds.to_string(),
        AMQPValue::Float(number) => number.to_string(),
        AMQPValue::Double(number) => number.to_string(),
        AMQPValue::DecimalValue(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::Void => return None,
    };
    Some(Cow::Owned(written))
}

#[cfg(test)]
mod tests {
    use lapin::types::{ByteArray, FieldArray};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn text_survives_the_round_trip() {
        let sent = headers(&[
            ("traceparent", "00-aa-bb-01"),
            ("ünïcode", "Größe 🎬"),
            ("empty", ""),
        ]);
        assert_eq!(decode(&encode(&sent).expect("small")), sent);
    }

    #[test]
    fn values_of_other_clients_become_text() {
        let table: [(AMQPValue, Option<&str>); 10] = [
            (AMQPValue::LongString("a".into()), Some("a")),
            (AMQPValue::ShortString("b".into()), Some("b")),
            (
                AMQPValue::ByteArray(ByteArray::from(b"c".as_slice())),
                Some("c"),
            ),
            (
                AMQPValue::LongString(b"\xff".as_slice().into()),
                Some("\u{fffd}"),
            ),
            (AMQPValue::LongInt(-3), Some("-3")),
            (AMQPValue::LongLongInt(1 << 40), Some("1099511627776")),
            (AMQPValue::Boolean(true), Some("true")),
            (AMQPValue::Double(0.5), Some("0.5")),
            (AMQPValue::FieldArray(FieldArray::default()), None),
            (AMQPValue::Void, None),
        ];
        for (value, expected) in table {
            assert_eq!(text(&value).as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn headers_over_a_frame_are_refused_before_they_break_the_connection() {
        let huge = headers(&[("label", &"x".repeat(MAX_BYTES))]);
        assert!(matches!(encode(&huge), Err(PublishError::TooLarge { .. })));
        let long_name = headers(&[(&"n".repeat(256), "v")]);
        assert!(matches!(
            encode(&long_name),
            Err(PublishError::TooLarge { .. })
        ));
    }

    #[test]
    fn a_dead_letter_loses_its_largest_headers_first_and_never_its_reason() {
        let huge = "x".repeat(MAX_BYTES);
        let kept = fitting(headers(&[
            ("label", &huge),
            ("small", "s"),
            ("dead-reason", "permanent"),
            ("task_id", "t"),
        ]));
        assert_eq!(
            kept,
            headers(&[
                ("small", "s"),
                ("dead-reason", "permanent"),
                ("task_id", "t")
            ])
        );
    }
}
