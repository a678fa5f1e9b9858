//! MikroTik RouterOS: `system,error,critical login failure for user mia from 203.0.113.77 via ssh`, with its topics in front or (BSD syslog) without.
//!
//! Source: RouterOS documentation, "Log" (topics) and the prefix that "Firewall filter: log=yes" writes. A failed login and a change are medium.

use std::borrow::Cow;

use super::super::token::{set_remote, set_user};
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "routeros",
    product: "MikroTik RouterOS",
    reference: "https://help.mikrotik.com/docs/spaces/ROS/pages/328094/Log",
    marks: &[
        App("system,error,critical"),
        App("system,info,account"),
        App("system,info"),
        App("firewall,info"),
        Begins("system,"),
        Begins("firewall,"),
        Begins("dhcp,"),
        Begins("interface,"),
        Begins("wireless,"),
        Begins("ipsec,"),
        Begins("ppp,"),
        Begins("pptp,"),
        Begins("l2tp,"),
        Begins("sstp,"),
        Begins("ovpn,"),
        Begins("hotspot,"),
        Begins("ssh,"),
        Begins("route,"),
        Begins("caps,"),
        Holds("login failure for user "),
        Holds(" logged in from "),
        Holds(" logged out from "),
        Holds(", src-mac "),
        Holds(" out:(unknown"),
    ],
    parse: |text, record, _| parse(text.trim_end(), record),
    samples: &[
        "Nov 20 06:25:01 gw1 system,error,critical login failure for user mia from 203.0.113.77 via ssh",
        "Nov 20 06:25:02 gw1 firewall,info input: in:ether1 out:(unknown 0), src-mac 00:00:5e:00:53:01, proto TCP (SYN), 203.0.113.77:48312->192.0.2.1:23, len 40",
    ],
};

const FORMAT: &str = "routeros";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let topics = |word: &str| {
        word.contains(',')
            && !word.ends_with(',')
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b',' | b'-' | b'!'))
    };
    let (named, what) = match text.split_once(' ') {
        Some((word, rest)) if topics(word) => (Some(word), rest.trim_start()),
        _ => (None, text),
    };
    let app = record.app.as_deref().is_some_and(|app| topics(app) || app == "MikroTik");
    let understood = login(what, record) || packet(what, record) || (named.is_some() || app) && of_itself(what, record);
    if understood && let Some(named) = named {
        record.set("routeros.topics", named);
    }
    understood
}

/// `login failure for user mia from 203.0.113.77 via ssh`, `user mia logged in from 192.0.2.1 via winbox`. The name is the visitor's, the end is not.
fn login<'a>(what: &'a str, record: &mut LogRecord<'a>) -> bool {
    let (rest, kind) = if let Some(rest) = what.strip_prefix("login failure for user ") {
        (rest, EventType::LoginFailed)
    } else if let Some(rest) = what.strip_prefix("user ") {
        (rest, if rest.rsplit_once(" logged in from ").is_some() { EventType::LoginSuccess } else { EventType::Logout })
    } else {
        return false;
    };
    let sign = match kind {
        EventType::LoginFailed => " from ",
        EventType::LoginSuccess => " logged in from ",
        _ => " logged out from ",
    };
    let Some((user, from)) = rest.rsplit_once(sign) else { return false };
    let Some((from, service)) = scan::cut(from, " via ") else { return false };
    if !set_remote(record, from) {
        return false;
    }
    set_user(record, user);
    record.set("network.application", service);
    match kind {
        EventType::LoginFailed => failed(record, FORMAT, "login_failure", ToldBy::Service),
        EventType::LoginSuccess => succeeded(record, FORMAT, "logged_in"),
        kind => is(record, FORMAT, kind, Severity::Low),
    }
    true
}

