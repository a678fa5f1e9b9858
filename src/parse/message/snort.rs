//! Snort's other outputs: `alert_full` (several lines an alert), `alert_csv` of Snort 2 and 3, `alert_json` of Snort 3.
//!
//! Source: Snort Users Manual 2.9, §2.6 ("alert_csv": its default order of columns), pfSense's and OPNsense's variant of it, and Snort 3's
//! `alert_csv`/`alert_json` modules. Severity follows the rule's priority: 1 is high, 2 medium, others low.

use super::ids_fast::{endpoint, time};
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Line, Member};
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const FULL: Dialect = Dialect {
    name: "snort_full",
    product: "Snort: alert_full",
    reference: "https://docs.snort.org/start/alert_logging",
    marks: &[Begins("[**] ["), Line("[**] [")],
    parse: full,
    samples: &[
        "[**] [1:1000005:2] Outbound telnet [**]\n[Classification: Potentially Bad Traffic] [Priority: 2] \n11/20-06:25:01.250000 192.0.2.9:40000 -> 198.51.100.7:23\nTCP TTL:64 TOS:0x0 ID:58363 IpLen:20 DgmLen:60",
    ],
};

pub(super) const CSV: Dialect = Dialect {
    name: "snort_csv",
    product: "Snort: alert_csv",
    reference: "https://docs.snort.org/start/alert_logging",
    marks: &[
        App("snort"),
        Line(",TCP,"),
        Line(",UDP,"),
        Line(",ICMP,"),
        Line(",IP,"),
        Line(", TCP, "),
        Line(", UDP, "),
        Line(", ICMP, "),
    ],
    parse: csv,
    samples: &[
        r#"11/20-06:25:01.250000 ,1,1000005,2,"Outbound telnet",TCP,192.0.2.9,40000,198.51.100.7,23,00:00:5E:00:53:01,00:00:5E:00:53:02,0x4A,***A**S*,0x1,0x0,,0x1000,64,0,56094,60,61440,,,,"#,
        "11/20-06:25:02.250000, 8, TCP, raw, 60, C2S, 192.0.2.9:40000, 198.51.100.7:23, 1:1000005:2, allow",
    ],
};

pub(super) const JSON: Dialect = Dialect {
    name: "snort_json",
    product: "Snort 3: alert_json",
    reference: "https://docs.snort.org/start/alert_logging",
    marks: &[Member("\"b64_data\""), Member("\"src_ap\""), Member("\"dst_ap\""), Member("\"pkt_gen\"")],
    parse: json,
    samples: &[
        r#"{ "seconds" : 1795155901, "timestamp" : "11/20-06:25:01.250000", "action" : "allow", "class" : "Potentially Bad Traffic", "dir" : "C2S", "src_addr" : "192.0.2.9", "src_port" : 40000, "dst_addr" : "198.51.100.7", "dst_port" : 23, "dst_ap" : "198.51.100.7:23", "src_ap" : "192.0.2.9:40000", "gid" : 1, "sid" : 1000005, "rev" : 2, "msg" : "Outbound telnet", "priority" : 2, "proto" : "TCP", "rule" : "1:1000005:2" }"#,
    ],
};

fn severity(priority: Option<i64>) -> Severity {
    match priority {
        Some(1) => Severity::High,
        Some(2) => Severity::Medium,
        _ => Severity::Low,
    }
}

/// What an alert of this name and class is.
fn kind(name: &str, class: &str) -> EventType {
    if super::suricata::is_malware(name, class) { EventType::MalwareDetected } else { EventType::IdsAlert }
}

fn full<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut lines = text.lines();
    let Some(head) = lines.next().and_then(|line| line.trim_end().strip_prefix("[**] [")) else { return false };
    let Some((rule, name)) = head.strip_suffix(" [**]").and_then(|head| scan::cut(head, "] ")) else { return false };
    if rule.is_empty() || !rule.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return false;
    }
    let (mut class, mut priority) = ("", None);
    while let Some(line) = lines.next() {
        if line.starts_with("[Classification: ") || line.starts_with("[Priority: ") {
            class = scan::between(line, "[Classification: ", ']').unwrap_or_default();
            priority = scan::between(line, "[Priority: ", ']').and_then(|p| p.trim().parse().ok());
            continue;
        }
        let Some((ends, when)) = time(line, context.now, context.zone) else { continue };
        let Some((from, to)) = ends.trim().split_once(" -> ") else { return false };
        let (Some(from), Some(to)) = (endpoint(from), endpoint(to)) else { return false };
        (record.src_ip, record.src_port) = from;
        (record.dst_ip, record.dst_port) = to;
        record.event_time = when.or(record.event_time);
        let next = lines.next().unwrap_or_default();
        if let Some((protocol, _)) = next.trim_start().split_once(" TTL:").filter(|(word, _)| word.len() < 10) {
            record.protocol = Some(scan::protocol(protocol));
        }
        record.set("rule.name", name);
        record.set("rule.id", rule);
        if !class.is_empty() {
            record.set("rule.category", class);
        }
        is(record, "snort_full", kind(name, class), severity(priority));
        return true;
    }
    false
}

fn csv<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    let Some((rest, when)) = time(text, context.now, context.zone) else { return false };
    let Some(rest) = rest.trim_start().strip_prefix(',') else { return false };
    let understood = columns2(rest, record) || columns3(rest, record);
    if understood {
        record.event_time = when.or(record.event_time);
    }
    understood
}

