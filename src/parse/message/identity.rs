//! Identity providers in the cloud: Okta's System Log, and the sign-ins and changes of Microsoft Entra ID as Azure Monitor and Microsoft Graph hand
//! them out.
//!
//! Sources: Okta developer documentation, "System Log API" and "Event types"; Microsoft Learn, "Entra activity log schemas", "signIn resource type"
//! and "Entra authentication and authorization error codes". Severity: failed logins and changes of accounts are medium, what Okta takes for a threat
//! is high, the rest low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::{self, Slot, account, word};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const OKTA: Dialect = Dialect {
    name: "okta",
    product: "Okta: System Log",
    reference: "https://developer.okta.com/docs/reference/api/system-log/",
    marks: &[Member("\"alternateId\""), Member("\"displayMessage\"")],
    parse: okta,
    samples: &[
        r#"{"actor":{"alternateId":"mia@example.org","displayName":"Mia","id":"00u1","type":"User"},"client":{"ipAddress":"203.0.113.77","userAgent":{"rawUserAgent":"Mozilla/5.0"}},"displayMessage":"User login to Okta","eventType":"user.session.start","outcome":{"reason":"INVALID_CREDENTIALS","result":"FAILURE"},"published":"2026-11-20T06:25:01.250Z","severity":"WARN","uuid":"e1"}"#,
        r#"{"actor":{"alternateId":"ada@example.org","id":"00u2","type":"User"},"client":{"ipAddress":"198.51.100.23"},"displayMessage":"Add user to group membership","eventType":"group.user_membership.add","outcome":{"result":"SUCCESS"},"published":"2026-11-20T06:26:01.000Z","severity":"INFO","target":[{"alternateId":"mia@example.org","type":"User"}],"uuid":"e2"}"#,
    ],
};

pub(super) const ENTRA: Dialect = Dialect {
    name: "entra_id",
    product: "Microsoft Entra ID: sign-ins and audit",
    reference: "https://learn.microsoft.com/en-us/entra/identity/monitoring-health/concept-activity-log-schemas",
    marks: &[Member("SignInLogs\""), Member("\"AuditLogs\""), Member("\"userPrincipalName\"")],
    parse: entra,
    samples: &[
        r#"{"time":"2026-11-20T06:25:01.2500000Z","resourceId":"/tenants/t1/providers/Microsoft.aadiam","operationName":"Sign-in activity","category":"SignInLogs","resultType":"50126","resultDescription":"Invalid username or password.","callerIpAddress":"203.0.113.77","properties":{"userPrincipalName":"mia@example.org","appDisplayName":"Portal","ipAddress":"203.0.113.77","status":{"errorCode":50126}}}"#,
        r#"{"id":"s2","createdDateTime":"2026-11-20T06:26:01Z","userPrincipalName":"mia@example.org","appDisplayName":"Portal","ipAddress":"198.51.100.23","clientAppUsed":"Browser","status":{"errorCode":0,"failureReason":"Other."}}"#,
        r#"{"time":"2026-11-20T06:27:01Z","operationName":"Add member to role","category":"AuditLogs","resultType":"","properties":{"category":"RoleManagement","result":"success","initiatedBy":{"user":{"userPrincipalName":"ada@example.org","ipAddress":"198.51.100.23"}}}}"#,
    ],
};

