//! CyberArk's vault (Privileged Access Security): audit records as JSON, after a syslog header or alone.
//!
//! Source: "Security Information and Event Management (SIEM) integration" of the vault's administration guide, and its list of vault audit
//! action codes (`MessageID`). Severity: a refused logon is medium, as is what changes users, owners and groups and what failed; an error in
//! the routine is medium, the rest low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds, Member};
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::token::is_host_name;
use crate::parse::{Context, json, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cyberark",
    product: "CyberArk Privileged Access Security: vault audit",
    reference: "https://docs.cyberark.com/pam-self-hosted/latest/en/content/pasimp/siem-integration.htm",
    marks: &[Member("\"audit_record\""), Begins("{\"format\":\"elastic\""), Holds("\"audit_record\""), Holds("<audit_record>")],
    parse,
    samples: &[
        r#"<5>1 2026-11-20T06:25:01Z vault1 {"format":"elastic","version":"1.0","syslog":{"audit_record":{"Rfc5424":"yes","Timestamp":"Nov 20 06:25:01","IsoTimestamp":"2026-11-20T06:25:01Z","Hostname":"vault1","Vendor":"Cyber-Ark","Product":"Vault","Version":"12.0.0000","MessageID":"309","Desc":"Undefined User Logon","Severity":"Error","Issuer":"mia","Action":"Undefined User Logon","Safe":"","Station":"203.0.113.77","GatewayStation":"192.0.2.4","Message":"Undefined User Logon"}}}"#,
        r#"Nov 20 06:25:02 vault1 {"format":"elastic","version":"1.0","syslog":{"audit_record":{"Rfc5424":"no","MessageID":"295","Desc":"Retrieve password","Severity":"Info","Issuer":"mia","Action":"Retrieve password","Safe":"Linux","File":"Root\\db1","Station":"203.0.113.77"}}}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some(at) = memchr::memchr(b'{', text.as_bytes()) else { return false };
    let object = text[at..].trim_end();
    if !object.contains("\"audit_record\"") || !object.contains("\"MessageID\"") || !fill::object(object, record, slots, context)
    {
        return false;
    }
    record.app.get_or_insert(Cow::Borrowed("Vault"));
    properties(record);
    let action = record.action.clone().unwrap_or_default();
    destination(record, &action);
    let (event_type, severity) = meaning(&action, word(record, "log.level"));
    if event_type == EventType::LoginFailed || action.ends_with("failed") {
        record.set("event.outcome", "failure");
    }
    is(record, "cyberark", event_type, severity);
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, Field, Host, Nothing, SrcIp, Time, User};
    let inner = name.strip_prefix("syslog.audit_record.").or_else(|| name.strip_prefix("audit_record.")).unwrap_or(name);
    Some(match inner {
        "IsoTimestamp" => Time, "Hostname" => Host, "Issuer" => User, "Station" => SrcIp, "Action" => Action,
        "GatewayStation" => Field("cyberark.gateway_station"), "MessageID" => Field("event.code"), "Severity" => Field("log.level"),
        "Desc" => Field("cyberark.description"), "Message" => Field("cyberark.message"), "Reason" => Field("event.reason"), "Safe" => Field("cyberark.safe"), "File" => Field("file.path"),
        "SourceUser" => Field("source.user.name"), "TargetUser" => Field("destination.user.name"), "Location" => Field("cyberark.location"),
        "Category" => Field("cyberark.category"), "RequestId" => Field("event.id"), "ExtraDetails" => Field("cyberark.details"),
        "Vendor" => Field("observer.vendor"), "Product" => Field("observer.product"), "Version" => Field("observer.version"),
        "CAProperties.CAProperty" => Field("cyberark.properties"),
        "raw" | "format" | "version" | "Rfc5424" | "Timestamp" => Nothing,
        _ => return None,
    })
}

/// What the account is for: `[{"Name":"Address","Value":"192.0.2.4"}, …]`.
fn properties(record: &mut LogRecord<'_>) {
    let Some(Value::Json(list)) = record.field("cyberark.properties") else { return };
    let (mut address, mut user, mut device) = (None, None, None);
    json::elements(list, |element| {
        let (mut name, mut value) = (Cow::Borrowed(""), None);
        json::inner_members(element, |key, raw| match (&*key, Scalar::of(raw)) {
            ("Name", Scalar::Text(text)) => name = text,
            ("Value", Scalar::Text(text)) => value = Some(text.into_owned()),
            _ => {}
        });
        match &*name {
            "Address" => address = value,
            "UserName" => user = value,
            "DeviceType" => device = value,
            _ => {}
        }
    });
    for (name, value) in [("cyberark.address", address), ("cyberark.account", user), ("cyberark.device_type", device)] {
        if let Some(value) = value {
            record.set(name, value);
        }
    }
}

