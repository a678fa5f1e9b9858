//! Cisco ASA, FTD, PIX and FWSM: `%ASA-6-302013: …` (Cisco Secure Firewall ASA Series Syslog Messages; Secure Firewall Threat
//! Defense Syslog Messages).
//!
//! There are some two thousand messages, written by many hands over thirty years, but they name endpoints and users in a few ways.
//! So there is no grammar per message: [`roles`] walks the words of any of them and notes who is named in which role, and the number
//! of the message ([`meaning`]) says what happened. FTD's connection events (43000x) are `Name: value` lists ([`events`]).

mod events;
mod meaning;
mod roles;

use nom::Parser as _;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, satisfy};
use nom::combinator::opt;
use nom::sequence::{preceded, terminated};

use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};
use meaning::Reading;

pub(super) const DIALECT: Dialect = Dialect {
    name: "cisco_asa",
    product: "Cisco ASA and FTD",
    reference: "https://www.cisco.com/c/en/us/td/docs/security/asa/syslog/asa-syslog/syslog-messages.html",
    marks: &[App("%ASA"), App("%FTD"), App("%PIX"), App("%FWSM"), App("SFIMS"), Begins("%")],
    parse: |text, record, _| parse(text, record),
    samples: &[
        r#"<164>Nov 20 2026 06:25:01 fw1 : %ASA-4-106023: Deny tcp src outside:203.0.113.77/48312 dst inside:192.0.2.4/23 by access-group "outside_in" [0x0, 0x0]"#,
    ],
};

/// Reads a message whose `%ASA-6-302013:` stands in front of it or was taken for the program's name.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut text = message.trim();
    let (level, id) = match mnemonic(text) {
        Ok((rest, found)) => {
            text = rest.trim_start();
            found
        }
        Err(_) => match record.app.as_deref().and_then(|app| mnemonic(app).ok()) {
            Some((_, found)) => found,
            None => return before_ids(text, record),
        },
    };
    record.fields.reserve(12);
    let meaning = meaning::of(id, level);
    (record.event_type, record.severity) = (meaning.event_type, meaning.severity);
    record.set("event.code", i64::from(id));
    record.set("log.syslog.severity.code", i64::from(level));
    match meaning.reading {
        Reading::Event => events::read(id, text, record),
        Reading::Roles => assign(id, text, record),
    }
    record.format.message = "cisco_asa";
    true
}

/// Firepower before version 6.3 wrote connection events without a number: `SFIMS: Protocol: TCP, SrcIP: …, AccessControlRuleAction: Block`.
fn before_ids<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let is_event =
        record.app.as_deref() == Some("SFIMS") && scan::has(text, "SrcIP: ") && scan::has(text, "AccessControlRuleAction: ");
    if is_event {
        (record.event_type, record.severity) = (EventType::ConnectionAllowed, Severity::Low);
        events::read(430_003, text, record);
        record.format.message = "cisco_asa";
    }
    is_event
}

/// `%ASA-6-302013:`; the class that `logging list` can put in between (`%ASA-session-5-106100:`) is skipped. The colon is missing where
/// a syslog header took it.
fn mnemonic(text: &str) -> nom::IResult<&str, (u8, u32)> {
    let class = terminated(take_while1(|c: char| c.is_ascii_lowercase() || c == '_'), char('-'));
    let (rest, (_, _, _, level, id, _)) = (
        char('%'),
        take_while1(|c: char| c.is_ascii_uppercase()),
        terminated(char('-'), opt(class)),
        satisfy(|c| ('0'..='7').contains(&c)),
        preceded(char('-'), scan::digits(6, 6)),
        opt(tag(":")),
    )
        .parse(text)?;
    Ok((rest, (level as u8 - b'0', id)))
}

