//! Juniper NetScreen and SSG (ScreenOS): `NetScreen device_id=ssg5  [Root]system-emergency-00005: SYN flood! From … to …, proto TCP (…). Occurred 1
//! times. (2026-11-20 06:25:01)`, and sessions as `…00257(traffic): start_time="…" … src=… dst=… action=Deny …`.
//!
//! Source: "ScreenOS Message Log Reference Guide": the number is the kind of message. Severity: an attack has that of its word (emergency, alert
//! and critical are high), a refused login is medium, the rest low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Holds;
use crate::parse::fill::{self, Slot};
use crate::parse::pairs::{self, SPACED};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "netscreen",
    product: "Juniper NetScreen and SSG (ScreenOS)",
    reference: "https://www.juniper.net/documentation/software/screenos/screenos6.3.0/630_messages.pdf",
    marks: &[Holds("NetScreen device_id=")],
    parse,
    samples: &[
        r#"<134>Nov 20 06:25:01 192.0.2.1 ssg5: NetScreen device_id=ssg5  [Root]system-notification-00257(traffic): start_time="2026-11-20 06:25:01" duration=0 policy_id=320001 service=telnet proto=6 src zone=Untrust dst zone=Trust action=Deny sent=0 rcvd=40 src=203.0.113.77 dst=192.0.2.4 src_port=48312 dst_port=23 session_id=0"#,
        "<129>Nov 20 06:25:02 192.0.2.1 ssg5: NetScreen device_id=ssg5  [Root]system-emergency-00005: SYN flood! From 203.0.113.77:48313 to 192.0.2.4:80, proto TCP (zone Untrust int  ethernet0/0). Occurred 1 times. (2026-11-20 06:25:02)",
        "<132>Nov 20 06:25:03 192.0.2.1 ssg5: NetScreen device_id=ssg5  [Root]system-warning-00518: Admin user \"mia\" login attempt for Web(http) management (port 80) from 203.0.113.77:48314 failed. (2026-11-20 06:25:03)",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((_, rest)) = scan::cut(text, "NetScreen device_id=") else { return false };
    let Some((device, rest)) = rest.split_once(' ') else { return false };
    // `[Root]system-warning-00518(traffic): `
    let Some((head, what)) = rest.trim_start().split_once(": ") else { return false };
    let kind = head.split_once(']').map_or(head, |(_, kind)| kind);
    let mut parts = kind.splitn(3, '-');
    let (Some("system"), Some(level), Some(code)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let code = code.split('(').next().unwrap_or(code);
    if code.is_empty() || !code.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    if record.host.is_none() {
        record.host = Some(Cow::Borrowed(device));
    }
    record.set("observer.serial_number", device);
    record.set("event.code", code);
    record.set("log.level", level);
    if let Some(time) = what
        .trim_end()
        .strip_suffix(')')
        .and_then(|what| what.rsplit_once('('))
        .and_then(|(_, time)| scan::iso_time(time, Some(context.zone)))
    {
        record.event_time = Some(time);
    }
    let (event_type, severity) =
        if what.starts_with("start_time=") { traffic(what, record, context) } else { prose(what, level, record) };
    is(record, "netscreen", event_type, severity);
    true
}

fn traffic<'a>(what: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> (EventType, Severity) {
    // `src zone=Untrust`: the word before has no value and is left out.
    let zones = [("src zone=", "observer.ingress.zone"), ("dst zone=", "observer.egress.zone")];
    for (sign, name) in zones {
        if let Some((_, zone)) = what.split_once(sign) {
            record.set(name, zone.split(' ').next().unwrap_or(zone));
        }
    }
    pairs::fill(what, SPACED, record, slots, context);
    let denied = matches!(record.action.as_deref(), Some("deny" | "reject"));
    (if denied { EventType::ConnectionBlocked } else { EventType::ConnectionAllowed }, Severity::Low)
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Nothing, Number, Protocol, SrcIp, SrcPort, Time};
    Some(match name {
        "start_time" => Time, "src" => SrcIp, "dst" => DstIp, "src_port" => SrcPort, "dst_port" => DstPort, "proto" => Protocol, "action" => Action, "zone" => Nothing,
        "policy_id" => Field("rule.id"), "service" => Field("network.protocol"), "sent" => Number("source.bytes"), "rcvd" => Number("destination.bytes"), "session_id" => Field("network.session.id"),
        "src-xlated" => Field("source.nat.ip"), "dst-xlated" => Field("destination.nat.ip"), "reason" => Field("event.reason"),
        _ => return None,
    })
}

