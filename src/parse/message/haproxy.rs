//! HAProxy's logs: HTTP, TCP, errors of connections, the default without `option httplog`, and what happens to servers.
//!
//! Source: HAProxy Configuration Manual, §8.2 (log formats) and §8.5 (session state at disconnection). A request that a rule of HAProxy refused (the
//! state begins with P, the status is 401, 403, 407 or 429) is a refusal and low, as requests are; a server that goes down is medium.

use super::access;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "haproxy",
    product: "HAProxy",
    reference: "https://docs.haproxy.org/3.0/configuration.html#8.2",
    marks: &[App("haproxy")],
    parse,
    samples: &[
        r#"<134>Nov 20 06:25:01 lb1 haproxy[811]: 203.0.113.77:48312 [20/Nov/2026:06:25:01.250] www~ app/app1 0/0/1/29/30 404 448 - - ---- 3/3/0/0/0 0/0 "GET / HTTP/1.1""#,
        "<134>Nov 20 06:25:02 lb1 haproxy[811]: 203.0.113.77:48313 [20/Nov/2026:06:25:02.250] db db/db1 0/0/5007 212 -- 0/0/0/0/3 0/0",
        "<134>Nov 20 06:25:03 lb1 haproxy[811]: 203.0.113.77:48314 [20/Nov/2026:06:25:03.250] www~/1: SSL handshake failure",
        "<134>Nov 20 06:25:04 lb1 haproxy[811]: Connect from 203.0.113.77:48315 to 192.0.2.4:80 (www/HTTP)",
    ],
};

const FORMAT: &str = "haproxy";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    let understood = traffic(text, record, context) || connect(text, record) || of_servers(text, record);
    if understood {
        record.format.message = FORMAT;
    }
    understood
}

/// `192.0.2.1:50000 [11/Feb/2026:08:15:30.608] front back/server 0/0/1/2/3 200 512 - - ---- 1/1/0/0/0 0/0 "GET / HTTP/1.1"`.
fn traffic<'a>(message: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((from, rest)) = scan::cut(message, " [") else { return false };
    let Some((time, rest)) = scan::cut(rest, "] ") else { return false };
    // A client that is not to be named is a dash.
    let (src, src_port) = match from.strip_prefix("-:") {
        Some(port) => (None, port.parse().ok()),
        None => match endpoint(from) {
            Some((ip, port)) => (Some(ip), port),
            None if from.starts_with("unix:") => (None, None),
            None => return false,
        },
    };
    let Some(time) = access::clf_time(time, Some(context.zone)) else { return false };
    let filed = |record: &mut LogRecord<'a>| {
        (record.src_ip, record.src_port) = (src, src_port);
        record.event_time = Some(record.event_time.map_or(time, |told| closer(told, time)));
        record.severity = Severity::Low;
    };
    // `front/1: SSL handshake failure`: no session came of it.
    if let Some((place, error)) = scan::cut(rest, ": ").filter(|(place, _)| !place.contains(' ') && place.contains('/')) {
        filed(record);
        record.set("haproxy.frontend_name", place.split('/').next().unwrap_or(place));
        record.set("event.reason", error);
        record.protocol = Some("tcp".into());
        record.event_type = EventType::ConnectionBlocked;
        return true;
    }
    let mut words = rest.split(' ');
    let (Some(front), Some(back)) = (words.next(), words.next()) else { return false };
    // Some put the name that was asked for before the timers.
    let Some(timers) = words.find(|word| word.contains('/') && word.starts_with(|c: char| c.is_ascii_digit() || c == '-')) else {
        return false;
    };
    filed(record);
    record.set("haproxy.frontend_name", front);
    let (backend, server) = back.split_once('/').unwrap_or((back, ""));
    record.set("haproxy.backend_name", backend);
    if !server.is_empty() {
        record.set("haproxy.server_name", server);
    }
    if let Some(total) = timers.rsplit('/').next().and_then(|total| total.trim_start_matches('+').parse::<i64>().ok()) {
        record.set("event.duration", total.saturating_mul(1_000_000));
    }
    let status = words.next().unwrap_or_default();
    let bytes = words.next().and_then(|bytes| bytes.trim_start_matches('+').parse::<i64>().ok());
    match scan::cut(rest, " \"") {
        Some((_, request)) => http(status, bytes, &mut words, request, record),
        None => {
            if let Ok(bytes) = status.trim_start_matches('+').parse::<i64>() {
                record.set("source.bytes", bytes);
            }
            record.protocol = Some("tcp".into());
            record.event_type = EventType::ConnectionAllowed;
        }
    }
    true
}

