//! Asterisk: `[time] LEVEL[pid][C-call] file.c: text`, alone or in syslog, and its security events, which are lists of `Name="value"`.
//!
//! Sources: Asterisk documentation, "Asterisk Security Event Framework"; the messages of chan_sip, chan_iax2, res_pjsip and manager. Failed
//! registrations and logins are medium. What stands in quotes before an address is the caller's word.

use std::sync::LazyLock;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds, Line};
use crate::parse::fill::Slot;
use crate::parse::pairs::{self, Style};
use crate::parse::prose::Means::{Announced, Denied, Failed, Is, Login};
use crate::parse::prose::{self, Sentences, Wording};
use crate::parse::token::{ip, port_number};
use crate::parse::{Context, scan, timestamp};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "asterisk",
    product: "Asterisk",
    reference: "https://docs.asterisk.org/Operation/Logging/Asterisk-Security-Event-Framework/",
    marks: &[
        App("asterisk"),
        App("NOTICE"),
        Line("] NOTICE["),
        Line("] WARNING["),
        Line("] SECURITY["),
        Line("] ERROR["),
        Line("] VERBOSE["),
        Holds("] NOTICE["),
        Holds("] SECURITY["),
        Holds("] WARNING["),
        Holds("chan_sip.c:"),
        Begins("SECURITY["),
        Begins("NOTICE["),
        Begins("WARNING["),
    ],
    parse,
    samples: &[
        "[2026-11-20 06:25:01] NOTICE[1638][C-0000001d] chan_sip.c: Registration from '\"mia\" <sip:mia@192.0.2.10>' failed for '203.0.113.77:5060' - Wrong password",
        "[Nov 20 06:25:01] SECURITY[1724] res_security_log.c: SecurityEvent=\"InvalidPassword\",EventTV=\"2026-11-20T06:25:01.659+0000\",Severity=\"Error\",Service=\"PJSIP\",EventVersion=\"1\",AccountID=\"mia\",SessionID=\"3686\",LocalAddress=\"IPV4/TLS/192.0.2.10/5062\",RemoteAddress=\"IPV4/TLS/203.0.113.77/30245\",Challenge=\"1\"",
    ],
};

const FORMAT: &str = "asterisk";

static SENTENCES: Sentences = LazyLock::new(|| prose::sentences(WORDINGS));

