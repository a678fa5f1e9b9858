//! RFC 5424: `<PRI>VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]`.
//!
//! The grammar is the RFC's. A frame that begins like it and breaks it later is read up to the break: the header that was understood is
//! kept, the rest is the message, and the record's `error` says what was expected where.

use std::borrow::Cow;

use nom::Parser;
use nom::bytes::complete::{tag, take_while_m_n};
use nom::character::complete::char;
use nom::sequence::preceded;

use super::super::Context;
use super::super::timestamp;
use super::super::token::{Parsed, no, number, whole_number};
use super::Priority;
use crate::record::{Format, LogRecord, Timestamp, Value};

/// Parameters of structured data that one record keeps; a frame of a mebibyte could carry a hundred thousand.
const MAX_PARAMS: usize = 64;

/// Reads what follows the PRI. `None` where it is not RFC 5424, not even nearly.
pub(crate) fn read<'a>(text: &'a str, priority: Priority, context: &Context<'_>) -> Option<LogRecord<'a>> {
    let (rest, version) = version(text).ok()?;
    if !looks_like_timestamp(rest) {
        return None;
    }
    let mut record = LogRecord::text("");
    record.format = Format { envelope: "rfc5424", message: "text" };
    priority.apply(&mut record);
    if version != 1 {
        record.set("log.syslog.version", version);
    }
    match header(rest, &mut record, context) {
        Ok(message) => record.message = Cow::Borrowed(message),
        Err(Broken { rest, expected }) => {
            record.message = Cow::Borrowed(rest);
            record.error = Some(format!("rfc5424: expected {expected} at byte {} after the PRI", text.len() - rest.len()).into());
        }
    }
    Some(record)
}

/// Where a frame stopped being RFC 5424.
struct Broken<'a> {
    rest: &'a str,
    expected: &'static str,
}

/// `VERSION SP`: a non-zero digit and up to two more.
fn version(input: &str) -> Parsed<'_, u32> {
    let (rest, (version, _)) = (number(1, 3), char(' ')).parse(input)?;
    if input.starts_with('0') { no() } else { Ok((rest, version)) }
}

/// A BSD message may begin with a number, too; what follows decides. A year may lack digits here, to be called an error later.
fn looks_like_timestamp(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match text.as_bytes().get(digits) {
        Some(b'-') => digits == 0 || digits <= 4 && text.as_bytes().get(digits + 1).is_some_and(u8::is_ascii_digit),
        Some(b'.') => digits == 10,
        _ => false,
    }
}

fn header<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> Result<&'a str, Broken<'a>> {
    let broken = |rest, expected| Broken { rest, expected };
    let (mut rest, time) = timestamp(text, context).map_err(|_| broken(text, "TIMESTAMP"))?;
    record.event_time = time;
    if timestamp::epoch(text).is_ok() {
        // Meraki: seconds since the epoch, the host, then the message.
        let (rest, host) = field(rest).map_err(|_| broken(rest, "HOSTNAME"))?;
        record.host = Some(Cow::Borrowed(host));
        return Ok(rest.strip_prefix(' ').unwrap_or(rest));
    }
    let mut names = [None; 4];
    for (slot, (max, expected)) in names.iter_mut().zip([(255, "HOSTNAME"), (48, "APP-NAME"), (128, "PROCID"), (32, "MSGID")]) {
        // An empty or unprintable field, or the end: nothing after it can be told apart.
        let Ok((after, name)) = field(rest) else { return finish(record, names, broken(rest, expected)) };
        // CyberArk leaves out what stands between the host and an object.
        if expected != "HOSTNAME" && name.starts_with("{\"") {
            file(record, names);
            return Ok(rest.strip_prefix(' ').unwrap_or(rest));
        }
        *slot = (name != "-").then_some(name);
        if name.len() > max && record.error.is_none() {
            record.error = Some(format!("rfc5424: {expected} is longer than {max} bytes").into());
        }
        rest = after;
    }
    file(record, names);
    let Some(data) = rest.strip_prefix(' ') else { return Err(broken(rest, "STRUCTURED-DATA")) };
    // Senders that know nothing of structured data leave out the `-`; what they send is a message (Cisco, Meraki).
    let rest = match data.as_bytes().first() {
        Some(b'-') => &data[1..],
        Some(b'[') => structured_data(data, record)?,
        _ => return Err(broken(data, "STRUCTURED-DATA")),
    };
    match rest.strip_prefix(' ') {
        Some(message) => Ok(message.strip_prefix('\u{feff}').unwrap_or(message)),
        None if rest.is_empty() => Ok(rest),
        None => Err(broken(rest, "a space")),
    }
}

