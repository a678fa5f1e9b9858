//! Messages: what happened. One file per product or family.
//!
//! Which parser reads a message follows from the app that wrote it, else from the message's first bytes; nothing else enters, so
//! [`told`] finds the same again in stored columns. A parser returns whether it understood the message; then it has set event type,
//! severity, `format.message` and what fields the message names. How bad things are, the same for all products: a failed login, a refusal
//! and a change of accounts are medium; the routine of every day is low, whatever the PRI says. High and critical are for
//! products that rate what they report.

mod account;
mod dovecot;
mod dropbear;
mod ftp;
mod login;
mod logind;
mod pam;
mod postfix;
mod sshd;
mod su;
mod sudo;
mod vsftpd;

use std::borrow::Cow;

use super::token::{between, number};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

/// Reads a message into a record whose `format.message` it names. False: not understood, and the record is as it was.
type Parser = for<'a> fn(&'a str, &mut LogRecord<'a>) -> bool;

/// Every message parser by its name.
const PARSERS: &[(&str, Parser)] = &[
    ("account", account::parse),
    ("dovecot", dovecot::parse),
    ("dropbear", dropbear::parse),
    ("logind", logind::parse),
    ("login", login::parse),
    ("pam", pam::parse),
    ("postfix", postfix::parse),
    ("proftpd", ftp::proftpd),
    ("pure-ftpd", ftp::pure_ftpd),
    ("sshd", sshd::parse),
    ("su", su::parse),
    ("sudo", sudo::parse),
    ("vsftpd", vsftpd::parse),
];

/// Reads the record's message into the record.
pub(super) fn parse(record: &mut LogRecord<'_>) {
    read(record, None);
}

/// As [`parse`], by that parser only.
pub(super) fn parse_as(record: &mut LogRecord<'_>, parser: MessageParser) {
    read(record, Some(parser.0));
}

/// A message parser that was asked for by its name.
#[derive(Clone, Copy, Debug)]
pub struct MessageParser(Parser);

impl MessageParser {
    /// The parser of that name.
    pub fn named(name: &str) -> Option<MessageParser> {
        PARSERS.iter().find(|(known, _)| *known == name).map(|(_, parser)| MessageParser(*parser))
    }

    /// The names of all of them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PARSERS.iter().map(|(name, _)| *name)
    }
}

/// What the detectors need of a stored record that has no column: [`LogRecord::told_by`] and [`LogRecord::count`].
pub fn told(app: Option<&str>, message: &str) -> (Option<ToldBy>, u32) {
    let mut record = LogRecord::text(message);
    record.app = app.map(Cow::Borrowed);
    parse(&mut record);
    (record.told_by, record.count)
}

/// Some parser reads what this app writes.
pub(super) fn is_known_app(app: &str) -> bool {
    by_app(app).is_some()
}

fn read(record: &mut LogRecord<'_>, forced: Option<Parser>) {
    // Parsers borrow from the frame. A message that was rebuilt (there is none so far) stays text.
    let Cow::Borrowed(message) = record.message else { return };
    let (count, text) = repeated(message);
    let text = prelude(text);
    match forced {
        Some(parser) => {
            parser(text, record);
        }
        None => {
            // A service's PAM lines are PAM's, whoever logged them.
            let app = record.app.as_deref().and_then(by_app).filter(|_| !pam::is_pam(text));
            if !app.is_some_and(|parser| parser(text, record))
                && let Some(parser) = by_prefix(text)
            {
                parser(text, record);
            }
        }
    }
    record.count = record.count.saturating_mul(count);
}

/// The parser of what an app writes, by its name without path, module and the suffixes of its helper processes.
fn by_app(app: &str) -> Option<Parser> {
    if app.starts_with("postfix") {
        return Some(postfix::parse);
    }
    let app = match memchr::memrchr(b'/', app.as_bytes()) {
        Some(at) => &app[at + 1..],
        None => app,
    };
    if let Some((_, module)) = app.split_once('(') {
        return module.starts_with("pam_").then_some(pam::parse);
    }
    Some(match app {
        "sshd" | "sshd-session" | "sshd-auth" => sshd::parse,
        "sudo" => sudo::parse,
        "su" | "su-l" => su::parse,
        "login" => login::parse,
        "systemd-logind" | "elogind" | "elogind-daemon" => logind::parse,
        "useradd" | "userdel" | "usermod" | "groupadd" | "groupdel" | "groupmod" | "chage" | "passwd" | "gpasswd" | "chfn"
        | "chsh" | "chpasswd" | "chgpasswd" | "newusers" | "adduser" | "deluser" => account::parse,
        "dovecot" | "auth-worker" | "dovecot-auth" | "imap-login" | "pop3-login" | "managesieve-login" | "submission-login"
        | "lmtp-login" => dovecot::parse,
        "vsftpd" => vsftpd::parse,
        "proftpd" => ftp::proftpd,
        "pure-ftpd" => ftp::pure_ftpd,
        "dropbear" => dropbear::parse,
        _ => return None,
    })
}

