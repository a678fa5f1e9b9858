//! Envelopes: who sent a line, when, and the message inside.
//!
//! `read` recognises the envelope from its first bytes: `<PRI>` and a version is RFC 5424; everything else is
//! BSD syslog in one of its many spellings, a container runtime's, or no envelope at all.

pub(crate) mod json;
pub(crate) mod rfc3164;
pub(crate) mod rfc5424;

use std::borrow::Cow;

use nom::Parser;
use nom::character::complete::char;

use super::token::{Parsed, no, number};
use super::{Context, timestamp};
use crate::record::{LogRecord, Severity};

/// `PRIVAL`, RFC 5424 §6.2.1: facility × 8 + severity. Invariant: at most 191.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Priority(u8);

impl Priority {
    pub(crate) fn from_words(facility: &str, severity: &str) -> Option<Priority> {
        const FACILITIES: [&str; 24] = [
            "kern",
            "user",
            "mail",
            "daemon",
            "auth",
            "syslog",
            "lpr",
            "news",
            "uucp",
            "cron",
            "authpriv",
            "ftp",
            "ntp",
            "security",
            "console",
            "solaris-cron",
            "local0",
            "local1",
            "local2",
            "local3",
            "local4",
            "local5",
            "local6",
            "local7",
        ];
        let facility = FACILITIES.iter().position(|name| name.eq_ignore_ascii_case(facility))?;
        let severity = match &*severity.to_ascii_lowercase() {
            "emerg" | "panic" => 0,
            "alert" => 1,
            "crit" => 2,
            "err" | "error" => 3,
            "warn" | "warning" => 4,
            "notice" => 5,
            "info" => 6,
            "debug" => 7,
            _ => return None,
        };
        Some(Priority(facility as u8 * 8 + severity))
    }

    /// Files facility and severity in `record`.
    pub(crate) fn apply(self, record: &mut LogRecord<'_>) {
        record.fields.reserve(8);
        record.severity = Severity::from_syslog(self.0 % 8);
        record.set("log.syslog.facility.code", i64::from(self.0 / 8));
        record.set("log.syslog.severity.code", i64::from(self.0 % 8));
    }
}

/// `<PRI>`: `<`, one to three digits of at most 191, `>`.
fn priority(input: &str) -> Parsed<'_, Priority> {
    let (rest, (_, value, _)) = (char('<'), number(1, 3), char('>')).parse(input)?;
    if value <= 191 { Ok((rest, Priority(value as u8))) } else { no() }
}

/// The byte order mark that senders of UTF-8 put before a message (RFC 5424 §6.4).
const MARK: char = '\u{feff}';

/// A text without what framing and encoding left around it: a byte order mark in front of everything, the count of octets of RFC 6587
/// §3.4.1, right or wrong, where nobody took it off, the rest of a delimiter of two bytes, a NUL at the end (visible by now, see
/// [`super::text`]).
pub(crate) fn bare(text: &str) -> &str {
    let text = text.trim_start().trim_start_matches(MARK).trim_start();
    let text = text.trim_end_matches(['\r', '\n', '\u{2400}']);
    let digits = text.bytes().take(8).take_while(u8::is_ascii_digit).count();
    match text[digits..].strip_prefix(' ') {
        Some(counted) if (1..8).contains(&digits) && priority(counted).is_ok() => counted,
        _ => text,
    }
}

/// Headers within headers that are read; relays in a row are few.
const MAX_HEADERS: usize = 6;

/// Reads the envelope of one [`bare`] frame, and those within it: the innermost is nearest to the event. The record's message is what is left
/// of the frame.
pub(crate) fn read<'a>(text: &'a str, context: &Context<'_>) -> LogRecord<'a> {
    let mut record = header(text, context);
    if !record.format.envelope.is_empty()
        && let Some(inner) = within(&record, MAX_HEADERS, context)
    {
        nearer(&mut record, inner);
    }
    record
}

/// The text begins with a PRI or a time.
pub(crate) fn begins_header(text: &str) -> bool {
    timestamp::reading(text).is_ok() || priority(text).is_ok()
}

/// The text begins with a header that cannot be a program's own words.
pub(crate) fn has_header(text: &str, context: &Context<'_>) -> bool {
    let mut record = LogRecord::text(text);
    // As if somebody had passed it on.
    record.app = Some(Cow::Borrowed(""));
    within(&record, MAX_HEADERS, context).is_some()
}

fn header<'a>(text: &'a str, context: &Context<'_>) -> LogRecord<'a> {
    let (rest, priority) = match priority(text) {
        Ok((rest, priority)) => (rest, Some(priority)),
        Err(_) => (text, None),
    };
    let standard = priority.and_then(|priority| rfc5424::read(rest, priority, context));
    let mut record = standard.unwrap_or_else(|| rfc3164::read(rest, priority, context));
    if let Cow::Borrowed(message) = record.message {
        record.message = Cow::Borrowed(message.trim_start_matches(MARK));
    }
    record
}

/// The header that a record's message begins with: with a PRI, complete (see [`rfc3164::is_complete`]), or around another one.
fn within<'a>(outer: &LogRecord<'a>, left: usize, context: &Context<'_>) -> Option<LogRecord<'a>> {
    let Cow::Borrowed(message) = outer.message else { return None };
    let text = bare(message);
    let (mut record, is_complete) = match text.as_bytes().first()? {
        b'<' if left > 0 && priority(text).is_ok_and(|(rest, _)| !rest.starts_with(' ')) => (header(text, context), true),
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'*' | b'.' if left > 0 => {
            // Most messages begin with a word.
            let may_be_timed = !text.starts_with(|c: char| c.is_ascii_alphabetic()) || timestamp::reading(text).is_ok();
            if !may_be_timed || !rfc3164::is_timed(text, context) {
                return None;
            }
            let record = header(text, context);
            let is_complete = rfc3164::is_complete(text, &record, outer.app.is_some());
            (record, is_complete)
        }
        _ => return None,
    };
    match within(&record, left - 1, context) {
        Some(inner) => nearer(&mut record, inner),
        None if !is_complete => return None,
        None => {}
    }
    Some(record)
}

/// Puts what an inner header says in the place of the outer one's.
fn nearer<'a>(record: &mut LogRecord<'a>, mut inner: LogRecord<'a>) {
    let names_itself = inner.app.is_some() || inner.host.is_some();
    let is_rated = inner.field("log.syslog.severity.code").is_some();
    record.event_time = inner.event_time.or(record.event_time);
    super::nested::passed_on(record, &mut inner);
    if names_itself {
        (record.app, record.pid) = (inner.app, inner.pid);
    }
    if is_rated {
        record.severity = inner.severity;
    }
    record.message = inner.message;
    record.error = inner.error;
    for (name, value) in inner.fields {
        record.set(name, value);
    }
}
