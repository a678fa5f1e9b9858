//! Palo Alto Networks PAN-OS 8.1 to 11: `1,2026/11/20 06:25:01,012801000001,TRAFFIC,end,2561,2026/11/20 06:25:01,203.0.113.77,…`.
//!
//! Source: PAN-OS administrator's guide, "Syslog Field Descriptions". The fourth column is the type of the log and decides the columns after the
//! seventh, which is the time that the log was generated at. Severity: threats have the one that the firewall gives them (`informational` is
//! low), a file that is malware is high at least, a refused login and a change of the configuration are medium, sessions are low.

mod columns;

use std::borrow::Cow;

use self::columns as c;
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Holds;
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "panos",
    product: "Palo Alto Networks PAN-OS",
    reference: "https://docs.paloaltonetworks.com/pan-os/11-0/pan-os-admin/monitoring/use-syslog-for-monitoring/syslog-field-descriptions",
    marks: &[
        Holds(",TRAFFIC,"),
        Holds(",THREAT,"),
        Holds(",SYSTEM,"),
        Holds(",CONFIG,"),
        Holds(",GLOBALPROTECT,"),
        Holds(",USERID,"),
        Holds(",HIPMATCH,"),
        Holds(",HIP-MATCH,"),
        Holds(",DECRYPTION,"),
        Holds(",AUTHENTICATION,"),
        Holds(",AUTH,auth"),
        Holds(",CORRELATION,"),
        Holds(",IPTAG,"),
        Holds(",AUDIT,"),
        Holds(",TUNNEL,"),
        Holds(",START,"),
        Holds(",GTP,"),
        Holds(",SCTP,"),
        Holds(",END,end"),
    ],
    parse,
    samples: &[
        "<14>Nov 20 06:25:01 fw1 1,2026/11/20 06:25:01,012801000001,TRAFFIC,end,2561,2026/11/20 06:25:00,203.0.113.77,192.0.2.4,0.0.0.0,0.0.0.0,Block telnet,,,not-applicable,vsys1,untrust,dmz,ethernet1/1,ethernet1/2,siem,2026/11/20 06:25:00,0,1,48312,23,0,0,0x0,tcp,deny,60,60,0,1,2026/11/20 06:24:59,0,any,0,7301,0x0,Reserved,Reserved,0,1,0,policy-deny,0,0,0,0,,fw1,from-policy",
        "<14>Nov 20 06:25:01 fw1 1,2026/11/20 06:25:01,012801000001,THREAT,vulnerability,2561,2026/11/20 06:25:01,203.0.113.77,192.0.2.4,,,web in,,corp\\mia,web-browsing,vsys1,untrust,dmz,ethernet1/1,ethernet1/2,siem,2026/11/20 06:25:01,4711,1,48313,80,0,0,0x80000000,tcp,reset-both,\"www.example.org/a,b\",Apache Log4j Remote Code Execution Vulnerability(91991),any,critical,client-to-server,7302,0x0,Reserved,Reserved,0,,0,,,1",
        "<14>Nov 20 06:25:02 fw1 1,2026/11/20 06:25:02,012801000001,SYSTEM,auth,2561,2026/11/20 06:25:02,,auth-fail,,0,0,general,medium,\"failed authentication for user 'mia'.  Reason: Invalid username/password. From: 203.0.113.77.\",7303,0x0,0,0,0,0,,fw1",
        "<14>Nov 20 06:25:03 fw1 1,2026/11/20 06:25:03,012801000001,GLOBALPROTECT,0,2561,2026/11/20 06:25:03,vsys1,gateway-auth,login,LDAP,,corp\\mia,FR,laptop7,203.0.113.77,0.0.0.0,0.0.0.0,0.0.0.0,,,6.1.0,Windows,\"Microsoft Windows 11\",1,,Invalid credentials,,failure,,0,,0,gw1,7304,0x0",
    ],
};

