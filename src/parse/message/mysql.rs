//! MySQL and MariaDB: error log (5.x, 8, MariaDB's own spelling), slow query log, and MySQL Enterprise Audit as JSON.
//!
//! Sources: MySQL Reference Manual, "Error Log Output Format", "The Slow Query Log", "Audit Log File Formats"; MariaDB Knowledge Base, "Error Log".
//! Severity: a refused login is medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds, Line, Member};
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan, timestamp, token};
use crate::record::{Civil, EventType, LogRecord, Severity, Timestamp, ToldBy, Value};

pub(super) const ERROR: Dialect = Dialect {
    name: "mysql_error",
    product: "MySQL, MariaDB: error log",
    reference: "https://dev.mysql.com/doc/refman/8.4/en/error-log-format.html",
    marks: &[
        App("mysqld"),
        App("mariadbd"),
        App("mysql"),
        Line("[Note]"),
        Line("[Warning]"),
        Line("[ERROR]"),
        Line("[System]"),
        Line("InnoDB: "),
        Line("mysqld_safe "),
        Line("Access denied for user '"),
        Holds("Access denied for user '"),
        Holds("[Warning] "),
        Holds("[Note] "),
    ],
    parse: error,
    samples: &[
        "2026-11-20T06:25:01.123456Z 113 [Note] [MY-010926] [Server] Access denied for user 'mia'@'203.0.113.77' (using password: YES)",
        "2026-11-20  6:25:02 8 [Warning] Access denied for user 'eve'@'203.0.113.78' (using password: NO)",
        "261120  6:25:03 [Note] /usr/sbin/mysqld: Shutdown complete",
    ],
};

pub(super) const SLOW: Dialect = Dialect {
    name: "mysql_slow",
    product: "MySQL, MariaDB: slow query log",
    reference: "https://dev.mysql.com/doc/refman/8.4/en/slow-query-log.html",
    marks: &[Line("# User@Host: "), Begins("# User@Host: "), Begins("# Time: ")],
    parse: slow,
    samples: &[
        "# Time: 2026-11-20T06:25:01.123456Z\n# User@Host: mia[mia] @ app1 [192.0.2.7]  Id:     5\n# Query_time: 10.346539  Lock_time: 0.000036 Rows_sent: 0  Rows_examined: 4751\nSET timestamp=1795155901;\nselect sleep(10);",
    ],
};

pub(super) const AUDIT: Dialect = Dialect {
    name: "mysql_audit",
    product: "MySQL Enterprise Audit: JSON",
    reference: "https://dev.mysql.com/doc/refman/8.4/en/audit-log-file-formats.html",
    marks: &[
        Member("\"connection_data\""),
        Member("\"general_data\""),
        Member("\"table_access_data\""),
        Member("\"startup_data\""),
        Member("\"shutdown_data\""),
        Member("\"audit_data\""),
    ],
    parse: audit,
    samples: &[
        r#"{"timestamp":"2026-11-20 06:25:01","id":0,"class":"connection","event":"connect","connection_id":13,"account":{"user":"mia","host":"app1"},"login":{"user":"mia","os":"","ip":"203.0.113.77","proxy":""},"connection_data":{"connection_type":"ssl","status":1045,"db":"shop"}}"#,
    ],
};

/// `time [thread] [level] [[code] [subsystem]] message`; what syslog passes on may lack the time.
fn error<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    let is_syslog = record.app.as_deref().is_some_and(|app| app.starts_with("mysql") || app.starts_with("mariadb"));
    let (when, rest) = match time(text, context) {
        Some((when, rest)) => (Some(when), rest),
        None if is_syslog || !record.format.envelope.is_empty() => (None, text),
        None => return false,
    };
    let rest = rest.trim_start();
    let (thread, rest) = match rest.split_once(' ') {
        // Older ones write it in hexadecimal digits.
        Some((word, after)) if word.parse::<u64>().is_ok() || word.len() > 6 && word.bytes().all(|b| b.is_ascii_hexdigit()) => {
            (Some(word), after.trim_start())
        }
        _ => (None, rest),
    };
    let level = bracketed(rest, &["Note", "Warning", "ERROR", "System", "Error", "Info"]);
    let mut what = level.map_or(rest, |(_, after)| after);
    let ours = level.is_some()
        || ["InnoDB: ", "mysqld_safe ", "Access denied for user '", "mysqld: "].iter().any(|sign| what.starts_with(sign));
    if !(ours || is_syslog && when.is_some()) {
        return false;
    }
    record.event_time = when.or(record.event_time);
    if let Some(thread) = thread {
        record.set("mysql.thread_id", thread);
    }
    if let Some((level, _)) = level {
        record.set("log.level", level);
    }
    if let Some((code, after)) = what.strip_prefix("[MY-").and_then(|after| scan::cut(after, "] ")) {
        record.set("event.code", code);
        what = after;
        if let Some((subsystem, after)) = what.strip_prefix('[').and_then(|after| scan::cut(after, "] ")) {
            record.set("log.logger", subsystem);
            what = after;
        }
    }
    if record.app.is_none() {
        record.app = Some(Cow::Borrowed("mysqld"));
    }
    meaning(what, record);
    true
}

