//! Sentences with holes: what programs write with one format string, read by the same string.
//!
//! A [`Wording`] is such a string, `Login failed for {user} from {ip}`, and what it means. A text must fit all of it, from its first
//! byte to its last. Names that strangers choose may hold what follows them, so `{user}` ends at the last place where the rest still
//! fits; other holes end at the first. A hole is one of:
//!
//! - `{user}`: an account; `{user'}`: the same, up to the first place where the rest fits
//! - `{ip}`: an address; `{peer}`: an address and maybe its port; `{from}`: an address or a name; each the remote end
//! - `{port}`: the remote port; `{dst}`, `{dstpeer}`, `{dport}`: the same of the addressed end
//! - `{time}`: a time as the envelopes know it; `{dmy}`, `{mdy}`, `{ymd}`: a date in that order, then a clock; `{epoch}`: seconds since 1970; `{pid}`, `{host}`; `{#}`: digits, `{_}`: something without blanks, `{*}`: anything;
//!   `{~}`: anything, up to the last place where the rest fits
//! - `{=name}`: anything, for the field of that name; `{-name}`: the same without blanks

use super::Context;
use super::fill;
use super::scan;
use super::timestamp;
use super::token::{is_host_name, number, port_number, set_remote};
use crate::record::{Civil, EventType, LogRecord, Severity, Timestamp, ToldBy, Zone};

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

/// What a wording means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// A failed login, told by the service.
    Failed,
    /// A failed login, told before any secret was checked.
    Announced,
    /// The end of a session for its failures.
    Closing,
    /// A login.
    Login,
    /// The end of a session.
    Logout,
    /// A refusal.
    Denied,
    /// Something else of this kind, and routine.
    Is(EventType),
    /// The same, and worth a look.
    Minds(EventType),
}

/// What it means, what the program calls it, and how it is written.
pub(crate) type Wording = (Means, &'static str, &'static str);

/// A wording, taken apart.
pub(crate) struct Sentence {
    means: Means,
    action: &'static str,
    /// What stands before, between and behind the holes: one more than these.
    literals: Vec<&'static str>,
    holes: Vec<&'static str>,
}

/// Those of a dialect, taken apart at its first line.
pub(crate) type Sentences = LazyLock<Vec<Sentence>>;

/// Takes wordings apart.
pub(crate) fn sentences(wordings: &[Wording]) -> Vec<Sentence> {
    let apart = |(means, action, pattern): &Wording| {
        let mut pieces = pattern.split('{');
        let mut sentence = Sentence { means: *means, action, literals: Vec::from_iter(pieces.next()), holes: Vec::new() };
        for (hole, literal) in pieces.map(|piece| piece.split_once('}').expect("every hole of a wording is closed")) {
            sentence.holes.push(hole);
            sentence.literals.push(literal);
        }
        sentence
    };
    wordings.iter().map(apart).collect()
}

/// A dialect that is nothing but wordings: its constant, its name, the name of its program where a line tells none, its product, its
/// reference, its marks, its samples and its wordings.
macro_rules! dialect {
    ($id:ident, $name:literal, $app:literal, $product:literal, $reference:literal, [$($mark:expr),* $(,)?], [$($sample:literal),* $(,)?], [$($wording:expr),* $(,)?]) => {
        pub(super) const $id: crate::parse::dialect::Dialect = {
            static SENTENCES: crate::parse::prose::Sentences = std::sync::LazyLock::new(|| crate::parse::prose::sentences(&[$($wording),*]));
            crate::parse::dialect::Dialect {
                name: $name,
                product: $product,
                reference: $reference,
                marks: &[$($mark),*],
                parse: |text, record, context| crate::parse::prose::read($name, $app, &SENTENCES, text, record, context),
                samples: &[$($sample),*],
            }
        };
    };
}
pub(crate) use dialect;

/// Reads a text by the first sentence that it fits. False, and the record as it was, where it fits none.
pub(crate) fn read<'a>(
    format: &'static str,
    app: &'static str,
    sentences: &[Sentence],
    text: &'a str,
    record: &mut LogRecord<'a>,
    context: &Context<'_>,
) -> bool {
    let text = text.trim_end();
    let mut found = Found { holes: [("", ""); MAX_HOLES], len: 0, tries: 0 };
    let Some(sentence) = sentences.iter().find(|sentence| sentence.may_fit(text) && found.fits(sentence, text)) else {
        return false;
    };
    found.file(record, context);
    mean(sentence.means, sentence.action, format, record);
    if record.app.is_none() && !app.is_empty() {
        record.app = Some(Cow::Borrowed(app));
    }
    true
}

