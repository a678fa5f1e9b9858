//! Cisco IOS, IOS XE, IOS XR, NX-OS and the wireless controllers: `%FACILITY-SEVERITY-MNEMONIC: text`.
//!
//! Source: "System Message Guide" of each of them. Facility and mnemonic say what happened; for messages that tell of access lists, logins, commands and
//! sessions, the text is read, too. Of the rest the device says how bad it is: levels 0 and 1 are high, 2 and 3 medium, the others low. Refused packets
//! are routine, whatever their level.

mod access;

use std::borrow::Cow;

use super::is;
use crate::parse::Context;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds};
use crate::parse::scan;
use crate::parse::token::{whole_number, word};
use crate::record::EventType::{
    self, AccessDenied, AccountChange, ConfigChange, ConnectionAllowed, ConnectionBlocked, IdsAlert, Logout, Other,
    ServiceChange, System,
};
use crate::record::LogRecord;
use crate::record::Severity::{High, Low, Medium};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cisco_ios",
    product: "Cisco IOS, IOS XE, IOS XR, NX-OS and WLC",
    reference: "https://www.cisco.com/c/en/us/td/docs/ios/system/messages/guide/consol_smg.html",
    marks: &[Begins("%"), Holds(": %SECURITY-"), Holds(": %MGBL-"), Holds(": %ROUTING-"), Holds(": %PKT_INFRA-")],
    parse,
    samples: &[
        "<190>42: rtr1: Nov 20 06:25:01.250: %SEC-6-IPACCESSLOGP: list outside_in denied tcp 198.51.100.9(50122) -> 192.0.2.4(23), 1 packet",
        "<188>43: rtr1: Nov 20 06:25:02.250: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: root] [Source: 198.51.100.9] [localport: 22] [Reason: Login Authentication Failed] at 06:25:02 UTC Fri Nov 20 2026",
        "<189>44: rtr1: Nov 20 06:25:03.250: %SYS-5-CONFIG_I: Configured from console by mia on vty0 (192.0.2.9)",
        "<189>n7k: 2026 Nov 20 06:25:04 UTC: %VSHD-5-VSHD_SYSLOG_CONFIG_I: Configured from vty by mia on 192.0.2.9@pts/0",
        "<131>wlc1: *emWeb: Nov 20 06:25:05.250: %NIM-3-ADMIN_MODE_DISABLE: nim.c:1341 Port 3 Admin Mode is Disable!",
    ],
};

const FORMAT: &str = "cisco_ios";

struct Tag<'a> {
    facility: &'a str,
    level: u8,
    mnemonic: &'a str,
    whole: &'a str,
}

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut text = text.trim();
    if !text.starts_with('%') {
        // IOS XR names the process first.
        let Some(at) = scan::find(text, ": %") else { return false };
        if text[..at].contains(' ') {
            return false;
        }
        text = &text[at + 2..];
    }
    let Some((tag, text)) = tag(text) else { return false };
    record.fields.reserve(8);
    let severity = match tag.level {
        0 | 1 => High,
        2 | 3 => Medium,
        _ => Low,
    };
    is(record, FORMAT, System, severity);
    record.set("event.code", tag.whole);
    record.set("log.syslog.severity.code", i64::from(tag.level));
    let text = origin(text, record);
    if !detail(&tag, text, record, context)
        && let Some(event_type) = plain(tag.facility, tag.mnemonic)
    {
        record.event_type = event_type;
        if matches!(event_type, ConnectionBlocked | ServiceChange | ConfigChange | Logout) {
            record.severity = severity.min(Medium);
        }
    }
    record.format.message = FORMAT;
    if record.action.is_none() {
        record.action = Some(Cow::Owned(tag.mnemonic.to_ascii_lowercase()));
    }
    true
}

/// `%FACILITY[-SUBFACILITY]-SEVERITY-MNEMONIC:`; XR has a space before the colon.
fn tag(text: &str) -> Option<(Tag<'_>, &str)> {
    let inside = text.strip_prefix('%')?;
    let end = inside.bytes().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/' | b'.')))?;
    let (whole, rest) = inside.split_at_checked(end)?;
    let rest = rest.trim_start_matches(' ').strip_prefix(':')?;
    let mut at = 0;
    for part in whole.split('-') {
        let after = at + part.len() + 1;
        if let [level @ b'0'..=b'7'] = part.as_bytes()
            && at > 1
            && let (Some(facility), Some(mnemonic)) = (whole.get(..at - 1), whole.get(after..))
            && facility.starts_with(|c: char| c.is_ascii_uppercase())
            && mnemonic.bytes().any(|b| b.is_ascii_alphabetic())
        {
            return Some((Tag { facility, level: level - b'0', mnemonic, whole }, rest.trim_start()));
        }
        at = after;
    }
    None
}