/// `drop input: in:ether1 out:(unknown 0), connection-state:new src-mac …, proto TCP (SYN), 203.0.113.77:48312->192.0.2.1:23, len 40`.
fn packet<'a>(what: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(at) = scan::find(what, " in:").or_else(|| scan::find(what, ": in:")) else { return false };
    let Some((prefix, body)) = what.split_at_checked(at) else { return false };
    let Some(list) = scan::find(body, "proto ").and_then(|at| body.get(at + 6..)) else { return false };
    let Some((protocol, rest)) = scan::cut(list, ", ") else { return false };
    let Some((from, to)) = rest.split(", ").next().and_then(|ends| scan::cut(ends, "->")) else { return false };
    let ((from, from_port), (to, to_port)) = (scan::host_port(from), scan::host_port(to));
    let (Some(src), Some(dst)) = (scan::ip(from), scan::ip(to)) else { return false };
    (record.src_ip, record.src_port) = (Some(src), from_port);
    (record.dst_ip, record.dst_port) = (Some(dst), to_port);
    let (name, flags) = scan::cut(protocol, " (").unwrap_or((protocol, ""));
    record.protocol = Some(scan::protocol(name));
    if !flags.is_empty() {
        record.set("network.tcp.flags", flags.trim_end_matches(')'));
    }
    for (field, key) in [("observer.ingress.interface.name", "in:"), ("observer.egress.interface.name", "out:")] {
        if let Some(value) = scan::find(body, key).and_then(|at| body.get(at + key.len()..)) {
            let value = value.split([' ', ',']).next().unwrap_or(value);
            if !value.is_empty() && !value.starts_with('(') {
                record.set(field, value);
            }
        }
    }
    if let Some(mac) = scan::find(body, "src-mac ").and_then(|at| body.get(at + 8..at + 25)) {
        record.set("source.mac", mac);
    }
    // What became of the packet only the prefix tells, which the administrator chose.
    let word = prefix.to_ascii_lowercase();
    let event_type = if ["drop", "deny", "block", "reject"].iter().any(|verb| word.contains(verb)) {
        EventType::ConnectionBlocked
    } else if word.contains("accept") || word.contains("allow") {
        EventType::ConnectionAllowed
    } else {
        EventType::Other
    };
    record.set("rule.name", prefix.trim_end_matches(':'));
    is(record, FORMAT, event_type, Severity::Low);
    true
}

/// `filter rule added by mia`, `dhcp1 assigned 192.0.2.9 to 00:00:5e:00:53:01`, `ether1 link down`, `<l2tp-mia>: authenticated`.
fn of_itself<'a>(what: &'a str, record: &mut LogRecord<'a>) -> bool {
    let change = [" added by ", " changed by ", " removed by ", " moved by "].iter().find_map(|verb| what.rsplit_once(verb));
    if let Some((thing, user)) = change {
        set_user(record, user.split([' ', ':', '/']).next().unwrap_or(user).trim_start_matches("winbox-"));
        record.set("event.reason", thing);
        let accounts = thing.starts_with("user ");
        is(record, FORMAT, if accounts { EventType::AccountChange } else { EventType::ConfigChange }, Severity::Medium);
    } else {
        is(record, FORMAT, EventType::System, Severity::Low);
    }
    record.app.get_or_insert(Cow::Borrowed("MikroTik"));
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;
    use crate::record::EventType::*;
    use crate::record::ToldBy::Service;

    #[test]
    fn lines() {
        check(
            "",
            FORMAT,
            &[
                (
                    "system,error,critical login failure for user mia from 203.0.113.77 via ssh",
                    LoginFailed,
                    "mia",
                    "203.0.113.77",
                    Some(Service),
                    1,
                ),
                (
                    "login failure for user a from 1 from 2001:db8::7 via winbox",
                    LoginFailed,
                    "a from 1",
                    "2001:db8::7",
                    Some(Service),
                    1,
                ),
                (
                    "system,error,critical login failure for user  from 203.0.113.77 via ssh",
                    LoginFailed,
                    "",
                    "203.0.113.77",
                    Some(Service),
                    1,
                ),
                ("system,info,account user mia logged in from 192.0.2.9 via winbox", LoginSuccess, "mia", "192.0.2.9", None, 1),
                ("system,info,account user mia logged out from 192.0.2.9 via winbox", Logout, "mia", "192.0.2.9", None, 1),
                (
                    "firewall,info drop input: in:ether1 out:(unknown 0), proto UDP, 203.0.113.77:53->192.0.2.1:53, len 40",
                    ConnectionBlocked,
                    "",
                    "203.0.113.77:53",
                    None,
                    1,
                ),
                ("system,info filter rule changed by mia", ConfigChange, "mia", "", None, 1),
            ],
        );
        check("", "text", &[("one,two three", Other, "", "", None, 1)]);
    }
}
