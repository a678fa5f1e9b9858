//! PostgreSQL's server log: stderr with whatever `log_line_prefix` the site has, syslog, csvlog and jsonlog.
//!
//! Source: PostgreSQL documentation, "Error Reporting and Logging" (`log_line_prefix`, "Using CSV-Format Log Output", "Using JSON-Format Log Output"). A prefix
//! is free text, so only what shows itself is taken from it: `user@database`, an address, a process id in brackets, a time. Severity: a refused
//! login is medium, FATAL and PANIC of the server are medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds, Line, Member};
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan, timestamp, token};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "postgresql",
    product: "PostgreSQL: server log",
    reference: "https://www.postgresql.org/docs/current/runtime-config-logging.html",
    marks: &[
        App("postgres"),
        App("postgresql"),
        Line("LOG:  "),
        Line("ERROR:  "),
        Line("FATAL:  "),
        Line("PANIC:  "),
        Line("DETAIL:  "),
        Line("HINT:  "),
        Line("STATEMENT:  "),
        Line("CONTEXT:  "),
        Line("LOCATION:  "),
        Line("WARNING:  "),
        Line("NOTICE:  "),
        Line("]:ERROR: "),
        Line("]:FATAL: "),
        Line("]:LOG: "),
        Line(",LOG,"),
        Line(",ERROR,"),
        Line(",FATAL,"),
        Line(",WARNING,"),
        Holds("FATAL:  "),
        Holds("LOG:  "),
        Holds("ERROR:  "),
        Holds("DETAIL:  "),
        Member("\"error_severity\""),
    ],
    parse,
    samples: &[
        r#"2026-11-20 06:25:01.123 UTC [811] mia@shop FATAL:  password authentication failed for user "mia""#,
        r#"2026-11-20 06:25:02 UTC:203.0.113.77(50123):mia@shop:[812]:ERROR:  permission denied for table orders"#,
        r#"2026-11-20 06:25:03.123 UTC,"mia","shop",813,"203.0.113.77:50124",65000001.32d,2,"authentication",2026-11-20 06:25:03 UTC,3/1,0,LOG,00000,"connection authorized: user=mia database=shop",,,,,,,,,"psql""#,
        r#"{"timestamp":"2026-11-20 06:25:04.123 UTC","user":"mia","dbname":"shop","pid":814,"remote_host":"203.0.113.77","remote_port":50125,"session_id":"65000002.32e","line_num":1,"ps":"authentication","error_severity":"FATAL","state_code":"28P01","message":"password authentication failed for user \"mia\"","backend_type":"client backend"}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut filled = record.clone();
    let read = if text.starts_with('{') {
        jsonlog(text, &mut filled, context)
    } else {
        csvlog(text, &mut filled, context) || stderr(text, &mut filled, context)
    };
    if read {
        if filled.app.is_none() {
            filled.app = Some(Cow::Borrowed("postgres"));
        }
        *record = filled;
    }
    read
}

const LEVELS: [&str; 17] = [
    "LOG",
    "ERROR",
    "FATAL",
    "PANIC",
    "WARNING",
    "NOTICE",
    "INFO",
    "DEBUG",
    "DEBUG1",
    "DEBUG2",
    "DEBUG3",
    "DEBUG4",
    "DEBUG5",
    "DETAIL",
    "HINT",
    "STATEMENT",
    "CONTEXT",
];

/// `prefix LEVEL:  message`. Two blanks follow the colon; prefixes that end in a colon are known to lose one on the way.
fn stderr<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((prefix, level, what)) = level(text) else { return false };
    let is_syslog = record.app.as_deref().is_some_and(|app| app.starts_with("postgres"));
    // A T within the time, or a month by name, is syslog's: what follows is a host, not a prefix.
    let is_syslog_time = prefix.as_bytes().get(10) == Some(&b'T')
        || prefix.starts_with(|c: char| c.is_ascii_uppercase()) && timestamp::reading(prefix).is_ok();
    if record.format.envelope.is_empty() && is_syslog_time {
        return false;
    }
    let read = prefix_of(prefix, record, context);
    if !(read || is_syslog) {
        return false;
    }
    record.set("log.level", level);
    // log_error_verbosity = verbose: the SQLSTATE comes first.
    let (state, what) = match scan::cut(what, ": ") {
        Some((state, rest)) if state.len() == 5 && state.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) => {
            (Some(state), rest)
        }
        _ => (None, what),
    };
    if let Some(state) = state {
        record.set("event.code", state);
    }
    finish(level, what, record);
    true
}

