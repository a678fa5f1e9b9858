//! Web servers: access logs in the common and combined formats of Apache and nginx, and (in [`error_log`]) their error logs.
//!
//! Sources: Apache mod_log_config ("Common Log Format", "Combined Log Format", `%v:%p` in front), nginx ngx_http_log_module `combined` and
//! what is usually appended to it. A refused request (401, 403) is a request; a refused login is what the error log calls so.

use nom::Parser as _;
use nom::bytes::complete::take_while1;
use nom::character::complete::char;

use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds, Line};
use crate::parse::{scan, timestamp};
use crate::record::{Civil, EventType, LogRecord, Severity, Timestamp, Zone};

pub(super) const DIALECT: Dialect = Dialect {
    name: "access",
    product: "Web servers: access logs of Apache, nginx and all who write like them",
    reference: "https://httpd.apache.org/docs/2.4/logs.html#accesslog",
    marks: &[App("nginx"), App("apache2"), App("apache"), App("httpd"), Holds("] \""), Line("] \""), Line("[")],
    parse: |text, record, context| {
        let text = text.trim_end();
        if text.starts_with('[') {
            return time_first(text, record, Some(context.zone));
        }
        // What begins with a time has a header that nobody took off.
        timestamp::reading(text).is_err()
            && (record.app.is_some() || nothing_in_front(text))
            && access(text, record, Some(context.zone))
    },
    samples: &[r#"203.0.113.77 - mia [20/Nov/2026:06:25:01 +0000] "GET /login HTTP/1.1" 401 381 "-" "curl/8.5.0""#],
};

/// A syslog tag ends in a colon; nothing in front of an access log's time does, but an address like 2001:db8::.
fn nothing_in_front(text: &str) -> bool {
    bracketed_time(text).is_some_and(|(front, ..)| !front.split(' ').any(|w| w.ends_with(':') && scan::ip(w).is_none()))
}

/// `client ident user [time] "request" status bytes "referrer" "agent" …`, possibly with a virtual host or a list of forwarded clients in
/// front; fields that a site appends stay in the text.
fn access<'a>(text: &'a str, record: &mut LogRecord<'a>, zone: Option<&Zone>) -> bool {
    let Some((front, time, rest)) = bracketed_time(text) else { return false };
    let Some((request, rest)) = quoted(rest.trim_start(), status_follows) else { return false };
    let mut words = rest.trim_start().splitn(3, ' ');
    let (Some(status), bytes, rest) = (words.next(), words.next(), words.next().unwrap_or_default()) else { return false };
    let code = status.parse::<u16>().ok().filter(|code| (100..1000).contains(code));
    if code.is_none() && status != "-" {
        return false;
    }
    if time == "-" && front != "- - -" {
        return false;
    }
    record.fields.reserve(8);
    who(front, record);
    record.event_time = clf_time(time, zone).or(record.event_time);
    request_line(request, record);
    if let Some(code) = code {
        record.set("http.response.status_code", u32::from(code));
    }
    if let Some(bytes) = bytes.and_then(|b| b.parse::<i64>().ok()) {
        record.set("http.response.body.bytes", bytes);
    }
    if let Some((referrer, rest)) = quoted(rest.trim_start(), |_| true) {
        said(record, "http.request.referrer", referrer);
        if let Some((agent, rest)) = quoted(rest.trim_start(), |_| true) {
            said(record, "user_agent.original", agent);
            if code == Some(401) && is_traefik(rest) {
                (record.event_type, record.severity) = (EventType::AccessDenied, Severity::Medium);
                record.format.message = "access";
                return true;
            }
        }
    }
    record.event_type = EventType::HttpRequest;
    record.severity = Severity::Low;
    record.format.message = "access";
    true
}

/// Traefik appends ` 72 "router" "server" 0ms`. It has no error log that names who was refused: its 401 is all that tells.
fn is_traefik(tail: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some((count, rest)) = tail.trim().split_once(" \"") else { return false };
    let Some((_, took)) = rest.rsplit_once("\" ") else { return false };
    number(count) && took.strip_suffix("ms").is_some_and(number)
}

/// What stands before the ` [`, the time, and what follows the `] `.
fn bracketed_time(text: &str) -> Option<(&str, &str, &str)> {
    memchr::memchr_iter(b'[', text.as_bytes()).take(8).find_map(|open| {
        let inner = &text[open + 1..];
        let close = inner.find(']')?;
        let (time, rest) = (&inner[..close], &inner[close + 1..]);
        let looks_right =
            time == "-" || (time.len() >= 19 && (time.as_bytes()[1..8].contains(&b'/') || time.as_bytes()[4] == b'-'));
        (looks_right && rest.starts_with(" \"")).then(|| (text[..open].trim(), time, rest))
    })
}

