//! QNAP NAS (QuLog, formerly qlogd): `conn log: Users: mia, Source IP: 192.0.2.60, Computer name: pc1, Connection type: Samba, Accessed resources: ---,
//! Action: Login Fail` and `event log: …, Content: …`.
//!
//! Source: QNAP QTS User Guide, "QuLog Center", log sender. A failed login and a change of accounts are medium, accesses to files are low.

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins};
use crate::parse::{fill, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "qnap",
    product: "QNAP NAS",
    reference: "https://docs.qnap.com/operating-system/qts/5.1.x/en-us/qulog-center-37E20B45.html",
    marks: &[App("qulogd"), App("qlogd"), Begins("conn log: "), Begins("event log: ")],
    parse: |text, record, _| parse(text.trim_end(), record),
    samples: &[
        "<30>Nov 20 06:25:01 nas1 qulogd[811]: conn log: Users: mia, Source IP: 203.0.113.77, Computer name: ---, Connection type: HTTPS, Accessed resources: Administration, Action: Login Fail",
        "<30>Nov 20 06:25:02 nas1 qulogd[811]: event log: Users: admin, Source IP: 192.0.2.60, Computer name: ---, Application: Users, Category: General, Content: [Users] Created user \"eve\".",
    ],
};

const FORMAT: &str = "qnap";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((kind, rest)) = scan::cut(text, ": Users: ").filter(|(kind, _)| matches!(*kind, "conn log" | "event log")) else {
        return false;
    };
    // The name is the visitor's: what follows it is looked for from the right.
    let Some((who, about)) = rest.rsplit_once(", Computer name: ") else { return false };
    let Some((user, address)) = who.rsplit_once(", Source IP: ") else { return false };
    if !matches!(user, "" | "---") {
        fill::account(record, user.into());
    }
    record.src_ip = scan::ip(address);
    let said = |record: &mut LogRecord<'a>, name: &'static str, value: &'a str| {
        if !matches!(value, "" | "---") {
            record.set(name, value);
        }
    };
    if kind == "event log" {
        let (computer, content) = scan::cut(about, ", Application: ").unwrap_or((about, ""));
        said(record, "source.domain", computer);
        let (application, content) = scan::cut(content, ", Category: ").unwrap_or(("", content));
        let (category, content) = scan::cut(content, ", Content: ").unwrap_or(("", content));
        said(record, "qnap.application", application);
        said(record, "qnap.category", category);
        said(record, "event.reason", content);
        let (event_type, severity) = event(application, content);
        is(record, FORMAT, event_type, severity);
        return true;
    }
    let (computer, rest) = scan::cut(about, ", Connection type: ").unwrap_or((about, ""));
    let (connection, rest) = scan::cut(rest, ", Accessed resources: ").unwrap_or(("", rest));
    let (resource, action) = rest.rsplit_once(", Action: ").unwrap_or((rest, ""));
    said(record, "source.domain", computer);
    said(record, "network.protocol", connection);
    said(record, "file.path", resource);
    match action {
        "Login Fail" | "Login Failed" => failed(record, FORMAT, "login_fail", ToldBy::Service),
        "Login Success" | "Login OK" => succeeded(record, FORMAT, "login_success"),
        _ => {
            let event_type = match action {
                "Logout" => EventType::Logout,
                "Read" | "Write" | "Add" | "Delete" | "Rename" | "Move" | "Copy" | "Upload" | "Download" => {
                    EventType::DataTransfer
                }
                _ => EventType::Other,
            };
            is(record, FORMAT, event_type, Severity::Low);
            record.action = Some(action.to_ascii_lowercase().into());
        }
    }
    true
}

/// `[Users] Created user "eve".`
fn event(application: &str, content: &str) -> (EventType, Severity) {
    let text = scan::cut(content, "] ").map_or(content, |(_, text)| text);
    let verb = text.split(' ').next().unwrap_or_default();
    let change = matches!(
        verb,
        "Added" | "Changed" | "Created" | "Deleted" | "Modified" | "Removed" | "Enabled" | "Disabled" | "Updated" | "Edited"
    );
    match application {
        "Users" | "User Groups" | "Domain Security" if change => (EventType::AccountChange, Severity::Medium),
        "Malware Remover" | "Antivirus" if text.contains("nfected") || text.contains("alware found") => {
            (EventType::MalwareDetected, Severity::High)
        }
        _ if change => (EventType::ConfigChange, Severity::Medium),
        _ => (EventType::System, Severity::Low),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::Service;

    #[test]
    fn lines() {
        check(
            "qulogd",
            super::FORMAT,
            &[
                (
                    "conn log: Users: mia, Source IP: 203.0.113.77, Computer name: ---, Connection type: HTTPS, Accessed resources: Administration, Action: Login Fail",
                    LoginFailed,
                    "mia",
                    "203.0.113.77",
                    Some(Service),
                    1,
                ),
                (
                    "conn log: Users: a, Source IP: 192.0.2.1, Source IP: 203.0.113.77, Computer name: ---, Connection type: SSH, Accessed resources: ---, Action: Login Fail",
                    LoginFailed,
                    "a, Source IP: 192.0.2.1",
                    "203.0.113.77",
                    Some(Service),
                    1,
                ),
                (
                    "conn log: Users: mia, Source IP: 203.0.113.77, Computer name: ---, Connection type: Samba, Accessed resources: a/b, c, Action: Rename",
                    DataTransfer,
                    "mia",
                    "203.0.113.77",
                    None,
                    1,
                ),
                (
                    "event log: Users: admin, Source IP: 192.0.2.60, Computer name: ---, Application: Users, Category: General, Content: [Users] Created user \"eve\".",
                    AccountChange,
                    "admin",
                    "192.0.2.60",
                    None,
                    1,
                ),
            ],
        );
    }
}
