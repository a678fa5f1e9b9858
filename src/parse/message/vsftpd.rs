//! vsftpd's own log (logging.c): `Mon Jun  8 12:08:44 2020 [pid 2] [mike] FAIL LOGIN: Client "192.0.2.1"`; the same through syslog without
//! the time. Its other format, xferlog, is not read here.

use std::borrow::Cow;

use super::super::token::{between, set_remote, set_user, whole_number};
use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "vsftpd",
    product: "vsftpd",
    reference: "https://security.appspot.com/vsftpd/vsftpd_conf.html",
    marks: &[App("vsftpd"), Begins("[pid ")],
    parse: |text, record, _| parse(text, record),
    samples: &[r#"Fri Nov 20 06:25:01 2026 [pid 811] [mia] FAIL LOGIN: Client "203.0.113.77""#],
};

const FORMAT: &str = "vsftpd";
const ACTION: &str = "ftp_login";

/// Reads one message of vsftpd.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut text = message;
    let mut pid = None;
    if let Some((number, rest)) = text.strip_prefix("[pid ").and_then(|rest| scan::cut(rest, "] ")) {
        pid = whole_number(number);
        text = rest;
    }
    // The user name is the client's and may contain anything; so may a path, behind the address.
    let Some((user, what, client)) = login(text).or_else(|| event(text)) else { return false };
    set_user(record, user);
    set_remote(record, client.split('"').next().unwrap_or(client));
    record.pid = record.pid.or(pid);
    record.app.get_or_insert(Cow::Borrowed("vsftpd"));
    match what {
        "FAIL LOGIN" => failed(record, FORMAT, ACTION, ToldBy::Service),
        "OK LOGIN" => succeeded(record, FORMAT, ACTION),
        "FTP response" if client.contains("\", \"530 ") => failed(record, FORMAT, ACTION, ToldBy::Announcement),
        "OK UPLOAD" | "OK DOWNLOAD" => {
            is(record, FORMAT, EventType::DataTransfer, Severity::Low);
            record.action = Some(Cow::Borrowed(if what == "OK UPLOAD" { "upload" } else { "download" }));
            if let Some(path) = between(client, ", \"", "\"") {
                record.set("file.path", path);
            }
        }
        _ if what.starts_with("FAIL ") => is(record, FORMAT, EventType::AccessDenied, Severity::Low),
        _ => is(record, FORMAT, EventType::Other, Severity::Low),
    }
    true
}

/// `[user] FAIL LOGIN: Client "address"`, read from the right.
fn login(text: &str) -> Option<(&str, &str, &str)> {
    for what in ["FAIL LOGIN", "OK LOGIN"] {
        if let Some(at) = text.rfind(what)
            && let Some(client) = text[at + what.len()..].strip_prefix(": Client \"")
        {
            return Some((bracketed(&text[..at]), &text[at..at + what.len()], client));
        }
    }
    None
}

/// `[user] OK UPLOAD: Client "address", …`, `CONNECT: Client "address"`.
fn event(text: &str) -> Option<(&str, &str, &str)> {
    let (before, client) = scan::cut(text, ": Client \"")?;
    let (user, what) =
        before.rsplit_once("] ").map_or(("", before), |(user, what)| (user.strip_prefix('[').unwrap_or(user), what));
    Some((user, what, client))
}

/// `[user] ` without its brackets.
fn bracketed(text: &str) -> &str {
    text.trim_end().strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn its_own_log() {
        check(
            "",
            "vsftpd",
            &[
                ("[pid 7] [mia] FAIL LOGIN: Client \"192.0.2.7\"", LoginFailed, "mia", "192.0.2.7", Some(Service), 1),
                ("[pid 7] [mia] OK LOGIN: Client \"::ffff:192.0.2.7\"", LoginSuccess, "mia", "192.0.2.7", None, 1),
                (
                    "[pid 7] [ftp] OK LOGIN: Client \"192.0.2.7\", anon password \"a@b\"",
                    LoginSuccess,
                    "ftp",
                    "192.0.2.7",
                    None,
                    1,
                ),
                (
                    "[pid 7] [x] OK LOGIN: Client \"198.51.100.9\"] FAIL LOGIN: Client \"192.0.2.7\"",
                    LoginFailed,
                    "x] OK LOGIN: Client \"198.51.100.9\"",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                ("[pid 7] CONNECT: Client \"192.0.2.7\"", Other, "", "192.0.2.7", None, 1),
                (
                    "[pid 7] [mia] OK UPLOAD: Client \"192.0.2.7\", \"/a b\", 12 bytes, 3.4Kbyte/sec",
                    DataTransfer,
                    "mia",
                    "192.0.2.7",
                    None,
                    1,
                ),
                (
                    "[pid 7] [mia] FTP response: Client \"192.0.2.7\", \"530 Login incorrect.\"",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Announcement),
                    1,
                ),
            ],
        );
    }

    #[test]
    fn the_time_in_front() {
        let zone = crate::record::Zone::UTC;
        let context = crate::parse::Context { now: crate::record::Timestamp::from_secs(1_780_000_000), zone: &zone, own: &[] };
        let r = crate::parse::parse("Mon Jun  1 12:08:44 2026 [pid 2] [mia] FAIL LOGIN: Client \"192.0.2.7\"", &context);
        assert_eq!(
            (r.event_time.unwrap().to_string(), r.app.as_deref(), r.pid),
            ("2026-06-01T12:08:44Z".to_owned(), Some("vsftpd"), Some(2))
        );
    }
}
