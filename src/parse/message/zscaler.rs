//! Zscaler Internet Access by NSS, as JSON: `{"sourcetype":"zscalernss-web","event":{"time":"…","login":"…","action":"Blocked",…}}`, and Private
//! Access by LSS.
//!
//! Sources: "NSS Feed Output Format" (web, firewall, DNS, tunnel) and "About User Status Log Fields" of the ZPA help. Severity: a page that was
//! blocked for a threat is high, what was refused otherwise and connections are low.

use super::alert;
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds, Member};
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan, timestamp};
use crate::record::{EventType, LogRecord, Severity, Timestamp};

pub(super) const DIALECT: Dialect = Dialect {
    name: "zscaler",
    product: "Zscaler Internet Access and Private Access",
    reference: "https://help.zscaler.com/zia/nss-feed-output-format-web-logs",
    marks: &[
        Member("zscalernss-"),
        Member("\"ZENLatitude\""),
        Member("\"AuditOperationType\""),
        Begins("{\"sourcetype\""),
        Holds("ZscalerNSS: "),
    ],
    parse,
    samples: &[
        r#"{"sourcetype":"zscalernss-web","event":{"datetime":"2026-11-20 06:25:01","login":"mia@example.org","proto":"HTTPS","eurl":"www.example.com/x","action":"Allowed","cip":"192.0.2.30","sip":"203.0.113.77","reqmethod":"GET","respcode":"200","threatname":"None"}}"#,
        r#"{"sourcetype":"zscalernss-fw","event":{"datetime":"Fri Nov 20 06:25:02 2026","user":"mia@example.org","action":"Drop","csip":"192.0.2.30","csport":"48312","sdip":"203.0.113.77","sdport":"23","proto":"TCP","rulelabel":"no telnet"}}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if let Some((_, what)) = scan::cut(text, "ZscalerNSS: ") {
        return feeder(what, record);
    }
    let has = |name: &str| scan::has(text, name);
    let is_access = has("zscalernss-");
    let is_private = has("\"ZENLatitude\"") && has("\"Customer\"");
    let is_audit = has("\"AuditOperationType\"") && has("\"CustomerID\"");
    if !(is_access || is_private || is_audit) || !fill::object(text, record, slots, context) {
        return false;
    }
    let named = word(record, "zscaler.datetime").to_owned();
    if let Some(time) = asctime(&named, context) {
        record.event_time = Some(time);
    }
    let (event_type, severity) =
        if is_audit { (EventType::ConfigChange, Severity::Medium) } else { meaning(record, word(record, "zscaler.feed")) };
    is(record, "zscaler", event_type, severity);
    true
}

