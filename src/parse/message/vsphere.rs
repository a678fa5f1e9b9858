//! VMware vSphere: vCenter's events (`vpxd`), ESXi's `hostd` and `vobd`, the single sign-on's audit log.
//!
//! Source: VMware vSphere Monitoring and Performance, "ESXi and vCenter log files"; the event types of the vSphere Web Services API (`vim.event.*`). A failed
//! login, a locked account and a change of accounts are medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds};
use crate::parse::{fill, json, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "vsphere",
    product: "VMware vSphere: ESXi, vCenter",
    reference: "https://techdocs.broadcom.com/us/en/vmware-cis/vsphere/vsphere/8-0/vsphere-monitoring-and-performance-8-0.html",
    marks: &[
        App("vpxd"),
        App("Hostd"),
        App("hostd"),
        App("vobd"),
        App("Vpxa"),
        App("vpxa"),
        App("vmkernel"),
        App("vmon"),
        App("vmcad"),
        Holds(" [vim.event."),
        Holds("[Originator@6876 "),
        Holds("com.vmware.sso."),
        Holds("Rejected password for user "),
        Holds("[esx.audit."),
    ],
    parse: |text, record, _| parse(text.trim(), record),
    samples: &[
        r"<14>1 2026-11-20T06:25:01.250Z vc1 vpxd 811 - -  Event [813] [1-1] [2026-11-20T06:25:01.250Z] [vim.event.BadUsernameSessionEvent] [error] [CORP\mia] [] [813] [Cannot login CORP\mia@203.0.113.77]",
        "<166>2026-11-20T06:25:02.250Z esx1 Hostd: warning hostd[2099] [Originator@6876 sub=Vimsvc opID=1] Rejected password for user root from 203.0.113.77",
    ],
};

const FORMAT: &str = "vsphere";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    if text.starts_with("Event [") {
        return event(text, record);
    }
    if let Some(at) = scan::find(text, "{\"user\":").filter(|_| scan::has(text, "\"com.vmware.sso.")) {
        return sign_on(text.get(at..).unwrap_or_default(), record);
    }
    // `info hostd[2099] [Originator@6876 sub=…] what`
    let what = match scan::cut(text, "[Originator@6876 ").and_then(|(_, rest)| scan::cut(rest, "] ")) {
        Some((_, what)) => what,
        None => text,
    };
    let what = match what.strip_prefix("Event ").and_then(|rest| scan::cut(rest, " : ")) {
        Some((number, what)) if number.bytes().all(|b| b.is_ascii_digit()) => what,
        _ => what,
    };
    let understood = said(what, record) || observed(text, record);
    if !understood && what.len() != text.len() {
        is(record, FORMAT, EventType::System, Severity::Low);
        return true;
    }
    understood
}

/// `Event [813] [1-1] [time] [vim.event.X] [level] [DOMAIN\user] [datacenter] [chain] [text]`.
fn event<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut parts = text.splitn(9, " [").map(|part| part.trim_end_matches(']'));
    let (Some(_), Some(id), Some(_), Some(_), Some(kind), Some(level), Some(user), Some(_), Some(rest)) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return false;
    };
    let what = scan::cut(rest, " [").map_or(rest, |(_, what)| what);
    let name = kind.rsplit('.').next().unwrap_or(kind);
    if !said(what, record) {
        let (event_type, severity) = match name {
            "AccountCreatedEvent" | "AccountRemovedEvent" | "AccountUpdatedEvent" => (EventType::AccountChange, Severity::Medium),
            _ if name.starts_with("Permission") || name.starts_with("Role") => (EventType::AccountChange, Severity::Medium),
            "NoAccessUserEvent" => (EventType::AccessDenied, Severity::Medium),
            _ if name.ends_with("ReconfiguredEvent") || name.ends_with("ConfigChangedEvent") => {
                (EventType::ConfigChange, Severity::Medium)
            }
            _ if name.starts_with("VmPowered") || name.starts_with("VmStart") || name.starts_with("Host") => {
                (EventType::ServiceChange, Severity::Low)
            }
            _ => (EventType::System, Severity::Low),
        };
        is(record, FORMAT, event_type, severity);
    }
    if record.username.is_none() && !user.is_empty() {
        fill::account(record, user.into());
    }
    record.set("event.code", kind);
    record.set("event.id", id);
    record.set("log.level", level);
    record.set("event.reason", what);
    true
}