/// Whoever uses an account goes to its machine; else to the gateway that passed the request on.
fn destination(record: &mut LogRecord<'_>, action: &str) {
    let details = word(record, "cyberark.details");
    let detail = |name: &str| details.split(';').find_map(|pair| pair.trim().strip_prefix(name)).unwrap_or_default();
    let (from, named) = (scan::ip(detail("SrcHost=")), detail("DstHost="));
    let gateway = word(record, "cyberark.gateway_station");
    let uses =
        ["psm", "cpm", "use password", "keystroke", "window title", "sql command"].iter().any(|verb| action.starts_with(verb));
    let address = if uses { word(record, "cyberark.address") } else { "" };
    let ip = [named, address, gateway].into_iter().find_map(scan::ip);
    let name = [named, address].into_iter().find(|name| ip.is_none() && is_host_name(name)).map(str::to_owned);
    record.dst_ip = ip;
    // The station is then the machine of the session manager.
    record.src_ip = from.or(record.src_ip);
    if let Some(name) = name {
        record.set("destination.domain", name);
    }
}

fn meaning(action: &str, level: &str) -> (EventType, Severity) {
    use EventType::{AccountChange, ConnectionAllowed, LoginFailed, LoginSuccess, Logout, Other, PrivilegeUse, System};
    let begins = |words: &[&str]| words.iter().any(|word| action.starts_with(word));
    let base = if level.eq_ignore_ascii_case("info") { Severity::Low } else { Severity::Medium };
    match action {
        "logon" | "full gateway connection" | "partial gateway connection" => (LoginSuccess, Severity::Low),
        "logoff" | "auto logoff" | "psm disconnect" => (Logout, Severity::Low),
        "psm connect" => (ConnectionAllowed, Severity::Low),
        _ if action.contains("logon") && (action.contains("fail") || action.contains("undefined")) => {
            (LoginFailed, Severity::Medium)
        }
        _ if begins(&["invalid password", "user authentication fail", "suspended user", "ip address failure"]) => {
            (LoginFailed, Severity::Medium)
        }
        "use password" | "retrieve password" | "retrieve ssh key" => (PrivilegeUse, base),
        _ if begins(&[
            "add user",
            "update user",
            "delete user",
            "rename user",
            "add owner",
            "update owner",
            "remove owner",
            "add group",
            "add/update group",
            "remove group",
            "reset user password",
            "set password",
            "activate user",
            "suspend user",
            "disable user",
            "unlock user",
        ]) =>
        {
            (AccountChange, Severity::Medium)
        }
        _ if begins(&["monitor ", "auto clear", "cpm auto-detection"]) => (System, base),
        _ => (Other, base),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn what_happened() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (action, more, event_type, dst) in [
            ("Logon", "", LoginSuccess, None),
            ("Logoff", r#","GatewayStation":"192.0.2.9""#, Logout, Some("192.0.2.9")),
            ("Add Owner", "", AccountChange, None),
            (
                "PSM Connect",
                r#","CAProperties":{"CAProperty":[{"Name":"Address","Value":"192.0.2.8"}]}"#,
                ConnectionAllowed,
                Some("192.0.2.8"),
            ),
            ("Use Password", r#","ExtraDetails":"ApplicationType=x;DstHost=192.0.2.7;""#, PrivilegeUse, Some("192.0.2.7")),
        ] {
            let line = format!(
                r#"{{"syslog":{{"audit_record":{{"MessageID":"1","Issuer":"mia","Station":"203.0.113.77","Severity":"Info","Action":"{action}"{more}}}}}}}"#
            );
            let mut record = LogRecord::text(&*line);
            assert!(parse(&line, &mut record, &context), "{line}");
            assert_eq!((record.event_type, record.dst_ip), (event_type, dst.and_then(|ip| ip.parse().ok())), "{line}");
            assert_eq!((record.username.as_deref(), record.src_ip), (Some("mia"), "203.0.113.77".parse().ok()), "{line}");
        }
    }
}
