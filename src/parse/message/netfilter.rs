//! Packets that the Linux kernel logs: iptables and nftables LOG targets, UFW, firewalld, EdgeOS, UniFi, VyOS.
//!
//! The kernel writes `<prefix>IN=eth0 OUT= MAC=… SRC=… DST=… LEN=… PROTO=TCP SPT=… DPT=…` (net/netfilter/nf_log_syslog.c); only the
//! prefix, which the rule's author chose, tells what became of the packet. An ICMP error quotes the packet it answers in brackets;
//! that one is not who sent this one.

use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "netfilter",
    product: "Linux netfilter: iptables, nftables, UFW, firewalld",
    reference: "https://wiki.nftables.org/wiki-nftables/index.php/Logging_traffic",
    marks: &[App("kernel"), Holds(" IN="), Holds("IN="), Holds("PROTO=")],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<4>Nov 20 06:25:01 web1 kernel: [  970.699396] [UFW BLOCK] IN=eth0 OUT= MAC=00:00:5e:00:53:01:00:00:5e:00:53:02:08:00 SRC=203.0.113.77 DST=192.0.2.4 LEN=40 TOS=0x00 PREC=0x00 TTL=245 ID=54321 PROTO=TCP SPT=48312 DPT=23 WINDOW=1024 RES=0x00 SYN URGP=0",
    ],
};

/// Reads a packet line. Needs `PROTO=` or both addresses; a line whose beginning was lost is read as far as it goes.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((prefix, body)) = split(message) else { return false };
    record.fields.reserve(8);
    let mut quoted = false;
    let mut lengths = 0;
    for token in body.split_ascii_whitespace() {
        if token.starts_with('[') {
            quoted = true;
        }
        if quoted {
            quoted = !token.ends_with(']');
            continue;
        }
        let Some((key, value)) = token.split_once('=') else { continue };
        if value.is_empty() {
            continue;
        }
        match key {
            "IN" => record.set("observer.ingress.interface.name", value),
            "OUT" => record.set("observer.egress.interface.name", value),
            "MAC" => mac(value, record),
            // With the log flag macdecode.
            "MACSRC" => record.set("source.mac", value),
            "MACDST" => record.set("destination.mac", value),
            "SRC" => record.src_ip = scan::ip(value),
            "DST" => record.dst_ip = scan::ip(value),
            "SPT" => record.src_port = value.parse().ok(),
            "DPT" => record.dst_port = value.parse().ok(),
            "PROTO" => {
                let name = value.parse().ok().and_then(scan::protocol_number);
                record.protocol = Some(name.map_or_else(|| scan::protocol(value), Into::into));
            }
            // The second LEN of a UDP packet is that of its payload.
            "LEN" => {
                lengths += 1;
                if let (1, Ok(bytes)) = (lengths, value.parse::<u32>()) {
                    record.set("network.bytes", bytes);
                }
            }
            "TYPE" | "CODE" => {
                if let Ok(number) = value.parse::<u32>() {
                    record.set(if key == "TYPE" { "icmp.type" } else { "icmp.code" }, number);
                }
            }
            "UID" => record.set("user.id", value),
            _ => {}
        }
    }
    let prefix = prefix.trim_matches(|c: char| c.is_ascii_whitespace() || matches!(c, ':' | '-'));
    if !prefix.is_empty() {
        record.set("rule.name", prefix);
    }
    (record.event_type, record.action) = match verdict(prefix) {
        Some((true, word)) => (EventType::ConnectionAllowed, Some(word.into())),
        Some((false, word)) => (EventType::ConnectionBlocked, Some(word.into())),
        None => (EventType::Other, None),
    };
    record.severity = Severity::Low;
    record.format.message = "netfilter";
    true
}

/// The message may be a packet: it has `PROTO=`, or both addresses.
pub(super) fn looks_like(message: &str) -> bool {
    scan::has(message, "PROTO=") || (scan::has(message, "SRC=") && scan::has(message, "DST="))
}

/// The rule's prefix without the kernel's `[  123.456]`, and the packet; `None` for a message that is no packet.
fn split(message: &str) -> Option<(&str, &str)> {
    if !looks_like(message) {
        return None;
    }
    let start = memchr::memchr_iter(b'I', message.as_bytes()).filter(|&at| message[at..].starts_with("IN=")).find(|&at| {
        // A prefix may end without a space: "DROPIN=eth0 OUT=". What the kernel writes always has OUT= next; an interface's name
        // has at most 15 bytes.
        let near = &message.as_bytes()[at..message.len().min(at + 32)];
        near.iter().position(|b| *b == b' ').is_some_and(|space| message[at + space..].starts_with(" OUT="))
    });
    let start = match start {
        Some(start) => start,
        None => message.find('=').and_then(|equals| message[..equals].rfind(' ')).map_or(0, |space| space + 1),
    };
    let (mut prefix, body) = message.split_at(start);
    if let Some((uptime, rest)) = prefix.trim_start().strip_prefix('[').and_then(|p| p.split_once(']'))
        && uptime.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'.'))
    {
        prefix = rest;
    }
    Some((prefix, body))
}

/// `MAC=` holds an Ethernet header: destination, source, type.
fn mac<'a>(value: &'a str, record: &mut LogRecord<'a>) {
    if let (Some(to), Some(":"), Some(from)) = (value.get(..17), value.get(17..18), value.get(18..35)) {
        record.set("destination.mac", to);
        record.set("source.mac", from);
    }
}

