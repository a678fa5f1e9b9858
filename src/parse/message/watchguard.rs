//! WatchGuard Firebox (Fireware): `firewall: msg_id="3000-0148" Deny 0-External Firebox 40 tcp 20 245 203.0.113.77 192.0.2.1 48312 23 offset 5 S 1 win 1024
//! (Unhandled External Packet-00)`, proxies with `key="value"` behind, logins of users and administrators.
//!
//! As Traffic Monitor shows and exports it, the addresses come first and the number is one of the pairs at the end.
//!
//! Source: WatchGuard, "Read a Log Message" and "Fireware Log Catalog" (message numbers, order of the packet filter's columns). A failed login and an alert of a service are medium.

use super::super::token::set_remote;
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds, Line};
use crate::parse::fill::{self, Slot};
use crate::parse::pairs::{self, SPACED};
use crate::parse::{Context, scan, timestamp};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "watchguard",
    product: "WatchGuard Firebox",
    reference: "https://www.watchguard.com/help/docs/help-center/en-US/Content/en-US/Fireware/logging/read_log-msg.html",
    marks: &[Begins("msg_id=\""), Holds(" proc_id=\""), Line(" proc_id=\""), Holds(" msg_id=\"")],
    parse,
    samples: &[
        r#"<140>Nov 20 06:25:01 fw1 firewall: msg_id="3000-0148" Deny 0-External Firebox 40 tcp 20 245 203.0.113.77 192.0.2.1 48312 23 offset 5 S 1 win 1024 (Unhandled External Packet-00)"#,
        r#"<140>Nov 20 06:25:02 fw1 admd[811]: msg_id="1100-0005" Authentication of SSLVPN user [mia@Firebox-DB] from 203.0.113.77 was rejected, password is incorrect"#,
        r#"2026-11-20 06:25:03 Member2 Deny 203.0.113.77 192.0.2.1 telnet/tcp 48313 23 0-External Firebox Denied 60 63 (Unhandled External Packet-00) proc_id="firewall" rc="101" msg_id="3000-0148""#,
    ],
};

const FORMAT: &str = "watchguard";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if monitored(text.trim_end(), record, context).is_some() {
        return true;
    }
    let Some((head, rest)) = text.trim_end().split_once("msg_id=\"") else { return false };
    let Some((code, what)) = scan::cut(rest, "\" ") else { return false };
    let is_code =
        code.len() == 9 && code.bytes().enumerate().all(|(at, b)| if at == 4 { b == b'-' } else { b.is_ascii_hexdigit() });
    if !is_code || head.len() > 120 {
        return false;
    }
    record.set("event.code", code);
    if !traffic(what, record, context) && !login(what, record) {
        is(record, FORMAT, EventType::System, Severity::Low);
        record.set("event.reason", what);
    }
    true
}

/// `Allow|Deny in out [length] protocol [header ttl] source destination [port port] …`.
fn traffic<'a>(what: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut words = what.split(' ').filter(|word| !word.is_empty());
    let (Some(verb), Some(ingress), Some(egress)) = (words.next(), words.next(), words.next()) else { return false };
    if !matches!(verb, "Allow" | "Deny" | "Drop" | "ProxyAllow:" | "ProxyDeny:" | "ProxyDrop:" | "ProxyStrip:" | "ProxyBlock:") {
        return false;
    }
    // Numbers, and the protocol among them, stand before the first address.
    let (mut protocol, mut source) = ("", None);
    for word in words.by_ref().take(5) {
        source = scan::ip(word);
        if source.is_some() {
            break;
        }
        if !word.bytes().all(|b| b.is_ascii_digit()) {
            protocol = word.split('/').next().unwrap_or(word);
        }
    }
    let (Some(source), Some(destination)) = (source, words.next().and_then(scan::ip)) else { return false };
    (record.src_ip, record.dst_ip) = (Some(source), Some(destination));
    if matches!(protocol, "tcp" | "udp") {
        record.src_port = words.next().and_then(|port| port.parse().ok());
        record.dst_port = words.next().and_then(|port| port.parse().ok());
    }
    if !protocol.is_empty() {
        record.protocol = Some(scan::protocol(protocol));
    }
    record.set("observer.ingress.interface.name", ingress);
    record.set("observer.egress.interface.name", egress);
    if let Some((policy, _)) = what.rsplit_once(" (").and_then(|(_, policy)| policy.rsplit_once(')')) {
        record.set("rule.name", policy);
    }
    let list = scan::find(what, "=\"")
        .and_then(|at| what.get(..at))
        .and_then(|front| front.rfind(' '))
        .and_then(|at| what.get(at + 1..));
    if let Some(list) = list {
        pairs::fill(list, SPACED, record, slots, context);
    }
    decided(verb, record);
    true
}