fn okta<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let is_okta = ["\"eventType\"", "\"published\"", "\"outcome\""].iter().all(|name| scan::has(text, name));
    if !is_okta || !fill::object(text, record, okta_slots, context) {
        return false;
    }
    let Some(event) = record.action.take() else { return false };
    let result = word(record, "okta.outcome.result").to_owned();
    let of = |prefix: &str| event.starts_with(prefix);
    let is_login = of("user.session.start") || of("user.authentication.");
    match &*result {
        "SUCCESS" if is_login => succeeded(record, "okta", ""),
        "FAILURE" if is_login => failed(record, "okta", "", ToldBy::Service),
        _ => {
            let (event_type, severity) = match () {
                () if result == "DENY" => (EventType::AccessDenied, Severity::Medium),
                () if of("user.session.end") => (EventType::Logout, Severity::Low),
                () if of("security.threat.") || of("security.attack.") => (EventType::IdsAlert, Severity::High),
                () if ["user.lifecycle.", "user.account.", "user.mfa.factor.", "group.", "user.credential."]
                    .iter()
                    .any(|p| of(p)) =>
                {
                    (EventType::AccountChange, Severity::Medium)
                }
                () if of("policy.evaluate") => (EventType::Other, Severity::Low),
                () if ["policy.", "application.lifecycle.", "system.api_token.", "zone."].iter().any(|p| of(p)) => {
                    (EventType::ConfigChange, Severity::Medium)
                }
                () => (EventType::Other, Severity::Low),
            };
            is(record, "okta", event_type, severity);
            match &*result {
                "SUCCESS" | "ALLOW" => record.set("event.outcome", "success"),
                "FAILURE" | "DENY" => record.set("event.outcome", "failure"),
                _ => {}
            }
        }
    }
    record.action = Some(event);
    true
}

#[rustfmt::skip]
fn okta_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, Field, Message, SrcIp, Time, User};
    Some(match name {
        "published" => Time, "actor.alternateId" => User, "actor.id" => Field("user.id"), "actor.displayName" => Field("user.full_name"),
        "client.ipAddress" => SrcIp, "client.userAgent.rawUserAgent" => Field("user_agent.original"), "client.device" => Field("client.device"),
        "eventType" => Action, "displayMessage" => Message, "uuid" => Field("event.id"), "severity" => Field("log.level"),
        "outcome.result" => Field("okta.outcome.result"), "outcome.reason" => Field("event.reason"),
        "client.geographicalContext.country" => Field("source.geo.country_name"), "client.geographicalContext.city" => Field("source.geo.city_name"),
        _ => return None,
    })
}

/// Error codes that interrupt a sign-in to ask for more: nobody's secret was wrong.
const INTERRUPTS: [i64; 15] =
    [16_000, 16_001, 50_055, 50_058, 50_072, 50_074, 50_076, 50_079, 50_097, 50_125, 50_127, 50_129, 50_140, 51_006, 65_001];

fn entra<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let has = |name: &str| scan::has(text, name);
    let is_graph = has("\"createdDateTime\"") && has("\"errorCode\"");
    let is_monitor = has("\"operationName\"") && has("\"category\"") && (has("SignInLogs\"") || has("\"AuditLogs\""));
    if !(is_graph || is_monitor) || !fill::object(text, record, entra_slots, context) {
        return false;
    }
    if record.username.is_none()
        && let Some(Value::Str(actor)) = record.field("initiatedBy.user").cloned()
    {
        account(record, actor);
    }
    let category = word(record, "entra.category").to_owned();
    if category == "AuditLogs" {
        let about_accounts =
            ["UserManagement", "GroupManagement", "RoleManagement", "DirectoryManagement"].contains(&word(record, "category"));
        let event_type = if about_accounts { EventType::AccountChange } else { EventType::ConfigChange };
        is(record, "entra_id", event_type, Severity::Medium);
        return true;
    }
    let code = match (record.field("error.code"), record.field("resultType")) {
        (Some(Value::Int(code)), _) => Some(*code),
        (_, Some(Value::Str(code))) => code.parse().ok(),
        (_, Some(Value::Int(code))) => Some(*code),
        _ => None,
    };
    match code {
        Some(0) => succeeded(record, "entra_id", "sign_in"),
        Some(code) if INTERRUPTS.contains(&code) => {
            is(record, "entra_id", EventType::AccessDenied, Severity::Low);
            record.action = Some(Cow::Borrowed("sign_in"));
        }
        Some(_) => failed(record, "entra_id", "sign_in", ToldBy::Service),
        None => is(record, "entra_id", EventType::Other, Severity::Low),
    }
    true
}

