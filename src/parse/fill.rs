//! Named values into a record: what the parsers of JSON, `key=value` and CSV have in common.
//!
//! A dialect has a table from its names to [`Slot`]s. What fits its column goes there; what does not, or comes second, goes to `fields` under
//! the name that it came with, as does everything that the table does not name. What says nothing (empty, `-`, `N/A`) is left out.

use std::borrow::Cow;

use super::json::{self, Scalar};
use super::token::is_host_name;
use super::{Context, scan, timestamp};
use crate::record::{LogRecord, Value};

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// When it happened, in any spelling.
    Time,
    Host,
    App,
    Pid,
    /// An account, with or without its realm (see [`account`]).
    User,
    /// An address, with or without a port; a name goes to `source.domain`.
    SrcIp,
    SrcPort,
    /// An address, with or without a port; a name goes to `destination.domain`.
    DstIp,
    DstPort,
    Protocol,
    Action,
    /// What it says in words, in place of the whole.
    Message,
    /// Under this ECS name, as it is.
    Field(&'static str),
    /// Under this ECS name, as a number.
    Number(&'static str),
    /// Nowhere: another part of the line says it, too.
    Nothing,
}

/// What a dialect calls things.
pub(crate) type Slots = fn(&str) -> Option<Slot>;

/// Fields that a line may add; what is beyond stays in its message.
const MAX_FIELDS: usize = json::MAX_FIELDS;

/// Files a value under the slot of its name.
pub(crate) fn put<'a>(record: &mut LogRecord<'a>, slots: Slots, name: &'a str, value: Cow<'a, str>, context: &Context<'_>) {
    file(record, slots(name), Cow::Borrowed(name), Scalar::Text(value), context);
}

/// Reads a JSON object by a dialect's names, dotted where they are nested. False, and the record as it was, where it is no object.
pub(crate) fn object<'a>(text: &'a str, record: &mut LogRecord<'a>, slots: Slots, context: &Context<'_>) -> bool {
    record.fields.reserve(16);
    json::walk(text, &mut |name, value| file(record, slots(&name), name, value, context)).is_ok()
}

/// The text of a field that was filed; empty where there is none.
pub(crate) fn word<'r>(record: &'r LogRecord<'_>, name: &str) -> &'r str {
    match record.field(name) {
        Some(Value::Str(text)) => text,
        _ => "",
    }
}

/// Files a value.
pub(crate) fn file<'a>(
    record: &mut LogRecord<'a>,
    slot: Option<Slot>,
    name: impl Into<Cow<'a, str>>,
    value: Scalar<'a>,
    context: &Context<'_>,
) {
    if says_nothing(&value) {
        return;
    }
    let left = match slot {
        Some(slot) => place(record, slot, value, context).err().map(|value| match slot {
            Slot::Field(ecs) | Slot::Number(ecs) => (Cow::Borrowed(ecs), value),
            _ => (name.into(), value),
        }),
        None => Some((name.into(), value)),
    };
    if let Some((name, value)) = left
        && record.fields.len() < MAX_FIELDS
        && let Some(value) = value.into_value()
    {
        record.set(name, value);
    }
}

fn says_nothing(value: &Scalar<'_>) -> bool {
    match value {
        Scalar::Nothing => true,
        // Most texts are known by their first byte.
        Scalar::Text(text) => {
            !matches!(text.as_bytes().first(), Some(b'!'..=b'\'' | b'*'..=b',' | b'.'..=b'M' | b'O'..=b'm' | b'o'..=b'~'))
                && matches!(text.trim(), "" | "-" | "N/A" | "n/a" | "(null)" | "null")
        }
        _ => false,
    }
}

/// Puts a value into its column; gives it back where it does not fit or the column is taken. What the envelope said of host, program and time
/// gives way: the device knows better than who passed its line on.
fn place<'a>(record: &mut LogRecord<'a>, slot: Slot, value: Scalar<'a>, context: &Context<'_>) -> Result<(), Scalar<'a>> {
    match slot {
        Slot::Time => match time(&value, context) {
            Some(time) => record.event_time = Some(time),
            None => return Err(value),
        },
        Slot::Host => record.host = Some(text(value)?),
        Slot::App => record.app = Some(text(value)?),
        Slot::Pid => match value.number() {
            Some(pid) => record.pid = Some(pid),
            None => return Err(value),
        },
        Slot::User => match (&record.username, text(value)?) {
            (None, name) => account(record, name),
            (Some(_), name) => return Err(Scalar::Text(name)),
        },
        Slot::SrcIp if record.src_ip.is_none() => {
            let (ip, port) = endpoint(record, value, "source.domain")?;
            record.src_ip = ip;
            record.src_port = record.src_port.or(port);
        }
        Slot::DstIp if record.dst_ip.is_none() => {
            let (ip, port) = endpoint(record, value, "destination.domain")?;
            record.dst_ip = ip;
            record.dst_port = record.dst_port.or(port);
        }
        Slot::SrcPort if record.src_port.is_none() => match value.number() {
            Some(port) => record.src_port = Some(port),
            None => return Err(value),
        },
        Slot::DstPort if record.dst_port.is_none() => match value.number() {
            Some(port) => record.dst_port = Some(port),
            None => return Err(value),
        },
        Slot::Protocol if record.protocol.is_none() => record.protocol = Some(protocol(text(value)?)),
        Slot::Action if record.action.is_none() => {
            record.action = Some(match text(value)? {
                Cow::Borrowed(word) if !word.bytes().any(|b| b.is_ascii_uppercase()) => Cow::Borrowed(word),
                word => Cow::Owned(word.to_ascii_lowercase()),
            });
        }
        Slot::Message => record.message = text(value)?,
        Slot::Number(ecs) => match value.number::<i64>() {
            Some(number) => record.set(ecs, number),
            None => return Err(value),
        },
        Slot::Nothing => {}
        _ => return Err(value),
    }
    Ok(())
}

