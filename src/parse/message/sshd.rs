//! OpenSSH's sshd, all versions (the wordings of auth.c, auth2.c, auth-pam.c, packet.c, sshd.c and sshd-session.c, 3.x to 10.x).
//!
//! A user name is whatever the client sent, ` from 192.0.2.1 port 22` included, so addresses are searched from the right end of a line,
//! where sshd itself put them. What sshd appends behind the address is a key or certificate, which is checked for its form.

use std::net::IpAddr;

use super::super::token::{ip, is_host_name, port_number, rfind, set_remote, set_user, word};
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "sshd",
    product: "OpenSSH",
    reference: "https://github.com/openssh/openssh-portable",
    marks: &[App("sshd"), App("sshd-session"), App("sshd-auth")],
    parse: |text, record, _| parse(text, record),
    samples: &["<38>Nov 20 06:25:01 web1 sshd[30711]: Failed password for invalid user admin from 203.0.113.77 port 51522 ssh2"],
};

const FORMAT: &str = "sshd";
const ACTION: &str = "ssh_login";

/// Reads one message of sshd.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let text = without_level(message);
    let text = text.strip_suffix(" [preauth]").or_else(|| text.strip_suffix(" [postauth]")).unwrap_or(text);
    let (first, rest) = word(text);
    match first {
        "Failed" | "Accepted" | "Postponed" | "Partial" => attempt(first, rest, record),
        "Invalid" | "Illegal" => invalid_user(rest, record),
        "Connection" => connection(rest, record),
        "Disconnected" => rest.strip_prefix("from ").is_some_and(|peer| parted(peer, record)),
        "Disconnecting" | "Disconnecting:" => disconnecting(first, rest, record),
        "Received" => received(rest, record),
        "User" => user(rest, record),
        "PAM:" => pam(rest, record),
        _ => pre_authentication(text, record) || service(text, record),
    }
}

/// `error: `, `fatal: `: how loud sshd was; what happened is behind it.
fn without_level(text: &str) -> &str {
    ["error: ", "fatal: ", "info: "].into_iter().find_map(|level| text.strip_prefix(level)).unwrap_or(text)
}

fn other(record: &mut LogRecord<'_>) -> bool {
    is(record, FORMAT, EventType::Other, Severity::Low);
    true
}

fn failed_login(record: &mut LogRecord<'_>, told_by: ToldBy) -> bool {
    failed(record, FORMAT, ACTION, told_by);
    record.set("network.protocol", "ssh");
    true
}

/// Who tried, from where, and what stands behind that.
struct Peer<'a> {
    user: &'a str,
    at: Address<'a>,
}

/// An address or host name, and a port.
struct Address<'a> {
    ip: Option<IpAddr>,
    text: &'a str,
    port: Option<u16>,
}

impl<'a> Peer<'a> {
    fn file(&self, record: &mut LogRecord<'a>) {
        match self.at.ip {
            Some(ip) => record.src_ip = Some(ip),
            None => _ = set_remote(record, self.at.text),
        }
        record.src_port = self.at.port;
    }

    /// As [`Peer::file`], with the name of the account; what sshd puts before a name that is none is not part of it.
    fn file_with_user(&self, record: &mut LogRecord<'a>) {
        let user = ["invalid user ", "illegal user "].into_iter().find_map(|word| self.user.strip_prefix(word));
        // "invalid user " alone is an empty name.
        let user = user.or_else(|| self.user.strip_prefix("user ")).unwrap_or(self.user);
        if !matches!(user, "invalid user" | "illegal user" | "<invalid username>") {
            set_user(record, user);
        }
        self.file(record);
    }
}

/// `<user> from <address>[ port <port>][ ssh2][: key]` (also ` on <address> port <port>`), read from the right. `extra` says whether a tail behind the
/// colon may be sshd's own.
fn user_from<'a>(text: &'a str, extra: fn(&str) -> bool) -> Option<Peer<'a>> {
    let mut end = text.len();
    // sshd itself writes the word once or twice; a name of a hundred bytes has room for a few more.
    for _ in 0..20 {
        let Some(from) = rfind(&text[..end], " from ") else { break };
        if let Some(at) = address(&text[from + 6..], extra) {
            return Some(Peer { user: &text[..from], at });
        }
        end = from;
    }
    // An empty user name.
    address(text.strip_prefix("from ")?, extra).map(|at| Peer { user: "", at })
}