#[rustfmt::skip]
fn entra_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, Field, Number, SrcIp, Time, User};
    Some(match name {
        "time" | "createdDateTime" => Time, "category" => Field("entra.category"), "operationName" => Action,
        "userPrincipalName" | "properties.userPrincipalName" => User, "callerIpAddress" | "ipAddress" => SrcIp,
        // The same again, unless nothing else has it.
        "properties.ipAddress" | "properties.initiatedBy.user.ipAddress" => SrcIp,
        "properties.initiatedBy.user.userPrincipalName" => Field("initiatedBy.user"), "properties.category" => Field("category"),
        "status.errorCode" | "properties.status.errorCode" => Number("error.code"),
        "resultDescription" | "status.failureReason" | "properties.status.failureReason" => Field("event.reason"),
        "appDisplayName" | "properties.appDisplayName" => Field("service.name"), "properties.userId" | "userId" => Field("user.id"),
        "properties.userDisplayName" | "userDisplayName" => Field("user.full_name"), "correlationId" | "properties.correlationId" => Field("event.correlation_id"),
        "properties.id" | "id" => Field("event.id"), "properties.userAgent" | "userAgent" => Field("user_agent.original"),
        "location.countryOrRegion" | "properties.location.countryOrRegion" => Field("source.geo.country_iso_code"),
        "location.city" | "properties.location.city" => Field("source.geo.city_name"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn what_happened() {
        use EventType::*;
        let okta = |event: &str, result: &str| {
            format!(
                r#"{{"actor":{{"alternateId":"mia@example.org"}},"client":{{"ipAddress":"203.0.113.77"}},"eventType":"{event}","outcome":{{"result":"{result}"}},"published":"2026-11-20T06:25:01.250Z","displayMessage":"x"}}"#
            )
        };
        let sign_in = |code: u32| {
            format!(
                r#"{{"time":"2026-11-20T06:25:01.25Z","operationName":"Sign-in activity","category":"NonInteractiveUserSignInLogs","resultType":"{code}","callerIpAddress":"203.0.113.77","properties":{{"userPrincipalName":"mia@example.org"}}}}"#
            )
        };
        for (line, event_type) in [
            (OKTA.samples[0].to_owned(), LoginFailed),
            (okta("user.session.start", "SUCCESS"), LoginSuccess),
            (okta("user.session.end", "SUCCESS"), Logout),
            (okta("user.lifecycle.create", "SUCCESS"), AccountChange),
            (okta("policy.evaluate_sign_on", "DENY"), AccessDenied),
            (okta("policy.evaluate_sign_on", "ALLOW"), Other),
            (okta("policy.rule.update", "SUCCESS"), ConfigChange),
            (okta("security.threat.detected", "SUCCESS"), IdsAlert),
            (ENTRA.samples[0].to_owned(), LoginFailed),
            (sign_in(0), LoginSuccess),
            (sign_in(50_126), LoginFailed),
            (sign_in(50_140), AccessDenied),
        ] {
            let context = Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own: &[] };
            let record = crate::parse::parse(&line, &context);
            assert_eq!((record.event_type, record.username.as_deref()), (event_type, Some("mia")), "{line}");
            assert_eq!(record.src_ip, "203.0.113.77".parse().ok(), "{line}");
            assert_eq!(record.event_time, Some(Timestamp::from_micros(1_795_155_901_250_000)), "{line}");
            assert_eq!(record.field("user.domain"), Some(&"example.org".into()), "{line}");
        }
    }

    #[test]
    fn other_forms() {
        let read = |text| {
            let record = crate::parse::parse(text, &Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own: &[] });
            (record.format.message, record.event_type, record.username.map(Cow::into_owned), record.src_ip)
        };
        let ip = "198.51.100.23".parse().ok();
        assert_eq!(read(ENTRA.samples[1]), ("entra_id", EventType::LoginSuccess, Some("mia".into()), ip));
        assert_eq!(read(ENTRA.samples[2]), ("entra_id", EventType::AccountChange, Some("ada".into()), ip));
        assert_eq!(read(OKTA.samples[1]), ("okta", EventType::AccountChange, Some("ada".into()), ip));
        assert_ne!(read(r#"{"userPrincipalName":"x","time":1795155901}"#).0, "entra_id");
    }
}