/// Who is named in which role, put into the columns.
fn assign<'a>(id: u32, text: &'a str, record: &mut LogRecord<'a>) {
    let mut named = roles::of(text);
    if meaning::responder_first(id, text) {
        std::mem::swap(&mut named.source, &mut named.destination);
    }
    let user = named.source.and_then(|s| s.user).or(named.destination.and_then(|d| d.user)).or(named.user);
    record.username = user.map(Into::into);
    if let Some(source) = named.source {
        record.src_ip = scan::ip(source.host);
        record.src_port = source.port;
        if record.src_ip.is_none() && !source.host.is_empty() {
            record.set("source.domain", source.host);
        }
        if let Some(interface) = source.interface {
            record.set("observer.ingress.interface.name", interface);
        }
        if let Some(mapped) = source.mapped {
            record.set("source.nat.ip", mapped);
        }
    }
    if let Some(destination) = named.destination {
        record.dst_ip = scan::ip(destination.host);
        record.dst_port = destination.port;
        if record.dst_ip.is_none() && !destination.host.is_empty() {
            record.set("destination.domain", destination.host);
        }
        if let Some(interface) = destination.interface {
            record.set("observer.egress.interface.name", interface);
        }
        if let Some(mapped) = destination.mapped {
            record.set("destination.nat.ip", mapped);
        }
    }
    record.protocol = named.protocol.map(scan::protocol);
    if record.protocol.as_deref().is_some_and(|p| p.contains("icmp")) {
        // What stands in a port's place is ICMP's sequence number, type or code.
        (record.src_port, record.dst_port) = (None, None);
    }
    if let Some(group) = named.group {
        record.set("user.group.name", group);
    }
    if let Some(bytes) = named.bytes {
        record.set("network.bytes", bytes);
    }
    if let Some(duration) = named.duration.and_then(nanoseconds) {
        record.set("event.duration", duration);
    }
    refine(id, text, record);
}

/// `H:MM:SS` in nanoseconds, ECS's unit of `event.duration`.
fn nanoseconds(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(|part| part.parse::<u32>().ok().map(i64::from));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    (hours * 3600 + minutes * 60 + seconds).checked_mul(1_000_000_000).filter(|_| parts.next().is_none())
}

