//! The Open Cybersecurity Schema Framework as JSON, whoever writes it: Amazon Security Lake, Cisco, CrowdStrike, Okta, Splunk and others.
//!
//! Source: OCSF schema 1.0 to 1.5, classes and their `activity_id`, `status_id`, `disposition_id`, `severity_id`; version 1.0's Security Finding
//! (2001) has its title elsewhere. Who was addressed, or is acted on, is `user`; who acts is `actor.user`, and is the account where there is no other.
//! Severity follows `severity_id`: fatal, critical and high are high, medium is medium, the rest low; changes of accounts are medium at least.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::{self, Slot, account};
use crate::parse::{Context, json};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "ocsf",
    product: "OCSF",
    reference: "https://schema.ocsf.io/",
    marks: &[Member("\"class_uid\"")],
    parse,
    samples: &[
        r#"{"activity_id":1,"activity_name":"Logon","category_uid":3,"class_name":"Authentication","class_uid":3002,"device":{"hostname":"sso1"},"message":"Password was wrong","metadata":{"product":{"name":"Sign On","vendor_name":"Example"},"version":"1.3.0"},"severity_id":1,"src_endpoint":{"ip":"203.0.113.77","port":48312},"status_id":2,"time":1795155901250,"user":{"domain":"CORP","name":"mia"}}"#,
        r#"{"activity_id":5,"activity_name":"Refuse","category_uid":4,"class_uid":4001,"connection_info":{"protocol_name":"tcp"},"disposition":"Blocked","disposition_id":2,"dst_endpoint":{"ip":"192.0.2.4","port":22},"metadata":{"version":"1.5.0"},"severity_id":1,"src_endpoint":{"ip":"203.0.113.77","port":48313},"time":1795155902000}"#,
        r#"{"activity_id":1,"activity_name":"Create","attacks":[{"technique":{"name":"Brute Force","uid":"T1110"}}],"category_uid":2,"class_uid":2004,"finding_info":{"title":"Password guessing","uid":"f-1"},"metadata":{"version":"1.3.0"},"severity_id":4,"time":1795155903000}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !fill::object(text, record, slots, context) {
        return false;
    }
    let number = |name: &str| match record.field(name) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let Some(class) = number("class_uid").filter(|class| (1000..10_000).contains(class)) else { return false };
    // What every event has to have; another schema may have classes, too.
    if number("activity_id").is_none() && number("category_uid").is_none() {
        return false;
    }
    let event = Event {
        class,
        activity: number("activity_id").unwrap_or(0),
        succeeded: match number("status_id") {
            Some(1) => Some(true),
            Some(2) => Some(false),
            _ => None,
        },
        // Blocked, quarantined, isolated, deleted, dropped; denied.
        refused: matches!(number("disposition_id"), Some(2..=6)) || number("action_id") == Some(2),
        has_malware: record.field("malware").is_some(),
        severity: match number("severity_id") {
            Some(4..=6) => Severity::High,
            Some(3) => Severity::Medium,
            _ => Severity::Low,
        },
    };
    if record.username.is_none()
        && let Some(Value::Str(actor)) = record.field("actor.user.name").cloned()
    {
        account(record, actor);
    }
    technique(record);
    event.mean(record);
    true
}

/// What says what happened.
struct Event {
    class: i64,
    activity: i64,
    succeeded: Option<bool>,
    refused: bool,
    has_malware: bool,
    severity: Severity,
}

impl Event {
    fn mean(&self, record: &mut LogRecord<'_>) {
        use EventType::{
            AccountChange, ConnectionAllowed, ConnectionBlocked, HttpRequest, IdsAlert, Logout, MalwareDetected, Other,
            PrivilegeUse,
        };
        let action = record.action.take();
        match (self.class, self.activity, self.succeeded) {
            // A logon, a ticket to get tickets, what comes before one.
            (3002, 1 | 3 | 6, Some(false)) => failed(record, "ocsf", "authentication", ToldBy::Service),
            (3002, 1 | 3, Some(true)) => succeeded(record, "ocsf", "authentication"),
            _ => {
                let event_type = match (self.class, self.activity) {
                    (3002, 2) => Logout,
                    (3001 | 3004..=3006, _) => AccountChange,
                    (3003, _) => PrivilegeUse,
                    (4002, _) => HttpRequest,
                    (4001..=4999, _) if self.refused => ConnectionBlocked,
                    (4001, 5) => ConnectionBlocked,
                    (4001, 1 | 2 | 6) => ConnectionAllowed,
                    (1001..=2999, _) if self.has_malware => MalwareDetected,
                    (2001 | 2004 | 2005, _) => IdsAlert,
                    _ => Other,
                };
                let least = if event_type == AccountChange { Severity::Medium } else { Severity::Low };
                is(record, "ocsf", event_type, self.severity.max(least));
                if let Some(went_well) = self.succeeded {
                    record.set("event.outcome", if went_well { "success" } else { "failure" });
                }
            }
        }
        record.action = action.or(record.action.take());
    }
}

