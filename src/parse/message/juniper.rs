//! Juniper SRX and Junos: `RT_FLOW - RT_FLOW_SESSION_DENY [junos@2636.1.1.1.2.129 source-address="…" …]` and the same as prose:
//! `RT_FLOW_SESSION_DENY: session denied 203.0.113.77/48312->192.0.2.4/23 junos-telnet 6(0) policy untrust trust`.
//!
//! Source: Juniper's System Log Explorer and "Understanding AppTrack, RT_FLOW, RT_IDP, RT_UTM log messages". Severity: attacks by
//! `threat-severity`, else medium; malware is high, sessions are low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds};
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::pairs::{Pairs, SPACED};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "juniper_srx",
    product: "Juniper SRX (Junos)",
    reference: "https://www.juniper.net/documentation/us/en/software/junos/network-mgmt/topics/topic-map/system-logging-for-a-security-device.html",
    marks: &[
        App("RT_FLOW"),
        App("RT_IDP"),
        App("RT_IDS"),
        App("RT_UTM"),
        App("RT_AAMW"),
        App("RT_SECINTEL"),
        App("kmd"),
        App("mib2d"),
        Holds("[junos@"),
        Holds("RT_FLOW_SESSION_"),
        Holds("APPTRACK_SESSION_"),
        Holds("PFE_FW_SYSLOG_IP"),
    ],
    parse,
    samples: &[
        r#"<14>1 2026-11-20T06:25:01.184Z srx1 RT_FLOW - RT_FLOW_SESSION_DENY [junos@2636.1.1.1.2.129 source-address="203.0.113.77" source-port="48312" destination-address="192.0.2.4" destination-port="23" service-name="junos-telnet" protocol-id="6" policy-name="no telnet" source-zone-name="untrust" destination-zone-name="dmz" username="N/A"]"#,
        "<14>Nov 20 06:25:02 srx1 RT_FLOW: RT_FLOW_SESSION_CREATE: session created 192.0.2.30/48313->203.0.113.77/443 junos-https 198.51.100.1/5001->203.0.113.77/443 snat None 6 web trust untrust 81",
        "<158>Nov 20 06:25:03 srx1 fpc0 PFE_FW_SYSLOG_IP: FW: ge-0/0/1.0 D tcp 203.0.113.77 192.0.2.4 48314 23 (1 packets)",
    ],
};

/// What the readers of RFC 5424 call the parameters.
const DATA: &str = "log.syslog.structured_data.junos@";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    // Where the structured data broke off, the whole of it is in the text.
    let is_broken = record.error.is_some() && listed(text, record, context);
    if is_broken {
        record.fields.retain(|(name, _)| !name.starts_with(DATA));
    }
    if is_broken || structured(record, context) || listed(text, record, context) {
        let id = word(record, "log.syslog.msgid").to_owned();
        let (event_type, severity) = meaning(record, &id);
        is(record, "juniper_srx", event_type, severity);
        return true;
    }
    packet(text, record) || prose(text, record, context)
}

/// The parameters of structured data, taken out of the fields and filed by their own names.
fn structured(record: &mut LogRecord<'_>, context: &Context<'_>) -> bool {
    let known = ["RT_", "kmd", "mib2d"].iter().any(|app| record.app.as_deref().is_some_and(|name| name.starts_with(app)));
    if !known || !record.fields.iter().any(|(name, _)| name.starts_with(DATA)) {
        return false;
    }
    for (name, value) in std::mem::take(&mut record.fields) {
        // `2636.1.1.1.2.129.source-address`: the number has dots, the name has none.
        let own = name.strip_prefix(DATA).and_then(|rest| rest.rsplit_once('.')).map(|(_, own)| own.to_owned());
        match (own, value) {
            (Some(own), Value::Str(value)) => fill::file(record, slots(&own), Cow::Owned(own), Scalar::Text(value), context),
            (_, value) => record.set(name, value),
        }
    }
    true
}

