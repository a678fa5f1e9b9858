//! Ivanti (Pulse, Juniper) Connect Secure: `2026-11-20 06:25:01 - vpn1 - [203.0.113.77] mia(Users)[Staff] - Login failed. Reason: Wrong Password`.
//!
//! Source: Pulse Connect Secure Administration Guide, "Configuring Syslog" (standard filter and format). Before the text stand the gateway's name,
//! the client's address, the user with the realm and the roles. The line "Login failed" is the refused login; "Primary authentication
//! failed" tells of the same attempt. The WELF filter's lines are read here, too.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds};
use crate::parse::fill::{self, Slot};
use crate::parse::pairs::{self, SPACED};
use crate::parse::token::is_host_name;
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "pulse_secure",
    product: "Ivanti (Pulse) Connect Secure",
    reference: "https://help.ivanti.com/ps/help/en_US/ICS/22.x/icsag/monitoring_icsag.htm",
    marks: &[
        App("PulseSecure:"),
        App("PulseSecure"),
        App("Juniper"),
        App("Juniper:"),
        Holds("PulseSecure: "),
        Holds("Juniper: "),
    ],
    parse,
    samples: &[
        "<174>1 2026-11-20T06:25:01+01:00 192.0.2.12 PulseSecure: - - - 2026-11-20 06:25:01 - vpn1 - [203.0.113.77] mia(Users)[] - Login failed using auth server Local (Local Authentication). Reason: Failed",
        "Nov 20 06:25:02 vpn1 1 2026-11-20T06:25:02+01:00 192.0.2.12 PulseSecure: - - - 2026-11-20 06:25:02 - vpn1 - [203.0.113.77] Root::CORP\\mia(Users)[Staff] - Login succeeded for mia/Users (session:00000000) from 203.0.113.77 with Mozilla/5.0.",
    ],
};

const FORMAT: &str = "pulse_secure";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let (head, body) = match scan::cut(text, "PulseSecure: ").or_else(|| scan::cut(text, "Juniper: ")) {
        Some((head, body)) if head.len() < 120 => (head, body),
        _ => ("", text),
    };
    let body = body.trim_start_matches("- ").trim_start();
    if body.starts_with("id=firewall ") {
        return welf(body, record, context);
    }
    let Some((time, rest)) = scan::cut(body, " - ") else { return false };
    let Some(civil) = scan::iso_time(time, Some(context.zone)) else { return false };
    let Some((node, rest)) = scan::cut(rest, " - [") else { return false };
    let Some((address, rest)) = scan::cut(rest, "] ") else { return false };
    // A user may be called anything; what the gateway adds is found behind it.
    let Some((who, what)) = scan::cut(rest, "] - ") else { return false };
    let Some((user, roles)) = who.rsplit_once(")[") else { return false };
    let Some((user, realm)) = user.rsplit_once('(') else { return false };
    if !is_host_name(node) {
        return false;
    }
    // The header of RFC 5424 knows the zone; behind another header it is part of the text.
    let header = head.split(' ').find_map(|word| (word.len() > 19).then(|| scan::iso_time(word, None)).flatten());
    record.event_time = header.or(record.event_time.filter(|_| record.format.envelope == "rfc5424")).or(Some(civil));
    // `ive` is what every gateway is called that nobody gave a name.
    if node != "ive" || record.host.is_none() {
        record.host = Some(node.into());
    }
    record.app = Some(Cow::Borrowed("PulseSecure"));
    record.src_ip = scan::ip(address);
    let user = user.rsplit_once("::").map_or(user, |(_, user)| user);
    fill::account(record, user.into());
    for (name, value) in [("pulse_secure.realm", realm), ("user.roles", roles), ("event.reason", what)] {
        if !value.is_empty() {
            record.set(name, value);
        }
    }
    meaning(what, record);
    true
}