/// The parser of messages that can be told by how they begin, whoever wrote them.
fn by_prefix(text: &str) -> Option<Parser> {
    if pam::is_pam(text) {
        return Some(pam::parse);
    }
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
    match text.as_bytes().first()? {
        b'[' if starts(&["[pid "]) => Some(vsftpd::parse),
        b'B' | b'L' | b'P' | b'E'
            if starts(&["Bad password attempt for ", "Bad PAM password attempt for ", "Login attempt for nonexistent user "])
                || starts(&["Password auth succeeded for ", "Pubkey auth succeeded for ", "Exit before auth "]) =>
        {
            Some(dropbear::parse)
        }
        b'a' | b'I' | b'W' | b'p' | b'i' | b'm' | b's'
            if starts(&[
                "auth(",
                "auth-worker(",
                "Info: ",
                "Warn: ",
                "imap-login: ",
                "pop3-login: ",
                "managesieve-login: ",
                "submission-login: ",
            ]) =>
        {
            Some(dovecot::parse)
        }
        _ => None,
    }
}

/// `message repeated 3 times: [ text]` (rsyslog) stands for three such messages; `last message repeated 3 times` (syslogd)
/// for three of whatever came before.
fn repeated(message: &str) -> (u32, &str) {
    let plain = (1, message);
    if !message.starts_with(['m', 'l', '-']) {
        return plain;
    }
    let text = message.strip_prefix("--- ").unwrap_or(message);
    let Some(rest) = text.strip_prefix("message repeated ").or_else(|| text.strip_prefix("last message repeated ")) else {
        return plain;
    };
    let Ok((rest, count)) = number(1, 6)(rest) else { return plain };
    let Some(rest) = rest.strip_prefix(" time") else { return plain };
    let inside = rest.strip_prefix("s: [").and_then(|text| text.strip_suffix(']'));
    (count.max(1), inside.map_or(message, str::trim_start))
}

/// The message without what stands before it in some systems: `[ID 800047 auth.notice] ` (Solaris), `kernel: `, `[  970.699396] `
/// (the kernel's clock).
fn prelude(message: &str) -> &str {
    let mut text = message;
    if text.starts_with("[ID ")
        && between(text, "[ID ", "] ").is_some_and(|id| id.bytes().all(|b| b.is_ascii_graphic() || b == b' '))
    {
        text = text.split_once("] ").map_or(text, |(_, rest)| rest);
    }
    text = text.strip_prefix("kernel:").map_or(text, str::trim_start);
    if let Some((clock, rest)) = text.strip_prefix('[').and_then(|inside| inside.split_once(']'))
        && clock.contains('.')
        && clock.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b' '))
    {
        text = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    }
    text
}

/// Names what a parser understood.
fn is<'a>(record: &mut LogRecord<'a>, format: &'static str, event_type: EventType, severity: Severity) {
    record.format.message = format;
    record.event_type = event_type;
    record.severity = severity;
}

/// A failed login: medium, with its outcome, and which of several lines about the attempt this one is.
fn failed(record: &mut LogRecord<'_>, format: &'static str, action: &'static str, told_by: ToldBy) {
    is(record, format, EventType::LoginFailed, Severity::Medium);
    record.action = Some(Cow::Borrowed(action));
    record.told_by = Some(told_by);
    record.set("event.outcome", "failure");
}

/// A login: routine.
fn succeeded(record: &mut LogRecord<'_>, format: &'static str, action: &'static str) {
    is(record, format, EventType::LoginSuccess, Severity::Low);
    record.action = Some(Cow::Borrowed(action));
    record.set("event.outcome", "success");
}