/// The same as text: within another header, or where a quote broke the rules of structured data.
fn listed<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some(at) = scan::find(text, "[junos@").filter(|at| *at < 256) else { return false };
    let (head, list) = text.split_at(at);
    let list = list.split_once(' ').map_or("", |(_, list)| list);
    let list = list.trim_end().strip_suffix(']').unwrap_or(list);
    if !list.contains("=\"") {
        return false;
    }
    // `2026-11-20T06:25:01.184Z srx1 RT_IDS - RT_SCREEN_IP `
    let mut words = head.split_ascii_whitespace().rev();
    if let (Some(id), Some("-"), Some(app)) = (words.next(), words.next(), words.next()) {
        record.set("log.syslog.msgid", id);
        record.app = Some(Cow::Borrowed(app));
        if let (Some(host), Some(time)) = (words.next(), words.next())
            && let Some(time) = scan::iso_time(time, Some(context.zone))
        {
            record.host = Some(Cow::Borrowed(host));
            record.event_time = Some(time);
        }
    }
    for (key, value) in Pairs::new(list, SPACED) {
        fill::put(record, slots, key, value, context);
    }
    record.error = None;
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Number, Protocol, SrcIp, SrcPort, User};
    Some(match name {
        "source-address" | "local-address" | "client-ip" => SrcIp, "source-port" => SrcPort,
        "destination-address" | "remote-address" => DstIp, "destination-port" => DstPort,
        "protocol-id" | "protocol-name" | "protocol" => Protocol, "username" => User, "action" => Action, "hostname" => Field("source.domain"),
        "nat-source-address" => Field("source.nat.ip"), "nat-source-port" => Number("source.nat.port"),
        "nat-destination-address" => Field("destination.nat.ip"), "nat-destination-port" => Number("destination.nat.port"),
        "source-zone-name" | "source-zone" => Field("observer.ingress.zone"), "destination-zone-name" | "destination-zone" => Field("observer.egress.zone"),
        "policy-name" | "rule-name" => Field("rule.name"), "service-name" => Field("network.protocol"), "application" => Field("network.application"),
        "session-id-32" | "session-id" => Field("network.session.id"), "packet-incoming-interface" | "interface-name" | "source-interface-name" => Field("observer.ingress.interface.name"),
        "destination-interface-name" => Field("observer.egress.interface.name"), "reason" => Field("event.reason"), "roles" => Field("user.roles"),
        "bytes-from-client" | "inbound-bytes" => Number("source.bytes"), "bytes-from-server" | "outbound-bytes" => Number("destination.bytes"),
        "packets-from-client" => Number("source.packets"), "packets-from-server" => Number("destination.packets"),
        "attack-name" | "name" | "temporary-filename" => Field("threat.indicator.name"), "threat-severity" => Field("event.severity"), "url" => Field("url.domain"), "obj" => Field("url.path"),
        "filename" | "file-name" => Field("file.name"), "sample-sha256" => Field("file.hash.sha256"), "category" => Field("event.category.name"),
        _ => return None,
    })
}

fn meaning(record: &LogRecord<'_>, id: &str) -> (EventType, Severity) {
    use EventType::{
        AccessDenied, ConnectionAllowed, ConnectionBlocked, IdsAlert, LoginFailed, LoginSuccess, Logout, MalwareDetected,
        ServiceChange, System,
    };
    let rated = match word(record, "event.severity").to_ascii_lowercase().as_str() {
        "critical" | "10" => Severity::Critical,
        "major" | "high" | "7" | "8" | "9" => Severity::High,
        "info" | "informational" | "minor" | "low" => Severity::Low,
        _ => Severity::Medium,
    };
    match id {
        "FLOW_MCAST_RPF_FAIL" => (ConnectionBlocked, Severity::Low),
        _ if id.contains("SESSION_DENY") => (ConnectionBlocked, Severity::Low),
        _ if id.starts_with("RT_FLOW") || id.starts_with("APPTRACK") || id.starts_with("FLOW_") => {
            (ConnectionAllowed, Severity::Low)
        }
        _ if id.starts_with("RT_SCREEN") || id.starts_with("IDP_") || id.starts_with("RT_DDOS") => (IdsAlert, rated),
        _ if id.starts_with("SECINTEL") => (IdsAlert, rated),
        _ if id.starts_with("AAMW") => (MalwareDetected, rated.max(Severity::High)),
        _ if id.starts_with("AV_VIRUS_DETECTED") || id.starts_with("AV_MANY") => (MalwareDetected, Severity::High),
        _ if id.starts_with("WEBFILTER_URL_BLOCKED") || id.starts_with("CONTENT_FILTERING_BLOCKED") => {
            (AccessDenied, Severity::Low)
        }
        _ if id.starts_with("ANTISPAM_SPAM") => (AccessDenied, Severity::Low),
        _ if id.starts_with("WEBFILTER") || id.starts_with("AV_") || id.starts_with("CONTENT_FILTERING") => {
            (ConnectionAllowed, Severity::Low)
        }
        _ if id.starts_with("FWAUTH") && id.contains("FAIL") => (LoginFailed, Severity::Medium),
        _ if id.starts_with("FWAUTH") && id.contains("PASS") => (LoginSuccess, Severity::Low),
        _ if id.contains("AUTHENTICATION_FAIL") || id.ends_with("LOGIN_FAILED") => (LoginFailed, Severity::Medium),
        _ if id.contains("LOGOUT") => (Logout, Severity::Low),
        _ if id.starts_with("SNMP_TRAP_LINK") || id.starts_with("KMD_VPN") => (ServiceChange, Severity::Low),
        _ => (System, Severity::Low),
    }
}

