//! Cisco Meraki appliances, access points and switches: a role (`flows`, `urls`, `events` …), then `key=value` pairs or a sentence.
//!
//! Source: "Syslog Event Types and Log Samples". Severity: an alert of the intrusion detection has its priority's (1 high, 2 medium), malware that was let
//! through is high, stopped malware and a spoofed network are medium, as is a refused login; the rest is routine.

use std::borrow::Cow;

use super::is;
use crate::parse::Context;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds};
use crate::parse::fill::{self, Slot};
use crate::parse::token::{is_host_name, rfind, word};
use crate::parse::{scan, timestamp};
use crate::record::EventType::{
    ConnectionAllowed, ConnectionBlocked, DataTransfer, HttpRequest, IdsAlert, LoginFailed, LoginSuccess, Logout,
    MalwareDetected, Other, ServiceChange, System,
};
use crate::record::Severity::{High, Low, Medium};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cisco_meraki",
    product: "Cisco Meraki",
    reference: "https://documentation.meraki.com/General_Administration/Monitoring_and_Reporting/Syslog_Event_Types_and_Log_Samples",
    #[rustfmt::skip]
    marks: &[
        Begins("events "), Holds(" events type="), Holds(" events dhcp "), Holds(" events Cellular "), Holds(" events failover to "), Holds(" events Site-to-"), Holds(" events port "), Holds(" events Port "),
        Holds("events content_filtering_"), Holds("events client_vpn_"), Holds("events anyconnect_vpn_"),
        Holds("flows src="), Holds("flows allow src="), Holds("flows deny src="), Holds("urls src="), Holds("firewall src="),
        Holds("firewall allow src="), Holds("firewall deny src="), Holds("ip_flow_start src="), Holds("ip_flow_end src="),
        Holds("ids-alerts signature="), Holds("security_event "), Holds("airmarshal_events type="),
    ],
    parse,
    samples: &[
        "<134>1 1795155901.250000000 mx1 flows src=198.51.100.9 dst=192.0.2.4 mac=00:00:5E:00:53:01 protocol=tcp sport=50122 dport=3389 pattern: deny (dst 192.0.2.0/24)",
        "<134>1 1795155901.250000000 mx1 urls src=192.0.2.4:50122 dst=198.51.100.9:80 mac=00:00:5E:00:53:01 agent='ExampleBrowser/1.0' request: GET http://www.example.com/a",
        "<134>1 1795155901.250000000 mx1 security_event ids_alerted signature=1:10001:2 priority=1 timestamp=1795155901.1 dhost=00:00:5E:00:53:01 direction=ingress protocol=tcp/ip src=198.51.100.9:4444 dst=192.0.2.4:80 message: SERVER-WEBAPP example attempt",
        "<134>1 1795155901.250000000 ap1 events type=8021x_eap_failure radio='1' vap='0' client_mac='00:00:5E:00:53:01' identity='mia@example.com' aid='7'",
        "<134>1 1795155901.250000000 ap1 airmarshal_events type=ssid_spoofing_detected ssid='Example Guest' bssid='00:00:5E:00:53:02' src='00:00:5E:00:53:02' dst='FF:FF:FF:FF:FF:FF' channel='1' rssi='15'",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut read = record.clone();
    let text = header(text.trim(), &mut read);
    let (role, rest) = word(text);
    let understood = match role {
        "events" => events(rest, &mut read, context),
        "urls" => {
            let request = rfind(rest, " request: ");
            let (pairs, request) = request.map_or((rest, ""), |at| (&rest[..at], &rest[at + " request: ".len()..]));
            let (method, url) = word(request);
            set(&mut read, "http.request.method", method);
            set(&mut read, "url.original", url);
            pairs_of(pairs, &mut read, packet, context);
            is(&mut read, FORMAT, HttpRequest, Low);
            rest.starts_with("src=")
        }
        "ids-alerts" => alert(rest, &mut read, context),
        "security_event" => security(rest, &mut read, context),
        "airmarshal_events" => {
            pairs_of(rest, &mut read, radio, context);
            let spoofed = rest.starts_with("type=ssid_spoofing") || rest.starts_with("type=device_packet_flood");
            is(&mut read, FORMAT, IdsAlert, if spoofed { Medium } else { Low });
            read.action.is_some()
        }
        "ip_flow_start" | "ip_flow_end" => {
            pairs_of(rest, &mut read, packet, context);
            is(&mut read, FORMAT, if role == "ip_flow_start" { ConnectionAllowed } else { DataTransfer }, Low);
            read.action = Some(Cow::Borrowed(role));
            rest.starts_with("src=")
        }
        "flows" => flow(rest, &mut read, context),
        _ if role == "firewall" || role.ends_with("_firewall") => {
            read.set("rule.ruleset", role);
            flow(rest, &mut read, context)
        }
        _ => false,
    };
    if understood {
        *record = read;
    }
    understood
}