/// As [`user_from`], whatever follows the port.
fn user_from_port(text: &str) -> Option<Peer<'_>> {
    let from = rfind(&text[..rfind(text, " port ")?], " from ")?;
    let at = address(&text[from + 6..], |_| true)?;
    at.port.is_some().then_some(Peer { user: &text[..from], at })
}

/// `<address>[ port <port>][ ssh1|ssh2][: extra]` to the end of the text.
fn address(text: &str, extra: fn(&str) -> bool) -> Option<Address<'_>> {
    let (name, mut rest) = word(text);
    let mut at = Address { ip: ip(name), text: name, port: None };
    if at.ip.is_none() {
        let bare = name.strip_suffix(':');
        (at.text, at.ip) = bare.map_or((name, None), |bare| (bare, ip(bare)));
        if at.ip.is_none() && !is_host_name(at.text) {
            return None;
        }
        if bare.is_some() {
            return extra(rest).then_some(at);
        }
    }
    if let Some(after) = rest.strip_prefix("port ") {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        at.port = Some(port_number(&after[..digits])?);
        rest = after[digits..].strip_prefix(' ').unwrap_or(&after[digits..]);
    }
    if let Some(after) = rest.strip_prefix("ssh") {
        rest = after.trim_start_matches(['1', '2']).trim_start_matches(' ');
    }
    let ends = match rest.strip_prefix(':') {
        Some(tail) => extra(tail.trim_start()),
        None => rest.is_empty() || rest.starts_with("via ") || rest.starts_with("on "),
    };
    ends.then_some(at)
}

fn nothing(_: &str) -> bool {
    false
}

/// The key of a publickey attempt, `RSA SHA256:…` or `RSA-CERT SHA256:… ID … (serial 1) CA RSA SHA256:…`, or of the client's host
/// (`ruser …`, `client user …`). Of a certificate's ID, which the client chose, no more than its place is known.
fn key(tail: &str) -> bool {
    let (kind, rest) = word(tail);
    match kind {
        "ruser" | "client" => return true,
        _ if kind.ends_with("-CERT") || kind.ends_with("-CERT-V01") => return rest.contains(" CA ") || rest.starts_with("ID "),
        _ => {}
    }
    let (print, behind) = word(rest);
    let is_kind = kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'@' | b'.'));
    is_kind && print.contains(':') && behind.is_empty()
}

/// `Failed password for [invalid user ]<user> from <address> port <port> ssh2[: key]` and its friendlier relatives.
fn attempt<'a>(verdict: &str, rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    // A method has no spaces, so the first one ends it.
    let (method, peer) = word(rest);
    let Some(peer) = peer.strip_prefix("for ").filter(|_| !method.is_empty()) else { return false };
    let has_key = method.starts_with("publickey") || method.starts_with("hostbased");
    let extra = if has_key || method.starts_with("gssapi") || method.starts_with("rsa") { key } else { nothing };
    // Every version since 2.1 names the port. Old ones append more than the key to any method; nothing of that is ours to judge if no
    // address ends the line.
    let found = user_from(peer, extra).filter(|found| found.at.port.is_some());
    let Some(peer) = found.or_else(|| user_from_port(peer)).or_else(|| user_from(peer, nothing)) else { return false };
    peer.file_with_user(record);
    match verdict {
        "Failed" => {
            failed_login(record, ToldBy::Service);
        }
        "Accepted" => {
            succeeded(record, FORMAT, ACTION);
            record.set("network.protocol", "ssh");
        }
        _ => {
            other(record);
        }
    }
    record.set("ssh.method", method);
    true
}

/// `Invalid user <user> from <address>[ port <port>]`.
fn invalid_user<'a>(rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(peer) = rest.strip_prefix("user ").and_then(|peer| user_from(peer, nothing)) else { return false };
    set_user(record, peer.user);
    peer.file(record);
    failed_login(record, ToldBy::Announcement)
}

/// `[invalid user <user> |authenticating user <user> |user <user> ]<address>[ port <port>]` to the end: who left. Whoever left while being
/// authenticated, or under a name that does not exist, did not get in.
fn parted<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let (state, rest) = match word(text) {
        ("invalid" | "illegal", rest) => (Some(EventType::LoginFailed), rest.strip_prefix("user ")),
        ("authenticating", rest) => (Some(EventType::LoginFailed), rest.strip_prefix("user ")),
        ("user", rest) => (Some(EventType::Logout), Some(rest)),
        _ => (None, Some(text)),
    };
    let Some(peer) = rest.and_then(|rest| user_at(rest, state.is_some())) else { return false };
    set_user(record, peer.user);
    peer.file(record);
    match state {
        Some(EventType::LoginFailed) => failed_login(record, ToldBy::Closing),
        Some(event_type) => {
            is(record, FORMAT, event_type, Severity::Low);
            true
        }
        None => other(record),
    }
}