fn bracketed<'a>(text: &'a str, words: &[&str]) -> Option<(&'a str, &'a str)> {
    let (word, after) = text.strip_prefix('[')?.split_once(']')?;
    words.contains(&word).then(|| (word, after.trim_start()))
}

/// ISO 8601; `2026-11-20  6:25:02` (MariaDB pads the hour with a blank); `261120  6:25:03`.
fn time<'a>(text: &'a str, context: &Context<'_>) -> Option<(Timestamp, &'a str)> {
    if let Ok((rest, reading)) = timestamp::iso(text) {
        return Some((reading.instant(context)?, rest));
    }
    let (date, rest) = text.split_once(' ')?;
    let part = |range| date.get(range).and_then(|digits: &str| digits.parse::<u32>().ok());
    let (year, month, day) = match date.len() {
        6 => (2000 + part(0..2)?, part(2..4)?, part(4..6)?),
        10 if date.as_bytes().get(4) == Some(&b'-') => (part(0..4)?, part(5..7)?, part(8..10)?),
        _ => return None,
    };
    let (clock, rest) = rest.trim_start().split_once(' ')?;
    let mut numbers = clock.splitn(3, ':').map(|number| number.parse::<u8>().ok());
    let (hour, minute, second) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let civil = Civil::new(year as i32, month as u8, day as u8, hour, minute, second, 0)?;
    Some((context.zone.instant(civil), rest))
}

fn meaning<'a>(what: &'a str, record: &mut LogRecord<'a>) {
    if let Some(account) = what.strip_prefix("Access denied for user '") {
        // A name may hold quotes: the last `'@'` divides, since hosts hold none.
        let account = account.rsplit_once(" (using password").map_or(account, |(account, _)| account);
        let account = account.rsplit_once("' to database '").map_or(account, |(account, _)| account).trim_end_matches('\'');
        let (user, host) = account.rsplit_once("'@'").unwrap_or((account, ""));
        remote(host, record);
        token::set_user(record, user);
        return failed(record, "mysql_error", "access_denied", ToldBy::Service);
    }
    let says = |part: &str| scan::has(what, part);
    let (event_type, severity) = if what.starts_with("Aborted connection ") {
        if let Some(user) = scan::between(what, "user: '", '\'').filter(|user| *user != "unauthenticated") {
            token::set_user(record, user);
        }
        if let Some(host) = scan::between(what, "host: '", '\'') {
            remote(host, record);
        }
        (EventType::Logout, Severity::Low)
    } else if says("ready for connections")
        || says("Shutdown complete")
        || says("shutdown complete")
        || says("starting as process")
        || says("mysqld_safe ")
    {
        (EventType::ServiceChange, Severity::Low)
    } else if what.starts_with("Host '") && says("is blocked because of many connection errors") {
        if let Some(host) = scan::between(what, "Host '", '\'') {
            remote(host, record);
        }
        (EventType::ConnectionBlocked, Severity::Medium)
    } else {
        (EventType::Other, Severity::Low)
    };
    is(record, "mysql_error", event_type, severity);
}

fn remote<'a>(host: &'a str, record: &mut LogRecord<'a>) {
    if host != "localhost" {
        token::set_remote(record, host);
    }
}

