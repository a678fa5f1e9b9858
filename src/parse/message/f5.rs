//! F5 BIG-IP: messages of its daemons (`01490500:5: …`: APM's sessions, the audit log, TMM), ASM's `key="value"` lists, and the JSON of Telemetry Streaming.
//!
//! Sources: F5 "Log messages" (error catalogue), K35132045 (pam_audit), "ASM: Setting Up Application Security Logging", F5 Telemetry Streaming's "Example
//! output". What ASM blocked or alerted is an alert with the severity that it names; a failed login and a change are medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds, Member};
use crate::parse::fill::{self, Slot};
use crate::parse::pairs::{self, Style};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const MESSAGES: Dialect = Dialect {
    name: "f5_bigip",
    product: "F5 BIG-IP: daemons, APM, audit",
    reference: "https://my.f5.com/manage/s/article/K16197",
    marks: &[
        App("tmm"),
        App("mcpd"),
        App("apmd"),
        App("bigd"),
        App("sod"),
        App("big3d"),
        App("httpd"),
        App("sshd"),
        App("tmsh"),
        App("emerg"),
        App("alert"),
        App("crit"),
        App("err"),
        App("warning"),
        App("notice"),
        App("info"),
        App("debug"),
        Holds(": AUDIT - "),
        Holds(":Common:"),
    ],
    parse: |text, record, _| messages(text.trim_end(), record),
    samples: &[
        "<133>Nov 20 06:25:01 lb1 notice httpd[811]: 01070417:5: AUDIT - user mia - RAW: httpd(pam_audit): User=mia tty=(unknown) host=203.0.113.77 failed to login after 1 attempts (start=\"Fri Nov 20 06:24:59 2026\" end=\"Fri Nov 20 06:25:01 2026\").",
        "<133>Nov 20 06:25:02 lb1 notice apmd[812]: 01490500:5: /Common/vpn:Common:0a1b2c3d: New session from client IP 203.0.113.77 (ST=/CC=/C=) at VIP 192.0.2.4 Listener /Common/vpn (Reputation=Unknown)",
    ],
};

pub(super) const ASM: Dialect = Dialect {
    name: "f5_asm",
    product: "F5 BIG-IP ASM",
    reference: "https://techdocs.f5.com/en-us/bigip-15-1-0/big-ip-asm-implementations/setting-up-application-security-logging.html",
    marks: &[App("ASM"), Begins("ASM:"), Holds("unit_hostname=\"")],
    parse: asm,
    samples: &[
        r#"<131>Nov 20 06:25:01 lb1 ASM:unit_hostname="lb1.example.org",management_ip_address="192.0.2.10",ip_client="203.0.113.77",src_port="48312",dest_ip="192.0.2.4",dest_port="443",date_time="2026-11-20 06:25:01",method="GET",protocol="HTTPS",uri="/search",request_status="blocked",response_code="0",severity="Critical",attack_type="SQL-Injection",violations="Attack signature detected",username="N/A",policy_name="/Common/shop",support_id="1545"}"#,
    ],
};

pub(super) const TELEMETRY: Dialect = Dialect {
    name: "f5_telemetry",
    product: "F5 BIG-IP Telemetry Streaming",
    reference: "https://clouddocs.f5.com/products/extensions/f5-telemetry-streaming/latest/output-example.html",
    marks: &[Member("\"telemetryEventCategory\""), Member("\"acl_policy_name\""), Member("\"errdefs_msgno\"")],
    parse: telemetry,
    samples: &[
        r#"{"acl_policy_name":"/Common/edge","acl_rule_name":"default","action":"Drop","hostname":"lb1.example.org","date_time":"Nov 20 2026 06:25:01","dest_ip":"192.0.2.4","dest_port":"23","drop_reason":"Policy","errdefs_msg_name":"Network Event","ip_protocol":"TCP","source_ip":"203.0.113.77","source_port":"48312","source_user":"","telemetryEventCategory":"AFM"}"#,
    ],
};

const FORMAT: &str = "f5_bigip";

/// `01490500:5: `, possibly behind the daemon's name where its level took the program's place.
fn number(text: &str) -> Option<(&str, &str)> {
    let is_number = |word: &str| {
        word.len() == 10
            && word.as_bytes().get(8) == Some(&b':')
            && word.bytes().take(8).all(|b| b.is_ascii_hexdigit())
            && word.ends_with(|c: char| c.is_ascii_digit())
    };
    for rest in [Some(text), scan::cut(text, "]: ").map(|(_, rest)| rest)].into_iter().flatten() {
        if let Some((code, rest)) = scan::cut(rest, ": ").filter(|(code, _)| is_number(code)) {
            return Some((code, rest));
        }
    }
    None
}

fn messages<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((code, what)) = number(text) else { return false };
    // `notice mcpd[6890]: …`: the level is no program.
    if let Some((daemon, pid)) = scan::cut(text, "]: ").and_then(|(daemon, _)| daemon.split_once('['))
        && record.app.as_deref().is_some_and(|app| scan::level(app).is_some())
        && !daemon.contains([' ', ':'])
    {
        record.set("log.level", record.app.clone().unwrap_or_default());
        record.pid = pid.parse().ok();
        record.set("process.name", daemon);
    }
    record.set("event.code", code.split(':').next().unwrap_or(code));
    if what.starts_with("AUDIT - ") {
        audit(what, record);
    } else {
        session(what, record);
    }
    true
}

