//! Barracuda: the Web Application Firewall's logs by position, and the CloudGen Firewall's as JSON and as `|key=value` lists.
//!
//! Sources: Barracuda Campus, "How to Export Logs from the Barracuda Web Application Firewall" (default formats of its five logs) and "Syslog streaming"
//! of the CloudGen Firewall. A refused or suspicious request is medium, as is a failed login; traffic and system lines are low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds, Member};
use crate::parse::fill::{self, Slot};
use crate::parse::pairs::{self, Style};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const WAF: Dialect = Dialect {
    name: "barracuda_waf",
    product: "Barracuda Web Application Firewall",
    reference: "https://campus.barracuda.com/product/webapplicationfirewall/doc/92767349/exporting-log-formats/",
    marks: &[Begins("TR "), Begins("WF "), Begins("NF "), Begins("SYS "), Begins("AUDIT ")],
    parse: |text, record, _| waf(text.trim_end(), record),
    samples: &[
        r#"<129>2026-11-20 06:25:01.250 +0100  waf1 WF ALER SQL_INJECTION_IN_PARAM 203.0.113.77 48312 192.0.2.4 443 shop GLOBAL DENY NONE ["q"] GET /search?q=1 TLSv1.2 "-" "curl/8.5.0" 203.0.113.77 48312 "-" "-" 19aa0000-00000000"#,
        r#"<134>2026-11-20 06:25:02.250 +0100  waf1 TR 192.0.2.4 443 203.0.113.77 48313 "-" "-" GET TLSv1.2 shop.example.org HTTP/1.1 404 791 240 0 0 192.0.2.9 443 0 "-" INTERNAL DEFAULT PROTECTED INVALID /.env "-" "-" "-" "curl/8.5.0" 203.0.113.77 48313 "-" "-" "-" "-" 19aa0000-00000001"#,
        "<129>2026-11-20 06:25:03.250 +0100  waf1 NF ALER TCP 203.0.113.77 48314 192.0.2.4 22 DENY MGMT MGMT/LAN/WAN interface traffic:deny",
        r#"<134>2026-11-20 06:25:04.250 +0100  waf1 AUDIT admin GUI 203.0.113.77 48315 UNSUCCESSFUL_LOGIN 0 login global - - "" "" []"#,
    ],
};

pub(super) const CLOUDGEN: Dialect = Dialect {
    name: "barracuda_cloudgen",
    product: "Barracuda CloudGen Firewall",
    reference: "https://campus.barracuda.com/product/cloudgenfirewall/doc/96026592/how-to-configure-syslog-streaming/",
    marks: &[Member("\"fw_rule\""), Member("\"threat_severity\""), Holds("|srcIF="), Holds("|srcIP=")],
    parse: cloudgen,
    samples: &[
        r#"{"version":1,"timestamp":1795155901,"action":"Block","duration":0,"src_iface":"eth0","src_ip":"203.0.113.77","src_port":48312,"dst_iface":"eth1","dst_ip":"192.0.2.4","dst_port":23,"fw_rule":"BLOCKALL","app_rule":"","src_ip_nat":"","dst_ip_nat":"","fwd_bytes":60,"rev_bytes":0,"ip_proto":6}"#,
        "<14>Nov 20 06:25:02 fw1 box_Firewall_Activity: Info fw1 Block: type=FWD|proto=TCP|srcIF=eth0|srcIP=203.0.113.77|srcPort=48312|srcMAC=00:00:5e:00:53:01|dstIP=192.0.2.4|dstPort=23|dstService=telnet|dstIF=eth1|rule=BLOCKALL|info=Block by Rule|srcNAT=0.0.0.0|dstNAT=0.0.0.0|duration=0|count=1|user=mia",
    ],
};

const FORMAT: &str = "barracuda_waf";

/// Columns of a log: bare words, `"quoted"` and `["listed"]`.
struct Columns<'a>(&'a str);

