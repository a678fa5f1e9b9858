//! Microsoft IIS: the access log (W3C extended) and the error log of HTTP.sys.
//!
//! Sources: Microsoft, "W3C Logging" and "Error logging in HTTP APIs". A line does not carry its `#Fields`, so the columns are found by what cannot be anything
//! else: the method, the port behind the query, the client behind the user. Severity: low; a refused request is a request.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Holds, Line};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Zone};

pub(super) const ACCESS: Dialect = Dialect {
    name: "iis_access",
    product: "Microsoft IIS: access log",
    reference: "https://learn.microsoft.com/en-us/windows/win32/http/w3c-logging",
    marks: &[
        Line(" GET "),
        Line(" POST "),
        Line(" HEAD "),
        Line(" PUT "),
        Line(" DELETE "),
        Line(" OPTIONS "),
        Line(" PATCH "),
        Line(" PROPFIND "),
        Line(" TRACE "),
        Line(" CONNECT "),
        Line(" W3SVC"),
        Holds(" W3SVC"),
    ],
    parse: access,
    samples: &[
        "2026-11-20 06:25:01 192.0.2.10 GET /login.aspx id=7 443 EXAMPLE\\mia 203.0.113.77 Mozilla/5.0+(X11) - 401 2 5 15",
        "2026-11-20 06:25:02 W3SVC1 WEB1 192.0.2.10 POST /api - 443 - 203.0.113.77 HTTP/1.1 curl/8.5.0 - - www.example.org 200 0 0 512 381 46",
    ],
};

pub(super) const ERROR: Dialect = Dialect {
    name: "iis_error",
    product: "Microsoft IIS: error log of HTTP.sys",
    reference: "https://learn.microsoft.com/en-us/troubleshoot/developer/webapps/aspnet/site-behavior-performance/error-logging-http-apis",
    marks: &[Line(" HTTP/1.1 "), Line(" HTTP/1.0 "), Line(" HTTP/2.0 "), Line(" - - - - - ")],
    parse: error,
    samples: &[
        "2026-11-20 06:25:01 203.0.113.77 50123 192.0.2.10 80 HTTP/1.1 GET /..\\win.ini 400 - URL -",
        "2026-11-20 06:25:02 203.0.113.77 50124 192.0.2.10 80 - - - - - Timer_ConnectionIdle -",
    ],
};

const METHODS: [&str; 24] = [
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "PROPFIND",
    "TRACE",
    "CONNECT",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "SEARCH",
    "PROPPATCH",
    "DEBUG",
    "REPORT",
    "RPC_IN_DATA",
    "RPC_OUT_DATA",
    "TRACK",
    "BPROPFIND",
    "SUBSCRIBE",
];

/// `2026-11-20 06:25:01 …`: UTC, both logs.
fn time(text: &str) -> Option<(crate::record::Timestamp, &str)> {
    let (stamp, rest) = (text.get(..19)?, text.get(19..)?);
    Some((scan::iso_time(stamp, Some(&Zone::UTC))?, rest.strip_prefix(' ')?))
}

/// An address, also as some mailers turn it into a link.
fn address(word: &str) -> Option<std::net::IpAddr> {
    scan::ip(word).or_else(|| scan::ip(word.strip_prefix('[')?.split_once("](").map(|(address, _)| address)?))
}

fn access<'a>(text: &'a str, record: &mut LogRecord<'a>, _context: &Context<'_>) -> bool {
    let Some((when, rest)) = time(text.trim_end()) else { return false };
    let mut words = rest.split(' ');
    // Site name, computer and address may stand before the method.
    let (mut site, mut computer, mut server, mut method) = (None, None, None, None);
    for word in words.by_ref().take(4) {
        if METHODS.contains(&word) {
            method = Some(word);
            break;
        }
        match address(word) {
            Some(ip) => server = Some(ip),
            None if word.starts_with("W3SVC") => site = Some(word),
            None if server.is_none() && computer.is_none() => computer = Some(word),
            None => return false,
        }
    }
    let Some(method) = method else { return false };
    let (Some(path), Some(query), Some(port), Some(user), Some(client)) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let (Ok(port), Some(client)) = (port.parse::<u16>(), address(client)) else { return false };
    if server.is_none() && site.is_none() {
        return false;
    }
    record.fields.reserve(12);
    record.event_time = Some(when);
    if let Some(computer) = computer.filter(|name| *name != "-") {
        record.host = Some(Cow::Borrowed(computer));
    }
    (record.dst_ip, record.dst_port, record.src_ip) = (server, Some(port), Some(client));
    if user != "-" {
        crate::parse::fill::account(record, Cow::Borrowed(user));
    }
    record.set("http.request.method", method);
    record.set("url.path", path);
    if query != "-" {
        record.set("url.query", query);
    }
    if let Some(site) = site {
        record.set("iis.access.site_name", site);
    }
    rest_of_access(words, record);
    is(record, "iis_access", EventType::HttpRequest, Severity::Low);
    true
}

