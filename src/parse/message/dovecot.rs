//! Dovecot 1.x to 2.4: logins (`imap-login: Login: user=<…>, rip=…`), their failures as login processes and as authentication workers tell
//! them, and the end of sessions.

use std::borrow::Cow;

use super::super::token::{between, ip, number, set_remote, set_user};
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "dovecot",
    product: "Dovecot",
    reference: "https://doc.dovecot.org/2.3/admin_manual/logging/",
    marks: &[
        App("dovecot"),
        App("auth-worker"),
        App("dovecot-auth"),
        App("imap-login"),
        App("pop3-login"),
        App("managesieve-login"),
        App("submission-login"),
        App("lmtp-login"),
        Begins("auth("),
        Begins("auth-worker("),
        Begins("Info: "),
        Begins("Warn: "),
        Begins("imap-login: "),
        Begins("pop3-login: "),
        Begins("managesieve-login: "),
        Begins("submission-login: "),
    ],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<22>Nov 20 06:31:20 mx1 dovecot: imap-login: Login: user=<mia@example.org>, method=PLAIN, rip=198.51.100.23, lip=192.0.2.10, mpid=4401, TLS, session=<Zb1kq2x9LtLGM2QX>",
    ],
};

const FORMAT: &str = "dovecot";
const ACTION: &str = "mail_login";

/// Reads one message of Dovecot.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let text = without_level(message);
    let own = record.app.as_deref().filter(|app| app.ends_with("-login"));
    if own.is_some() {
        return login_process(text, record);
    }
    let (service, rest) = scan::cut(text, ": ").unwrap_or((text, ""));
    if service.ends_with("-login") {
        return login_process(without_level(rest), record);
    }
    let name = service.split(['(', '<', '[']).next().unwrap_or(service);
    match name {
        "auth" | "auth-worker" => authentication(text, record),
        "master" => server(rest, record),
        "imap" | "pop3" | "submission" | "managesieve" | "lmtp" => session(service, without_level(rest), record),
        // An authentication worker's own log names no service.
        _ if is_driver(name) || text.starts_with("conn unix:") => authentication(text, record),
        _ => false,
    }
}

/// `Info: `, as Dovecot's own log has it.
fn without_level(text: &str) -> &str {
    ["Info: ", "Warning: ", "Warn: ", "Error: ", "Debug: ", "Fatal: "]
        .into_iter()
        .find_map(|level| text.strip_prefix(level))
        .unwrap_or(text)
}

fn is_driver(name: &str) -> bool {
    matches!(
        name,
        "pam"
            | "sql"
            | "ldap"
            | "passwd-file"
            | "passwd"
            | "shadow"
            | "bsdauth"
            | "vpopmail"
            | "checkpassword"
            | "lua"
            | "oauth2"
            | "static"
            | "dict"
            | "imap"
            | "userdb"
            | "passdb"
    )
}

/// `<reason>: user=<mike>, method=PLAIN, rip=192.0.2.1, lip=198.51.100.2, TLS, session=<…>`. The name is the client's; the reason before it
/// and the addresses behind it are Dovecot's.
fn login_process<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let (reason, details) = match scan::cut(text, ": user=<") {
        Some((reason, details)) => (reason, Some(details)),
        None => match scan::cut(text, ": rip=") {
            Some((reason, _)) => (reason, None),
            None => return false,
        },
    };
    if let Some(details) = details {
        let addresses = details.rfind(", rip=").unwrap_or(details.len());
        let before = &details[..addresses];
        let method = before.rfind(">, method=");
        let user = match method {
            Some(at) => &before[..at],
            None => before.strip_suffix('>').or_else(|| before.rsplit_once(">,").map(|(user, _)| user)).unwrap_or(before),
        };
        set_user(record, user);
        if let Some(at) = method {
            record.set("dovecot.method", &before[at + ">, method=".len()..]);
        }
    }
    let tail = text.rfind("rip=").map_or("", |at| &text[at..]);
    if let Some(address) = tail.strip_prefix("rip=") {
        set_remote(record, address.split(',').next().unwrap_or(address).trim());
    }
    record.dst_ip = scan::cut(tail, ", lip=").and_then(|(_, rest)| ip(rest.split(',').next().unwrap_or(rest)));
    let verdict = verdict(reason);
    match verdict {
        Verdict::In => succeeded(record, FORMAT, ACTION),
        Verdict::Failed(attempts) => {
            failed(record, FORMAT, ACTION, ToldBy::Closing);
            record.count = attempts;
        }
        Verdict::Denied => is(record, FORMAT, EventType::AccessDenied, Severity::Medium),
        Verdict::Nothing => is(record, FORMAT, EventType::Other, Severity::Low),
    }
    true
}