fn text(value: Scalar<'_>) -> Result<Cow<'_, str>, Scalar<'_>> {
    match value {
        Scalar::Text(text) => Ok(text),
        Scalar::Bare(text) => Ok(Cow::Borrowed(text)),
        other => Err(other),
    }
}

/// A count since the epoch, ISO 8601, or as syslog senders write it.
pub(crate) fn time(value: &Scalar<'_>, context: &Context<'_>) -> Option<crate::record::Timestamp> {
    if let Some(number) = value.number::<f64>() {
        return scan::epoch(number);
    }
    let Scalar::Text(text) = value else { return None };
    scan::iso_time(text, Some(context.zone)).or_else(|| {
        let (rest, reading) = timestamp::reading(text).ok()?;
        if rest.trim().is_empty() { reading.instant(context) } else { None }
    })
}

type Endpoint = (Option<std::net::IpAddr>, Option<u16>);

/// An address and its port; a name is filed under `domain`.
fn endpoint<'a>(record: &mut LogRecord<'a>, value: Scalar<'a>, domain: &'static str) -> Result<Endpoint, Scalar<'a>> {
    let text = text(value)?;
    let (host, port) = scan::host_port(text.trim());
    if let Some(ip) = scan::ip(host) {
        return Ok((Some(ip), port));
    }
    if !is_host_name(host) || record.field(domain).is_some() {
        return Err(Scalar::Text(text));
    }
    let host = match &text {
        Cow::Borrowed(text) => Cow::Borrowed(scan::host_port(text.trim()).0),
        Cow::Owned(_) => Cow::Owned(host.to_owned()),
    };
    record.set(domain, Value::Str(host));
    Ok((None, port))
}

/// A name, or the number that the IANA gave it.
fn protocol(word: Cow<'_, str>) -> Cow<'_, str> {
    if let Some(name) = word.parse().ok().and_then(scan::protocol_number) {
        return Cow::Borrowed(name);
    }
    match word {
        Cow::Borrowed(word) => scan::protocol(word),
        Cow::Owned(word) => Cow::Owned(word.to_ascii_lowercase()),
    }
}

/// Files an account: `REALM\name` and `name@realm` lose their realm into `user.domain`.
pub(crate) fn account<'a>(record: &mut LogRecord<'a>, name: Cow<'a, str>) {
    let cut = |text: &str| -> Option<(std::ops::Range<usize>, std::ops::Range<usize>)> {
        if let Some(at) = text.rfind('\\') {
            return Some((at + 1..text.len(), 0..text.find('\\').unwrap_or(at)));
        }
        text.rfind('@').map(|at| (0..at, at + 1..text.len()))
    };
    let Some((user, realm)) = cut(&name).filter(|(user, realm)| !user.is_empty() && !realm.is_empty()) else {
        if !name.is_empty() {
            record.username = Some(name);
        }
        return;
    };
    match name {
        Cow::Borrowed(name) => {
            record.username = Some(Cow::Borrowed(&name[user]));
            record.set("user.domain", &name[realm]);
        }
        Cow::Owned(name) => {
            record.username = Some(Cow::Owned(name[user].to_owned()));
            record.set("user.domain", name[realm].to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    fn slots(name: &str) -> Option<Slot> {
        Some(match name {
            "t" => Slot::Time,
            "user" => Slot::User,
            "a.src" => Slot::SrcIp,
            "dst" => Slot::DstIp,
            "proto" => Slot::Protocol,
            "act" => Slot::Action,
            "len" => Slot::Number("network.bytes"),
            "rule" => Slot::Field("rule.name"),
            _ => return None,
        })
    }

    #[test]
    fn values_go_where_they_fit() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text("");
        let text = r#"{"t":1780000000,"user":"CORP\\mia","a":{"src":"192.0.2.1:99"},"dst":"db1.example","proto":6,"act":"DENY","len":"12","rule":"x","rest":[1],"none":"-","dst":"y z"}"#;
        assert!(object(text, &mut record, slots, &context));
        assert_eq!(record.event_time, Some(Timestamp::from_secs(1_780_000_000)));
        assert_eq!((record.username.as_deref(), record.field("user.domain")), (Some("mia"), Some(&"CORP".into())));
        assert_eq!((record.src_ip, record.src_port), ("192.0.2.1".parse().ok(), Some(99)));
        assert_eq!(record.field("destination.domain"), Some(&"db1.example".into()));
        assert_eq!((record.protocol.as_deref(), record.action.as_deref()), (Some("tcp"), Some("deny")));
        assert_eq!((record.field("network.bytes"), record.field("rule.name")), (Some(&Value::Int(12)), Some(&"x".into())));
        assert_eq!((record.field("rest"), record.field("none")), (Some(&Value::Json("[1]".into())), None));
        assert_eq!(record.field("dst"), Some(&"y z".into()));
        let before = record.clone();
        assert!(!object(r#"{"user":"x""#, &mut record, slots, &context));
        assert_eq!(record, before);
    }

    #[test]
    fn accounts_lose_their_realm() {
        for (text, user, realm) in [
            ("mia", "mia", None),
            ("CORP\\mia", "mia", Some("CORP")),
            ("mia@example.org", "mia", Some("example.org")),
            ("mia@", "mia@", None),
        ] {
            let mut record = LogRecord::text("");
            account(&mut record, text.into());
            assert_eq!((record.username.as_deref(), record.field("user.domain")), (Some(user), realm.map(Value::from).as_ref()));
        }
    }
}
