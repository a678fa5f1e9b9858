//! One-line alerts of Suricata (`fast.log`) and Snort (`alert_fast`, and the same to syslog).
//!
//! `02/11/2026-08:15:30.250000  [Drop] [**] [1:2010935:3] ET SCAN … [**] [Classification: …] [Priority: 2] {TCP} 192.0.2.9:4000 -> 192.0.2.1:80`
//! (Suricata `alert-fastlog.c`, Snort `log_alertf.cc`). Snort names no year unless asked to (`-y`); syslog lines have neither time nor stars.

use std::net::IpAddr;

use nom::Parser as _;
use nom::character::complete::{char, one_of};
use nom::combinator::opt;
use nom::sequence::preceded;

use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds, Line};
use crate::parse::{Context, scan};
use crate::record::{Civil, EventType, LogRecord, Severity, Timestamp, Zone, civil_from_days};

pub(super) const DIALECT: Dialect = Dialect {
    name: "ids_fast",
    product: "Snort and Suricata alerts in one line",
    reference: "https://docs.suricata.io/en/latest/configuration/suricata-yaml.html#line-based-alerts-log-fast-log",
    marks: &[App("snort"), App("suricata"), Begins("["), Holds("[**] ["), Line("[**] [")],
    parse,
    samples: &[
        "11/20/2026-06:25:01.250000  [**] [1:2010935:3] ET SCAN Suspicious inbound to MSSQL port 1433 [**] [Classification: Potentially Bad Traffic] [Priority: 2] {TCP} 203.0.113.77:6000 -> 192.0.2.4:1433",
    ],
};

/// A cheap look: the line names a rule and a protocol as alerts do.
fn looks_like(text: &str) -> bool {
    scan::has(text, "] ") && scan::has(text, " {") && scan::has(text, " -> ")
}

/// Reads an alert, with its time in front where it came without an envelope.
fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    let Some((rest, time)) = time(text, context.now, context.zone) else { return looks_like(text) && alert(text, record) };
    let understood = alert(rest, record);
    if understood {
        record.event_time = record.event_time.or(time);
    }
    understood
}

/// `02/11/2026-08:15:30.250000`, `02/11/26-…`, `02/11-…`.
pub(super) fn time<'t>(text: &'t str, now: Timestamp, zone: &Zone) -> Option<(&'t str, Option<Timestamp>)> {
    let (rest, (month, _, day, year, _)) =
        (scan::digits(2, 2), char('/'), scan::digits(2, 2), opt(preceded(char('/'), scan::digits(2, 4))), one_of("- "))
            .parse(text)
            .ok()?;
    let (rest, (hour, minute, second, micros)) = scan::clock(rest).ok()?;
    let at = |year: i32| Civil::new(year, month as u8, day as u8, hour, minute, second, micros).map(|civil| zone.instant(civil));
    let time = match year {
        Some(year) => at(if year < 100 { 2000 + year as i32 } else { year as i32 }),
        // The closest to now of the years that have such a day.
        None => {
            let this_year = civil_from_days(now.day()).0;
            (this_year - 1..=this_year + 1).filter_map(at).min_by_key(|time| time.micros_since(now).abs())
        }
    };
    Some((rest, time))
}

/// The alert behind the time.
fn alert<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut text = text.trim_start();
    let mut action = None;
    for (word, meaning) in
        [("[Drop]", "drop"), ("[wDrop]", "would_drop"), ("[drop]", "drop"), ("[block]", "block"), ("[reject]", "reject")]
    {
        if let Some(rest) = text.strip_prefix(word) {
            (text, action) = (rest.trim_start(), Some(meaning));
        }
    }
    text = text.strip_prefix("[**]").map_or(text, str::trim_start);
    let rule = text.strip_prefix('[').and_then(|t| scan::cut(t, "] "));
    let Some((rule, rest)) = rule.filter(|(rule, _)| is_rule(rule)) else { return false };
    let Some((about, ends)) = rest.rsplit_once(" {") else { return false };
    let Some((protocol, ends)) = scan::cut(ends, "} ") else { return false };
    let Some((from, to)) = scan::cut(ends, " -> ") else { return false };
    let (Some(source), Some(destination)) = (endpoint(from), endpoint(to)) else { return false };
    let name = about.split(" [").next().unwrap_or(about).trim().trim_matches('"');
    let category = scan::between(about, "[Classification: ", ']');
    let priority = scan::between(about, "[Priority: ", ']').and_then(|p| p.trim().parse::<u8>().ok());
    (record.src_ip, record.src_port) = source;
    (record.dst_ip, record.dst_port) = destination;
    record.protocol = Some(scan::protocol(protocol));
    record.message = name.into();
    record.action = action.map(Into::into);
    record.set("rule.name", name);
    record.set("rule.id", rule);
    if let Some(category) = category.filter(|c| *c != "(null)") {
        record.set("rule.category", category);
    }
    let malware = super::suricata::is_malware(name, category.unwrap_or_default());
    record.event_type = if malware { EventType::MalwareDetected } else { EventType::IdsAlert };
    record.severity = match priority {
        Some(1) => Severity::High,
        Some(2) => Severity::Medium,
        _ => Severity::Low,
    };
    record.format.message = "ids_fast";
    true
}

