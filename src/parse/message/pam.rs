//! Linux-PAM and its modules (the wordings of libpam, pam_unix, pam_sss, pam_tally2, pam_faillock, pam_access, pam_listfile, pam_succeed_if,
//! pam_google_authenticator), as any service that uses PAM logs them: `pam_unix(sshd:auth): …`, before 0.99 `sshd(pam_unix)[1]: …`.

use super::super::token::{number, set_remote, set_user};
use super::{failed, is};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "pam",
    product: "Linux-PAM",
    reference: "https://github.com/linux-pam/linux-pam",
    marks: &[App("(pam_"), Begins("pam_"), Begins("PAM "), Begins("(pam_")],
    parse: |text, record, _| parse(text, record),
    samples: &[
        "<86>Nov 20 06:25:01 web1 sshd[811]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.77  user=root",
    ],
};

const FORMAT: &str = "pam";

/// A message of libpam or a PAM module, whoever logged it.
pub(super) fn is_pam(text: &str) -> bool {
    match text.as_bytes() {
        [b'p', ..] => text.starts_with("pam_"),
        [b'P', ..] => text.starts_with("PAM ") && !text.starts_with("PAM password auth "),
        [b'(', ..] => text.starts_with("(pam_"),
        _ => false,
    }
}

/// Reads one message of PAM. The service is named in the module's brackets, else the app is the service.
pub(super) fn parse<'a>(message: &'a str, record: &mut LogRecord<'a>) -> bool {
    let message = message.strip_suffix(" [preauth]").unwrap_or(message);
    let Origin { module, service, text } = origin(message);
    if let Some(service) = service {
        record.set("pam.service", service);
    }
    let understood = authentication(module, service, text, record) || session(service, text, record) || account(text, record);
    if !understood && (module.is_empty() || module == "PAM") && service.is_none() && !message.starts_with("PAM ") {
        return false;
    }
    if !understood {
        is(record, FORMAT, EventType::Other, Severity::Low);
    }
    if !module.is_empty() {
        record.set("pam.module", module);
    }
    true
}

struct Origin<'a> {
    module: &'a str,
    service: Option<&'a str>,
    text: &'a str,
}

/// Takes `pam_unix(sshd:auth): `, `(pam_unix) ` or `PAM ` off the front.
fn origin(message: &str) -> Origin<'_> {
    let plain = |module, text| Origin { module, service: None, text };
    if let Some(text) = message.strip_prefix("PAM ") {
        return plain("", text);
    }
    if let Some((module, text)) = message.strip_prefix('(').and_then(|rest| scan::cut(rest, ") ")) {
        return plain(module, text);
    }
    let name = message.bytes().take(64).take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let (module, rest) = message.split_at(name);
    if !module.starts_with("pam_") {
        return plain("", message);
    }
    let head = &rest.as_bytes()[..rest.len().min(128)];
    match (head.first(), memchr::memchr(b')', head)) {
        (Some(b'('), Some(close)) => {
            let text = rest[close + 1..].trim_start_matches(':').trim_start();
            let service = rest[1..close].split(':').next().filter(|service| !service.is_empty());
            Origin { module, service, text }
        }
        _ => plain(module, rest.trim_start_matches([':', '['].as_slice()).trim_start()),
    }
}