/// `AUDIT - user mia - RAW: httpd(mod_auth_pam): user=mia(mia) partition=[All] level=Administrator tty=(unknown) host=192.0.2.1 attempts=1 start="…"`,
/// `AUDIT - client tmui, user mia - transaction #1-2 - object 0 - create { … } [Status=Command OK]`, `AUDIT - pid=1 user=mia folder=/ module=(tmos)# status=[…] cmd_data=…`.
fn audit<'a>(what: &'a str, record: &mut LogRecord<'a>) {
    let user =
        scan::between(what, "user ", ' ').or_else(|| scan::between(what, "ser=", ' ')).map(|user| user.trim_end_matches(','));
    let raw = scan::find(what, "RAW: ").and_then(|at| what.get(at..));
    let who = raw.and_then(|raw| scan::between(raw, "ser=", ' ')).map(|who| who.split('(').next().unwrap_or(who));
    if let Some(user) = who.or(user).filter(|user| !user.is_empty()) {
        fill::account(record, Cow::Borrowed(user));
    }
    record.src_ip = raw.and_then(|raw| scan::between(raw, " host=", ' ')).and_then(scan::ip);
    match raw {
        Some(raw) if scan::has(raw, "failed to login") => failed(record, FORMAT, "login", ToldBy::Service),
        Some(raw) if scan::has(raw, " end=") => is(record, FORMAT, EventType::Logout, Severity::Low),
        Some(raw) if scan::has(raw, " attempts=") => succeeded(record, FORMAT, "login"),
        _ => {
            let change =
                ["create {", "modify {", "delete {", "cmd_data=create ", "cmd_data=modify ", "cmd_data=delete ", "obj_delete"];
            let changed = change.iter().any(|verb| scan::has(what, verb));
            let (event_type, severity) =
                if changed { (EventType::ConfigChange, Severity::Medium) } else { (EventType::Other, Severity::Low) };
            is(record, FORMAT, event_type, severity);
        }
    }
}

/// APM: `/Common/vpn:Common:0a1b2c3d: New session from client IP 192.0.2.1 …`, `… Username 'mia'`; TMM and the rest.
fn session<'a>(what: &'a str, record: &mut LogRecord<'a>) {
    let (place, said) =
        scan::cut(what, ": ").filter(|(place, _)| place.contains(":Common") || place.starts_with('/')).unwrap_or(("", what));
    if let Some((_, id)) = place.rsplit_once(':') {
        record.set("session.id", id);
    }
    if let Some((_, rest)) = scan::cut(said, "client IP ") {
        record.src_ip = scan::ip(rest.split([' ', ',']).next().unwrap_or(rest));
    }
    if let Some(vip) = scan::between(said, " at VIP ", ' ') {
        record.dst_ip = scan::ip(vip);
    }
    // `Connection from CLI to …`, `RST sent from 192.0.2.1:443 to 203.0.113.77:48312`
    if let Some((name, _)) = scan::cut(said, "Username '").and_then(|(_, rest)| rest.rsplit_once('\'')) {
        fill::account(record, Cow::Borrowed(name));
    }
    let (event_type, severity) = if scan::has(said, "Logon_Deny")
        || scan::has(said, "authentication failed")
        || scan::has(said, "uthentication with configured") && scan::has(said, "ailed")
    {
        (EventType::LoginFailed, Severity::Medium)
    } else if said.starts_with("Session deleted") || scan::has(said, "session deleted") {
        (EventType::Logout, Severity::Low)
    } else if said.starts_with("Access policy result: ") && !scan::has(said, "Deny") {
        (EventType::LoginSuccess, Severity::Low)
    } else if said.starts_with("New session from client IP") {
        (EventType::ConnectionAllowed, Severity::Low)
    } else if scan::has(said, " monitor status down")
        || scan::has(said, " is unavailable")
        || scan::has(said, "No members available")
    {
        (EventType::ServiceChange, Severity::Medium)
    } else if scan::has(said, " denied because") {
        (EventType::AccessDenied, Severity::Medium)
    } else {
        (EventType::System, Severity::Low)
    };
    match event_type {
        EventType::LoginFailed => failed(record, FORMAT, "logon", ToldBy::Service),
        EventType::LoginSuccess => succeeded(record, FORMAT, "logon"),
        _ => is(record, FORMAT, event_type, severity),
    }
}

fn rated(record: &LogRecord<'_>) -> Severity {
    match record.field("log.level") {
        Some(Value::Str(level)) => match level.to_ascii_lowercase().as_str() {
            "critical" | "emergency" | "alert" => Severity::High,
            "error" | "warning" => Severity::Medium,
            _ => Severity::Low,
        },
        _ => Severity::Medium,
    }
}

