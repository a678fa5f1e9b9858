//! Sophos Firewall (XG, SFOS 15 to 21): `device="SFW" date=… time=… device_name="…" log_type="Firewall" log_subtype="Denied" …`, in its later
//! spelling with `timestamp=` and `device_name="SFW"`; and Sophos UTM 9: `id="2001" severity="info" sys="SecureNet" sub="packetfilter" …`.
//!
//! Sources: "Sophos Firewall log file guide" and the UTM administration guide. The abbreviated names of zones in `timezone` mean several zones each
//! (IST, BST): only offsets, GMT and UTC count, else the zone of the source. Severity: attacks are medium, or high where `priority` is critical or
//! worse; malware is high, a refused login medium, the rest low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds};
use crate::parse::fill::Slot;
use crate::parse::fill::word;
use crate::parse::pairs::{self, SPACED};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Timestamp, Zone};

pub(super) const FIREWALL: Dialect = Dialect {
    name: "sophos_firewall",
    product: "Sophos Firewall (XG)",
    reference: "https://docs.sophos.com/nsg/sophos-firewall/21.0/Help/en-us/webhelp/onlinehelp/AdministratorHelp/Logs/LogFileDetails/index.html",
    marks: &[Begins("device=\"SFW\""), Begins("device_name=\"SFW\""), Holds("device=\"SFW\""), Holds("device_name=\"SFW\"")],
    parse: firewall,
    samples: &[
        r#"<30>device="SFW" date=2026-11-20 time=06:25:01 timezone="GMT" device_name="XG210" device_id=C1 log_id=010101600001 log_type="Firewall" log_component="Firewall Rule" log_subtype="Denied" status="Deny" priority=Information fw_rule_id=5 user_name="" in_interface="Port2" src_ip=203.0.113.77 dst_ip=192.0.2.4 protocol="TCP" src_port=48312 dst_port=23"#,
        r#"<30>device_name="SFW" timestamp="2026-11-20T06:25:02+0000" device_model="SFVH" log_id=062910617702 log_type="Event" log_component="Firewall Authentication" log_subtype="Authentication" status="Failed" severity="Notice" user_name="mia" src_ip="203.0.113.77" message="User mia failed to login to Firewall because of wrong credentials""#,
    ],
};

pub(super) const UTM: Dialect = Dialect {
    name: "sophos_utm",
    product: "Sophos UTM 9",
    reference: "https://docs.sophos.com/nsg/sophos-utm/utm-on-aws/9.714/help/en-us/Content/utm/utmAdminGuide/LoggingReporting.htm",
    marks: &[Begins("id=\""), Holds(" sys=\"Secure"), Holds(" sys=\"System\"")],
    parse: utm,
    samples: &[
        r#"<30>Nov 20 06:25:01 utm1 ulogd[4567]: id="2001" severity="info" sys="SecureNet" sub="packetfilter" name="Packet dropped" action="drop" fwrule="60001" initf="eth0" srcip="203.0.113.77" dstip="192.0.2.4" proto="6" srcport="48312" dstport="23" tcpflags="SYN""#,
        r#"<30>Nov 20 06:25:02 utm1 aua[4568]: id="3005" severity="warn" sys="System" sub="auth" name="Authentication failed" srcip="203.0.113.77" host="" user="admin" caller="webadmin" reason="DENIED""#,
    ],
};

fn firewall<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some(at) = scan::find(text, "device=\"SFW\"").or_else(|| scan::find(text, "device_name=\"SFW\"")).filter(|at| *at < 256)
    else {
        return false;
    };
    if !scan::has(text, "log_type=") {
        return false;
    }
    let outer = record.host.take();
    record.fields.reserve(48);
    pairs::fill(&text[at..], SPACED, record, firewall_slots, context);
    // In the later spelling the name is that of the product.
    record.host = record.host.take().filter(|name| name != "SFW").or(outer);
    record.event_time = time(record, context.zone).or(record.event_time);
    let (event_type, severity) = firewall_meaning(record);
    is(record, "sophos_firewall", event_type, severity);
    true
}

