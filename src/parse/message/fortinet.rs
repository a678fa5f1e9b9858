//! Fortinet's other products: FortiMail, FortiManager and FortiAnalyzer, FortiAuthenticator; FortiGate has [`super::fortigate`].
//!
//! Sources: FortiMail Log Reference ("Log message syntax", also as CSV with `,` between pairs), FortiManager & FortiAnalyzer Log Reference,
//! FortiAuthenticator Administration Guide ("Logging"). A failed login, a change and a refused mail are medium, a virus is high, the rest is low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Begins, Holds};
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::pairs::{self, SPACED, Style};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity};

pub(super) const MAIL: Dialect = Dialect {
    name: "fortimail",
    product: "Fortinet FortiMail",
    reference: "https://docs.fortinet.com/document/fortimail/7.6.0/log-reference",
    marks: &[Holds("device_id=FE"), Holds(",device_id="), Holds(" type=statistics "), Holds(" type=kevent ")],
    parse: mail,
    samples: &[
        r#"<190>date=2026-11-20,time=06:25:01.250,device_id=FEVM000000000001,log_id=0001000016,type=kevent,subtype=admin,pri=information, user=admin,ui=GUI(203.0.113.77),action=login,status=failure,msg="User admin login failed from GUI(203.0.113.77)""#,
        r#"<190>date=2026-11-20 time=06:25:02.250 device_id=FEVM000000000001 log_id=0200027993 type=statistics pri=information session_id="9AG6P2aB" client_name="mx.example.org" client_ip="198.51.100.9" dst_ip="192.0.2.25" from="mia@example.org" to="eve@example.com" direction="in" virus="" disposition="Reject" classifier="Recipient Verification" subject="Hello""#,
    ],
};

pub(super) const MANAGER: Dialect = Dialect {
    name: "fortimanager",
    product: "Fortinet FortiManager and FortiAnalyzer",
    reference: "https://docs.fortinet.com/document/fortimanager/7.6.0/fortimanager-fortianalyzer-event-log-reference",
    marks: &[Holds("device_id=FM"), Holds("device_id=FAZ"), Holds("device_id=FL"), Holds(" log_id="), Holds(" dvid=")],
    parse: manager,
    samples: &[
        r#"<134>date=2026-11-20 time=06:25:01 tz="+0100" devname=fmg1 device_id=FMGVM00000000001 log_id=0001010018 type=event subtype=system pri=alert desc="User login failed" user="admin" userfrom="GUI(203.0.113.77)" msg="Login failed" adom="root" session_id=0 operation="login failed" performed_on="GUI(203.0.113.77)" changes="Login failed""#,
    ],
};

pub(super) const AUTHENTICATOR: Dialect = Dialect {
    name: "fortiauthenticator",
    product: "Fortinet FortiAuthenticator",
    reference: "https://docs.fortinet.com/document/fortiauthenticator/6.6.0/administration-guide",
    marks: &[Begins("category=\""), Holds(" subcategory=\"")],
    parse: authenticator,
    samples: &[
        r#"<14>Nov 20 06:25:01 fac1 db[811]: category="Event" subcategory="Authentication" typeid=20102 level="information" user="mia" nas="192.0.2.1" action="Authentication" status="Failed" Local user authentication with no token failed: invalid password"#,
    ],
};

const COMMAS: Style = Style { equals: b'=', separator: b',' };

/// `date=2026-11-20 time=06:25:01.250 tz="+0100"`.
fn time(record: &mut LogRecord<'_>, context: &Context<'_>) {
    let civil = format!("{}T{}{}", word(record, "date"), word(record, "time"), word(record, "tz"));
    if let Some(time) = scan::iso_time(&civil, Some(context.zone)) {
        record.event_time = Some(time);
        record.fields.retain(|(name, _)| !matches!(&**name, "date" | "time"));
    }
}

/// `GUI(192.0.2.1)`, `ssh(192.0.2.1)`: where somebody came from.
fn from(record: &mut LogRecord<'_>, name: &str) {
    if record.src_ip.is_none() {
        record.src_ip = scan::between(word(record, name), "(", ')').and_then(scan::ip);
    }
}

