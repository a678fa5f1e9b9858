//! Frame → [`LogRecord`]. Pure: no clock, no file; never fails outwards, never loses a line.
//!
//! Two steps: [`text`] makes a frame's bytes a string, [`parse`] reads it: first the envelope (who sent it, when), then the message
//! inside (what happened). What no parser understands is a record of kind `other` with its text.

mod access;
pub mod envelope;
mod error_log;
mod json;
pub mod message;
mod scan;
mod timestamp;
mod token;

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::record::{LogRecord, Timestamp, Zone};

/// What a parser needs to know besides the frame.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    /// When the frame was received. A time without a year is taken to be the closest one to this.
    pub now: Timestamp,
    /// The zone of times that name none.
    pub zone: &'c Zone,
}

/// The frame's text. Valid UTF-8 without NUL is borrowed as it is. Otherwise NUL becomes U+2400 (␀) and each byte that is not
/// part of valid UTF-8 becomes `\xHH`; the original bytes are kept in `logs.raw`.
pub fn text(frame: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(frame) {
        Ok(text) if memchr::memchr(0, frame).is_none() => Cow::Borrowed(text),
        _ => {
            let mut out = String::with_capacity(frame.len() + 16);
            for chunk in frame.utf8_chunks() {
                for c in chunk.valid().chars() {
                    out.push(if c == '\0' { '\u{2400}' } else { c });
                }
                for byte in chunk.invalid() {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\x{byte:02X}");
                }
            }
            Cow::Owned(out)
        }
    }
}

/// Reads one frame's text. Always returns a record.
pub fn parse<'a>(text: &'a str, context: &Context<'_>) -> LogRecord<'a> {
    if text.trim_start().starts_with('{') {
        return envelope::json::parse(text, context);
    }
    if access::recognise(text)
        && let Some(record) = access::parse(text, context)
    {
        return record;
    }
    if matches!(text.as_bytes(), [_, _, b'/', ..])
        && let Some(record) = message::ids_fast::read(text, context)
    {
        return record;
    }
    let mut record = envelope::read(text, context);
    message::parse(&mut record);
    record
}

/// Reads one frame's text as [`parse`] does, its message by that parser and no other.
pub fn parse_as<'a>(text: &'a str, context: &Context<'_>, parser: message::MessageParser) -> LogRecord<'a> {
    let mut record = envelope::read(text, context);
    message::parse_as(&mut record, parser);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_stay_visible() {
        assert!(matches!(text(b"plain"), Cow::Borrowed("plain")));
        assert_eq!(text(b"a\0b\xff\xfec\xc3\xa9"), "a\u{2400}b\\xFF\\xFEc\u{e9}");
    }
}