const FORMAT: &str = "cisco_meraki";

/// Some relays leave `1 1795155901.250000000 mx1 ` in the message.
fn header<'a>(text: &'a str, record: &mut LogRecord<'a>) -> &'a str {
    let Ok((rest, time)) = timestamp::epoch(text.strip_prefix("1 ").unwrap_or(text)) else { return text };
    let (host, rest) = word(rest.trim_start());
    if is_host_name(host) {
        record.event_time = Some(time);
        record.host = Some(Cow::Borrowed(host));
    }
    rest
}

/// `[allow|deny] src=… [pattern: allow all]`; in older versions, the pattern has 0 for allow and 1 for deny.
fn flow<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let (pairs, pattern) = match scan::find(text, "pattern: ") {
        Some(at) => (&text[..at], &text[at + "pattern: ".len()..]),
        None => (text, ""),
    };
    let (first, rest) = word(pairs);
    let (decision, pairs) = if first.contains('=') { (word(pattern).0, pairs) } else { (first, rest) };
    if !pairs.starts_with("src=") {
        return false;
    }
    set(record, "rule.name", pattern);
    pairs_of(pairs, record, packet, context);
    let (event_type, action) = match decision {
        "allow" | "0" => (ConnectionAllowed, "allow"),
        "deny" | "1" => (ConnectionBlocked, "deny"),
        _ => match record.field("decision") {
            Some(Value::Str(word)) if word.starts_with("block") => (ConnectionBlocked, "deny"),
            _ => (ConnectionAllowed, "flow"),
        },
    };
    is(record, FORMAT, event_type, Low);
    record.action = Some(Cow::Borrowed(action));
    true
}

/// `signature=1:28423:1 priority=1 … src=… dst=… [message: …]`.
fn alert<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let (pairs, message) = match scan::find(text, "message: ") {
        Some(at) => (&text[..at], &text[at + "message: ".len()..]),
        None => (text, ""),
    };
    if !pairs.starts_with("signature=") {
        return false;
    }
    set(record, "rule.name", message);
    pairs_of(pairs, record, packet, context);
    let severity = match record.field("event.severity") {
        Some(Value::Int(1)) => High,
        Some(Value::Int(2)) => Medium,
        _ => Low,
    };
    is(record, FORMAT, IdsAlert, severity);
    record.action.get_or_insert(Cow::Borrowed("ids_alerted"));
    true
}

fn security<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let (kind, rest) = word(text);
    if kind == "ids_alerted" {
        return alert(rest, record, context);
    }
    if !kind.starts_with("security_filtering_") {
        return false;
    }
    pairs_of(rest, record, packet, context);
    let malicious = matches!(record.field("file.disposition"), Some(Value::Str(word)) if word == "malicious");
    let stopped = record.action.as_deref() == Some("block");
    let (event_type, severity) = match (malicious, stopped) {
        (true, true) => (MalwareDetected, Medium),
        (true, false) => (MalwareDetected, High),
        (false, _) => (DataTransfer, Low),
    };
    is(record, FORMAT, event_type, severity);
    record.set("event.reason", kind);
    true
}