impl<'a> Columns<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start_matches(' ');
        let (column, rest) = if let Some(quoted) = text.strip_prefix('"') {
            scan::cut(quoted, "\" ").or_else(|| Some((quoted.strip_suffix('"')?, "")))?
        } else if let Some(listed) = text.strip_prefix('[') {
            scan::cut(listed, "] ").or_else(|| Some((listed.strip_suffix(']')?, "")))?
        } else if text.is_empty() {
            return None;
        } else {
            text.split_once(' ').unwrap_or((text, ""))
        };
        self.0 = rest;
        Some(column)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.next().map(drop))
    }
}

fn said<'a>(record: &mut LogRecord<'a>, name: &'static str, value: &'a str) {
    if !value.is_empty() && value != "-" && value != "\"-\"" {
        record.set(name, value);
    }
}

fn waf<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut read = record.clone();
    let Some((kind, rest)) = text.split_once(' ') else { return false };
    let mut columns = Columns(rest);
    let understood = match kind {
        "TR" => access(&mut columns, &mut read),
        "WF" => attack(&mut columns, &mut read),
        "NF" => network(&mut columns, &mut read),
        "AUDIT" => audit(&mut columns, &mut read),
        "SYS" => system(&mut columns, &mut read),
        _ => None,
    };
    if understood.is_some() {
        read.set("barracuda.log", kind);
        *record = read;
    }
    understood.is_some()
}

/// Service, client, login, certificate, method, protocol, host, version, status, bytes sent and received, …, server, …, URL, query, referrer, agent.
fn access<'a>(columns: &mut Columns<'a>, record: &mut LogRecord<'a>) -> Option<()> {
    record.dst_ip = Some(scan::ip(columns.next()?)?);
    record.dst_port = Some(columns.next()?.parse().ok()?);
    record.src_ip = Some(scan::ip(columns.next()?)?);
    record.src_port = Some(columns.next()?.parse().ok()?);
    is(record, FORMAT, EventType::HttpRequest, Severity::Low);
    // A site may have its own columns from here on.
    request(columns, record);
    Some(())
}

fn request<'a>(columns: &mut Columns<'a>, record: &mut LogRecord<'a>) -> Option<()> {
    let user = columns.next()?;
    columns.skip(1)?;
    said(record, "http.request.method", columns.next()?);
    said(record, "tls.version", columns.next()?);
    said(record, "url.domain", columns.next()?);
    said(record, "http.version", columns.next()?.trim_start_matches("HTTP/"));
    record.set("http.response.status_code", columns.next()?.parse::<u32>().ok()?);
    for name in ["http.response.bytes", "http.request.bytes"] {
        record.set(name, columns.next()?.parse::<i64>().ok()?);
    }
    columns.skip(2)?;
    said(record, "server.ip", columns.next()?);
    // Its port and time, the session, what was matched.
    columns.skip(7)?;
    said(record, "url.original", columns.next()?);
    said(record, "url.query", columns.next()?);
    said(record, "http.request.referrer", columns.next()?);
    columns.skip(1)?;
    said(record, "user_agent.original", columns.next()?);
    // The proxy's end, then who was logged in.
    let authenticated = columns.skip(2).and_then(|()| columns.next()).unwrap_or_default();
    let user = if matches!(authenticated, "" | "-") { user } else { authenticated };
    if !matches!(user, "" | "-") {
        fill::account(record, user.into());
    }
    Some(())
}

/// Level, attack, client, service, rule, its kind, action, follow-up, details, method, URL, protocol, session, agent.
fn attack<'a>(columns: &mut Columns<'a>, record: &mut LogRecord<'a>) -> Option<()> {
    let level = columns.next()?;
    record.set("rule.name", columns.next()?);
    record.src_ip = Some(scan::ip(columns.next()?)?);
    record.src_port = Some(columns.next()?.parse().ok()?);
    record.dst_ip = Some(scan::ip(columns.next()?)?);
    record.dst_port = Some(columns.next()?.parse().ok()?);
    let severity = if matches!(level, "EMER" | "CRIT") { Severity::High } else { Severity::Medium };
    is(record, FORMAT, EventType::IdsAlert, severity);
    attacked(columns, record);
    Some(())
}

