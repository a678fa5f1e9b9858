//! sudo (the wordings of logging.c, 1.6 to 1.9): `mike : TTY=pts/0 ; PWD=/home/mike ; USER=root ; COMMAND=/bin/ls`, with the reason of a refusal
//! before the first `;`.

use std::borrow::Cow;

use super::super::token::{number, set_user};
use super::{failed, is};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "sudo",
    product: "sudo",
    reference: "https://www.sudo.ws/docs/man/sudoers.man/#EVENT_LOGGING",
    marks: &[App("sudo")],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<85>Nov 20 06:26:31 web1 sudo:      mia : TTY=pts/0 ; PWD=/home/mia ; USER=root ; COMMAND=/usr/bin/apt-get update",
    ],
};

const FORMAT: &str = "sudo";

/// Reads one message of sudo.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((user, text)) = message.trim_start().split_once(" : ") else { return false };
    if user.is_empty() || user.contains(' ') {
        return false;
    }
    let mut fields = text;
    let mut reason = None;
    if !is_field(text) {
        let (said, rest) = scan::cut(text, " ; ").unwrap_or((text, ""));
        (reason, fields) = (Some(said), rest);
    }
    if reason.is_none() || is_field(fields) {
        details(fields, record);
    } else if !reason.is_some_and(is_refusal) {
        return false;
    }
    set_user(record, user);
    match reason {
        None => is(record, FORMAT, EventType::PrivilegeUse, Severity::Low),
        Some(reason) => refusal(reason, record),
    }
    record.action = Some(Cow::Borrowed("sudo"));
    true
}

fn is_refusal(reason: &str) -> bool {
    reason.contains("NOT ")
        || reason.contains("incorrect password")
        || reason.contains("not allowed")
        || reason.contains("password is required")
}

fn refusal<'a>(reason: &'a str, record: &mut LogRecord<'a>) {
    match number(1, 6)(reason) {
        Ok((rest, attempts)) if rest.starts_with(" incorrect password attempt") => {
            failed(record, FORMAT, "sudo", ToldBy::Service);
            record.count = attempts.max(1);
        }
        _ if reason == "command continued" || reason.starts_with("(command continued)") => {
            is(record, FORMAT, EventType::PrivilegeUse, Severity::Low);
        }
        _ => is(record, FORMAT, EventType::AccessDenied, Severity::Medium),
    }
    record.set("event.reason", reason);
}

const FIELDS: [(&str, &str); 9] = [
    ("HOST=", "sudo.host"),
    ("TTY=", "sudo.tty"),
    ("CHROOT=", "sudo.chroot"),
    ("PWD=", "process.working_directory"),
    ("USER=", "user.effective.name"),
    ("GROUP=", "group.name"),
    ("TSID=", "sudo.session"),
    ("ENV=", "sudo.env"),
    ("COMMAND=", "process.command_line"),
];

fn is_field(text: &str) -> bool {
    FIELDS.iter().any(|(key, _)| text.starts_with(key))
}

/// `TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=…`. The command is last and may contain anything.
fn details<'a>(text: &'a str, record: &mut LogRecord<'a>) {
    let mut rest = text;
    while let Some((key, name)) = FIELDS.iter().find(|(key, _)| rest.starts_with(key)) {
        let value = &rest[key.len()..];
        if *key == "COMMAND=" {
            record.set(*name, value);
            return;
        }
        let (value, after) = scan::cut(value, " ; ").unwrap_or((value, ""));
        record.set(*name, value);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn commands_and_refusals() {
        check(
            "sudo",
            "sudo",
            &[
                (
                    "     mia : TTY=pts/0 ; PWD=/home/mia ; USER=root ; COMMAND=/bin/sh -c a ; USER=x : y",
                    PrivilegeUse,
                    "mia",
                    "",
                    None,
                    1,
                ),
                (
                    "mia : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
                    LoginFailed,
                    "mia",
                    "",
                    Some(Service),
                    3,
                ),
                (
                    "mia : 1 incorrect password attempt ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls",
                    LoginFailed,
                    "mia",
                    "",
                    Some(Service),
                    1,
                ),
                ("mia : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls", AccessDenied, "mia", "", None, 1),
                ("mia : command not allowed ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/ls", AccessDenied, "mia", "", None, 1),
                ("mia : a password is required ; PWD=/ ; USER=root ; COMMAND=/bin/ls", AccessDenied, "mia", "", None, 1),
            ],
        );
        check("sudo", "text", &[("unable to resolve host web1", Other, "", "", None, 1)]);
        let mut record = LogRecord::text("");
        assert!(parse("mia : HOST=a ; TTY=pts/0 ; PWD=/tmp ; USER=root ; COMMAND=/bin/ls -l", &mut record));
        assert_eq!(record.field("process.command_line"), Some(&"/bin/ls -l".into()));
        assert_eq!(record.field("user.effective.name"), Some(&"root".into()));
    }
}
