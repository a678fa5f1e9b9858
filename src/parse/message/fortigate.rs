//! Fortinet FortiGate (FortiOS 5 to 7): `date=2026-11-20 time=06:25:01 devname="fw1" … type="traffic" subtype="forward" … action="deny"`.
//!
//! Source: FortiOS Log Message Reference, "Log field format" and the tables of each type. What happened follows from `type`, `subtype`,
//! `action` and, for logins, `status`. Severity: an attack or a virus has the one that FortiGuard gives it (`crlevel`, `severity`), what was
//! refused to a person is medium, packets and routine are low.

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Holds;
use crate::parse::fill::Slot;
use crate::parse::fill::word;
use crate::parse::pairs::{self, SPACED};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Zone};

pub(super) const DIALECT: Dialect = Dialect {
    name: "fortigate",
    product: "Fortinet FortiGate",
    reference: "https://docs.fortinet.com/document/fortigate/7.6.0/fortios-log-message-reference",
    marks: &[Holds(" devid=\"FG"), Holds(" devid=FG"), Holds(" logid="), Holds(" log_id=")],
    parse,
    samples: &[
        r#"<188>date=2026-11-20 time=06:25:01 devname="fw1" devid="FGT60E0000000001" logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" eventtime=1795155901 srcip=203.0.113.77 srcport=48312 srcintf="wan1" dstip=192.0.2.4 dstport=23 dstintf="dmz" sessionid=81 proto=6 action="deny" policyid=0 service="TELNET" sentbyte=0 rcvdbyte=0 tz="+0000""#,
        r#"<185>date=2026-11-20 time=06:25:02 devname="fw1" devid="FGT60E0000000001" logid="0100032002" type="event" subtype="system" level="alert" vd="root" logdesc="Admin login failed" user="admin" ui="ssh(203.0.113.77)" method="ssh" srcip=203.0.113.77 dstip=192.0.2.1 action="login" status="failed" reason="passwd_invalid" msg="Administrator admin login failed from ssh(203.0.113.77) because of invalid password""#,
        r#"<185>date=2026-11-20 time=06:25:03 devname="fw1" devid="FGT60E0000000001" logid="0419016384" type="utm" subtype="ips" eventtype="signature" level="alert" vd="root" severity="critical" srcip=203.0.113.77 dstip=192.0.2.4 srcport=48313 dstport=80 proto=6 action="dropped" attack="Apache.Log4j.Error.Log.Remote.Code.Execution" attackid=51006"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if scan::find(text, "date=").is_none_or(|at| at > 64) || !scan::has(text, "type=") {
        return false;
    }
    // FortiManager and FortiAnalyzer write alike.
    if scan::has(text, " desc=")
        && (scan::has(text, " userfrom=") || scan::has(text, " device_id=FM") || scan::has(text, " operation="))
    {
        return false;
    }
    record.fields.reserve(32);
    pairs::fill(text, SPACED, record, slots, context);
    if word(record, "dir") == "outbound" || word(record, "init") == "local" {
        // A tunnel that this end began.
        std::mem::swap(&mut record.src_ip, &mut record.dst_ip);
        std::mem::swap(&mut record.src_port, &mut record.dst_port);
    }
    record.event_time = time(record, context.zone).or(record.event_time);
    let (event_type, severity) = meaning(record);
    is(record, "fortigate", event_type, severity);
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Number, Protocol, SrcIp, SrcPort, User};
    Some(match name {
        "devname" | "device_name" => Host, "devid" | "device_id" => Field("observer.serial_number"),
        "srcip" | "src" | "remip" => SrcIp, "srcport" | "src_port" | "remport" => SrcPort,
        "dstip" | "dst" | "locip" => DstIp, "dstport" | "dst_port" | "locport" => DstPort,
        "proto" => Protocol, "action" => Action, "user" | "unauthuser" => User,
        "srcintf" | "src_int" => Field("observer.ingress.interface.name"), "dstintf" | "dst_int" => Field("observer.egress.interface.name"),
        "policyid" => Field("rule.id"), "policyname" => Field("rule.name"), "attack" | "virus" => Field("threat.indicator.name"),
        "service" => Field("network.protocol"), "app" => Field("network.application"), "direction" => Field("network.direction"),
        "sentbyte" | "sent" => Number("source.bytes"), "rcvdbyte" | "rcvd" => Number("destination.bytes"),
        "sentpkt" => Number("source.packets"), "rcvdpkt" => Number("destination.packets"),
        "transip" | "tran_ip" => Field("source.nat.ip"), "transport" | "tran_port" => Number("source.nat.port"),
        "srccountry" => Field("source.geo.country_name"), "dstcountry" => Field("destination.geo.country_name"),
        "srcmac" => Field("source.mac"), "dstmac" => Field("destination.mac"), "srcname" => Field("source.domain"),
        "hostname" => Field("url.domain"), "url" => Field("url.original"), "agent" => Field("user_agent.original"),
        "filename" => Field("file.name"), "filehash" => Field("file.hash.sha256"), "group" => Field("user.group.name"),
        "logid" | "log_id" => Field("event.code"), "reason" => Field("event.reason"), "level" => Field("log.level"),
        "qname" => Field("dns.question.name"), "qtype" => Field("dns.question.type"),
        _ => return None,
    })
}

/// `date=2026-11-20 time=06:25:01 tz="+0100"`; older ones have no zone.
fn time(record: &LogRecord<'_>, zone: &Zone) -> Option<crate::record::Timestamp> {
    let (date, clock) = (word(record, "date"), word(record, "time"));
    let civil = format!("{date}T{clock}{}", word(record, "tz"));
    scan::iso_time(&civil, Some(zone))
}