fn prose<'a>(what: &'a str, level: &str, record: &mut LogRecord<'a>) -> (EventType, Severity) {
    if let Some((attack, ends)) = scan::cut(what, " From ")
        && let Some((from, to)) = scan::cut(ends, " to ")
    {
        let to_end = to.split([',', ' ']).next().unwrap_or(to);
        if let (Some((src, src_port)), Some((dst, dst_port))) = (end(from), end(to_end)) {
            (record.src_ip, record.src_port, record.dst_ip, record.dst_port) = (Some(src), src_port, Some(dst), dst_port);
            record.protocol = scan::between(to, "proto ", ' ').map(|name| scan::protocol(name.trim_end_matches(',')));
            record.set("threat.indicator.name", attack.trim_end_matches('!'));
            let severity = if matches!(level, "emergency" | "alert" | "critical") { Severity::High } else { Severity::Medium };
            return (EventType::IdsAlert, severity);
        }
    }
    let says = |words: &[&str]| scan::has_any(what, words);
    let event_type = if says(&["logged out", "logged off", "has timed out"]) {
        EventType::Logout
    } else if says(&[
        "login attempt",
        "Login attempt",
        "authentication failed",
        "Authentication failed",
        "authentication failure",
        "is rejected",
    ]) {
        EventType::LoginFailed
    } else if says(&["logged in", "has logged on", "authentication successful", "has been accepted"]) {
        EventType::LoginSuccess
    } else if level == "notification" && says(&[" was changed", " was added", " was deleted", " modified", " set ", " by admin"])
    {
        return (EventType::ConfigChange, Severity::Medium);
    } else {
        return (EventType::System, Severity::Low);
    };
    // What follows the name is looked for from the right: a name may say anything.
    if let Some((_, from)) = what.rsplit_once(" from ")
        && let Some((ip, port)) = end(from.split([' ', ',']).next().unwrap_or(from).trim_end_matches('.'))
    {
        (record.src_ip, record.src_port) = (Some(ip), port.filter(|port| *port != 0));
    }
    let quoted = what.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map(|(name, _)| name);
    let quoted =
        quoted.or_else(|| scan::cut(what, "login name '").and_then(|(_, rest)| rest.rsplit_once('\'')).map(|(name, _)| name));
    let named = || {
        ["for admin ", "by admin ", "Admin user ", "Admin User "]
            .iter()
            .find_map(|sign| what.split_once(sign))
            .map(|(_, rest)| rest.split(' ').next().unwrap_or(rest))
    };
    if let Some(name) = quoted.or_else(named) {
        fill::account(record, Cow::Borrowed(name));
    }
    (event_type, if event_type == EventType::LoginFailed { Severity::Medium } else { Severity::Low })
}

fn end(text: &str) -> Option<(std::net::IpAddr, Option<u16>)> {
    let (host, port) = scan::host_port(text);
    scan::ip(host).map(|ip| (ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn what_happened() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (rest, event_type, user) in [
            (
                "warning-00518: Admin user \"mia\" login attempt for Web(http) management (port 80) from 203.0.113.77:48312 failed.",
                LoginFailed,
                Some("mia"),
            ),
            (
                "warning-00519: Admin user \"mia\" logged in for Web(http) management (port 80) from 203.0.113.77:48312",
                LoginSuccess,
                Some("mia"),
            ),
            (
                "warning-00515: Management session via SSH from 203.0.113.77:48312 for admin mia has timed out",
                Logout,
                Some("mia"),
            ),
            (
                "alert-00016: Port scan! From 203.0.113.77:48312 to 192.0.2.4:80, proto TCP (zone Untrust int e0). Occurred 1 times.",
                IdsAlert,
                None,
            ),
            (
                "notification-00257(traffic): start_time=\"2026-11-20 06:25:01\" action=Permit proto=6 src=203.0.113.77 dst=192.0.2.4 src_port=48312",
                ConnectionAllowed,
                None,
            ),
        ] {
            let line = format!("NetScreen device_id=ssg5  [Root]system-{rest} (2026-11-20 06:25:01)");
            let mut record = LogRecord::text(&*line);
            assert!(parse(&line, &mut record, &context), "{line}");
            assert_eq!((record.event_type, record.username.as_deref()), (event_type, user), "{line}");
            assert_eq!((record.src_ip, record.src_port), ("203.0.113.77".parse().ok(), Some(48312)), "{line}");
            assert_eq!(record.event_time.map(|time| time.to_string()).as_deref(), Some("2026-11-20T06:25:01Z"), "{line}");
        }
    }
}
