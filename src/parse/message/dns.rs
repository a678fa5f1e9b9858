//! DNS servers: BIND's named (also as Infoblox runs it), NSD, CoreDNS.
//!
//! Sources: BIND 9 Administrator Reference Manual, "logging" (times, categories and levels in front are options) and `ns_client_log`; NSD's
//! `log_msg`; CoreDNS's plugins log and errors. A refused query, transfer or update is medium; queries and what a server says of itself are low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds};
use crate::parse::{Context, scan};
use crate::record::{Civil, EventType, LogRecord, Severity, Timestamp};

pub(super) const BIND: Dialect = Dialect {
    name: "bind",
    product: "BIND 9 (named), Infoblox DNS",
    reference: "https://bind9.readthedocs.io/en/stable/reference.html#logging-block-definition-and-usage",
    marks: &[
        App("named"),
        Holds("client @0x"),
        Begins("client "),
        Holds(": query: "),
        Holds(": query (cache) '"),
        Holds("zone transfer '"),
        Holds(": query '"),
    ],
    parse: bind,
    samples: &[
        "20-Nov-2026 06:25:01.250 security: info: client @0x7f2b3c0045a8 203.0.113.77#48312 (example.org): query (cache) 'example.org/ANY/IN' denied",
        "<30>Nov 20 06:25:02 ns1 named[811]: client 203.0.113.77#48313: view external: zone transfer 'example.org/AXFR/IN' denied",
        "<30>Nov 20 06:25:03 ns1 named[811]: queries: client @0x7f2b3c0045a8 198.51.100.9#48314 (www.example.org): query: www.example.org IN A +E(0)K (192.0.2.53)",
    ],
};

pub(super) const NSD: Dialect = Dialect {
    name: "nsd",
    product: "NSD",
    reference: "https://nsd.docs.nlnetlabs.nl/en/latest/manpages/nsd.conf.html",
    marks: &[App("nsd"), Holds("] nsd[")],
    parse: nsd,
    samples: &[
        "[1795155901] nsd[811]: info: axfr for example.org. from 203.0.113.77 refused, no acl matches.",
        "[2026-11-20 06:25:02.250] nsd[811]: info: ratelimit block example.org. type any target 203.0.113.0/24 query 203.0.113.77 TYPE255",
    ],
};

pub(super) const COREDNS: Dialect = Dialect {
    name: "coredns",
    product: "CoreDNS",
    reference: "https://coredns.io/plugins/log/",
    marks: &[
        App("coredns"),
        Begins("[INFO] "),
        Begins("[ERROR] plugin/"),
        Begins("[WARNING] plugin/"),
        Begins("[DEBUG] plugin/"),
    ],
    parse: |text, record, _| coredns(text.trim_end(), record),
    samples: &[
        r#"[INFO] 203.0.113.77:48312 - 64820 "A IN host.example.org. udp 57 false 1232" NOERROR qr,aa,rd 66 0.000150566s"#,
        "[ERROR] plugin/errors: 2 host.example.org. A: dial tcp 192.0.2.53:853: connect: no route to host",
    ],
};

fn bind<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let (mut rest, mut time) = own_time(text, context);
    let mut category = None;
    // `security: info: `, with or without either; Infoblox has the time behind them.
    for _ in 0..3 {
        let Some((word, behind)) = scan::cut(rest, ": ") else { break };
        if word.is_empty() || !word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            break;
        }
        if scan::level(word).is_none() {
            category = category.or(Some(word));
        }
        let (behind, found) = own_time(behind, context);
        (rest, time) = (behind, time.or(found));
    }
    let understood = client(rest, record) || of_itself(rest, record);
    if understood {
        record.event_time = time.or(record.event_time);
        record.app.get_or_insert(Cow::Borrowed("named"));
        if let Some(category) = category {
            record.set("dns.log.category", category);
        }
    }
    understood
}