/// The client, the forwarding proxies or virtual host before it, and the user of basic authentication after it.
fn who<'a>(front: &'a str, record: &mut LogRecord<'a>) {
    let mut rest = front;
    let mut client = None;
    let mut host = None;
    while let Some(word) = rest.split(' ').next().filter(|w| !w.is_empty()) {
        let bare = word.trim_end_matches(',');
        let (name, port) = scan::host_port(bare);
        let remaining = rest[word.len()..].trim_start();
        if let Some(ip) = scan::ip(name) {
            // Of a list of forwarded clients the first is the one that asked.
            client = client.or(Some((ip, port)));
        } else if client.is_none() && host.is_none() && bare != "-" && remaining.split(' ').count() > 1 {
            host = Some(name);
        } else {
            break;
        }
        rest = remaining;
    }
    if let Some((ip, port)) = client {
        record.src_ip = Some(ip);
        record.src_port = port;
        if let Some(host) = host {
            record.set("url.domain", host);
        }
    } else if let Some(host) = host {
        record.set("source.domain", host);
    }
    // ident, then the user, which may hold blanks.
    let user = rest.split_once(' ').map_or("", |(_, user)| user.trim());
    let user = user.strip_prefix("- ").unwrap_or(user);
    if !user.is_empty() && user != "-" && user != "\"\"" {
        record.username = Some(user.into());
    }
}

pub(crate) fn request_line<'a>(request: &'a str, record: &mut LogRecord<'a>) {
    if request.is_empty() || request == "-" {
        return;
    }
    let method =
        |method: &str| !method.is_empty() && method.len() <= 20 && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    match request.split_once(' ') {
        Some((verb, rest)) if method(verb) => {
            let (url, version) = rest.rsplit_once(" HTTP/").map_or((rest, None), |(url, version)| (url, Some(version)));
            record.set("http.request.method", verb);
            record.set("url.original", url);
            if let Some(version) = version {
                record.set("http.version", version);
            }
        }
        // No HTTP: a scanner's probe, a TLS hello on a plain port.
        _ => record.set("url.original", request),
    }
}

/// Formats that begin with their time.
fn time_first<'a>(text: &'a str, record: &mut LogRecord<'a>, zone: Option<&Zone>) -> bool {
    let Some((time, rest)) = text.strip_prefix('[').and_then(|t| scan::cut(t, "] ")) else { return false };
    // Without a zone to ask, only whether it is a time matters: the envelope has told when.
    let Some(when) = clf_time(time, zone.or(Some(&Zone::UTC))) else { return false };
    if !proxy_manager(rest, record) && !ssl_request(rest, record) && !npmplus(rest, record) {
        return false;
    }
    record.event_time = record.event_time.or(Some(when));
    record.event_type = EventType::HttpRequest;
    record.severity = Severity::Low;
    record.format.message = "access";
    true
}

/// Apache's `ssl_request_log` as it is configured by default: `[time] 192.0.2.1 TLSv1.3 CIPHER "GET / HTTP/1.1" 512`.
fn ssl_request<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((head, tail)) = scan::cut(text, " \"") else { return false };
    let mut words = head.split(' ');
    let (Some(peer), Some(version), Some(cipher), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return false;
    };
    let Some((request, rest)) = tail.rsplit_once("\" ") else { return false };
    if rest != "-" && rest.parse::<u64>().is_err() {
        return false;
    }
    client(peer, record);
    record.set("tls.version", version);
    record.set("tls.cipher", cipher);
    request_line(request, record);
    if let Ok(bytes) = rest.parse::<i64>() {
        record.set("http.response.body.bytes", bytes);
    }
    true
}

/// NPMplus: `[time] host.example 192.0.2.1 0.002 "GET / HTTP/2.0" 200 61 333 referrer agent`, the last two as they came.
fn npmplus<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((head, tail)) = scan::cut(text, " \"") else { return false };
    let mut words = head.split(' ');
    let (Some(host), Some(peer), Some(seconds), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return false;
    };
    let (Some(ip), Ok(_)) = (scan::ip(peer), seconds.parse::<f64>()) else { return false };
    let Some((request, rest)) = scan::cut(tail, "\" ") else { return false };
    let mut words = rest.splitn(5, ' ');
    let (Some(status), Some(sent)) = (words.next().and_then(|code| code.parse::<u32>().ok()), words.next()) else { return false };
    record.src_ip = Some(ip);
    said(record, "url.domain", host);
    request_line(request, record);
    record.set("http.response.status_code", status);
    if let Ok(bytes) = sent.parse::<i64>() {
        record.set("http.response.body.bytes", bytes);
    }
    let _length = words.next();
    said(record, "http.request.referrer", words.next().unwrap_or(""));
    said(record, "user_agent.original", words.next().unwrap_or(""));
    true
}