/// Where the level stands: the first one behind a blank, a colon or at the start, within what a prefix may be long.
fn level(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b':', text.as_bytes().get(from..text.len().min(300))?).map(|at| from + at) {
        let before = text.get(..at)?;
        let start = before.rfind(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit()).map_or(0, |at| at + 1);
        let word = before.get(start..)?;
        let after = text.get(at + 1..)?;
        let ends = after.starts_with("  ") || after.starts_with(' ') && text.get(..start)?.ends_with(':');
        if ends && (LEVELS.contains(&word) || matches!(word, "LOCATION" | "QUERY")) {
            return Some((text.get(..start)?, word, after.trim_start()));
        }
        from = at + 1;
    }
    None
}

/// What a prefix says. False where nothing in it shows a server's log.
fn prefix_of<'a>(prefix: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut rest = prefix.trim();
    let mut sure = false;
    if let Ok((after, reading)) = timestamp::reading(rest)
        && let Some(time) = reading.instant(context)
    {
        record.event_time = Some(time);
        rest = after;
        sure = true;
    }
    let pieces = rest.split([' ', ',', '|']).flat_map(colons).filter(|piece| !piece.is_empty());
    for piece in pieces {
        let bare = piece.trim_matches(['[', ']', ';', '<', '>']);
        let bare = bare.strip_prefix('(').and_then(|bare| bare.strip_suffix(')')).unwrap_or(bare);
        let value = bare.split_once('=').map_or(bare, |(_, value)| value);
        if let Some((ip, port)) = peer(value) {
            (record.src_ip, record.src_port) = (Some(ip), port);
        } else if let Some((user, database)) = value.split_once('@').filter(|_| record.username.is_none()) {
            sure = true;
            someone(record, user);
            if !matches!(database, "" | "[unknown") {
                record.set("postgresql.log.database", database);
            }
        } else if bare.starts_with("user=") || bare.starts_with("u=") {
            someone(record, value);
        } else if bare.starts_with("db=") || bare.starts_with("d=") {
            record.set("postgresql.log.database", value);
        } else if bare.starts_with("app=") || bare.starts_with("a=") {
            record.set("postgresql.log.application_name", value);
        } else if piece.starts_with('[') && record.pid.is_none()
            || bare.starts_with("pid=")
            || piece.ends_with(']') && record.pid.is_none()
        {
            // `[811-1]`: the number of the session's line follows.
            if let Some(pid) = token::whole_number(value.split('-').next().unwrap_or(value)) {
                record.pid = Some(pid);
                sure = true;
            }
        }
    }
    sure
}

/// The parts between colons, but an IPv6 address whole.
fn colons(piece: &str) -> impl Iterator<Item = &str> {
    let whole = peer(piece.trim_matches([':', '[', ']'])).is_some();
    let separator = if whole { '\u{1}' } else { ':' };
    piece.split(separator)
}

/// `203.0.113.77(50123)`, `203.0.113.77`.
fn peer(text: &str) -> Option<(std::net::IpAddr, Option<u16>)> {
    match text.split_once('(') {
        Some((address, port)) => Some((scan::ip(address)?, Some(port.strip_suffix(')')?.parse().ok()?))),
        None => Some((scan::ip(text)?, None)),
    }
}

fn someone<'a>(record: &mut LogRecord<'a>, user: &'a str) {
    let user = user.trim_matches(['[', ']']);
    if !user.is_empty() {
        record.username = Some(Cow::Borrowed(user));
    }
}