#[rustfmt::skip]
fn firewall_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Nothing, Number, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "device" => Nothing, "device_name" => Host, "device_id" | "device_serial_id" => Field("observer.serial_number"), "device_model" => Field("observer.product"),
        "timestamp" => Time, "src_ip" | "sourceip" => SrcIp, "dst_ip" | "destinationip" | "localip" => DstIp, "src_port" => SrcPort, "dst_port" => DstPort,
        "protocol" => Protocol, "user_name" | "login_user" => User, "log_subtype" => Action, "log_id" => Field("event.code"),
        "priority" | "severity" => Field("log.level"), "fw_rule_id" => Field("rule.id"), "fw_rule_name" => Field("rule.name"),
        "in_interface" => Field("observer.ingress.interface.name"), "out_interface" => Field("observer.egress.interface.name"),
        "srczone" | "src_zone" => Field("observer.ingress.zone"), "dstzone" | "dst_zone" => Field("observer.egress.zone"),
        "tran_src_ip" | "src_trans_ip" => Field("source.nat.ip"), "tran_dst_ip" | "dst_trans_ip" => Field("destination.nat.ip"),
        "tran_src_port" | "src_trans_port" => Number("source.nat.port"), "tran_dst_port" | "dst_trans_port" => Number("destination.nat.port"),
        "src_mac" => Field("source.mac"), "dst_mac" => Field("destination.mac"), "url" => Field("url.original"), "domain" | "domainname" | "server" => Field("url.domain"),
        "sent_bytes" | "bytes_sent" => Number("source.bytes"), "recv_bytes" | "bytes_received" => Number("destination.bytes"),
        "sent_pkts" | "packets_sent" => Number("source.packets"), "recv_pkts" | "packets_received" => Number("destination.packets"),
        "signature_id" => Field("rule.signature_id"), "signature_msg" => Field("rule.description"), "virus" | "threatname" | "malware" => Field("threat.indicator.name"),
        "filename" | "file_name" => Field("file.name"), "file_path" => Field("file.path"), "sha1sum" => Field("file.hash.sha1"),
        "application" | "application_name" | "app_name" => Field("network.application"), "reason" => Field("event.reason"), "usergroupname" | "user_gp" | "user_group" => Field("user.group.name"),
        "from_email_address" | "sender" => Field("email.from.address"), "to_email_address" | "recipient" => Field("email.to.address"), "email_subject" | "subject" => Field("email.subject"),
        "method" | "http_method" => Field("http.request.method"), "httpstatus" | "http_status" | "status_code" => Number("http.response.status_code"),
        "useragent" | "user_agent" | "http_user_agent" => Field("user_agent.original"), "referer" | "http_referer" => Field("http.request.referrer"),
        "src_country_code" | "src_country" => Field("source.geo.country_iso_code"), "dst_country_code" | "dst_country" => Field("destination.geo.country_iso_code"),
        _ => return None,
    })
}

/// `date=2026-11-20 time=06:25:01 timezone="+08"`.
fn time(record: &LogRecord<'_>, zone: &Zone) -> Option<Timestamp> {
    let (date, clock, offset) = (word(record, "date"), word(record, "time"), word(record, "timezone"));
    if date.is_empty() {
        return None;
    }
    let counts = offset.starts_with(['+', '-']) || matches!(offset, "GMT" | "UTC");
    scan::iso_time(&format!("{date}T{clock}{}", if counts { offset } else { "" }), Some(zone))
}