/// Values of a line, where one in quotes may have commas and doubled quotes.
struct Csv<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for Csv<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Cow<'a, str>> {
        let rest = self.rest?;
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = memchr::memchr(b',', rest.as_bytes());
            self.rest = end.map(|end| &rest[end + 1..]);
            return Some(Cow::Borrowed(end.map_or(rest, |end| &rest[..end])));
        };
        let bytes = quoted.as_bytes();
        let (mut from, mut doubled) = (0, false);
        while let Some(at) = memchr::memchr(b'"', &bytes[from..]).map(|at| from + at) {
            match bytes.get(at + 1) {
                Some(b'"') => (from, doubled) = (at + 2, true),
                None | Some(b',') => {
                    self.rest = bytes.get(at + 1).map(|_| &quoted[at + 2..]);
                    return Some(unquoted(&quoted[..at], doubled));
                }
                // A quote that was not doubled.
                Some(_) => from = at + 1,
            }
        }
        self.rest = None;
        Some(unquoted(quoted, doubled))
    }
}

fn unquoted(text: &str, doubled: bool) -> Cow<'_, str> {
    if doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) }
}

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut values = Csv { rest: Some(text.trim_end()) };
    let mut next = || values.next();
    let (Some(_), Some(received), Some(serial), Some(kind), Some(subtype)) = (next(), next(), next(), next(), next()) else {
        return false;
    };
    let (Some(_version), Some(generated)) = (next(), next()) else { return false };
    let Some(known) = columns_of(&kind) else { return false };
    let time = |text: &str| scan::iso_time(text, Some(context.zone));
    if time(&received).is_none() {
        return false;
    }
    record.event_time = time(&generated).or_else(|| time(&received));
    record.fields.reserve(48);
    field(record, "observer.serial_number", serial);
    let outer = record.host.take();
    if kind == "CONFIG" {
        config(values, record, context);
    } else {
        for columns in known {
            take(&mut values, columns, record, context);
        }
        if kind == "DECRYPTION" && values.nth(c::DECRYPTION_SKIPPED - 1).is_some() {
            take(&mut values, c::DECRYPTION_TAIL, record, context);
        }
    }
    record.host = record.host.take().or(outer);
    let (event_type, severity) = meaning(record, &kind, &subtype);
    field(record, "panw.panos.type", kind);
    field(record, "panw.panos.subtype", subtype);
    is(record, "panos", event_type, severity);
    true
}

fn take<'a>(values: &mut Csv<'a>, columns: &[Slot], record: &mut LogRecord<'a>, context: &Context<'_>) {
    for slot in columns {
        let Some(value) = values.next() else { return };
        file(record, *slot, value, context);
    }
}

fn field<'a>(record: &mut LogRecord<'a>, name: &'static str, value: Cow<'a, str>) {
    if !value.is_empty() {
        record.set(name, value);
    }
}

/// The columns behind the seventh, in the order that they come in.
fn columns_of(kind: &str) -> Option<&'static [&'static [Slot]]> {
    Some(match kind {
        "TRAFFIC" => &[c::SESSION, c::TRAFFIC],
        "THREAT" => &[c::SESSION, c::THREAT],
        "DECRYPTION" => &[c::SESSION, c::DECRYPTION],
        "START" | "END" | "TUNNEL" => &[c::SESSION, c::TUNNEL],
        "GTP" => &[c::SESSION, c::GTP],
        "SCTP" => &[c::SCTP_SESSION],
        "SYSTEM" => &[c::SYSTEM],
        "CONFIG" => &[c::CONFIG],
        "AUDIT" => &[c::AUDIT],
        "GLOBALPROTECT" => &[c::GLOBAL_PROTECT],
        "USERID" => &[c::USER_ID],
        "AUTHENTICATION" | "AUTH" => &[c::AUTHENTICATION],
        "HIPMATCH" | "HIP-MATCH" => &[c::HIP_MATCH],
        "IPTAG" => &[c::IP_TAG],
        "CORRELATION" => &[c::CORRELATION],
        _ => return None,
    })
}

fn file<'a>(record: &mut LogRecord<'a>, slot: Slot, value: Cow<'a, str>, context: &Context<'_>) {
    let name = match slot {
        Slot::Nothing => return,
        Slot::Field(name) | Slot::Number(name) => name,
        Slot::SrcIp => "source.domain",
        Slot::DstIp => "destination.domain",
        Slot::User => "source.user.name",
        Slot::SrcPort => "source.port",
        Slot::DstPort => "destination.port",
        _ => "panw.panos.other",
    };
    // Where nothing was translated.
    let none = name.contains("nat.") && matches!(&*value, "0" | "0.0.0.0" | "::");
    if !none && value != "not-applicable" {
        fill::file(record, Some(slot), Cow::Borrowed(name), Scalar::Text(value), context);
    }
}

