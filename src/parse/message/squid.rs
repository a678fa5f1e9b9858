//! Squid's access log in its native format, from a file or through syslog:
//! `1795155901.250    731 192.0.2.60 TCP_MISS/200 10182 GET http://example.org/ mia HIER_DIRECT/198.51.100.7 text/html`.
//!
//! Source: Squid wiki, "Squid native access.log format in detail", and `logformat` of the configuration guide. What an access rule refused
//! (TCP_DENIED) is medium; a first request without a password (407 and no user) is a request like others.

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds, Line};
use crate::parse::fill;
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "squid",
    product: "Squid access log",
    reference: "https://wiki.squid-cache.org/Features/LogFormat",
    marks: &[
        App("squid"),
        App("(squid-1)"),
        Line(" TCP_"),
        Line(" UDP_"),
        Line(" NONE/"),
        Line(" NONE_"),
        Line(" TAG_NONE"),
        Line(" HIER_"),
        Holds(" TCP_MISS"),
        Holds(" TCP_DENIED"),
        Holds(" TCP_HIT/"),
        Holds(" TCP_TUNNEL/"),
        Holds(" TCP_MEM_HIT"),
        Holds(" TCP_REFRESH_"),
    ],
    parse,
    samples: &[
        "1795155901.250    731 192.0.2.60 TCP_MISS/200 10182 GET http://www.example.org/ mia HIER_DIRECT/198.51.100.7 text/html",
        "<134>Nov 20 06:25:02 proxy1 squid[811]: 1795155902.250      0 192.0.2.60 TCP_DENIED/403 4099 CONNECT www.example.org:443 - HIER_NONE/- text/html",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, _: &Context<'_>) -> bool {
    let text = text.trim();
    let mut words = text.split_ascii_whitespace();
    let mut next = || words.next().unwrap_or_default();
    let (time, elapsed, client, result, bytes, method) = (next(), next(), next(), next(), next(), next());
    let Some((result, status)) = result.split_once('/') else { return false };
    let is_result = !result.is_empty() && result.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit());
    let (Ok(seconds), Ok(elapsed), Ok(status)) = (time.parse::<f64>(), elapsed.parse::<i64>(), status.parse::<u16>()) else {
        return false;
    };
    let (Some(time), Ok(bytes), true) = (scan::epoch(seconds), bytes.parse::<i64>(), is_result && time.contains('.')) else {
        return false;
    };
    // A URL has no blanks unless Squid was told to keep them, so the end is read from the right.
    let mut tail = text.rsplit(' ');
    let (Some(kind), Some(peer), Some(user)) = (tail.next(), tail.next(), tail.next()) else { return false };
    let Some((hierarchy, peer)) = peer.split_once('/') else { return false };
    record.event_time = Some(time);
    match scan::ip(client) {
        Some(ip) => record.src_ip = Some(ip),
        None => record.set("source.domain", client),
    }
    if let Some(ip) = scan::ip(peer) {
        record.dst_ip = Some(ip);
    } else if peer != "-" {
        record.set("destination.domain", peer);
    }
    request(text, method, user, record);
    if user != "-" {
        fill::account(record, user.into());
    }
    record.set("http.response.status_code", u32::from(status));
    record.set("http.response.bytes", bytes);
    record.set("event.duration", elapsed.saturating_mul(1_000_000));
    record.set("squid.hierarchy_status", hierarchy);
    if kind != "-" {
        record.set("http.response.mime_type", kind);
    }
    record.action = Some(result.to_ascii_lowercase().into());
    let denied = result.contains("DENIED") && (status != 407 || user != "-");
    let (event_type, severity) =
        if denied { (EventType::AccessDenied, Severity::Medium) } else { (EventType::HttpRequest, Severity::Low) };
    is(record, "squid", event_type, severity);
    true
}

/// What stands between the method and the user.
fn request<'a>(text: &'a str, method: &'a str, user: &str, record: &mut LogRecord<'a>) {
    if method == "-" {
        return;
    }
    record.set("http.request.method", method);
    let Some((_, rest)) = text.split_once(method).and_then(|(_, rest)| rest.split_once(' ')) else { return };
    let end = rest.rmatch_indices(' ').nth(2).map_or(0, |(at, _)| at);
    let Some(url) = rest.get(..end).filter(|url| !url.is_empty() && *url != user) else { return };
    record.set("url.original", url);
    let host = scan::cut(url, "://").map_or(url, |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
    let host = scan::host_port(host).0;
    if !host.is_empty() && !host.starts_with("error:") && (method == "CONNECT" || url.contains("://")) {
        record.set("url.domain", host);
    }
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
            ("1795155901.250    731 192.0.2.60 TCP_MISS/200 10182 GET http://www.example.org/a b mia HIER_DIRECT/198.51.100.7 text/html", HttpRequest, Some("mia"), "http://www.example.org/a b", "www.example.org"),
            ("1795155901.250      0 192.0.2.60 TCP_DENIED/407 1752 CONNECT db1.example:443 - NONE/- text/html", HttpRequest, None, "db1.example:443", "db1.example"),
            ("1795155901.250      0 192.0.2.60 TCP_DENIED/403 1752 GET http://www.example.org/ CORP\\mia HIER_NONE/- -", AccessDenied, Some("mia"), "http://www.example.org/", "www.example.org"),
        ];
        for (line, event_type, user, url, host) in table {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record, &Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own: &[] }), "{line}");
            assert_eq!((record.event_type, record.username.as_deref()), (event_type, user), "{line}");
            assert_eq!(record.field("url.original"), Some(&url.into()), "{line}");
            assert_eq!(record.field("url.domain"), Some(&host.into()), "{line}");
            assert_eq!(record.src_ip, "192.0.2.60".parse().ok());
        }
    }
}