fn http<'a>(
    status: &str,
    bytes: Option<i64>,
    words: &mut std::str::Split<'a, char>,
    request: &'a str,
    record: &mut LogRecord<'a>,
) {
    let code = status.parse::<u32>().ok().filter(|code| (100..1000).contains(code));
    if let Some(code) = code {
        record.set("http.response.status_code", code);
    }
    if let Some(bytes) = bytes {
        record.set("http.response.bytes", bytes);
    }
    // Two captured cookies, then the state.
    let state = words.nth(2).unwrap_or_default();
    if state.len() == 4 {
        record.set("haproxy.termination_state", state);
    }
    // A client's quotes are escaped (#22).
    access::request_line(request.split('"').next().unwrap_or(request), record);
    let refused = state.starts_with('P') && matches!(code, Some(401 | 403 | 407 | 429));
    record.event_type = if refused { EventType::AccessDenied } else { EventType::HttpRequest };
}

/// HAProxy writes its own zone's time: what syslog says of the same moment and names its zone, is better.
fn closer(told: crate::record::Timestamp, own: crate::record::Timestamp) -> crate::record::Timestamp {
    if told.micros_since(own).abs() < 86_400_000_000 { told } else { own }
}

/// `Connect from 192.0.2.1:50000 to 192.0.2.9:80 (frontend/HTTP)`: without `option httplog`.
fn connect<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((from, rest)) = message.strip_prefix("Connect from ").and_then(|m| scan::cut(m, " to ")) else { return false };
    let (to, service) = rest.split_once(' ').unwrap_or((rest, ""));
    let (Some((src, src_port)), Some((dst, dst_port))) = (endpoint(from), endpoint(to)) else { return false };
    (record.src_ip, record.src_port) = (Some(src), src_port);
    (record.dst_ip, record.dst_port) = (Some(dst), dst_port);
    record.protocol = Some("tcp".into());
    let http = service.ends_with("/HTTP)");
    record.event_type = if http { EventType::HttpRequest } else { EventType::ConnectionAllowed };
    record.severity = Severity::Low;
    if !service.is_empty() {
        record.set("haproxy.frontend_name", service.trim_matches(['(', ')']));
    }
    true
}

/// `Server app/app1 is DOWN, reason: …`, `backend app has no server available!`, `Proxy www started.`
fn of_servers<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let text = message.strip_prefix("[WARNING] ").or_else(|| message.strip_prefix("[ALERT] ")).unwrap_or(message);
    let first = text.split(' ').next().unwrap_or_default();
    let is_about = matches!(first, "Server" | "Backup" | "Proxy" | "backend" | "Stopping" | "Pausing" | "Enabling" | "Health");
    if !is_about {
        return false;
    }
    let down = scan::has(text, " is DOWN") || scan::has(text, "no server available") || scan::has(text, " failed");
    record.event_type = EventType::ServiceChange;
    record.severity = if down { Severity::Medium } else { Severity::Low };
    true
}

/// `192.0.2.1:1194`, `[2001:db8::1]:1194`, also `2001:db8::1:1194`, whose last group is the port.
pub(super) fn endpoint(text: &str) -> Option<(std::net::IpAddr, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.contains(':') && port.len() > 3 && scan::ip(host).is_some() => (host, port.parse().ok()),
        _ => scan::host_port(text),
    };
    scan::ip(host).map(|ip| (ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn lines() {
        use EventType::*;
        #[rustfmt::skip]
        let table = [
            ("Connect from 192.0.2.60:50583 to 192.0.2.2:80 (web/HTTP)", HttpRequest, Some("192.0.2.60"), Some(50583)),
            (r#"192.0.2.60:58430 [11/Feb/2026:08:15:30.608] main main/<NOSRV> -1/-1/-1/-1/0 401 248 - - PR-- 0/0/0/0/0 0/0 "GET / HTTP/1.1""#, AccessDenied, Some("192.0.2.60"), Some(58430)),
            (r#"-:11178 [22/Jun/2026:12:03:08.833] www~ app/node7 app.example.com 0/0/1/29/30 404 448 - - ---- 3/3/0/0/0 0/0 "GET / HTTP/1.1" 0/0"#, HttpRequest, None, Some(11178)),
            ("2001:db8::7:58430 [11/Feb/2026:08:15:30.608] db db/db1 0/0/5007 212 -- 0/0/0/0/3 0/0", ConnectionAllowed, Some("2001:db8::7"), Some(58430)),
            ("192.0.2.60:58430 [11/Feb/2026:08:15:30.608] www~/1: SSL handshake failure", ConnectionBlocked, Some("192.0.2.60"), Some(58430)),
            ("Server app/app1 is DOWN, reason: Layer4 timeout, check duration: 2001ms.", ServiceChange, None, None),
        ];
        for (message, kind, src, port) in table {
            let mut record = LogRecord::text(message);
            assert!(
                parse(message, &mut record, &Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own: &[] }),
                "{message}"
            );
            assert_eq!(record.event_type, kind, "{message}");
            assert_eq!((record.src_ip, record.src_port), (src.and_then(|s| s.parse().ok()), port), "{message}");
        }
    }
}
