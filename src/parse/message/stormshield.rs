//! Stormshield Network Security: `id=firewall time="2026-11-20 06:25:01" fw="fw1" tz=+0100 startime="…" pri=4 … src=… dst=… action=block logtype="filter"`.
//!
//! Source: Stormshield, "Understanding audit logs" (WELF, with fields of its own). Severity: an alarm has the one of its priority (0 and 1 high, to 4
//! medium), a virus is high, a failed login medium, the rest low.

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds};
use crate::parse::fill::Slot;
use crate::parse::fill::word;
use crate::parse::pairs::{self, SPACED};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "stormshield",
    product: "Stormshield Network Security",
    reference: "https://documentation.stormshield.eu/SNS/v4/en/Content/Description_of_Audit_logs/Understand_log_files.htm",
    marks: &[Begins("id=firewall time="), Holds("id=firewall time=")],
    parse,
    samples: &[
        r#"<13>1 2026-11-20T06:25:01+01:00 fw1 asqd - - - id=firewall time="2026-11-20 06:25:01" fw="fw1" tz=+0100 startime="2026-11-20 06:25:01" pri=5 confid=00 slotlevel=2 ruleid=9 srcif="Ethernet0" srcifname="out" ipproto=tcp proto=telnet src=203.0.113.77 srcport=48312 dst=192.0.2.4 dstport=23 dstportname=telnet action=block logtype="filter""#,
        r#"<13>1 2026-11-20T06:25:02+01:00 fw1 asqd - - - id=firewall time="2026-11-20 06:25:02" fw="fw1" tz=+0100 startime="2026-11-20 06:25:02" user="mia" src=203.0.113.77 ruleid=0 method="PLAIN" error=4 msg="Authentication request invalid" logtype="auth""#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some(at) = scan::find(text, "id=firewall time=").filter(|at| *at < 64) else { return false };
    // SonicWall and Connect Secure begin alike.
    if !scan::has(text, " fw=") || !(scan::has(text, " startime=") || scan::has(text, " logtype=")) {
        return false;
    }
    record.fields.reserve(32);
    pairs::fill(text.get(at..).unwrap_or(text), SPACED, record, slots, context);
    let time = format!("{}{}", word(record, "time"), word(record, "tz"));
    record.event_time = scan::iso_time(&time, Some(context.zone)).or(record.event_time);
    let (event_type, severity) = meaning(record);
    is(record, "stormshield", event_type, severity);
    true
}

fn meaning(record: &LogRecord<'_>) -> (EventType, Severity) {
    use EventType::*;
    let refused = matches!(record.action.as_deref(), Some("block" | "blocked" | "deny" | "reset"));
    let error = word(record, "error");
    let said = word(record, "event.reason").to_ascii_lowercase();
    let denied = said.contains("invalid")
        || said.contains("failed")
        || said.contains("bad ")
        || said.contains("refused")
        || said.contains("rejected");
    let failed = !matches!(error, "" | "0") || denied;
    match word(record, "logtype") {
        "virus" | "sandboxing" => (MalwareDetected, Severity::High),
        "alarm" => {
            let severity = match word(record, "pri") {
                "0" | "1" => Severity::High,
                "2" | "3" | "4" => Severity::Medium,
                _ => Severity::Low,
            };
            (IdsAlert, severity)
        }
        "auth" | "authstat" if failed => (LoginFailed, Severity::Medium),
        "auth" if said.contains("logout") || said.contains("logged out") || said.contains("expired") => (Logout, Severity::Low),
        "auth" => (LoginSuccess, Severity::Low),
        "server" if said.starts_with("login") && failed => (LoginFailed, Severity::Medium),
        "server" if said.starts_with("login") => (LoginSuccess, Severity::Low),
        "server" if said.starts_with("logout") || said.starts_with("quit") => (Logout, Severity::Low),
        "server" if said.starts_with("config ") => (ConfigChange, Severity::Medium),
        "system" | "monitor" | "server" | "count" | "filterstat" | "routerstat" => (System, Severity::Low),
        "vpn" | "xvpn" if failed => (AccessDenied, Severity::Medium),
        "web" | "plugin" if !word(record, "url.original").is_empty() && !refused => (HttpRequest, Severity::Low),
        _ if refused => (ConnectionBlocked, Severity::Low),
        _ if record.dst_ip.is_some() => (ConnectionAllowed, Severity::Low),
        _ => (Other, Severity::Low),
    }
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Nothing, Number, Protocol, SrcIp, SrcPort, User};
    Some(match name {
        "id" => Nothing, "fw" => Host, "src" | "address" => SrcIp, "srcport" => SrcPort, "dst" => DstIp, "dstport" => DstPort, "ipproto" => Protocol,
        "proto" => Field("network.protocol"), "action" => Action, "user" => User, "msg" => Field("event.reason"), "ruleid" => Field("rule.id"),
        "rulename" => Field("rule.name"), "srcifname" => Field("observer.ingress.interface.name"), "dstifname" => Field("observer.egress.interface.name"),
        "srcname" => Field("source.domain"), "dstname" => Field("destination.domain"), "srcmac" => Field("source.mac"), "dstmac" => Field("destination.mac"),
        "modsrc" => Field("source.nat.ip"), "modsrcport" => Number("source.nat.port"), "origdst" => Field("destination.nat.ip"),
        "origdstport" => Number("destination.nat.port"), "sent" => Number("source.bytes"), "rcvd" => Number("destination.bytes"),
        "op" => Field("http.request.method"), "arg" => Field("url.original"), "alarmid" => Field("event.code"), "virus" => Field("threat.indicator.name"),
        "domain" => Field("user.domain"), "srcgeo" => Field("source.geo.country_iso_code"), "dstgeo" => Field("destination.geo.country_iso_code"),
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
        let context = Context { now: Timestamp::from_secs(1_795_155_900), zone: &Zone::UTC, own: &[] };
        let record = parse::parse(DIALECT.samples[0], &context);
        assert_eq!((record.event_type, record.src_port, record.dst_port), (EventType::ConnectionBlocked, Some(48312), Some(23)));
        assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some("2026-11-20T05:25:01Z"));
        let record = parse::parse(DIALECT.samples[1], &context);
        assert_eq!((record.event_type, record.username.as_deref()), (EventType::LoginFailed, Some("mia")));
        let mut record = LogRecord::text("");
        assert!(!parse("id=firewall time=\"2026-11-20 06:25:01\" fw=192.0.2.1 vpn=x", &mut record, &context));
    }
}