#[rustfmt::skip]
const WORDINGS: &[Wording] = &[
    (Failed, "register", "Registration from '{*}<sip:{user}@{_}>' failed for '{peer}' - {=event.reason}"),
    (Failed, "register", "Registration from '{*}sip:{user}@{_}' failed for '{peer}' - {=event.reason}"),
    (Failed, "register", "Registration from '{user}' failed for '{peer}' - {=event.reason}"),
    (Failed, "request", "Request '{-sip.method}' from '{*}<sip:{user}@{_}>' failed for '{peer}' (callid: {-sip.call_id}) - {=event.reason}"),
    (Failed, "request", "Request from '{*}<sip:{user}@{_}>' failed for '{peer}' (callid: {-sip.call_id}) - {=event.reason}"),
    (Failed, "request", "Request {*} from '{user}' failed for '{peer}' (callid: {-sip.call_id}) - {=event.reason}"),
    (Failed, "request", "Request from '{user}' failed for '{peer}' (callid: {-sip.call_id}) - {=event.reason}"),
    (Announced, "register", "No registration for peer '{user}' (from {ip})"),
    (Failed, "login", "Host {ip} failed MD5 authentication for '{user}' ({*}"),
    (Failed, "login", "Host {ip} failed to authenticate as '{user}'"),
    (Failed, "login", "Host {ip} denied access to register peer '{user}'"),
    (Failed, "login", "Failed to authenticate user {user}@{ip}{*}"),
    (Failed, "login", "Failed to authenticate device {*}<sip:{user}@{ip}>{*}"),
    (Failed, "login", "Failed to authenticate user {*}<sip:{user}@{ip}>{*}"),
    (Failed, "login", "Sending fake auth rejection for device {*}<sip:{user}@{ip}>{*}"),
    (Failed, "login", "Sending fake auth rejection for user {*}<sip:{user}@{ip}>{*}"),
    (Failed, "login", "handle_request_subscribe: Sending fake auth rejection for {_} {*}<sip:{user}@{ip}>{*}"),
    (Failed, "login", "Host '{ip}' denied access to register peer '{user}'"),
    (Denied, "attack", "{*}Friendly Scanner from {ip}"),
    (Failed, "login", "{ip} failed to authenticate as '{user}'"),
    (Failed, "login", "{ip} tried to authenticate with nonexistent user '{user}'"),
    (Failed, "login", "{ip} failed to authenticate"),
    (Denied, "call", "Call from '{user}' ({peer}) to extension '{=destination.user.name}' rejected because {=event.reason}"),
    (Denied, "call", "Call from {ip} to extension '{=destination.user.name}' rejected because {=event.reason}"),
    (Denied, "call", "Ext. {_}: \"Rejecting unknown SIP connection from {ip}\""),
    (Denied, "call", "Ext. {_} \"Rejecting unknown SIP connection from {ip}\""),
    (Denied, "call", "Ext. {_}: \"Rejecting unknown SIP connection from {peer}\""),
    (Denied, "call", "Ext. {_} \"Rejecting unknown SIP connection from {peer}\""),
    (Denied, "call", "Rejecting unknown SIP connection from {peer}"),
    (Denied, "attack", "hacking attempt detected '{ip}'"),
    (Denied, "register", "Peer '{user}' is not allowed to register from {ip}{*}"),
    (Login, "login", "Manager '{user}' logged on from {ip}"),
    (Is(EventType::Logout), "logout", "Manager '{user}' logged off from {ip}"),
    (Login, "register", "Registered SIP '{user}' at {peer}"),
];

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    let (time, rest) = match text.strip_prefix('[').map(|inside| (timestamp::reading(inside), inside)) {
        Some((Ok((rest, reading)), _)) if rest.starts_with(']') => (reading.instant(context), rest[1..].trim_start()),
        _ => (None, text),
    };
    let Some((rest, is_marked)) = source(rest) else { return false };
    // Outside of its own files and its own program's name, the words alone are not enough.
    if time.is_none() && !is_marked && record.app.as_deref() != Some("asterisk") {
        return false;
    }
    if !security(rest, record, context) && !prose::read(FORMAT, "", &SENTENCES, rest, record, context) {
        return false;
    }
    record.event_time = time.or(record.event_time);
    true
}

/// The text behind `NOTICE[1638][C-0000001d]: chan_sip.c:28926 handle_register: `, each part of which may be missing; whether a source file was named.
fn source(text: &str) -> Option<(&str, bool)> {
    let mut rest = text;
    let letters = rest.bytes().take_while(u8::is_ascii_uppercase).count();
    if letters >= 4 && rest[letters..].starts_with('[') {
        rest = rest[letters..].split_once(']')?.1;
        if let Some(call) = rest.strip_prefix("[C-") {
            rest = call.split_once(']')?.1;
        }
        rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    }
    let is_marked = rest.len() < text.len();
    let Some((file, behind)) = scan::cut(rest, ": ").filter(|(file, _)| !file.contains(['\'', '"'])) else {
        return Some((rest, is_marked));
    };
    // `chan_sip.c`, `chan_sip.c:28926 handle_register`, `res_pjsip/pjsip_distributor.c`
    let name = file.split([':', ' ']).next().unwrap_or(file);
    if !name.ends_with(".c") {
        return Some((rest, is_marked));
    }
    // "in handle_register: "
    let behind = match scan::cut(behind, ": ") {
        Some((function, inner)) if function.starts_with("in ") && !function[3..].contains(' ') => inner,
        _ => behind,
    };
    Some((behind, true))
}