/// `1,1000005,2,"Outbound telnet",TCP,192.0.2.9,40000,198.51.100.7,23,…`; pfSense ends in `id,class,priority,event,disposition`.
fn columns2<'a>(rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((rule, rest)) = scan::cut(rest, ",\"") else { return false };
    let Some((name, rest)) = scan::cut(rest, "\",") else { return false };
    let mut numbers = rule.split(',').map(|number| number.trim().parse::<u64>().ok());
    let (Some(Some(gid)), Some(Some(sid)), Some(Some(revision)), None) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    else {
        return false;
    };
    let mut cells = rest.split(',');
    let mut next = || cells.next().unwrap_or_default().trim();
    let (protocol, src, sport, dst, dport) = (next(), next(), next(), next(), next());
    let (Some(src), Some(dst)) = (scan::ip(src), scan::ip(dst)) else { return false };
    (record.src_ip, record.src_port) = (Some(src), sport.parse().ok());
    (record.dst_ip, record.dst_port) = (Some(dst), dport.parse().ok());
    record.protocol = Some(scan::protocol(protocol));
    record.set("rule.name", name);
    record.set("rule.id", format!("{gid}:{sid}:{revision}"));
    let (mac, class, priority) = (next(), next(), next());
    let (event, disposition) = (next(), next());
    let mut rated = None;
    if matches!(event, "alert" | "drop" | "pass" | "reject") {
        if !class.is_empty() {
            record.set("rule.category", class);
        }
        rated = priority.parse().ok();
        if !disposition.is_empty() {
            record.action = Some(disposition.to_ascii_lowercase().into());
        }
    } else if mac.len() == 17 {
        record.set("source.mac", mac);
        record.set("destination.mac", class);
    }
    is(record, "snort_csv", kind(name, ""), severity(rated));
    true
}

/// Snort 3: `8, TCP, raw, 60, C2S, 192.0.2.9:40000, 198.51.100.7:23, 1:1000005:2, allow`.
fn columns3<'a>(rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut cells = rest.split(',').map(str::trim);
    let mut next = || cells.next().unwrap_or_default();
    let (_number, protocol, _source, _length, direction, src, dst, rule, action) =
        (next(), next(), next(), next(), next(), next(), next(), next(), next());
    if !matches!(direction, "C2S" | "S2C" | "UNK") || rule.split(':').count() != 3 {
        return false;
    }
    let (Some(src), Some(dst)) = (endpoint(src), endpoint(dst)) else { return false };
    (record.src_ip, record.src_port) = (src.0, src.1.filter(|port| *port != 0));
    (record.dst_ip, record.dst_port) = (dst.0, dst.1.filter(|port| *port != 0));
    record.protocol = Some(scan::protocol(protocol));
    record.set("rule.id", rule);
    record.action = (!action.is_empty()).then(|| action.into());
    is(record, "snort_csv", EventType::IdsAlert, Severity::Low);
    true
}

fn json<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !scan::has(text, "\"rule\"") && !scan::has(text, "\"sid\"") {
        return false;
    }
    let mut read = record.clone();
    if !fill::object(text, &mut read, slots, context) {
        return false;
    }
    // `seconds` has the year, `timestamp` the fraction; the former is enough.
    if read.event_time.is_none()
        && let Some(Value::Str(when)) = read.field("timestamp")
    {
        read.event_time = time(when, context.now, context.zone).and_then(|(_, when)| when);
    }
    fn word(record: &LogRecord<'_>, name: &str) -> String {
        match record.field(name) {
            Some(Value::Str(text)) => text.clone().into_owned(),
            _ => String::new(),
        }
    }
    let said = |name| word(&read, name);
    let (name, class) = (said("rule.name"), said("rule.category"));
    let priority = match read.field("event.severity") {
        Some(Value::Int(priority)) => Some(*priority),
        _ => None,
    };
    // Where there are no ports, the ends have a zero for them.
    let port = |end: &str| endpoint(end).and_then(|(_, port)| port).filter(|port| *port != 0);
    let (src, dst) = (port(&said("src_ap")), port(&said("dst_ap")));
    read.src_port = read.src_port.or(src);
    read.dst_port = read.dst_port.or(dst);
    is(&mut read, "snort_json", kind(&name, &class), severity(priority));
    *record = read;
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Nothing, Number, Protocol, SrcIp, SrcPort, Time};
    Some(match name {
        "seconds" => Time, "src_addr" => SrcIp, "src_port" => SrcPort, "dst_addr" => DstIp, "dst_port" => DstPort, "proto" => Protocol,
        "action" => Action, "msg" => Field("rule.name"), "rule" => Field("rule.id"), "class" => Field("rule.category"),
        "priority" => Number("event.severity"), "iface" => Field("observer.ingress.interface.name"), "service" => Field("network.protocol"),
        "eth_src" => Field("source.mac"), "eth_dst" => Field("destination.mac"), "pkt_len" => Number("network.bytes"), "b64_data" => Nothing,
        "vlan" => Number("network.vlan.id"), "tcp_flags" => Field("network.tcp.flags"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn every_output_tells_the_same() {
        let context = Context { now: Timestamp::from_secs(1_795_155_900), zone: &Zone::UTC, own: &[] };
        for line in FULL.samples.iter().chain(CSV.samples).chain(JSON.samples) {
            let record = parse::parse(line, &context);
            assert_eq!(record.event_type, EventType::IdsAlert, "{line}");
            assert_eq!((record.src_ip, record.src_port), ("192.0.2.9".parse().ok(), Some(40000)), "{line}");
            assert_eq!((record.dst_ip, record.dst_port), ("198.51.100.7".parse().ok(), Some(23)), "{line}");
            assert_eq!(record.protocol.as_deref(), Some("tcp"), "{line}");
            assert_eq!(record.field("rule.id"), Some(&"1:1000005:2".into()), "{line}");
            assert!(record.event_time.is_some_and(|t| t.to_string().starts_with("2026-11-20T06:25:0")), "{line}");
        }
    }
}