/// `type=… key='value'`, or a sentence.
fn events<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !text.starts_with("type=") {
        return sentence(text, record, context);
    }
    pairs_of(text, record, radio, context);
    let Some(action) = record.action.as_deref() else { return false };
    let (event_type, severity) = match action {
        "8021x_eap_success" | "splash_auth" | "radius_auth_success" => (LoginSuccess, Low),
        "8021x_eap_failure" | "8021x_auth_fail" | "radius_auth_failure" | "wpa_auth_failure" => (LoginFailed, Medium),
        "8021x_deauth" | "8021x_client_deauth" => (Logout, Low),
        "association" | "wpa_auth" | "8021x_auth" => (ConnectionAllowed, Low),
        "aps_association_reject" | "association_reject" => (ConnectionBlocked, Low),
        "device_packet_flood" | "bcn_overlap" => (IdsAlert, Medium),
        "vpn_connectivity_change" => (ServiceChange, Low),
        "dfs_event" => (System, Low),
        _ => (Other, Low),
    };
    finish(record, event_type, severity);
    true
}

/// How the sentences of events begin, and what they are about.
#[rustfmt::skip]
const SENTENCES: [(&str, EventType); 26] = [
    ("dhcp lease of ip ", ConnectionAllowed), ("dhcp no offers", Other), ("dhcp release", Other), ("dhcp ", Other),
    ("client_vpn_connect ", LoginSuccess), ("client_vpn_disconnect ", Logout), ("client_vpn_", Other),
    ("anyconnect_vpn_auth_success ", LoginSuccess), ("anyconnect_vpn_auth_failure ", LoginFailed),
    ("anyconnect_vpn_connect ", ConnectionAllowed), ("anyconnect_vpn_disconnect ", Logout), ("anyconnect_vpn_", Other),
    ("content_filtering_block ", ConnectionBlocked), ("Site-to-Site VPN: ", ServiceChange), ("Site-to-site VPN: ", ServiceChange),
    ("Cellular connection ", ServiceChange), ("failover to ", ServiceChange), ("uplink ", ServiceChange), ("port ", ServiceChange),
    ("Port ", ServiceChange), ("Virtual router ", ServiceChange), ("Blocked DHCP server response ", ConnectionBlocked), ("Blocked ARP ", IdsAlert),
    ("Power supply ", System), ("Auto ", Other), ("SFP ", System),
];

fn sentence<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((start, event_type)) = SENTENCES.iter().find(|(start, _)| text.starts_with(start)) else { return false };
    let action = start.trim_end_matches([' ', ':']);
    match event_type {
        ConnectionBlocked if action == "content_filtering_block" => pairs_of(&text[start.len()..], record, radio, context),
        LoginSuccess | Logout | LoginFailed | ConnectionAllowed if action.contains("_vpn_") => vpn(text, record),
        ConnectionAllowed => {
            set(record, "client.ip", scan::between(text, "of ip ", ' ').unwrap_or_default());
            set(record, "client.mac", scan::between(text, "client mac ", ' ').unwrap_or_default());
        }
        _ => {}
    }
    record.action = Some(Cow::Owned(action.to_ascii_lowercase().replace(' ', "_")));
    finish(record, *event_type, if matches!(event_type, LoginFailed | IdsAlert) { Medium } else { Low });
    true
}