/// `[PA]apf_ms.c:8996 text`: where in its source a wireless controller wrote the message.
fn origin<'a>(text: &'a str, record: &mut LogRecord<'a>) -> &'a str {
    let (first, rest) = word(text);
    let place = first.strip_prefix('[').and_then(|t| t.split_once(']')).map_or(first, |(_, place)| place);
    let Some((file, line)) = place.split_once(':').filter(|(file, _)| file.ends_with(".c") || file.ends_with(".cpp")) else {
        return text;
    };
    let Some(line) = whole_number(line) else { return text };
    record.set("log.origin.file.name", file);
    record.set("log.origin.file.line", line);
    rest
}

/// What messages without a text of interest are about.
#[rustfmt::skip]
fn plain(facility: &str, mnemonic: &str) -> Option<EventType> {
    Some(match (facility, mnemonic) {
        (_, "UPDOWN" | "ADJCHG" | "ADJCHANGE" | "NBRCHANGE" | "ADJ_CHANGE" | "ERR_DISABLE" | "ERR_RECOVER" | "RELOAD" | "RESTART" | "STATECHANGE") => ServiceChange,
        ("ETHPORT" | "ETH_PORT_CHANNEL", _) if mnemonic.starts_with("IF_") || mnemonic.starts_with("PORT_") => ServiceChange,
        ("SYSMGR" | "SYS", "CFGWRITE_STARTED" | "CFGWRITE_DONE" | "CFGWRITE_ABORTED" | "CONFIG") => ConfigChange,
        (_, "LOGGINGHOST_STARTSTOP") | ("RADIUS", _) | ("MODULE" | "PLATFORM" | "PFMA", _) => ServiceChange,
        ("SW_DAI", _) | (_, "DHCP_SNOOPING_DENY" | "DHCP_SNOOPING_UNTRUSTED_PORT") => ConnectionBlocked,
        (_, "PSECURE_VIOLATION") | ("PORT_SECURITY", "PSECURE_VIOLATION_VLAN") | ("WPS", _) => IdsAlert,
        (_, "USER_LOCKED" | "LOCAL_USER_BLOCKED") => AccountChange,
        ("DOT1X" | "MAB" | "AUTHMGR" | "SESSION_MGR", "FAIL") => AccessDenied,
        ("DOT1X" | "MAB" | "AUTHMGR" | "SESSION_MGR", "SUCCESS") => ConnectionAllowed,
        (_, "SYSTEM_MSG") => Other,
        _ => return None,
    })
}

/// Reads the text of messages that name who and where. False where there is nothing to read.
fn detail<'a>(tag: &Tag<'_>, text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    match (tag.facility, tag.mnemonic) {
        (_, name) if name.contains("ACCESSLOG") && !name.ends_with("RL") => access_list(text, record),
        ("ACLLOG", _) => flow(text, record),
        ("SEC_LOGIN", _) => access::login(tag.mnemonic, text, record),
        (_, "CONFIG_I" | "VSHD_SYSLOG_CONFIG_I") => access::configured(text, record),
        ("SYS", "LOGOUT") => access::exited(text, record),
        ("SYS", "TTY_EXPIRE_TIMER") => access::expired(text, record),
        ("SSH", _) => access::ssh(text, record),
        ("PARSER", "CFGLOG_LOGGEDCMD" | "CFGLOG_LOGGEDCMD_CTRLZ") => access::command(text, record),
        ("AAA", "AAA_ACCOUNTING_MESSAGE") => access::accounting(text, record),
        (_, "SYSTEM_MSG") => access::system_message(text, record, context),
        ("SNMP", "AUTHFAIL") => {
            let Some(ip) = text.rsplit(' ').find_map(scan::ip) else { return false };
            record.src_ip = Some(ip);
            access::refused(record, "snmp_auth")
        }
        ("TCP", "BADAUTH") | ("TCP", "NOAUTH") => {
            let ends = text.rsplit_once(" from ").and_then(|(_, rest)| scan::cut(rest, " to "));
            let Some((from, to)) = ends else { return false };
            (record.src_ip, record.src_port) = end(from);
            (record.dst_ip, record.dst_port) = end(word(to).0);
            record.protocol = Some(Cow::Borrowed("tcp"));
            is(record, FORMAT, ConnectionBlocked, Low);
            true
        }
        ("FW" | "FIREWALL", name) if name.contains("SESS_AUDIT_TRAIL") => session(text, record),
        _ => access::credentials(text, record),
    }
}