fn finish<'a>(record: &mut LogRecord<'a>, names: [Option<&'a str>; 4], broken: Broken<'a>) -> Result<&'a str, Broken<'a>> {
    file(record, names);
    Err(Broken { rest: broken.rest.strip_prefix(' ').unwrap_or(broken.rest), ..broken })
}

fn file<'a>(record: &mut LogRecord<'a>, [host, app, procid, msgid]: [Option<&'a str>; 4]) {
    record.host = host.map(Cow::Borrowed);
    record.app = app.map(Cow::Borrowed);
    if let Some(procid) = procid {
        match whole_number(procid) {
            Some(pid) => record.pid = Some(pid),
            None => record.set("log.syslog.procid", procid),
        }
    }
    if let Some(msgid) = msgid {
        record.set("log.syslog.msgid", msgid);
    }
}

/// `NILVALUE / FULL-DATE "T" FULL-TIME`, RFC 5424 §6.2.3; seconds since the epoch where Meraki puts them.
fn timestamp<'a>(input: &'a str, context: &Context<'_>) -> Parsed<'a, Option<Timestamp>> {
    if let Some(rest) = input.strip_prefix('-') {
        return if rest.is_empty() || rest.starts_with(' ') { Ok((rest, None)) } else { no() };
    }
    if let Ok((rest, time)) = timestamp::epoch(input) {
        return Ok((rest, Some(time)));
    }
    let (rest, reading) = timestamp::iso(input)?;
    match reading.instant(context) {
        Some(time) if rest.is_empty() || rest.starts_with(' ') => Ok((rest, Some(time))),
        _ => no(),
    }
}

/// `SP 1*PRINTUSASCII`; bytes beyond ASCII are let through, since hosts have such names.
fn field(input: &str) -> Parsed<'_, &str> {
    preceded(char(' '), take_while_m_n(1, usize::MAX, |c: char| c > ' ' && c != '\u{7f}')).parse(input)
}

/// `1*SD-ELEMENT`, RFC 5424 §6.3; each parameter becomes `log.syslog.structured_data.<id>.<name>`. Returns what follows.
fn structured_data<'a>(input: &'a str, record: &mut LogRecord<'a>) -> Result<&'a str, Broken<'a>> {
    let mut rest = input;
    let mut kept = 0;
    while rest.starts_with('[') {
        let element = rest;
        let broken = |expected| Broken { rest: element, expected };
        let (after, (_, id)) = (char('['), sd_name).parse(rest).map_err(|_| broken("SD-ID"))?;
        rest = after;
        let first = record.fields.len();
        loop {
            if let Ok((after, _)) = tag::<_, _, ()>("]").parse(rest) {
                rest = after;
                break;
            }
            let (after, (name, value)) = param(rest).map_err(|_| broken("SD-PARAM"))?;
            rest = after;
            kept += 1;
            if kept <= MAX_PARAMS {
                add(record, first, id, name, value);
            }
        }
    }
    if kept > MAX_PARAMS {
        record.error = Some(format!("rfc5424: {} of {kept} SD-PARAMs left out", kept - MAX_PARAMS).into());
    }
    Ok(rest)
}

