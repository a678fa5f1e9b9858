//! Postfix: smtpd and postscreen, as far as they tell of clients, logins and refusals, and the master's starts and stops. The client is
//! `name[address]`; its name is what the reverse DNS says, so only the address counts.

use std::borrow::Cow;

use super::super::token::{ip, number, port_number, set_remote, set_user, word};
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "postfix",
    product: "Postfix",
    reference: "https://www.postfix.org/DEBUG_README.html",
    marks: &[App("postfix")],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<20>Nov 20 06:31:13 mx1 postfix/smtpd[2144]: warning: unknown[203.0.113.5]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=info",
    ],
};

const FORMAT: &str = "postfix";
const ACTION: &str = "smtp_login";

/// Reads one message of Postfix.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let text = ["warning: ", "improper ", "NOQUEUE: "].into_iter().find_map(|word| message.strip_prefix(word)).unwrap_or(message);
    let (first, rest) = word(text);
    match first {
        "connect" | "disconnect" => disconnect(first, rest, record),
        "reject:" | "milter-reject:" | "reject_warning:" => reject(first, rest, record),
        "lost" | "timeout" | "too" | "command" | "SSL_accept" | "HANGUP" | "COMMAND" | "PREGREET" | "DNSBL" | "BARE"
        | "NON-SMTP" => client_after(text, " from ", record),
        "CONNECT" => client_after(text, " from ", record),
        "PASS" | "WHITELISTED" | "ALLOWLISTED" => client_after(text, " ", record),
        "BLACKLISTED" | "DENYLISTED" => {
            let known = client_after(text, " ", record);
            if known {
                is(record, FORMAT, EventType::ConnectionBlocked, Severity::Low);
            }
            known
        }
        "hostname" => unresolved(rest, record),
        "Connection" | "Message" | "New" | "Recipient" | "Auth" if text.contains(" limit exceeded: ") => {
            let known = client_after(text, " from ", record);
            if known {
                is(record, FORMAT, EventType::AccessDenied, Severity::Medium);
            }
            known
        }
        "daemon" | "terminating" | "reload" | "refreshing" | "starting" | "stopping" => {
            is(record, FORMAT, EventType::ServiceChange, Severity::Low);
            true
        }
        _ => sasl(text, record) || queued(first, rest, record),
    }
}

/// `name[address]`, or postscreen's `[address]:port`, at the front of `text`.
fn client(text: &str) -> Option<(&str, Option<u16>, &str)> {
    let open = memchr::memchr(b'[', &text.as_bytes()[..text.len().min(300)])?;
    let (address, rest) = text[open + 1..].split_once(']')?;
    let known = ip(address).is_some() || address == "unknown";
    if text[..open].contains(' ') || !known {
        return None;
    }
    let port = rest.strip_prefix(':').and_then(|rest| port_number(rest.split([' ', ':', ';']).next().unwrap_or(rest)));
    Some((address, port, rest))
}

fn file<'a>(client: (&'a str, Option<u16>, &'a str), record: &mut LogRecord<'a>) -> &'a str {
    let (address, port, rest) = client;
    if ip(address).is_some() {
        set_remote(record, address);
    }
    record.src_port = port;
    rest
}

/// A line that names its client after a word; nothing else of it is ours to judge.
fn client_after<'a>(text: &'a str, before: &str, record: &mut LogRecord<'a>) -> bool {
    let mut rest = text;
    for _ in 0..4 {
        let Some((_, after)) = rest.split_once(before) else { return false };
        if let Some(client) = client(after) {
            file(client, record);
            is(record, FORMAT, EventType::Other, Severity::Low);
            return true;
        }
        rest = after;
    }
    false
}

/// `connect from name[address]`, `disconnect from name[address] ehlo=1 auth=0/1 quit=1 commands=2/3`: of one login tried, none succeeded.
fn disconnect<'a>(first: &str, rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(client) = rest.strip_prefix("from ").and_then(client) else { return false };
    let statistics = file(client, record);
    let auth = statistics.split(' ').find_map(|word| word.strip_prefix("auth=")).filter(|_| first == "disconnect");
    let failures = auth.and_then(|auth| auth.split_once('/')).and_then(|(done, tried)| {
        let done = number(1, 6)(done).ok()?.1;
        let tried = number(1, 6)(tried).ok()?.1;
        tried.checked_sub(done).filter(|failures| *failures > 0)
    });
    match failures {
        Some(failures) => {
            failed(record, FORMAT, ACTION, ToldBy::Closing);
            record.count = failures;
        }
        None => is(record, FORMAT, EventType::Other, Severity::Low),
    }
    true
}

/// `reject: RCPT from name[address]: 554 5.7.1 <…>: Helo command rejected: …; from=<…> to=<…> proto=ESMTP helo=<…>`
fn reject<'a>(verdict: &'a str, rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((stage, after)) = scan::cut(rest, " from ") else { return false };
    let Some(client) = client(after) else { return false };
    let rest = file(client, record);
    is(record, FORMAT, EventType::AccessDenied, Severity::Medium);
    record.action = Some(Cow::Borrowed(verdict.trim_end_matches(':')));
    record.set("smtp.stage", stage);
    if let Some((_, reply)) = scan::cut(rest, ": ") {
        record.set("event.reason", scan::cut(reply, "; ").map_or(reply, |(reply, _)| reply));
    }
    if let Some((_, user)) = scan::cut(rest, ", sasl_username=") {
        set_user(record, user);
    }
    true
}

