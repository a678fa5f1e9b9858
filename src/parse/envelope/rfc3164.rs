//! BSD syslog as the world really sends it. RFC 3164 describes what its author saw in 2001: `<PRI>Mmm dd hh:mm:ss HOST TAG: message`, every part
//! of which is missing, doubled or spelled otherwise somewhere. What is recognised, in order:
//!
//! 1. Cisco's sequence number, host and clock marks before the time: `42: router1: *Mar  1 00:00:46.123: %SYS-5-…`
//! 2. a time of any spelling (see `timestamp`), or none
//! 3. the host, where what follows is not already the tag
//! 4. a tag: `app[pid]:`, `app:`, `app(module)[pid]:`, `app` in lower case, or `%FACILITY-SEVERITY-MNEMONIC:`, which stays in the message
//!
//! A line without a time and without a PRI has an envelope only if it carries a tag that cannot be taken for prose.

use std::borrow::Cow;

use super::super::token::{is_host_name, whole_number, word};
use super::super::{Context, message, timestamp};
use super::Priority;
use crate::record::{LogRecord, Timestamp};

/// Reads what follows the PRI, or a whole line without one. Always understands something.
pub(crate) fn read<'a>(text: &'a str, priority: Option<Priority>, context: &Context<'_>) -> LogRecord<'a> {
    let mut record = LogRecord::text(text);
    if let Some(priority) = priority {
        record.format.envelope = "rfc3164";
        priority.apply(&mut record);
    }
    let body = text.trim_start_matches(' ');
    if let Some(header) = timed(body, context) {
        record.format.envelope = "rfc3164";
        record.event_time = header.time;
        record.host = header.host.map(Cow::Borrowed);
        record.app = header.app.map(Cow::Borrowed);
        after_time(header.rest, &mut record, context);
    } else if !without_time(body, &mut record) && priority.is_some() {
        match tag(body) {
            Some(tag) => tag.file(&mut record),
            None if after_host(body, &mut record, true) => {}
            None => record.message = Cow::Borrowed(body),
        }
    }
    record
}

/// A time at the front, and what Cisco puts before it.
struct Header<'a> {
    time: Option<Timestamp>,
    host: Option<&'a str>,
    app: Option<&'a str>,
    rest: &'a str,
}

/// `[seqno: ][host: ][*|.]time`.
fn timed<'a>(text: &'a str, context: &Context<'_>) -> Option<Header<'a>> {
    let header = |host, text: &'a str| {
        let (rest, reading) = timestamp::reading(text).ok()?;
        Some(Header { time: Some(reading.instant(context)?), host, app: None, rest })
    };
    if let Some(found) = header(None, text) {
        return Some(found);
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '.' | ':')) {
        return None;
    }
    let text = sequence_number(text).unwrap_or(text);
    if let Some(found) = header(None, clock_mark(text)) {
        return Some(found);
    }
    let (host, rest) = text.split_once(": ").filter(|(host, _)| is_host_name(host))?;
    let rest = rest.trim_start_matches(' ');
    let rest = sequence_number(rest).unwrap_or(rest);
    if let Some(found) = header(Some(host), clock_mark(rest)) {
        return Some(found);
    }
    // Wireless controllers name the task: `wlc1: *emWeb: Aug 22 18:14:03.172: %NIM-3-…`.
    if let Some((app, rest)) = rest.strip_prefix('*').and_then(|rest| rest.split_once(": "))
        && is_program(app)
        && let Some(found) = header(Some(host), rest)
    {
        return Some(Header { app: Some(app), ..found });
    }
    // An uptime (`00:00:46`, `2y10w`) stands where the time would; the tag behind it shows what this is.
    cisco_tag_within(rest).map(|rest| Header { time: None, host: Some(host), app: None, rest })
}

/// `*` (clock not set), `.` (set once, out of sync) before a Cisco time; also a stray colon.
fn clock_mark(text: &str) -> &str {
    text.trim_start_matches(['*', '.', ':', ' '])
}

/// `000042: `: Cisco's `service sequence-numbers`.
fn sequence_number(text: &str) -> Option<&str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text[digits..].strip_prefix(':')?.strip_prefix(' ')?;
    (1..=10).contains(&digits).then(|| rest.trim_start_matches(' '))
}

/// `%FACILITY-SEVERITY-MNEMONIC`: an upper-case word, a hyphen.
fn is_cisco_tag(text: &str) -> bool {
    let Some(tag) = text.strip_prefix('%') else { return false };
    let facility = tag.bytes().take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_').count();
    facility > 0 && tag.as_bytes().get(facility) == Some(&b'-')
}

/// The Cisco tag and what follows, where it comes after at most a few words and `: `.
fn cisco_tag_within(text: &str) -> Option<&str> {
    let at = memchr::memmem::find(&text.as_bytes()[..text.len().min(80)], b": %")?;
    Some(&text[at + 2..]).filter(|tag| is_cisco_tag(tag))
}