/// `User CORP\mia@192.0.2.1 logged in as …`, `User x@… logged out (…)`, `Cannot login x@…`, `Accepted|Rejected password for user x from …`. A name may
/// hold an `@`; the address is behind the last.
fn said<'a>(what: &'a str, record: &mut LogRecord<'a>) -> bool {
    let at = |who: &'a str| who.rsplit_once('@').and_then(|(user, ip)| Some((user, scan::ip(ip.trim_end_matches([':', '.']))?)));
    let (who, kind) = if let Some(rest) = what.strip_prefix("User ") {
        if let Some((who, _)) = rest.rsplit_once(" logged in") {
            (at(who), EventType::LoginSuccess)
        } else if let Some((who, _)) = rest.rsplit_once(" logged out") {
            (at(who), EventType::Logout)
        } else {
            return false;
        }
    } else if let Some(who) = what.strip_prefix("Cannot login user ").or_else(|| what.strip_prefix("Cannot login ")) {
        (at(scan::cut(who, ": ").map_or(who, |(who, _)| who)), EventType::LoginFailed)
    } else {
        let password = |verb: &str| what.strip_prefix(verb)?.strip_prefix(" password for user ")?.rsplit_once(" from ");
        let ended = |pair: (&'a str, &'a str)| Some((pair.0, scan::ip(pair.1.trim_end_matches('.'))?));
        if let Some(pair) = password("Rejected") {
            (ended(pair), EventType::LoginFailed)
        } else if let Some(pair) = password("Accepted") {
            (ended(pair), EventType::LoginSuccess)
        } else {
            return false;
        }
    };
    let Some((user, ip)) = who else { return false };
    match kind {
        // hostd tells of one attempt twice: the password, then the event.
        EventType::LoginFailed => {
            let teller = if what.starts_with("Rejected") { ToldBy::Service } else { ToldBy::Closing };
            failed(record, FORMAT, "login", teller);
        }
        EventType::LoginSuccess => succeeded(record, FORMAT, "login"),
        kind => is(record, FORMAT, kind, Severity::Low),
    }
    fill::account(record, Cow::Borrowed(user));
    record.src_ip = Some(ip);
    true
}

/// vobd's observations: `[UserLevelCorrelator] 813us: [esx.audit.ssh.enabled] SSH access has been enabled.`
fn observed<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some(code) = scan::find(text, "[esx.").and_then(|at| text.get(at + 1..)).and_then(|rest| rest.split(']').next()) else {
        return false;
    };
    let (event_type, severity) = match code {
        _ if code.starts_with("esx.audit.account.locked") => (EventType::AccountChange, Severity::Medium),
        _ if code.starts_with("esx.audit.account.loginfailures") => (EventType::AccessDenied, Severity::Medium),
        _ if code.starts_with("esx.audit.") && (code.ends_with(".enabled") || code.ends_with(".disabled")) => {
            (EventType::ConfigChange, Severity::Medium)
        }
        _ if code.starts_with("esx.problem.") => (EventType::ServiceChange, Severity::Medium),
        _ => (EventType::System, Severity::Low),
    };
    record.set("event.code", code);
    is(record, FORMAT, event_type, severity);
    true
}

/// `… {"user":"mia@corp.example","client":"203.0.113.77","timestamp":"…","description":"…","eventSeverity":"INFO","type":"com.vmware.sso.LoginFailure"}`.
fn sign_on<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut read = record.clone();
    let mut kind = None;
    let object = json::walk(text.trim_end(), &mut |name, value| {
        let Some(value) = value.into_text() else { return };
        match &*name {
            "user" => fill::account(&mut read, value),
            "client" => read.src_ip = scan::ip(&value),
            "type" => kind = Some(value),
            "description" => read.set("event.reason", value),
            _ => {}
        }
    });
    let (Ok(()), Some(kind)) = (object, kind) else { return false };
    match &*kind {
        "com.vmware.sso.LoginFailure" => failed(&mut read, FORMAT, "login", ToldBy::Service),
        "com.vmware.sso.LoginSuccess" => succeeded(&mut read, FORMAT, "login"),
        "com.vmware.sso.Logout" => is(&mut read, FORMAT, EventType::Logout, Severity::Low),
        _ if kind.contains("Principal") => is(&mut read, FORMAT, EventType::AccountChange, Severity::Medium),
        _ => is(&mut read, FORMAT, EventType::Other, Severity::Low),
    }
    read.set("event.code", kind);
    *record = read;
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::{Closing, Service};

    #[test]
    fn lines() {
        check(
            "",
            super::FORMAT,
            &[
                (
                    r"Event [813] [1-1] [2026-11-20T06:25:01.250Z] [vim.event.UserLoginSessionEvent] [info] [CORP\mia] [] [813] [User CORP\mia@203.0.113.77 logged in as x]",
                    LoginSuccess,
                    "mia",
                    "203.0.113.77",
                    None,
                    1,
                ),
                (
                    r"Event [813] [1-1] [2026-11-20T06:25:01.250Z] [vim.event.BadUsernameSessionEvent] [error] [CORP\mia] [] [813] [Cannot login CORP\mia@203.0.113.77]",
                    LoginFailed,
                    "mia",
                    "203.0.113.77",
                    Some(Closing),
                    1,
                ),
                (
                    "warning hostd[2099] [Originator@6876 sub=Vimsvc opID=1] Rejected password for user root from 203.0.113.77",
                    LoginFailed,
                    "root",
                    "203.0.113.77",
                    Some(Service),
                    1,
                ),
                (
                    "info hostd[2099] [Originator@6876 sub=Vimsvc.ha-eventmgr] Event 154 : User root@203.0.113.77 logged out (login time: x)",
                    Logout,
                    "root",
                    "203.0.113.77",
                    None,
                    1,
                ),
                (
                    r#"2026-11-20T06:25:01Z INFO sts[52:tomcat] [auditlogger] {"user":"mia@corp.example","client":"203.0.113.77","timestamp":"x","description":"y","eventSeverity":"INFO","type":"com.vmware.sso.LoginFailure"}"#,
                    LoginFailed,
                    "mia",
                    "203.0.113.77",
                    Some(Service),
                    1,
                ),
                (
                    "[UserLevelCorrelator] 813us: [esx.audit.ssh.enabled] SSH access has been enabled.",
                    ConfigChange,
                    "",
                    "",
                    None,
                    1,
                ),
            ],
        );
    }
}
