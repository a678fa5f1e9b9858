//! Every key of the configuration: what it takes and its default. `config/tocsin.toml` shows the same list; a test holds them together.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::retention::{Keep, TimeOfDay};
use super::service_levels::{check_dates, check_days, hours};
use super::units::{Bytes, Span};
use crate::record::Zone;

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// A name that becomes `logs.source` or a detector's: letters, digits, `.`, `_`, `-`; at most 64 of them.
    Name,
    /// A path.
    Path,
    /// A list of paths with wildcards, not empty.
    Globs,
    /// `address:port` or `host:port`.
    Address,
    /// As `Address`, or `off`.
    AddressOrOff,
    /// A size with a unit, between two bounds in bytes.
    Size(u64, u64),
    /// A length of time with a unit, between two bounds in milliseconds.
    Time(u64, u64),
    /// As `Time`, or `keep`.
    TimeOrKeep(u64, u64),
    /// A time of day.
    TimeOfDay,
    /// Days of the week, at least one.
    Weekdays,
    /// From a time of day up to another.
    Hours,
    /// A list of dates.
    Dates,
    /// A whole number between two bounds.
    Number(i64, i64),
    /// `true` or `false`.
    Flag,
    /// A list of age's public keys.
    Recipients,
    /// A table of texts, with names of its own.
    Texts,
    /// A time zone.
    TimeZone,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A key with the tables that lead to it; `[]` stands for an array of tables.
pub struct Key {
    /// For example `syslog[].tcp`.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
}

const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind }
}

const MIB: u64 = 1 << 20;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const DAY: u64 = 24 * HOUR;
/// No peer on the other side of a network can do anything sooner, in milliseconds.
const LEAST_PATIENCE: u64 = 100;