/// What follows the time: host and tag in all their combinations.
fn after_time<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) {
    let rest = text.strip_prefix(':').unwrap_or(text).trim_start_matches(' ');
    if is_cisco_tag(rest) || is_repetition(rest) {
        record.message = Cow::Borrowed(rest);
        return;
    }
    if record.host.is_some() {
        record.message = Cow::Borrowed(cisco_tag_within(rest).unwrap_or(rest));
        return;
    }
    if let Some((priority, rest)) = spelled_priority(rest) {
        priority.apply(record);
        return after_host_or_tag(rest, record);
    }
    // The tag comes first where no host was written; a host never ends in a colon unless something upper-case and a `%` follow.
    let (first, after) = word(rest);
    if let Some(host) = first.strip_suffix(':')
        && (is_cisco_tag(after) || after.starts_with(": "))
    {
        record.host = Some(Cow::Borrowed(host));
        record.message = Cow::Borrowed(after);
        return;
    }
    if first.ends_with(':') || first.contains('[') || first.starts_with('[') || !is_host_like(first) {
        return after_host_or_tag(rest, record);
    }
    record.host = Some(Cow::Borrowed(first));
    let after = after.trim_start_matches(' ');
    let after = after.strip_prefix(": ").unwrap_or(after);
    if let Some((priority, rest)) = spelled_priority(after) {
        priority.apply(record);
        return after_host_or_tag(rest, record);
    }
    // A relay wrote a header of its own before a device's: the device's time is the event's.
    if let Some(inner) = timed(after, context).filter(|inner| is_cisco_tag(clock_mark(inner.rest))) {
        record.event_time = inner.time.or(record.event_time);
        record.message = Cow::Borrowed(clock_mark(inner.rest));
        return;
    }
    if let Some(inner) = timed(after, context).filter(|inner| is_repetition(clock_mark(inner.rest))) {
        record.event_time = inner.time.or(record.event_time);
        record.message = Cow::Borrowed(clock_mark(inner.rest));
        return;
    }
    // AIX: `Message forwarded from host: app[pid]: text`.
    if let Some((host, rest)) = after.strip_prefix("Message forwarded from ").and_then(|rest| rest.split_once(": ")) {
        record.host = Some(Cow::Borrowed(host));
        return after_host_or_tag(rest, record);
    }
    after_host_or_tag(after, record);
}

fn after_host_or_tag<'a>(text: &'a str, record: &mut LogRecord<'a>) {
    if !after_host(text, record, false) {
        record.message = Cow::Borrowed(text);
    }
}

/// Files tag and message. False, and nothing done, where there is no tag and `strict` asks for one.
fn after_host<'a>(text: &'a str, record: &mut LogRecord<'a>, strict: bool) -> bool {
    if is_cisco_tag(text) || is_repetition(text) || text.starts_with('{') {
        record.message = Cow::Borrowed(text);
        return true;
    }
    if let Some(tag) = tag(text) {
        tag.file(record);
        return true;
    }
    if let Some(message) = cisco_tag_within(text) {
        record.message = Cow::Borrowed(message);
        return true;
    }
    if strict {
        return false;
    }
    // RFC 3164 §4.1.3: any character that is not alphanumeric ends the tag. Programs have names in lower case; a capital
    // begins a sentence, which is left whole.
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let name = &text[..end];
    let named = is_program(name)
        && (end == text.len() || text[end..].starts_with('\t') || name.starts_with(|c: char| c.is_ascii_lowercase()));
    if named {
        record.app = Some(Cow::Borrowed(name));
        record.message = Cow::Borrowed(text[end..].trim_start_matches([' ', '\t']));
    }
    named
}

/// `daemon.info app[1]: …`: BusyBox syslogd writes facility and severity in words.
fn spelled_priority(text: &str) -> Option<(Priority, &str)> {
    let (first, rest) = word(text);
    let (facility, severity) = first.split_once('.')?;
    Priority::from_words(facility, severity).map(|priority| (priority, rest))
}

/// syslogd's own words, which carry no tag.
fn is_repetition(text: &str) -> bool {
    text.starts_with("last message repeated ")
        || text.starts_with("--- last message repeated ")
        || text.starts_with("message repeated ")
}

/// A line of a file without a time, such as `journalctl -o cat` or a container's output: `host app[pid]: message`, `app[pid]: message`;
/// `host app: message` only for an app that this program knows, since prose may look the same.
fn without_time<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let (first, rest) = word(text);
    let certain = |tag: &Tag<'a>| tag.pid.is_some() || message::is_known_app(tag.app);
    let tag_first = || tag(text).filter(certain).map(|tag| (None, tag));
    let host_first = || tag(rest).filter(|tag| is_host_name(first) && certain(tag)).map(|tag| (Some(first), tag));
    let Some((host, tag)) = host_first().or_else(tag_first) else { return false };
    record.format.envelope = "rfc3164";
    record.host = host.map(Cow::Borrowed);
    tag.file(record);
    true
}

