//! WireGuard in the Linux kernel, with its debug messages on: `wireguard: wg0: Invalid handshake initiation from 203.0.113.77:51820`.
//!
//! Source: Linux, `drivers/net/wireguard/receive.c` and `send.c`. A handshake that is refused is a refusal and low: anybody can send one.

use super::haproxy::endpoint;
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Begins;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "wireguard",
    product: "WireGuard in the Linux kernel",
    reference: "https://www.wireguard.com/quickstart/",
    marks: &[Begins("wireguard: ")],
    parse: |text, record, _| parse(text.trim_end(), record),
    samples: &[
        "<7>Nov 20 06:25:01 gw1 kernel: [  970.699396] wireguard: wg0: Invalid handshake initiation from 203.0.113.77:51820",
        "<7>Nov 20 06:25:02 gw1 kernel: [  971.699396] wireguard: wg0: Receiving handshake initiation from peer 3 (203.0.113.77:51820)",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((interface, what)) = text.strip_prefix("wireguard: ").and_then(|rest| scan::cut(rest, ": ")) else { return false };
    if interface.is_empty() || interface.contains(' ') {
        return false;
    }
    record.set("observer.ingress.interface.name", interface);
    // `peer 3 (192.0.2.1:51820)`, ` from 192.0.2.1:51820`
    let end = match scan::cut(what, " (") {
        Some((_, rest)) => rest.split(')').next(),
        None => scan::cut(what, " from ").map(|(_, rest)| rest.split([' ', ',']).next().unwrap_or(rest)),
    };
    let sent = what.starts_with("Sending ");
    if let Some((ip, port)) = end.and_then(endpoint) {
        if sent {
            (record.dst_ip, record.dst_port) = (Some(ip), port);
        } else {
            (record.src_ip, record.src_port) = (Some(ip), port);
        }
    }
    record.protocol = Some("udp".into());
    let event_type =
        if what.starts_with("Invalid ") || what.contains("did not match") || what.starts_with("Packet has unallowed src IP") {
            EventType::AccessDenied
        } else if what.starts_with("Receiving handshake ") || what.starts_with("Keypair ") && what.contains(" created ") {
            EventType::ConnectionAllowed
        } else {
            EventType::Other
        };
    is(record, "wireguard", event_type, Severity::Low);
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;

    #[test]
    fn lines() {
        check(
            "kernel",
            "wireguard",
            &[
                (
                    "wireguard: wg0: Invalid handshake initiation from 203.0.113.77:51820",
                    AccessDenied,
                    "",
                    "203.0.113.77:51820",
                    None,
                    1,
                ),
                (
                    "wireguard: wg0: Receiving handshake initiation from peer 3 (203.0.113.77:51820)",
                    ConnectionAllowed,
                    "",
                    "203.0.113.77:51820",
                    None,
                    1,
                ),
                ("wireguard: wg0: Sending keepalive packet to peer 3 (203.0.113.77:51820)", Other, "", "", None, 1),
            ],
        );
    }
}
