//! laurel: the events of the Linux audit system, one JSON object each.
//!
//! Source: laurel's documentation, "Output". Records of the kernel are objects by their type, those of user space lists of objects. Severity: refused
//! logins, changes of accounts and of the configuration are medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, json, scan, token};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "laurel",
    product: "laurel: Linux audit as JSON",
    reference: "https://github.com/threathunters-io/laurel",
    marks: &[Member("{\"ID\":\""), Member("\"SYSCALL\":{"), Member("\"PROCTITLE\":{")],
    parse,
    samples: &[
        r#"{"ID":"1795155901.123:42","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"ppid":810,"pid":811,"auid":1000,"uid":0,"tty":"pts1","comm":"tail","exe":"/usr/bin/tail","key":"rootcmd","SYSCALL":"execve","AUID":"mia","UID":"root"},"EXECVE":{"argc":2,"ARGV":["tail","-f"]}}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{App, Field, Host, Number, Pid, SrcIp, User};
        Some(match name {
            "ID" => Field("auditd.log.id"),
            "NODE" => Host,
            "SYSCALL.comm" | "comm" => App,
            "SYSCALL.pid" | "pid" => Pid,
            "SYSCALL.ppid" => Number("process.parent.pid"),
            "SYSCALL.exe" | "exe" => Field("process.executable"),
            "SYSCALL.UID" | "acct" => User,
            "SYSCALL.AUID" | "AUID" => Field("user.audit.name"),
            "SYSCALL.SYSCALL" => Field("auditd.data.syscall"),
            "SYSCALL.key" => Field("rule.name"),
            "SYSCALL.tty" | "terminal" => Field("process.tty"),
            "EXECVE.ARGV" => Field("process.args"),
            "CWD.cwd" => Field("process.working_directory"),
            "PROCTITLE.ARGV" => Field("process.title"),
            "addr" => SrcIp,
            _ => return None,
        })
    }
    let mut filled = record.clone();
    if !fill::object(text, &mut filled, slots, context) {
        return false;
    }
    let Some((seconds, serial)) = word(&filled, "auditd.log.id").split_once(':') else { return false };
    let (Some(when), Some(_)) = (seconds.parse::<f64>().ok().and_then(scan::epoch), token::whole_number(serial)) else {
        return false;
    };
    filled.event_time = Some(when);
    // Records of user space are lists: the first speaks for the event.
    let kind = filled.fields.iter().find_map(|(name, value)| match value {
        Value::Json(Cow::Borrowed(list))
            if list.starts_with('[') && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && name != "PATH" =>
        {
            Some((name.to_string(), *list))
        }
        _ => None,
    });
    let Some((kind, list)) = kind else {
        is(&mut filled, "laurel", EventType::System, Severity::Low);
        *record = filled;
        return true;
    };
    let mut inner = None;
    json::elements(list, |element| {
        inner.get_or_insert(element);
    });
    if let Some(inner) = inner {
        fill::object(inner, &mut filled, slots, context);
    }
    let failure = matches!(word(&filled, "res"), "failed" | "no" | "0");
    match &*kind {
        "USER_LOGIN" | "USER_AUTH" if failure => {
            let told = if kind == "USER_LOGIN" { ToldBy::Service } else { ToldBy::Pam };
            failed(&mut filled, "laurel", "user_login", told);
        }
        "USER_LOGIN" | "USER_AUTH" => succeeded(&mut filled, "laurel", "user_login"),
        _ => {
            let (event_type, severity) = match &*kind {
                "ADD_USER" | "DEL_USER" | "ADD_GROUP" | "DEL_GROUP" | "USER_MGMT" | "USER_CHAUTHTOK" => {
                    (EventType::AccountChange, Severity::Medium)
                }
                "CONFIG_CHANGE" => (EventType::ConfigChange, Severity::Medium),
                "SERVICE_START" | "SERVICE_STOP" => (EventType::ServiceChange, Severity::Low),
                "USER_CMD" => (EventType::PrivilegeUse, Severity::Low),
                "USER_END" => (EventType::Logout, Severity::Low),
                _ => (EventType::System, Severity::Low),
            };
            is(&mut filled, "laurel", event_type, severity);
            filled.action = Some(Cow::Owned(kind.to_ascii_lowercase()));
        }
    }
    *record = filled;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn kernel_and_user_space() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text("");
        assert!(parse(DIALECT.samples[0], &mut record, &context));
        assert_eq!((record.event_type, record.username.as_deref()), (EventType::System, Some("root")));
        assert_eq!((record.app.as_deref(), record.pid, record.event_time.is_some()), (Some("tail"), Some(811), true));
        let text = r#"{"ID":"1795155901.123:43","USER_LOGIN":[{"pid":811,"acct":"mia","exe":"/usr/sbin/sshd","addr":"203.0.113.77","res":"failed"}]}"#;
        let mut record = LogRecord::text(text);
        assert!(parse(text, &mut record, &context));
        assert_eq!((record.event_type, record.username.as_deref()), (EventType::LoginFailed, Some("mia")));
        assert_eq!(record.src_ip, "203.0.113.77".parse().ok());
    }
}