/// `gid:sid:rev`.
fn is_rule(text: &str) -> bool {
    text.split(':').count() == 3 && text.bytes().all(|b| b.is_ascii_digit() || b == b':')
}

/// `192.0.2.1:80`, `192.0.2.1`, `2001:db8:0000:0000:0000:0000:0000:0001:80` (eight groups, then the port).
pub(super) fn endpoint(text: &str) -> Option<(Option<IpAddr>, Option<u16>)> {
    let text = text.split_ascii_whitespace().next()?;
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.contains(':') && scan::ip(text).is_none() => (host, port.parse().ok()),
        _ => scan::host_port(text),
    };
    scan::ip(host).map(|ip| (Some(ip), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn context() -> Context<'static> {
        Context { now: Timestamp::parse_rfc3339("2026-01-02T12:00:00Z").unwrap(), zone: &Zone::UTC, own: &[] }
    }

    fn read(line: &str) -> Option<LogRecord<'_>> {
        let mut record = LogRecord::text(line);
        parse(line, &mut record, &context()).then_some(record)
    }

    #[test]
    fn alerts() {
        use EventType::{IdsAlert, MalwareDetected};
        #[rustfmt::skip]
        let table = [
            ("02/11/2026-08:15:30.250000  [**] [1:2010935:3] ET SCAN Suspicious inbound to MSSQL port 1433 [**] [Classification: Potentially Bad Traffic] [Priority: 2] {TCP} 198.51.100.9:4000 -> 192.0.2.1:1433",
                "2026-02-11T08:15:30.25Z", IdsAlert, Severity::Medium, Some(4000)),
            ("12/31-23:59:58.000001 [**] [1:384:5] PROTOCOL-ICMP PING [**] [Classification: Misc activity] [Priority: 3] {ICMP} 198.51.100.9 -> 192.0.2.1",
                "2025-12-31T23:59:58.000001Z", IdsAlert, Severity::Low, None),
            ("02/11/2026-08:15:30.250000  [Drop] [**] [1:2024:1] ET TROJAN Example [**] [Classification: A Network Trojan was detected] [Priority: 1] {TCP} 2001:0db8:0000:0000:0000:0000:0000:0009:4000 -> 2001:0db8:0000:0000:0000:0000:0000:0001:80",
                "2026-02-11T08:15:30.25Z", MalwareDetected, Severity::High, Some(4000)),
        ];
        for (line, time, kind, severity, port) in table {
            let record = read(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(record.event_time, Some(Timestamp::parse_rfc3339(time).unwrap()), "{line}");
            assert_eq!((record.event_type, record.severity, record.src_port), (kind, severity, port), "{line}");
            assert!(record.src_ip.is_some() && record.dst_ip.is_some(), "{line}");
        }
        let snort = "[1:1411:13] SNMP public access udp [Classification: Attempted Information Leak] [Priority: 2]: <eth0> {UDP} 198.51.100.9:31000 -> 192.0.2.1:161";
        let record = read(snort).unwrap();
        assert_eq!((record.message.as_ref(), record.dst_port), ("SNMP public access udp", Some(161)));
        for other in ["", "02/11/2026 x", "[1:2] x {TCP} a -> b", "[1:2:3] x {TCP} a -> b"] {
            assert!(read(other).is_none(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(line in "(02/11/2026-|08:15:30|\\[\\*\\*\\]|\\[1:2:3\\] |x| \\[|\\]| \\{TCP\\} | -> |[0-9a-f:.]{1,12}|é){0,20}") {
            read(&line);
        }
    }
}