/// An entry, or the first lines of one. What the statement says of itself is its own.
fn slow<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !(text.starts_with("# User@Host: ") || text.starts_with("# Time: ")) {
        return false;
    }
    let mut filled = record.clone();
    let mut found = false;
    for line in text.lines().take(16) {
        if let Some(rest) = line.strip_prefix("# User@Host: ") {
            // `name[name] @ host [address]  Id: 5`
            let Some((account, rest)) = scan::cut(rest, " @ ") else { return false };
            let user = account.split_once('[').map_or(account, |(user, _)| user);
            let effective = scan::between(account, "[", ']').filter(|name| !name.is_empty());
            token::set_user(&mut filled, effective.unwrap_or(user));
            let host = rest.split(' ').next().unwrap_or_default();
            match scan::between(rest, "[", ']').and_then(scan::ip) {
                Some(ip) => filled.src_ip = Some(ip),
                None => remote(host, &mut filled),
            }
            if let Some((_, id)) = scan::cut(rest, "Id:") {
                let id = id.trim().split([' ', '\t']).next().unwrap_or_default();
                if let Ok(id) = id.parse::<i64>() {
                    filled.set("mysql.thread_id", id);
                }
            }
            found = true;
        } else if let Some(stamp) = line.strip_prefix("# Time: ") {
            // One behind the statement belongs to the next entry.
            if filled.event_time.is_none() && !found {
                filled.event_time = time(&format!("{} ", stamp.trim()), context).map(|(when, _)| when);
            }
        } else if let Some(numbers) = line.strip_prefix("# Query_time: ") {
            filled.set("mysql.slowlog.query_time", numbers.split(' ').next().unwrap_or_default());
            for (sign, name) in [
                ("Lock_time: ", "mysql.slowlog.lock_time"),
                ("Rows_sent: ", "mysql.slowlog.rows_sent"),
                ("Rows_examined: ", "mysql.slowlog.rows_examined"),
            ] {
                if let Some((_, value)) = numbers.split_once(sign) {
                    filled.set(name, value.split(' ').next().unwrap_or_default());
                }
            }
        } else if let Some(seconds) = line.strip_prefix("SET timestamp=").and_then(|rest| rest.strip_suffix(';')) {
            filled.event_time = seconds.parse::<f64>().ok().and_then(scan::epoch).or(filled.event_time);
        } else if let Some(schema) = line.strip_prefix("use ").and_then(|rest| rest.strip_suffix(';')) {
            filled.set("mysql.slowlog.schema", schema);
        } else if !line.starts_with('#') {
            break;
        }
    }
    if !found {
        return false;
    }
    is(&mut filled, "mysql_slow", EventType::Other, Severity::Low);
    *record = filled;
    true
}

/// An object, with the comma or the bracket of the array that the file is.
fn audit<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end().trim_end_matches(&[',', ']'][..]).trim_end();
    let mut filled = record.clone();
    if !fill::object(text, &mut filled, slots, context) {
        return false;
    }
    let word = |name: &str| match filled.field(name) {
        Some(Value::Str(text)) => text.to_string(),
        _ => String::new(),
    };
    let (class, event) = (word("class"), word("event"));
    let status = match filled.field("connection_data.status") {
        Some(Value::Int(status)) => *status,
        _ => 0,
    };
    if class.is_empty() || event.is_empty() {
        return false;
    }
    match (&*class, &*event) {
        ("connection", "connect" | "change_user") if status != 0 => {
            failed(&mut filled, "mysql_audit", "connect", ToldBy::Service)
        }
        ("connection", "connect" | "change_user") => succeeded(&mut filled, "mysql_audit", "connect"),
        _ => {
            let command = word("general_data.sql_command");
            let event_type = match (&*class, &*event) {
                ("connection", "disconnect") => EventType::Logout,
                ("audit", _) => EventType::ServiceChange,
                _ if matches!(
                    &*command,
                    "create_user" | "drop_user" | "alter_user" | "grant" | "revoke" | "set_password" | "rename_user"
                ) =>
                {
                    EventType::AccountChange
                }
                _ => EventType::Other,
            };
            let severity = if event_type == EventType::AccountChange { Severity::Medium } else { Severity::Low };
            is(&mut filled, "mysql_audit", event_type, severity);
            filled.action = Some(Cow::Owned(if command.is_empty() { event } else { command }));
        }
    }
    *record = filled;
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Field, SrcIp, Time, User};
    Some(match name {
        "timestamp" | "time" => Time, "account.user" => User, "login.ip" => SrcIp, "account.host" => Field("source.domain"),
        "connection_id" => Field("mysql.thread_id"), "general_data.query" | "table_access_data.query" => Field("mysql.query"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Zone;

    #[test]
    fn refused() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (line, user, ip) in [
            (ERROR.samples[0], "mia", "203.0.113.77"),
            (ERROR.samples[1], "eve", "203.0.113.78"),
            ("261120 14:49:17 [Warning] Access denied for user 'a'@'b'@'192.0.2.1' (using password: YES)", "a'@'b", "192.0.2.1"),
            (
                "2026-11-20T06:25:01.123456Z 9 [Note] Access denied for user 'mia'@'192.0.2.1' to database 'shop'",
                "mia",
                "192.0.2.1",
            ),
        ] {
            let mut record = LogRecord::text(line);
            assert!(error(line, &mut record, &context), "{line}");
            assert_eq!(
                (record.event_type, record.username.as_deref(), record.src_ip),
                (EventType::LoginFailed, Some(user), ip.parse().ok()),
                "{line}"
            );
            assert!(record.event_time.is_some());
        }
    }

    #[test]
    fn slow_queries_and_audit() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text("");
        assert!(slow(SLOW.samples[0], &mut record, &context));
        assert_eq!((record.username.as_deref(), record.src_ip), (Some("mia"), "192.0.2.7".parse().ok()));
        assert_eq!(record.event_time, Some(Timestamp::from_secs(1_795_155_901)));
        let mut record = LogRecord::text("");
        assert!(audit(AUDIT.samples[0], &mut record, &context));
        assert_eq!((record.event_type, record.src_ip), (EventType::LoginFailed, "203.0.113.77".parse().ok()));
    }
}