/// A change may stand between its path and its number.
fn config<'a>(mut values: Csv<'a>, record: &mut LogRecord<'a>, context: &Context<'_>) {
    take(&mut values, c::CONFIG, record, context);
    let rest = values.rest.unwrap_or_default();
    let has_number = rest
        .split_once(',')
        .is_some_and(|(number, rest)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with("0x"));
    let columns: [&[Slot]; 2] = [if has_number { &[] } else { c::CONFIG_CHANGE }, c::CONFIG_TAIL];
    for columns in columns {
        take(&mut values, columns, record, context);
    }
}

fn meaning<'a>(record: &mut LogRecord<'a>, kind: &str, subtype: &str) -> (EventType, Severity) {
    use EventType::{
        ConfigChange, ConnectionAllowed, ConnectionBlocked, IdsAlert, LoginFailed, LoginSuccess, Logout, Other, System,
    };
    if record.username.is_none()
        && let Some(Value::Str(user)) = record.field("destination.user.name").cloned()
    {
        fill::account(record, user);
    }
    let action = record.action.as_deref().unwrap_or_default();
    let refused = is_refusal(action) || matches!(subtype, "deny" | "drop");
    match kind {
        "TRAFFIC" | "DECRYPTION" | "TUNNEL" | "START" | "END" | "SCTP" if refused => (ConnectionBlocked, Severity::Low),
        "TRAFFIC" | "DECRYPTION" | "TUNNEL" | "START" | "END" | "SCTP" => (ConnectionAllowed, Severity::Low),
        "THREAT" => threat(record, subtype, refused),
        "GTP" | "CORRELATION" => (IdsAlert, rated(record)),
        "SYSTEM" => system(record, subtype),
        "CONFIG" if word(record, "panw.panos.result").eq_ignore_ascii_case("unauthorized") => {
            (EventType::AccessDenied, Severity::Medium)
        }
        "CONFIG" | "AUDIT" => (ConfigChange, Severity::Medium),
        "USERID" | "AUTHENTICATION" | "AUTH" => {
            let result = word(record, "panw.panos.result").to_ascii_lowercase();
            match subtype {
                "logout" => (Logout, Severity::Low),
                _ if result.contains("fail") || result.contains("den") => (LoginFailed, Severity::Medium),
                "login" => (LoginSuccess, Severity::Low),
                _ if result.contains("succ") => (LoginSuccess, Severity::Low),
                _ => (Other, Severity::Low),
            }
        }
        "GLOBALPROTECT" => global_protect(record),
        _ => (System, Severity::Low),
    }
}

fn is_refusal(action: &str) -> bool {
    matches!(action, "deny" | "sinkhole" | "random-drop" | "override-lockout" | "override")
        || action.starts_with("drop")
        || action.starts_with("reset")
        || action.starts_with("block")
}

fn rated(record: &LogRecord<'_>) -> Severity {
    match word(record, "log.level") {
        "critical" | "5" => Severity::Critical,
        "high" | "4" => Severity::High,
        "medium" | "3" => Severity::Medium,
        _ => Severity::Low,
    }
}

fn threat(record: &mut LogRecord<'_>, subtype: &str, refused: bool) -> (EventType, Severity) {
    let severity = rated(record);
    match word(record, "panw.panos.direction") {
        "client-to-server" | "0" => record.set("network.direction", "client-to-server"),
        "server-to-client" | "1" => record.set("network.direction", "server-to-client"),
        _ => {}
    }
    // The column is a URL, a host's name or a file's.
    let is_file = matches!(subtype, "file" | "virus" | "wildfire" | "wildfire-virus" | "ml-virus" | "data")
        && !word(record, "url.original").contains('/');
    if is_file && let Some((name, _)) = record.fields.iter_mut().find(|(name, _)| name == "url.original") {
        *name = Cow::Borrowed("file.name");
    }
    match subtype {
        "virus" | "wildfire-virus" | "ml-virus" => (EventType::MalwareDetected, severity.max(Severity::High)),
        "wildfire" if severity > Severity::Low => (EventType::MalwareDetected, severity.max(Severity::High)),
        "url" | "file" if refused => (EventType::AccessDenied, severity),
        "url" if matches!(record.action.as_deref(), Some("allow" | "continue")) => (EventType::HttpRequest, severity),
        _ => (EventType::IdsAlert, severity),
    }
}

