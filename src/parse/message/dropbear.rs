//! Dropbear (svr-auth*.c, svr-session.c).

use super::super::timestamp;
use super::super::token::{between, ip_and_port, number, set_user};
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "dropbear",
    product: "Dropbear SSH",
    reference: "https://matt.ucc.asn.au/dropbear/dropbear.html",
    marks: &[
        App("dropbear"),
        Begins("Bad password attempt for "),
        Begins("Bad PAM password attempt for "),
        Begins("Login attempt for nonexistent user "),
        Begins("Password auth succeeded for "),
        Begins("Pubkey auth succeeded for "),
        Begins("Exit before auth "),
    ],
    parse: |text, record, _| parse(text, record),
    samples: &["<36>Nov 20 06:25:01 router dropbear[811]: Bad password attempt for 'root' from 203.0.113.77:51522"],
};

const FORMAT: &str = "dropbear";
const ACTION: &str = "ssh_login";

/// Reads one message of Dropbear. Versions differ in capitals.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let message = without_clock(message);
    let attempt = [
        "Bad password attempt for ",
        "Bad PAM password attempt for ",
        "Login attempt for nonexistent user",
        "Login attempt with wrong user ",
        "root login rejected",
    ];
    if let Some(rest) = attempt.into_iter().find_map(|start| after(message, start)) {
        quoted_user(rest, record);
        peer(message, record);
        let unknown = after(message, "Login attempt for nonexistent").is_some();
        failed(record, FORMAT, ACTION, if unknown { ToldBy::Announcement } else { ToldBy::Service });
        return true;
    }
    if let Some((_, rest)) = scan::cut(message, " auth succeeded for ") {
        quoted_user(rest, record);
        peer(message, record);
        succeeded(record, FORMAT, ACTION);
        return true;
    }
    if let Some(rest) = after(message, "Exit before auth") {
        // `Exit before auth from <192.0.2.1:4711>: (user 'root', 3 fails): Max auth tries reached`
        if let Some((address, port)) = between(rest, " from <", ">").and_then(ip_and_port) {
            (record.src_ip, record.src_port) = (Some(address), port);
        }
        let fails =
            scan::cut(rest, "(user '").and_then(|(_, who)| scan::cut(who, " fails)")).and_then(|(who, _)| who.rsplit_once("', "));
        if let Some((user, count)) = fails {
            set_user(record, user);
            let count = number(1, 6)(count).map_or(0, |(_, count)| count);
            if count > 0 {
                failed(record, FORMAT, ACTION, ToldBy::Closing);
                record.count = count;
                return true;
            }
        }
        // `… Max auth tries reached - user 'root'` of older versions.
        quoted_user(rest, record);
        failed(record, FORMAT, ACTION, ToldBy::Closing);
        return true;
    }
    if let Some(rest) = after(message, "Exit (") {
        // `Exit (root) from <192.0.2.1:4711>: Disconnect received`
        set_user(record, rest.split_once(')').map_or("", |(user, _)| user));
        if let Some((address, port)) = between(rest, " from <", ">").and_then(ip_and_port) {
            (record.src_ip, record.src_port) = (Some(address), port);
        }
        is(record, FORMAT, EventType::Logout, Severity::Low);
        return true;
    }
    if after(message, "Child connection from ").is_some() {
        peer(message, record);
        is(record, FORMAT, EventType::Other, Severity::Low);
        return true;
    }
    if (message.starts_with("User '") || message.starts_with("user '"))
        && (message.ends_with("rejected") || message.ends_with("is locked"))
    {
        quoted_user(message, record);
        failed(record, FORMAT, ACTION, ToldBy::Announcement);
        return true;
    }
    false
}

/// The text behind `start`, in capitals or not.
fn after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let head = text.get(..start.len())?;
    head.eq_ignore_ascii_case(start).then(|| &text[start.len()..])
}

/// `[826] Jul 10 23:59:24 `: what it writes to standard error, as well.
fn without_clock(message: &str) -> &str {
    let inner = message.strip_prefix('[').and_then(|rest| scan::cut(rest, "] ")).map(|(_, rest)| rest);
    inner.and_then(|inner| timestamp::reading(inner).ok()).map_or(message, |(rest, _)| rest.trim_start())
}

/// `'name'`; a name may hold a quote, so the last one before the address closes it.
fn quoted_user<'a>(text: &'a str, record: &mut LogRecord<'a>) {
    if let Some((_, inside)) = text.split_once('\'') {
        let end = inside.rfind("' from ").or_else(|| inside.find("' with ")).or_else(|| inside.find('\''));
        set_user(record, end.map_or("", |end| &inside[..end]));
    }
}

/// ` from 192.0.2.1:4711` at the end.
fn peer(text: &str, record: &mut LogRecord<'_>) {
    if let Some((_, address)) = text.rsplit_once(" from ")
        && let Some((address, port)) = ip_and_port(address.trim_matches(['<', '>']))
    {
        (record.src_ip, record.src_port) = (Some(address), port);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn logins() {
        check(
            "dropbear",
            "dropbear",
            &[
                (
                    "Bad password attempt for 'root' from 192.0.2.7:40022",
                    LoginFailed,
                    "root",
                    "192.0.2.7:40022",
                    Some(Service),
                    1,
                ),
                (
                    "bad PAM password attempt for 'a' from 198.51.100.9:1' from 2001:db8::7:40022",
                    LoginFailed,
                    "a' from 198.51.100.9:1",
                    "[2001:db8::7]:40022",
                    Some(Service),
                    1,
                ),
                (
                    "Login attempt for nonexistent user from 192.0.2.7:40022",
                    LoginFailed,
                    "",
                    "192.0.2.7:40022",
                    Some(Announcement),
                    1,
                ),
                ("Password auth succeeded for 'mia' from 192.0.2.7:40022", LoginSuccess, "mia", "192.0.2.7:40022", None, 1),
                (
                    "Pubkey auth succeeded for 'mia' with ssh-rsa key SHA256:x from 192.0.2.7:40022",
                    LoginSuccess,
                    "mia",
                    "192.0.2.7:40022",
                    None,
                    1,
                ),
                (
                    "Exit before auth from <192.0.2.7:40022>: (user 'root', 10 fails): Max auth tries reached",
                    LoginFailed,
                    "root",
                    "192.0.2.7:40022",
                    Some(Closing),
                    10,
                ),
                (
                    "[826] Jul 10 23:59:24 Exit before auth from <192.0.2.7:40022>: Exited normally",
                    LoginFailed,
                    "",
                    "192.0.2.7:40022",
                    Some(Closing),
                    1,
                ),
                ("Exit (mia) from <192.0.2.7:40022>: Disconnect received", Logout, "mia", "192.0.2.7:40022", None, 1),
                ("Child connection from 192.0.2.7:40022", Other, "", "192.0.2.7:40022", None, 1),
            ],
        );
    }
}