/// `SecurityEvent="InvalidPassword",EventTV="…",…,RemoteAddress="IPV4/UDP/192.0.2.1/5060",…`
fn security<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    const LISTED: Style = Style { equals: b'=', separator: b',' };
    let Some((event, rest)) = text.strip_prefix("SecurityEvent=\"").and_then(|rest| rest.split_once('"')) else { return false };
    // An account may be called like an address: Asterisk's own stands behind it.
    let remote = rest.rfind(",RemoteAddress=\"IPV").and_then(|at| address(&rest[at + 16..]));
    let local = rest.rfind(",LocalAddress=\"IPV").and_then(|at| address(&rest[at + 15..]));
    if remote.is_none() {
        return false;
    }
    pairs::fill(rest, LISTED, record, slots, context);
    if let Some((transport, ip, port)) = remote {
        (record.src_ip, record.src_port) = (ip, port);
        record.protocol = Some(crate::parse::scan::protocol(transport));
    }
    if let Some((_, ip, port)) = local {
        (record.dst_ip, record.dst_port) = (ip, port);
    }
    match event {
        "InvalidPassword" | "ChallengeResponseFailed" | "InvalidAccountID" | "AuthMethodNotAllowed" => {
            failed(record, FORMAT, "", ToldBy::Service);
        }
        "SuccessfulAuth" => succeeded(record, FORMAT, ""),
        "FailedACL"
        | "RequestNotAllowed"
        | "RequestNotSupported"
        | "UnexpectedAddress"
        | "InvalidTransport"
        | "SessionLimit"
        | "LoadAverageLimit"
        | "RequestBadFormat" => is(record, FORMAT, EventType::AccessDenied, Severity::Medium),
        _ => is(record, FORMAT, EventType::Other, Severity::Low),
    }
    record.action = Some(event.to_ascii_lowercase().into());
    true
}

/// `IPV4/UDP/192.0.2.1/5060` to its quote: transport, address, port.
fn address(text: &str) -> Option<(&str, Option<std::net::IpAddr>, Option<u16>)> {
    let mut parts = text.split('"').next()?.splitn(4, '/');
    let (_family, transport, host, port) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some((transport, Some(ip(host)?), port_number(port)))
}

fn slots(name: &str) -> Option<Slot> {
    use Slot::{Field, Nothing, Time, User};
    Some(match name {
        "EventTV" => Time,
        "AccountID" => User,
        "Severity" => Field("log.level"),
        "Service" => Field("network.application"),
        "SessionID" => Field("session.id"),
        "LocalAddress" | "RemoteAddress" | "EventVersion" => Nothing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn who_called() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            ("[2026-01-02 03:04:05] NOTICE[1] chan_sip.c: Registration from '\"' failed for '198.51.100.9:1' - x' <sip:mia@192.0.2.1>' failed for '192.0.2.7:5060' - No matching peer found", EventType::LoginFailed, Some("mia"), "192.0.2.7"),
            ("NOTICE[566]: chan_sip.c:28926 handle_request_register: Registration from '<sip:mia@192.0.2.1>' failed for '[2001:db8::7]:5060' - Wrong password", EventType::LoginFailed, Some("mia"), "2001:db8::7"),
            ("[2026-01-02 03:04:05] WARNING[6756][C-0000001d] Ext. s: \"Rejecting unknown SIP connection from [2001:db8::7]:5060\"", EventType::AccessDenied, None, "2001:db8::7"),
            ("[2026-01-02 03:04:05] SECURITY[26428] res_security_log.c: SecurityEvent=\"FailedACL\",EventTV=\"2026-01-02T03:04:05.203+0000\",AccountID=\"mia\",LocalAddress=\"IPV4/TCP/0.0.0.0/5038\",RemoteAddress=\"IPV4/TCP/192.0.2.7/62389\"", EventType::AccessDenied, Some("mia"), "192.0.2.7"),
        ];
        for (line, event_type, user, src) in table {
            let mut record = LogRecord::text("");
            assert!(parse(line, &mut record, &context), "{line}");
            assert_eq!(
                (record.event_type, record.username.as_deref(), record.src_ip),
                (event_type, user, src.parse().ok()),
                "{line}"
            );
        }
    }
}