/// `list NAME denied tcp 198.51.100.9(50122) (Serial4/3 ) -> 192.0.2.4(23), 1 packet`; standard lists name the source only.
fn access_list<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let at = match text.strip_prefix("list ") {
        Some(rest) => rest,
        None => match scan::find(text, " list ") {
            Some(at) => &text[at + " list ".len()..],
            None => return false,
        },
    };
    let (list, rest) = word(at);
    let (decision, rest) = word(rest.trim_start());
    let (event_type, action) = match decision {
        "denied" => (ConnectionBlocked, "denied"),
        "permitted" => (ConnectionAllowed, "permitted"),
        _ => return false,
    };
    let (first, after) = word(rest);
    match scan::cut(after, "-> ") {
        Some((source, destination)) => {
            record.protocol = match whole_number(first).and_then(|number| u16::try_from(number).ok()) {
                Some(number) => scan::protocol_number(number).map(Cow::Borrowed),
                None => Some(scan::protocol(first)),
            };
            (record.src_ip, record.src_port) = end(word(source).0);
            (record.dst_ip, record.dst_port) = end(word(destination).0.trim_end_matches(','));
            let interface = scan::between(source, " (", ')').map(|inside| word(inside).0).unwrap_or_default();
            if !interface.is_empty() {
                record.set("observer.ingress.interface.name", interface);
            }
        }
        None => {
            let ip = [first, word(after).0].into_iter().find_map(scan::ip);
            if ip.is_none() {
                return false;
            }
            record.src_ip = ip;
        }
    }
    record.set("rule.name", list);
    is(record, FORMAT, event_type, Low);
    record.action = Some(Cow::Borrowed(action));
    if let Some(packets) = text.rfind(" packet").and_then(|at| text[..at].rsplit(' ').next()).and_then(whole_number) {
        record.set("network.packets", packets);
    }
    true
}

type End = (Option<std::net::IpAddr>, Option<u16>);

/// `192.0.2.4(23)`, `192.0.2.4:23`, `192.0.2.4`.
fn end(text: &str) -> End {
    if let Some((host, port)) = text.split_once('(') {
        return (scan::ip(host), port.trim_end_matches(')').parse().ok());
    }
    if let Some(ip) = scan::ip(text) {
        return (Some(ip), None);
    }
    let (host, port) = scan::host_port(text);
    (scan::ip(host), port)
}

/// NX-OS: `Src IP: 198.51.100.9, Dst IP: 192.0.2.4, Src Port: 5, Dst Port: 23, Src Intf: Ethernet1/1, Protocol: "TCP"(6), …`.
fn flow<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut decision = "";
    for (name, value) in text.split(", ").filter_map(|pair| scan::cut(pair, ": ")) {
        match name.trim() {
            "Src IP" | "Source IP" => record.src_ip = scan::ip(value),
            "Dst IP" | "Destination IP" => record.dst_ip = scan::ip(value),
            "Src Port" => record.src_port = value.parse().ok(),
            "Dst Port" => record.dst_port = value.parse().ok(),
            "Src Intf" => record.set("observer.ingress.interface.name", value),
            "ACL Name" => record.set("rule.name", value),
            "ACE Action" => decision = value,
            "Protocol" => record.protocol = value.split('"').nth(1).map(scan::protocol),
            _ => {}
        }
    }
    if record.src_ip.is_none() {
        return false;
    }
    let event_type = match decision {
        "Permit" => ConnectionAllowed,
        "Deny" => ConnectionBlocked,
        _ => Other,
    };
    is(record, FORMAT, event_type, Low);
    true
}

