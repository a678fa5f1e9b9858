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

use super::super::token::{ip, is_host_name, whole_number, word};
use super::super::{Context, message, scan, timestamp};
use super::{MARK, Priority};
use crate::record::{LogRecord, Timestamp};

/// Reads what follows the PRI, or a whole line without one. Always understands something.
pub(crate) fn read<'a>(text: &'a str, priority: Option<Priority>, context: &Context<'_>) -> LogRecord<'a> {
    let mut record = LogRecord::text(text);
    if let Some(priority) = priority {
        record.format.envelope = "rfc3164";
        priority.apply(&mut record);
    }
    let body = text.trim_start_matches([' ', MARK]);
    if let Some(header) = timed(body, context) {
        record.format.envelope = "rfc3164";
        record.event_time = header.time;
        record.host = header.host.map(Cow::Borrowed);
        record.app = header.app.map(Cow::Borrowed);
        after_time(header.rest, &mut record, context);
        // A server's log with a time of its own, to which somebody gave a PRI.
        if priority.is_some() && record.host.is_none() && record.app.is_none() && record.message.starts_with('[') {
            record.message = Cow::Borrowed(body);
        }
    } else if let Some(message) = cisco_tag_within(body).filter(|_| body.starts_with(|c: char| c.is_ascii_digit()))
        && !super::begins_header(super::bare(body))
    {
        // An uptime only.
        record.format.envelope = "rfc3164";
        record.message = Cow::Borrowed(message);
    } else if !without_time(body, &mut record) && priority.is_some() {
        match tag(body) {
            Some(tag) => tag.file(&mut record),
            None if super::begins_header(super::bare(body)) => record.message = Cow::Borrowed(body),
            None if after_host(body, &mut record, true) => {}
            None => record.message = Cow::Borrowed(body),
        }
    }
    record
}

/// The text begins with a time, or with what Cisco puts before it.
pub(super) fn is_timed(text: &str, context: &Context<'_>) -> bool {
    timed(text, context).is_some()
}