/// The same name may occur again in an element (§6.3.3); from the second on it gets a number.
fn add<'a>(record: &mut LogRecord<'a>, first: usize, id: &str, name: &str, value: Cow<'a, str>) {
    let key = format!("log.syslog.structured_data.{id}.{name}");
    let same = |other: &str| other.strip_prefix(&key).is_some_and(|end| end.is_empty() || end.starts_with('#'));
    let before = record.fields[first..].iter().filter(|(other, _)| same(other)).count();
    let key = if before == 0 { key } else { format!("{key}#{}", before + 1) };
    record.set(key, Value::Str(value));
}

/// `SD-NAME`: one to 32 printable ASCII characters without `=`, space, `]`, `"`. Real senders write longer ones.
fn sd_name(input: &str) -> Parsed<'_, &str> {
    take_while_m_n(1, 255, |c: char| c.is_ascii_graphic() && !matches!(c, '=' | ']' | '"')).parse(input)
}

/// `SP PARAM-NAME "=" %d34 PARAM-VALUE %d34`. More spaces than one are let through.
fn param(input: &str) -> Parsed<'_, (&str, Cow<'_, str>)> {
    let (rest, _) = char(' ').parse(input)?;
    let (rest, (name, _)) = (sd_name, tag("=\"")).parse(rest.trim_start_matches(' '))?;
    let (rest, value) = value(rest)?;
    Ok((rest, (name, value)))
}