/// What the text says happened.
fn meaning(what: &str, record: &mut LogRecord<'_>) {
    let starts = |with: &str| what.starts_with(with);
    if starts("Login failed") || starts("Agent login failed") {
        return failed(record, FORMAT, "login_failed", ToldBy::Service);
    }
    if starts("Login succeeded") || starts("Agent login succeeded") {
        return succeeded(record, FORMAT, "login_succeeded");
    }
    let (event_type, severity) = if starts("Primary authentication failed") || starts("Secondary authentication failed") {
        (EventType::AccessDenied, Severity::Low)
    } else if starts("Logout ") || starts("Session timed out") || starts("Max session timeout") || starts("Session deleted") {
        (EventType::Logout, Severity::Low)
    } else if starts("WebRequest ") {
        (EventType::HttpRequest, Severity::Low)
    } else if starts("Account ") && what.contains("locked") {
        (EventType::AccountChange, Severity::Medium)
    } else if what.contains("ealm restrictions") && what.contains("failed")
        || what.contains("Access denied")
        || starts("Host Checker policy") && what.contains(" failed")
    {
        (EventType::AccessDenied, Severity::Medium)
    } else if starts("Connected to ") || starts("VPN Tunneling: Session started") || starts("Network Connect: Session started") {
        (EventType::ConnectionAllowed, Severity::Low)
    } else if ["added to", "removed from", " modified", " changed from", " created", " deleted"]
        .iter()
        .any(|verb| what.contains(verb))
    {
        (EventType::ConfigChange, Severity::Medium)
    } else {
        (EventType::Other, Severity::Low)
    };
    is(record, FORMAT, event_type, severity);
}

/// `id=firewall time="2026-11-20 06:25:01" pri=6 fw=192.0.2.12 vpn=vpn1 user=mia realm="Users" roles="" type=mgmt msg="AUT24327: Login failed …"`.
fn welf<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !scan::has(text, " vpn=") {
        return false;
    }
    let message = record.message.clone();
    pairs::fill(text, SPACED, record, slots, context);
    let what = match record.field("event.reason") {
        Some(crate::record::Value::Str(text)) => text.clone().into_owned(),
        _ => String::new(),
    };
    let what = scan::cut(&what, ": ").filter(|(code, _)| !code.contains(' ')).map_or(what.as_str(), |(_, what)| what);
    record.message = message;
    meaning(what, record);
    true
}

fn slots(name: &str) -> Option<Slot> {
    Some(match name {
        "time" => Slot::Time,
        "vpn" => Slot::Host,
        "user" => Slot::User,
        "src" => Slot::SrcIp,
        "dst" => Slot::DstIp,
        "dstport" => Slot::DstPort,
        "proto" => Slot::Field("network.protocol"),
        "realm" => Slot::Field("pulse_secure.realm"),
        "roles" => Slot::Field("user.roles"),
        "fw" => Slot::Field("observer.ip"),
        "msg" => Slot::Field("event.reason"),
        "agent" => Slot::Field("user_agent.original"),
        "arg" => Slot::Field("url.original"),
        "op" => Slot::Field("http.request.method"),
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
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_795_155_900), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            (DIALECT.samples[0], LoginFailed, Some("mia"), "vpn1"),
            (DIALECT.samples[1], LoginSuccess, Some("mia"), "vpn1"),
            ("Nov 20 06:25:02 gw1 PulseSecure: 2026-11-20 05:25:01 - ive - [203.0.113.77] System()[] - Integrity Checker Tool: Periodic Scan Started!", Other, Some("System"), "gw1"),
            ("Nov 20 06:25:02 gw1 PulseSecure: id=firewall time=\"2026-11-20 05:25:01\" pri=6 fw=192.0.2.12 vpn=gw1 user=mia realm=\"Users\" roles=\"\" proto= src=203.0.113.77 dst= type=mgmt msg=\"AUT24327: Login failed. Reason: x\"", LoginFailed, Some("mia"), "gw1"),
        ];
        for (line, event_type, user, host) in table {
            let record = parse::parse(line, &context);
            assert_eq!((record.format.message, record.event_type), (FORMAT, event_type), "{line}");
            assert_eq!((record.username.as_deref(), record.host.as_deref()), (user, Some(host)), "{line}");
            assert_eq!(record.src_ip, "203.0.113.77".parse().ok(), "{line}");
            assert_eq!(super::super::told(record.app.as_deref(), &record.message, &[]), (record.told_by, 1), "{line}");
        }
        let record = parse::parse(DIALECT.samples[1], &context);
        assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some("2026-11-20T05:25:02Z"));
    }
}