/// `client @0x7f2b3c0045a8 192.0.2.1#3076 (example.org): view internal: what happened`. Names cannot hold blanks: they are escaped.
fn client<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(text) = text.strip_prefix("client ") else { return false };
    let text = text.strip_prefix('@').and_then(|t| t.split_once(' ')).map_or(text, |(_, rest)| rest);
    let Some((who, what)) = scan::cut(text, ": ") else { return false };
    let Some((address, port)) = who.split(' ').next().and_then(|end| end.split_once('#')) else { return false };
    let Some(address) = scan::ip(address) else { return false };
    record.src_ip = Some(address);
    record.src_port = port.parse().ok();
    let mut what = what;
    for word in ["UDP: ", "TCP: "] {
        what = what.strip_prefix(word).unwrap_or(what);
    }
    if let Some((view, rest)) = what.strip_prefix("view ").and_then(|rest| scan::cut(rest, ": ")) {
        record.set("dns.view", view);
        what = rest;
    }
    if let Some(query) = what.strip_prefix("query: ") {
        let mut words = query.split(' ');
        question(words.next(), words.nth(1), record);
        if let Some(code) = scan::between(query, "response: ", ' ') {
            record.set("dns.response_code", code);
        }
        record.action = Some("query".into());
        is(record, "bind", EventType::Other, Severity::Low);
        return true;
    }
    let asked = scan::between(what, "'", '\'').unwrap_or_default();
    let mut parts = asked.rsplitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(kind), Some(name)) => question(Some(name), Some(kind), record),
        (Some(_), Some(name), None) => question(Some(name), None, record),
        _ => {}
    }
    let verb = what.split(" '").next().unwrap_or(what).trim_end_matches(':');
    let refused = what.contains("' denied") || what.ends_with(" denied") || what.contains("NOTAUTH") || what.contains(" refused");
    let blocked = what.starts_with("rpz ") || what.starts_with("disabled rpz ");
    if refused || blocked || verb.len() <= 40 {
        record.set("event.reason", what);
    }
    match (refused, what.starts_with("rpz ")) {
        (true, _) => {
            record.action = Some("denied".into());
            is(record, "bind", EventType::AccessDenied, Severity::Medium);
        }
        (_, true) => {
            record.action = Some("rewrite".into());
            is(record, "bind", EventType::AccessDenied, Severity::Medium);
        }
        _ => is(record, "bind", EventType::Other, Severity::Low),
    }
    true
}

fn question<'a>(name: Option<&'a str>, kind: Option<&'a str>, record: &mut LogRecord<'a>) {
    for (field, value) in [("dns.question.name", name), ("dns.question.type", kind)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            record.set(field, value);
        }
    }
}

/// Zones, transfers, keys: what named says of itself is known by its name alone.
fn of_itself<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    if record.app.as_deref() != Some("named") {
        return false;
    }
    // `zone example.org/IN: notify from 192.0.2.1#46982: …`, `client … `, `transfer of 'example.org/IN' from 192.0.2.1#53: …`
    if let Some((_, peer)) = scan::cut(text, " from ")
        && let Some((address, port)) = peer.split([' ', ':']).next().and_then(|end| end.split_once('#'))
    {
        record.src_ip = scan::ip(address);
        record.src_port = record.src_ip.and_then(|_| port.parse().ok());
    }
    is(record, "bind", EventType::System, Severity::Low);
    true
}

/// `20-Nov-2026 06:25:01.250 `.
fn own_time<'t>(text: &'t str, context: &Context<'_>) -> (&'t str, Option<Timestamp>) {
    let read = || {
        let (date, rest) = text.split_once(' ')?;
        let (clock, rest) = rest.split_once(' ')?;
        let mut parts = date.split('-');
        let (day, month, year) = (parts.next()?.parse().ok()?, scan::month(parts.next()?)?, parts.next()?.parse().ok()?);
        let (_, (hour, minute, second, micros)) = scan::clock(clock).ok()?;
        Some((rest, context.zone.instant(Civil::new(year, month, day, hour, minute, second, micros)?)))
    };
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return (text, None);
    }
    read().map_or((text, None), |(rest, time)| (rest, Some(time)))
}

