//! ProFTPD and Pure-FTPd.

use std::borrow::Cow;

use super::super::token::{set_remote, set_user, word};
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const PROFTPD: Dialect = Dialect {
    name: "proftpd",
    product: "ProFTPD",
    reference: "http://www.proftpd.org/docs/howto/Logging.html",
    marks: &[App("proftpd")],
    parse: |text, record, _| proftpd(text, record),
    samples: &["<86>Nov 20 06:25:01 web1 proftpd[811]: 192.0.2.10 (203.0.113.77[203.0.113.77]) - USER mia: Login successful."],
};

pub(super) const PURE_FTPD: Dialect = Dialect {
    name: "pure-ftpd",
    product: "Pure-FTPd",
    reference: "https://www.pureftpd.org/project/pure-ftpd/doc/",
    marks: &[App("pure-ftpd")],
    parse: |text, record, _| pure_ftpd(text, record),
    samples: &["<86>Nov 20 06:25:01 web1 pure-ftpd: (?@203.0.113.77) [WARNING] Authentication failed for user [mia]"],
};

const ACTION: &str = "ftp_login";

/// ProFTPD: `server (client[address]) - USER mike (Login failed): Incorrect password`; the dash is a colon or missing in its own log.
pub(super) fn proftpd<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    const FORMAT: &str = "proftpd";
    let (place, text) = match scan::cut(message, "])") {
        Some((place, text)) if place.contains(" (") => (Some(place), text.trim_start_matches([' ', '-', ':'])),
        _ => (None, message),
    };
    if let Some((_, address)) = place.and_then(|place| place.rsplit_once('[')) {
        set_remote(record, address);
    }
    if let Some(user) = text.strip_prefix("USER ").or_else(|| text.strip_prefix("ANON ")) {
        let verdicts = [" (Login failed)", ": no such user found", ": Login successful", ": no such user"];
        let Some((user, verdict)) = verdicts.into_iter().find_map(|verdict| user.rfind(verdict).map(|at| (&user[..at], verdict)))
        else {
            if place.is_some() {
                is(record, FORMAT, EventType::Other, Severity::Low);
            }
            return place.is_some();
        };
        set_user(record, user.trim_end_matches(':'));
        if verdict == ": Login successful" {
            succeeded(record, FORMAT, ACTION);
        } else {
            failed(record, FORMAT, ACTION, ToldBy::Service);
        }
        return true;
    }
    let event_type = match text {
        text if text.starts_with("SECURITY VIOLATION") => {
            failed(record, FORMAT, ACTION, ToldBy::Announcement);
            set_user(record, "root");
            return true;
        }
        text if text.starts_with("Maximum login attempts") => {
            failed(record, FORMAT, ACTION, ToldBy::Closing);
            return true;
        }
        text if text.starts_with("FTP session closed") => EventType::Logout,
        text if text.starts_with("FTP session opened") => EventType::Other,
        text if text.starts_with("ProFTPD ") => EventType::ServiceChange,
        // Whoever is named in such a place, it is ProFTPD that speaks.
        _ if place.is_some() => EventType::Other,
        _ => return false,
    };
    is(record, FORMAT, event_type, Severity::Low);
    true
}

/// Pure-FTPd: `(mike@192.0.2.1) [WARNING] Authentication failed for user [mike]`; the name in front is `?` before the login.
pub(super) fn pure_ftpd<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    const FORMAT: &str = "pure-ftpd";
    let Some((who, rest)) = message.strip_prefix('(').and_then(|rest| scan::cut(rest, ") [")) else { return false };
    let Some((_level, text)) = scan::cut(rest, "] ") else { return false };
    let Some((user, address)) = who.rsplit_once('@') else { return false };
    set_remote(record, address);
    set_user(record, if user == "?" { "" } else { user });
    if let Some(user) = text.strip_prefix("Authentication failed for user [").and_then(|user| user.strip_suffix(']')) {
        set_user(record, user);
        failed(record, FORMAT, ACTION, ToldBy::Service);
        return true;
    }
    if let Some(user) = text.strip_suffix(" is now logged in") {
        set_user(record, user);
        succeeded(record, FORMAT, ACTION);
        return true;
    }
    if text.contains(" uploaded  (") || text.contains(" downloaded  (") {
        is(record, FORMAT, EventType::DataTransfer, Severity::Low);
        record.action = Some(Cow::Borrowed(if text.contains(" uploaded  (") { "upload" } else { "download" }));
        record.set(
            "file.path",
            text.rsplit_once("  (").map_or(text, |(path, _)| path.rsplit_once(' ').map_or(path, |(path, _)| path)),
        );
        return true;
    }
    let ended = matches!(word(text).0, "Logout." | "Timeout");
    is(record, FORMAT, if ended { EventType::Logout } else { EventType::Other }, Severity::Low);
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn proftpd() {
        check(
            "proftpd",
            "proftpd",
            &[
                (
                    "192.0.2.10 (192.0.2.7[192.0.2.7]) - USER mia: no such user found from 192.0.2.7 [192.0.2.7] to 192.0.2.10:21",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                (
                    "ftp1 (a.example.org[::ffff:192.0.2.7]): USER mia (Login failed): Incorrect password",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                ("ftp1 (a.example.org[192.0.2.7]) - USER mia: Login successful.", LoginSuccess, "mia", "192.0.2.7", None, 1),
                (
                    "ftp1 (a.example.org[192.0.2.7]) - Maximum login attempts (3) exceeded, connection refused",
                    LoginFailed,
                    "",
                    "192.0.2.7",
                    Some(Closing),
                    1,
                ),
                ("ftp1 (a.example.org[192.0.2.7]) - FTP session closed.", Logout, "", "192.0.2.7", None, 1),
            ],
        );
    }

    #[test]
    fn pure_ftpd() {
        check(
            "pure-ftpd",
            "pure-ftpd",
            &[
                (
                    "(?@192.0.2.7) [WARNING] Authentication failed for user [mia]",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                ("(?@192.0.2.7) [INFO] mia is now logged in", LoginSuccess, "mia", "192.0.2.7", None, 1),
                ("(mia@a.example.org) [INFO] Logout.", Logout, "mia", "a.example.org", None, 1),
                ("(mia@192.0.2.7) [NOTICE] /srv/a b uploaded  (12 bytes, 1.00KB/sec)", DataTransfer, "mia", "192.0.2.7", None, 1),
                ("(?@192.0.2.7) [INFO] New connection from 192.0.2.7", Other, "", "192.0.2.7", None, 1),
            ],
        );
    }
}