fn filled<'a>(text: &'a str, style: Style, record: &LogRecord<'a>, slots: fill::Slots, context: &Context<'_>) -> LogRecord<'a> {
    let mut filled = record.clone();
    filled.fields.reserve(32);
    pairs::fill(text, style, &mut filled, slots, context);
    time(&mut filled, context);
    filled
}

fn mail<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some(after) = text.find("date=").filter(|at| *at < 64).and_then(|at| text.get(at + "date=2026-11-20".len()..)) else {
        return false;
    };
    let style = if after.starts_with(',') { COMMAS } else { SPACED };
    let mut read = filled(text, style, record, mail_slots, context);
    let kind = word(&read, "type");
    if !matches!(kind, "event" | "kevent" | "statistics" | "virus" | "spam" | "encrypt" | "elog")
        || word(&read, "observer.serial_number").is_empty()
    {
        return false;
    }
    from(&mut read, "ui");
    let message = scan::find(text, "msg=\"").and_then(|at| text.get(at + 5..)).unwrap_or_default();
    // `WebMail: Login for 'mia@example.org' from 192.0.2.1 failed`: the user of such a line is the program.
    if let Some((name, rest)) = scan::cut(message, "Login for '").and_then(|(_, rest)| rest.rsplit_once("' from ")) {
        read.username = None;
        fill::account(&mut read, Cow::Borrowed(name));
        read.src_ip = scan::ip(rest.split(' ').next().unwrap_or(rest)).or(read.src_ip);
    }
    let (event_type, severity) = mail_meaning(&read, message);
    is(&mut read, "fortimail", event_type, severity);
    *record = read;
    true
}

fn mail_meaning(record: &LogRecord<'_>, message: &str) -> (EventType, Severity) {
    let kind = word(record, "type");
    let failed = matches!(word(record, "event.outcome"), "failure" | "failed" | "fail") || message.contains(" failed");
    let login = record.action.as_deref() == Some("login") || message.contains("Login for '") || message.contains(" login ");
    match (kind, word(record, "subtype")) {
        ("virus", _) => (EventType::MalwareDetected, Severity::High),
        ("statistics", _) if !word(record, "threat.indicator.name").is_empty() => (EventType::MalwareDetected, Severity::High),
        ("statistics", _) => match record.action.as_deref() {
            Some(action) if action.contains("reject") || action.contains("discard") => {
                (EventType::AccessDenied, Severity::Medium)
            }
            _ => (EventType::Other, Severity::Low),
        },
        ("spam", _) => (EventType::AccessDenied, Severity::Medium),
        _ if login && failed => (EventType::LoginFailed, Severity::Medium),
        _ if login => (EventType::LoginSuccess, Severity::Low),
        _ if record.action.as_deref() == Some("logout") => (EventType::Logout, Severity::Low),
        (_, "config") => (EventType::ConfigChange, Severity::Medium),
        _ => (EventType::System, Severity::Low),
    }
}

#[rustfmt::skip]
fn mail_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, Field, SrcIp, User};
    Some(match name {
        "device_id" => Field("observer.serial_number"), "log_id" => Field("event.code"), "pri" => Field("log.level"),
        "user" => User, "action" | "disposition" => Action, "status" => Field("event.outcome"), "client_ip" => SrcIp, "dst_ip" => DstIp,
        "client_name" => Field("source.domain"), "from" => Field("email.from.address"), "to" => Field("email.to.address"),
        "subject" => Field("email.subject"), "message_id" => Field("email.message_id"), "direction" => Field("email.direction"),
        "virus" => Field("threat.indicator.name"), "classifier" => Field("rule.name"), "reason" => Field("event.reason"),
        "msg" => Field("event.reason"),
        _ => return None,
    })
}