/// `[time ][member ]Allow|Deny source destination service/protocol [port port ]in out … (policy) proc_id="…" …`.
fn monitored<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> Option<()> {
    let (rest, time) = timestamp::reading(text).map_or((text, None), |(rest, reading)| (rest, reading.instant(context)));
    let (front, list) = rest.split_at(scan::find(rest, " proc_id=\"")?);
    let mut words = front.split(' ').filter(|word| !word.is_empty());
    let first = words.next()?;
    let is_verb = |word: &str| matches!(word, "Allow" | "Deny");
    let (member, verb) = if is_verb(first) { (None, first) } else { (Some(first), words.next().filter(|word| is_verb(word))?) };
    let (source, destination) = (scan::ip(words.next()?)?, scan::ip(words.next()?)?);
    let (service, protocol) = words.next()?.rsplit_once('/')?;
    let ports = match protocol {
        "tcp" | "udp" => Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?)),
        _ => None,
    };
    let (ingress, egress) = (words.next()?, words.next()?);
    (record.src_ip, record.dst_ip) = (Some(source), Some(destination));
    (record.src_port, record.dst_port) = ports.unzip();
    record.protocol = Some(scan::protocol(protocol));
    record.event_time = time.or(record.event_time);
    record.set("network.protocol", service);
    record.set("observer.ingress.interface.name", ingress);
    record.set("observer.egress.interface.name", egress);
    if let Some(member) = member {
        record.set("watchguard.member", member);
    }
    if let Some((policy, _)) = front.rsplit_once(" (").and_then(|(_, policy)| policy.rsplit_once(')')) {
        record.set("rule.name", policy);
    }
    pairs::fill(list.trim_start(), SPACED, record, slots, context);
    decided(verb, record);
    Some(())
}

/// What was done with a packet or a request, and what it was.
fn decided(verb: &str, record: &mut LogRecord<'_>) {
    record.action = Some(verb.trim_end_matches(':').to_ascii_lowercase().into());
    let alert = record.field("signature_id").is_some() || record.field("threat.indicator.name").is_some();
    let (event_type, severity) = match (record.field("threat.indicator.name").is_some(), alert) {
        (true, _) => (EventType::MalwareDetected, Severity::High),
        (_, true) => (EventType::IdsAlert, Severity::Medium),
        _ if verb.contains("Allow") || verb.contains("Strip") => (EventType::ConnectionAllowed, Severity::Low),
        _ => (EventType::ConnectionBlocked, Severity::Low),
    };
    is(record, FORMAT, event_type, severity);
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Field, Number, User};
    Some(match name {
        "src_user" => User, "msg" => Field("event.reason"), "op" => Field("http.request.method"), "dstname" => Field("url.domain"), "arg" => Field("url.original"),
        "sent_bytes" => Number("source.bytes"), "rcvd_bytes" => Number("destination.bytes"), "virus" => Field("threat.indicator.name"),
        "app_name" => Field("network.application"), "geo_src" => Field("source.geo.country_iso_code"), "geo_dst" => Field("destination.geo.country_iso_code"),
        "src_ip_nat" => Field("source.nat.ip"), "src_port_nat" => Number("source.nat.port"), "dst_ip_nat" => Field("destination.nat.ip"),
        "dst_port_nat" => Number("destination.nat.port"), "signature_name" => Field("rule.name"), "msg_id" => Field("event.code"),
        _ => return None,
    })
}

