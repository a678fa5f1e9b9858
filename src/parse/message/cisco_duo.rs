//! Cisco Duo's logs as its Admin API hands them out: JSON of authentications, of what administrators did, and of telephony.
//!
//! Source: Duo Admin API, "Logs". A refused authentication is medium, one that its user called a fraud high, the rest routine; changes of accounts are medium.

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::{self, Slot};
use crate::parse::token::{ip_and_port, port_number};
use crate::parse::{Context, json, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cisco_duo",
    product: "Cisco Duo",
    reference: "https://duo.com/docs/adminapi#logs",
    marks: &[
        Member("\"isotimestamp\""),
        Member("\"new_enrollment\""),
        Member("\"telephony_credits_remaining\""),
        Member("\"activity_id\""),
        Member("\"sekey\""),
    ],
    parse,
    samples: &[
        r#"{"access_device":{"browser":"Firefox","hostname":null,"ip":"203.0.113.77","os":"Windows"},"application":{"key":"DIEXAMPLE","name":"VPN"},"auth_device":{"ip":"192.0.2.4","name":"+15550100"},"event_type":"authentication","factor":"duo_push","isotimestamp":"2026-11-20T06:25:01.250000+00:00","reason":"user_marked_fraud","result":"fraud","timestamp":1795155901,"txid":"5a1f","user":{"groups":[],"key":"DUEXAMPLE","name":"mia"}}"#,
        r#"{"action":"admin_login","description":"{\"ip_address\": \"192.0.2.4\", \"factor\": \"push\"}","isotimestamp":"2026-11-20T06:25:01+00:00","object":null,"timestamp":1795155901,"username":"Mia Example"}"#,
        r#"{"context":"authentication","credits":1,"isotimestamp":"2026-11-20T06:25:01+00:00","phone":"+15550100","timestamp":1795155901,"type":"sms"}"#,
        r#"{"device":"555-0100","factor":"Phone Call","integration":"Acme VPN","ip":"203.0.113.77","new_enrollment":false,"reason":"No response","result":"FAILURE","timestamp":1795155901,"username":"mia"}"#,
    ],
};

const FORMAT: &str = "cisco_duo";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let has = |name: &str| scan::has(text, name);
    let mut read = record.clone();
    if !fill::object(text, &mut read, slots, context) {
        return false;
    }
    // Some exports break the text of the time; the number beside it is whole, but has no fraction.
    if let Some(Value::Str(text)) = take(&mut read, "isotimestamp")
        && let Some(time) = fill::time(&json::Scalar::Text(text), context)
    {
        read.event_time = Some(time);
    }
    if let Some(Value::Str(address)) = read.field("source.address")
        && let Some((ip, port)) = address_and_port(address)
    {
        (read.src_ip, read.src_port) = (Some(ip), port);
        take(&mut read, "source.address");
    }
    let understood = match (word(&read, "event.outcome"), read.action.as_deref(), word(&read, "event.kind_name")) {
        (Some(_), ..) => authentication(&mut read),
        (None, Some(_), None) if has("\"isotimestamp\"") || has("\"actor\"") => administrator(&mut read),
        (None, None, Some(_)) if read.field("credits").is_some() => {
            is(&mut read, FORMAT, EventType::Other, Severity::Low);
            true
        }
        (None, None, Some(_)) if read.field("sekey").is_some() => {
            is(&mut read, FORMAT, EventType::IdsAlert, Severity::Medium);
            true
        }
        _ if read.field("response.telephony_credits_remaining").is_some() => {
            is(&mut read, FORMAT, EventType::System, Severity::Low);
            true
        }
        _ => false,
    };
    if understood {
        *record = read;
    }
    understood
}

fn authentication(record: &mut LogRecord<'_>) -> bool {
    let result = word(record, "event.outcome").unwrap_or_default().to_ascii_lowercase();
    let enrolment = word(record, "event.kind_name") == Some("enrollment") || record.field("new_enrollment") == Some(&true.into());
    let (event_type, severity, outcome) = match &*result {
        "success" if enrolment => (EventType::AccountChange, Severity::Medium, "success"),
        "success" => (EventType::LoginSuccess, Severity::Low, "success"),
        "fraud" => (EventType::LoginFailed, Severity::High, "failure"),
        "denied" | "failure" | "error" | "timeout" | "locked out" => (EventType::LoginFailed, Severity::Medium, "failure"),
        _ => return false,
    };
    is(record, FORMAT, event_type, severity);
    record.action = Some(result.into());
    record.set("event.outcome", outcome);
    true
}