/// Files what happened.
pub(crate) fn mean(means: Means, action: &'static str, format: &'static str, record: &mut LogRecord<'_>) {
    let (event_type, severity, outcome, told_by) = match means {
        Means::Failed => (EventType::LoginFailed, Severity::Medium, Some("failure"), Some(ToldBy::Service)),
        Means::Announced => (EventType::LoginFailed, Severity::Medium, Some("failure"), Some(ToldBy::Announcement)),
        Means::Closing => (EventType::LoginFailed, Severity::Medium, Some("failure"), Some(ToldBy::Closing)),
        Means::Login => (EventType::LoginSuccess, Severity::Low, Some("success"), None),
        Means::Logout => (EventType::Logout, Severity::Low, None, None),
        Means::Denied => (EventType::AccessDenied, Severity::Medium, Some("failure"), None),
        Means::Is(event_type) => (event_type, Severity::Low, None, None),
        Means::Minds(event_type) => (event_type, Severity::Medium, None, None),
    };
    record.format.message = format;
    record.event_type = event_type;
    record.severity = severity;
    record.told_by = told_by;
    if !action.is_empty() {
        record.action = Some(Cow::Borrowed(action));
    }
    if let Some(outcome) = outcome {
        record.set("event.outcome", outcome);
    }
}

/// Holes of a wording that are kept.
const MAX_HOLES: usize = 16;

/// Places that are tried before a text is given up: a text that repeats what ends a hole must not cost more than its length.
const MAX_TRIES: u32 = 80;

impl Sentence {
    /// Whether its literals are in `text` at all, in their order. Most sentences end here.
    fn may_fit(&self, text: &str) -> bool {
        let [first, between @ .., last] = &*self.literals else { return self.literals == [text] };
        let Some(rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
        let behind =
            |rest, literal: &&str| if literal.is_empty() { Some(rest) } else { scan::cut(rest, literal).map(|(_, rest)| rest) };
        between.iter().try_fold(rest, behind).is_some()
    }
}

/// A sentence, and how many of its holes were left behind.
type Rest<'s> = (&'s Sentence, usize);

/// What stood in the holes.
struct Found<'a> {
    holes: [(&'static str, &'a str); MAX_HOLES],
    len: usize,
    tries: u32,
}

impl<'a> Found<'a> {
    /// Fits the whole of `text`.
    fn fits(&mut self, sentence: &Sentence, text: &'a str) -> bool {
        (self.len, self.tries) = (0, MAX_TRIES);
        self.fit(sentence, 0, text)
    }