/// A filter's: `PFE_FW_SYSLOG_IP: FW: ge-0/0/1.0 D tcp 203.0.113.77 192.0.2.4 48314 23 (1 packets)`.
fn packet<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let line = if record.app.as_deref() == Some("PFE_FW_SYSLOG_IP") {
        Some(text)
    } else {
        scan::cut(text, "PFE_FW_SYSLOG_IP: ").map(|(_, line)| line)
    };
    let Some(line) = line.and_then(|line| line.trim_start().strip_prefix("FW: ")) else { return false };
    let mut words = line.split_ascii_whitespace();
    let mut next = || words.next();
    let (Some(interface), Some(verdict), Some(protocol)) = (next(), next(), next()) else { return false };
    let (Some(src), Some(dst)) = (next().and_then(scan::ip), next().and_then(scan::ip)) else { return false };
    let (event_type, action) = match verdict {
        "A" => (EventType::ConnectionAllowed, "accept"),
        "D" => (EventType::ConnectionBlocked, "discard"),
        "R" => (EventType::ConnectionBlocked, "reject"),
        _ => return false,
    };
    (record.src_ip, record.dst_ip) = (Some(src), Some(dst));
    record.src_port = next().and_then(|port| port.parse().ok());
    record.dst_port = next().and_then(|port| port.parse().ok());
    record.protocol = Some(scan::protocol(protocol));
    record.action = Some(Cow::Borrowed(action));
    record.app = Some(Cow::Borrowed("PFE_FW_SYSLOG_IP"));
    record.set("observer.ingress.interface.name", interface);
    is(record, "juniper_srx", event_type, Severity::Low);
    true
}

/// `RT_FLOW_SESSION_CLOSE: session closed TCP FIN: a/1->b/2 service c/3->d/2 rule rule 6 policy from to 81 …`.
fn prose<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    const KINDS: [&str; 9] =
        ["RT_FLOW_", "APPTRACK_", "RT_SCREEN_", "IDP_", "WEBFILTER_", "AV_", "ANTISPAM_", "CONTENT_FILTERING_", "FWAUTH_"];
    let text = text.strip_prefix("RT_FLOW: ").unwrap_or(text);
    let Some((id, what)) = scan::cut(text, ": ") else { return false };
    if !KINDS.iter().any(|kind| id.starts_with(kind)) || !id.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return false;
    }
    if !(arrows(what, record, context) || screened(what, record, context)) {
        return false;
    }
    record.set("log.syslog.msgid", id);
    let (event_type, severity) = meaning(record, id);
    is(record, "juniper_srx", event_type, severity);
    true
}

/// `192.0.2.1/80->192.0.2.2/443`, also `192.0.2.1(80)->…` and in pointed brackets; then service, translation, rules, protocol, policy, zones.
fn arrows<'a>(what: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut words = what.split_ascii_whitespace();
    let Some((from, to)) = words.find_map(arrow) else { return false };
    (record.src_ip, record.src_port) = (Some(from.0), from.1);
    (record.dst_ip, record.dst_port) = (Some(to.0), to.1);
    for word in words {
        if let Some((from, to)) = arrow(word) {
            record.set("source.nat.ip", from.0.to_string());
            record.set("destination.nat.ip", to.0.to_string());
            break;
        }
        // Sessions that were denied were not translated: `6(0) policy from to`.
        if number(word).is_some() {
            break;
        }
        if record.field("network.protocol").is_none() && !word.starts_with("0x") {
            record.set("network.protocol", word);
        }
    }
    let mut words = what.split_ascii_whitespace().skip_while(|word| arrow(word).is_none()).filter(|word| arrow(word).is_none());
    if let Some(protocol) = words.find_map(number) {
        fill::file(record, Some(Slot::Protocol), Cow::Borrowed("protocol"), Scalar::Text(Cow::Borrowed(protocol)), context);
        for name in ["rule.name", "observer.ingress.zone", "observer.egress.zone"] {
            if let Some(word) = words.next() {
                record.set(name, word);
            }
        }
    }
    true
}

/// `6`, `6(0)`: the number of a protocol.
fn number(word: &str) -> Option<&str> {
    let digits = word.split('(').next().unwrap_or(word);
    digits.parse::<u8>().ok().map(|_| digits)
}