/// A header is complete: it has a host and a tag that prose cannot be taken for, or a text that begins as only a message does. With a tag before
/// it (`is_tagged`), `app: 2026-06-01 12:00:00 worker: …` is a program with a clock of its own, so its tag has to be surer.
pub(super) fn is_complete(text: &str, record: &LogRecord<'_>, is_tagged: bool) -> bool {
    const BEGINNINGS: [&str; 7] = ["CEF:", "LEEF:", "{", "@cee:", "type=", "node=", "%"];
    let message = &*record.message;
    let is_message = || {
        let (first, rest) = word(message);
        BEGINNINGS.iter().any(|start| message.starts_with(start)) || is_repetition(message) || is_access(first, rest)
    };
    match &record.app {
        Some(_) if record.host.is_none() => false,
        Some(app) if record.pid.is_some() || message::is_known_app(app) => true,
        Some(_) => {
            text[..text.len() - message.len()].trim_end_matches([' ', MARK]).ends_with(':') && (!is_tagged || is_message())
        }
        None => record.format.envelope == "cri" || is_message(),
    }
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
    if let Some(found) = header(None, clock_mark(without_node(text))) {
        return Some(Header { rest: without_zone_name(found.rest), ..found });
    }
    // A file, or IOS XR, has the host before the device's own number or node: `192.0.2.1 6705: Feb 17 13:40:03: %PARSER-5-…`.
    let (host, after) = word(text);
    let numbered = sequence_number(after).unwrap_or_else(|| without_node(after));
    if numbered.len() < after.len()
        && is_host_name(host)
        && let Some(found) = header(Some(host), clock_mark(numbered))
        && (is_cisco_tag(clock_mark(found.rest)) || cisco_tag_within(found.rest).is_some())
    {
        return Some(found);
    }
    let (host, rest) = scan::cut(text, ": ").filter(|(host, _)| is_host_name(host))?;
    let rest = rest.trim_start_matches(' ');
    let rest = sequence_number(rest).unwrap_or(rest);
    if let Some(found) = header(Some(host), clock_mark(without_node(rest))) {
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

/// `RP/0/RSP0/CPU0:`: the node of a router with IOS XR.
fn without_node(text: &str) -> &str {
    if !text.starts_with(['R', 'L']) {
        return text;
    }
    let (node, rest) = text.split_at(text.bytes().position(|b| matches!(b, b':' | b' ')).unwrap_or(0));
    let is_node = (node.starts_with("RP/") || node.starts_with("LC/")) && node.ends_with(|c: char| c.is_ascii_digit());
    rest.strip_prefix(':').filter(|_| is_node).unwrap_or(text)
}

/// Cisco devices write no host behind such a time, so a word before the tag is a zone by a name of the administrator's own.
fn without_zone_name(rest: &str) -> &str {
    let (name, after) = word(rest.trim_start_matches(' '));
    if name.ends_with(':') && is_cisco_tag(after) { after } else { rest }
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
    let at = scan::find(&text.as_bytes()[..text.len().min(80)], ": %")?;
    Some(&text[at + 2..]).filter(|tag| is_cisco_tag(tag))
}

/// `<local0.info> `: how BSD's syslogd -v and others write a priority into a file.
fn bracketed_priority(text: &str) -> Option<(Priority, &str)> {
    let (words, rest) = text.strip_prefix('<')?.split_once("> ")?;
    let (facility, severity) = words.split_once('.')?;
    Some((Priority::from_words(facility, severity)?, rest.trim_start_matches(' ')))
}

/// What follows the time: host and tag in all their combinations.
fn after_time<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) {
    let rest = super::bare(text.strip_prefix(':').unwrap_or(text));
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
    if let Some((priority, host, rest)) = tabbed(rest) {
        priority.apply(record);
        record.host = Some(Cow::Borrowed(host));
        record.message = Cow::Borrowed(rest);
        if !super::begins_header(super::bare(rest)) {
            after_host_or_tag(rest, record);
        }
        return;
    }
    let rest = bracketed_priority(rest).map_or(rest, |(priority, rest)| {
        priority.apply(record);
        rest
    });
    // A header of its own behind the time at which somebody took it: exports of CloudWatch, `docker logs -t`.
    if super::begins_header(rest) || rest.starts_with('{') {
        record.message = Cow::Borrowed(rest);
        return;
    }
    // The tag comes first where no host was written; a host never ends in a colon unless something upper-case and a `%` follow.
    let (first, after) = word(rest);
    if let Some(host) = first.strip_suffix(':')
        && !host.ends_with(']')
        && (is_cisco_tag(after) || after.starts_with(": "))
    {
        record.host = Some(Cow::Borrowed(host));
        record.message = Cow::Borrowed(after);
        return;
    }
    if is_level(first) || is_access(first, after) {
        record.message = Cow::Borrowed(rest);
        return;
    }
    if let Some(priority) = esxi_priority(first) {
        priority.apply(record);
        return after_host_or_tag(after, record);
    }
    if let Some(message) = stream(first, after, record) {
        record.format.envelope = "cri";
        record.message = Cow::Borrowed(message);
        return;
    }
    if first.ends_with(':') || first.contains('[') || first.starts_with('[') || !is_host_like(first) {
        return after_host_or_tag(rest, record);
    }
    record.host = Some(Cow::Borrowed(first));
    let after = after.trim_start_matches([' ', MARK]);
    let after = after.strip_prefix(": ").unwrap_or(after);
    if let Some((priority, rest)) = spelled_priority(after) {
        priority.apply(record);
        return after_host_or_tag(rest, record);
    }
    // A relay wrote a header of its own before a device's, which is read next (see `within`).
    if super::begins_header(super::bare(after)) {
        record.message = Cow::Borrowed(after);
        return;
    }
    let may_be_time = after.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '*' | '.' | 'R' | 'L'));
    if let Some(inner) = may_be_time.then(|| timed(after, context)).flatten() {
        let message = clock_mark(inner.rest);
        if is_cisco_tag(message) || is_repetition(message) {
            record.event_time = inner.time.or(record.event_time);
            record.message = Cow::Borrowed(message);
            return;
        }
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

/// `Local7.Debug<tab>192.0.2.1<tab>text`: the files of Kiwi's Syslog Server.
fn tabbed(text: &str) -> Option<(Priority, &str, &str)> {
    let end = text.bytes().take(40).position(|b| b == b'\t')?;
    let (words, rest) = text.split_at(end);
    let (facility, severity) = words.split_once('.')?;
    let (host, message) = rest.get(1..)?.split_once('\t').filter(|(host, _)| is_host_like(host))?;
    Some((Priority::from_words(facility, severity)?, host, message))
}

/// The level of a program's own log, which has a time like syslog's and then no host.
fn is_level(text: &str) -> bool {
    matches!(text, "TRACE" | "DEBUG" | "INFO" | "NOTICE" | "WARN" | "WARNING" | "ERROR" | "CRITICAL" | "FATAL")
}

/// `In(166)`: ESXi 8 writes the severity's first letters and the PRI into its files, and no host.
fn esxi_priority(word: &str) -> Option<Priority> {
    let (severity, number) = word.strip_suffix(')')?.split_once('(')?;
    let is_severity = matches!(severity, "Em" | "Al" | "Cr" | "Er" | "Wa" | "No" | "In" | "Db");
    number.parse().ok().filter(|number| is_severity && *number <= 191).map(Priority)
}

/// What Kubernetes' container runtimes write: `stdout F text`, `P` for a part of a longer line (CRI logging format).
fn stream<'a>(stream: &'a str, rest: &'a str, record: &mut LogRecord<'a>) -> Option<&'a str> {
    let (tags, text) = word(rest);
    let is_part = match tags.split_once(':').map_or(tags, |(first, _)| first) {
        "F" => false,
        "P" => true,
        _ => return None,
    };
    if !matches!(stream, "stdout" | "stderr") {
        return None;
    }
    record.set("stream", stream);
    if is_part {
        record.set("log.flags", "partial");
    }
    Some(text)
}

