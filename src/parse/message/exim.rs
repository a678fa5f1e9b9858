//! Exim's main and reject logs: `2026-11-20 06:25:01 [pid] message-id text`, alone or in syslog.
//!
//! Source: Exim specification, "Log files" (chapter 53), with the selectors `pid`, `incoming_port`, `incoming_interface` and `tls_*`. A host is
//! `H=name (helo) [address]:port I=[address]:port`, each but the address optional; the helo is the client's word. A failed login and a refusal
//! are medium, the rest low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds, Line};
use crate::parse::token::{ip, is_host_name, port_number, word};
use crate::parse::{Context, fill, scan, timestamp};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "exim",
    product: "Exim",
    reference: "https://www.exim.org/exim-html-current/doc/html/spec_html/ch-log_files.html",
    marks: &[
        App("exim"),
        App("exim4"),
        Line(" authenticator failed for "),
        Line(" H=("),
        Line(" H=["),
        Line("] F=<"),
        Line("SMTP call from "),
        Line("SMTP protocol "),
        Line("SMTP connection from "),
        Line("SMTP command timeout on "),
        Line(" rejected by local_scan()"),
        Line(" rejected after DATA"),
        Line(" SA: Action: "),
        Line(" sender verify fail for <"),
        Line("during SMTP connection from ["),
        Line(" dropped by '"),
        Line(" TLS error on connection from "),
        Line(" login attempt from "),
        Line(" <= "),
        Line(" rejected "),
        Holds(" authenticator failed for "),
        Holds("SMTP protocol synchronization error "),
    ],
    parse,
    samples: &[
        "2026-11-20 06:25:01 dovecot_login authenticator failed for mail.example (User) [203.0.113.77]:21298 I=[192.0.2.10]:465: 535 Incorrect authentication data (set_id=mia@example.org)",
        "2026-11-20 06:25:01 [1412] H=mail.example (pc1) [203.0.113.77]:21298 F=<a@example.net> rejected RCPT <mia@example.org>: relay not permitted",
        "2026-11-20 06:25:01 SMTP call from [203.0.113.77] dropped: too many nonmail commands (last was \"RSET\")",
    ],
};

const FORMAT: &str = "exim";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    let (time, rest) = match timestamp::reading(text) {
        Ok((rest, reading)) => (reading.instant(context), rest.trim_start()),
        Err(_) => (None, text),
    };
    let (pid, rest) = match rest.strip_prefix('[').and_then(|rest| scan::cut(rest, "] ")) {
        Some((pid, rest)) if pid.bytes().all(|b| b.is_ascii_digit()) => (pid.parse().ok(), rest),
        _ => (None, rest),
    };
    let (first, behind) = word(rest);
    let (id, rest) = if is_message_id(first) { (Some(first), behind) } else { (None, rest) };
    // Outside of syslog nothing else says that it is Exim's.
    let known = record.app.is_some() || time.is_some() || pid.is_some();
    let Some(what) = known.then(|| what(rest)).flatten() else { return false };
    record.event_time = time.or(record.event_time);
    record.pid = pid.or(record.pid);
    if let Some(id) = id {
        record.set("email.local_id", id);
    }
    what.file(rest, record);
    true
}