type End = (std::net::IpAddr, Option<u16>);

fn arrow(word: &str) -> Option<(End, End)> {
    let (from, to) = word.trim_matches(['<', '>', ',']).split_once("->")?;
    let end = |text: &str| {
        let (ip, port) = text.split_once(['/', '(']).unwrap_or((text, ""));
        Some((scan::ip(ip)?, port.trim_end_matches([')', '>', ',']).parse().ok()))
    };
    Some((end(from)?, end(to)?))
}

/// `SYN flood! source: 203.0.113.77:40001, destination: 192.0.2.4:23, zone name: untrust, interface name: ge-0/0/1.0, action: drop`.
fn screened<'a>(what: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((attack, rest)) = scan::cut(what, " source: ") else { return false };
    let Some((source, rest)) = scan::cut(rest, ", destination: ") else { return false };
    let mut parts = rest.split(", ");
    let destination = parts.next().unwrap_or_default();
    if scan::ip(scan::host_port(source).0).is_none() {
        return false;
    }
    for (slot, name, value) in [(Slot::SrcIp, "source", source), (Slot::DstIp, "destination", destination)] {
        fill::file(record, Some(slot), Cow::Borrowed(name), Scalar::Text(Cow::Borrowed(value)), context);
    }
    record.set("threat.indicator.name", attack);
    for (name, value) in parts.filter_map(|part| scan::cut(part, ": ")) {
        let slot = match name {
            "zone name" => Some(Slot::Field("observer.ingress.zone")),
            "interface name" => Some(Slot::Field("observer.ingress.interface.name")),
            "action" => Some(Slot::Action),
            "protocol-id" => Some(Slot::Protocol),
            _ => None,
        };
        fill::file(record, slot, Cow::Borrowed(name), Scalar::Text(Cow::Borrowed(value)), context);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn what_happened() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let data = r#"source-address="203.0.113.77" source-port="48312" destination-address="192.0.2.4" destination-port="23" protocol-id="6""#;
        for (line, event_type) in [
            (format!("<14>1 2026-11-20T06:25:01Z srx1 RT_FLOW - RT_FLOW_SESSION_CREATE [junos@2636.1.1.1.2.129 {data}]"), ConnectionAllowed),
            (format!("<14>1 2026-11-20T06:25:01Z srx1 RT_IDS - RT_SCREEN_TCP [junos@2636.1.1.1.2.129 {data} action=\"drop\"]"), IdsAlert),
            (format!("<14>1 2026-11-20T06:25:01Z srx1 RT_UTM - WEBFILTER_URL_BLOCKED [junos@2636.1.1.1.2.129 {data} url=”x”]"), AccessDenied),
            (format!("Nov 20 06:25:01 192.0.2.1 junos-ids: 2026-11-20T06:25:01Z srx1 RT_IDS - RT_SCREEN_IP [junos@2636.1 {data}]"), IdsAlert),
            ("<14>Nov 20 06:25:01 srx1 RT_FLOW: RT_FLOW_SESSION_DENY: session denied 203.0.113.77/48312->192.0.2.4/23 junos-telnet 6(0) p untrust trust".to_owned(), ConnectionBlocked),
            ("<14>Nov 20 06:25:01 srx1 RT_FLOW: RT_FLOW_SESSION_CLOSE: session closed TCP FIN: 203.0.113.77/48312->192.0.2.4/23 x 198.51.100.1/1->192.0.2.4/23 r None 6 p untrust trust 1".to_owned(), ConnectionAllowed),
            ("<14>Nov 20 06:25:01 srx1 RT_IDS: RT_SCREEN_TCP: SYN flood! source: 203.0.113.77:48312, destination: 192.0.2.4:23, zone name: untrust, protocol-id: 6, action: drop".to_owned(), IdsAlert),
            ("<158>Nov 20 06:25:01 srx1 fpc0 PFE_FW_SYSLOG_IP: FW: ge-0/0/1.0 D tcp 203.0.113.77 192.0.2.4 48312 23 (1 packets)".to_owned(), ConnectionBlocked),
        ] {
            let record = parse::parse(&line, &context);
            assert_eq!((record.format.message, record.event_type), ("juniper_srx", event_type), "{line}\n{record:?}");
            assert_eq!((record.src_ip, record.src_port), ("203.0.113.77".parse().ok(), Some(48312)), "{line}");
            assert_eq!((record.dst_ip, record.dst_port), ("192.0.2.4".parse().ok(), Some(23)), "{line}");
            assert_eq!((record.protocol.as_deref(), record.error), (Some("tcp"), None), "{line}");
        }
    }
}