/// Failures. A stack runs several modules for one attempt, so only pam_unix (or a module whose name is not known, as in libpam's own
/// lines) tells as [`ToldBy::Pam`]; what another module says of the same attempt counts beside it and not on top of it.
///
/// pam_unix names no account that does not exist. Of those sshd writes a line of its own with the name, whatever the method, so PAM's
/// is a refusal there and not the line that counts.
fn authentication<'a>(module: &str, service: Option<&str>, text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let told_by = if matches!(module, "" | "pam_unix") { ToldBy::Pam } else { ToldBy::Announcement };
    if let Some(details) = text.strip_prefix("authentication failure;") {
        parties(module, details, record);
        if service == Some("sshd") && module == "pam_unix" && !details.contains(" user=") {
            return denied(record);
        }
        failed(record, FORMAT, "pam_authentication", told_by);
        return true;
    }
    if let Ok((rest, count)) = number(1, 6)(text)
        && let Some(details) = rest.strip_prefix(" more authentication failure")
    {
        failed(record, FORMAT, "pam_authentication", ToldBy::Pam);
        record.count = count.max(1);
        parties(module, details, record);
        return true;
    }
    if let Some(user) = text.strip_prefix("Invalid verification code for ") {
        failed(record, FORMAT, "pam_authentication", told_by);
        set_user(record, user);
        return true;
    }
    if let Some(rest) = text.strip_prefix("access denied for user `") {
        // pam_access: access denied for user `root' from `192.0.2.1'
        if let Some((user, rest)) = rest.rsplit_once("' from `") {
            set_user(record, user);
            set_remote(record, rest.trim_end_matches('\''));
        }
        return denied(record);
    }
    if let Some(rest) = text.strip_prefix("Consecutive login failures for user ") {
        set_user(record, scan::cut(rest, " account ").map_or(rest, |(user, _)| user));
        return denied(record);
    }
    if let Some(rest) = text.strip_prefix("Refused user ") {
        set_user(record, rest.rsplit_once(" for service ").map_or(rest, |(user, _)| user));
        return denied(record);
    }
    if text.starts_with("user ")
        && let Some((user, tally)) = text["user ".len()..].rsplit_once(") tally ")
        && tally.contains("deny ")
    {
        set_user(record, user.rsplit_once(" (").map_or(user, |(user, _)| user));
        return denied(record);
    }
    if let Some((_, user)) = text.strip_prefix("requirement ").and_then(|rest| scan::cut(rest, "met by user \"")) {
        // The service says itself whether the login failed for it.
        set_user(record, user.trim_end_matches('"'));
        is(record, FORMAT, EventType::Other, Severity::Low);
        return true;
    }
    false
}

fn denied(record: &mut LogRecord<'_>) -> bool {
    is(record, FORMAT, EventType::AccessDenied, Severity::Medium);
    true
}

/// ` logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root`. The remote user comes from outside and may hold a `rhost=` of its
/// own. pam_unix writes only accounts that exist behind it, so the last `rhost=` is PAM's; other modules write any name
/// there, and services that use them leave the remote user empty, so the first one is.
fn parties<'a>(module: &str, details: &'a str, record: &mut LogRecord<'a>) {
    let at = if matches!(module, "" | "pam_unix") { details.rfind(" rhost=") } else { details.find(" rhost=") };
    let Some(at) = at else { return };
    let (before, rest) = (&details[..at], &details[at + " rhost=".len()..]);
    let (host, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    set_remote(record, host);
    let user = rest.trim_start().strip_prefix("user=").unwrap_or("");
    let remote_user = scan::cut(before, " ruser=").map_or("", |(_, user)| user);
    set_user(record, if user.is_empty() { remote_user } else { user });
}

/// `session opened for user root(uid=0) by mike(uid=1000)`, `session closed for user root`. The service tells of the login itself.
fn session<'a>(service: Option<&str>, text: &'a str, record: &mut LogRecord<'a>) -> bool {
    if let Some(who) = text.strip_prefix("session opened for user ") {
        let (target, actor) = who.rsplit_once(" by ").unwrap_or((who, ""));
        let (target, actor) = (without_uid(target), without_uid(actor));
        is(record, FORMAT, EventType::Other, Severity::Low);
        set_user(record, if actor.is_empty() { target } else { actor });
        if !actor.is_empty() && actor != target {
            record.set("user.effective.name", target);
        }
        return true;
    }
    if let Some(who) = text.strip_prefix("session closed for user ") {
        let service = service.or(record.app.as_deref().map(|app| app.split('(').next().unwrap_or(app)));
        let job = matches!(
            service,
            Some("cron" | "crond" | "CRON" | "atd" | "sudo" | "sudo-i" | "su" | "su-l" | "runuser" | "systemd-user")
        );
        is(record, FORMAT, if job { EventType::Other } else { EventType::Logout }, Severity::Low);
        set_user(record, without_uid(who));
        return true;
    }
    false
}

/// `root(uid=0)` is `root`.
fn without_uid(name: &str) -> &str {
    name.rsplit_once("(uid=").map_or(name, |(name, _)| name).trim()
}