fn meaning(record: &LogRecord<'_>) -> (EventType, Severity) {
    use EventType::{
        AccessDenied, ConfigChange, ConnectionAllowed, ConnectionBlocked, DataTransfer, IdsAlert, LoginFailed, LoginSuccess,
        Logout, MalwareDetected, Other, System,
    };
    let action = record.action.as_deref().unwrap_or_default();
    let refused = matches!(action, "deny" | "denied" | "block" | "blocked" | "drop" | "dropped" | "reset" | "violation");
    let (subtype, description) = (word(record, "subtype"), word(record, "logdesc"));
    let rated = || match (word(record, "crlevel"), word(record, "severity")) {
        ("critical", _) | (_, "critical") => Severity::Critical,
        ("high", _) | (_, "high") => Severity::High,
        ("low", _) | (_, "low" | "info") => Severity::Low,
        _ => Severity::Medium,
    };
    match (word(record, "type"), subtype) {
        ("traffic", _) if refused || action == "ip-conn" => (ConnectionBlocked, Severity::Low),
        ("traffic", _) => (ConnectionAllowed, Severity::Low),
        (_, "virus") => (MalwareDetected, rated().max(Severity::High)),
        (_, "ips" | "anomaly" | "attack" | "signature") => (IdsAlert, rated()),
        ("utm" | "webfilter" | "app-ctrl" | "dlp" | "emailfilter" | "waf", _) if refused => (AccessDenied, Severity::Low),
        // What a filter let pass, a page among it: the request itself is not logged.
        (_, "webfilter" | "app-ctrl" | "dns" | "ssl") => (ConnectionAllowed, Severity::Low),
        ("attack", _) => (IdsAlert, rated()),
        ("utm", _) => (DataTransfer, Severity::Low),
        ("event", _) => {
            let failed = matches!(word(record, "status"), "failed" | "failure" | "fail" | "authentication_failed")
                || action.ends_with("-fail")
                || action.ends_with("failure");
            let says = |part: &str| description.to_ascii_lowercase().contains(part);
            match action {
                "login" | "authentication" | "auth-logon" | "ssl-login-fail" | "tunnel-up" | "FSSO-logon" | "auth" if failed => {
                    (LoginFailed, Severity::Medium)
                }
                _ if says("login failed") || says("authentication failed") => (LoginFailed, Severity::Medium),
                "login" | "auth-logon" | "authentication" | "tunnel-up" | "fsso-logon" | "ssl-new-con" if !failed => {
                    (LoginSuccess, Severity::Low)
                }
                "logout" | "auth-logout" | "tunnel-down" | "fsso-logoff" => (Logout, Severity::Low),
                "add" | "edit" | "delete" | "move" if !word(record, "cfgpath").is_empty() => (ConfigChange, Severity::Medium),
                _ => (System, Severity::Low),
            }
        }
        _ => (Other, Severity::Low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> LogRecord<'_> {
        let mut record = LogRecord::text(text);
        let now = crate::record::Timestamp::from_secs(1_780_000_000);
        assert!(parse(text, &mut record, &Context { now, zone: &Zone::UTC, own: &[] }), "{text}");
        record
    }

    #[test]
    fn what_happened() {
        use EventType::*;
        #[rustfmt::skip]
        let table = [
            (r#"type="traffic" subtype="forward" action="deny""#, ConnectionBlocked, Severity::Low),
            (r#"type="traffic" subtype="local" action="close""#, ConnectionAllowed, Severity::Low),
            (r#"type="utm" subtype="virus" action="blocked" virus="EICAR""#, MalwareDetected, Severity::High),
            (r#"type="utm" subtype="ips" severity="critical" action="dropped""#, IdsAlert, Severity::Critical),
            (r#"type="utm" subtype="webfilter" action="blocked""#, AccessDenied, Severity::Low),
            (r#"type="utm" subtype="webfilter" action="passthrough""#, ConnectionAllowed, Severity::Low),
            (r#"type="event" subtype="system" action="login" status="success" user="admin""#, LoginSuccess, Severity::Low),
            (r#"type="event" subtype="system" action="login" status="failed" user="admin""#, LoginFailed, Severity::Medium),
            (r#"type="event" subtype="vpn" action="ssl-login-fail" user="mia""#, LoginFailed, Severity::Medium),
            (r#"type="event" subtype="vpn" action="tunnel-down" user="mia""#, Logout, Severity::Low),
            (r#"type="event" subtype="system" action="Edit" cfgpath="firewall.policy""#, ConfigChange, Severity::Medium),
        ];
        for (rest, event_type, severity) in table {
            let line = format!("date=2026-11-20 time=06:25:01 logid=\"1\" {rest}");
            let record = read(&line);
            assert_eq!((record.event_type, record.severity), (event_type, severity), "{rest}");
        }
    }

    #[test]
    fn columns() {
        let record = read(DIALECT.samples[0].split_once('>').unwrap().1);
        assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some("2026-11-20T06:25:01Z"));
        assert_eq!((record.src_ip, record.src_port), ("203.0.113.77".parse().ok(), Some(48312)));
        assert_eq!((record.dst_ip, record.dst_port), ("192.0.2.4".parse().ok(), Some(23)));
        assert_eq!((record.host.as_deref(), record.protocol.as_deref()), (Some("fw1"), Some("tcp")));
        assert_eq!(record.field("observer.ingress.interface.name"), Some(&"wan1".into()));
    }
}