fn manager<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if scan::find(text, "date=").is_none_or(|at| at > 64) || !scan::has(text, " desc=") {
        return false;
    }
    let mut read = filled(text, SPACED, record, manager_slots, context);
    from(&mut read, "userfrom");
    from(&mut read, "ui");
    let said = format!("{} {}", word(&read, "rule.description"), word(&read, "operation")).to_ascii_lowercase();
    let has = |part: &str| said.contains(part);
    let (event_type, severity) = if has("login fail") || has("authentication fail") {
        (EventType::LoginFailed, Severity::Medium)
    } else if has("logout") || has("timeout") && has("session") {
        (EventType::Logout, Severity::Low)
    } else if has("login") {
        (EventType::LoginSuccess, Severity::Low)
    } else if ["add", "edit", "delete", "set", "move", "clone"].contains(&word(&read, "operation"))
        || has("object changed")
        || has("modify")
        || has("install")
    {
        (EventType::ConfigChange, Severity::Medium)
    } else {
        (EventType::System, Severity::Low)
    };
    is(&mut read, "fortimanager", event_type, severity);
    *record = read;
    true
}

#[rustfmt::skip]
fn manager_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, Field, Host, User};
    Some(match name {
        "devname" => Host, "device_id" | "devid" => Field("observer.serial_number"), "log_id" => Field("event.code"), "pri" | "level" => Field("log.level"),
        "user" => User, "action" => Action, "desc" => Field("rule.description"), "status" => Field("event.outcome"), "msg" => Field("event.reason"),
        _ => return None,
    })
}

fn authenticator<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !text.starts_with("category=\"") || !scan::has(text, " typeid=") {
        return false;
    }
    // Behind the last pair stands the text.
    let (list, reason) = text.rsplit_once("\" ").unwrap_or((text, ""));
    record.fields.reserve(12);
    pairs::fill(list, SPACED, record, authenticator_slots, context);
    if !reason.is_empty() && !reason.contains("=\"") {
        record.set("event.reason", reason);
    }
    let status = word(record, "event.outcome").to_ascii_lowercase();
    let action = record.action.as_deref().unwrap_or_default();
    let login =
        matches!(action, "authentication" | "login") || word(record, "event.category").eq_ignore_ascii_case("authentication");
    let (event_type, severity) = match &*status {
        "failed" | "failure" if login => (EventType::LoginFailed, Severity::Medium),
        "success" if login && action != "logout" => (EventType::LoginSuccess, Severity::Low),
        _ if action == "logout" => (EventType::Logout, Severity::Low),
        _ if word(record, "event.category").eq_ignore_ascii_case("admin configuration") => {
            (EventType::ConfigChange, Severity::Medium)
        }
        _ => (EventType::Other, Severity::Low),
    };
    is(record, "fortiauthenticator", event_type, severity);
    true
}

#[rustfmt::skip]
fn authenticator_slots(name: &str) -> Option<Slot> {
    use Slot::{Action, Field, SrcIp, User};
    Some(match name {
        "user" => User, "action" => Action, "status" => Field("event.outcome"), "typeid" => Field("event.code"), "level" => Field("log.level"),
        "subcategory" => Field("event.category"), "userip" => SrcIp, "nas" => Field("observer.ip"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn lines() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_795_155_900), zone: &Zone::UTC, own: &[] };
        #[rustfmt::skip]
        let table = [
            (MAIL.samples[0], LoginFailed, Some("admin"), "203.0.113.77"),
            (MAIL.samples[1], AccessDenied, None, "198.51.100.9"),
            (r#"<190>date=2026-11-20,time=06:25:01.250,device_id=FEVM000000000001,log_id=0000002596,type=event,subtype=webmail,pri=information, user=webmail,ui=webmail,action=unknown,status=failure,msg="WebMail: Login for 'mia@example.org' from 203.0.113.77 failed""#, LoginFailed, Some("mia"), "203.0.113.77"),
            (MANAGER.samples[0], LoginFailed, Some("admin"), "203.0.113.77"),
            (AUTHENTICATOR.samples[0], LoginFailed, Some("mia"), ""),
        ];
        for (line, event_type, user, src) in table {
            let record = parse::parse(line, &context);
            assert_eq!(
                (record.event_type, record.username.as_deref(), record.src_ip),
                (event_type, user, src.parse().ok()),
                "{line}"
            );
        }
        let record = parse::parse(MANAGER.samples[0], &context);
        assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some("2026-11-20T05:25:01Z"));
        assert_eq!(record.host.as_deref(), Some("fmg1"));
    }
}
