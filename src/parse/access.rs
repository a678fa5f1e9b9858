//! Web servers: access logs in the common and combined formats of Apache and nginx, and the error logs of both.
//!
//! Sources: Apache mod_log_config ("Common Log Format", "Combined Log Format", `%v:%p` in front), nginx ngx_http_log_module `combined` and
//! what is usually appended to it; ErrorLogFormat of Apache 2.2 and 2.4; nginx `ngx_log.c`. A refused request (401, 403) is a request;
//! a refused login is what the error log calls so.

use nom::Parser as _;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::opt;
use nom::sequence::{delimited, preceded};

use crate::parse::{Context, scan};
use crate::record::{Civil, EventType, LogRecord, Severity, Timestamp, Zone};

/// A cheap look: the line may be of one of these formats, with nothing in front of it.
pub(crate) fn recognise(text: &str) -> bool {
    match text.as_bytes() {
        [b'<', ..] => false,
        [b'[', ..] | [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'/', ..] => true,
        // A syslog tag ends in a colon; nothing in front of an access log's time does, but an address like 2001:db8::.
        _ => {
            scan::has(text, "] \"")
                && bracketed_time(text)
                    .is_some_and(|(front, ..)| !front.split(' ').any(|w| w.ends_with(':') && scan::ip(w).is_none()))
        }
    }
}

/// Reads a line that has no envelope; `None` where it is of none of these formats.
pub(crate) fn parse<'a>(text: &'a str, context: &Context<'_>) -> Option<LogRecord<'a>> {
    let text = text.trim_end();
    let mut record = LogRecord::text(text);
    fill(text, &mut record, Some(context.zone)).then_some(record)
}

/// Reads a line that came in an envelope; its time stands unless the line has one with a zone and the envelope had none.
pub(crate) fn message<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    fill(message.trim_end(), record, None)
}

fn fill<'a>(text: &'a str, record: &mut LogRecord<'a>, zone: Option<&Zone>) -> bool {
    match text.as_bytes() {
        [b'0'..=b'9', _, _, _, b'/', ..] if nginx_error(text, record, zone) => true,
        [b'[', ..] => apache_error(text, record, zone) || time_first(text, record, zone),
        _ => access(text, record, zone),
    }
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
    record.event_time = record.event_time.or_else(|| clf_time(time, zone));
    request_line(request, record);
    if let Some(code) = code {
        record.set("http.response.status_code", u32::from(code));
    }
    if let Some(bytes) = bytes.and_then(|b| b.parse::<i64>().ok()) {
        record.set("http.response.body.bytes", bytes);
    }
    if let Some((referrer, rest)) = quoted(rest.trim_start(), |_| true) {
        said(record, "http.request.referrer", referrer);
        if let Some((agent, _)) = quoted(rest.trim_start(), |_| true) {
            said(record, "user_agent.original", agent);
        }
    }
    record.event_type = EventType::HttpRequest;
    record.severity = Severity::Low;
    record.format.message = "access";
    true
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

