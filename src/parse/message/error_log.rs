//! Error logs of nginx and Apache: who was refused, and what the server says of itself.
//!
//! Sources: nginx `ngx_log.c` and its mail proxy; Apache's ErrorLogFormat of 2.2 and 2.4 and the messages of its authentication modules
//! (AH01617, AH01618, AH01790 and the like). The line that names the user is the refused login; the 401 in the access log is only a request.

use nom::Parser as _;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::opt;
use nom::sequence::{delimited, preceded};

use super::access::{client, request_line};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Line};
use crate::parse::scan;
use crate::record::{Civil, EventType, LogRecord, Severity, Zone};

pub(super) const NGINX: Dialect = Dialect {
    name: "nginx_error",
    product: "nginx: error log",
    reference: "https://nginx.org/en/docs/ngx_core_module.html#error_log",
    marks: &[
        App("nginx"),
        Line(" [debug] "),
        Line(" [info] "),
        Line(" [notice] "),
        Line(" [warn] "),
        Line(" [error] "),
        Line(" [crit] "),
        Line(" [alert] "),
        Line(" [emerg] "),
    ],
    parse: |text, record, context| nginx(text.trim_end(), record, Some(context.zone)),
    samples: &[
        r#"2026/11/20 06:25:01 [error] 812#812: *17 user "mia": password mismatch, client: 203.0.113.77, server: example.org, request: "GET / HTTP/1.1", host: "example.org""#,
    ],
};

pub(super) const APACHE: Dialect = Dialect {
    name: "apache_error",
    product: "Apache: error log",
    reference: "https://httpd.apache.org/docs/2.4/mod/core.html#errorlogformat",
    marks: &[App("apache2"), App("apache"), App("httpd"), Begins("["), Line("] [")],
    parse: |text, record, context| apache(text.trim_end(), record, Some(context.zone)),
    samples: &[
        "[Fri Nov 20 06:25:01.902022 2026] [auth_basic:error] [pid 35708:tid 43286] [client 203.0.113.77:51522] AH01617: user mia: authentication failure for \"/\": Password Mismatch",
    ],
};

/// nginx: `2026/02/11 08:15:30 [error] 812#812: *17 message, client: …, server: …, request: "…", host: "…", referrer: "…"`.
fn nginx<'a>(text: &'a str, record: &mut LogRecord<'a>, zone: Option<&Zone>) -> bool {
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
    // A user's name may pretend to be the rest of the line: what follows it is looked for from the right.
    let named = rest.starts_with("user \"") || rest.starts_with("PAM: user '");
    let after_user =
        [": password mismatch", " was not found in ", " - not authenticated"].iter().filter_map(|sign| rest.rfind(sign)).max();
    // BookStack and others say it through PHP, whose words nginx puts in quotes and leaves as they are.
    let php = rest.strip_prefix("FastCGI sent in stderr: \"PHP message: Failed login for ");
    let php = php.and_then(|user| user.rfind("\" while ").map(|at| (&user[..at], rest.len() - user.len() + at)));
    let start = php.map(|(_, at)| at).or(after_user.filter(|_| named)).unwrap_or(0);
    let (what, about) = match rest[start..].split_once(", client: ") {
        Some((what, about)) => (&rest[..start + what.len()], Some(about)),
        None => (rest, None),
    };
    if let Some(about) = about {
        // "192.0.2.1 using starttls"
        client(about.split([',', ' ']).next().unwrap_or(about), record);
        server(scan::cut(about, ", server: ").map_or("", |(_, server)| server), record);
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
    let mail = what.strip_prefix("client ").and_then(|w| scan::cut(w, " connected to "));
    if let Some((from, to)) = mail {
        client(from, record);
        server(to, record);
    }
    let mail_login = what.starts_with("client login failed: ");
    let mail_entry = what == "client logged in";
    let login = about.filter(|_| mail_login || mail_entry).and_then(|about| scan::between(about, "login: \"", '"'));
    let named = what.strip_prefix("user \"").and_then(|w| w.split_once('"')).map(|(user, _)| user);
    let named = named.or_else(|| what.strip_prefix("PAM: user '").and_then(|w| w.split_once('\'')).map(|(user, _)| user));
    let named = php.map(|(user, _)| user).or(named);
    let refused = mail_login
        || php.is_some()
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
fn apache<'a>(text: &'a str, record: &mut LogRecord<'a>, zone: Option<&Zone>) -> bool {
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
    let (code, what) = match scan::cut(rest, ": ") {
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
        || what.starts_with("ModSecurity: Access denied")
        || scan::has(what, "client used wrong authentication scheme")
        || scan::has(what, "invalid nonce")
        || scan::has(what, "authorization failure")
        || scan::has(what, "access to ");
    let refused = refused && peer.is_some();
    finish(record, refused, denied && peer.is_some(), user.filter(|_| refused), peer.is_some(), level);
    if what.starts_with("ModSecurity: Warning") && peer.is_some() {
        (record.event_type, record.severity) = (EventType::IdsAlert, Severity::Medium);
    }
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

/// The end that was asked, where it is named by its address and port.
fn server(text: &str, record: &mut LogRecord<'_>) {
    let (host, port) = scan::host_port(text.split([',', ' ']).next().unwrap_or_default());
    if let (Some(ip), Some(port)) = (scan::ip(host), port) {
        (record.dst_ip, record.dst_port) = (Some(ip), Some(port));
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
    use crate::parse::Context;
    use crate::record::Timestamp;

    fn read(line: &str) -> LogRecord<'_> {
        let now = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap();
        let (mut record, context) = (LogRecord::text(line), Context { now, zone: &Zone::UTC, own: &[] });
        assert!((NGINX.parse)(line, &mut record, &context) || (APACHE.parse)(line, &mut record, &context), "not read: {line}");
        record
    }

    #[test]
    fn a_name_cannot_pretend_to_be_another_client() {
        let line = r#"2026/02/11 08:15:30 [error] 812#0: *17 user "x", client: 203.0.113.66, server: _": password mismatch, client: 192.0.2.7, server: _"#;
        assert_eq!(read(line).src_ip, "192.0.2.7".parse().ok());
        let line = r#"2026/02/11 08:15:30 [error] 812#0: *17 FastCGI sent in stderr: "PHP message: Failed login for x" while y, client: 203.0.113.1, server: _" while reading response header from upstream, client: 192.0.2.7, server: _, request: "POST /login HTTP/1.1", upstream: "fastcgi://127.0.0.1:9000""#;
        assert_eq!((read(line).src_ip, read(line).event_type), ("192.0.2.7".parse().ok(), EventType::LoginFailed));
        assert_eq!(read(line).username.as_deref(), Some(r#"x" while y, client: 203.0.113.1, server: _"#));
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
}