    /// Fits `text` into what the sentence has behind `place` holes. As deep as it has holes, whatever the text.
    fn fit(&mut self, sentence: &Sentence, place: usize, text: &'a str) -> bool {
        let Some(text) = text.strip_prefix(sentence.literals[place]) else { return false };
        let Some(&hole) = sentence.holes.get(place) else { return text.is_empty() };
        let rest = (sentence, place + 1);
        match hole {
            "ip" | "peer" | "dst" | "dstpeer" => {
                // RFC 5321 §4.1.3 marks them.
                let text = text.strip_prefix("IPv6:").unwrap_or(text);
                let run = text.bytes().take_while(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'%' | b'[' | b']'));
                let mut end = run.count();
                // "::ffff:192.0.2.1", "IPv6:2001:db8::1", "fe80::1%eth0"
                if text[..end].ends_with('%') {
                    end += text[end..].bytes().take_while(u8::is_ascii_alphanumeric).count();
                }
                self.address(hole, rest, text, end)
            }
            "port" | "dport" | "pid" | "epoch" | "#" => {
                let end = text.bytes().take_while(u8::is_ascii_digit).count();
                end > 0 && self.next(hole, &text[..end], rest, &text[end..])
            }
            "time" => timestamp::reading(text).is_ok_and(|(behind, _)| {
                let end = text.len() - behind.len();
                self.next(hole, &text[..end], rest, behind)
            }),
            "dmy" | "mdy" | "ymd" => {
                date(text, hole, &Zone::UTC).is_some_and(|(end, _)| self.next(hole, &text[..end], rest, &text[end..]))
            }
            _ => self.free(hole, rest, text),
        }
    }

    fn next(&mut self, hole: &'static str, value: &'a str, (sentence, place): Rest<'_>, text: &'a str) -> bool {
        let before = self.len;
        let Some(left) = self.tries.checked_sub(1) else { return false };
        self.tries = left;
        if before < MAX_HOLES {
            self.holes[before] = (hole, value);
            self.len += 1;
        }
        let fits = self.fit(sentence, place, text);
        if !fits {
            self.len = before;
        }
        fits
    }

    /// An address of at most `end` bytes: less where a dot or colon behind it belongs to the sentence.
    fn address(&mut self, hole: &'static str, rest: Rest<'_>, text: &'a str, mut end: usize) -> bool {
        for _ in 0..4 {
            let Some(value) = text.get(..end).filter(|value| !value.is_empty()) else { return false };
            let is_one = if hole.ends_with("peer") { endpoint(value).is_some() } else { scan::ip(value).is_some() };
            if is_one && self.next(hole, value, rest, &text[end..]) {
                return true;
            }
            end = value.rfind(['.', ':', ']', '%']).unwrap_or(0);
        }
        false
    }

    /// A hole that ends where the rest of the wording fits.
    fn free(&mut self, hole: &'static str, rest: Rest<'_>, text: &'a str) -> bool {
        let is_word = hole == "_" || hole.starts_with('-');
        let word = if is_word { memchr::memchr(b' ', text.as_bytes()).unwrap_or(text.len()) } else { text.len() };
        let accepts = |value: &str| match hole {
            "from" | "host" => scan::ip(value).is_some() || is_host_name(value),
            _ => value.len() <= word,
        };
        let (sentence, place) = rest;
        let literal = sentence.literals[place];
        if place == sentence.holes.len() {
            return text
                .strip_suffix(literal)
                .is_some_and(|value| accepts(value) && self.next(hole, value, rest, &text[value.len()..]));
        }
        if literal.is_empty() {
            return false;
        }
        let mut attempt = |at: usize| accepts(&text[..at]) && self.next(hole, &text[..at], rest, &text[at..]);
        if hole == "user" || hole == "~" {
            scan::all_from_behind(text, literal).any(&mut attempt)
        } else {
            scan::all(text, literal).any(&mut attempt)
        }
    }

    /// Puts everything into its column or field.
    fn file(&self, record: &mut LogRecord<'a>, context: &Context<'_>) {
        for (hole, value) in self.holes.iter().take(self.len).copied() {
            match hole {
                "user" | "user'" => {
                    if !value.is_empty() && value != "-" {
                        fill::account(record, Cow::Borrowed(value));
                    }
                }
                "ip" => record.src_ip = scan::ip(value),
                "peer" => {
                    if let Some((ip, port)) = endpoint(value) {
                        record.src_ip = Some(ip);
                        record.src_port = port.or(record.src_port);
                    }
                }
                "dst" => record.dst_ip = scan::ip(value),
                "dstpeer" => {
                    if let Some((ip, port)) = endpoint(value) {
                        record.dst_ip = Some(ip);
                        record.dst_port = port.or(record.dst_port);
                    }
                }
                "from" => _ = set_remote(record, value),
                "port" => record.src_port = port_number(value).filter(|port| *port > 0),
                "dport" => record.dst_port = port_number(value),
                "pid" => record.pid = value.parse().ok().or(record.pid),
                "epoch" => record.event_time = value.parse().ok().and_then(scan::epoch).or(record.event_time),
                "host" => record.host = Some(Cow::Borrowed(value)),
                "time" => {
                    let read = timestamp::reading(value).ok().and_then(|(_, reading)| reading.instant(context));
                    record.event_time = read.or(record.event_time);
                }
                "dmy" | "mdy" | "ymd" => {
                    record.event_time = date(value, hole, context.zone).map_or(record.event_time, |(_, time)| Some(time));
                }
                _ => {
                    if let Some(name) = hole.strip_prefix(['=', '-'])
                        && !value.is_empty()
                        && value != "-"
                    {
                        record.set(name, value);
                    }
                }
            }
        }
    }
}