/// `[version] agent [cookie] [referrer] [host] status substatus win32-status [bytes] [bytes] [milliseconds] [forwarded for]`.
fn rest_of_access<'a>(words: std::str::Split<'a, char>, record: &mut LogRecord<'a>) {
    let mut agent = None;
    let mut previous = [None::<u16>; 1];
    for word in words {
        if let Some(version) = word.strip_prefix("HTTP/") {
            record.set("http.version", version);
        } else if previous[0].is_none() && word.len() == 3 && word.parse::<u16>().is_ok_and(|code| (100..600).contains(&code)) {
            previous[0] = word.parse().ok();
            record.set("http.response.status_code", word.parse::<i64>().unwrap_or_default());
        } else if previous[0].is_none() && word.starts_with("http") && word.contains("://") {
            record.set("http.request.referrer", word);
        } else if agent.is_none() && previous[0].is_none() {
            agent = Some(word);
            if word != "-" {
                record.set("user_agent.original", word);
            }
        }
    }
}

fn error<'a>(text: &'a str, record: &mut LogRecord<'a>, _context: &Context<'_>) -> bool {
    let Some((when, rest)) = time(text.trim_end()) else { return false };
    let mut words = rest.split(' ');
    let (Some(client), Some(client_port), Some(server), Some(server_port)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let (Some(client), Some(server)) = (scan::ip(client), scan::ip(server)) else { return false };
    let (Ok(client_port), Ok(server_port)) = (client_port.parse(), server_port.parse()) else { return false };
    let (Some(version), Some(method), Some(url)) = (words.next(), words.next(), words.next()) else { return false };
    if version != "-" && !version.starts_with("HTTP/") {
        return false;
    }
    record.event_time = Some(when);
    (record.src_ip, record.src_port) = (Some(client), Some(client_port));
    (record.dst_ip, record.dst_port) = (Some(server), Some(server_port));
    for (name, value) in
        [("http.version", version.trim_start_matches("HTTP/")), ("http.request.method", method), ("url.original", url)]
    {
        if value != "-" {
            record.set(name, value);
        }
    }
    // Newer ones have a stream id before the status.
    for word in words {
        match word.parse::<i64>() {
            Ok(code) if (100..600).contains(&code) => record.set("http.response.status_code", code),
            _ if word.len() > 1
                && word.starts_with(|c: char| c.is_ascii_uppercase())
                && record.field("event.reason").is_none() =>
            {
                record.set("event.reason", word);
            }
            _ => {}
        }
    }
    is(record, "iis_error", EventType::HttpRequest, Severity::Low);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Value};

    #[test]
    fn columns() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let line = ACCESS.samples[0];
        let mut record = LogRecord::text(line);
        assert!(access(line, &mut record, &context));
        assert_eq!(
            (record.src_ip, record.dst_ip, record.dst_port),
            ("203.0.113.77".parse().ok(), "192.0.2.10".parse().ok(), Some(443))
        );
        assert_eq!(
            (record.username.as_deref(), record.field("http.response.status_code")),
            (Some("mia"), Some(&Value::Int(401)))
        );
        let line = ACCESS.samples[1];
        let mut record = LogRecord::text(line);
        assert!(access(line, &mut record, &context));
        assert_eq!((record.host.as_deref(), record.field("http.response.status_code")), (Some("WEB1"), Some(&Value::Int(200))));
        let line = ERROR.samples[0];
        let mut record = LogRecord::text(line);
        assert!(error(line, &mut record, &context));
        assert_eq!(
            (record.src_port, record.dst_port, record.field("event.reason")),
            (Some(50123), Some(80), Some(&"URL".into()))
        );
    }

    #[test]
    fn others_are_left_alone() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for line in ["2026-11-20 06:25:01 host app: GET / 80", "2026-11-20 06:25:01 192.0.2.1 GET /"] {
            let mut record = LogRecord::text(line);
            assert!(!access(line, &mut record, &context) && !error(line, &mut record, &context), "{line}");
        }
    }
}