/// `1UlasQ-0003fr-45`, since 4.97 `1rMXXX-00000000000-0aBc`.
fn is_message_id(word: &str) -> bool {
    let lengths = word.split('-').map(str::len);
    let is_one = lengths.clone().eq([6, 6, 2]) || lengths.eq([6, 11, 4]);
    is_one && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A message that was understood.
struct What<'a> {
    event: Event,
    host: Option<Host<'a>>,
    user: Option<&'a str>,
    reason: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Event {
    Failed,
    Refused(&'static str),
    Login,
    Other(&'static str),
}

impl<'a> What<'a> {
    fn file(self, text: &'a str, record: &mut LogRecord<'a>) {
        if let Some(host) = self.host {
            host.file(record);
        }
        if let Some(user) = self.user {
            fill::account(record, Cow::Borrowed(user));
        }
        if let Some(reason) = self.reason {
            record.set("event.reason", reason);
        }
        if let Some((_, sender)) = scan::cut(text, " F=<")
            && let Some((sender, _)) = sender.split_once('>')
        {
            record.set("email.from.address", sender);
        }
        match self.event {
            Event::Failed => failed(record, FORMAT, "smtp_login", ToldBy::Service),
            Event::Login => succeeded(record, FORMAT, "smtp_login"),
            Event::Refused(action) => {
                is(record, FORMAT, EventType::AccessDenied, Severity::Medium);
                record.action = Some(Cow::Borrowed(action));
            }
            Event::Other(action) => {
                is(record, FORMAT, EventType::Other, Severity::Low);
                record.action = Some(Cow::Borrowed(action));
            }
        }
    }
}

/// The remote end.
struct Host<'a> {
    name: Option<&'a str>,
    address: std::net::IpAddr,
    port: Option<u16>,
    interface: Option<(std::net::IpAddr, Option<u16>)>,
    behind: &'a str,
}

impl<'a> Host<'a> {
    fn file(&self, record: &mut LogRecord<'a>) {
        record.src_ip = Some(self.address);
        record.src_port = self.port;
        if let Some(name) = self.name {
            set_domain(record, name);
        }
        if let Some((ip, port)) = self.interface {
            record.dst_ip = Some(ip);
            record.dst_port = port;
        }
    }
}

fn set_domain<'a>(record: &mut LogRecord<'a>, name: &'a str) {
    if is_host_name(name) && name != "NULL" {
        record.set("source.domain", name);
    }
}

/// `name (helo) [address]:port I=[address]:port` at the front of `text`.
fn host(text: &str) -> Option<Host<'_>> {
    let (name, mut rest) = match word(text) {
        _ if text.starts_with(['(', '[']) => (None, text),
        (name, rest) => (Some(name), rest),
    };
    if rest.starts_with('(') {
        // The helo may look like an address, in brackets, too.
        let end = rest.find(") [")?;
        rest = &rest[end + 2..];
    }
    let (address, mut behind) = bracketed(rest)?;
    let mut port = None;
    (port, behind) = colon_port(behind).map_or((port, behind), |(found, rest)| (Some(found), rest));
    // With RFC 1413 the user of the other machine stands between them.
    let at = behind.strip_prefix(" I=").and_then(bracketed);
    let mut interface = None;
    if let Some((ip, rest)) = at {
        let found = colon_port(rest);
        interface = Some((ip, found.map(|(port, _)| port)));
        behind = found.map_or(rest, |(_, rest)| rest);
    }
    Some(Host { name, address, port, interface, behind })
}

fn bracketed(text: &str) -> Option<(std::net::IpAddr, &str)> {
    let (address, rest) = text.strip_prefix('[')?.split_once(']')?;
    Some((ip(address)?, rest))
}

fn colon_port(text: &str) -> Option<(u16, &str)> {
    let rest = text.strip_prefix(':')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    Some((port_number(rest.get(..digits).filter(|digits| !digits.is_empty())?)?, &rest[digits..]))
}

/// The text behind `before`, and the host at its front.
fn host_after<'a>(text: &'a str, before: &str) -> Option<Host<'a>> {
    scan::find(text, before).and_then(|at| host(&text[at + before.len()..]))
}

/// What a message without its time and ids tells.
fn what(text: &str) -> Option<What<'_>> {
    let plain = |event, host| Some(What { event, host: Some(host), user: None, reason: None });
    if let Some((authenticator, rest)) = scan::cut(text, " authenticator failed for ")
        && !authenticator.contains([' ', '[', '('])
    {
        return login(host(rest)?);
    }
    if let Some(rest) = text.strip_prefix("H=") {
        return refused(host(rest)?);
    }
    if text.starts_with("F=") {
        // Versions before 4.7 named the sender first.
        return refused(host_after(text, " H=")?);
    }
    if text.starts_with("SMTP protocol ") {
        // What the client sent stands in quotes before the host, or behind it: `H=` in it is not looked for beyond the sentence.
        let at =
            if text.starts_with("SMTP protocol error in \"") { text.rfind("\" H=")? + 4 } else { text.find(" from H=")? + 8 };
        return plain(Event::Refused("protocol_error"), host(&text[at..])?);
    }
    if let Some(rest) = text.strip_prefix("SMTP call from ") {
        let host = host(rest)?;
        let reason = host.behind.split_once("dropped: ").map(|(_, reason)| reason);
        return Some(What { event: Event::Refused("dropped"), reason, user: None, host: Some(host) });
    }
    if let Some(rest) =
        text.strip_prefix("SMTP connection from ").or_else(|| text.strip_prefix("no MAIL in SMTP connection from "))
    {
        let host = host(rest)?;
        let dropped = host.behind.contains("closed by DROP in ACL");
        return plain(if dropped { Event::Refused("dropped") } else { Event::Other("connection") }, host);
    }
    if text.starts_with("no host name found for IP address ") || text.starts_with("no IP address found for host ") {
        return plain(Event::Other("unresolved"), host_after(text, "(during SMTP connection from ")?);
    }
    if let Some(rest) = text.strip_prefix("TLS error on connection from ") {
        return plain(Event::Other("tls_error"), host(rest)?);
    }
    if text.starts_with("SMTP command timeout on ") || text.starts_with("SMTP data timeout ") {
        return plain(Event::Other("timeout"), host_after(text, "connection from ")?);
    }
    if text.starts_with("SA: Action: ") {
        return spam(text);
    }
    if text.starts_with("<= ") {
        return accepted(text);
    }
    None
}