/// The list.
pub const KEYS: &[Key] = &[
    key("state_dir", Kind::Path),
    key("log.level", Kind::Text),
    key("log.format", Kind::Word(&["text", "json"])),
    key("limits.memory", Kind::Size(256 * MIB, 1 << 40)),
    key("database.url", Kind::Text),
    key("database.url_file", Kind::Path),
    key("keys.file", Kind::Path),
    key("http.listen", Kind::AddressOrOff),
    key("http.max_body_bytes", Kind::Size(1024, 64 * MIB)),
    key("http.max_head_bytes", Kind::Size(8192, MIB)),
    key("http.max_connections", Kind::Number(1, 1_000_000)),
    key("http.max_connections_per_peer", Kind::Number(1, 1_000_000)),
    key("http.head_timeout", Kind::Time(LEAST_PATIENCE, HOUR)),
    key("http.body_timeout", Kind::Time(LEAST_PATIENCE, HOUR)),
    key("http.api_requests_per_minute", Kind::Number(1, 10_000_000)),
    key("http.api_burst", Kind::Number(1, 10_000_000)),
    key("http.api_sign_ins_per_minute", Kind::Number(1, 10_000_000)),
    key("journal.max_bytes", Kind::Size(2 * MIB, 1 << 50)),
    key("journal.segment_bytes", Kind::Size(MIB, 1 << 30)),
    key("journal.sync_interval", Kind::Time(0, 60 * SECOND)),
    key("clock.max_past", Kind::Time(DAY, 100 * 365 * DAY)),
    key("clock.max_future", Kind::Time(0, 366 * DAY)),
    key("syslog[].name", Kind::Name),
    key("syslog[].udp", Kind::Address),
    key("syslog[].tcp", Kind::Address),
    key("syslog[].timezone", Kind::TimeZone),
    key("syslog[].format", Kind::Text),
    key("syslog[].max_frame_bytes", Kind::Size(480, 64 * MIB)),
    key("syslog[].max_connections", Kind::Number(1, 1_000_000)),
    key("syslog[].max_connections_per_peer", Kind::Number(1, 1_000_000)),
    key("syslog[].idle_timeout", Kind::Time(SECOND, 30 * DAY)),
    key("syslog[].frame_timeout", Kind::Time(LEAST_PATIENCE, DAY)),
    key("syslog[].receive_buffer", Kind::Size(4096, 1 << 30)),
    key("files[].name", Kind::Name),
    key("files[].paths", Kind::Globs),
    key("files[].read_from", Kind::Word(&["beginning", "end"])),
    key("files[].timezone", Kind::TimeZone),
    key("files[].format", Kind::Text),
    key("files[].max_line_bytes", Kind::Size(64, 64 * MIB)),
    key("files[].poll_interval", Kind::Time(10, HOUR)),
    key("webhook[].name", Kind::Name),
    key("webhook[].token", Kind::Text),
    key("webhook[].token_file", Kind::Path),
    key("webhook[].hmac_secret", Kind::Text),
    key("webhook[].hmac_secret_file", Kind::Path),
    key("webhook[].signature_header", Kind::Text),
    key("webhook[].unauthenticated", Kind::Flag),
    key("webhook[].timezone", Kind::TimeZone),
    key("webhook[].format", Kind::Text),
    key("format[].name", Kind::Name),
    key("format[].app", Kind::Text),
    key("format[].pattern", Kind::Text),
    key("format[].reads", Kind::Word(&["message", "line"])),
    key("format[].json", Kind::Texts),
    key("format[].when", Kind::Texts),
    key("format[].date", Kind::Word(&["dmy", "mdy"])),
    key("format[].event_type", Kind::Text),
    key("format[].severity", Kind::Text),
    key("format[].action", Kind::Text),
    key("format[].samples[].line", Kind::Text),
    key("format[].samples[].expect", Kind::Texts),
    key("detect.rules", Kind::Path),
    key("detect.lateness", Kind::Time(0, HOUR)),
    key("detect.max_keys", Kind::Number(1_000, 100_000_000)),
    key("detect.max_evidence", Kind::Number(1, 100_000)),
    key("detect.*.enabled", Kind::Flag),
    key("detect.*.threshold", Kind::Number(2, 1_000)),
    key("detect.*.window", Kind::Time(SECOND, 7 * DAY)),
    key("backup.dir", Kind::Path),
    key("backup.recipients", Kind::Recipients),
    key("backup.passphrase_file", Kind::Path),
    key("backup.identity_file", Kind::Path),
    key("backup.at", Kind::TimeOfDay),
    key("backup.keep", Kind::Number(1, 10_000)),
    key("backup.keep_for", Kind::Time(DAY, 36_500 * DAY)),
    key("backup.with_keys", Kind::Flag),
    key("retention.logs", Kind::TimeOrKeep(8 * DAY, 100 * 365 * DAY)),
    key("retention.rollups", Kind::TimeOrKeep(DAY, 100 * 365 * DAY)),
    key("retention.incidents", Kind::TimeOrKeep(30 * DAY, 100 * 365 * DAY)),
    key("retention.quarantine", Kind::TimeOrKeep(DAY, 100 * 365 * DAY)),
    key("retention.tokens", Kind::TimeOrKeep(DAY, 100 * 365 * DAY)),
    key("retention.at", Kind::TimeOfDay),
    key("service_levels.timezone", Kind::TimeZone),
    key("service_levels.days", Kind::Weekdays),
    key("service_levels.hours", Kind::Hours),
    key("service_levels.holidays", Kind::Dates),
    key("service_levels.p1.acknowledge", Kind::Time(60 * SECOND, 366 * DAY)),
    key("service_levels.p1.resolve", Kind::Time(60 * SECOND, 366 * DAY)),
    key("service_levels.p1.counts", Kind::Word(&["always", "working"])),
    key("service_levels.p2.acknowledge", Kind::Time(60 * SECOND, 366 * DAY)),
    key("service_levels.p2.resolve", Kind::Time(60 * SECOND, 366 * DAY)),
    key("service_levels.p2.counts", Kind::Word(&["always", "working"])),
    key("service_levels.p3.acknowledge", Kind::Time(60 * SECOND, 366 * DAY)),
    key("service_levels.p3.resolve", Kind::Time(60 * SECOND, 366 * DAY)),
    key("service_levels.p3.counts", Kind::Word(&["always", "working"])),
    key("service_levels.p4.acknowledge", Kind::Time(60 * SECOND, 366 * DAY)),
    key("service_levels.p4.resolve", Kind::Time(60 * SECOND, 366 * DAY)),
    key("service_levels.p4.counts", Kind::Word(&["always", "working"])),
];