/// `Start tcp session: initiator (192.0.2.9:5) -- responder (198.51.100.9:80)`.
fn session<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let (Some(from), Some(to)) = (scan::between(text, "initiator (", ')'), scan::between(text, "responder (", ')')) else {
        return false;
    };
    (record.src_ip, record.src_port) = end(from);
    (record.dst_ip, record.dst_port) = end(to);
    let mut words = text.split(' ').filter(|word| !word.ends_with(')'));
    let started = words.next() == Some("Start");
    record.protocol = words.next().map(scan::protocol);
    is(record, FORMAT, if started { ConnectionAllowed } else { EventType::DataTransfer }, Low);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    fn short(text: &str) -> Option<String> {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text(text);
        if !parse(text, &mut record, &context) {
            assert_eq!(record, LogRecord::text(text));
            return None;
        }
        assert_eq!(record.format.message, FORMAT);
        let end = |ip: Option<std::net::IpAddr>, port: Option<u16>| match (ip, port) {
            (Some(ip), Some(port)) => format!("{ip}/{port}"),
            (Some(ip), None) => ip.to_string(),
            (None, Some(port)) => format!("?/{port}"),
            (None, None) => "-".into(),
        };
        Some(format!(
            "{} {} {} > {} {}",
            record.event_type,
            record.severity,
            end(record.src_ip, record.src_port),
            end(record.dst_ip, record.dst_port),
            record.username.as_deref().unwrap_or("-")
        ))
    }

    #[test]
    fn messages() {
        #[rustfmt::skip]
        let table = [
            ("%SEC-6-IPACCESSLOGP: list 102 denied tcp 198.51.100.9(50122) (Serial4/3 ) -> 192.0.2.4(23), 1 packet", "connection_blocked low 198.51.100.9/50122 > 192.0.2.4/23 -"),
            ("%SEC-6-IPACCESSLOGDP: list 102 permitted icmp 198.51.100.9 -> 192.0.2.4 (8/0), 20 packets", "connection_allowed low 198.51.100.9 > 192.0.2.4 -"),
            ("%SEC-6-IPACCESSLOGS: list 7 denied 198.51.100.9 2 packets", "connection_blocked low 198.51.100.9 > - -"),
            ("%SEC-6-IPACCESSLOGRL: access-list logging rate-limited or missed 18 packets", "system low - > - -"),
            ("%FMANFP-6-IPACCESSLOGP: SIP0: fman_fp_image: list 102 denied udp 198.51.100.9(5) Gi0/0 -> 192.0.2.4(53), 1 packet", "connection_blocked low 198.51.100.9/5 > 192.0.2.4/53 -"),
            ("%IPV6-6-ACCESSLOGP: list v6in/10 permitted tcp 2001:DB8::1(1027) -> 2001:DB8::2(22), 9 packets", "connection_allowed low 2001:db8::1/1027 > 2001:db8::2/22 -"),
            ("%ACLLOG-5-ACLLOG_FLOW_INTERVAL: Src IP: 198.51.100.9, Dst IP: 192.0.2.4, Src Port: 5, Dst Port: 23, Src Intf: Ethernet1/1, Protocol: \"TCP\"(6), ACL Name: x, ACE Action: Deny, Hit-count = 1", "connection_blocked low 198.51.100.9/5 > 192.0.2.4/23 -"),
            ("%SEC_LOGIN-5-LOGIN_SUCCESS: Login Success [user: mia] [Source: 192.0.2.9] [localport: 22] at 06:25:01 UTC Fri Nov 20 2026", "login_success low 192.0.2.9 > ?/22 mia"),
            ("%SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: x] [Source: 1.1.1.1] [Source: 198.51.100.9] [localport: 22] [Reason: Login Authentication Failed] at 06:25", "login_failed medium 198.51.100.9 > ?/22 x] [Source: 1.1.1.1"),
            ("%SYS-5-CONFIG_I: Configured from console by mia on vty0 (192.0.2.9)", "config_change low 192.0.2.9 > - mia"),
            ("%SYS-5-CONFIG_I: Configured from console by vty0 (192.0.2.9)", "config_change low 192.0.2.9 > - -"),
            ("%SYS-5-CONFIG_I: Configured from console by console", "config_change low - > - -"),
            ("%VSHD-5-VSHD_SYSLOG_CONFIG_I: Configured from vty by mia on 192.0.2.9@pts/0", "config_change low 192.0.2.9 > - mia"),
            ("%MGBL-SYS-5-CONFIG_I : Configured from console by mia on vty0 (192.0.2.9)", "config_change low 192.0.2.9 > - mia"),
            ("config[65]: %MGBL-SYS-5-CONFIG_I : Configured from console by mia on vty0 (192.0.2.9)", "config_change low 192.0.2.9 > - mia"),
            ("%SYS-6-LOGOUT: User mia has exited tty session 1(192.0.2.9)", "logout low 192.0.2.9 > - mia"),
            ("%SYS-6-TTY_EXPIRE_TIMER: (exec timer expired, tty 1 (192.0.2.9)), user mia", "logout low 192.0.2.9 > - mia"),
            ("%SSH-5-SSH2_USERAUTH: User 'mia' authentication for SSH2 Session from 192.0.2.9 (tty = 0) using crypto cipher 'aes', hmac 'x' Failed", "login_failed medium 192.0.2.9 > - mia"),
            ("%SSH-5-SSH2_SESSION: SSH2 Session request from 192.0.2.9 (tty = 0) using crypto cipher 'aes', hmac 'x' Succeeded", "connection_allowed low 192.0.2.9 > - -"),
            ("%SSH-5-SSH2_CLOSE: SSH2 Session from 192.0.2.9 (tty = 0) for user 'mia' using crypto cipher 'aes', hmac 'x' closed", "logout low 192.0.2.9 > - mia"),
            ("%PARSER-5-CFGLOG_LOGGEDCMD: User:mia  logged command:no shutdown", "config_change low - > - mia"),
            ("%AAA-6-AAA_ACCOUNTING_MESSAGE: update:2001:db8::9@pts/0:mia:configure terminal ; interface Ethernet1/1 (SUCCESS)", "config_change low 2001:db8::9 > - mia"),
            ("%AUTHPRIV-5-SYSTEM_MSG: pam_unix(aaa:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=192.0.2.9  user=mia - aaad", "login_failed medium 192.0.2.9 > - mia"),
            ("%DAEMON-3-SYSTEM_MSG: Failed password for root from 198.51.100.9 port 50122 ssh2 - dcos_sshd[452]", "login_failed medium 198.51.100.9/50122 > - root"),
            ("%AUTHPRIV-3-SYSTEM_MSG: pam_aaa:Authentication failed for user mia from 198.51.100.9 - dcos_sshd[452]", "login_failed medium 198.51.100.9 > - mia"),
            ("%AUTHPRIV-5-SYSTEM_MSG: New user added with username mia - securityd", "account_change medium - > - mia"),
            ("%AUTHPRIV-6-SYSTEM_MSG: START: ssh pid=811 from=192.0.2.9 - xinetd[7]", "connection_allowed low 192.0.2.9 > - -"),
            ("%AAA-5-AAA_AUTH_ADMIN_USER: [PA]aaa.c:1334 Authentication failed for admin user 'mia' on 192.0.2.9", "login_failed medium 192.0.2.9 > - mia"),
            ("%SECURITY-SSHD-6-INFO_SUCCESS : Successfully authenticated user 'mia' from '192.0.2.9' on 'vty0'(cipher 'aes')", "login_success low 192.0.2.9 > - mia"),
            ("%WEBSERVER-5-LOGIN_PASSED: Login Successful from host 192.0.2.9 by user 'mia' using crypto cipher 'x'", "login_success low 192.0.2.9 > - mia"),
            ("%EMWEB-1-LOGIN_FAILED: ews_auth.c:2104 Login failed. User:mia. Service-type is not present", "login_failed medium - > - mia"),
            ("%SNMP-3-AUTHFAIL: Authentication failure for SNMP req from host 198.51.100.9", "login_failed medium 198.51.100.9 > - -"),
            ("%TCP-6-BADAUTH: Invalid MD5 digest from 198.51.100.9(11000) to 192.0.2.4(179)", "connection_blocked low 198.51.100.9/11000 > 192.0.2.4/179 -"),
            ("%FW-6-SESS_AUDIT_TRAIL_START: Start tcp session: initiator (192.0.2.9:5) -- responder (198.51.100.9:80)", "connection_allowed low 192.0.2.9/5 > 198.51.100.9/80 -"),
            ("%LINK-3-UPDOWN: Interface Port-channel1, changed state to up", "service_change medium - > - -"),
            ("%EARL-SW2_DFC1-1-EXCESSIVE_PARITY_ERROR: EARL 0: Parity error", "system high - > - -"),
            ("%PORT_SECURITY-2-PSECURE_VIOLATION: Security violation occurred, caused by MAC address 0000.5e00.5301 on port Gi1/0/1.", "ids_alert medium - > - -"),
        ];
        let mut wrong = Vec::new();
        for (text, want) in table {
            let got = short(text).unwrap_or_default();
            if got != want {
                wrong.push(format!("{text}\n  want {want}\n   got {got}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        for other in [
            "%",
            "%-5-A: x",
            "%SYS-9-A: x",
            "%SYS-5: x",
            "%d-5-x: y",
            "50% off: x",
            "a: %SYS",
            "%SYS-5-é: x",
            "%SYS-5-CONFIG_I x",
        ] {
            assert_eq!(short(other), None, "{other}");
        }
    }
}