/// `password changed for mike`, `account mike has expired (account expired)`, `check pass; user unknown`.
fn account<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    if let Some(user) = text.strip_prefix("password changed for ") {
        is(record, FORMAT, EventType::AccountChange, Severity::Medium);
        set_user(record, user);
        return true;
    }
    if let Some((user, _)) = text.strip_prefix("account ").and_then(|rest| scan::cut(rest, " has expired")) {
        set_user(record, user);
        return denied(record);
    }
    if let Some((user, _)) = text.strip_prefix("received for user ").and_then(|rest| rest.rsplit_once(": ")) {
        // pam_sss says this once more in a line of its own.
        set_user(record, user);
        is(record, FORMAT, EventType::Other, Severity::Low);
        return true;
    }
    let quiet = text.starts_with("check pass; user unknown")
        || text.starts_with("service(")
        || text.starts_with("authentication success;");
    if quiet {
        is(record, FORMAT, EventType::Other, Severity::Low);
    }
    quiet
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::*;

    #[test]
    fn failures_and_sessions() {
        check(
            "sshd",
            "pam",
            &[
                (
                    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=root",
                    LoginFailed,
                    "root",
                    "192.0.2.7",
                    Some(Pam),
                    1,
                ),
                (
                    "(pam_unix) authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=gw.example.org  user=root",
                    LoginFailed,
                    "root",
                    "gw.example.org",
                    Some(Pam),
                    1,
                ),
                (
                    "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=root",
                    LoginFailed,
                    "root",
                    "192.0.2.7",
                    Some(Pam),
                    2,
                ),
                (
                    "PAM 1 more authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7 ",
                    LoginFailed,
                    "",
                    "192.0.2.7",
                    Some(Pam),
                    1,
                ),
                (
                    "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=198.51.100.9 rhost=192.0.2.7",
                    LoginFailed,
                    "x rhost=198.51.100.9",
                    "192.0.2.7",
                    Some(Pam),
                    1,
                ),
                (
                    "pam_sss(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7 user=x rhost=198.51.100.9",
                    LoginFailed,
                    "x rhost=198.51.100.9",
                    "192.0.2.7",
                    Some(Announcement),
                    1,
                ),
                ("pam_sss(sshd:auth): received for user mia: 7 (Authentication failure)", Other, "mia", "", None, 1),
                ("pam_unix(sshd:auth): check pass; user unknown", Other, "", "", None, 1),
                ("PAM service(sshd) ignoring max retries; 6 > 3", Other, "", "", None, 1),
                (
                    "pam_access(sshd:account): access denied for user `mia' from `192.0.2.7'",
                    AccessDenied,
                    "mia",
                    "192.0.2.7",
                    None,
                    1,
                ),
                (
                    "pam_faillock(sshd:auth): Consecutive login failures for user mia account temporarily locked",
                    AccessDenied,
                    "mia",
                    "",
                    None,
                    1,
                ),
                ("pam_tally2(sshd:auth): user root (0) tally 5, deny 3", AccessDenied, "root", "", None, 1),
                ("pam_succeed_if(sshd:auth): requirement \"uid >= 1000\" not met by user \"root\"", Other, "root", "", None, 1),
                ("pam_unix(sshd:session): session opened for user mia by (uid=0)", Other, "mia", "", None, 1),
                ("pam_unix(sshd:session): session closed for user mia", Logout, "mia", "", None, 1),
                ("pam_unix(sudo:session): session opened for user root(uid=0) by mia(uid=1000)", Other, "mia", "", None, 1),
                ("pam_unix(sudo:session): session closed for user root", Other, "root", "", None, 1),
                ("pam_unix(passwd:chauthtok): password changed for mia", AccountChange, "mia", "", None, 1),
                ("pam_unix(sshd:account): account mia has expired (account expired)", AccessDenied, "mia", "", None, 1),
                ("pam_systemd(sshd:session): Failed to create session: Access denied", Other, "", "", None, 1),
            ],
        );
        check(
            "sshd(pam_unix)",
            "pam",
            &[
                (
                    "authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=192.0.2.7  user=root",
                    LoginFailed,
                    "root",
                    "192.0.2.7",
                    Some(Pam),
                    1,
                ),
                (
                    "3 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=root",
                    LoginFailed,
                    "root",
                    "192.0.2.7",
                    Some(Pam),
                    3,
                ),
                ("session closed for user mia", Logout, "mia", "", None, 1),
            ],
        );
    }
}
