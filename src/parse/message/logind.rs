//! systemd-logind. The service has told of the login itself (sshd, login, gdm), so a new session is no login here.

use super::super::token::{set_user, word};
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::App;
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "logind",
    product: "systemd-logind",
    reference: "https://www.freedesktop.org/software/systemd/man/latest/systemd-logind.service.html",
    marks: &[App("systemd-logind"), App("elogind"), App("elogind-daemon")],
    parse: |text, record, _| parse(text, record),
    samples: &["<38>Nov 20 06:26:00 web1 systemd-logind[811]: New session 4711 of user mia."],
};

const FORMAT: &str = "logind";

/// Reads one message of systemd-logind.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let session = |rest: &'a str, record: &mut LogRecord<'a>| record.set("logind.session", word(rest).0.trim_end_matches('.'));
    let event_type = if let Some(rest) = message.strip_prefix("New session ") {
        session(rest.trim_matches('\''), record);
        let user = scan::cut(rest, " of user ").map_or("", |(_, user)| user);
        // Since v256: `… of user 'mike' with class 'user' and type 'tty'.`
        let user = scan::cut(user, " with class ").map_or(user, |(user, _)| user);
        set_user(record, user.trim_end_matches('.').trim_matches('\''));
        EventType::Other
    } else if let Some(rest) = message.strip_prefix("Removed session ") {
        session(rest, record);
        EventType::Other
    } else if let Some(rest) = message.strip_prefix("Session ") {
        session(rest, record);
        if rest.contains(" logged out") { EventType::Logout } else { EventType::Other }
    } else if [
        "Power key pressed",
        "System is ",
        "Lid ",
        "Suspend key",
        "Hibernate key",
        "Watching system buttons",
        "New seat ",
        "Operation ",
    ]
    .into_iter()
    .any(|start| message.starts_with(start))
    {
        EventType::System
    } else {
        return false;
    };
    is(record, FORMAT, event_type, Severity::Low);
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;

    #[test]
    fn sessions_are_no_logins() {
        check(
            "systemd-logind",
            "logind",
            &[
                ("New session 4711 of user mia.", Other, "mia", "", None, 1),
                ("New session '7' of user 'mia' with class 'user' and type 'tty'.", Other, "mia", "", None, 1),
                ("Session 4711 logged out. Waiting for processes to exit.", Logout, "", "", None, 1),
                ("Removed session 4711.", Other, "", "", None, 1),
                ("System is rebooting.", System, "", "", None, 1),
            ],
        );
    }
}