/// nginx proxy manager: `[time] - 404 404 - GET http host "/path" [Client 192.0.2.1] [Length 5] … "agent" "referrer"`.
fn proxy_manager<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((head, tail)) = scan::cut(text, " \"") else { return false };
    let Some(peer) = scan::between(tail, "[Client ", ']') else { return false };
    // Cache state, the upstream's status, ours, a dash; then the request.
    let mut words = head.split(' ').skip_while(|w| !(w.len() > 2 && w.bytes().all(|b| b.is_ascii_uppercase())));
    let (Some(method), Some(_scheme), host) = (words.next(), words.next(), words.next()) else { return false };
    client(peer, record);
    record.set("http.request.method", method);
    if let Some(host) = host {
        record.set("url.domain", host);
    }
    if let Some((url, _)) = tail.split_once('"') {
        record.set("url.original", url);
    }
    if let Some(code) = head.split(' ').filter_map(|w| w.parse::<u32>().ok()).rfind(|c| (100..1000).contains(c)) {
        record.set("http.response.status_code", code);
    }
    true
}

/// The other end, by address or name, possibly with a port. Apache writes `[2001:db8::1]:5000` and, before 2.4, `2001:db8::1:5000`.
pub(super) fn client<'a>(text: &'a str, record: &mut LogRecord<'a>) {
    let (host, port) = scan::host_port(text.trim_end_matches(']'));
    match scan::ip(host) {
        Some(ip) => (record.src_ip, record.src_port) = (Some(ip), port),
        None if !host.is_empty() && host != "unix" => record.set("source.domain", host),
        None => {}
    }
}

/// A status or its dash: what follows the request. A client may put anything into its request, so this tells where it ends.
fn status_follows(after: &str) -> bool {
    let after = after.trim_start();
    after.starts_with('-') || after.bytes().take(3).filter(u8::is_ascii_digit).count() == 3
}

/// A quoted field and what follows it. Apache escapes quotes with a backslash, nginx as `\x22`; a quote that nobody escaped does not end the
/// field unless a blank or the end follows, and `fits` likes what does.
fn quoted(text: &str, fits: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let bytes = inner.as_bytes();
    memchr::memchr_iter(b'"', bytes)
        .find(|&at| {
            let backslashes = bytes[..at].iter().rev().take_while(|b| **b == b'\\').count();
            backslashes % 2 == 0 && bytes.get(at + 1).is_none_or(|next| *next == b' ') && fits(&inner[at + 1..])
        })
        .map(|at| (&inner[..at], &inner[at + 1..]))
}

/// Sets a field unless the server wrote its dash for nothing.
fn said<'a>(record: &mut LogRecord<'a>, name: &'static str, value: &'a str) {
    if !value.is_empty() && value != "-" {
        record.set(name, value);
    }
}