/// 23 to 26 columns: time, user, database, pid, connection, session, line, command, start, virtual transaction, transaction, severity, state, message …
fn csvlog<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some(time) = text.split(',').next().filter(|time| time.len() > 18 && time.len() < 40) else { return false };
    let Ok((rest, reading)) = timestamp::reading(time) else { return false };
    if !rest.trim().is_empty() {
        return false;
    }
    let mut columns = [""; 24];
    let count = split(text, &mut columns);
    if count < 20 || !LEVELS.contains(&columns[11]) || columns[12].len() != 5 {
        return false;
    }
    record.event_time = reading.instant(context).or(record.event_time);
    record.fields.reserve(12);
    someone(record, columns[1]);
    let session = [
        (2, "postgresql.log.database"),
        (5, "postgresql.log.session_id"),
        (7, "postgresql.log.command_tag"),
        (11, "log.level"),
        (12, "event.code"),
    ];
    for (column, name) in session.into_iter().chain([
        (14, "postgresql.log.detail"),
        (19, "postgresql.log.query"),
        (22, "postgresql.log.application_name"),
    ]) {
        if !columns[column].is_empty() {
            record.set(name, columns[column]);
        }
    }
    record.pid = columns[3].parse().ok().or(record.pid);
    let (host, port) = scan::host_port(columns[4]);
    if let Some((ip, port)) = scan::ip(host).map(|ip| (ip, port)).or_else(|| token::ip_and_port(columns[4])) {
        (record.src_ip, record.src_port) = (Some(ip), port);
    }
    finish(columns[11], columns[13], record);
    true
}

/// The columns of a line, without their quotes; how many there are.
fn split<'a>(text: &'a str, columns: &mut [&'a str; 24]) -> usize {
    let (mut rest, mut count) = (text, 0);
    while let Some(slot) = columns.get_mut(count) {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let bytes = quoted.as_bytes();
                let mut at = 0;
                // A doubled quote is one within the value.
                while let Some(quote) = memchr::memchr(b'"', bytes.get(at..).unwrap_or_default()).map(|found| at + found) {
                    at = quote;
                    if bytes.get(quote + 1) != Some(&b'"') {
                        break;
                    }
                    at = quote + 2;
                }
                (quoted.get(..at).unwrap_or(quoted), quoted.get(at + 1..).unwrap_or_default())
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (&rest[..end], &rest[end..])
            }
        };
        *slot = value;
        count += 1;
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
    }
    count
}

fn jsonlog<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !fill::object(text, record, slots, context) {
        return false;
    }
    let word = |name: &str| match record.field(name) {
        Some(Value::Str(text)) => Some(text.clone()),
        _ => None,
    };
    let (Some(level), Some(what)) = (word("log.level"), word("postgresql.log.message")) else { return false };
    record.fields.retain(|(name, _)| name != "postgresql.log.message");
    let what = what.into_owned();
    judge(&level, &what, record);
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Field, Pid, SrcIp, SrcPort, Time, User};
    Some(match name {
        "timestamp" => Time, "user" => User, "pid" => Pid, "remote_host" => SrcIp, "remote_port" => SrcPort, "error_severity" => Field("log.level"),
        "state_code" => Field("event.code"), "message" => Field("postgresql.log.message"), "dbname" => Field("postgresql.log.database"),
        "statement" => Field("postgresql.log.query"), "detail" => Field("postgresql.log.detail"), "application_name" => Field("postgresql.log.application_name"),
        "session_id" => Field("postgresql.log.session_id"), "ps" => Field("postgresql.log.command_tag"),
        _ => return None,
    })
}

fn finish<'a>(level: &str, what: &'a str, record: &mut LogRecord<'a>) {
    // The name in quotes was asked for, the one of the prefix has no session yet.
    if let Some(user) = subject(what).filter(|user| !user.is_empty()) {
        record.username = Some(Cow::Borrowed(user));
    }
    if let Some(host) = what.strip_prefix("connection received: host=").and_then(|rest| rest.split([' ', ',']).next()) {
        if let Some(ip) = scan::ip(host) {
            record.src_ip = Some(ip);
        }
        if let Some(port) = scan::cut(what, " port=").and_then(|(_, port)| port.split([' ', ',']).next()?.parse().ok()) {
            record.src_port = Some(port);
        }
    }
    judge(level, what, record);
}