/// `: 535 Incorrect authentication data (set_id=mia)`; 4xx means that nobody could tell.
fn login(host: Host<'_>) -> Option<What<'_>> {
    let (_, reply) = host.behind.split_once(": ")?;
    let user = scan::cut(reply, "(set_id=").and_then(|(_, user)| Some(&user[..user.rfind(')')?]));
    let event = if reply.starts_with('5') { Event::Failed } else { Event::Other("smtp_login") };
    Some(What { event, user, reason: Some(reply.split(" (set_id=").next().unwrap_or(reply)), host: Some(host) })
}

/// What follows `H=`: `F=<sender> rejected RCPT <…>: reason`, `sender verify fail for <…>: reason`, `dropped by 'connect' ACL: reason`.
fn refused(host: Host<'_>) -> Option<What<'_>> {
    let rest = host.behind;
    let event = if scan::has(rest, "temporarily rejected ") {
        Event::Refused("temporarily_rejected")
    } else if scan::has(rest, "rejected ") {
        Event::Refused("rejected")
    } else if scan::has(rest, " dropped by '") {
        Event::Refused("dropped")
    } else if scan::has(rest, " sender verify ") {
        Event::Refused("sender_verify")
    } else if scan::has(rest, " Warning: ") {
        Event::Other("warning")
    } else {
        return None;
    };
    let reason = scan::cut(rest, ">: ").or_else(|| scan::cut(rest, ": ")).map(|(_, reason)| reason);
    Some(What { event, reason, user: None, host: Some(host) })
}

/// `SA: Action: silently tossed message: score=… From <…> (host=name [address]) for …`
fn spam(text: &str) -> Option<What<'_>> {
    let at = text.rfind(" (host=")?;
    let host = host(&text[at + 7..])?;
    let tossed = ["tossed", "rejected"].iter().any(|word| text[..at].contains(word));
    let event = if tossed { Event::Refused("spam") } else { Event::Other("spam") };
    Some(What { event, user: None, reason: None, host: Some(host) })
}

/// `<= sender H=… P=esmtpsa A=dovecot_login:mia S=…`: a message came in, and who sent it had logged in where `A=` names somebody.
fn accepted(text: &str) -> Option<What<'_>> {
    let host = host_after(text, " H=")?;
    let user = host.behind.split_once(" A=").and_then(|(_, login)| word(login).0.split_once(':')).map(|(_, user)| user);
    let event = if user.is_some() { Event::Login } else { Event::Other("received") };
    Some(What { event, user, reason: None, host: Some(host) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn who_was_turned_away() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            ("2026-01-02 03:04:05 plain authenticator failed for ([198.51.100.9]) [192.0.2.7]: 535 Incorrect authentication data", EventType::LoginFailed, "192.0.2.7", None),
            ("2026-01-02 03:04:05 login authenticator failed for a.example (x) [192.0.2.7]:99: 535 Incorrect authentication data (set_id=mia)", EventType::LoginFailed, "192.0.2.7", Some("mia")),
            ("2026-01-02 03:04:05 [7] SMTP protocol synchronization error (next input sent too soon: pipelining was not advertised): rejected \"RCPT\" from H=[192.0.2.7]:99 next input=\" H=[198.51.100.9]\"", EventType::AccessDenied, "192.0.2.7", None),
            ("2026-01-02 03:04:05 SMTP protocol error in \"AUTH H=[198.51.100.9]\" H=(x) [192.0.2.7]:99 AUTH command used when not advertised", EventType::AccessDenied, "192.0.2.7", None),
            ("2026-01-02 03:04:05 1UlasQ-0003fr-45 H=a.example [192.0.2.7]:99 I=[192.0.2.1]:25 F=<a@example.net> rejected after DATA: a virus", EventType::AccessDenied, "192.0.2.7", None),
            ("2026-01-02 03:04:05 1UlasQ-0003fr-45 <= a@example.net H=a.example [192.0.2.7] P=esmtpsa A=plain:mia S=512", EventType::LoginSuccess, "192.0.2.7", Some("mia")),
            ("2026-01-02 03:04:05 no IP address found for host a.example (during SMTP connection from [192.0.2.7]:99 I=[192.0.2.1]:25)", EventType::Other, "192.0.2.7", None),
        ];
        for (line, event_type, src, user) in table {
            let mut record = LogRecord::text("");
            assert!(parse(line, &mut record, &context), "{line}");
            assert_eq!(
                (record.event_type, record.src_ip, record.username.as_deref()),
                (event_type, src.parse().ok(), user),
                "{line}"
            );
        }
        for line in ["2026-01-02 03:04:05 queue run: pid=7", "H=x", "2026-01-02 03:04:05 a rejected b", "<= "] {
            assert!(!parse(line, &mut LogRecord::text(""), &context), "{line}");
        }
    }
}