/// `<user> <address> port <port>` read from the right; without a user, `<address>[ port <port>]` from the left.
fn user_at(text: &str, has_user: bool) -> Option<Peer<'_>> {
    if !has_user {
        let (name, rest) = word(text);
        let port = rest.strip_prefix("port ").and_then(|rest| port_number(word(rest).0.trim_end_matches(':')));
        return Some(Peer { user: "", at: Address { ip: Some(ip(name)?), text: name, port } });
    }
    let end = rfind(text, " port ")?;
    let port = port_number(&text[end + 6..])?;
    let (user, name) = text[..end].rsplit_once(' ').unwrap_or(("", &text[..end]));
    Some(Peer { user, at: Address { ip: Some(ip(name)?), text: name, port: Some(port) } })
}

/// `Connection from …`, `Connection closed by …`, `Connection reset by …`.
fn connection<'a>(rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    if let Some(peer) = rest.strip_prefix("closed by ").or_else(|| rest.strip_prefix("reset by ")) {
        return parted(peer, record);
    }
    let Some(text) = rest.strip_prefix("from ") else { return false };
    let Some(peer) = user_at(text, false) else { return false };
    peer.file(record);
    if let Some((address, port)) = scan::cut(text, " on ").and_then(|(_, local)| scan::cut(local, " port ")) {
        record.dst_ip = ip(address);
        record.dst_port = port_number(word(port).0);
    }
    other(record)
}

/// `Disconnecting: <reason>`, `Disconnecting [invalid user <user> |authenticating user <user> ]<address> port <port>: <reason>`. Both the
/// user name and, in one reason, the name that was to replace it come from the client.
fn disconnecting<'a>(first: &str, rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    const TOO_MANY: &str = "Too many authentication failures";
    const CHANGED: &str = "Change of username or service not allowed: (";
    if first.ends_with(':') {
        let Some(more) = rest.strip_prefix(TOO_MANY) else {
            return if rest.starts_with(CHANGED) { failed_login(record, ToldBy::Closing) } else { other(record) };
        };
        if let Some(user) = more.strip_prefix(" for ") {
            match user_from(user, nothing) {
                Some(peer) => peer.file_with_user(record),
                None => set_user(record, user.strip_prefix("invalid user ").unwrap_or(user)),
            }
        }
        return turned_away(record);
    }
    if let Some(who) = rest.strip_suffix(TOO_MANY).and_then(|head| head.strip_suffix(": ")) {
        return parted(who, record) && turned_away(record);
    }
    if let Some(who) = rest.find(CHANGED).and_then(|at| rest[..at].strip_suffix(": ")) {
        return parted(who, record) && failed_login(record, ToldBy::Closing);
    }
    let (named, who) = match ["invalid user ", "authenticating user "].into_iter().find_map(|word| rest.strip_prefix(word)) {
        Some(who) => (true, who),
        None => (false, rest),
    };
    let Some((who, _reason)) = scan::cut(who, ": ") else { return false };
    let Some(peer) = user_at(who, named) else { return false };
    set_user(record, peer.user);
    peer.file(record);
    other(record)
}

/// The server has had enough of a client whose failures it has told of, one by one and as "maximum authentication attempts exceeded":
/// a refusal, and no failed login of its own.
fn turned_away(record: &mut LogRecord<'_>) -> bool {
    is(record, FORMAT, EventType::AccessDenied, Severity::Medium);
    record.told_by = None;
    true
}

/// `Received disconnect from <address>[ port <port>]:[ ]<code>: <text>` and `Received signal 15; terminating.`
fn received<'a>(rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    if rest.starts_with("signal ") || rest.starts_with("SIGHUP") {
        is(record, FORMAT, EventType::ServiceChange, Severity::Low);
        return true;
    }
    let Some(text) = rest.strip_prefix("disconnect from ") else { return false };
    let (address, rest) = word(text);
    let (address, mut rest) = (address.trim_end_matches(':'), rest);
    if ip(address).is_none() {
        return false;
    }
    set_remote(record, address);
    if let Some(port) = rest.strip_prefix("port ") {
        let digits = port.bytes().take_while(u8::is_ascii_digit).count();
        record.src_port = port_number(&port[..digits]);
        rest = port[digits..].trim_start_matches(':');
    }
    let (code, reason) = rest.trim_start().split_once(':').unwrap_or(("", rest));
    // RFC 4253 §11.1: 14 is NO_MORE_AUTH_METHODS_AVAILABLE. Clients that know no better code say it in words.
    if code == "14" || reason.ends_with("Auth fail") || reason.ends_with("Auth cancel") {
        return failed_login(record, ToldBy::Closing);
    }
    other(record)
}

