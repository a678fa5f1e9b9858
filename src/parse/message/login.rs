//! login, as util-linux, shadow-utils and BusyBox word it.

use super::super::token::{between, set_remote, set_user};
use super::{failed, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{LogRecord, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "login",
    product: "util-linux login",
    reference: "https://man7.org/linux/man-pages/man1/login.1.html",
    marks: &[App("login")],
    parse: |text, record, _| parse(text, record),
    samples: &["<38>Nov 20 06:25:01 web1 login[811]: FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure"],
};

const FORMAT: &str = "login";
const ACTION: &str = "console_login";

/// Reads one message of login.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    if let Some(rest) = message.strip_prefix("ROOT LOGIN ") {
        // `ROOT LOGIN ON tty1 FROM host`, older `ROOT LOGIN on '/dev/tty1'`
        from(rest, record);
        set_user(record, "root");
        succeeded(record, FORMAT, ACTION);
        return true;
    }
    if let Some(rest) = message.strip_prefix("LOGIN ON ") {
        let Some((_, who)) = scan::cut(rest, " BY ") else { return false };
        set_user(record, scan::cut(who, " FROM ").map_or(who, |(user, _)| user));
        from(who, record);
        succeeded(record, FORMAT, ACTION);
        return true;
    }
    if message.starts_with("root login on ") {
        // BusyBox.
        set_user(record, "root");
        succeeded(record, FORMAT, ACTION);
        return true;
    }
    if let Some(rest) = message.strip_prefix("invalid password for ") {
        // `invalid password for 'UNKNOWN' on 'tty1' from 'host'`
        let user = between(rest, "'", "'").unwrap_or("");
        set_user(record, if user == "UNKNOWN" { "" } else { user });
        if let Some(host) = between(rest, " from '", "'") {
            set_remote(record, host);
        }
        failed(record, FORMAT, ACTION, ToldBy::Service);
        return true;
    }
    let told_by = match message {
        text if text.starts_with("FAILED LOGIN ") || text.starts_with("LOGIN FAILURE ") => ToldBy::Service,
        text if text.starts_with("TOO MANY LOGIN TRIES ") => ToldBy::Closing,
        _ => return false,
    };
    // `FAILED LOGIN 1 FROM host FOR mike, Authentication failure`, `FAILED LOGIN (1) on '/dev/tty1' FOR 'mike', …`
    if let Some((place, who)) = scan::cut(message, " FOR ") {
        let user = who.rsplit_once(", ").map_or(who, |(user, _)| user).trim_matches('\'');
        set_user(record, if matches!(user, "UNKNOWN" | "(unknown)") { "" } else { user });
        from(place, record);
        if let Some(host) = between(place, " from '", "'") {
            set_remote(record, host);
        }
    }
    failed(record, FORMAT, ACTION, told_by);
    true
}

/// ` FROM host`; `(null)` is nobody.
fn from<'a>(text: &'a str, record: &mut LogRecord<'a>) {
    if let Some((_, host)) = text.rsplit_once(" FROM ") {
        set_remote(record, host);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn every_wording() {
        check(
            "login",
            "login",
            &[
                ("ROOT LOGIN ON tty1", LoginSuccess, "root", "", None, 1),
                ("LOGIN ON pts/3 BY mia FROM gw.example.org", LoginSuccess, "mia", "gw.example.org", None, 1),
                ("root login on 'tty1'", LoginSuccess, "root", "", None, 1),
                (
                    "FAILED LOGIN 1 FROM 192.0.2.7 FOR mia, Authentication failure",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Service),
                    1,
                ),
                ("FAILED LOGIN (2) on '/dev/tty1' FOR 'UNKNOWN', Authentication failure", LoginFailed, "", "", Some(Service), 1),
                ("FAILED LOGIN SESSION FROM (null) FOR mia, Error in service module", LoginFailed, "mia", "", Some(Service), 1),
                (
                    "TOO MANY LOGIN TRIES (3) FROM 192.0.2.7 FOR mia, Authentication failure",
                    LoginFailed,
                    "mia",
                    "192.0.2.7",
                    Some(Closing),
                    1,
                ),
                ("invalid password for 'mia' on 'pts/1' from '192.0.2.7'", LoginFailed, "mia", "192.0.2.7", Some(Service), 1),
            ],
        );
    }
}
