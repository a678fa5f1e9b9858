//! Packets that pf logs on pfSense and OPNsense: the CSV of `filterlog`.
//!
//! Grammar: "Raw Filter Log Format" of the pfSense documentation, and OPNsense's filterlog, which differs only in that the tracker
//! may be a hash. `rule,sub,anchor,tracker,interface,reason,action,direction,version` then fields of the IP version, then of the protocol.

use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "filterlog",
    product: "pfSense and OPNsense filterlog",
    reference: "https://docs.netgate.com/pfsense/en/latest/monitoring/logs/raw-filter-format.html",
    marks: &[App("filterlog")],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<134>Nov 20 06:25:01 fw filterlog[811]: 5,,,1000000103,em1,match,block,in,4,0x0,,51,40312,0,DF,6,tcp,60,198.51.100.9,192.0.2.4,50122,3389,0,S,1740611,,64240,,mss;sackOK",
    ],
};

/// Reads a line of filterlog's CSV.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let message = message.trim();
    // The ninth field is the IP version; anything else there is no such line.
    let mut fields = message.split(',');
    let mut next = || fields.next();
    let (Some(rule), Some(_sub), Some(_anchor), Some(tracker), Some(interface)) = (next(), next(), next(), next(), next()) else {
        return false;
    };
    let (Some(reason), Some(action), Some(direction), Some(version)) = (next(), next(), next(), next()) else { return false };
    if !matches!(direction, "in" | "out" | "in/out") || !matches!(version, "4" | "6") || action.is_empty() {
        return false;
    }
    // v4: tos, ecn, ttl, id, offset, flags, number, name, length.  v6: class, flow label, hop limit, name, number, length.
    let (number, name, bytes) = if version == "4" {
        (fields.nth(6), fields.next(), fields.next())
    } else {
        let name = fields.nth(3);
        (fields.next(), name, fields.next())
    };
    let (Some(source), Some(destination)) = (fields.next(), fields.next()) else { return false };
    record.fields.reserve(8);
    record.src_ip = scan::ip(source);
    record.dst_ip = scan::ip(destination);
    // OPNsense writes some names in capitals and leaves others empty.
    let known = number.and_then(|n| n.parse().ok()).and_then(scan::protocol_number);
    record.protocol = match (name, known) {
        (Some(name), _) if !name.is_empty() => Some(scan::protocol(name)),
        (_, Some(known)) => Some(known.into()),
        _ => None,
    };
    match record.protocol.as_deref() {
        Some("tcp" | "udp" | "sctp") => {
            record.src_port = fields.next().and_then(|p| p.parse().ok());
            record.dst_port = fields.next().and_then(|p| p.parse().ok());
            let flags = fields.nth(1);
            if record.protocol.as_deref() == Some("tcp")
                && let Some(flags) = flags.filter(|f| !f.is_empty())
            {
                record.set("network.tcp.flags", flags);
            }
        }
        Some("icmp") => {
            if let Some(kind) = fields.next().filter(|k| !k.is_empty()) {
                record.set("icmp.type", kind);
            }
        }
        _ => {}
    }
    record.event_type = match action {
        "pass" | "match" | "rdr" | "nat" | "binat" => EventType::ConnectionAllowed,
        "block" | "reject" | "drop" => EventType::ConnectionBlocked,
        _ => EventType::Other,
    };
    record.severity = Severity::Low;
    record.action = Some(action.into());
    if direction != "out" {
        record.set("observer.ingress.interface.name", interface);
    } else {
        record.set("observer.egress.interface.name", interface);
    }
    record.set("network.direction", if direction == "out" { "outbound" } else { "inbound" });
    record.set("rule.id", if tracker.is_empty() || tracker == "0" { rule } else { tracker });
    if reason != "match" && !reason.is_empty() {
        record.set("event.reason", reason);
    }
    if let Some(bytes) = bytes.and_then(|b| b.parse::<u32>().ok()) {
        record.set("network.bytes", bytes);
    }
    record.format.message = "filterlog";
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets() {
        use EventType::{ConnectionAllowed as Allowed, ConnectionBlocked as Blocked};
        #[rustfmt::skip]
        let table = [
            ("5,,,1000000103,em1,match,block,in,4,0x0,,51,40312,0,DF,6,tcp,60,198.51.100.9,192.0.2.4,50122,3389,0,S,1740611,,64240,,mss;sackOK",
                Blocked, "198.51.100.9", Some(50122), "192.0.2.4", Some(3389), "tcp"),
            ("88,,,f2bd3a0c41dd5c1b2e62da1f6b7a0d11,vtnet0,match,pass,out,4,0x0,,64,1200,0,none,17,udp,71,192.0.2.4,203.0.113.53,31999,53,51",
                Allowed, "192.0.2.4", Some(31999), "203.0.113.53", Some(53), "udp"),
            ("7,,,1000000105,igb0,match,block,in,6,0x00,0x00000,255,ICMPv6,58,32,fe80::1,ff02::1,",
                Blocked, "fe80::1", None, "ff02::1", None, "icmpv6"),
            ("9,,,1000000107,igb0,match,block,in,6,0x00,0x12345,60,TCP,6,40,2001:db8::9,2001:db8::1,40000,443,0,S,1,,65535,,mss",
                Blocked, "2001:db8::9", Some(40000), "2001:db8::1", Some(443), "tcp"),
            ("4,,,1000000103,em0,match,block,in,4,0x0,,1,0,0,none,2,igmp,32,192.0.2.30,224.0.0.22,datalength=8",
                Blocked, "192.0.2.30", None, "224.0.0.22", None, "igmp"),
            ("4,,,1000000103,em0,match,block,in,4,0x0,,255,0,0,DF,112,carp,36,192.0.2.2,224.0.0.18,advertise,255,1,2,0,1",
                Blocked, "192.0.2.2", None, "224.0.0.18", None, "carp"),
            ("4,,,0,em0,match,reject,in,4,0x0,,64,77,0,none,1,icmp,84,192.0.2.30,192.0.2.1,request,12,3",
                Blocked, "192.0.2.30", None, "192.0.2.1", None, "icmp"),
        ];
        for (line, kind, src, src_port, dst, dst_port, protocol) in table {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record), "{line}");
            assert_eq!(record.event_type, kind, "{line}");
            assert_eq!((record.src_ip, record.src_port), (src.parse().ok(), src_port), "{line}");
            assert_eq!((record.dst_ip, record.dst_port), (dst.parse().ok(), dst_port), "{line}");
            assert_eq!(record.protocol.as_deref(), Some(protocol), "{line}");
        }
    }

    #[test]
    fn other_csv_is_left_alone() {
        for line in ["", "a,b,c", "1,2,3,4,5,6,7,8,9,10,11,12", "5,,,1,em1,match,block,in,5,0x0"] {
            let mut record = LogRecord::text(line);
            assert!(!parse(line, &mut record), "{line}");
            assert_eq!(record, LogRecord::text(line));
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(line in "(,|in|out|4|6|block|tcp|17|[0-9a-f:.]{0,9}|é){0,40}") {
            parse(&line, &mut LogRecord::text(line.as_str()));
        }
    }
}
