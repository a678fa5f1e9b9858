//! Cisco Identity Services Engine, and the Secure Access Control System before it: `CISE_Failed_Attempts 0000000581 1 0 time zone sequence code LEVEL Class: text, name=value, …`.
//!
//! Source: "Cisco ISE Syslogs". A long message comes in segments (its number, how many there are, which this is); only the first has time, code and text. The
//! code says what happened. A failed login, a change of accounts and what ISE itself calls an error are medium, the rest is routine.

use std::borrow::Cow;

use super::{failed, is, sshd, succeeded};
use crate::parse::Context;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds};
use crate::parse::fill::{self, Slot};
use crate::parse::scan;
use crate::parse::token::{whole_number, word};
use crate::record::EventType::{
    self, AccessDenied, AccountChange, ConfigChange, ConnectionAllowed, LoginFailed, LoginSuccess, Logout, Other, PrivilegeUse,
    ServiceChange, System,
};
use crate::record::Severity::{Low, Medium};
use crate::record::{LogRecord, ToldBy, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cisco_ise",
    product: "Cisco ISE and ACS",
    reference: "https://www.cisco.com/c/en/us/td/docs/security/ise/syslog/Cisco_ISE_Syslogs.html",
    marks: &[Begins("CISE_"), Begins("CSCOacs_"), Holds(" CISE_"), Holds(" CSCOacs_")],
    parse,
    samples: &[
        "<181>Nov 20 06:25:01 ise1 CISE_Failed_Attempts 0000000581 1 0 2026-11-20 06:25:01.250 +00:00 0000075131 5400 NOTICE Failed-Attempt: Authentication failed, ConfigVersionId=7, Device IP Address=192.0.2.4, DestinationIPAddress=192.0.2.20, DestinationPort=1812, UserName=mia, Protocol=Radius, Calling-Station-ID=198.51.100.9, FailureReason=22056 Subject not found in the applicable identity store(s), Step=11001,",
        "<181>Nov 20 06:25:02 ise1 CISE_Administrative_and_Operational_Audit 0000000582 1 0 2026-11-20 06:25:02.250 +00:00 0000075132 51001 NOTICE Administrator-Login: Administrator authentication succeeded, ConfigVersionId=7, AdminInterface=GUI, AdminIPAddress=192.0.2.9, AdminName=ops, OperationMessageText=Administrator authentication successful,",
        "<182>Nov 20 06:25:03 ise1 CISE_RADIUS_Accounting 0000000583 2 1 Acct-Status-Type=Stop, User-Name=mia, Framed-IP-Address=192.0.2.30,",
    ],
};

const FORMAT: &str = "cisco_ise";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim();
    let start = ["CISE_", "CSCOacs_"].into_iter().find_map(|start| match text.starts_with(start) {
        true => Some(0),
        false => scan::find(text, start).filter(|at| *at < 100 && text[..*at].ends_with(' ')),
    });
    let Some((category, rest)) = start.map(|at| word(&text[at..])) else { return false };
    let mut parts = rest.splitn(4, ' ');
    let numbers = [parts.next(), parts.next(), parts.next()].map(|part| part.and_then(whole_number));
    let ([Some(_), Some(_), Some(_)], Some(rest)) = (numbers, parts.next()) else { return false };
    let category = category.split_once('_').map_or(category, |(_, name)| name);
    record.fields.reserve(24);
    record.set("event.category_name", category);
    let pairs = match head(rest, record, context) {
        Some(pairs) => pairs,
        None => {
            is(record, FORMAT, Other, Low);
            rest
        }
    };
    attributes(pairs, record, context);
    finish(category, record, context);
    record.format.message = FORMAT;
    true
}