/// `10/Oct/2026:13:55:36 -0700`, or RFC 3339 (`$time_iso8601`); without a zone, `zone` is asked.
pub(crate) fn clf_time(text: &str, zone: Option<&Zone>) -> Option<Timestamp> {
    if text.as_bytes().get(4) == Some(&b'-') {
        return scan::iso_time(text, zone);
    }
    let (rest, (day, _, month, _, year, _)) =
        (scan::digits(1, 2), char('/'), take_while1(|c: char| c.is_ascii_alphabetic()), char('/'), scan::digits(4, 4), char(':'))
            .parse(text)
            .ok()?;
    let (rest, (hour, minute, second, micros)) = scan::clock(rest).ok()?;
    let civil = Civil::new(year as i32, scan::month(month)?, day as u8, hour, minute, second, micros)?;
    match rest.trim_start() {
        "" => zone.map(|zone| zone.instant(civil)),
        rest => scan::offset(rest).ok().map(|(_, seconds)| civil.at_offset(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Context;
    use crate::record::Value;
    use proptest::prelude::*;

    fn try_read(line: &str) -> Option<LogRecord<'_>> {
        let now = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
        let mut record = LogRecord::text(line);
        (DIALECT.parse)(line, &mut record, &Context { now, zone: &Zone::UTC, own: &[] }).then_some(record)
    }

    fn read(line: &str) -> LogRecord<'_> {
        try_read(line).unwrap_or_else(|| panic!("not read: {line}"))
    }

    #[test]
    fn access_lines() {
        #[rustfmt::skip]
        let table = [
            (r#"192.0.2.7 - - [11/Feb/2026:08:15:30 +0100] "GET /a HTTP/1.1" 200 512"#, "192.0.2.7", None, "/a", 200),
            (r#"192.0.2.7 - eve [11/Feb/2026:08:15:30 +0100] "POST /login HTTP/2.0" 401 - "https://www.example.net/" "curl/8.5""#, "192.0.2.7", Some("eve"), "/login", 401),
            (r#"2001:db8::7 - Eve Smith [11/Feb/2026:08:15:30 +0100] "GET /?q=\"x\" HTTP/1.1" 304 0 "-" "-""#, "2001:db8::7", Some("Eve Smith"), r#"/?q=\"x\""#, 304),
            (r#"192.0.2.7 - - [2026-02-11T08:15:30+01:00] "GET /iso HTTP/1.1" 200 5 "-" "x""#, "192.0.2.7", None, "/iso", 200),
            (r#"www.example.net:443 192.0.2.7 - - [11/Feb/2026:08:15:30 +0100] "GET / HTTP/1.1" 200 5 "-" "x""#, "192.0.2.7", None, "/", 200),
            (r#"192.0.2.7, 10.0.0.1, 10.0.0.2 - - [11/Feb/2026:08:15:30 +0100] "GET / HTTP/1.1" 200 5 "-" "x""#, "192.0.2.7", None, "/", 200),
            (r#"::ffff:192.0.2.7 10.0.0.1 - [11/Feb/2026:08:15:30 +0100] "GET / HTTP/1.1" 200 5 "-"  "x""#, "192.0.2.7", None, "/", 200),
            (r#"192.0.2.7 - - [11/Feb/2026:08:15:30 +0100] "\x16\x03\x01\x02" 400 150 "-" "-""#, "192.0.2.7", None, r"\x16\x03\x01\x02", 400),
            (r#"[11/Feb/2026:08:15:30 +0100] 192.0.2.7 TLSv1.3 TLS_AES_256_GCM_SHA384 "GET /s HTTP/1.1" 512"#, "192.0.2.7", None, "/s", 0),
            (r#"192.0.2.7 - - [1/Feb/2026:08:15:30 +0100] "GET /"x" HTTP/1.1" 200 5 "-" "x" 0.003 [default] - "10.1.1.1""#, "192.0.2.7", None, r#"/"x""#, 200),
            (r#"[11/Feb/2026:08:15:30 +0100] shop.example 192.0.2.7 0.041 "GET /n HTTP/2.0" 207 386 1186 - Mozilla/5.0 (X11; Linux)"#, "192.0.2.7", None, "/n", 207),
            (r#"[11/Feb/2026:08:15:30 +0100] - 404 404 - GET https shop.example "/x" [Client 192.0.2.7] [Length 5] [Gzip -] "agent" "-""#, "192.0.2.7", None, "/x", 404),
        ];
        for (line, src, user, url, status) in table {
            let record = read(line);
            assert_eq!(record.event_type, EventType::HttpRequest, "{line}");
            assert_eq!(record.src_ip, src.parse().ok(), "{line}");
            assert_eq!(record.username.as_deref(), user, "{line}");
            assert_eq!(record.field("url.original"), Some(&url.into()), "{line}");
            assert_eq!(record.field("http.response.status_code"), (status > 0).then_some(&Value::Int(status)), "{line}");
            assert!(record.event_time.is_some(), "{line}");
        }
        assert_eq!(read(table[0].0).event_time, Some(Timestamp::parse_rfc3339("2026-02-11T07:15:30Z").unwrap()));
        assert_eq!(read(table[1].0).field("user_agent.original"), Some(&"curl/8.5".into()));
        assert_eq!(read(table[4].0).field("url.domain"), Some(&"www.example.net".into()));
        let by_name = read(r#"monitor - - [11/Feb/2026:08:15:30 +0000] "-" 408 -"#);
        assert_eq!(by_name.field("source.domain"), Some(&"monitor".into()));
    }

    #[test]
    fn traefik_tells_of_refusals_nowhere_else() {
        let line = r#"192.0.2.7 - eve [11/Feb/2026:08:15:30 +0000] "GET /d/ HTTP/2.0" 401 17 "-" "x" 72 "Auth for d" "/d/" 0ms"#;
        assert_eq!(read(line).event_type, EventType::AccessDenied);
        assert_eq!(read(&line.replace(" 401 ", " 200 ")).event_type, EventType::HttpRequest);
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in
            ["", "plain text", "[info] starting", "[2026] x", "a [b] \"c\" d", "Feb 11 08:15:30 h sshd[1]: x", "2026/02/11 x"]
        {
            assert!(try_read(line).is_none(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(line in "(\\[|\\]|\"| |-|11/Feb/2026:08:15:30 \\+0100|Wed Feb 11 08:15:30 2026|client |error|2026/02/11 08:15:30|user |, client: |AH|[0-9.:]{1,9}|\\PC){0,30}") {
            try_read(&line);
        }
    }
}