/// `[1795155901] nsd[811]: info: …`; through syslog only what follows the name.
fn nsd<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut text = text.trim_end();
    let (mut time, mut pid) = (None, None);
    if let Some((when, rest)) = text.strip_prefix('[').and_then(|rest| scan::cut(rest, "] nsd[")) {
        let Some((number, rest)) = scan::cut(rest, "]: ") else { return false };
        time = when.parse().ok().and_then(scan::epoch).or_else(|| scan::iso_time(when, Some(context.zone)));
        pid = number.parse().ok();
        text = rest;
    } else if record.app.as_deref() != Some("nsd") {
        return false;
    }
    let (level, what) = scan::cut(text, ": ").filter(|(word, _)| scan::level(word).is_some()).unwrap_or(("", text));
    // `axfr for [zone ]example.org. from [client ]192.0.2.1 refused, …`, `ratelimit block … query 192.0.2.1 TYPE255`
    let limited = what.starts_with("ratelimit ");
    let peer = match what.rsplit_once(" query ") {
        Some((_, peer)) if limited => Some(peer),
        _ => scan::cut(what, " from ").map(|(_, peer)| peer.strip_prefix("client ").unwrap_or(peer)),
    };
    record.src_ip = peer.and_then(|peer| scan::ip(peer.split([' ', ',', '@']).next().unwrap_or(peer)));
    record.event_time = time.or(record.event_time);
    record.pid = record.pid.or(pid);
    record.app.get_or_insert(Cow::Borrowed("nsd"));
    if !level.is_empty() {
        record.set("log.level", level);
    }
    let refused = what.contains(" refused") || what.contains(" denied") || what.starts_with("ratelimit block ");
    let event_type = if refused { EventType::AccessDenied } else { EventType::System };
    is(record, "nsd", event_type, if refused { Severity::Medium } else { Severity::Low });
    true
}

/// `[INFO] 192.0.2.1:42114 - 64820 "A IN host.example.org. udp 57 false 1232" NOERROR qr,aa,rd 66 0.000150566s`.
fn coredns<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((level, text)) = text.strip_prefix('[').and_then(|t| scan::cut(t, "] ")) else { return false };
    if scan::level(level).is_none() {
        return false;
    }
    if let Some((plugin, what)) = text.strip_prefix("plugin/").and_then(|rest| scan::cut(rest, ": ")) {
        record.set("coredns.plugin", plugin);
        record.set("log.level", level);
        record.set("event.reason", what);
        is(record, "coredns", EventType::System, Severity::Low);
        return true;
    }
    let Some((client, rest)) = scan::cut(text, " - ") else { return false };
    let Some((_id, rest)) = scan::cut(rest, " \"") else { return false };
    let Some((asked, answer)) = scan::cut(rest, "\" ") else { return false };
    let (host, port) = scan::host_port(client);
    let (Some(ip), Some((kind, asked))) = (scan::ip(host), asked.split_once(' ')) else { return false };
    let mut words = asked.rsplitn(5, ' ');
    let (Some(_), Some(_), Some(_), Some(protocol), Some(class_and_name)) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let Some((class, name)) = class_and_name.split_once(' ') else { return false };
    (record.src_ip, record.src_port) = (Some(ip), port);
    record.protocol = Some(scan::protocol(protocol));
    record.set("log.level", level);
    question(Some(name), Some(kind), record);
    record.set("dns.question.class", class);
    record.set("dns.response_code", answer.split(' ').next().unwrap_or(answer));
    record.action = Some("query".into());
    is(record, "coredns", EventType::Other, Severity::Low);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::record::Zone;

    #[test]
    fn lines() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            (BIND.samples[0], "bind", AccessDenied, "203.0.113.77", Some(48312), "example.org", "2026-11-20T06:25:01.25Z"),
            (BIND.samples[2], "bind", Other, "198.51.100.9", Some(48314), "www.example.org", ""),
            ("client 2001:db8::7#3076 (x): bad zone transfer request: 'example.org/IN': non-authoritative zone (NOTAUTH)", "bind", AccessDenied, "2001:db8::7", Some(3076), "example.org", ""),
            ("<30>Nov 20 06:25:02 ns1 named[811]: infoblox-responses: 20-Nov-2026 06:25:02.046 client 192.0.2.9#57738: UDP: query: a.example.org IN A response: REFUSED -", "bind", Other, "192.0.2.9", Some(57738), "a.example.org", "2026-11-20T06:25:02.046Z"),
            (NSD.samples[0], "nsd", AccessDenied, "203.0.113.77", None, "", "2026-11-20T06:25:01Z"),
            (NSD.samples[1], "nsd", AccessDenied, "203.0.113.77", None, "", "2026-11-20T06:25:02.25Z"),
            (COREDNS.samples[0], "coredns", Other, "203.0.113.77", Some(48312), "host.example.org.", ""),
        ];
        for (line, format, event_type, src, port, name, time) in table {
            let record = parse::parse(line, &context);
            assert_eq!((record.format.message, record.event_type), (format, event_type), "{line}");
            assert_eq!((record.src_ip, record.src_port), (src.parse().ok(), port), "{line}");
            if !name.is_empty() {
                assert_eq!(record.field("dns.question.name"), Some(&name.into()), "{line}");
            }
            if !time.is_empty() {
                assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some(time), "{line}");
            }
        }
    }
}
