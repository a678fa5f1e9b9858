//! Windows events as Snare's agent writes them to syslog: fields apart by tabs (or `#011`, as rsyslog writes a tab).
//!
//! Source: Snare for Windows documentation, "Event output format": `MSWinEventLog criticality log counter time id source user type audit computer
//! category data message count`. Severity as for Windows events of other shippers: see `windows`.

use std::borrow::Cow;

use super::windows::finish;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds};
use crate::parse::{Context, fill, scan, timestamp};
use crate::record::LogRecord;

pub(super) const DIALECT: Dialect = Dialect {
    name: "snare",
    product: "Snare: Windows events",
    reference: "https://www.snaresolutions.com/products/snare-agents/",
    marks: &[App("MSWinEventLog"), Begins("MSWinEventLog"), Holds("MSWinEventLog\t"), Holds("MSWinEventLog#011")],
    parse,
    samples: &[
        "<13>Nov 20 06:25:01 dc1 MSWinEventLog\t1\tSecurity\t4711\tFri Nov 20 06:25:01 2026\t4625\tMicrosoft-Windows-Security-Auditing\tN/A\tN/A\tFailure Audit\tdc1.example.org\tLogon\t\tAn account failed to log on.    Subject:   Security ID:  S-1-0-0   Account Name:  -   Account Domain:  -    Logon Type:   3    Account For Which Logon Failed:   Security ID:  S-1-0-0   Account Name:  mia   Account Domain:  EXAMPLE    Network Information:   Workstation Name: PC7   Source Network Address: 203.0.113.77   Source Port:  50123\t17",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let separator = if text.contains('\t') { "\t" } else { "#011" };
    // The tag of the envelope may have been the first column.
    let text = match text.split_once(separator) {
        Some((first, rest)) if first.ends_with("MSWinEventLog") => rest,
        _ if record.app.as_deref() == Some("MSWinEventLog") => text,
        _ => return false,
    };
    let mut columns = text.split(separator).skip_while(|column| column.is_empty());
    let mut next = || columns.next().unwrap_or_default();
    let (criticality, log, counter, time, id) = (next(), next(), next(), next(), next());
    if !criticality.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let (source, user, _kind, audit, computer, category, _data, what) =
        (next(), next(), next(), next(), next(), next(), next(), next());
    let Ok((rest, reading)) = timestamp::reading(time) else { return false };
    let Some(when) = reading.instant(context).filter(|_| rest.trim().is_empty()) else { return false };
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) || computer.is_empty() {
        return false;
    }
    record.event_time = Some(when);
    record.host = Some(Cow::Borrowed(computer));
    record.fields.reserve(12);
    for (name, value) in [
        ("event.code", id),
        ("winlog.channel", log),
        ("winlog.record_id", counter),
        ("event.provider", source),
        ("winlog.task", category),
    ] {
        if !value.is_empty() {
            record.set(name, value);
        }
    }
    if audit.starts_with("Failure") {
        record.set("winlog.event_type", "AUDIT_FAILURE");
    }
    // Several blocks name an account: the last is the one that the event is about.
    let named = what.rsplit_once("Account Name:").or_else(|| what.rsplit_once("User Name:")).map(|(_, rest)| value(rest));
    let named = named.filter(|name| !matches!(*name, "" | "-")).or(Some(user).filter(|user| !matches!(*user, "N/A" | "")));
    if let Some(name) = named {
        fill::account(record, Cow::Borrowed(name));
    }
    let after = |label: &str| what.split_once(label).map(|(_, rest)| value(rest)).filter(|value| !matches!(*value, "" | "-"));
    record.src_ip = after("Source Network Address:").or_else(|| after("Client Address:")).and_then(scan::ip);
    record.src_port = after("Source Port:").or_else(|| after("Client Port:")).and_then(|port| port.parse().ok());
    if let Some(name) = after("Workstation Name:") {
        record.set("source.domain", name);
    }
    finish(record);
    record.format.message = "snare";
    true
}

/// A value ends where two blanks or the line do.
fn value(text: &str) -> &str {
    let text = text.trim_start();
    text.split("  ").next().unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EventType, Timestamp, Zone};

    #[test]
    fn a_failed_logon() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let record = crate::parse::parse(DIALECT.samples[0], &context);
        assert_eq!((record.event_type, record.username.as_deref()), (EventType::LoginFailed, Some("mia")));
        assert_eq!((record.src_ip, record.src_port), ("203.0.113.77".parse().ok(), Some(50123)));
        assert_eq!(record.host.as_deref(), Some("dc1.example.org"));
    }
}