/// nginx: `2026/02/11 08:15:30 [error] 812#812: *17 message, client: …, server: …, request: "…", host: "…", referrer: "…"`.
fn nginx_error<'a>(text: &'a str, record: &mut LogRecord<'a>, zone: Option<&Zone>) -> bool {
    let (Some(time), Some(rest)) = (text.get(..19), text.get(19..)) else { return false };
    let mut head = preceded(tag(" "), delimited(char('['), take_while1(|c: char| c.is_ascii_lowercase()), tag("] ")));
    let head: nom::IResult<&str, &str> = head.parse(rest);
    let Ok((rest, level)) = head else { return false };
    let Some(level) = scan::level(level) else { return false };
    // The time is civil: without a zone to ask it is left to the envelope.
    if scan::iso_time(time, Some(&Zone::UTC)).is_none() {
        return false;
    }
    let mut ids = (
        opt((digit1::<&str, nom::error::Error<&str>>, char('#'), digit1, tag(": "))),
        opt(delimited(char('*'), digit1, char(' '))),
    );
    let (pid, rest) = match ids.parse(rest) {
        Ok((rest, (process, _connection))) => (process.and_then(|(pid, ..)| pid.parse().ok()), rest),
        Err(_) => (None, rest),
    };
    record.event_time = record.event_time.or_else(|| zone.and_then(|zone| scan::iso_time(time, Some(zone))));
    record.pid = record.pid.or(pid);
    let (what, about) = match rest.split_once(", client: ") {
        Some((what, about)) => (what, Some(about)),
        None => (rest, None),
    };
    if let Some(about) = about {
        // "192.0.2.1 using starttls"
        client(about.split([',', ' ']).next().unwrap_or(about), record);
        server(about.split_once(", server: ").map_or("", |(_, server)| server), record);
        if let Some(request) = scan::between(about, "request: \"", '"') {
            request_line(request, record);
        }
        if let Some(host) = scan::between(about, "host: \"", '"') {
            record.set("url.domain", host);
        }
        if let Some(referrer) = scan::between(about, "referrer: \"", '"') {
            record.set("http.request.referrer", referrer);
        }
    }
    // nginx as a mail proxy.
    let mail = what.strip_prefix("client ").and_then(|w| w.split_once(" connected to "));
    if let Some((from, to)) = mail {
        client(from, record);
        server(to, record);
    }
    let mail_login = what.starts_with("client login failed: ");
    let mail_entry = what == "client logged in";
    let login = about.filter(|_| mail_login || mail_entry).and_then(|about| scan::between(about, "login: \"", '"'));
    let named = what.strip_prefix("user \"").and_then(|w| w.split_once('"')).map(|(user, _)| user);
    let named = named.or_else(|| what.strip_prefix("PAM: user '").and_then(|w| w.split_once('\'')).map(|(user, _)| user));
    let refused = mail_login
        || scan::has(what, ": password mismatch")
        || (scan::has(what, " was not found in "))
        || (what.starts_with("PAM: user ") && scan::has(what, "not authenticated"));
    let denied = scan::has(what, "access forbidden by rule") || what.starts_with("no user/password was provided");
    finish(record, refused, denied, named.or(login), about.is_some(), level);
    if mail.is_some() {
        record.event_type = EventType::ConnectionAllowed;
    } else if mail_entry {
        record.event_type = EventType::LoginSuccess;
    }
    record.format.message = "nginx_error";
    true
}

/// Apache: `[time] [module:level] [pid 7:tid 9] [client 192.0.2.1:5000] AH01618: user eve not found: /private, referer: …`; the time and
/// other parts may be missing (syslog has taken it, or a 2.2 server never wrote it).
fn apache_error<'a>(text: &'a str, record: &mut LogRecord<'a>, zone: Option<&Zone>) -> bool {
    let mut rest = text;
    let (mut level, mut pid, mut peer, mut time, mut module) = (None, None, None, None, None);
    while let Some((part, after)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        if let Some(address) = part.strip_prefix("client ").or_else(|| part.strip_prefix("remote ")) {
            // An IPv6 address with a port stands in brackets of its own.
            if let Some(inner) = address.strip_prefix('[') {
                peer = Some(inner);
                rest = after.split_once(']').map_or(after, |(_, after)| after).trim_start();
                continue;
            }
            peer = Some(address);
        } else if let Some(process) = part.strip_prefix("pid ") {
            pid = process.split(':').next().and_then(|p| p.parse().ok());
        } else if let Some((name, word)) = part.rsplit_once(':').filter(|(_, word)| scan::level(word).is_some()) {
            (module, level) = (Some(name), scan::level(word));
        } else if let Some(known) = scan::level(part) {
            level = Some(known);
        } else if let (true, Some(civil)) = (time.is_none(), apache_time(part)) {
            time = Some(civil);
        } else {
            break;
        }
        rest = after.trim_start();
    }
    let Some(level) = level else { return false };
    if time.is_none() && peer.is_none() && pid.is_none() {
        return false;
    }
    record.event_time = record.event_time.or_else(|| Some(zone?.instant(time?)));
    record.pid = record.pid.or(pid);
    if let Some(peer) = peer {
        client(peer, record);
    }
    if let Some(module) = module.filter(|m| !m.is_empty()) {
        record.set("apache.error.module", module);
    }
    let (code, what) = match rest.split_once(": ") {
        Some((code, what)) if code.starts_with("AH") && code[2..].bytes().all(|b| b.is_ascii_digit()) => (Some(code), what),
        _ => (None, rest),
    };
    if let Some(code) = code {
        record.set("event.code", code);
    }
    let what = match what.rsplit_once(", referer: ") {
        Some((what, referrer)) => {
            record.set("http.request.referrer", referrer);
            what
        }
        None => what,
    };
    let what = what.strip_prefix("Digest: ").unwrap_or(what);
    let mut refused = false;
    let mut user = None;
    if let Some(about) = what.strip_prefix("user ") {
        // The name may be quoted as `eve', may hold blanks, and may be empty.
        let end = [": authentication failure", ": password mismatch", " in realm ", " not found"]
            .iter()
            .filter_map(|sign| about.find(sign))
            .min();
        if let Some(end) = end {
            let failed = &about[end..];
            refused = !failed.starts_with(" in realm ") || scan::has(failed, " not found");
            user = Some(about[..end].trim_matches(['`', '\'', '"', ' ']));
        }
    }
    let denied = scan::has(what, "client denied by server configuration")
        || scan::has(what, "client used wrong authentication scheme")
        || scan::has(what, "invalid nonce")
        || scan::has(what, "authorization failure")
        || scan::has(what, "access to ");
    let refused = refused && peer.is_some();
    finish(record, refused, denied && peer.is_some(), user.filter(|_| refused), peer.is_some(), level);
    record.format.message = "apache_error";
    true
}