/// `name[address]: SASL LOGIN authentication failed: reason[, sasl_username=mike]`
fn sasl<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(client) = client(text) else { return false };
    let Some(rest) =
        client.2.split_once(": SASL ").filter(|(port, _)| port.is_empty() || port.starts_with(':')).map(|(_, rest)| rest)
    else {
        return false;
    };
    let Some((method, reason)) = scan::cut(rest, " authentication failed") else { return false };
    file(client, record);
    // Whoever asks for a mechanism that is none has not named an account.
    if reason.contains("Invalid authentication mechanism") {
        is(record, FORMAT, EventType::AccessDenied, Severity::Medium);
        record.set("smtp.auth_method", method);
        return true;
    }
    if reason.contains("Connection lost to authentication server") || reason.contains("temporary") {
        is(record, FORMAT, EventType::Other, Severity::Medium);
        return true;
    }
    failed(record, FORMAT, ACTION, ToldBy::Service);
    record.set("smtp.auth_method", method);
    if let Some((_, user)) = scan::cut(reason, "sasl_username=") {
        set_user(record, user.trim_matches(['<', '>']));
    }
    true
}

/// `3F2A1: client=name[address], sasl_method=PLAIN, sasl_username=mike`, `3F2A1: reject: …`
fn queued<'a>(queue: &'a str, rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(id) = queue.strip_suffix(':').filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric())) else { return false };
    let (first, more) = word(rest);
    if matches!(first, "reject:" | "milter-reject:" | "reject_warning:") {
        let known = reject(first, more, record);
        if known {
            record.set("postfix.queue_id", id);
        }
        return known;
    }
    let Some(client) = rest.strip_prefix("client=").and_then(client) else { return false };
    let rest = file(client, record);
    record.set("postfix.queue_id", id);
    match scan::cut(rest, ", sasl_username=") {
        Some((_, user)) => {
            set_user(record, scan::cut(user, ", ").map_or(user, |(user, _)| user));
            succeeded(record, FORMAT, ACTION);
        }
        None => is(record, FORMAT, EventType::Other, Severity::Low),
    }
    true
}

/// `hostname name does not resolve to address 192.0.2.1[: reason]`
fn unresolved<'a>(rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((_, address)) = scan::cut(rest, " does not resolve to address ") else { return false };
    let address = word(address).0;
    set_remote(record, address.strip_suffix(':').filter(|bare| ip(bare).is_some()).unwrap_or(address));
    is(record, FORMAT, EventType::Other, Severity::Low);
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn clients() {
        check(
            "postfix/smtpd",
            "postfix",
            &[
                ("connect from unknown[192.0.2.7]", Other, "", "192.0.2.7", None, 1),
                (
                    "disconnect from unknown[192.0.2.7] ehlo=1 auth=0/2 rset=1 quit=1 commands=3/5",
                    LoginFailed,
                    "",
                    "192.0.2.7",
                    Some(Closing),
                    2,
                ),
                ("disconnect from unknown[192.0.2.7] ehlo=1 auth=1 quit=1 commands=3", Other, "", "192.0.2.7", None, 1),
                (
                    "warning: unknown[192.0.2.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
                    LoginFailed,
                    "",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                (
                    "warning: a.example.org[2001:db8::7]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=mia@example.org",
                    LoginFailed,
                    "mia@example.org",
                    "2001:db8::7",
                    Some(Service),
                    1,
                ),
                (
                    "warning: unknown[192.0.2.7]: SASL LOGIN authentication failed: Connection lost to authentication server",
                    Other,
                    "",
                    "192.0.2.7",
                    None,
                    1,
                ),
                (
                    "3F2A1C: client=a.example.org[192.0.2.7], sasl_method=PLAIN, sasl_username=mia",
                    LoginSuccess,
                    "mia",
                    "192.0.2.7",
                    None,
                    1,
                ),
                ("3F2A1C: client=a.example.org[192.0.2.7]", Other, "", "192.0.2.7", None, 1),
                (
                    "NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 554 5.7.1 <x@example.org>: Relay access denied; from=<a from b[198.51.100.9]> to=<x@example.org> proto=ESMTP helo=<[198.51.100.9]>",
                    AccessDenied,
                    "",
                    "192.0.2.7",
                    None,
                    1,
                ),
                (
                    "3F2A1C: milter-reject: DATA from a.example.org[192.0.2.7]: 550 5.7.1 no; from=<a@b>",
                    AccessDenied,
                    "",
                    "192.0.2.7",
                    None,
                    1,
                ),
                ("lost connection after AUTH from unknown[192.0.2.7]", Other, "", "192.0.2.7", None, 1),
                (
                    "warning: hostname a.example.org does not resolve to address 192.0.2.7: Name or service not known",
                    Other,
                    "",
                    "192.0.2.7",
                    None,
                    1,
                ),
                (
                    "warning: Connection rate limit exceeded: 31 from unknown[192.0.2.7] for service smtp",
                    AccessDenied,
                    "",
                    "192.0.2.7",
                    None,
                    1,
                ),
            ],
        );
        check(
            "postfix-out/postscreen",
            "postfix",
            &[
                ("CONNECT from [192.0.2.7]:40022 to [192.0.2.10]:25", Other, "", "192.0.2.7:40022", None, 1),
                (
                    "NOQUEUE: reject: RCPT from [192.0.2.7]:40022: 550 5.7.1 Service unavailable; client [192.0.2.7] blocked",
                    AccessDenied,
                    "",
                    "192.0.2.7:40022",
                    None,
                    1,
                ),
                ("DENYLISTED [192.0.2.7]:40022", ConnectionBlocked, "", "192.0.2.7:40022", None, 1),
            ],
        );
        check(
            "postfix/master",
            "postfix",
            &[("daemon started -- version 3.7.11, configuration /etc/postfix", ServiceChange, "", "", None, 1)],
        );
        check("postfix/qmgr", "text", &[("3F2A1C: removed", Other, "", "", None, 1)]);
    }
}