/// What the prefix says became of the packet: let through or not, and in which word.
fn verdict(prefix: &str) -> Option<(bool, &'static str)> {
    // EdgeOS and VyOS: [WAN_IN-default-D], UniFi: [LAN_IN-A-3001]. A accept, D drop, R reject.
    let tag = prefix.trim_start().strip_prefix('[').and_then(|p| p.split_once(']')).map_or("", |(tag, _)| tag);
    for part in tag.split('-').skip(1) {
        match part {
            "A" => return Some((true, "accept")),
            "D" => return Some((false, "drop")),
            "R" => return Some((false, "reject")),
            _ => {}
        }
    }
    const WORDS: [(&str, bool, &str); 22] = [
        ("BLOCK", false, "block"),
        ("BLOCKED", false, "block"),
        ("DROP", false, "drop"),
        ("DROPPED", false, "drop"),
        ("DENY", false, "deny"),
        ("DENIED", false, "deny"),
        ("REJECT", false, "reject"),
        ("REJECTED", false, "reject"),
        ("REFUSED", false, "refuse"),
        ("DISCARD", false, "discard"),
        ("BAN", false, "ban"),
        ("BANNED", false, "ban"),
        ("BLACKLIST", false, "block"),
        ("LIMIT", false, "limit"),
        ("ALLOW", true, "allow"),
        ("ALLOWED", true, "allow"),
        ("ACCEPT", true, "accept"),
        ("ACCEPTED", true, "accept"),
        ("PASS", true, "pass"),
        ("PASSED", true, "pass"),
        ("PERMIT", true, "permit"),
        ("PERMITTED", true, "permit"),
    ];
    prefix
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .find_map(|word| WORDS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(word)))
        .map(|(_, passed, action)| (*passed, *action))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(message: &str) -> LogRecord<'_> {
        let mut record = LogRecord::text(message);
        assert!(parse(message, &mut record), "{message}");
        record
    }

    #[test]
    fn the_prefix_tells_the_verdict() {
        use EventType::{ConnectionAllowed as Allowed, ConnectionBlocked as Blocked, Other};
        for (prefix, want) in [
            ("[ 8412.551020] [UFW BLOCK] ", Blocked),
            ("[UFW ALLOW] ", Allowed),
            ("[UFW AUDIT] ", Other),
            ("[UFW LIMIT BLOCK] ", Blocked),
            ("filter_IN_public_REJECT: ", Blocked),
            ("FINAL_REJECT: ", Blocked),
            ("nft drop input ", Blocked),
            ("Shorewall:net2fw:DROP:", Blocked),
            ("[WAN_LOCAL-default-D]", Blocked),
            ("[LAN_IN-3001-A]", Allowed),
            ("[WAN_IN-R-2000] DESCR=\"Allow nothing\" ", Blocked),
            ("DROP", Blocked),
            ("iptables: ", Other),
            ("", Other),
        ] {
            let line =
                format!("{prefix}IN=eth0 OUT= SRC=198.51.100.7 DST=192.0.2.10 LEN=40 PROTO=TCP SPT=4711 DPT=22 SYN URGP=0");
            let record = read(&line);
            assert_eq!(record.event_type, want, "{line}");
            assert_eq!((record.src_port, record.dst_port), (Some(4711), Some(22)), "{line}");
        }
    }

    #[test]
    fn a_packet_in_full() {
        let record = read(
            "[1234.5] [UFW BLOCK] IN=ens3 OUT= MAC=52:54:00:aa:bb:cc:00:11:22:33:44:55:86:dd SRC=2001:db8::5 DST=2001:db8::1 \
             LEN=72 TC=0 HOPLIMIT=56 FLOWLBL=0 PROTO=UDP SPT=5353 DPT=53 LEN=32",
        );
        assert_eq!(record.src_ip, "2001:db8::5".parse().ok());
        assert_eq!(record.protocol.as_deref(), Some("udp"));
        assert_eq!(record.field("source.mac"), Some(&"00:11:22:33:44:55".into()));
        assert_eq!(record.field("destination.mac"), Some(&"52:54:00:aa:bb:cc".into()));
        assert_eq!(record.field("observer.ingress.interface.name"), Some(&"ens3".into()));
        assert_eq!(record.field("network.bytes"), Some(&72u32.into()));
        assert_eq!(record.field("rule.name"), Some(&"[UFW BLOCK]".into()));
    }

    #[test]
    fn the_packet_quoted_by_an_icmp_error_is_not_the_sender() {
        let record = read(
            "REJECT IN=eth0 OUT= SRC=203.0.113.1 DST=192.0.2.1 LEN=56 PROTO=ICMP TYPE=3 CODE=1 \
             [SRC=192.0.2.1 DST=203.0.113.99 LEN=40 PROTO=TCP SPT=443 DPT=5000 ] MARK=0x1",
        );
        assert_eq!(record.src_ip, "203.0.113.1".parse().ok());
        assert_eq!(record.src_port, None);
        assert_eq!(record.protocol.as_deref(), Some("icmp"));
        assert_eq!(record.field("icmp.type"), Some(&3u32.into()));
    }

    #[test]
    fn a_line_without_its_beginning_and_other_kernel_messages() {
        let record = read("L=126 ID=8698 DF PROTO=TCP SPT=88 DPT=51179 WINDOW=2053 RES=0x00 ACK URGP=0");
        assert_eq!((record.src_port, record.dst_port), (Some(88), Some(51179)));
        let other = "usb 1-1: new high-speed USB device number 5 using xhci_hcd";
        assert!(!parse(other, &mut LogRecord::text(other)));
    }

    proptest! {
        #[test]
        fn no_input_panics(prefix in "\\PC{0,40}", body in "(IN=|OUT=|MAC=|SRC=|PROTO=|DST=|[ \\[\\]:=é]|[0-9a-f:.]{1,20}){0,30}") {
            let line = format!("{prefix}PROTO={body}");
            parse(&line, &mut LogRecord::text(line.as_str()));
        }
    }
}