enum Verdict {
    In,
    Failed(u32),
    Denied,
    Nothing,
}

fn verdict(reason: &str) -> Verdict {
    if reason == "Login" || reason.ends_with(": Login") {
        return Verdict::In;
    }
    if let Some((_, rest)) = scan::cut(reason, "auth failed, ") {
        return Verdict::Failed(number(1, 6)(rest).map_or(1, |(_, attempts)| attempts.max(1)));
    }
    if reason.contains("auth failed") || reason.contains("tried to use dis") || reason.contains("authentication failed") {
        return Verdict::Failed(1);
    }
    const TURNED_AWAY: [&str; 4] =
        ["Maximum number of connections", "access denied", "Too many invalid commands", "client didn't finish SASL auth"];
    if TURNED_AWAY.iter().any(|why| reason.contains(why)) {
        return Verdict::Denied;
    }
    Verdict::Nothing
}

/// `auth: pam(mike,192.0.2.1,<session>): unknown user`, `auth-worker(7): conn unix:auth-worker (pid=1,uid=2): auth-worker<6>: sql(mike,192.0.2.1): Password
/// mismatch`, `auth(mike,192.0.2.1,sasl:login)<session>: Info: sql: Password mismatch`.
fn authentication<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    // The name between the brackets is the client's. It cannot hold what follows an address there, so look for that first.
    let mut from = 0;
    let found = loop {
        let Some(open) = memchr::memchr(b'(', &text.as_bytes()[from..]).map(|at| from + at) else { break None };
        if let Some(end) = arguments_end(&text[open + 1..]) {
            let arguments = &text[open + 1..open + 1 + end];
            if let Some((user, address)) = user_and_address(arguments) {
                break Some((user, address, &text[open + 1 + end..]));
            }
        }
        from = open + 1;
        if from > 256 {
            break None;
        }
    };
    let Some((user, address, rest)) = found else { return false };
    set_user(record, user);
    set_remote(record, address);
    let reason = scan::cut(rest, ": ").map_or("", |(_, reason)| reason);
    if is_failure(reason) {
        failed(record, FORMAT, ACTION, ToldBy::Service);
        record.set("event.reason", reason);
    } else {
        is(record, FORMAT, EventType::Other, Severity::Low);
    }
    true
}

/// Where `…)` ends that is followed by `:` or `<`, within what a log line can hold.
fn arguments_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b')', &bytes[..bytes.len().min(512)]).find(|at| matches!(bytes.get(at + 1), Some(b':' | b'<')))
}

/// `mike,192.0.2.1[,sasl:login][,<session>]` from the right.
fn user_and_address(arguments: &str) -> Option<(&str, &str)> {
    let mut head = arguments;
    for _ in 0..3 {
        let (before, last) = head.rsplit_once(',')?;
        if ip(last).is_some() {
            return Some((before, last));
        }
        head = before;
    }
    None
}

fn is_failure(reason: &str) -> bool {
    const WORDS: [&str; 10] = [
        "password mismatch",
        "unknown user",
        "pam_authenticate() failed",
        "invalid credentials",
        "user not known",
        "authentication failure",
        "pam_acct_mgmt() failed",
        "login not allowed",
        "password is empty",
        "empty password",
    ];
    let head = &reason.as_bytes()[..reason.len().min(200)];
    WORDS.iter().any(|word| head.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes())))
}

/// `imap(mike)<123><session>: Logged out in=10 out=20`, `Disconnected: …`, `Connection closed …`.
fn session<'a>(service: &'a str, text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let ended = ["Logged out", "Disconnected", "Connection closed"].into_iter().any(|start| text.starts_with(start));
    let Some(user) = between(service, "(", ")") else { return false };
    set_user(record, user.split(',').next().unwrap_or(user));
    is(record, FORMAT, if ended { EventType::Logout } else { EventType::Other }, Severity::Low);
    true
}

