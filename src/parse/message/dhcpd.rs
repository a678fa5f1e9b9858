//! ISC dhcpd (also as Infoblox runs it): `DHCPACK on 192.0.2.40 to 00:00:5e:00:53:01 (laptop) via igb1`.
//!
//! Source: ISC DHCP, `server/dhcp.c` and `server/dhcpv6.c`. Who asked is the client (`client.*`): a lease is no connection, so the columns of one
//! stay empty. All of it is routine and low.

use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "dhcpd",
    product: "ISC dhcpd, Infoblox DHCP",
    reference: "https://kb.isc.org/docs/isc-dhcp-44-manual-pages-dhcpd",
    marks: &[App("dhcpd"), App("dhcpdv6"), App("dhcpd6"), Begins("DHCP"), Begins("BOOTREQUEST "), Begins("BOOTREPLY ")],
    parse: |text, record, _| parse(text, record),
    samples: &["<30>Nov 20 06:25:01 fw dhcpd[811]: DHCPACK on 192.0.2.40 to 00:00:5e:00:53:01 (laptop) via igb1"],
};

const VERBS: [&str; 16] = [
    "DHCPDISCOVER",
    "DHCPOFFER",
    "DHCPREQUEST",
    "DHCPACK",
    "DHCPNAK",
    "DHCPRELEASE",
    "DHCPDECLINE",
    "DHCPINFORM",
    "DHCPEXPIRE",
    "DHCPLEASEQUERY",
    "DHCPLEASEACTIVE",
    "DHCPLEASEUNKNOWN",
    "DHCPLEASEUNASSIGNED",
    "BOOTREQUEST",
    "BOOTREPLY",
    "RELEASE",
];

fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let message = message.trim_end();
    let (verb, rest) = message.split_once(' ').unwrap_or((message, ""));
    let verb = verb.trim_end_matches(':');
    if !VERBS.contains(&verb) {
        return version6(message, record);
    }
    let mut words = rest.split(' ').peekable();
    while let Some(word) = words.next() {
        match (word, words.peek()) {
            ("on" | "for" | "of" | "from" | "to", Some(next)) => {
                let next = next.trim_end_matches([':', ',']);
                if scan::ip(next).is_some() {
                    once(record, "client.ip", next);
                } else if is_mac(next) {
                    once(record, "client.mac", next);
                }
            }
            ("via", Some(next)) => once(record, "observer.ingress.interface.name", next.trim_end_matches([':', ','])),
            ("TransID", Some(next)) => once(record, "dhcp.transaction_id", next.trim_end_matches(':')),
            ("lease-duration", Some(next)) => once(record, "dhcp.lease_duration", next),
            (name, _) if name.len() > 2 && name.starts_with('(') && name.ends_with(')') && name != "(RENEW)" => {
                let inside = name.trim_matches(['(', ')']);
                once(record, if is_mac(inside) { "client.mac" } else { "client.domain" }, inside);
            }
            _ => {}
        }
    }
    // `network 192.0.2.0/24: no free leases`, `unknown network segment`: what follows the colon.
    if let Some((_, reason)) = scan::cut(rest, ": ") {
        record.set("event.reason", reason);
    }
    record.action = Some(verb.to_ascii_lowercase().into());
    routine(record)
}

/// `Solicit message from fe80::1 port 546, transaction ID 0x…`, `Advertise NA: address 2001:db8::9 to client with duid …`.
fn version6<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    if !record.app.as_deref().is_some_and(|app| app.starts_with("dhcpd")) {
        return false;
    }
    if let Some((what, peer)) = scan::cut(message, " message from ") {
        record.set("client.ip", peer.split(' ').next().unwrap_or(peer));
        record.action = Some(what.to_ascii_lowercase().into());
    } else if let Some((what, address)) = scan::cut(message, ": address ") {
        record.set("client.ip", address.split(' ').next().unwrap_or(address));
        record.action = Some(what.to_ascii_lowercase().into());
    }
    routine(record)
}

fn routine(record: &mut LogRecord<'_>) -> bool {
    super::is(record, "dhcpd", EventType::System, Severity::Low);
    true
}

fn once<'a>(record: &mut LogRecord<'a>, name: &'static str, value: &'a str) {
    if record.field(name).is_none() && !value.is_empty() {
        record.set(name, value);
    }
}

fn is_mac(text: &str) -> bool {
    text.len() == 17 && text.bytes().enumerate().all(|(at, b)| if at % 3 == 2 { b == b':' } else { b.is_ascii_hexdigit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        #[rustfmt::skip]
        let table = [
            ("DHCPACK on 192.0.2.40 to 00:00:5e:00:53:01 (laptop) via igb1", "192.0.2.40", "00:00:5e:00:53:01"),
            ("DHCPACK to 192.0.2.40 (00:00:5e:00:53:01) via eth2", "192.0.2.40", "00:00:5e:00:53:01"),
            ("DHCPDISCOVER from 00:00:5e:00:53:01 via eth2: network 192.0.2.0/24: no free leases", "", "00:00:5e:00:53:01"),
            ("Solicit message from fe80::1 port 546, transaction ID 0x00BD4400", "fe80::1", ""),
        ];
        for (message, ip, mac) in table {
            let mut record = LogRecord::text(message);
            record.app = Some("dhcpd".into());
            assert!(parse(message, &mut record), "{message}");
            let said = |name| record.field(name).cloned();
            assert_eq!(said("client.ip"), (!ip.is_empty()).then(|| ip.into()), "{message}");
            assert_eq!(said("client.mac"), (!mac.is_empty()).then(|| mac.into()), "{message}");
        }
        let mut record = LogRecord::text("");
        assert!(!parse("DHCPX something", &mut record));
    }
}
