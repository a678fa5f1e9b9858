//! strongSwan's `charon` and Libreswan's `pluto`: `05[IKE] IKE_SA vpn[1] established between 192.0.2.4[gw.example.org]...203.0.113.77[mia@example.org]`.
//!
//! Source: strongSwan documentation, "Logger configuration", and `libcharon`'s messages. A failed authentication is medium, tunnels are low.

use super::super::token::set_user;
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "strongswan",
    product: "strongSwan",
    reference: "https://docs.strongswan.org/docs/latest/config/logging.html",
    marks: &[
        App("charon"),
        App("charon-systemd"),
        App("ipsec"),
        App("strongswan"),
        Holds("[IKE] "),
        Holds("[NET] received packet: from "),
    ],
    parse: |text, record, _| parse(text.trim_end(), record),
    samples: &[
        "<30>Nov 20 06:25:01 gw1 charon[811]: 05[IKE] IKE_SA vpn[1] established between 192.0.2.4[gw.example.org]...203.0.113.77[mia@example.org]",
        "<30>Nov 20 06:25:02 gw1 charon[811]: 09[IKE1] EAP method EAP_MSCHAPV2 failed for peer mia",
    ],
};

const FORMAT: &str = "strongswan";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    // `05[IKE] `, `05[IKE] <vpn|1> `
    let Some((head, what)) = scan::cut(text, "] ") else { return false };
    let Some((thread, module)) = head.split_once('[') else { return false };
    // `log_level` puts its level behind a subsystem's name.
    let module = module.strip_suffix(|c: char| c.is_ascii_digit()).unwrap_or(module);
    let is_module = module.len() == 3 && module.bytes().all(|b| b.is_ascii_uppercase());
    if !is_module || thread.is_empty() || !thread.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let (connection, what) = match what.strip_prefix('<').and_then(|rest| scan::cut(rest, "> ")) {
        Some((connection, what)) => (Some(connection), what),
        None => (None, what),
    };
    record.set("log.logger", module);
    if let Some(connection) = connection {
        record.set("strongswan.connection", connection);
    }
    if let Some((peer, user, passed)) = password(what) {
        match passed {
            true => succeeded(record, FORMAT, peer),
            false => failed(record, FORMAT, peer, ToldBy::Service),
        }
        set_user(record, user);
        return true;
    }
    if !tunnel(what, record) && !packet(what, record) {
        let refused = scan::has(what, "but MAC mismatched")
            || scan::has(what, "AUTHENTICATION_FAILED")
            || scan::has(what, "no IKE config found for");
        let event_type = if refused { EventType::AccessDenied } else { EventType::Other };
        is(record, FORMAT, event_type, Severity::Low);
    }
    true
}

/// `EAP method X failed for peer mia`, `XAuth authentication of 'mia' failed`, `authentication of 'mia' with EAP successful`. Names are the peers' own.
fn password(what: &str) -> Option<(&'static str, &str, bool)> {
    if let Some((_, user)) = scan::cut(what, " failed for peer ").filter(|(method, _)| method.starts_with("EAP method ")) {
        return Some(("eap", user, false));
    }
    let (action, rest) = match what.strip_prefix("XAuth authentication of '") {
        Some(rest) => ("xauth", rest),
        None => ("authentication", what.strip_prefix("authentication of '")?),
    };
    let (user, result) = rest.rsplit_once('\'')?;
    let passed = result.ends_with("successful");
    // `authentication of 'gw' (myself) with pre-shared key` is this end.
    (passed || result.ends_with("failed")).then_some((action, user, passed))
}

/// `IKE_SA vpn[1] established between local[id]...remote[id]`, `deleting IKE_SA vpn[1] between …`.
fn tunnel<'a>(what: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((verb, ends)) = scan::cut(what, " between ").filter(|(verb, _)| scan::has(verb, "IKE_SA ")) else { return false };
    let Some((local, remote)) = scan::cut(ends, "]...") else { return false };
    let ((local, _), (remote, id)) =
        (local.split_once('[').unwrap_or((local, "")), remote.split_once('[').unwrap_or((remote, "")));
    let (Some(local), Some(remote)) = (scan::ip(local), scan::ip(remote)) else { return false };
    (record.src_ip, record.dst_ip) = (Some(remote), Some(local));
    set_user(record, id.trim_end_matches(']'));
    let established = verb.ends_with("established");
    is(record, FORMAT, if established { EventType::ConnectionAllowed } else { EventType::Logout }, Severity::Low);
    true
}

/// `received packet: from 203.0.113.77[500] to 192.0.2.4[500] (408 bytes)`; what is sent has its ends the other way round.
fn packet<'a>(what: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((verb, ends)) = scan::cut(what, " packet: from ").filter(|(verb, _)| matches!(*verb, "received" | "sending")) else {
        return false;
    };
    let Some((from, to)) = scan::cut(ends, " to ") else { return false };
    let end = |text: &str| {
        let (host, port) = text.split(' ').next()?.split_once('[')?;
        Some((scan::ip(host)?, port.trim_end_matches(']').parse().ok()))
    };
    let (Some(from), Some(to)) = (end(from), end(to)) else { return false };
    record.src_ip = Some(from.0);
    record.src_port = from.1;
    record.dst_ip = Some(to.0);
    record.dst_port = to.1;
    record.protocol = Some("udp".into());
    record.action = Some(if verb == "received" { "received" } else { "sent" }.into());
    is(record, FORMAT, EventType::Other, Severity::Low);
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::Service;

    #[test]
    fn lines() {
        check(
            "charon",
            super::FORMAT,
            &[
                (
                    "05[IKE] IKE_SA vpn[1] established between 192.0.2.4[gw.example.org]...203.0.113.77[mia@example.org]",
                    ConnectionAllowed,
                    "mia@example.org",
                    "203.0.113.77",
                    None,
                    1,
                ),
                (
                    "05[IKE] <vpn|1> deleting IKE_SA vpn[1] between 192.0.2.4[gw]...203.0.113.77[mia]",
                    Logout,
                    "mia",
                    "203.0.113.77",
                    None,
                    1,
                ),
                ("09[IKE] EAP method EAP_MSCHAPV2 failed for peer mia", LoginFailed, "mia", "", Some(Service), 1),
                ("09[IKE] XAuth authentication of 'mia' failed", LoginFailed, "mia", "", Some(Service), 1),
                ("09[IKE] authentication of 'mia' with EAP successful", LoginSuccess, "mia", "", None, 1),
                ("09[IKE] authentication of 'gw' (myself) with pre-shared key", Other, "", "", None, 1),
                (
                    "02[NET] received packet: from 203.0.113.77[500] to 192.0.2.4[500] (408 bytes)",
                    Other,
                    "",
                    "203.0.113.77:500",
                    None,
                    1,
                ),
            ],
        );
    }
}