/// The first technique of ATT&CK that is named.
fn technique(record: &mut LogRecord<'_>) {
    let Some(Value::Json(attacks)) = record.field("attacks").or_else(|| record.field("finding_info.attacks")) else { return };
    let mut found = None;
    json::elements(attacks, |attack| {
        json::inner_members(attack, |name, technique| {
            if name == "technique" {
                json::inner_members(technique, |name, uid| {
                    if name == "uid" && found.is_none() {
                        found = Some(json::string(uid).into_owned());
                    }
                });
            }
        });
    });
    if let Some(technique) = found {
        record.set("threat.technique.id", Value::Str(Cow::Owned(technique)));
    }
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Message, Number, Pid, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "time" => Time, "device.hostname" => Host, "message" => Message, "activity_name" => Action, "process.pid" => Pid,
        "user.name" => User, "user.domain" => Field("user.domain"), "user.uid" => Field("user.id"), "user.email_addr" => Field("user.email"),
        "src_endpoint.ip" => SrcIp, "src_endpoint.port" => SrcPort, "src_endpoint.hostname" => Field("source.domain"), "src_endpoint.mac" => Field("source.mac"),
        "dst_endpoint.ip" => DstIp, "dst_endpoint.port" => DstPort, "dst_endpoint.hostname" => Field("destination.domain"), "dst_endpoint.mac" => Field("destination.mac"),
        "connection_info.protocol_name" => Protocol, "connection_info.direction" => Field("network.direction"),
        "traffic.bytes_out" => Number("source.bytes"), "traffic.bytes_in" => Number("destination.bytes"),
        "traffic.packets_out" => Number("source.packets"), "traffic.packets_in" => Number("destination.packets"),
        "http_request.http_method" => Field("http.request.method"), "http_request.url.url_string" => Field("url.original"),
        "http_request.url.hostname" => Field("url.domain"), "http_request.url.path" => Field("url.path"), "http_request.user_agent" => Field("user_agent.original"),
        "http_response.code" => Number("http.response.status_code"),
        "query.hostname" => Field("dns.question.name"), "query.type" => Field("dns.question.type"), "rcode" => Field("dns.response_code"),
        "finding_info.title" | "finding.title" => Field("rule.name"), "finding_info.uid" | "finding.uid" => Field("event.id"),
        "firewall_rule.name" => Field("rule.name"), "firewall_rule.uid" => Field("rule.id"),
        "process.name" => Field("process.name"), "process.cmd_line" => Field("process.command_line"), "process.file.path" => Field("process.executable"),
        "file.name" => Field("file.name"), "file.path" => Field("file.path"), "status_detail" => Field("event.reason"),
        "metadata.product.name" => Field("observer.product"), "metadata.product.vendor_name" => Field("observer.vendor"), "metadata.event_code" => Field("event.code"),
        "api.operation" => Field("event.action"), "cloud.provider" => Field("cloud.provider"), "cloud.account.uid" => Field("cloud.account.id"), "cloud.region" => Field("cloud.region"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    fn read(text: &str) -> Option<LogRecord<'_>> {
        let mut record = LogRecord::text(text);
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        parse(text, &mut record, &context).then_some(record)
    }

    #[test]
    fn columns() {
        let login = read(DIALECT.samples[0]).unwrap();
        assert_eq!((login.event_type, login.severity), (EventType::LoginFailed, Severity::Medium));
        assert_eq!((login.username.as_deref(), login.host.as_deref()), (Some("mia"), Some("sso1")));
        assert_eq!((login.src_ip, login.src_port), ("203.0.113.77".parse().ok(), Some(48_312)));
        assert_eq!(login.event_time, Some(Timestamp::from_micros(1_795_155_901_250_000)));
        assert_eq!((&*login.message, login.action.as_deref()), ("Password was wrong", Some("logon")));
        assert_eq!(login.field("user.domain"), Some(&"CORP".into()));
        let refused = read(DIALECT.samples[1]).unwrap();
        assert_eq!(
            (refused.event_type, refused.protocol.as_deref(), refused.dst_port),
            (EventType::ConnectionBlocked, Some("tcp"), Some(22))
        );
        let finding = read(DIALECT.samples[2]).unwrap();
        assert_eq!((finding.event_type, finding.severity), (EventType::IdsAlert, Severity::High));
        assert_eq!(finding.field("threat.technique.id"), Some(&"T1110".into()));
        assert_eq!(finding.field("rule.name"), Some(&"Password guessing".into()));
    }

    #[test]
    fn classes() {
        use EventType::*;
        #[rustfmt::skip]
        let table = [
            (r#""class_uid":3002,"activity_id":1,"status_id":1,"user":{"name":"mia"}"#, LoginSuccess, "mia"),
            (r#""class_uid":3002,"activity_id":2,"status_id":1,"user":{"name":"mia"}"#, Logout, "mia"),
            (r#""class_uid":3002,"activity_id":4,"status_id":2,"user":{"name":"mia"}"#, Other, "mia"),
            (r#""class_uid":3001,"activity_id":6,"actor":{"user":{"name":"ada"}},"user":{"name":"mia"}"#, AccountChange, "mia"),
            (r#""class_uid":6003,"activity_id":1,"actor":{"user":{"name":"ada@example.org"}}"#, Other, "ada"),
            (r#""class_uid":4001,"activity_id":6,"action_id":2"#, ConnectionBlocked, ""),
            (r#""class_uid":4001,"activity_id":1"#, ConnectionAllowed, ""),
            (r#""class_uid":4002,"activity_id":3,"http_response":{"code":200}"#, HttpRequest, ""),
            (r#""class_uid":2004,"activity_id":1,"malware":[{"name":"x"}]"#, MalwareDetected, ""),
        ];
        for (members, event_type, user) in table {
            let line = format!(r#"{{"time":1795155901250,{members}}}"#);
            let record = read(&line).unwrap();
            assert_eq!((record.event_type, record.username.as_deref().unwrap_or("")), (event_type, user), "{line}");
        }
        for other in [r#"{"class_uid":"x","activity_id":1}"#, r#"{"class_uid":3002}"#, r#"{"class_uid":12,"activity_id":1}"#] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