/// `2026-11-20 06:25:01.250 +00:00 0000075131 5400 NOTICE Failed-Attempt: Authentication failed, `; what follows it is returned.
fn head<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> Option<&'a str> {
    let end = text.match_indices(' ').nth(2)?.0;
    let time = scan::iso_time(&text[..end], Some(context.zone))?;
    let mut parts = text[end + 1..].splitn(4, ' ');
    let (_sequence, code, level, rest) =
        (whole_number(parts.next()?)?, whole_number(parts.next()?)?, parts.next()?, parts.next()?);
    let (class, rest) = scan::cut(rest, ": ")?;
    // The sentence ends where the first name=value begins; it may have commas of its own.
    let equals = memchr::memchr(b'=', rest.as_bytes()).unwrap_or(rest.len());
    let (said, pairs) = rest[..equals].rfind(", ").map_or((rest, ""), |at| (&rest[..at], &rest[at + 2..]));
    let said = said.trim_end_matches([',', ' ']);
    record.event_time = Some(time);
    let event_type = kind(code, said);
    let severity =
        if matches!(level, "ERROR" | "FATAL") || matches!(event_type, LoginFailed | AccountChange) { Medium } else { Low };
    match event_type {
        LoginFailed => failed(record, FORMAT, "login", ToldBy::Service),
        LoginSuccess => succeeded(record, FORMAT, "login"),
        event_type => is(record, FORMAT, event_type, severity),
    }
    record.action = Some(Cow::Owned(if said.len() <= 64 { said.to_ascii_lowercase() } else { class.to_ascii_lowercase() }));
    record.set("event.code", code);
    record.set("event.reason", said);
    record.set("event.module_name", class);
    record.set("log.level", level);
    Some(pairs)
}

/// What a code, or a sentence, tells of.
fn kind(code: u32, said: &str) -> EventType {
    match code {
        5200 | 5201 | 5231 | 51_001 | 60_080 => LoginSuccess,
        5400 | 5401 | 5418 | 5434 | 5449 | 60_081 => LoginFailed,
        51_002 | 51_003 | 60_082 | 3001 => Logout,
        51_000..=51_025 if scan::has(said, "uthentication failed") => LoginFailed,
        5202 | 5203 => PrivilegeUse,
        5402 | 5403 | 5407 | 5417 => AccessDenied,
        3000 => ConnectionAllowed,
        52_000..=52_999 => ConfigChange,
        60_461..=60_464 => AccountChange,
        58_000..=58_999 => ServiceChange,
        70_000..=70_999 | 25_000..=25_999 | 34_000..=34_999 => System,
        _ => Other,
    }
}

/// `name=value, name=value,`. A comma within a value has a backslash before it, or no `=` behind it.
fn attributes<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) {
    let bytes = text.as_bytes();
    let mut start = 0;
    let ends = memchr::memchr_iter(b',', bytes).filter(|at| *at == 0 || bytes[at - 1] != b'\\').chain([text.len()]);
    for end in ends {
        let Some(pair) = text.get(start..end) else { break };
        start = end + 1;
        if let Some((name, value)) = pair.split_once('=') {
            fill::put(record, slots, name.trim(), Cow::Borrowed(value.trim()), context);
        }
    }
}