fn server(text: &str, record: &mut LogRecord<'_>) -> bool {
    let text = without_level(text);
    let change = ["Dovecot ", "Killed with signal", "Warning: Killed"].into_iter().any(|start| text.starts_with(start));
    if change {
        is(record, FORMAT, EventType::ServiceChange, Severity::Low);
        record.action = Some(Cow::Borrowed("service"));
    }
    change
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn login_processes() {
        check(
            "dovecot",
            "dovecot",
            &[
                (
                    "imap-login: Login: user=<mia@example.org>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.10, mpid=18, TLS, session=<a>",
                    LoginSuccess,
                    "mia@example.org",
                    "192.0.2.7",
                    None,
                    1,
                ),
                (
                    "pop3-login: Info: Aborted login (auth failed, 3 attempts in 62 secs): user=<mia>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.10",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Closing),
                    3,
                ),
                (
                    "imap-login: Login aborted: Connection closed (auth failed, 2 attempts in 9 secs) (auth_failed): user=<mia>, method=LOGIN, rip=192.0.2.7, lip=192.0.2.10, TLS",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Closing),
                    2,
                ),
                (
                    "imap-login: Disconnected (tried to use disallowed plaintext auth): user=<>, rip=192.0.2.7, lip=192.0.2.10",
                    LoginFailed,
                    "",
                    "192.0.2.7",
                    Some(Closing),
                    1,
                ),
                (
                    "imap-login: Disconnected (no auth attempts in 4 secs): user=<>, rip=192.0.2.7, lip=192.0.2.10, TLS handshaking",
                    Other,
                    "",
                    "192.0.2.7",
                    None,
                    1,
                ),
                (
                    "imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<a>, method=PLAIN, rip=198.51.100.9, lip=x>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.10, session=<b>",
                    LoginFailed,
                    "a>, method=PLAIN, rip=198.51.100.9, lip=x",
                    "192.0.2.7",
                    Some(Closing),
                    1,
                ),
                ("imap(mia)<77><ses>: Logged out in=10 out=20", Logout, "mia", "", None, 1),
                (
                    "imap-login: Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10): user=<mia>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.10",
                    AccessDenied,
                    "mia",
                    "192.0.2.7",
                    None,
                    1,
                ),
                ("master: Dovecot v2.3.19 starting up for imap", ServiceChange, "", "", None, 1),
            ],
        );
        check(
            "imap-login",
            "dovecot",
            &[("Login: user=<mia>, method=PLAIN, rip=::ffff:192.0.2.7, lip=::1", LoginSuccess, "mia", "192.0.2.7", None, 1)],
        );
    }

    #[test]
    fn authentication_workers() {
        check(
            "dovecot",
            "dovecot",
            &[
                (
                    "auth: passwd-file(mia@example.org,192.0.2.7): unknown user (SHA1 of given password: 21bd12)",
                    LoginFailed,
                    "mia@example.org",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                (
                    "auth-worker(7): pam(mia,192.0.2.7,<ses>): pam_authenticate() failed: Authentication failure (password mismatch?)",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                (
                    "auth-worker(7): Info: conn unix:auth-worker (pid=1,uid=2): auth-worker<6>: sql(mia,192.0.2.7): Password mismatch",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                (
                    "auth(mia,192.0.2.7,sasl:login)<ses>: Info: sql: Password mismatch (given password: a)",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                (
                    "auth: sql(a,198.51.100.9,b,192.0.2.7): Password mismatch",
                    LoginFailed,
                    "a,198.51.100.9,b",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                ("auth: userdb(mia,192.0.2.7): user not found from userdb", Other, "mia", "192.0.2.7", None, 1),
            ],
        );
        check(
            "",
            "dovecot",
            &[(
                "Info: auth(default): pam(mia,::ffff:192.0.2.7): pam_authenticate() failed: User not known",
                LoginFailed,
                "mia",
                "192.0.2.7",
                Some(Service),
                1,
            )],
        );
    }
}