/// `User <user> from <address> not allowed because <reason>`, `User <user> not allowed because <reason>`, `User child is on pid 1`.
fn user<'a>(rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(at) = rest.rfind(" not allowed because ") else {
        return rest.starts_with("child is on pid ") && other(record);
    };
    let who = &rest[..at];
    match user_from(who, nothing) {
        Some(peer) => {
            set_user(record, peer.user);
            peer.file(record);
        }
        None => set_user(record, who),
    }
    record.set("event.reason", &rest[at + " not allowed because ".len()..]);
    failed_login(record, ToldBy::Announcement)
}

/// `PAM: <reason> for [illegal user ]<user> from <address>[ via <address>]`.
fn pam<'a>(rest: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((reason, who)) = scan::cut(rest, " for ") else { return false };
    let Some(peer) = user_from(who, nothing) else { return false };
    peer.file_with_user(record);
    record.set("event.reason", reason);
    failed_login(record, ToldBy::Pam)
}

/// What ends before anybody is authenticated.
fn pre_authentication<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    if let Some(who) = text.strip_prefix("maximum authentication attempts exceeded for ") {
        let Some(peer) = user_from(who, nothing) else { return false };
        peer.file_with_user(record);
        return failed_login(record, ToldBy::Closing);
    }
    if let Some(who) = text.strip_prefix("Too many authentication failures for ") {
        let Some(peer) = user_from(who, nothing) else { return false };
        peer.file_with_user(record);
        return failed_login(record, ToldBy::Closing);
    }
    if let Some(from) = text.strip_prefix("ROOT LOGIN REFUSED FROM ") {
        let Some(at) = address(from, nothing) else { return false };
        Peer { user: "root", at }.file_with_user(record);
        return failed_login(record, ToldBy::Announcement);
    }
    if let Some(user) = text.strip_prefix("input_userauth_request: ") {
        // Always beside "Invalid user", which names the address as well.
        let Some(user) = user.strip_prefix("invalid user ").or_else(|| user.strip_prefix("illegal user ")) else { return false };
        set_user(record, user);
        record.told_by = Some(ToldBy::Announcement);
        return other(record);
    }
    if let Some(peer) = text.strip_prefix("Unable to negotiate with ") {
        let (address, rest) = word(peer);
        let address = address.strip_suffix(':').filter(|bare| ip(bare).is_some()).unwrap_or(address);
        set_remote(record, address);
        record.src_port =
            rest.strip_prefix("port ").and_then(|rest| rest.split_once(':')).and_then(|(port, _)| port_number(port));
        return failed_login(record, ToldBy::Service);
    }
    if let Some(peer) = text.strip_prefix("banner exchange: Connection from ") {
        let Some((who, reason)) = scan::cut(peer, ": ") else { return false };
        let Some(peer) = user_at(who, false) else { return false };
        peer.file(record);
        let gibberish = matches!(reason, "invalid format" | "could not read protocol version");
        return if gibberish { failed_login(record, ToldBy::Service) } else { other(record) };
    }
    if let Some(rest) = text.strip_prefix("Bad protocol version identification ") {
        // The identification is the client's; old versions end with the address, without a port.
        let Some(peer) = user_from(rest, nothing) else { return false };
        peer.file(record);
        return failed_login(record, ToldBy::Service);
    }
    if let Some(user) = text.strip_prefix("Access denied for user ") {
        let Some(user) = user.strip_suffix(" by PAM account configuration") else { return false };
        set_user(record, user);
        return failed_login(record, ToldBy::Pam);
    }
    if let Some(rest) = text.strip_prefix("Authentication tried for ") {
        let Some((user, place)) = rest.rsplit_once(" with correct key but not from a permitted host (host=") else {
            return false;
        };
        set_user(record, user);
        if let Some(address) = scan::cut(place, "ip=").and_then(|(_, address)| address.split_once([')', ','])) {
            set_remote(record, address.0);
        }
        return failed_login(record, ToldBy::Announcement);
    }
    refused(text, record)
}