/// A host as syslog senders write it: a name, an address, with `@` (syslog-ng chains) or `/` (relays) in it.
fn is_host_like(text: &str) -> bool {
    let len = text.len();
    (1..=255).contains(&len)
        && text.bytes().any(|b| b.is_ascii_alphanumeric() || b >= 0x80)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b >= 0x80 || matches!(b, b'.' | b'-' | b'_' | b':' | b'@' | b'/' | b'%'))
}

/// A program's name: no spaces, no punctuation beyond what file names have.
fn is_program(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b'@' | b'+'))
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// `app[pid]: `, and the message after it.
struct Tag<'a> {
    app: &'a str,
    pid: Option<u32>,
    message: &'a str,
}

impl<'a> Tag<'a> {
    fn file(self, record: &mut LogRecord<'a>) {
        record.app = Some(Cow::Borrowed(self.app));
        record.pid = self.pid;
        record.message = Cow::Borrowed(self.message);
    }
}

/// A tag that ends in `:` or holds a process id.
fn tag(text: &str) -> Option<Tag<'_>> {
    let head = &text.as_bytes()[..text.len().min(160)];
    let end = head.iter().position(|b| matches!(b, b':' | b'[' | b' ' | b'(' | b'\t' | b'{' | b'"' | b'<'))?;
    let app = &text[..end];
    if end == 0 || !app.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b',' | b'=')) {
        return None;
    }
    let rest = &text[end..];
    match head[end] {
        b':' => colon(app, rest),
        b'[' => pid(app, rest),
        b'(' => module(text, app, rest),
        b' ' => spaced(text),
        _ => None,
    }
}

/// `app: message`. Not a tag: a level (`Info: …`), a path or address (`http://…`, `a:b`), a number (a sequence number), a level in brackets.
fn colon<'a>(app: &'a str, rest: &'a str) -> Option<Tag<'a>> {
    let rest = &rest[1..];
    let level = ["Info", "Warn", "Warning", "Error", "Fatal", "Debug", "Panic"].contains(&app);
    let named = app.bytes().any(|b| b.is_ascii_alphanumeric());
    let ends = rest.is_empty() || rest.starts_with([' ', '\t', '[']);
    (named && ends && !level).then(|| Tag { app, pid: None, message: rest.strip_prefix(' ').unwrap_or(rest).trim_start() })
}

/// `app[pid]: message`, `app[pid] message`, `app[]: message`; `app[12:ab]` keeps no pid.
fn pid<'a>(app: &'a str, rest: &'a str) -> Option<Tag<'a>> {
    let close = memchr::memchr(b']', &rest.as_bytes()[..rest.len().min(80)])?;
    let inside = &rest[1..close];
    if !inside.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let after = &rest[close + 1..];
    let message = match after.strip_prefix(':') {
        Some(message) => message,
        None if after.is_empty() || after.starts_with([' ', '\t']) => after,
        None => return None,
    };
    Some(Tag { app, pid: whole_number(inside), message: message.trim_start() })
}

/// `sshd(pam_unix)[123]: message`: Linux-PAM before 0.99 put the module into the tag. `auth-worker(123): message`: Dovecot's own log.
fn module<'a>(text: &'a str, app: &'a str, rest: &'a str) -> Option<Tag<'a>> {
    let close = memchr::memchr(b')', &rest.as_bytes()[..rest.len().min(80)])?;
    let (inside, after) = (&rest[1..close], &rest[close + 1..]);
    let whole = &text[..app.len() + close + 1];
    if let Some(pid) = whole_number(inside).filter(|_| after.starts_with(": ")) {
        return Some(Tag { app, pid: Some(pid), message: after[1..].trim_start() });
    }
    if !inside.starts_with("pam_") {
        return None;
    }
    match after.as_bytes().first() {
        Some(b'[') => pid(whole, after),
        Some(b':') => colon(whole, after),
        _ => None,
    }
}

/// `Google Chrome[85294]: message`: macOS programs have spaces in their names. Two or three
/// words of letters, the first with a capital, and a pid.
fn spaced(text: &str) -> Option<Tag<'_>> {
    let head = &text.as_bytes()[..text.len().min(64)];
    let open = memchr::memchr(b'[', head)?;
    let app = &text[..open];
    let words = app.split(' ').count();
    let plain = app
        .split(' ')
        .all(|w| w.starts_with(|c: char| c.is_ascii_alphabetic()) && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'));
    let close = memchr::memchr(b']', &text.as_bytes()[open..text.len().min(open + 16)])?;
    let (inside, after) = (&text[open + 1..open + close], &text[open + close + 1..]);
    let number = whole_number(inside)?;
    (words <= 3 && plain && text.starts_with(|c: char| c.is_ascii_uppercase()) && after.starts_with(':')).then(|| Tag {
        app,
        pid: Some(number),
        message: after[1..].trim_start(),
    })
}