fn firewall_meaning(record: &LogRecord<'_>) -> (EventType, Severity) {
    use EventType::{
        AccessDenied, ConfigChange, ConnectionAllowed, ConnectionBlocked, IdsAlert, LoginFailed, LoginSuccess, Logout,
        MalwareDetected, Other, System,
    };
    let action = record.action.as_deref().unwrap_or_default();
    let refused = matches!(action, "denied" | "drop" | "dropped" | "deny" | "blocked" | "block" | "reject" | "rejected");
    let attack = match word(record, "log.level").to_ascii_lowercase().as_str() {
        "emergency" | "alert" | "critical" => Severity::High,
        _ => Severity::Medium,
    };
    match word(record, "log_type") {
        "Firewall" if refused => (ConnectionBlocked, Severity::Low),
        "Firewall" => (ConnectionAllowed, Severity::Low),
        "Content Filtering" | "Application Filter" | "SSL" | "Web Filter" if refused => (AccessDenied, Severity::Low),
        "Content Filtering" | "Application Filter" | "SSL" | "Web Filter" => (ConnectionAllowed, Severity::Low),
        "IDP" | "IPS" | "ATP" => (IdsAlert, attack),
        "WAF" if word(record, "event.reason").is_empty() => (EventType::HttpRequest, Severity::Low),
        "WAF" => (IdsAlert, Severity::Medium),
        "Anti-Virus" | "Anti Virus" if action == "virus" || refused => (MalwareDetected, Severity::High),
        "Sandbox" | "Zero-day protection" if refused || action == "malicious" => (MalwareDetected, Severity::High),
        "Anti-Spam" | "Anti Spam" if !matches!(action, "clean" | "allowed") => (AccessDenied, Severity::Low),
        "Anti-Spam" | "Anti Spam" | "Anti-Virus" | "Anti Virus" => (ConnectionAllowed, Severity::Low),
        "Event" => {
            let (status, message) = (word(record, "status").to_ascii_lowercase(), word(record, "message").to_ascii_lowercase());
            let failed = status.starts_with("fail") || message.contains("failed to log");
            match action {
                "authentication" | "admin" if message.contains("logged out") || status == "logged out" => (Logout, Severity::Low),
                "authentication" if failed => (LoginFailed, Severity::Medium),
                "authentication" if status.starts_with("succ") => (LoginSuccess, Severity::Low),
                "admin" if message.contains("log") && failed => (LoginFailed, Severity::Medium),
                "admin" if message.contains("logged in") => (LoginSuccess, Severity::Low),
                "admin" => (ConfigChange, Severity::Medium),
                _ => (System, Severity::Low),
            }
        }
        "System Health" | "Wireless Protection" | "Heartbeat" => (System, Severity::Low),
        _ => (Other, Severity::Low),
    }
}

fn utm<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some(at) = scan::find(text, "id=\"").filter(|at| *at < 128) else { return false };
    let (head, text) = text.split_at(at);
    if !scan::has(text, " sys=\"") || !scan::has(text, " sub=\"") || !scan::has(text, " name=\"") {
        return false;
    }
    utm_header(head, record, context.zone);
    record.fields.reserve(24);
    pairs::fill(text, SPACED, record, utm_slots, context);
    let (event_type, severity) = utm_meaning(record);
    is(record, "sophos_utm", event_type, severity);
    true
}

/// The files of the UTM have a header of their own: `2026:11:20-06:25:01 utm1 ulogd[4567]: `.
fn utm_header<'a>(head: &'a str, record: &mut LogRecord<'a>, zone: &Zone) {
    let mut words = head.split_ascii_whitespace();
    let (Some(time), Some(host), Some(program)) = (words.next(), words.next(), words.next()) else { return };
    let Some((date, clock)) = time.split_once('-') else { return };
    let Some(time) = scan::iso_time(&format!("{}T{clock}", date.replace(':', "-")), Some(zone)) else { return };
    record.event_time = Some(time);
    record.host = Some(Cow::Borrowed(host));
    let (app, pid) = program.trim_end_matches(':').split_once('[').unwrap_or((program.trim_end_matches(':'), ""));
    record.app = Some(Cow::Borrowed(app));
    record.pid = pid.trim_end_matches(']').parse().ok();
}

#[rustfmt::skip]
fn utm_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Number, Protocol, SrcIp, SrcPort, User};
    Some(match name {
        "id" => Field("event.code"), "severity" => Field("log.level"), "sys" => Field("sophos.utm.system"), "sub" => Field("sophos.utm.subsystem"), "name" => Field("sophos.utm.name"),
        "action" => Action, "srcip" => SrcIp, "dstip" => DstIp, "srcport" => SrcPort, "dstport" => DstPort, "proto" => Protocol, "user" | "username" => User,
        "fwrule" | "ruleid" => Field("rule.id"), "initf" => Field("observer.ingress.interface.name"), "outitf" => Field("observer.egress.interface.name"),
        "srcmac" => Field("source.mac"), "dstmac" => Field("destination.mac"), "method" => Field("http.request.method"), "statuscode" => Number("http.response.status_code"),
        "url" => Field("url.original"), "size" => Number("http.response.bytes"), "ua" => Field("user_agent.original"), "referer" => Field("http.request.referrer"),
        "reason" => Field("event.reason"), "classification" => Field("rule.category"), "sid" => Field("rule.signature_id"), "virus" | "threatname" => Field("threat.indicator.name"),
        "from" => Field("email.from.address"), "to" => Field("email.to.address"), "subject" => Field("email.subject"), "tcpflags" => Field("network.tcp.flags"),
        _ => return None,
    })
}