/// What never came to an attempt: refusals by address, and lines that only name one.
fn refused<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    if let Some(peer) = text.strip_prefix("refused connect from ") {
        // tcp wrappers: `host`, `address` or `user@host (address)`.
        let last = peer.rsplit(' ').next().unwrap_or(peer);
        let inside = last.strip_prefix('(').and_then(|last| last.strip_suffix(')')).unwrap_or(last);
        let bare = inside.rsplit('@').next().unwrap_or(inside);
        let known = set_remote(record, bare);
        is(record, FORMAT, EventType::AccessDenied, Severity::Medium);
        return known;
    }
    if text.starts_with("drop connection #") {
        // `drop connection #10 from [address]:port on [address]:port past MaxStartups`
        let Some((_, rest)) = scan::cut(text, " from [") else { return false };
        let Some((address, rest)) = scan::cut(rest, "]:") else { return false };
        set_remote(record, address);
        record.src_port = port_number(word(rest).0);
        is(record, FORMAT, EventType::ConnectionBlocked, Severity::Low);
        return true;
    }
    let named = [
        "Did not receive identification string from ",
        "Timeout before authentication for connection from ",
        "Timeout before authentication for ",
        "Protocol major versions differ for ",
        "Read error from remote host ",
        "ssh_dispatch_run_fatal: Connection from ",
        "ssh_dispatch_run_fatal: Connection to ",
        "Address ",
    ];
    if let Some(peer) = named.into_iter().find_map(|prefix| text.strip_prefix(prefix)) {
        let named = ["invalid user ", "authenticating user "].into_iter().find_map(|word| peer.strip_prefix(word));
        let found = match named.and_then(|peer| peer.rsplit_once(": ")) {
            Some((who, _)) => user_at(who, true),
            None => {
                let (address, rest) = word(peer);
                let address = address.trim_end_matches([':', '.']);
                let port = rest.strip_prefix("port ").map(|rest| rest.split([' ', ':']).next().unwrap_or(rest));
                let address = if ip(address).is_some() { address } else { word(peer).0 };
                let port = port.and_then(port_number);
                ip(address).map(|ip| Peer { user: "", at: Address { ip: Some(ip), text: address, port } })
            }
        };
        if let Some(found) = found {
            set_user(record, found.user);
            found.file(record);
        }
        other(record);
        if text.contains("POSSIBLE BREAK-IN ATTEMPT") {
            record.severity = Severity::Medium;
        }
        return true;
    }
    if text.starts_with("reverse mapping checking getaddrinfo for ") {
        if let Some((_, rest)) = text.split_once('[')
            && let Some((address, _)) = rest.split_once(']')
        {
            set_remote(record, address);
        }
        is(record, FORMAT, EventType::Other, Severity::Medium);
        return true;
    }
    false
}