/// `Authentication of Firewall user [mia@Firebox-DB] from 192.0.2.1 was rejected, …`, `Management user admin@Firebox-DB from 192.0.2.1 log in …`.
fn login<'a>(what: &'a str, record: &mut LogRecord<'a>) -> bool {
    let (user, rest, kind) =
        if let Some((_, rest)) = what.strip_prefix("Authentication of ").and_then(|rest| scan::cut(rest, " user [")) {
            let Some((user, rest)) = rest.rsplit_once("] from ") else { return false };
            (user, rest, if scan::has(rest, " was accepted") { EventType::LoginSuccess } else { EventType::LoginFailed })
        } else {
            let Some((_, rest)) = scan::cut(what, " user ").filter(|(kind, _)| kind.len() < 40) else { return false };
            let Some((user, rest)) = rest.rsplit_once(" from ") else { return false };
            let kind = if scan::has(rest, " log in attempt was rejected") || scan::has(rest, "rejected") {
                EventType::LoginFailed
            } else if scan::has(rest, " logged in") || scan::has(rest, " log in") {
                EventType::LoginSuccess
            } else if scan::has(rest, " logged out") || scan::has(rest, " log out") {
                EventType::Logout
            } else {
                return false;
            };
            (user, rest, kind)
        };
    if !set_remote(record, rest.split([' ', ',']).next().unwrap_or(rest)) {
        return false;
    }
    fill::account(record, user.into());
    match kind {
        EventType::LoginFailed => failed(record, FORMAT, "authentication", ToldBy::Service),
        EventType::LoginSuccess => succeeded(record, FORMAT, "authentication"),
        kind => is(record, FORMAT, kind, Severity::Low),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::Service;

    #[test]
    fn lines() {
        check(
            "",
            super::FORMAT,
            &[
                (
                    r#"msg_id="3000-0148" Deny 0-External Firebox 40 tcp 20 245 203.0.113.77 192.0.2.1 48312 23 offset 5 S 1 win 1024 (Unhandled External Packet-00)"#,
                    ConnectionBlocked,
                    "",
                    "203.0.113.77:48312",
                    None,
                    1,
                ),
                (
                    r#"Member2 Allow 192.0.2.30 203.0.113.9 webcache/tcp 42973 8080 3-Trusted 1-WCI Allowed 60 63 (Outgoing-proxy-00) proc_id="firewall" rc="100" src_ip_nat="198.51.100.1" msg_id="3000-0148""#,
                    ConnectionAllowed,
                    "",
                    "192.0.2.30:42973",
                    None,
                    1,
                ),
                (
                    r#"Deny 192.0.2.30 192.0.2.1 echo-request/icmp Trusted Firebox Denied 84 64 (Ping-00) proc_id="firewall" rc="101" msg_id="3000-0148" type="8""#,
                    ConnectionBlocked,
                    "",
                    "192.0.2.30",
                    None,
                    1,
                ),
                (
                    r#"msg_id="1AFF-0024" Allow 1-Trusted 0-External tcp 192.0.2.9 198.51.100.7 40000 80 msg="HTTP request" op="GET" dstname="www.example.org" arg="/" sent_bytes="10" (HTTP-proxy-00)"#,
                    ConnectionAllowed,
                    "",
                    "192.0.2.9:40000",
                    None,
                    1,
                ),
                (
                    r#"msg_id="1100-0005" Authentication of SSLVPN user [mia@Firebox-DB] from 203.0.113.77 was rejected, password is incorrect"#,
                    LoginFailed,
                    "mia",
                    "203.0.113.77",
                    Some(Service),
                    1,
                ),
                (
                    r#"msg_id="3E00-0002" Management user admin@Firebox-DB from 192.0.2.9 log in attempt was rejected - invalid credentials."#,
                    LoginFailed,
                    "admin",
                    "192.0.2.9",
                    Some(Service),
                    1,
                ),
                (
                    r#"msg_id="3E00-0002" Management user admin@Firebox-DB from 192.0.2.9 logged in"#,
                    LoginSuccess,
                    "admin",
                    "192.0.2.9",
                    None,
                    1,
                ),
            ],
        );
    }
}
