//! Keycloak's events: `type=LOGIN_ERROR, realmId=…, clientId=…, userId=…, ipAddress=…, error=…`, and what the provider adds. Since 24 values stand
//! in quotes.
//!
//! Source: Server Administration Guide, "Auditing and events". A failed login is medium, as is a change of an account; the rest is low.

use super::{failed, is, succeeded};
use crate::parse::Context;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds, Line};
use crate::parse::fill::Slot;
use crate::parse::pairs::{self, Style};
use crate::parse::timestamp;
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "keycloak",
    product: "Keycloak: events",
    reference: "https://www.keycloak.org/docs/latest/server_admin/#auditing-user-events",
    marks: &[
        Line(") type="),
        Line(" type=LOGIN"),
        Line(" type=\"LOGIN"),
        Holds(") type="),
        Holds(" type=LOGIN"),
        Begins("type=LOGIN"),
        Begins("type=\"LOGIN"),
        Begins("type=\"LOGOUT"),
        Begins("type=LOGOUT"),
    ],
    parse,
    samples: &[
        "2026-11-20 06:25:01,357 WARN  [org.keycloak.events] (executor-thread-1) type=LOGIN_ERROR, realmId=shop, clientId=account, userId=null, ipAddress=203.0.113.77, error=user_not_found, auth_method=openid-connect, username=mia",
        "2026-11-20 06:25:01,357 DEBUG [org.keycloak.events] (executor-thread-1) type=\"LOGIN\", realmId=\"shop\", clientId=\"account\", userId=\"77\", ipAddress=\"203.0.113.77\", username=\"mia\"",
    ],
};

const LISTED: Style = Style { equals: b'=', separator: b',' };

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let (head, list) = match text.find(") type=") {
        Some(at) => (&text[..at], &text[at + 2..]),
        None if text.starts_with("type=") => ("", text),
        None => return false,
    };
    let Some((kind, rest)) = list.strip_prefix("type=").and_then(|list| list.split_once(',')) else { return false };
    let kind = kind.trim_matches('"');
    let is_kind = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if !is_kind || !(rest.starts_with(" realmId=") || rest.starts_with(" realmName=")) {
        return false;
    }
    if let Ok((_, reading)) = timestamp::reading(head) {
        record.event_time = reading.instant(context).or(record.event_time);
    }
    // Who asked is named before what the client sent.
    pairs::fill(rest, LISTED, record, slots, context);
    if let Some(Value::Str(id)) = record.field("user.id")
        && id == "null"
    {
        record.fields.retain(|(name, _)| name != "user.id");
    }
    record.app.get_or_insert("keycloak".into());
    match kind {
        "LOGIN_ERROR" => failed(record, "keycloak", "login", ToldBy::Service),
        "LOGIN" => succeeded(record, "keycloak", "login"),
        "LOGOUT" => is(record, "keycloak", EventType::Logout, Severity::Low),
        "REGISTER" | "UPDATE_PASSWORD" | "UPDATE_EMAIL" | "UPDATE_TOTP" | "REMOVE_TOTP" | "DELETE_ACCOUNT" | "RESET_PASSWORD"
        | "UPDATE_CREDENTIAL" | "REMOVE_CREDENTIAL" => is(record, "keycloak", EventType::AccountChange, Severity::Medium),
        _ if kind.ends_with("_ERROR") => is(record, "keycloak", EventType::AccessDenied, Severity::Medium),
        _ => is(record, "keycloak", EventType::Other, Severity::Low),
    }
    record.action =
        Some(if kind.bytes().any(|b| b.is_ascii_uppercase()) { kind.to_ascii_lowercase().into() } else { kind.into() });
    true
}

fn slots(name: &str) -> Option<Slot> {
    use Slot::{Field, SrcIp, User};
    Some(match name {
        "username" => User,
        "ipAddress" => SrcIp,
        "realmId" => Field("keycloak.realm.id"),
        "realmName" => Field("user.domain"),
        "clientId" => Field("keycloak.client.id"),
        "userId" => Field("user.id"),
        "error" => Field("event.reason"),
        "redirect_uri" => Field("url.original"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn events() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (sample, event_type) in DIALECT.samples.iter().zip([EventType::LoginFailed, EventType::LoginSuccess]) {
            let mut record = LogRecord::text("");
            assert!(parse(sample, &mut record, &context));
            assert_eq!((record.event_type, record.username.as_deref()), (event_type, Some("mia")), "{sample}");
            assert_eq!(record.src_ip, "203.0.113.77".parse().ok());
            assert_eq!(record.event_time, Timestamp::parse_rfc3339("2026-11-20T06:25:01.357Z").ok());
        }
        let mut record = LogRecord::text("");
        let forged = "type=LOGIN_ERROR, realmId=a, clientId=b, userId=null, ipAddress=192.0.2.7, error=x, username=mia, ipAddress=198.51.100.1";
        assert!(parse(forged, &mut record, &context));
        assert_eq!((record.src_ip, record.event_time), ("192.0.2.7".parse().ok(), None));
    }
}