/// The server speaks of itself, or of what happens within a session.
fn service<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    if let Some(place) = text.strip_prefix("Server listening on ") {
        if let Some((address, port)) = scan::cut(place, " port ") {
            record.dst_ip = ip(address);
            record.dst_port = port_number(port.trim_end_matches('.'));
        }
        is(record, FORMAT, EventType::ServiceChange, Severity::Low);
        return true;
    }
    if text.starts_with("Exiting on signal") || text.starts_with("sshd: no hostkeys available") {
        is(record, FORMAT, EventType::ServiceChange, Severity::Low);
        return true;
    }
    if let Some(session) = text.strip_prefix("Starting session: ") {
        // `shell on pts/0 for root from 192.0.2.1 port 50022 id 0`
        let Some((_, who)) = scan::cut(session, " for ") else { return false };
        let who = who.rsplit_once(" id ").map_or(who, |(who, _)| who);
        let Some(peer) = user_from(who, nothing) else { return false };
        set_user(record, peer.user);
        peer.file(record);
        return other(record);
    }
    if let Some(session) = text.strip_prefix("Close session: user ") {
        let who = session.rsplit_once(" id ").map_or(session, |(who, _)| who);
        let Some(peer) = user_from(who, nothing) else { return false };
        set_user(record, peer.user);
        peer.file(record);
        return other(record);
    }
    if let Some(user) = text.strip_prefix("subsystem request for ") {
        if let Some((_, user)) = scan::cut(user, " by user ") {
            set_user(record, user);
        }
        return other(record);
    }
    [
        "kex_exchange_identification: ",
        "ssh_dispatch_run_fatal: ",
        "Corrupted MAC on input.",
        "Bad packet length ",
        "Unable to negotiate a key exchange method",
        "Could not get shadow information for ",
        "Postponed ",
        "Authentication refused: ",
        "beginning MaxStartups throttling",
        "exited MaxStartups throttling",
        "Read from socket failed: ",
        "SSH: Server;",
    ]
    .into_iter()
    .any(|prefix| text.starts_with(prefix))
        && other(record)
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::{self, *};
    use crate::record::ToldBy::{self, *};

    const NO_LOGIN: Option<ToldBy> = None;

    #[test]
    fn attempts() {
        check(
            "sshd",
            "sshd",
            &[
                (
                    "Failed password for root from 192.0.2.7 port 40022 ssh2",
                    LoginFailed,
                    "root",
                    "192.0.2.7:40022",
                    Some(Service),
                    1,
                ),
                (
                    "Failed password for invalid user admin from 2001:db8::7 port 22 ssh2",
                    LoginFailed,
                    "admin",
                    "[2001:db8::7]:22",
                    Some(Service),
                    1,
                ),
                (
                    "Failed password for illegal user admin from ::ffff:192.0.2.7 port 22 ssh2",
                    LoginFailed,
                    "admin",
                    "192.0.2.7:22",
                    Some(Service),
                    1,
                ),
                ("Failed none for invalid user  from 192.0.2.7 port 22 ssh2", LoginFailed, "", "192.0.2.7:22", Some(Service), 1),
                ("Failed password for mia from 192.0.2.7 port 22", LoginFailed, "mia", "192.0.2.7:22", Some(Service), 1),
                (
                    "Failed password for mia from gw.example.org port 22 ssh2",
                    LoginFailed,
                    "mia",
                    "gw.example.org",
                    Some(Service),
                    1,
                ),
                ("Failed password for mia from UNKNOWN port 65535 ssh2", LoginFailed, "mia", "", Some(Service), 1),
                (
                    "Failed keyboard-interactive/pam for invalid user x y from 192.0.2.7 port 22 ssh2 [preauth]",
                    LoginFailed,
                    "x y",
                    "192.0.2.7:22",
                    Some(Service),
                    1,
                ),
                (
                    "Failed publickey for mia from 192.0.2.7 port 22 ssh2: RSA SHA256:hUq1Yt2r8o0S3bY7pB1lq9Jr4a5cVfZ0w6kXn2mEo1s",
                    LoginFailed,
                    "mia",
                    "192.0.2.7:22",
                    Some(Service),
                    1,
                ),
                ("Accepted password for mia from 192.0.2.7 port 22 ssh2", LoginSuccess, "mia", "192.0.2.7:22", NO_LOGIN, 1),
                (
                    "Accepted publickey for mia from 192.0.2.7 port 22 ssh2: ED25519-CERT SHA256:abc ID mia@laptop (serial 7) CA RSA SHA256:def",
                    LoginSuccess,
                    "mia",
                    "192.0.2.7:22",
                    NO_LOGIN,
                    1,
                ),
                (
                    "Accepted hostbased for mia from 192.0.2.7 port 22 ssh2: client user \"mia\", client host \"a b\"",
                    LoginSuccess,
                    "mia",
                    "192.0.2.7:22",
                    NO_LOGIN,
                    1,
                ),
                (
                    "Postponed keyboard-interactive for mia from 192.0.2.7 port 22 ssh2 [preauth]",
                    Other,
                    "mia",
                    "192.0.2.7:22",
                    NO_LOGIN,
                    1,
                ),
                (
                    "Partial publickey for mia from 192.0.2.7 port 22 ssh2: ED25519 SHA256:abc",
                    Other,
                    "mia",
                    "192.0.2.7:22",
                    NO_LOGIN,
                    1,
                ),
            ],
        );
    }

    #[test]
    fn names_cannot_pose_as_addresses() {
        check(
            "sshd",
            "sshd",
            &[
                (
                    "Failed password for invalid user a from 198.51.100.9 port 1 ssh2 from 192.0.2.7 port 22 ssh2",
                    LoginFailed,
                    "a from 198.51.100.9 port 1 ssh2",
                    "192.0.2.7:22",
                    Some(Service),
                    1,
                ),
                (
                    "Failed password for invalid user a from 198.51.100.9 port 1 ssh2: b from 192.0.2.7 port 22 ssh2",
                    LoginFailed,
                    "a from 198.51.100.9 port 1 ssh2: b",
                    "192.0.2.7:22",
                    Some(Service),
                    1,
                ),
                (
                    "Failed publickey for invalid user a from 198.51.100.9 port 1 ssh2: RSA SHA256:x from 192.0.2.7 port 22 ssh2: RSA SHA256:y",
                    LoginFailed,
                    "a from 198.51.100.9 port 1 ssh2: RSA SHA256:x",
                    "192.0.2.7:22",
                    Some(Service),
                    1,
                ),
                (
                    "Invalid user a from 198.51.100.9 port 1 from 192.0.2.7 port 22",
                    LoginFailed,
                    "a from 198.51.100.9 port 1",
                    "192.0.2.7:22",
                    Some(Announcement),
                    1,
                ),
                (
                    "User a from 198.51.100.9 not allowed because b from 192.0.2.7 not allowed because not listed in AllowUsers",
                    LoginFailed,
                    "a from 198.51.100.9 not allowed because b",
                    "192.0.2.7",
                    Some(Announcement),
                    1,
                ),
                (
                    "Connection closed by invalid user a 198.51.100.9 port 1 192.0.2.7 port 22 [preauth]",
                    LoginFailed,
                    "a 198.51.100.9 port 1",
                    "192.0.2.7:22",
                    Some(Closing),
                    1,
                ),
                (
                    "Disconnecting authenticating user a 192.0.2.7 port 22: Change of username or service not allowed: (a,ssh-connection) -> (b 198.51.100.9 port 1: Too many,ssh-connection) [preauth]",
                    LoginFailed,
                    "a",
                    "192.0.2.7:22",
                    Some(Closing),
                    1,
                ),
                (
                    "error: PAM: Authentication failure for illegal user a from 198.51.100.9 from 192.0.2.7",
                    LoginFailed,
                    "a from 198.51.100.9",
                    "192.0.2.7",
                    Some(Pam),
                    1,
                ),
            ],
        );
    }

    #[test]
    fn other_tellers_of_a_failed_attempt() {
        check(
            "sshd",
            "sshd",
            &[
                ("Invalid user admin from 192.0.2.7", LoginFailed, "admin", "192.0.2.7", Some(Announcement), 1),
                ("Illegal user  from 192.0.2.7 port 9", LoginFailed, "", "192.0.2.7:9", Some(Announcement), 1),
                (
                    "User root from gw.example.org not allowed because listed in DenyUsers",
                    LoginFailed,
                    "root",
                    "gw.example.org",
                    Some(Announcement),
                    1,
                ),
                ("User mia not allowed because account is locked", LoginFailed, "mia", "", Some(Announcement), 1),
                ("ROOT LOGIN REFUSED FROM 192.0.2.7 port 22", LoginFailed, "root", "192.0.2.7:22", Some(Announcement), 1),
                (
                    "Authentication tried for mia with correct key but not from a permitted host (host=a.example.org, ip=192.0.2.7, required=x).",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Announcement),
                    1,
                ),
                (
                    "error: PAM: User not known to the underlying authentication module for illegal user x from h.example.org",
                    LoginFailed,
                    "x",
                    "h.example.org",
                    Some(Pam),
                    1,
                ),
                (
                    "error: PAM: authentication error for mia from 192.0.2.7 via 192.0.2.10",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Pam),
                    1,
                ),
                (
                    "fatal: Access denied for user mia by PAM account configuration [preauth]",
                    LoginFailed,
                    "mia",
                    "",
                    Some(Pam),
                    1,
                ),
                (
                    "error: maximum authentication attempts exceeded for invalid user x from 192.0.2.7 port 22 ssh2 [preauth]",
                    LoginFailed,
                    "x",
                    "192.0.2.7:22",
                    Some(Closing),
                    1,
                ),
                ("Disconnecting: Too many authentication failures for root [preauth]", AccessDenied, "root", "", None, 1),
                ("Disconnecting: Too many authentication failures [preauth]", AccessDenied, "", "", None, 1),
                (
                    "Disconnecting authenticating user root 192.0.2.7 port 22: Too many authentication failures [preauth]",
                    AccessDenied,
                    "root",
                    "192.0.2.7:22",
                    None,
                    1,
                ),
                (
                    "Connection reset by authenticating user mia 192.0.2.7 port 22 [preauth]",
                    LoginFailed,
                    "mia",
                    "192.0.2.7:22",
                    Some(Closing),
                    1,
                ),
                ("Disconnected from invalid user x 192.0.2.7 port 22", LoginFailed, "x", "192.0.2.7:22", Some(Closing), 1),
                (
                    "error: Received disconnect from 192.0.2.7 port 22:14: No supported authentication methods available [preauth]",
                    LoginFailed,
                    "",
                    "192.0.2.7:22",
                    Some(Closing),
                    1,
                ),
                (
                    "error: Received disconnect from 192.0.2.7: 3: com.jcraft.jsch.JSchException: Auth fail [preauth]",
                    LoginFailed,
                    "",
                    "192.0.2.7",
                    Some(Closing),
                    1,
                ),
                (
                    "fatal: Unable to negotiate with 192.0.2.7 port 22: no matching cipher found. Their offer: a,b [preauth]",
                    LoginFailed,
                    "",
                    "192.0.2.7:22",
                    Some(Service),
                    1,
                ),
                (
                    "banner exchange: Connection from 192.0.2.7 port 22: invalid format",
                    LoginFailed,
                    "",
                    "192.0.2.7:22",
                    Some(Service),
                    1,
                ),
                (
                    "Bad protocol version identification 'GET / from 198.51.100.9' from 192.0.2.7 port 22",
                    LoginFailed,
                    "",
                    "192.0.2.7:22",
                    Some(Service),
                    1,
                ),
            ],
        );
    }

    #[test]
    fn lines_that_do_not_say_that_a_login_failed() {
        let quiet = |event_type: EventType, cases: &[(&'static str, &'static str, &'static str)]| {
            for (message, user, remote) in cases {
                check("sshd", "sshd", &[(message, event_type, user, remote, None, 1)]);
            }
        };
        quiet(
            Other,
            &[
                ("Connection from 192.0.2.7 port 50022 on 192.0.2.1 port 22 rdomain \"\"", "", "192.0.2.7:50022"),
                ("Connection closed by 192.0.2.7 port 22 [preauth]", "", "192.0.2.7:22"),
                ("Connection reset by 192.0.2.7 [preauth]", "", "192.0.2.7"),
                ("Did not receive identification string from 192.0.2.7 port 22", "", "192.0.2.7:22"),
                ("Received disconnect from 192.0.2.7: 11: Bye Bye [preauth]", "", "192.0.2.7"),
                ("fatal: Timeout before authentication for 192.0.2.7 port 22", "", "192.0.2.7:22"),
                ("Timeout before authentication for connection from 192.0.2.7 to 192.0.2.1, pid = 77", "", "192.0.2.7"),
                (
                    "Address 192.0.2.7 maps to a.example.org, but this does not map back to the address - POSSIBLE BREAK-IN ATTEMPT!",
                    "",
                    "192.0.2.7",
                ),
                (
                    "reverse mapping checking getaddrinfo for a.example.org [192.0.2.7] failed - POSSIBLE BREAK-IN ATTEMPT!",
                    "",
                    "192.0.2.7",
                ),
                ("Disconnecting 192.0.2.7 port 22: Protocol error [preauth]", "", "192.0.2.7:22"),
                ("Starting session: shell on pts/0 for mia from 192.0.2.7 port 22 id 0", "mia", "192.0.2.7:22"),
                ("error: kex_exchange_identification: Connection closed by remote host", "", ""),
                (
                    "ssh_dispatch_run_fatal: Connection from authenticating user mia 192.0.2.7 port 22: message authentication code incorrect [preauth]",
                    "mia",
                    "192.0.2.7:22",
                ),
            ],
        );
        quiet(Logout, &[("Disconnected from user mia 192.0.2.7 port 22", "mia", "192.0.2.7:22")]);
        quiet(ServiceChange, &[("Server listening on 0.0.0.0 port 22.", "", ""), ("Received signal 15; terminating.", "", "")]);
        quiet(AccessDenied, &[("refused connect from x@192.0.2.7 (192.0.2.7)", "", "192.0.2.7")]);
        quiet(
            ConnectionBlocked,
            &[("drop connection #10 from [192.0.2.7]:5022 on [192.0.2.1]:22 past MaxStartups", "", "192.0.2.7:5022")],
        );
        check("sshd", "sshd", &[("input_userauth_request: invalid user x [preauth]", Other, "x", "", Some(Announcement), 1)]);
    }
}