/// Who is let in or refused.
fn subject(what: &str) -> Option<&str> {
    if let Some(rest) = what.strip_prefix("connection authorized: user=") {
        return rest.split(' ').next();
    }
    if !is_refusal(what) {
        return None;
    }
    if let Some((_, rest)) = scan::cut(what, "for user \"").or_else(|| scan::cut(what, "user \"")) {
        // A name may hold quotes: what follows it is known.
        let end = rest.find("\", database").or_else(|| rest.rfind('"'))?;
        return rest.get(..end);
    }
    let (_, rest) = scan::cut(what, "role \"")?;
    rest.get(..rest.rfind('"')?)
}

fn is_refusal(what: &str) -> bool {
    what.contains("authentication failed for user")
        || what.starts_with("no pg_hba.conf entry for ")
        || what.starts_with("pg_hba.conf rejects connection for ")
        || what.starts_with("role \"") && (what.ends_with("does not exist") || what.ends_with("is not permitted to log in"))
}

fn judge(level: &str, what: &str, record: &mut LogRecord<'_>) {
    let severe = matches!(level, "FATAL" | "PANIC");
    if severe && is_refusal(what) {
        return failed(record, "postgresql", "authentication_failed", ToldBy::Service);
    }
    if what.starts_with("connection authorized: ") {
        return succeeded(record, "postgresql", "connection_authorized");
    }
    let (event_type, severity) = if what.starts_with("disconnection: ") {
        (EventType::Logout, Severity::Low)
    } else if what.starts_with("connection received: ") {
        (EventType::ConnectionAllowed, Severity::Low)
    } else if what.starts_with("permission denied ")
        || what.starts_with("must be owner of ")
        || what.starts_with("must be superuser")
    {
        (EventType::AccessDenied, Severity::Medium)
    } else if what.starts_with("parameter \"") && what.contains("\" changed to ") {
        (EventType::ConfigChange, Severity::Medium)
    } else if what.starts_with("database system is ")
        || what.starts_with("database system was ")
        || what.starts_with("received ") && what.ends_with("shutdown request")
    {
        (EventType::ServiceChange, Severity::Low)
    } else if level == "PANIC" {
        (EventType::ServiceChange, Severity::Medium)
    } else {
        (EventType::Other, Severity::Low)
    };
    is(record, "postgresql", event_type, severity);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn lines_of_others() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for line in ["2026-11-20T06:25:01Z host1 backup[3]: LOG:  done", "Nov 20 06:25:01 host1 backup: LOG:  done", "LOG:  done"]
        {
            assert_ne!(crate::parse::parse(line, &context).format.message, "postgresql", "{line}");
        }
    }

    #[test]
    fn prefixes() {
        use EventType::*;
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (line, event_type, user, at, pid) in [
            (DIALECT.samples[0], LoginFailed, "mia", "", Some(811)),
            (DIALECT.samples[1], AccessDenied, "mia", "203.0.113.77:50123", Some(812)),
            (DIALECT.samples[2], LoginSuccess, "mia", "203.0.113.77:50124", Some(813)),
            (DIALECT.samples[3], LoginFailed, "mia", "203.0.113.77:50125", Some(814)),
            (
                "2026-11-20 06:25:01 CET [9-1] LOG:  database system is ready to accept connections",
                ServiceChange,
                "",
                "",
                Some(9),
            ),
            (
                "2026-11-20 06:25:01 UTC [7] 192.0.2.7 eve@shop FATAL:  no pg_hba.conf entry for host \"192.0.2.7\", user \"eve\", database \"shop\", no encryption",
                LoginFailed,
                "eve",
                "192.0.2.7",
                Some(7),
            ),
            (
                "2026-11-20 06:25:01 UTC [7]: user=mia,db=shop,app=psql,client=192.0.2.8 ERROR:  syntax error",
                Other,
                "mia",
                "192.0.2.8",
                Some(7),
            ),
        ] {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record, &context), "{line}");
            let ip = record.src_ip.map(|ip| ip.to_string()).unwrap_or_default();
            let got = record.src_port.map_or(ip.clone(), |port| format!("{ip}:{port}"));
            assert_eq!(
                (record.event_type, record.username.as_deref().unwrap_or(""), &*got, record.pid),
                (event_type, user, at, pid),
                "{line}"
            );
            assert!(record.event_time.is_some(), "{line}");
        }
    }
}
