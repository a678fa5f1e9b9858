//! ESET Protect (and its forerunners ERA and ESMC): events as JSON behind a syslog header: `{"event_type":"Threat_Event","ipv4":"…",…}`.
//!
//! Source: "Events exported to JSON format" of the ESET PROTECT guide. `ipv4` and `hostname` are the machine that it is about. Severity: a threat is
//! high, attacks and a refused login are medium, the rest low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds, Member};
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Timestamp, Zone};

pub(super) const DIALECT: Dialect = Dialect {
    name: "eset_protect",
    product: "ESET Protect",
    reference: "https://help.eset.com/protect_admin/latest/en-US/events-exported-to-json-format.html",
    marks: &[App("ERAServer"), Begins("{\"event_type\":\""), Holds("\"occured\""), Member("\"occured\"")],
    parse,
    samples: &[
        r#"<12>Nov 20 06:25:01 protect1 ERAServer[811]: {"event_type":"Threat_Event","ipv4":"192.0.2.30","hostname":"pc7","source_uuid":"x","occured":"20-Nov-2026 06:25:00","severity":"Warning","threat_type":"test file","threat_name":"Eicar","scanner_id":"Real-time file system protection","object_uri":"file:///C:/x.com","action_taken":"Cleaned by deleting","username":"CORP\\mia"}"#,
        r#"<12>Nov 20 06:25:02 protect1 ERAServer[811]: {"event_type":"Audit_Event","ipv4":"203.0.113.77","hostname":"protect1","source_uuid":"x","occured":"20-Nov-2026 06:25:02","severity":"Warning","domain":"Native user","action":"Login attempt","detail":"Authenticating native user 'mia'.","user":"","result":"Failed"}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim();
    if !scan::has(text, "\"occured\"") || !scan::has(text, "\"event_type\"") || !fill::object(text, record, slots, context) {
        return false;
    }
    if let Some(time) = time(word(record, "eset.occured"), context.zone) {
        record.event_time = Some(time);
    }
    if record.username.is_none()
        && let Some(user) = word(record, "eset.detail")
            .split_once('\'')
            .and_then(|(_, user)| user.rsplit_once('\''))
            .map(|(user, _)| user.to_owned())
        && word(record, "event.code") == "Audit_Event"
    {
        fill::account(record, Cow::Owned(user));
    }
    let (event_type, severity) = meaning(record);
    is(record, "eset_protect", event_type, severity);
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Protocol, SrcIp, SrcPort, User};
    Some(match name {
        "event_type" => Field("event.code"), "hostname" => Host, "ipv4" | "ipv6" => Field("host.ip"), "occured" => Field("eset.occured"), "severity" => Field("log.level"),
        "username" | "user" => User, "action" | "action_taken" => Action, "detail" => Field("eset.detail"), "result" => Field("event.outcome"), "domain" => Field("eset.domain"),
        "source_address" => SrcIp, "source_port" => SrcPort, "target_address" => DstIp, "target_port" => DstPort, "protocol" => Protocol,
        "threat_name" => Field("threat.indicator.name"), "threat_type" => Field("eset.threat_type"), "object_uri" => Field("file.path"), "hash" => Field("file.hash.sha1"),
        "processname" | "process_name" => Field("process.executable"), "rulename" | "rule_name" => Field("rule.name"), "event" => Field("rule.description"), "inbound" => Field("eset.inbound"),
        _ => return None,
    })
}

/// `20-Nov-2026 06:25:00`.
fn time(text: &str, zone: &Zone) -> Option<Timestamp> {
    let (date, clock) = text.split_once(' ')?;
    let mut parts = date.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    scan::iso_time(&format!("{year}-{:02}-{day}T{clock}", scan::month(month)?), Some(zone))
}

fn meaning(record: &LogRecord<'_>) -> (EventType, Severity) {
    let action = record.action.as_deref().unwrap_or_default();
    let refused = action.contains("block") || action.contains("den");
    match word(record, "event.code") {
        "Threat_Event" => (EventType::MalwareDetected, Severity::High),
        "FirewallAggregated_Event" if record.src_ip.is_none() => (EventType::Other, Severity::Low),
        "FirewallAggregated_Event" if refused => (EventType::ConnectionBlocked, Severity::Low),
        "FirewallAggregated_Event" | "HipsAggregated_Event" | "EnterpriseInspectorAlert_Event" => {
            (EventType::IdsAlert, Severity::Medium)
        }
        "FilteredWebsites_Event" | "BlockedFiles_Event" => (EventType::AccessDenied, Severity::Low),
        "Audit_Event" if action.contains("login") || action.contains("logon") => {
            let failed = !word(record, "event.outcome").eq_ignore_ascii_case("success");
            if failed { (EventType::LoginFailed, Severity::Medium) } else { (EventType::LoginSuccess, Severity::Low) }
        }
        "Audit_Event" if action.contains("logout") => (EventType::Logout, Severity::Low),
        "Audit_Event" => (EventType::ConfigChange, Severity::Medium),
        _ => (EventType::Other, Severity::Low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn events() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (line, event_type, time) in [
            (DIALECT.samples[0], EventType::MalwareDetected, "2026-11-20T06:25:00Z"),
            (DIALECT.samples[1], EventType::LoginFailed, "2026-11-20T06:25:02Z"),
        ] {
            let record = parse::parse(line, &context);
            assert_eq!((record.event_type, record.username.as_deref()), (event_type, Some("mia")), "{line}");
            assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some(time), "{line}");
        }
    }
}