/// `user id 'mia' local ip 192.0.2.4 connected from 198.51.100.9`; AnyConnect puts `=` in between, or a message with `Peer IP=`.
fn vpn<'a>(text: &'a str, record: &mut LogRecord<'a>) {
    let user = scan::cut(text, "user id").and_then(|(_, rest)| rest.trim_start_matches([' ', '=']).strip_prefix('\''));
    // What follows the name is searched from the right, for the name is the visitor's.
    if let Some((name, _)) = user.and_then(|rest| rest.rsplit_once("' local ip")) {
        fill::account(record, Cow::Borrowed(name));
    }
    let peer = text.rsplit_once("connected from ").map(|(_, rest)| rest);
    let peer = peer.or_else(|| scan::cut(text, "Peer IP=").map(|(_, rest)| rest));
    record.src_ip = peer.and_then(|rest| scan::ip(rest.split([' ', '\'', ',']).next().unwrap_or_default()));
    record.src_port = scan::cut(text, "Peer port=").and_then(|(_, rest)| rest.split([' ', '\'']).next()?.parse().ok());
    let local = text.rsplit_once("local ip").map(|(_, rest)| word(rest.trim_start_matches([' ', '='])).0);
    set(record, "client.nat.ip", local.unwrap_or_default());
}

fn finish(record: &mut LogRecord<'_>, event_type: EventType, severity: Severity) {
    is(record, FORMAT, event_type, severity);
    match event_type {
        LoginFailed => record.set("event.outcome", "failure"),
        LoginSuccess => record.set("event.outcome", "success"),
        _ => {}
    }
}

fn set<'a>(record: &mut LogRecord<'a>, name: &'static str, value: &'a str) {
    if !value.trim().is_empty() {
        record.set(name, value.trim());
    }
}

/// Files `key=value key='a value'`.
fn pairs_of<'a>(text: &'a str, record: &mut LogRecord<'a>, slots: fill::Slots, context: &Context<'_>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'=', b' ', rest.as_bytes()) {
        let (key, behind) = (&rest[..at], &rest[at + 1..]);
        if rest.as_bytes()[at] == b' ' {
            rest = behind;
            continue;
        }
        let (value, after) = match behind.strip_prefix('\'') {
            Some(quoted) => match scan::find(quoted, "' ") {
                Some(end) => (&quoted[..end], &quoted[end + 2..]),
                None => (quoted.strip_suffix('\'').unwrap_or(quoted), ""),
            },
            None => word(behind),
        };
        rest = after;
        // No address: the client has none yet.
        if !key.is_empty() && value != "0.0.0.0" {
            fill::put(record, slots, key, Cow::Borrowed(value), context);
        }
    }
}

/// Names of what is said of packets and files.
#[rustfmt::skip]
fn packet(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Nothing, Number, Protocol, SrcIp, SrcPort};
    Some(match name {
        "src" => SrcIp, "dst" => DstIp, "sport" => SrcPort, "dport" => DstPort, "protocol" => Protocol,
        "translated_src_ip" => Field("source.nat.ip"), "translated_dst_ip" => Field("destination.nat.ip"), "translated_port" => Field("nat.port"),
        "mac" => Field("source.mac"), "dhost" => Field("destination.mac"), "agent" => Field("user_agent.original"), "url" => Field("url.original"),
        "signature" => Field("rule.id"), "priority" => Number("event.severity"), "direction" => Field("network.direction"), "timestamp" => Nothing,
        "sha256" => Field("file.hash.sha256"), "name" => Field("threat.software.name"), "disposition" => Field("file.disposition"), "action" => Action,
        "decision" => Field("decision"), "type" => Field("icmp.type"),
        _ => return None,
    })
}