/// `13/12/2026 01:11:04`, `Dec-13-26 01:11:04`, `20261213-01:11:04`, `13/Dec/2026:01:11:04 +0100`: a date whose parts stand in the given order, and
/// a clock. How long it is, and when that was.
pub(crate) fn date(text: &str, order: &str, zone: &Zone) -> Option<(usize, Timestamp)> {
    let (mut year, mut month, mut day) = (0, 0, 0);
    let mut rest = text;
    for part in order.bytes() {
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        if letters >= 3 && part == b'm' {
            month = scan::month(&rest[..3])?;
            rest = rest[letters..].trim_start_matches('.');
        } else {
            let (behind, value) = number(1, if part == b'y' { 4 } else { 2 })(rest).ok()?;
            rest = behind;
            match part {
                b'y' => year = value as i32,
                b'm' => month = value as u8,
                _ => day = value as u8,
            }
        }
        rest = rest.strip_prefix(['-', '/', '.', ' ', ':']).unwrap_or(rest);
    }
    let year = if year < 100 { 2000 + year } else { year };
    let (rest, (hour, minute, second, micros)) = scan::clock(rest.trim_start_matches([' ', ':', '-', 'T'])).ok()?;
    let civil = Civil::new(year, month, day, hour, minute, second, micros)?;
    let offset = rest.strip_prefix(' ').unwrap_or(rest);
    if let Some(rest) = offset.strip_prefix("UTC").or_else(|| offset.strip_prefix("GMT")) {
        return Some((text.len() - rest.len(), civil.at_offset(0)));
    }
    match scan::offset(offset) {
        Ok((rest, seconds)) => Some((text.len() - rest.len(), civil.at_offset(seconds))),
        Err(_) => Some((text.len() - rest.len(), zone.instant(civil))),
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80`, or an address alone.
fn endpoint(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let (host, port) = scan::host_port(text);
    if text.starts_with('[') && port.is_none() && !text.ends_with(']') {
        return None;
    }
    scan::ip(host).map(|ip| (ip, port.filter(|port| *port > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORDINGS: &[Wording] = &[
        (Means::Failed, "login", "{time} Login failed for {user} from {peer}."),
        (Means::Failed, "login", "Bad login by {user} ({from}[{ip}]): {=event.reason}"),
        (Means::Login, "login", "{user'} is in"),
    ];

    fn read_by<'a>(text: &'a str) -> Option<LogRecord<'a>> {
        let mut record = LogRecord::text("");
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        read("test", "", &sentences(WORDINGS), text, &mut record, &context).then_some(record)
    }

    #[test]
    fn names_end_at_the_last_place() {
        let record = read_by("2026-01-02 03:04:05 Login failed for a from 198.51.100.1. from [2001:db8::7]:99.").unwrap();
        assert_eq!(record.username.as_deref(), Some("a from 198.51.100.1."));
        assert_eq!((record.src_ip, record.src_port), ("2001:db8::7".parse().ok(), Some(99)));
        assert_eq!(record.event_time, Timestamp::parse_rfc3339("2026-01-02T03:04:05Z").ok());
        let record = read_by("Bad login by mia (a.example[192.0.2.7]): no such user").unwrap();
        assert_eq!((record.src_ip, record.field("event.reason")), ("192.0.2.7".parse().ok(), Some(&"no such user".into())));
        assert_eq!(record.field("source.domain"), Some(&"a.example".into()));
        assert!(read_by("2026-01-02 03:04:05 Login failed for mia from here.").is_none());
        assert!(read_by("Bad login by mia (a.example[192.0.2.7])").is_none());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(2026-01-02 03:04:05|Login failed for |Bad login by | from |\\(|\\[|\\]|\\): |::|192.0.2.1|[0-9.:%]{1,4}| is in|\\PC){0,20}") {
            read_by(&text);
        }
    }

    #[test]
    fn dates_in_any_order() {
        let want = Timestamp::parse_rfc3339("2026-12-03T01:11:04Z").ok();
        for (text, order) in [
            ("03/12/2026 01:11:04", "dmy"),
            ("Dec-03-26 01:11:04", "mdy"),
            ("20261203-01:11:04", "ymd"),
            ("2026/12/03 - 01:11:04", "ymd"),
            ("3/Dec/2026:02:11:04 +0100", "dmy"),
        ] {
            assert_eq!(date(text, order, &Zone::UTC).map(|(end, time)| (end, Some(time))), Some((text.len(), want)), "{text}");
        }
        assert_eq!(date("33/12/2026 01:11:04", "dmy", &Zone::UTC), None);
    }

    #[test]
    fn repeated_ends_are_given_up() {
        let long = format!("2026-01-02 03:04:05 Login failed for {}", " from 1".repeat(20_000));
        assert!(read_by(&long).is_none());
    }
}