/// What some messages say beyond the roles.
fn refine<'a>(id: u32, text: &'a str, record: &mut LogRecord<'a>) {
    // A user's name that comes before the address may pretend to be one: the last address after a name is the device's own word.
    if matches!(record.event_type, EventType::LoginFailed | EventType::LoginSuccess) {
        for sign in ["user IP = ", "> IP <", "' from "] {
            let end = text.rsplit_once(sign).and_then(|(_, after)| after.split([' ', '>']).next()).and_then(roles::endpoint);
            if let Some(end) = end.filter(|end| scan::ip(end.host).is_some()) {
                (record.src_ip, record.src_port) = (scan::ip(end.host), end.port);
            }
        }
    }
    let action = match id {
        // "192.0.2.1 Erase configuration", "Begin configuration: 192.0.2.1 reading from device"
        111_001..=111_007 => {
            record.src_ip = record.src_ip.or(text.split([' ', ':']).find_map(scan::ip));
            return;
        }
        106_100 | 106_102 | 106_103 => {
            let list = text.strip_prefix("access-list ").and_then(|t| t.split_once(' ')).map(|(name, _)| name);
            if let Some(list) = list {
                record.set("rule.name", list);
            }
            // est-allowed: a packet of a connection that was allowed before.
            if scan::has(text, " permitted ") || scan::has(text, " est-allowed ") {
                record.event_type = EventType::ConnectionAllowed;
                "permitted"
            } else {
                record.event_type = EventType::ConnectionBlocked;
                "denied"
            }
        }
        106_023 | 106_027 => {
            if let Some(list) = scan::between(text, "access-group \"", '"') {
                record.set("rule.name", list);
            }
            "deny"
        }
        // The botnet traffic filter names what it did in the sentence.
        338_001..=338_008 | 338_201..=338_204 => {
            if scan::has(text, " dropped ") || scan::has(text, " denied ") {
                record.event_type = EventType::ConnectionBlocked;
                "dropped"
            } else {
                "permitted"
            }
        }
        304_001 | 304_002 => {
            let url = scan::cut(text, " URL ").map(|(_, target)| target);
            if let Some(url) = url.and_then(|t| t.split_ascii_whitespace().next()) {
                record.set("url.original", url.split_once(':').map_or(url, |(_, url)| url));
            }
            if id == 304_001 { "accessed" } else { "denied" }
        }
        111_008..=111_010 => {
            if let Some(command) = scan::between(text, "executed the '", '\'').or_else(|| scan::between(text, "executed '", '\''))
            {
                record.set("process.command_line", command);
            }
            "executed"
        }
        113_004 => {
            if scan::has(text, "authentication") {
                record.event_type = EventType::LoginSuccess;
            }
            return;
        }
        _ => {
            if let Some(reason) = text.rsplit_once("eason: ").map(|(_, reason)| reason.trim()).filter(|r| !r.is_empty()) {
                record.set("event.reason", reason);
            }
            let word = text.split([' ', ',']).next().unwrap_or_default();
            match word {
                "Built" => "built",
                "Teardown" => "teardown",
                "Deny" | "Denied" => "deny",
                "Dropped" => "dropped",
                _ => return,
            }
        }
    };
    record.action = Some(action.into());
    record.severity = if record.event_type == EventType::ConnectionAllowed { Severity::Low } else { record.severity };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(message: &str) -> LogRecord<'_> {
        let mut record = LogRecord::text(message);
        assert!(parse(message, &mut record), "{message}");
        record
    }

    /// `type severity src:port>dst:port user`, `-` for what is absent.
    fn short(record: &LogRecord<'_>) -> String {
        let end = |ip: Option<std::net::IpAddr>, port: Option<u16>| match (ip, port) {
            (Some(ip), Some(port)) => format!("{ip} {port}"),
            (Some(ip), None) => ip.to_string(),
            (None, Some(port)) => format!("? {port}"),
            (None, None) => "-".into(),
        };
        format!(
            "{} {} {} > {} {}",
            record.event_type,
            record.severity,
            end(record.src_ip, record.src_port),
            end(record.dst_ip, record.dst_port),
            record.username.as_deref().unwrap_or("-")
        )
    }

    #[test]
    fn messages() {
        #[rustfmt::skip]
        let table = [
            ("%ASA-6-302013: Built inbound TCP connection 77 for outside:198.51.100.9/50111 (198.51.100.9/50111) to dmz:10.1.1.5/443 (192.0.2.5/443)",
                "connection_allowed low 198.51.100.9 50111 > 10.1.1.5 443 -"),
            ("%ASA-6-302013: Built outbound TCP connection 78 for outside:198.51.100.9/443 (198.51.100.9/443)(LAB\\eve) to inside:10.1.1.7/50222 (192.0.2.1/50222)",
                "connection_allowed low 10.1.1.7 50222 > 198.51.100.9 443 eve"),
            ("%FTD-6-302014: Teardown TCP connection 78 for outside:198.51.100.9/443 to inside:10.1.1.7/50222 duration 0:00:31 bytes 9182 TCP FINs",
                "data_transfer low 198.51.100.9 443 > 10.1.1.7 50222 -"),
            ("%ASA-6-302015: Built outbound UDP connection 5 for outside:resolver/53 (resolver/53) to inside:10.1.1.7/5000 (192.0.2.1/5000)",
                "connection_allowed low 10.1.1.7 5000 > ? 53 -"),
            ("%ASA-6-302015: Built inbound UDP connection 6 for outside:198.51.100.9/5000 (198.51.100.9/5000)(LAB\\eve, 7) to inside:10.1.1.7/53 (10.1.1.7/53)(LAB\\bob, 8)",
                "connection_allowed low 198.51.100.9 5000 > 10.1.1.7 53 eve"),
            ("%ASA-6-302016: Teardown UDP connection 9 for inside:10.1.1.7/68 to NP Identity Ifc:255.255.255.255/67 duration 0:02:01 bytes 300",
                "data_transfer low 10.1.1.7 68 > 255.255.255.255 67 -"),
            ("%ASA-6-302020: Built inbound ICMP connection for faddr 198.51.100.9/3 gaddr 192.0.2.5/0 laddr 10.1.1.5/0 type 8 code 0",
                "connection_allowed low 198.51.100.9 > 10.1.1.5 -"),
            ("%ASA-6-302021: Teardown ICMP connection for faddr 198.51.100.9/0 gaddr 192.0.2.5/1 laddr 10.1.1.5/1",
                "data_transfer low 10.1.1.5 > 198.51.100.9 -"),
            ("%ASA-6-305011: Built dynamic TCP translation from inside:10.1.1.7/50222 to outside:192.0.2.1/50222",
                "other low 10.1.1.7 50222 > 192.0.2.1 50222 -"),
            ("%ASA-4-106023: Deny tcp src outside:198.51.100.9/4711 dst inside:10.1.1.5/22 by access-group \"outside_in\" [0x0, 0x0]",
                "connection_blocked low 198.51.100.9 4711 > 10.1.1.5 22 -"),
            ("%ASA-4-106023: Deny icmp src outside:198.51.100.9 dst inside:10.1.1.5 (type 8, code 0) by access-group \"outside_in\" [0x0, 0x0]",
                "connection_blocked low 198.51.100.9 > 10.1.1.5 -"),
            ("%ASA-4-106100: access-list outside_in denied tcp outside/198.51.100.9(4711) -> inside/10.1.1.5(22) hit-cnt 1 first hit [0x1, 0x0]",
                "connection_blocked low 198.51.100.9 4711 > 10.1.1.5 22 -"),
            ("%ASA-session-6-106100: access-list in permitted udp inside/10.1.1.7(5000)(LAB\\eve) -> outside/198.51.100.53(53) hit-cnt 4 300-second interval",
                "connection_allowed low 10.1.1.7 5000 > 198.51.100.53 53 eve"),
            ("%ASA-2-106001: Inbound TCP connection denied from 198.51.100.9/4711 to 192.0.2.5/23 flags SYN  on interface outside",
                "connection_blocked low 198.51.100.9 4711 > 192.0.2.5 23 -"),
            ("%PIX-2-106006: Deny inbound UDP from 198.51.100.9/53 to 192.0.2.5/1026 on interface outside",
                "connection_blocked low 198.51.100.9 53 > 192.0.2.5 1026 -"),
            ("%ASA-6-106015: Deny TCP (no connection) from 198.51.100.9/443 to 10.1.1.7/50222 flags RST ACK  on interface outside",
                "connection_blocked low 198.51.100.9 443 > 10.1.1.7 50222 -"),
            ("%ASA-2-106016: Deny IP spoof from (127.0.0.1) to 192.0.2.5 on interface outside",
                "connection_blocked medium 127.0.0.1 > 192.0.2.5 -"),
            ("%ASA-1-106021: Deny TCP reverse path check from 10.9.9.9 to 192.0.2.5 on interface outside",
                "connection_blocked medium 10.9.9.9 > 192.0.2.5 -"),
            ("%ASA-3-313001: Denied ICMP type=8, code=0 from 198.51.100.9 on interface outside",
                "connection_blocked low 198.51.100.9 > - -"),
            ("%ASA-7-710005: UDP request discarded from 10.1.1.9/137 to inside:10.1.1.255/137",
                "connection_blocked low 10.1.1.9 137 > 10.1.1.255 137 -"),
            ("%ASA-3-710003: TCP access denied by ACL from 198.51.100.9/4711 to outside:192.0.2.1/ssh",
                "connection_blocked low 198.51.100.9 4711 > 192.0.2.1 22 -"),
            ("%ASA-4-401004: Shunned packet: 198.51.100.9 ==> 192.0.2.5 on interface outside",
                "connection_blocked low 198.51.100.9 > 192.0.2.5 -"),
            ("%ASA-4-733100: [ Scanning] drop rate-1 exceeded. Current burst rate is 11 per second, max configured rate is 10",
                "ids_alert medium - > - -"),
            ("%ASA-4-733101: Host 198.51.100.9 is attacking. Current burst rate is 20 per second",
                "ids_alert medium 198.51.100.9 > - -"),
            ("%ASA-6-605005: Login permitted from 10.1.1.9/50111 to inside:10.1.1.1/ssh for user \"admin\"",
                "login_success low 10.1.1.9 50111 > 10.1.1.1 22 admin"),
            ("%ASA-6-605004: Login denied from 198.51.100.9/50111 to outside:192.0.2.1/https for user \"root\"",
                "login_failed medium 198.51.100.9 50111 > 192.0.2.1 443 root"),
            ("%ASA-6-611102: User authentication failed: IP address: 198.51.100.9, Uname: root",
                "login_failed medium 198.51.100.9 > - root"),
            ("%ASA-6-611101: User authentication succeeded: Uname: admin",
                "login_success low - > - admin"),
            ("%ASA-6-113015: AAA user authentication Rejected : reason = Invalid password : local database : user = eve : user IP = 198.51.100.9",
                "login_failed medium 198.51.100.9 > - eve"),
            ("%ASA-6-113005: AAA user authentication Rejected : reason = AAA failure : server = 10.1.1.20 : user = eve : user IP = 198.51.100.9",
                "login_failed medium 198.51.100.9 > 10.1.1.20 eve"),
            ("%ASA-6-113004: AAA user authentication Successful : server =  10.1.1.20 : user = eve",
                "login_success low - > 10.1.1.20 eve"),
            ("%ASA-6-113004: AAA user accounting Successful : server =  10.1.1.20 : user = eve",
                "other low - > 10.1.1.20 eve"),
            ("%ASA-6-109006: Authentication failed for user 'eve' from 10.1.1.9/4000 to 198.51.100.80/80 on interface inside",
                "login_failed medium 10.1.1.9 4000 > 198.51.100.80 80 eve"),
            ("%ASA-4-113019: Group = Staff, Username = eve, IP = 198.51.100.9, Session disconnected. Session Type: SSL, Duration: 0h:05m:02s, Bytes xmt: 5, Bytes rcv: 6, Reason: User Requested",
                "logout low 198.51.100.9 > - eve"),
            ("%ASA-6-113039: Group <Staff> User <eve> IP <198.51.100.9> AnyConnect parent session started.",
                "connection_allowed low 198.51.100.9 > - eve"),
            ("%ASA-6-716039: Group <DfltGrpPolicy> User <eve> IP <198.51.100.9> Authentication: rejected, Session Type: WebVPN.",
                "login_failed medium 198.51.100.9 > - eve"),
            ("%ASA-5-713120: Group = 198.51.100.9, IP = 198.51.100.9, PHASE 2 COMPLETED (msgid=0a)",
                "other low 198.51.100.9 > - -"),
            ("%ASA-5-750006: Local:192.0.2.1:4500 Remote:198.51.100.9:4500 Username:peer1 IKEv2 SA UP. Reason: New Connection Established",
                "connection_allowed low 198.51.100.9 4500 > 192.0.2.1 4500 peer1"),
            ("%ASA-5-111010: User 'admin', running 'CLI' from IP 10.1.1.9, executed 'write memory'",
                "config_change low 10.1.1.9 > - admin"),
            ("%ASA-5-111002: Begin configuration: 10.1.1.9 reading from device",
                "config_change low 10.1.1.9 > - -"),
            ("%ASA-5-111008: User 'admin' executed the 'no logging on' command.",
                "config_change low - > - admin"),
            ("%ASA-5-502101: New user added to local dbase: Uname: eve Priv: 15 Encpass: x",
                "account_change low - > - eve"),
            ("%ASA-6-315011: SSH session from 10.1.1.9 on interface inside for user \"admin\" disconnected by SSH server, reason: \"Internal error\" (0x00)",
                "logout low 10.1.1.9 > - admin"),
            ("%ASA-5-304001: 10.1.1.7 Accessed URL 198.51.100.80:http://www.example.net/index.html",
                "connection_allowed low 10.1.1.7 > 198.51.100.80 -"),
            ("%ASA-7-609001: Built local-host inside:10.1.1.7",
                "other low 10.1.1.7 > - -"),
            ("%ASA-4-338004: Dynamic Filter dropped blacklisted TCP traffic from inside:10.1.1.7/5000 (192.0.2.1/5000) to outside:198.51.100.66/80 (198.51.100.66/80), destination 198.51.100.66 resolved from dynamic list: bad.example",
                "connection_blocked medium 10.1.1.7 5000 > 198.51.100.66 80 -"),
            ("%ASA-6-602303: IPSEC: An inbound LAN-to-LAN SA (SPI= 0x1) between 198.51.100.9 and 192.0.2.1 (user= peer1) has been created.",
                "connection_allowed low 198.51.100.9 > 192.0.2.1 peer1"),
            ("%ASA-1-105005: (Primary) Lost Failover communications with mate on interface inside",
                "service_change high - > - -"),
            ("%ASA-4-402117: IPSEC: Received a non-IPSec packet (protocol= ICMP) from 198.51.100.9 to 192.0.2.1.",
                "connection_blocked low 198.51.100.9 > 192.0.2.1 -"),
        ];
        let mut wrong = Vec::new();
        for (message, want) in table {
            if short(&read(message)) != want {
                wrong.push(format!("{message}\n  want {want}\n   got {}", short(&read(message))));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_end_of_a_connection_tells_its_length() {
        let record = read(
            "%ASA-6-302014: Teardown TCP connection 1 for outside:198.51.100.9/443 to inside:10.1.1.7/5 duration 1:00:31 bytes 9182 TCP FINs",
        );
        assert_eq!(record.field("event.duration"), Some(&3_631_000_000_000i64.into()));
        assert_eq!(record.field("network.bytes"), Some(&9182i64.into()));
    }

    #[test]
    fn threat_defense_events() {
        #[rustfmt::skip]
        let table = [
            ("%FTD-1-430003: DeviceUUID: 1f, AccessControlRuleAction: Allow, SrcIP: 10.1.1.7, DstIP: 198.51.100.80, SrcPort: 5000, DstPort: 443, Protocol: tcp, User: LAB\\eve, URL: https://www.example.net/a, b",
                "connection_allowed low 10.1.1.7 5000 > 198.51.100.80 443 eve"),
            ("%FTD-6-430002: AccessControlRuleAction: Block with reset, SrcIP: 10.1.1.7, DstIP: 198.51.100.80, Protocol: icmp, User: No Authentication Required",
                "connection_blocked low 10.1.1.7 > 198.51.100.80 -"),
            ("%FTD-5-430001: SrcIP: 198.51.100.9, DstIP: 10.1.1.5, SrcPort: 4000, DstPort: 80, Protocol: tcp, Priority: 1, SID: 100, Message: SERVER-WEBAPP example attempt, Classification: Web Application Attack, User: Unknown",
                "ids_alert high 198.51.100.9 4000 > 10.1.1.5 80 -"),
            ("%FTD-1-430005: SrcIP: 10.1.1.7, DstIP: 198.51.100.80, SrcPort: 5000, DstPort: 80, Protocol: tcp, FileAction: Malware Block, FileName: a.exe, SHA_Disposition: Malware, ThreatName: Win.Example",
                "malware_detected high 10.1.1.7 5000 > 198.51.100.80 80 -"),
        ];
        for (message, want) in table {
            assert_eq!(short(&read(message)), want, "{message}");
        }
        assert_eq!(read(table[2].0).message, "SERVER-WEBAPP example attempt");
        assert_eq!(read(table[0].0).field("url.original"), Some(&"https://www.example.net/a, b".into()));
    }

    #[test]
    fn a_name_cannot_pretend_to_be_another_address() {
        for message in [
            "%ASA-6-113015: AAA user authentication Rejected : reason = Invalid password : local database : user = x : user IP = 203.0.113.66 : user IP = 192.0.2.7",
            "%ASA-6-716039: Group <g> User <x> IP <203.0.113.66> IP <192.0.2.7> Authentication: rejected, Session Type: WebVPN.",
            "%ASA-6-109006: Authentication failed for user 'x' from 203.0.113.66/1 to' from 192.0.2.7/4000 to 198.51.100.80/80 on interface inside",
        ] {
            assert_eq!(read(message).src_ip, "192.0.2.7".parse().ok(), "{message}");
        }
    }

    #[test]
    fn the_mnemonic_may_have_become_the_program() {
        let message = "Deny udp src inside:10.1.1.7/5000 dst outside:192.0.2.53/53 by access-group \"x\" [0x0, 0x0]";
        let mut record = LogRecord::text(message);
        record.app = Some("%ASA-4-106023".into());
        assert!(parse(message, &mut record));
        assert_eq!(record.src_port, Some(5000));
        let message =
            "Protocol: TCP, SrcIP: 198.51.100.9, DstIP: 192.0.2.4, SrcPort: 50122, DstPort: 80, AccessControlRuleAction: Block";
        let mut record = LogRecord::text(message);
        record.app = Some("SFIMS".into());
        assert!(parse(message, &mut record));
        assert_eq!(short(&record), "connection_blocked low 198.51.100.9 50122 > 192.0.2.4 80 -");
        for other in ["%SYS-5-CONFIG_I: Configured from console", "%ASA-9-106023: x", "%ASA-4-10602: x", ""] {
            assert!(!parse(other, &mut LogRecord::text(other)), "{other}");
        }
    }

    #[test]
    fn refused_packets_never_make_an_incident_by_themselves() {
        for id in 0..1_000_000 {
            let meaning = meaning::of(id, 1);
            if meaning.event_type == EventType::ConnectionBlocked {
                assert!(meaning.severity < Severity::High, "{id}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(id in 100_000u32..999_999, text in "(from|to|src|dst|user|IP|for|laddr|->|=|:|<|\"|'|\\(|\\)|/| |[0-9.]{1,9}|[a-zé]{1,5}|URL|executed '|Reason: |, |SrcIP: ){0,40}") {
            let line = format!("%ASA-4-{id}: {text}");
            read(&line);
        }
    }
}