/// What the system says is prose; who and from where stand at its end.
fn system<'a>(record: &mut LogRecord<'a>, subtype: &str) -> (EventType, Severity) {
    let Some(Value::Str(Cow::Borrowed(what))) = record.field("event.reason").cloned() else {
        return (EventType::System, Severity::Low);
    };
    let code = word(record, "event.code").to_owned();
    let from = ["From: ", " from ", "Login from: "].iter().find_map(|sign| what.rsplit_once(sign)).map(|(_, from)| from);
    let from = from.map(|from| from.split([' ', ',']).next().unwrap_or(from).trim_end_matches('.'));
    let user = scan::cut(what, "user '").and_then(|(_, user)| user.rsplit_once('\'')).map(|(user, _)| user);
    let user = user.or_else(|| scan::cut(what, "User name: ")?.1.split(',').next().map(|user| user.trim_end_matches('.')));
    let in_prose = what.strip_prefix("User ").and_then(|rest| scan::cut(rest, " logged ")).map(|(user, _)| user);
    let fails = code.contains("fail") || what.starts_with("failed authentication");
    let logs_in = (what.contains(" logged in via ") || code.ends_with("auth-success") || code.ends_with("auth-succ")) && !fails;
    let found = if subtype == "auth" || code.contains("auth-") || in_prose.is_some() || subtype == "globalprotect" {
        if fails && (code.contains("auth") || user.is_some()) {
            (EventType::LoginFailed, Severity::Medium)
        } else if logs_in {
            (EventType::LoginSuccess, Severity::Low)
        } else if what.contains(" logged out ") || code.contains("logout") {
            (EventType::Logout, Severity::Low)
        } else {
            (EventType::System, rated(record).min(Severity::Medium))
        }
    } else {
        (EventType::System, rated(record).min(Severity::Medium))
    };
    if found.0 != EventType::System {
        if let Some(user) = user.or(in_prose) {
            fill::account(record, Cow::Borrowed(user));
        }
        record.src_ip = from.and_then(scan::ip);
    }
    found
}