/// What the feeder says of itself: `Zscaler cloud configuration connection to  192.0.2.9:443 lost and unavailable for …`.
fn feeder<'a>(what: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((_, to)) = scan::cut(what, " connection to ") else { return false };
    let (host, port) = scan::host_port(to.trim_start().split(' ').next().unwrap_or_default());
    let Some(ip) = scan::ip(host) else { return false };
    (record.dst_ip, record.dst_port) = (Some(ip), port);
    record.app = Some("ZscalerNSS".into());
    let severity = if what.contains(" lost") { Severity::Medium } else { Severity::Low };
    is(record, "zscaler", EventType::ServiceChange, severity);
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Number, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name.strip_prefix("event.").unwrap_or(name) {
        "sourcetype" => Field("zscaler.feed"), "time" | "CreationTime" => Time, "datetime" | "LogTimestamp" => Field("zscaler.datetime"),
        "login" | "user" | "Username" | "User" => User, "action" => Action, "SessionStatus" => Action,
        "cip" | "csip" | "clt_sip" | "sourceip" => SrcIp, "PublicIP" => SrcIp, "csport" | "sourceport" | "clt_sport" => SrcPort,
        "sip" | "sdip" | "srv_dip" | "destinationip" => DstIp, "sdport" | "srv_dport" => DstPort, "proto" => Protocol, "PrivateIP" => Field("zscaler.private_ip"),
        "cintip" | "tsip" => Field("source.nat.ip"), "ssip" => Field("zscaler.server_source_ip"), "cdip" => Field("zscaler.client_destination_ip"),
        "eurl" | "url" => Field("url.original"), "host" | "ehost" => Field("url.domain"), "reqmethod" => Field("http.request.method"), "respcode" => Number("http.response.status_code"),
        "eua" | "ua" => Field("user_agent.original"), "ereferer" => Field("http.request.referrer"), "reqsize" | "outbytes" | "txbytes" => Number("source.bytes"), "respsize" | "inbytes" | "rxbytes" => Number("destination.bytes"),
        "rulelabel" => Field("rule.name"), "threatname" => Field("threat.indicator.name"), "malwarecat" | "threatcat" => Field("zscaler.threat_category"),
        "urlcat" => Field("url.category"), "riskscore" => Field("event.risk_score"), "devicehostname" | "Hostname" => Field("source.domain"), "location" | "locationname" => Field("zscaler.location"),
        "dns_req" => Field("dns.question.name"), "dns_reqtype" => Field("dns.question.type"), "nwapp" | "appname" => Field("network.application"), "nwsvc" => Field("network.protocol"),
        _ => return None,
    })
}

/// `Fri Nov 20 06:25:02 2026`; some write two spaces before a day that has two digits.
fn asctime(text: &str, context: &Context<'_>) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace();
    let (_, month, day, clock, year) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let (month, day) = (scan::month(month)?, day.parse::<u8>().ok()?);
    let plain = format!("{year}-{month:02}-{day:02}T{clock}");
    scan::iso_time(&plain, Some(context.zone)).or_else(|| timestamp::reading(text).ok()?.1.instant(context))
}

fn meaning(record: &LogRecord<'_>, feed: &str) -> (EventType, Severity) {
    let action = record.action.as_deref().unwrap_or_default();
    let refused = alert::is_refusal(action);
    let threat = !matches!(word(record, "threat.indicator.name"), "" | "None" | "none" | "NA");
    if feed.ends_with("-web") {
        return match (refused, threat) {
            (true, true) => (EventType::MalwareDetected, Severity::High),
            (false, true) => (EventType::MalwareDetected, Severity::High),
            // A page that was blocked is still a request.
            _ => (EventType::HttpRequest, Severity::Low),
        };
    }
    if feed.ends_with("-fw") {
        return match (refused, threat) {
            (_, true) => (EventType::IdsAlert, Severity::Medium),
            (true, _) => (EventType::ConnectionBlocked, Severity::Low),
            _ if alert::is_permission(action) => (EventType::ConnectionAllowed, Severity::Low),
            _ => (EventType::Other, Severity::Low),
        };
    }
    match action {
        "zpn_status_authenticated" => (EventType::LoginSuccess, Severity::Low),
        "zpn_status_auth_failed" => (EventType::LoginFailed, Severity::Medium),
        "zpn_status_disconnected" => (EventType::Logout, Severity::Low),
        _ => (EventType::Other, Severity::Low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Zone;

    #[test]
    fn feeds() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let read = |text: &'static str| {
            let mut record = LogRecord::text(text);
            assert!(parse(text, &mut record, &context), "{text}");
            record
        };
        let web = read(DIALECT.samples[0]);
        assert_eq!(
            (web.event_type, web.username.as_deref(), web.dst_ip),
            (EventType::HttpRequest, Some("mia"), "203.0.113.77".parse().ok())
        );
        let firewall = read(DIALECT.samples[1]);
        assert_eq!((firewall.event_type, firewall.dst_port), (EventType::ConnectionBlocked, Some(23)));
        assert_eq!(firewall.event_time.map(|time| time.to_string()).as_deref(), Some("2026-11-20T06:25:02Z"));
    }
}