impl Kind {
    /// Says what is wrong with a value, if anything is.
    pub fn check(&self, value: &toml::Value) -> Result<(), String> {
        let text = || value.as_str().ok_or_else(|| format!("takes text in quotes, not {}", described(value)));
        match self {
            Kind::Text => text().map(|_| ()),
            Kind::Path => match text()? {
                "" => Err("takes a path, not an empty text".to_owned()),
                _ => Ok(()),
            },
            Kind::Name => {
                let name = text()?;
                let fine =
                    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
                if fine { Ok(()) } else { Err(format!("takes up to 64 letters, digits, '.', '_' or '-', not {name:?}")) }
            }
            Kind::Globs => {
                let list = value.as_array().ok_or_else(|| {
                    format!("takes a list of paths, such as [\"/var/log/auth.log*\"], not {}", described(value))
                })?;
                match list.iter().find(|v| v.as_str().is_none_or(str::is_empty)) {
                    Some(wrong) => Err(format!("takes a list of paths; {} is none", described(wrong))),
                    None if list.is_empty() => Err("takes at least one path".to_owned()),
                    None => Ok(()),
                }
            }
            Kind::Recipients => {
                let list = value.as_array().ok_or_else(|| format!("takes a list of age1… keys, not {}", described(value)))?;
                let wrong = |v: &&toml::Value| v.as_str().is_none_or(|text| text.parse::<age::x25519::Recipient>().is_err());
                match list.iter().find(wrong) {
                    Some(wrong) => Err(format!("takes public keys of age, which begin with age1; {} is none", described(wrong))),
                    None => Ok(()),
                }
            }
            Kind::AddressOrOff if value.as_str() == Some("off") => Ok(()),
            Kind::Address | Kind::AddressOrOff => address(text()?).map(|_| ()),
            Kind::Size(least, most) => {
                let size: Bytes = text()?.parse()?;
                if (*least..=*most).contains(&size.0) {
                    Ok(())
                } else {
                    Err(format!("takes a size from {} to {}, not {size}", Bytes(*least), Bytes(*most)))
                }
            }
            Kind::Time(least, most) => {
                let span: Span = text()?.parse()?;
                let (least, most) = (Duration::from_millis(*least), Duration::from_millis(*most));
                if (least..=most).contains(&span.0) {
                    Ok(())
                } else {
                    Err(format!("takes a time from {} to {}, not {span}", Span(least), Span(most)))
                }
            }
            Kind::TimeOrKeep(least, most) => match text()?.parse()? {
                Keep(None) => Ok(()),
                Keep(Some(_)) => Kind::Time(*least, *most).check(value),
            },
            Kind::TimeOfDay => text()?.parse::<TimeOfDay>().map(|_| ()),
            Kind::Weekdays => check_days(&words(value)?),
            Kind::Dates => check_dates(&words(value)?),
            Kind::Hours => hours(text()?).map(|_| ()),
            Kind::Number(least, most) => match value.as_integer() {
                Some(n) if (*least..=*most).contains(&n) => Ok(()),
                _ => Err(format!("takes a whole number from {least} to {most}, not {}", described(value))),
            },
            Kind::Flag => value.as_bool().map(|_| ()).ok_or_else(|| format!("takes true or false, not {}", described(value))),
            Kind::Texts => {
                let table = value.as_table().ok_or_else(|| {
                    format!("takes a table of texts, such as {{ \"client.ip\" = \"src_ip\" }}, not {}", described(value))
                })?;
                match table.iter().find(|(_, value)| !value.is_str()) {
                    Some((name, value)) => Err(format!("takes a table of texts in quotes; {name:?} is {}", described(value))),
                    None => Ok(()),
                }
            }
            Kind::TimeZone => Zone::named(text()?).map(|_| ()).map_err(|e| e.to_string()),
            Kind::Word(words) => {
                let word = text()?;
                if words.contains(&word) { Ok(()) } else { Err(format!("takes one of {}, not {word:?}", words.join(", "))) }
            }
        }
    }
}

/// Resolves `address:port` or `host:port`.
///
/// # Errors
/// The text is neither, or the host is not known.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong =
        |why: String| format!("takes an address and a port, such as \"127.0.0.1:5514\" or \"[::]:5514\", not {text:?}{why}");
    match text.to_socket_addrs() {
        Ok(mut found) => found.next().ok_or_else(|| wrong(String::new())),
        Err(e) => Err(wrong(format!(" ({e})"))),
    }
}

/// The texts of a list.
fn words(value: &toml::Value) -> Result<Vec<&str>, String> {
    let list = value.as_array().ok_or_else(|| format!("takes a list of texts in quotes, not {}", described(value)))?;
    list.iter().map(|word| word.as_str().ok_or_else(|| format!("takes texts in quotes; {} is none", described(word)))).collect()
}

fn described(value: &toml::Value) -> String {
    match value {
        toml::Value::String(s) => format!("{s:?}"),
        toml::Value::Table(_) => "a table".to_owned(),
        toml::Value::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    }
}