/// A request that ASM looked at: what it let pass is a request.
fn judged(record: &LogRecord<'_>) -> (EventType, Severity) {
    match record.action.as_deref() {
        Some("passed" | "pass" | "legal") => (EventType::HttpRequest, Severity::Low),
        _ => (EventType::IdsAlert, rated(record)),
    }
}

fn asm<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let list = text.strip_prefix("ASM:").unwrap_or(text).trim_start();
    if !scan::has(list, "ip_client=\"") || !scan::has(list, "\",") {
        return false;
    }
    record.fields.reserve(32);
    pairs::fill(list.trim_end_matches('}'), Style { equals: b'=', separator: b',' }, record, slots, context);
    let (event_type, severity) = judged(record);
    is(record, "f5_asm", event_type, severity);
    true
}

fn telemetry<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let category = |name: &str| scan::has(text, &format!("\"telemetryEventCategory\":\"{name}\""));
    if !scan::has(text, "\"telemetryEventCategory\"") && !scan::has(text, "\"hostname\"") {
        return false;
    }
    let mut read = record.clone();
    if !fill::object(text, &mut read, slots, context) {
        return false;
    }
    let (event_type, severity) = match read.action.as_deref() {
        _ if category("ASM") => judged(&read),
        Some("reject" | "drop" | "deny" | "block") => (EventType::ConnectionBlocked, Severity::Low),
        Some("accept" | "allow" | "open" | "established" | "accept decisively") => (EventType::ConnectionAllowed, Severity::Low),
        _ if read.field("http.request.method").is_some() => (EventType::HttpRequest, Severity::Low),
        _ => (EventType::Other, Severity::Low),
    };
    is(&mut read, "f5_telemetry", event_type, severity);
    *record = read;
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Number, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "unit_hostname" | "hostname" => Host, "date_time" | "event_timestamp" | "f5telemetry_timestamp" => Time,
        "ip_client" | "source_ip" | "client_ip" => SrcIp, "src_port" | "source_port" | "client_port" => SrcPort,
        "dest_ip" => DstIp, "dest_port" => DstPort, "ip_protocol" => Protocol, "action" | "request_status" => Action,
        "username" | "source_user" | "Username" => User, "server_ip" => Field("server.ip"), "server_port" => Number("server.port"),
        "method" | "http_method" => Field("http.request.method"), "uri" | "http_uri" => Field("url.original"), "http_host" => Field("url.domain"),
        "response_code" | "http_statcode" => Number("http.response.status_code"), "severity" => Field("log.level"), "attack_type" => Field("rule.category"),
        "violations" => Field("event.reason"), "policy_name" | "acl_policy_name" => Field("rule.ruleset"), "acl_rule_name" => Field("rule.name"),
        "support_id" => Field("event.id"), "session_id" => Field("session.id"), "geo_location" => Field("source.geo.country_iso_code"),
        "translated_source_ip" => Field("source.nat.ip"), "translated_source_port" => Number("source.nat.port"),
        "translated_dest_ip" => Field("destination.nat.ip"), "translated_dest_port" => Number("destination.nat.port"),
        "source_fqdn" => Field("source.domain"), "dest_fqdn" => Field("destination.domain"), "drop_reason" => Field("event.reason"),
        "sig_names" => Field("rule.name"), "errdefs_msgno" => Field("event.code"), "management_ip_address" | "bigip_mgmt_ip" => Field("observer.ip"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn lines() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_795_155_900), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            (MESSAGES.samples[0], LoginFailed, Some("mia"), "203.0.113.77"),
            (MESSAGES.samples[1], ConnectionAllowed, None, "203.0.113.77"),
            ("<133>Nov 20 06:25:02 lb1 notice apmd[812]: 01490010:5: /Common/vpn:Common:0a1b2c3d: Username 'CORP\\mia'", System, Some("mia"), ""),
            ("<133>Nov 20 06:25:02 lb1 notice httpd[811]: 01070417:5: AUDIT - user mia - RAW: httpd(pam_audit): user=mia(mia) partition=[All] level=Administrator tty=(unknown) host=203.0.113.77 attempts=1 start=\"Fri Nov 20 06:25:01 2026\".", LoginSuccess, Some("mia"), "203.0.113.77"),
            ("<133>Nov 20 06:25:02 lb1 notice mcpd[811]: 01070417:5: AUDIT - client tmui, user mia - transaction #3-1 - object 0 - create { pool { pool_name \"/Common/x\" } } [Status=Command OK]", ConfigChange, Some("mia"), ""),
            (ASM.samples[0], IdsAlert, None, "203.0.113.77"),
            (TELEMETRY.samples[0], ConnectionBlocked, None, "203.0.113.77"),
        ];
        for (line, event_type, user, src) in table {
            let record = parse::parse(line, &context);
            assert_eq!(
                (record.event_type, record.username.as_deref(), record.src_ip),
                (event_type, user, src.parse().ok()),
                "{line}"
            );
            if !line.starts_with('{') {
                assert_eq!(super::super::told(record.app.as_deref(), &record.message, &[]).0, record.told_by, "{line}");
            }
        }
    }
}