fn attacked<'a>(columns: &mut Columns<'a>, record: &mut LogRecord<'a>) -> Option<()> {
    said(record, "rule.ruleset", columns.next()?);
    said(record, "rule.category", columns.next()?);
    record.action = Some(columns.next()?.to_ascii_lowercase().into());
    columns.skip(1)?;
    said(record, "event.reason", columns.next()?);
    said(record, "http.request.method", columns.next()?);
    said(record, "url.original", columns.next()?);
    said(record, "tls.version", columns.next().unwrap_or_default());
    columns.skip(1);
    said(record, "user_agent.original", columns.next().unwrap_or_default());
    Some(())
}

/// Level, protocol, source, destination, action, rule, details.
fn network<'a>(columns: &mut Columns<'a>, record: &mut LogRecord<'a>) -> Option<()> {
    said(record, "log.level", columns.next()?);
    record.protocol = Some(scan::protocol(columns.next()?));
    record.src_ip = Some(scan::ip(columns.next()?)?);
    record.src_port = columns.next()?.parse().ok();
    record.dst_ip = Some(scan::ip(columns.next()?)?);
    record.dst_port = columns.next()?.parse().ok();
    let action = columns.next()?.to_ascii_lowercase();
    let blocked = matches!(&*action, "deny" | "drop" | "block" | "reject");
    record.action = Some(action.into());
    said(record, "rule.name", columns.next()?);
    said(record, "event.reason", columns.0.trim());
    let event_type = if blocked { EventType::ConnectionBlocked } else { EventType::ConnectionAllowed };
    is(record, FORMAT, event_type, Severity::Low);
    Some(())
}

/// Who, by what, from where, what.
fn audit<'a>(columns: &mut Columns<'a>, record: &mut LogRecord<'a>) -> Option<()> {
    let user = columns.next()?;
    said(record, "network.application", columns.next()?);
    record.src_ip = scan::ip(columns.next()?);
    record.src_port = columns.next()?.parse::<u16>().ok().filter(|port| *port != 0);
    let what = columns.next()?;
    if what.is_empty() || !what.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return None;
    }
    said(record, "event.reason", columns.0.trim());
    match what {
        "LOGIN" => succeeded(record, FORMAT, "login"),
        "UNSUCCESSFUL_LOGIN" | "LOGIN_FAILED" => failed(record, FORMAT, "unsuccessful_login", ToldBy::Service),
        _ => {
            let (event_type, severity) = match what {
                "LOGOUT" | "SESSION_TIMEOUT" => (EventType::Logout, Severity::Low),
                "CONFIG" | "ROLLBACK" | "RESTORE" | "FIRMWARE_UPDATE" | "FIRMWARE_APPLY" => {
                    (EventType::ConfigChange, Severity::Medium)
                }
                "REBOOT" | "SHUTDOWN" => (EventType::ServiceChange, Severity::Medium),
                _ => (EventType::Other, Severity::Low),
            };
            is(record, FORMAT, event_type, severity);
            record.action = Some(what.to_ascii_lowercase().into());
        }
    }
    if !matches!(user, "" | "-") {
        fill::account(record, Cow::Borrowed(user));
    }
    Some(())
}

/// Module, level, number, text.
fn system<'a>(columns: &mut Columns<'a>, record: &mut LogRecord<'a>) -> Option<()> {
    let (module, level, code) = (columns.next()?, columns.next()?, columns.next()?);
    if !matches!(level, "EMER" | "ALER" | "CRIT" | "ERRO" | "WARN" | "NOTI" | "INFO" | "DEBU") || code.parse::<u32>().is_err() {
        return None;
    }
    said(record, "barracuda.module", module);
    said(record, "log.level", level);
    said(record, "event.code", code);
    is(
        record,
        FORMAT,
        EventType::System,
        if matches!(level, "EMER" | "ALER" | "CRIT") { Severity::Medium } else { Severity::Low },
    );
    Some(())
}

