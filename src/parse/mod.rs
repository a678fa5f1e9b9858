//! Frame → [`LogRecord`]. Pure: no clock, no file; never fails outwards, never loses a line.
//!
//! Two steps: [`text`] makes a frame's bytes a string, [`parse`] reads it: first the envelope (who sent it, when), then the message
//! inside (what happened). Envelopes around envelopes are taken off one by one (`nested`). What no parser understands is a record of
//! kind `other` with its text.

pub(crate) mod dialect;
pub mod envelope;
mod fill;
mod json;
pub mod message;
mod nested;
#[cfg(test)]
mod nested_test;
pub mod own;
mod pairs;
mod prose;
mod scan;
mod timestamp;
mod token;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use self::dialect::{Dialect, RECOGNISER};
pub use self::message::Named;
use self::message::Sign;
use self::own::{Own, Part};
use crate::record::{COLUMNS, EventType, LogRecord, Timestamp, Zone};

/// What a parser needs to know besides the frame.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    /// When the frame was received. A time without a year is taken to be the closest one to this.
    pub now: Timestamp,
    /// The zone of times that name none.
    pub zone: &'c Zone,
    /// The formats of the configuration.
    pub own: &'c [Own],
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
    read(text, context, None, &mut |_, _, _| ())
}

/// Reads one frame's text as [`parse`] does, its message first of all as the dialect that its source was said to write.
pub fn parse_as<'a>(text: &'a str, context: &Context<'_>, named: Named) -> LogRecord<'a> {
    read(text, context, Some(named), &mut |_, _, _| ())
}

/// A dialect that was tried on a line.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tried {
    /// Its name.
    pub format: &'static str,
    /// What it was tried for.
    pub because: String,
    /// Whether the line is of it.
    pub understood: bool,
}

/// Reads one frame's text as [`parse`] does, and tells what was tried.
pub fn explain<'a>(text: &'a str, context: &Context<'_>, named: Option<Named>) -> (LogRecord<'a>, Vec<Tried>) {
    let mut all = Vec::new();
    let record = read(text, context, named, &mut |format, sign, understood| {
        let because = match sign {
            Sign::Named => "it was asked for".to_owned(),
            Sign::Own => "the configuration describes it".to_owned(),
            Sign::App(app) => format!("{app:?} wrote it"),
            Sign::Mark(mark) => format!("it has {mark:?}"),
        };
        all.push(Tried { format, because, understood });
    });
    (record, all)
}

fn read<'a>(text: &'a str, context: &Context<'_>, named: Option<Named>, watch: message::Watch<'_>) -> LogRecord<'a> {
    nested::read(text, context, named, watch)
}

/// A line that has no envelope but its own.
fn whole<'a>(text: &'a str, context: &Context<'_>, named: Option<Named>, watch: message::Watch<'_>) -> Option<LogRecord<'a>> {
    let line = text.trim_end();
    let mut record = LogRecord::text(line);
    if own::read(Part::Line, line, &mut record, named, context, watch) {
        return Some(record);
    }
    if line.starts_with('<') {
        return None;
    }
    let mut tried = |dialect: &'static Dialect, sign| {
        let understood = (dialect.parse)(line, &mut record, context);
        watch(dialect.name, sign, understood);
        understood
    };
    let lines_of = named.and_then(Named::dialect).filter(|dialect| dialect.reads_lines());
    let understood = lines_of.is_some_and(|dialect| tried(dialect, Sign::Named))
        || RECOGNISER.of_line(line, &mut |dialect, mark| tried(dialect, Sign::Mark(mark)));
    understood.then_some(record)
}

/// What there is to know of a format.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Format {
    /// What it is called.
    pub name: &'static str,
    /// Whose it is.
    pub product: &'static str,
    /// The page that its parser follows.
    pub reference: &'static str,
    /// Lines of it.
    pub samples: &'static [&'static str],
    /// What these are about.
    #[serde(serialize_with = "words")]
    pub event_types: Vec<EventType>,
    /// The columns that are read, with the number of samples in which each is.
    #[serde(serialize_with = "counts")]
    pub columns: [(&'static str, usize); COLUMNS],
    /// The names of the fields that are read besides, as far as the samples have them.
    pub fields: Vec<String>,
}

fn words<S: serde::Serializer>(event_types: &[EventType], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(event_types.iter().map(|event| event.as_str()))
}

fn counts<S: serde::Serializer>(columns: &[(&'static str, usize)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(columns.iter().copied())
}

impl Format {
    /// That of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str) -> Result<Format, String> {
        let named = Named::find(name, &[])?;
        Ok(Format::of(named.dialect().expect("without others, every name is one that is built in")))
    }

    fn of(dialect: &Dialect) -> Format {
        let Dialect { name, product, reference, samples, .. } = *dialect;
        let context = Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own: &[] };
        let records: Vec<LogRecord<'_>> = samples.iter().map(|sample| parse(sample, &context)).collect();
        let mut event_types: Vec<EventType> = records.iter().map(|record| record.event_type).collect();
        event_types.sort_unstable();
        event_types.dedup();
        let mut columns = LogRecord::text("").filled().map(|(name, _)| (name, 0));
        for record in &records {
            for (column, (_, is_filled)) in columns.iter_mut().zip(record.filled()) {
                column.1 += usize::from(is_filled);
            }
        }
        let fields: BTreeSet<String> =
            records.iter().flat_map(|record| &record.fields).map(|(name, _)| name.to_string()).collect();
        Format { name, product, reference, samples, event_types, columns, fields: fields.into_iter().collect() }
    }
}

/// Every format, by name.
pub fn formats() -> Vec<Format> {
    let mut all: Vec<Format> = message::DIALECTS.iter().map(Format::of).collect();
    all.sort_by_key(|format| format.name);
    all
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