/// Kind and severity of an error log's line.
fn finish<'a>(record: &mut LogRecord<'a>, refused: bool, denied: bool, user: Option<&'a str>, request: bool, level: u8) {
    (record.event_type, record.severity) = match (refused, denied, request) {
        (true, ..) => (EventType::LoginFailed, Severity::Medium),
        (_, true, _) => (EventType::AccessDenied, Severity::Low),
        (_, _, true) => (EventType::HttpRequest, Severity::Low),
        // The server speaks of itself.
        _ => (EventType::ServiceChange, if level <= 2 { Severity::Medium } else { Severity::Low }),
    };
    if let Some(user) = user.filter(|user| !user.is_empty()) {
        record.username = Some(user.into());
    }
}

/// Formats that begin with their time.
fn time_first<'a>(text: &'a str, record: &mut LogRecord<'a>, zone: Option<&Zone>) -> bool {
    let Some((time, rest)) = text.strip_prefix('[').and_then(|t| t.split_once("] ")) else { return false };
    // Without a zone to ask, only whether it is a time matters: the envelope has told when.
    let Some(when) = clf_time(time, zone.or(Some(&Zone::UTC))) else { return false };
    if !proxy_manager(rest, record) && !ssl_request(rest, record) {
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
    let Some((head, tail)) = text.split_once(" \"") else { return false };
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

/// nginx proxy manager: `[time] - 404 404 - GET http host "/path" [Client 192.0.2.1] [Length 5] … "agent" "referrer"`.
fn proxy_manager<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((head, tail)) = text.split_once(" \"") else { return false };
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
fn client<'a>(text: &'a str, record: &mut LogRecord<'a>) {
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

/// The end that was asked, where it is named by its address and port.
fn server(text: &str, record: &mut LogRecord<'_>) {
    let (host, port) = scan::host_port(text.split([',', ' ']).next().unwrap_or_default());
    if let (Some(ip), Some(port)) = (scan::ip(host), port) {
        (record.dst_ip, record.dst_port) = (Some(ip), Some(port));
    }
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

/// `Wed Feb 11 08:15:30.123456 2026`, or `2026-02-11 08:15:30.123456`.
fn apache_time(text: &str) -> Option<Civil> {
    if text.as_bytes().first()?.is_ascii_digit() {
        let (date, clock) = text.split_once([' ', 'T'])?;
        let mut parts = date.split('-');
        let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (_, (hour, minute, second, micros)) = scan::clock(clock).ok()?;
        return Civil::new(year, month, day, hour, minute, second, micros);
    }
    let mut words = text.split_ascii_whitespace();
    let (_weekday, month, day, clock, year) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let (_, (hour, minute, second, micros)) = scan::clock(clock).ok()?;
    Civil::new(year.parse().ok()?, scan::month(month)?, day.parse().ok()?, hour, minute, second, micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Value;
    use proptest::prelude::*;

    fn context() -> Context<'static> {
        Context { now: Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap(), zone: &Zone::UTC }
    }

    fn read(line: &str) -> LogRecord<'_> {
        parse(line, &context()).unwrap_or_else(|| panic!("not read: {line}"))
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
    fn error_lines() {
        use EventType::*;
        #[rustfmt::skip]
        let table = [
            (r#"2026/02/11 08:15:30 [error] 812#812: *17 user "eve": password mismatch, client: 192.0.2.7, server: _, request: "GET /x HTTP/1.1", host: "a.example""#, LoginFailed, Some("192.0.2.7"), None, Some("eve")),
            (r#"2026/02/11 08:15:30 [error] 812#0: *17 user "eve" was not found in "/etc/nginx/htpasswd", client: 192.0.2.7, server: _, request: "GET / HTTP/1.1""#, LoginFailed, Some("192.0.2.7"), None, Some("eve")),
            (r#"2026/02/11 08:15:30 [error] 812#0: *17 no user/password was provided for basic authentication, client: 192.0.2.7, server: _"#, AccessDenied, Some("192.0.2.7"), None, None),
            (r#"2026/02/11 08:15:30 [error] 812#0: *17 access forbidden by rule, client: 2001:db8::7, server: _"#, AccessDenied, Some("2001:db8::7"), None, None),
            (r#"2026/02/11 08:15:30 [crit] 812#0: *17 SSL_do_handshake() failed (SSL: error:0A00006C) while SSL handshaking, client: 192.0.2.7, server: 0.0.0.0:443"#, HttpRequest, Some("192.0.2.7"), None, None),
            (r#"2026/02/11 08:15:30 [info] 8#8: *15 client login failed: "Invalid login" while in http auth state, client: 192.0.2.7, server: 0.0.0.0:25, login: "eve@example.net""#, LoginFailed, Some("192.0.2.7"), None, Some("eve@example.net")),
            (r#"2026/02/11 08:15:30 [info] 8#8: *15 client logged in, client: 192.0.2.7 using starttls, server: 0.0.0.0:587, login: "eve""#, LoginSuccess, Some("192.0.2.7"), None, Some("eve")),
            (r#"2026/02/11 08:15:30 [info] 8#8: *15 client 192.0.2.7:5000 connected to 0.0.0.0:25"#, ConnectionAllowed, Some("192.0.2.7"), Some(5000), None),
            (r#"2026/02/11 08:15:30 [notice] 812#812: signal process started"#, ServiceChange, None, None, None),
            (r#"[Wed Feb 11 08:15:30.123456 2026] [auth_basic:error] [pid 7:tid 99] [client 192.0.2.7:5000] AH01618: user eve not found: /private"#, LoginFailed, Some("192.0.2.7"), Some(5000), Some("eve")),
            (r#"[Wed Feb 11 08:15:30.123456 2026] [auth_basic:error] [pid 7] [client 192.0.2.7:5000] AH01617: user eve: authentication failure for "/private": Password Mismatch, referer: https://a.example/"#, LoginFailed, Some("192.0.2.7"), Some(5000), Some("eve")),
            (r#"[Wed Feb 11 08:15:30 2026] [error] [client 192.0.2.7] user eve not found: /private"#, LoginFailed, Some("192.0.2.7"), None, Some("eve")),
            (r#"[Wed Feb 11 08:15:30 2026] [auth_digest:error] [pid 7] [client 192.0.2.7:5000] AH01790: user `eve' in realm `secret' not found: /x"#, LoginFailed, Some("192.0.2.7"), Some(5000), Some("eve")),
            (r#"[Wed Feb 11 08:15:30 2026] [authz_core:error] [pid 7] [client [2001:db8::7]:5000] AH01630: client denied by server configuration: /var/www"#, AccessDenied, Some("2001:db8::7"), None, None),
            (r#"[Wed Feb 11 08:15:30 2026] [error] [client 192.0.2.7] File does not exist: /var/www/user not found"#, HttpRequest, Some("192.0.2.7"), None, None),
            (r#"[Wed Feb 11 08:15:30.1 2026] [mpm_prefork:notice] [pid 7] AH00163: Apache/2.4 configured -- resuming normal operations"#, ServiceChange, None, None, None),
            (r#"[authz_core:error] [pid 7] [client 192.0.2.7:5000] AH01630: client denied by server configuration: /x"#, AccessDenied, Some("192.0.2.7"), Some(5000), None),
        ];
        for (line, kind, src, port, user) in table {
            let record = read(line);
            assert_eq!(record.event_type, kind, "{line}");
            assert_eq!((record.src_ip, record.src_port), (src.and_then(|s| s.parse().ok()), port), "{line}");
            assert_eq!(record.username.as_deref(), user, "{line}");
        }
        assert_eq!(read(table[0].0).event_time, Some(Timestamp::parse_rfc3339("2026-02-11T08:15:30Z").unwrap()));
        assert_eq!(read(table[9].0).event_time, Some(Timestamp::parse_rfc3339("2026-02-11T08:15:30.123456Z").unwrap()));
    }

    #[test]
    fn other_lines_are_left_alone() {
        for line in
            ["", "plain text", "[info] starting", "[2026] x", "a [b] \"c\" d", "Feb 11 08:15:30 h sshd[1]: x", "2026/02/11 x"]
        {
            assert!(parse(line, &context()).is_none(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(line in "(\\[|\\]|\"| |-|11/Feb/2026:08:15:30 \\+0100|Wed Feb 11 08:15:30 2026|client |error|2026/02/11 08:15:30|user |, client: |AH|[0-9.:]{1,9}|\\PC){0,30}") {
            parse(&line, &context());
        }
    }
}