/// `PARAM-VALUE` up to and with its closing quote. `\"`, `\\` and `\]` are escapes; a backslash before anything else is itself (§6.3.3).
/// A bare `]`, which the RFC forbids and senders write, is let through.
fn value(input: &str) -> Parsed<'_, Cow<'_, str>> {
    let bytes = input.as_bytes();
    let mut at = 0;
    loop {
        let Some(next) = memchr::memchr2(b'"', b'\\', &bytes[at..]) else { return no() };
        at += next;
        if bytes[at] == b'"' {
            break;
        }
        at = (at + 2).min(bytes.len());
    }
    let (raw, rest) = (&input[..at], &input[at + 1..]);
    if !raw.contains('\\') {
        return Ok((rest, Cow::Borrowed(raw)));
    }
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(&escaped @ ('"' | '\\' | ']')) if c == '\\' => {
                text.push(escaped);
                chars.next();
            }
            _ => text.push(c),
        }
    }
    Ok((rest, Cow::Owned(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Zone;
    use proptest::prelude::*;

    fn parse(frame: &str) -> LogRecord<'_> {
        super::super::read(frame, &Context { now: Timestamp::from_secs(1_770_000_000), zone: &Zone::UTC, own: &[] })
    }

    fn text<'r>(record: &'r LogRecord<'_>, name: &str) -> Option<&'r str> {
        match record.field(name) {
            Some(Value::Str(text)) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn a_whole_frame() {
        let r = parse(
            "<165>1 2026-02-03T22:14:15.003-01:00 web1.example.org evntslog 8710 ID47 \
             [exampleSDID@32473 iut=\"3\" source=\"a \\\"b\\\" \\c \\]\" ip=\"192.0.2.1\" ip=\"192.0.2.2\"][empty] \u{feff}It is time",
        );
        assert_eq!(r.event_time.unwrap().to_string(), "2026-02-03T23:14:15.003Z");
        assert_eq!((r.host.as_deref(), r.app.as_deref(), r.pid), (Some("web1.example.org"), Some("evntslog"), Some(8710)));
        assert_eq!(r.message, "It is time");
        assert_eq!(r.error, None);
        assert_eq!(r.field("log.syslog.facility.code"), Some(&Value::Int(20)));
        assert_eq!(r.field("log.syslog.version"), None);
        assert_eq!(text(&r, "log.syslog.msgid"), Some("ID47"));
        assert_eq!(text(&r, "log.syslog.structured_data.exampleSDID@32473.source"), Some("a \"b\" \\c ]"));
        assert_eq!(text(&r, "log.syslog.structured_data.exampleSDID@32473.ip"), Some("192.0.2.1"));
        assert_eq!(text(&r, "log.syslog.structured_data.exampleSDID@32473.ip#2"), Some("192.0.2.2"));
    }

    #[test]
    fn nil_values_are_absent() {
        let r = parse("<0>1 - - - - - -");
        assert_eq!((r.event_time, r.host, r.app, r.pid, &*r.message, r.error), (None, None, None, None, "", None));
        let r = parse("<13>2 - - app proc-1 - - x\ny");
        assert_eq!((r.pid, &*r.message), (None, "x\ny"));
        assert_eq!(text(&r, "log.syslog.procid"), Some("proc-1"));
        assert_eq!(r.field("log.syslog.version"), Some(&Value::Int(2)));
    }

    #[test]
    fn a_broken_frame_keeps_what_was_understood() {
        for (frame, host, app, message, error) in [
            ("<1>1 2026-13-01T00:00:00Z h a - - - m", None, None, "2026-13-01T00:00:00Z h a - - - m", "TIMESTAMP at byte 2"),
            ("<1>1 - h", Some("h"), None, "", "APP-NAME at byte 5"),
            ("<1>1 - h a - - [id a=\"b] m", Some("h"), Some("a"), "[id a=\"b] m", "SD-PARAM at byte 12"),
            ("<1>1 - h a - - []] m", Some("h"), Some("a"), "[]] m", "SD-ID at byte 12"),
            ("<1>1 - h a - - no data", Some("h"), Some("a"), "no data", "STRUCTURED-DATA at byte 12"),
            ("<1>1 - h a - - -x", Some("h"), Some("a"), "x", "a space at byte 13"),
        ] {
            let r = parse(frame);
            assert_eq!((r.host.as_deref(), r.app.as_deref(), &*r.message), (host, app, message), "{frame}");
            assert!(r.error.as_deref().unwrap_or("").contains(error), "{frame}: {:?}", r.error);
            assert_eq!(r.format.envelope, "rfc5424");
        }
    }

    #[test]
    fn what_is_not_even_nearly_rfc_5424() {
        for frame in ["<13>1 bottle of beer", "<13>12 Feb 2026", "<192>1 - - - - - -", "<13>01 - - - - - -"] {
            assert_ne!(parse(frame).format.envelope, "rfc5424", "{frame}");
        }
    }

    #[test]
    fn an_object_right_behind_the_header() {
        for (frame, app) in [
            (r#"<5>1 2026-03-08T18:24:49Z vault1 {"a": "b c"}"#, None),
            (r#"<5>1 2026-03-08T18:24:49Z vault1 app {"a": "b c"}"#, Some("app")),
        ] {
            let r = parse(frame);
            assert_eq!((r.host.as_deref(), r.app.as_deref()), (Some("vault1"), app), "{frame}");
            assert_eq!((&*r.message, r.error), (r#"{"a": "b c"}"#, None), "{frame}");
        }
    }

    #[test]
    fn seconds_since_the_epoch_and_then_the_message() {
        let r = parse("<134>1 1770000123.456789012 MX84_1 flows src=10.0.0.1 dst=192.0.2.7");
        assert_eq!(r.event_time, Some(Timestamp::from_micros(1_770_000_123_456_789)));
        assert_eq!((r.host.as_deref(), &*r.message), (Some("MX84_1"), "flows src=10.0.0.1 dst=192.0.2.7"));
    }

    #[test]
    fn parameters_have_a_limit() {
        let params: String = (0..200).map(|i| format!(" p{i}=\"v\"")).collect();
        let frame = format!("<13>1 - h a - - [id{params}] m");
        let r = parse(&frame);
        assert_eq!(r.fields.iter().filter(|(name, _)| name.contains("structured_data")).count(), MAX_PARAMS);
        assert_eq!((&*r.message, r.error.is_some()), ("m", true));
    }

    proptest! {
        #[test]
        fn values_survive_their_escapes(value in "[ -~é]{0,20}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
            let frame = format!("<13>1 - h a - - [id n=\"{escaped}\"] m");
            let r = parse(&frame);
            prop_assert_eq!(&r.error, &None);
            prop_assert_eq!(text(&r, "log.syslog.structured_data.id.n"), Some(&*value));
            prop_assert_eq!(&*r.message, "m");
        }
    }
}