/// What follows from attributes.
fn finish<'a>(category: &str, record: &mut LogRecord<'a>, context: &Context<'_>) {
    if record.event_type == ConfigChange
        && matches!(record.field("object.type"), Some(Value::Str(object)) if object.contains("User") || object.contains("Admin"))
    {
        is(record, FORMAT, AccountChange, Medium);
    }
    if category == "System_Statistics" {
        record.event_type = System;
    }
    // A client that came over a VPN has an address in the place of its MAC; the address that it was given is the second choice.
    for name in ["client.station", "client.framed_ip"] {
        if record.src_ip.is_none()
            && let Some(Value::Str(address)) = record.field(name)
        {
            record.src_ip = scan::ip(address);
        }
    }
    // The command line's logins are sshd's own words.
    if let Some(Value::Str(Cow::Borrowed(said))) = record.field("event.message").cloned()
        && record.src_ip.is_none()
        && record.username.is_none()
    {
        let mut inner = LogRecord::text(said);
        if (sshd::DIALECT.parse)(said, &mut inner, context) {
            record.username = inner.username;
            (record.src_ip, record.src_port) = (inner.src_ip, inner.src_port);
        }
    }
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{DstIp, DstPort, Field, Nothing, Protocol, SrcIp, User};
    Some(match name {
        "UserName" | "User-Name" | "AdminName" | "User" => User,
        "AdminIPAddress" | "Remote-Address" | "IpAddress" | "EndpointIPAddress" => SrcIp, "Calling-Station-ID" => Field("client.station"),
        "Framed-IP-Address" => Field("client.framed_ip"), "EndpointMacAddress" => Field("client.mac"),
        "DestinationIPAddress" => DstIp, "DestinationPort" => DstPort, "NetworkTransport" => Protocol,
        "Device IP Address" => Field("network.device.ip"), "NAS-IP-Address" => Field("nas.ip"), "NetworkDeviceName" => Field("network.device.name"),
        "FailureReason" => Field("error.message"), "OperationMessageText" => Field("event.message"), "ObjectType" => Field("object.type"),
        "ObjectName" => Field("object.name"), "CmdSet" => Field("process.command_line"), "IdentityGroup" => Field("user.group.name"),
        "AcsSessionID" => Field("session.id"), "Protocol" => Field("network.protocol"), "Step" | "StepData" | "NetworkDeviceGroups" => Nothing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Severity, Timestamp, Zone};

    #[test]
    fn messages() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let start = |category: &str, rest: &str| {
            format!("CISE_{category} 0000000581 1 0 2026-11-20 06:25:01.250 -08:00 0000075131 {rest}")
        };
        #[rustfmt::skip]
        let table = [
            (start("Failed_Attempts", "5400 NOTICE Failed-Attempt: Authentication failed, Device IP Address=192.0.2.4, DestinationIPAddress=192.0.2.20, DestinationPort=1812, UserName=LAB\\mia, Calling-Station-ID=198.51.100.9,"),
                LoginFailed, Medium, "mia", "198.51.100.9"),
            (start("RADIUS_Accounting", "3000 NOTICE Radius-Accounting: RADIUS Accounting start request, User-Name=mia, Framed-IP-Address=192.0.2.30, Calling-Station-ID=00-00-5e-00-53-01"),
                ConnectionAllowed, Low, "mia", "192.0.2.30"),
            (start("Administrative_and_Operational_Audit", "52002 NOTICE Configuration-Changes: Deleted configuration, AdminIPAddress=192.0.2.9, AdminName=ops, ConfigChangeData=object deleted: Name=x\\, y, ObjectType=Network Access Users, ObjectName=x,"),
                AccountChange, Medium, "ops", "192.0.2.9"),
            (start("Administrative_and_Operational_Audit", "60080 NOTICE Administrator-Login: A SSH CLI user has successfully logged in, AdminInterface=CLI, OperationMessageText=Accepted password for ops from 192.0.2.9 port 50122 ssh2, AcsInstance=ise1,"),
                LoginSuccess, Low, "ops", "192.0.2.9"),
            (start("RADIUS_Diagnostics", "11015 WARN RADIUS: An Access-Request MUST contain an address, or an identifier; going on, DestinationPort=1812,"), Other, Low, "", ""),
            (start("System_Statistics", "70000 NOTICE System-Stats: ISE Utilization, SysStatsUtilizationCpu=6.59%, x"), System, Low, "", ""),
        ];
        for (text, event_type, severity, user, src) in &table {
            let mut record = LogRecord::text(&**text);
            assert!(parse(text, &mut record, &context), "{text}");
            let ip = record.src_ip.map_or(String::new(), |ip| ip.to_string());
            let severity: Severity = *severity;
            assert_eq!(
                (record.event_type, record.severity, record.username.as_deref().unwrap_or(""), &*ip),
                (*event_type, severity, *user, *src),
                "{text}"
            );
            assert_eq!(record.event_time, Timestamp::parse_rfc3339("2026-11-20T14:25:01.25Z").ok(), "{text}");
        }
        for other in ["CISE_X", "CISE_X 1 2", "CISE_X a b c d", "a CISE_ b"] {
            assert!(!parse(other, &mut LogRecord::text(other), &context), "{other}");
        }
    }
}