/// What an administrator did: `user_create`, `admin_login_error`, `integration_update`.
fn administrator(record: &mut LogRecord<'_>) -> bool {
    let action = record.action.as_deref().unwrap_or_default();
    let (event_type, severity) = match action {
        "admin_login" | "admin_self_activate" => (EventType::LoginSuccess, Severity::Low),
        "admin_logout" => (EventType::Logout, Severity::Low),
        _ if action.starts_with("admin_login") || action.contains("_login_error") => (EventType::LoginFailed, Severity::Medium),
        _ if is_account(action) => (EventType::AccountChange, Severity::Medium),
        _ => (EventType::ConfigChange, Severity::Low),
    };
    is(record, FORMAT, event_type, severity);
    match event_type {
        EventType::LoginFailed => record.set("event.outcome", "failure"),
        EventType::LoginSuccess => record.set("event.outcome", "success"),
        _ => {}
    }
    // What it was about is JSON within the JSON.
    let Some(description) = word(record, "event.reason").map(str::to_owned) else { return true };
    let mut address = None;
    let _ = json::members(&description, |name, raw| {
        if matches!(&*name, "ip_address" | "ip") {
            address = address_and_port(&json::string(raw));
        }
    });
    if let (Some((ip, port)), None) = (address, record.src_ip) {
        (record.src_ip, record.src_port) = (Some(ip), port);
    }
    true
}

fn is_account(action: &str) -> bool {
    const KINDS: [&str; 9] =
        ["user_", "admin_", "phone_", "token_", "group_", "hardtoken_", "bypass_", "activation_", "o2fa_user_"];
    KINDS.iter().any(|kind| action.starts_with(kind))
}

/// An address and, in one of three spellings, a port.
fn address_and_port(text: &str) -> Option<(std::net::IpAddr, Option<u16>)> {
    let cut = text.split_once('#').or_else(|| scan::cut(text, " port "));
    match cut {
        Some((address, port)) => Some((scan::ip(address)?, port_number(port))),
        None => scan::ip(text).map(|ip| (ip, None)).or_else(|| ip_and_port(text)),
    }
}

fn word<'r>(record: &'r LogRecord<'_>, name: &str) -> Option<&'r str> {
    match record.field(name) {
        Some(Value::Str(text)) => Some(text),
        _ => None,
    }
}

fn take<'a>(record: &mut LogRecord<'a>, name: &str) -> Option<Value<'a>> {
    let at = record.fields.iter().position(|(known, _)| known == name)?;
    Some(record.fields.remove(at).1)
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, Field, Time, User};
    Some(match name {
        "timestamp" | "ts" | "surfaced_timestamp" => Time, "isotimestamp" => Field("isotimestamp"), "username" | "user.name" | "actor.name" | "surfaced_auth.user.name" => User, "email" => Field("user.email"),
        "user.key" => Field("user.id"), "access_device.ip" | "ip" | "surfaced_auth.access_device.ip" => Field("source.address"), "access_device.hostname" => Field("source.domain"),
        "action" | "action.name" => Action, "description" => Field("event.reason"), "reason" => Field("event.reason"), "result" => Field("event.outcome"),
        "event_type" | "type" => Field("event.kind_name"), "txid" => Field("transaction.id"), "application.name" | "integration" => Field("service.name"),
        "access_device.location.city" => Field("source.geo.city_name"), "access_device.location.country" => Field("source.geo.country_name"),
        "access_device.location.state" => Field("source.geo.region_name"), "access_device.browser" => Field("user_agent.name"),
        "access_device.browser_version" => Field("user_agent.version"), "access_device.os" => Field("user_agent.os.name"),
        "access_device.os_version" => Field("user_agent.os.version"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn logs() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let spelled = |text: &str| DIALECT.samples[0].replace("\"203.0.113.77\"", text);
        let (hash, words, colon) =
            (spelled("\"2001:db8::1#99\""), spelled("\"2001:db8::1 port 99\""), spelled("\"2001:db8:0:0:0:0:0:1:99\""));
        use EventType::*;
        for (text, event_type, severity, user, src) in [
            (DIALECT.samples[0], LoginFailed, Severity::High, "mia", "203.0.113.77 None"),
            (DIALECT.samples[1], LoginSuccess, Severity::Low, "Mia Example", "192.0.2.4 None"),
            (DIALECT.samples[2], Other, Severity::Low, "", ""),
            (DIALECT.samples[3], LoginFailed, Severity::Medium, "mia", "203.0.113.77 None"),
            (&*hash, LoginFailed, Severity::High, "mia", "2001:db8::1 Some(99)"),
            (&*words, LoginFailed, Severity::High, "mia", "2001:db8::1 Some(99)"),
            (&*colon, LoginFailed, Severity::High, "mia", "2001:db8::1 Some(99)"),
            (
                r#"{"action":"user_update","description":"x","isotimestamp":"2026-11-20T06: 25: 01","timestamp":1795155901,"username":"ops"}"#,
                AccountChange,
                Severity::Medium,
                "ops",
                "",
            ),
        ] {
            let mut record = LogRecord::text("");
            assert!(parse(text, &mut record, &context), "{text}");
            let at = record.src_ip.map_or(String::new(), |ip| format!("{ip} {:?}", record.src_port));
            assert_eq!(
                (record.event_type, record.severity, record.username.as_deref().unwrap_or(""), &*at),
                (event_type, severity, user, src),
                "{text}"
            );
            assert_eq!(record.event_time.map(|time| time.as_micros() / 1_000_000), Some(1_795_155_901), "{text}");
        }
        for other in [r#"{"isotimestamp":"2026-11-20T06:25:01Z","x":1}"#, r#"{"isotimestamp":1"#] {
            assert!(!parse(other, &mut LogRecord::text(""), &context));
        }
    }
}