/// `192.0.2.7 - user [time] "request"`: a web server's line; what stands in front is the client.
fn is_access(first: &str, rest: &str) -> bool {
    rest.starts_with("- ")
        && ip(first).is_some()
        && memchr::memmem::find(&rest.as_bytes()[..rest.len().min(256)], b"] \"").is_some()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;
    use crate::record::{Severity, Value, Zone};
    use proptest::prelude::*;

    /// Frame; time within 2026 (without the year), host, app, pid, message.
    type Case<'a> = (&'a str, &'a str, &'a str, &'a str, u32, &'a str);

    fn check(cases: &[Case<'_>]) {
        let context = Context { now: Timestamp::parse_rfc3339("2026-06-15T00:00:00Z").unwrap(), zone: &Zone::UTC, own: &[] };
        for (frame, time, host, app, pid, message) in cases {
            let r = parse(frame, &context);
            let got_time = r.event_time.map_or(String::new(), |t| t.to_string());
            let got = (r.host.as_deref().unwrap_or(""), r.app.as_deref().unwrap_or(""), r.pid.unwrap_or(0), &*r.message);
            assert_eq!(got_time, if time.is_empty() { String::new() } else { format!("2026-{time}Z") }, "{frame}");
            assert_eq!(got, (*host, *app, *pid, *message), "{frame}");
            assert_eq!(r.error, None, "{frame}");
        }
    }

    #[test]
    fn hosts_and_tags() {
        check(&[
            ("<34>Jun 11 22:14:15 mx1 su: x", "06-11T22:14:15", "mx1", "su", 0, "x"),
            ("Jun 1 22:14:15 mx1 app[12]: x", "06-01T22:14:15", "mx1", "app", 12, "x"),
            ("JUN 01 22:14:15.250 10.0.0.9 app[12] x", "06-01T22:14:15.25", "10.0.0.9", "app", 12, "x"),
            ("Jun  1 22:14:15 2001:db8::9 a-b.c/d[1]:x", "06-01T22:14:15", "2001:db8::9", "a-b.c/d", 1, "x"),
            ("Jun  1 22:14:15 src@relay_1/mx app: x", "06-01T22:14:15", "src@relay_1/mx", "app", 0, "x"),
            ("Jun  1 22:14:15 app[12]: no host", "06-01T22:14:15", "", "app", 12, "no host"),
            ("Jun  1 22:14:15 app: no host", "06-01T22:14:15", "", "app", 0, "no host"),
            ("2026-06-01T22:14:15.5+02:00 mx1 app[]: x", "06-01T20:14:15.5", "mx1", "app", 0, "x"),
            ("2026-06-01 22:14:15-0130  mx1 app: x", "06-01T23:44:15", "mx1", "app", 0, "x"),
            ("2026-06-01 22:14:15,042 mx1 app[1] x", "06-01T22:14:15.042", "mx1", "app", 1, "x"),
            ("Jun  1 22:14:15 CEST mx1 app: x", "06-01T20:14:15", "mx1", "app", 0, "x"),
            ("Jun  1 22:14:15 mx1 sshd(pam_unix)[7]: x", "06-01T22:14:15", "mx1", "sshd(pam_unix)", 7, "x"),
            ("Jun  1 22:14:15 auth-worker(7): Info: x", "06-01T22:14:15", "", "auth-worker", 7, "Info: x"),
            ("Jun  1 22:14:15 Info: auth: x", "06-01T22:14:15", "", "", 0, "Info: auth: x"),
            ("Jun  1 22:14:15 mac Big Helper[7]: x", "06-01T22:14:15", "mac", "Big Helper", 7, "x"),
            ("Jun  1 22:14:15 mx1 tag words follow", "06-01T22:14:15", "mx1", "tag", 0, "words follow"),
            ("Jun  1 22:14:15 mx1 A sentence: with a colon", "06-01T22:14:15", "mx1", "", 0, "A sentence: with a colon"),
            ("Jun  1 22:14:15 mx1 key=value a:b", "06-01T22:14:15", "mx1", "", 0, "key=value a:b"),
            ("Jun  1 22:14:15 aix1 Message forwarded from aix2: app[3]: x", "06-01T22:14:15", "aix2", "app", 3, "x"),
            ("2026-06-01 22:14:15,042 ERROR pool: x", "06-01T22:14:15.042", "", "", 0, "ERROR pool: x"),
            ("2026/06/01 22:14:15 [worker] 7#7: *1 x", "06-01T22:14:15", "", "", 0, "[worker] 7#7: *1 x"),
            ("Jun  1 22:14:15 mx1 CEF:0|a|b", "06-01T22:14:15", "mx1", "", 0, "CEF:0|a|b"),
            ("Jun  1 22:14:15 mx1 {\"a\": 1}", "06-01T22:14:15", "mx1", "", 0, "{\"a\": 1}"),
            ("Jun  1 22:14:15 mx1", "06-01T22:14:15", "mx1", "", 0, ""),
            ("Jun  1 22:14:15", "06-01T22:14:15", "", "", 0, ""),
            ("Jun  1 22:14:15 <local0.info> mx1 app[12]: x", "06-01T22:14:15", "mx1", "app", 12, "x"),
            ("2026-06-01 22:14:15\tLocal7.Debug\t10.0.0.9\tapp[12]: x", "06-01T22:14:15", "10.0.0.9", "app", 12, "x"),
            ("2026-06-01 22:14:20\tAuth.Info\t10.0.0.9\tJun  1 22:14:15 mx1 app[12]: x", "06-01T22:14:15", "mx1", "app", 12, "x"),
            ("2026-06-01T22:14:15.25Z In(166) Hostd[12]: x", "06-01T22:14:15.25", "", "Hostd", 12, "x"),
            ("Jun  1 22:14:15 <b.c> x", "06-01T22:14:15", "", "", 0, "<b.c> x"),
            ("Jun  1 22:14:15 last message repeated 2 times", "06-01T22:14:15", "", "", 0, "last message repeated 2 times"),
            ("\u{feff}<34>Jun  1 22:14:15 mx1 app: x\r", "06-01T22:14:15", "mx1", "app", 0, "x"),
            ("<34>  Jun  1 22:14:15 mx1 app: x", "06-01T22:14:15", "mx1", "app", 0, "x"),
        ]);
    }

    #[test]
    fn cisco() {
        check(&[
            ("<189>29: *Jun  1 00:00:29.123: %SYS-5-CONFIG_I: x", "06-01T00:00:29.123", "", "", 0, "%SYS-5-CONFIG_I: x"),
            ("29: *Jun  1 00:00:29 lab: %SYS-5-A: x", "06-01T00:00:29", "", "", 0, "%SYS-5-A: x"),
            ("<189>29: r1: .Jun  1 00:00:29 CEST: %SYS-5-A: x", "05-31T22:00:29", "r1", "", 0, "%SYS-5-A: x"),
            ("<189>29: r1: 000042: Jun 1 2026 00:00:29: %SYS-5-A: x", "06-01T00:00:29", "r1", "", 0, "%SYS-5-A: x"),
            ("<189>29: r1: 2y10w: %SYS-5-A: x", "", "r1", "", 0, "%SYS-5-A: x"),
            ("29: 00:00:46: %LINK-3-UPDOWN: x", "", "", "", 0, "%LINK-3-UPDOWN: x"),
            ("<189>00:00:46: %LINK-3-UPDOWN: x", "", "", "", 0, "%LINK-3-UPDOWN: x"),
            ("<166>Jun 01 2026 09:12:00 fw1 : %ASA-6-302013: x", "06-01T09:12:00", "fw1", "", 0, "%ASA-6-302013: x"),
            ("<166>Jun 01 2026 09:12:00: %ASA-6-302013: x", "06-01T09:12:00", "", "", 0, "%ASA-6-302013: x"),
            ("Jun  1 09:12:00 fw1: %FTD-6-302013: x", "06-01T09:12:00", "fw1", "", 0, "%FTD-6-302013: x"),
            ("Jun  1 09:12:00 fw1 %ASA-6-302013: x", "06-01T09:12:00", "fw1", "", 0, "%ASA-6-302013: x"),
            ("Jun  1 09:12:00 fw1 CiscoASA[9]: %ASA-6-1: x", "06-01T09:12:00", "fw1", "CiscoASA", 9, "%ASA-6-1: x"),
            ("Jun  1 09:12:09 10.0.0.1 77: *Jun  1 09:12:00.5: %A-6-B: x", "06-01T09:12:00.5", "10.0.0.1", "", 0, "%A-6-B: x"),
            ("<187>Jun  1 09:12:09 n7k : 2026 Jun  1 09:12:00 UTC: %A-6-B: x", "06-01T09:12:00", "n7k", "", 0, "%A-6-B: x"),
            ("<131>wlc1: *emWeb: Jun 01 18:14:03.172: %NIM-3-A: x", "06-01T18:14:03.172", "wlc1", "emWeb", 0, "%NIM-3-A: x"),
            ("%ASA-3-421001: x", "", "", "", 0, "%ASA-3-421001: x"),
            ("10.0.0.1 77: Jun  1 09:12:00.5: %A-6-B: x", "06-01T09:12:00.5", "10.0.0.1", "", 0, "%A-6-B: x"),
            ("10.0.0.1 77: Jun  1 09:12:00.5: x", "", "", "", 0, "10.0.0.1 77: Jun  1 09:12:00.5: x"),
            ("RP/0/RSP0/CPU0:Jun  1 09:12:00 UTC: SSHD_[65]: %A-B-6-C : x", "06-01T09:12:00", "", "SSHD_", 65, "%A-B-6-C : x"),
            (
                "<189>42: r1 RP/0/RSP0/CPU0:2026 Jun  1 09:12:00 UTC: sshd[65]: %A-6-C : x",
                "06-01T09:12:00",
                "r1",
                "",
                0,
                "%A-6-C : x",
            ),
            ("<189>r1: LC/0/1/CPU0:Jun  1 09:12:00 UTC: sshd[65]: %A-6-C : x", "06-01T09:12:00", "r1", "", 0, "%A-6-C : x"),
        ]);
    }

    #[test]
    fn lines_without_a_time() {
        check(&[
            ("mx1 app[12]: x", "", "mx1", "app", 12, "x"),
            ("app[12]: x", "", "", "app", 12, "x"),
            ("mx1 sudo: x", "", "mx1", "sudo", 0, "x"),
            ("<13>app: x", "", "", "app", 0, "x"),
            ("<13>mx1 app[12]: x", "", "mx1", "app", 12, "x"),
            ("<13>Nothing of the kind", "", "", "", 0, "Nothing of the kind"),
            ("note: this is prose", "", "", "", 0, "note: this is prose"),
            ("so is: this", "", "", "", 0, "so is: this"),
            ("", "", "", "", 0, ""),
            ("<13>", "", "", "", 0, ""),
            ("<192>x", "", "", "", 0, "<192>x"),
        ]);
    }

    #[test]
    fn facility_and_severity_in_words() {
        let context = Context { now: Timestamp::parse_rfc3339("2026-06-15T00:00:00Z").unwrap(), zone: &Zone::UTC, own: &[] };
        for line in ["Jun  1 22:14:15 ap1 daemon.crit hostapd: x", "Mon Jun  1 22:14:15 2026 daemon.crit hostapd: x"] {
            let r = parse(line, &context);
            assert_eq!((r.app.as_deref(), r.severity), (Some("hostapd"), Severity::High), "{line}");
            assert_eq!(r.field("log.syslog.facility.code"), Some(&Value::Int(3)));
        }
    }

    proptest! {
        #[test]
        fn what_a_sender_writes_is_read_back(
            pri in prop::option::of(0u8..=191),
            secs in 0i64..86_400,
            host in "[a-z][a-z0-9.-]{0,20}",
            app in "[a-z][a-z0-9_./-]{0,20}",
            pid in prop::option::of(any::<u32>()),
            message in "[!-~é]([ -~é]{0,40}[!-~é])?",
        ) {
            let now = Timestamp::parse_rfc3339("2026-06-01T12:00:00Z").unwrap();
            let clock = format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60);
            let pri = pri.map_or(String::new(), |pri| format!("<{pri}>"));
            let tag = pid.map_or(app.clone(), |pid| format!("{app}[{pid}]"));
            let frame = format!("{pri}Jun  1 {clock} {host} {tag}: {message}");
            let r = super::super::read(&frame, &Context { now, zone: &Zone::UTC, own: &[] });
            prop_assert_eq!(r.event_time.map(|t| t.to_string()), Some(format!("2026-06-01T{clock}Z")));
            prop_assert_eq!((r.host.as_deref(), r.app.as_deref(), r.pid), (Some(&*host), Some(&*app), pid));
            prop_assert_eq!(&*r.message, &*message);
        }
    }
}