fn cloudgen<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut read = record.clone();
    if text.starts_with('{') {
        if !(scan::has(text, "\"app_rule\"") || scan::has(text, "\"threat_severity\""))
            || !fill::object(text, &mut read, slots, context)
        {
            return false;
        }
    } else {
        let Some((head, list)) = scan::cut(text, "type=").filter(|(head, _)| head.len() < 100) else { return false };
        if !scan::has(list, "|srcIP=") {
            return false;
        }
        // `Info fw1 Block: type=FWD|…`
        let words = head.trim_end().trim_end_matches(':');
        if let Some(action) = words.rsplit(' ').next().filter(|action| !action.is_empty()) {
            read.action = Some(action.to_ascii_lowercase().into());
        }
        pairs::fill(list, Style { equals: b'=', separator: b'|' }, &mut read, slots, context);
    }
    // The address stands for the user that nobody knows.
    if let (Some(user), Some(ip)) = (&read.username, read.src_ip)
        && scan::ip(user) == Some(ip)
    {
        read.username = None;
    }
    let kind = match read.field("type") {
        Some(Value::Str(kind)) => kind.to_ascii_lowercase(),
        _ => String::new(),
    };
    let threat = read.field("threat_severity").is_some() || read.field("severity").is_some() && !kind.is_empty();
    let (event_type, severity) = match read.action.as_deref().unwrap_or_default() {
        _ if threat && kind == "virus" => (EventType::MalwareDetected, Severity::High),
        _ if threat => (EventType::IdsAlert, Severity::Medium),
        "block" | "deny" | "drop" | "fail" | "1" | "2" => (EventType::ConnectionBlocked, Severity::Low),
        _ => (EventType::ConnectionAllowed, Severity::Low),
    };
    is(&mut read, "barracuda_cloudgen", event_type, severity);
    *record = read;
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Number, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "timestamp" => Time, "action" | "operation" => Action, "user" => User,
        "src_ip" | "source_ip" | "srcIP" => SrcIp, "src_port" | "source_port" | "srcPort" => SrcPort,
        "dst_ip" | "destination_ip" | "dstIP" => DstIp, "dst_port" | "destination_port" | "dstPort" | "port" => DstPort,
        "ip_proto" | "trans_proto" | "proto" => Protocol, "src_mac" | "srcMAC" => Field("source.mac"), "dst_mac" => Field("destination.mac"),
        "src_iface" | "srcIF" => Field("observer.ingress.interface.name"), "dst_iface" | "dstIF" => Field("observer.egress.interface.name"),
        "fw_rule" | "rule" => Field("rule.name"), "src_ip_nat" | "srcNAT" => Field("source.nat.ip"), "dst_ip_nat" | "dstNAT" => Field("destination.nat.ip"),
        "fwd_bytes" => Number("source.bytes"), "rev_bytes" => Number("destination.bytes"), "fwd_packets" => Number("source.packets"),
        "rev_packets" => Number("destination.packets"), "method" => Field("http.request.method"), "status_code" => Number("http.response.status_code"),
        "user_agent" => Field("user_agent.original"), "name" => Field("url.original"), "domain" => Field("url.domain"),
        "description" => Field("threat.indicator.name"), "app_target" => Field("file.name"), "info" => Field("event.reason"),
        "dstService" => Field("network.protocol"),
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
            (WAF.samples[0], IdsAlert, Some(48312), Some(443)),
            (WAF.samples[1], HttpRequest, Some(48313), Some(443)),
            (WAF.samples[2], ConnectionBlocked, Some(48314), Some(22)),
            (WAF.samples[3], LoginFailed, Some(48315), None),
            (CLOUDGEN.samples[0], ConnectionBlocked, Some(48312), Some(23)),
            (CLOUDGEN.samples[1], ConnectionBlocked, Some(48312), Some(23)),
        ];
        for (line, event_type, sport, dport) in table {
            let record = parse::parse(line, &context);
            assert_eq!((record.event_type, record.src_port, record.dst_port), (event_type, sport, dport), "{line}");
            assert_eq!(record.src_ip, "203.0.113.77".parse().ok(), "{line}");
        }
        assert_eq!(parse::parse(WAF.samples[3], &context).username.as_deref(), Some("admin"));
    }
}