/// Names of what is said of clients and radio.
#[rustfmt::skip]
fn radio(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, Field, SrcIp, User};
    Some(match name {
        "type" => Action, "identity" => User, "src" => Field("source.mac"), "dst" => Field("destination.mac"), "client_mac" => Field("client.mac"),
        "client_ip" | "last_known_client_ip" | "ip" | "peer_contact" => SrcIp, "server" => DstIp, "url" => Field("url.original"),
        "ssid" => Field("wifi.ssid"), "bssid" => Field("wifi.bssid"), "channel" => Field("wifi.channel"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn messages() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            ("flows allow src=192.0.2.4 dst=198.51.100.9 mac=00:00:5E:00:53:01 protocol=icmp type=8", ConnectionAllowed, Low, "192.0.2.4 > 198.51.100.9"),
            ("flows src=198.51.100.9 dst=192.0.2.4 protocol=udp sport=5 dport=6 pattern: 1 all", ConnectionBlocked, Low, "198.51.100.9:5 > 192.0.2.4:6"),
            ("vpn_firewall src=192.0.2.4 dst=192.0.2.9 protocol=tcp sport=5 dport=6 pattern: allow all", ConnectionAllowed, Low, "192.0.2.4:5 > 192.0.2.9:6"),
            ("ip_flow_end src=192.0.2.4 dst=198.51.100.9 protocol=udp sport=5 dport=53 translated_src_ip=203.0.113.2 translated_port=7", DataTransfer, Low, "192.0.2.4:5 > 198.51.100.9:53"),
            ("urls src=192.0.2.4:5 dst=198.51.100.9:80 mac=00:00:5E:00:53:01 agent='x' src=1.1.1.1' request: GET http://www.example.com/", HttpRequest, Low, "192.0.2.4:5 > 198.51.100.9:80"),
            ("ids-alerts signature=119:15:1 priority=2 timestamp=1795155901.2 direction=egress protocol=tcp/ip src=192.0.2.4:5", IdsAlert, Medium, "192.0.2.4:5"),
            ("security_event security_filtering_file_scanned url=http://www.example.com/a src=192.0.2.4:5 dst=198.51.100.9:80 mac=x name='EICAR:a' sha256=9f disposition=malicious action=block", MalwareDetected, Medium, "192.0.2.4:5 > 198.51.100.9:80"),
            ("security_event security_filtering_disposition_change name=a.exe sha256=9f disposition=malicious action=allow", MalwareDetected, High, ""),
            ("events type=association radio='1' vap='0' client_mac='00:00:5E:00:53:01' last_known_client_ip='0.0.0.0'", ConnectionAllowed, Low, ""),
            ("events type=8021x_eap_success client_ip='192.0.2.4' identity='mia@example.com'", LoginSuccess, Low, "mia 192.0.2.4"),
            ("events client_vpn_connect user id 'mia' local ip 192.0.2.4 connected from 198.51.100.9", LoginSuccess, Low, "mia 198.51.100.9"),
            ("events client_vpn_connect user id 'x' local ip 1.1.1.1 connected from 1.1.1.1' local ip 192.0.2.4 connected from 198.51.100.9", LoginSuccess, Low,
                "x' local ip 1.1.1.1 connected from 1.1.1.1 198.51.100.9"),
            ("events anyconnect_vpn_auth_failure msg= 'Peer IP=198.51.100.9 Peer port=5 AAA[6]: AAA authentication failed'", LoginFailed, Medium, "198.51.100.9:5"),
            ("events content_filtering_block url='http://www.example.com/' category0='Games' server='198.51.100.9:80' client_mac='x'", ConnectionBlocked, Low, " > 198.51.100.9:80"),
            ("events Site-to-Site VPN: <a|1> IKE_SA a[1] established", ServiceChange, Low, ""),
            ("1 1795155901.25 mx1 events Cellular connection down", ServiceChange, Low, ""),
        ];
        for (text, event_type, severity, ends) in table {
            let mut record = LogRecord::text(text);
            assert!(parse(text, &mut record, &context), "{text}");
            let end = |ip: Option<std::net::IpAddr>, port: Option<u16>| match (ip, port) {
                (Some(ip), Some(port)) => format!("{ip}:{port}"),
                (Some(ip), None) => ip.to_string(),
                _ => String::new(),
            };
            let mut said = end(record.src_ip, record.src_port);
            if let Some(user) = &record.username {
                said = format!("{user} {said}");
            }
            if record.dst_ip.is_some() {
                said = format!("{said} > {}", end(record.dst_ip, record.dst_port));
            }
            assert_eq!((record.event_type, record.severity, &*said), (event_type, severity, ends), "{text}");
        }
        for other in ["events of the day", "flows like water", "urls src", "security_event x", "events "] {
            let mut record = LogRecord::text(other);
            assert!(!parse(other, &mut record, &context), "{other}");
        }
    }
}
