//! The audit log of Infoblox NIOS, which its web server writes: `2026-11-20 06:25:01.250Z [mia]: Login_Denied - - to=AdminConnector ip=192.0.2.1
//! auth=LOCAL group=admin-group apparently_via=GUI`, `… [mia]: Created HostRecord www.example.org DnsView=default: Set address="192.0.2.1"`.
//!
//! Source: NIOS Administrator Guide, "Monitoring the Appliance", "Using the Audit Log". Blanks within a value stand there as `\040`. A failed
//! login is medium, so is a change; calls and logins are low. DNS and DHCP lines of NIOS are those of BIND and ISC.

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds, Member};
use crate::parse::fill::Slot;
use crate::parse::pairs::{self, SPACED};
use crate::parse::{Context, fill, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "infoblox_audit",
    product: "Infoblox NIOS: audit log",
    reference: "https://docs.infoblox.com/space/nios90/280761873/Using+the+Audit+Log",
    marks: &[App("httpd"), Holds("]: Login_"), Holds("]: Logout - - ")],
    parse,
    samples: &[
        r"<29>Nov 20 06:25:01 nios1 httpd: 2026-11-20 06:25:01.250Z [mia]: Login_Denied - - to=AdminConnector ip=203.0.113.77 auth=LOCAL group=admin-group apparently_via=GUI",
        r#"<29>Nov 20 06:25:02 nios1 httpd: 2026-11-20 06:25:02.250Z [admin]: Created HostRecord www.example.org DnsView=default address=192.0.2.9: Set address="192.0.2.9""#,
    ],
};

/// A lease, as the API of BloxOne DDI tells it.
pub(super) const LEASE: Dialect = Dialect {
    name: "infoblox_lease",
    product: "Infoblox BloxOne DDI: DHCP leases",
    reference: "https://csp.infoblox.com/apidoc/docs/DhcpLeases",
    marks: &[Member("\"fingerprint_processed\""), Member("\"ha_group\"")],
    parse: lease,
    samples: &[
        r#"{"address":"192.0.2.40","client_id":"01:00:00:5e:00:53:01","ends":"2026-11-20T07:25:01Z","fingerprint":"x","ha_group":"","hardware":"00:00:5e:00:53:01","host":"dhcp/host/1","hostname":"pc1.example.org","last_updated":"2026-11-20T06:25:01Z","starts":"2026-11-20T06:25:01Z","state":"used","type":"DHCPv4: DHCPv4 lease"}"#,
    ],
};

fn lease<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !scan::has(text, "\"hardware\"") || !scan::has(text, "\"ends\"") || !fill::object(text, record, lease_slots, context) {
        return false;
    }
    is(record, "infoblox_lease", EventType::System, Severity::Low);
    true
}

fn lease_slots(name: &str) -> Option<Slot> {
    Some(match name {
        "last_updated" => Slot::Time,
        "address" => Slot::Field("client.ip"),
        "hardware" => Slot::Field("client.mac"),
        "hostname" => Slot::Field("client.domain"),
        "state" => Slot::Action,
        _ => return None,
    })
}

const FORMAT: &str = "infoblox_audit";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((time, rest)) = scan::cut(text, " [") else { return false };
    let Some(time) = scan::iso_time(time, Some(context.zone)) else { return false };
    let Some((user, rest)) = scan::cut(rest, "]: ") else { return false };
    let (verb, about) = rest.split_once(' ').unwrap_or((rest, ""));
    if verb.is_empty() || !verb.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return false;
    }
    let about = about.trim_start_matches("- ");
    record.event_time = Some(time);
    fill::account(record, user.into());
    match verb {
        "Login_Denied" => failed(record, FORMAT, "login_denied", ToldBy::Service),
        "Login_Allowed" | "First_Login" => succeeded(record, FORMAT, "login_allowed"),
        _ => {
            let (event_type, severity) = meaning(verb, about);
            is(record, FORMAT, event_type, severity);
            record.action = Some(verb.to_ascii_lowercase().into());
        }
    }
    if verb.starts_with("Log") || verb == "First_Login" {
        pairs::fill(about, SPACED, record, slots, context);
    } else if !about.is_empty() {
        record.set("event.reason", about);
    }
    true
}

fn meaning(verb: &str, about: &str) -> (EventType, Severity) {
    match verb {
        "Logout" => (EventType::Logout, Severity::Low),
        "Password_Reset_Error" | "Password_Reset" => (EventType::AccountChange, Severity::Medium),
        "Created" | "Modified" | "Deleted" | "Inserted" | "Updated" => {
            let of_accounts = ["AdminMember", "AdminGroup", "AdminRole", "AdminUser"].iter().any(|kind| about.starts_with(kind));
            (if of_accounts { EventType::AccountChange } else { EventType::ConfigChange }, Severity::Medium)
        }
        "Called" if about.contains("RestartService") => (EventType::ServiceChange, Severity::Low),
        _ => (EventType::Other, Severity::Low),
    }
}

fn slots(name: &str) -> Option<Slot> {
    Some(match name {
        "ip" => Slot::SrcIp,
        "group" => Slot::Field("user.group.name"),
        "apparently_via" => Slot::Field("network.application"),
        "error" | "trigger_event" | "info" => Slot::Field("event.reason"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn lines() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            ("Login_Denied - - to=Serial\\040Console ip=203.0.113.77 group=x", LoginFailed, "203.0.113.77"),
            ("Login_Allowed - - to=AdminConnector ip=203.0.113.77", LoginSuccess, "203.0.113.77"),
            ("Logout - - ip=203.0.113.77 trigger_event=Session\\040Expiration", Logout, "203.0.113.77"),
            ("Created AdminMember eve: Set name=\"eve\"", AccountChange, ""),
            ("Deleted HostRecord a.example.org DnsView=default", ConfigChange, ""),
            ("Called - RestartService: Args services=[\"ALL\"]", ServiceChange, ""),
        ];
        for (rest, event_type, src) in table {
            let line = format!("2026-11-20 06:25:01.250Z [mia]: {rest}");
            let mut record = LogRecord::text(line.as_str());
            assert!(parse(&line, &mut record, &context), "{line}");
            assert_eq!(
                (record.event_type, record.username.as_deref(), record.src_ip),
                (event_type, Some("mia"), src.parse().ok()),
                "{line}"
            );
        }
        let mut record = LogRecord::text("");
        assert!(!parse("2026-11-20 06:25:01 [notice] x", &mut record, &context));
    }
}