/// Who has no address within the tunnel yet is known by the one outside.
fn global_protect(record: &mut LogRecord<'_>) -> (EventType, Severity) {
    let address = |name| scan::ip(word(record, name)).filter(|ip| !ip.is_unspecified());
    let inside = address("panw.panos.private_ip").or_else(|| address("panw.panos.private_ipv6"));
    record.src_ip = inside.or_else(|| address("source.nat.ip")).or_else(|| address("panw.panos.public_ipv6"));
    let (code, failed) = (word(record, "event.code"), word(record, "event.outcome") == "failure");
    if code.contains("logout") {
        (EventType::Logout, Severity::Low)
    } else if code.ends_with("-auth") || code.ends_with("-login") {
        if failed { (EventType::LoginFailed, Severity::Medium) } else { (EventType::LoginSuccess, Severity::Low) }
    } else if code.ends_with("-connected") && !failed {
        (EventType::ConnectionAllowed, Severity::Low)
    } else {
        (EventType::System, Severity::Low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    fn read(text: &str) -> LogRecord<'_> {
        let mut record = LogRecord::text(text);
        let now = Timestamp::from_secs(1_780_000_000);
        assert!(parse(text, &mut record, &Context { now, zone: &Zone::UTC, own: &[] }), "{text}");
        record
    }

    fn head(rest: &str) -> String {
        format!("1,2026/11/20 06:25:03,012801000001,{rest}")
    }

    #[test]
    fn what_happened() {
        use EventType::*;
        let session = |tail: &str| {
            format!(
                "2561,2026/11/20 06:25:02,203.0.113.77,192.0.2.4,0.0.0.0,0.0.0.0,r,,corp\\mia,ssl,vsys1,a,b,e1,e2,p,t,9,1,48313,80,0,0,0x0,tcp,{tail}"
            )
        };
        #[rustfmt::skip]
        let table = [
            (format!("TRAFFIC,end,{}", session("allow,60")), ConnectionAllowed, Severity::Low, "mia"),
            (format!("TRAFFIC,drop,{}", session("reset-both,60")), ConnectionBlocked, Severity::Low, "mia"),
            (format!("THREAT,url,{}", session("block-url,\"a.example/x,y\",(9999),games,informational,client-to-server")), AccessDenied, Severity::Low, "mia"),
            (format!("THREAT,virus,{}", session("alert,a.exe,Eicar(1),any,medium,1")), MalwareDetected, Severity::High, "mia"),
            (format!("THREAT,scan,{}", session("alert,,SCAN: TCP Port Scan(8001),any,medium,0")), IdsAlert, Severity::Medium, "mia"),
            ("SYSTEM,general,0,2026/11/20 06:25:02,,general,,0,0,general,informational,\"User mia logged in via Web from 203.0.113.77 using https\",1,0x0".to_owned(), LoginSuccess, Severity::Low, "mia"),
            ("SYSTEM,auth,0,2026/11/20 06:25:02,,auth-fail,,0,0,general,medium,\"failed authentication for user 'o'neil'. Reason: x. From: 203.0.113.77.\",1,0x0".to_owned(), LoginFailed, Severity::Medium, "o'neil"),
            ("CONFIG,0,0,2026/11/20 06:25:02,203.0.113.77,,commit,mia,Web,Submitted,,7,0x0,0,0,0,0,,fw1".to_owned(), ConfigChange, Severity::Medium, "mia"),
            ("USERID,login,0,2026/11/20 06:25:02,vsys1,203.0.113.77,corp\\mia,x,0,1,2700,0,0,vpn-client,globalprotect,1,0x0".to_owned(), LoginSuccess, Severity::Low, "mia"),
            ("GLOBALPROTECT,0,0,2026/11/20 06:25:02,vsys1,portal-auth,login,LDAP,,mia,FR,pc,203.0.113.77,0.0.0.0,0.0.0.0,0.0.0.0,,,6,,,1,,,,failure".to_owned(), LoginFailed, Severity::Medium, "mia"),
        ];
        for (rest, event_type, severity, user) in table {
            let line = head(&rest);
            let record = read(&line);
            assert_eq!((record.event_type, record.severity), (event_type, severity), "{rest}");
            assert_eq!(record.username.as_deref(), Some(user), "{rest}");
            assert_eq!(record.src_ip, "203.0.113.77".parse().ok(), "{rest}");
            assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some("2026-11-20T06:25:02Z"), "{rest}");
        }
    }

    #[test]
    fn the_firewall_stands_behind_what_it_decrypted() {
        let session = "DECRYPTION,start,0,2026/11/20 06:25:02,192.0.2.30,203.0.113.77,,,r,,,ssl,vsys1,a,b,e1,e2,p,t,9,1,48313,443,0,0,0x0,tcp,allow";
        let line = head(&format!("{session}{}{}42,0x0,0,0,0,0,vs,fw1,1", ",".repeat(38), ",".repeat(21)));
        let record = read(&line);
        assert_eq!((record.field("event.sequence"), record.host.as_deref()), (Some(&"42".into()), Some("fw1")));
    }

    #[test]
    fn other_csv_is_left_alone() {
        for line in
            ["", "1,2,3,TRAFFIC,end", "1,2026/11/20 06:25:03,s,TRAFFIK,end,1,2026/11/20 06:25:03,a", "1,x,s,TRAFFIC,end,1,x,a"]
        {
            let mut record = LogRecord::text(line);
            let now = Timestamp::from_secs(1_780_000_000);
            assert!(!parse(line, &mut record, &Context { now, zone: &Zone::UTC, own: &[] }), "{line}");
            assert_eq!(record, LogRecord::text(line));
        }
    }

    #[test]
    fn values_in_quotes() {
        let values: Vec<_> = Csv { rest: Some(r#"a,"b,""c""",,"d"e","#) }.collect();
        assert_eq!(values, ["a", "b,\"c\"", "", "d\"e", ""]);
    }
}
