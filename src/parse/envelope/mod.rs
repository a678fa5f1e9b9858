//! Envelopes: who sent a line, when, and the message inside.
//!
//! `read` recognises the envelope from its first bytes: `<PRI>` and a version is RFC 5424; everything else is
//! BSD syslog in one of its many spellings, or no envelope at all.

pub(crate) mod json;
pub(crate) mod rfc3164;
pub(crate) mod rfc5424;

use nom::Parser;
use nom::character::complete::char;

use super::Context;
use super::token::{Parsed, no, number};
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
        let facility = FACILITIES.iter().position(|name| *name == facility)?;
        let severity = match severity {
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

/// Reads the envelope of one frame. The record's message is what is left of the frame.
pub(crate) fn read<'a>(frame: &'a str, context: &Context<'_>) -> LogRecord<'a> {
    // RFC 5424 §6.4 has the mark in front of the message; some senders put it in front of everything. A CR or LF at the end
    // is left over from a delimiter of two bytes.
    let text = frame.strip_prefix('\u{feff}').unwrap_or(frame).trim_end_matches(['\r', '\n']);
    let (rest, priority) = match priority(text) {
        Ok((rest, priority)) => (rest, Some(priority)),
        Err(_) => (text, None),
    };
    if let Some(priority) = priority
        && let Some(record) = rfc5424::read(rest, priority, context)
    {
        return record;
    }
    rfc3164::read(rest, priority, context)
}