fn utm_meaning(record: &LogRecord<'_>) -> (EventType, Severity) {
    use EventType::{
        AccessDenied, ConfigChange, ConnectionAllowed, ConnectionBlocked, DataTransfer, HttpRequest, IdsAlert, LoginFailed,
        LoginSuccess, Logout, MalwareDetected, Other, System,
    };
    let name = word(record, "sophos.utm.name").to_ascii_lowercase();
    let action = record.action.as_deref().unwrap_or_default();
    let refused = matches!(action, "drop" | "reject" | "block" | "deny") || name.contains("block") || name.contains("dropped");
    match word(record, "sophos.utm.subsystem") {
        _ if name.contains("virus") || name.contains("malware") => (MalwareDetected, Severity::High),
        "packetfilter" if refused => (ConnectionBlocked, Severity::Low),
        "packetfilter" => (ConnectionAllowed, Severity::Low),
        "ips" | "aptp" | "atp" => (IdsAlert, Severity::Medium),
        "http" | "reverseproxy" | "ftp" if refused => (AccessDenied, Severity::Low),
        "http" | "reverseproxy" => (HttpRequest, Severity::Low),
        "smtp" | "pop3" if refused || name.contains("reject") || name.contains("quarantined") => (AccessDenied, Severity::Low),
        "smtp" | "pop3" | "ftp" => (DataTransfer, Severity::Low),
        "auth" | "vpn" | "remote-access" | "webadmin" | "confd" if name.contains("fail") || name.contains("denied") => {
            (LoginFailed, Severity::Medium)
        }
        "auth" | "webadmin" | "confd" | "vpn"
            if name.contains("success") || name.contains("login") || name.contains("connection started") =>
        {
            (LoginSuccess, Severity::Low)
        }
        "auth" | "webadmin" | "confd" | "vpn" if name.contains("logout") || name.contains("terminated") => {
            (Logout, Severity::Low)
        }
        "confd" if name.contains("object changed") || name.contains("change") => (ConfigChange, Severity::Medium),
        "" => (Other, Severity::Low),
        _ => (System, Severity::Low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (rest, event_type) in [
            (r#"log_type="Firewall" log_subtype="Allowed""#, ConnectionAllowed),
            (r#"log_type="Firewall" log_subtype="Denied""#, ConnectionBlocked),
            (r#"log_type="Content Filtering" log_subtype="Denied""#, AccessDenied),
            (r#"log_type="IDP" log_subtype="Drop""#, IdsAlert),
            (r#"log_type="Anti-Virus" log_subtype="Virus""#, MalwareDetected),
            (r#"log_type="Event" log_subtype="Authentication" status="Successful""#, LoginSuccess),
            (r#"log_type="Event" log_subtype="Authentication" status="Failed""#, LoginFailed),
            (r#"log_type="System Health" log_subtype="Usage""#, System),
        ] {
            let line = format!(
                r#"device="SFW" date=2026-11-20 time=06:25:01 timezone="+08" device_name="XG" {rest} user_name="mia" src_ip=203.0.113.77"#
            );
            let mut record = LogRecord::text(&*line);
            assert!(firewall(&line, &mut record, &context), "{line}");
            assert_eq!((record.event_type, record.host.as_deref()), (event_type, Some("XG")), "{line}");
            assert_eq!(record.event_time.map(|time| time.to_string()).as_deref(), Some("2026-11-19T22:25:01Z"));
        }
        for (rest, event_type) in [
            (r#"sub="packetfilter" name="Packet accepted" action="accept""#, ConnectionAllowed),
            (r#"sub="http" name="http access" action="pass""#, HttpRequest),
            (r#"sub="http" name="web request blocked" action="block""#, AccessDenied),
            (r#"sub="auth" name="Authentication successful" user="mia""#, LoginSuccess),
        ] {
            let line = format!(r#"2026:11:20-06:25:01 utm1 httpproxy[811]: id="1" severity="info" sys="X" {rest}"#);
            let mut record = LogRecord::text(&*line);
            assert!(utm(&line, &mut record, &context), "{line}");
            assert_eq!((record.host.as_deref(), record.app.as_deref(), record.pid), (Some("utm1"), Some("httpproxy"), Some(811)));
            assert_eq!(record.event_time.map(|time| time.to_string()).as_deref(), Some("2026-11-20T06:25:01Z"));
            assert_eq!(record.event_type, event_type, "{line}");
        }
    }
}
