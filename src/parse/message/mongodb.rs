//! MongoDB's log: JSON (4.4 and later) and the text before it.
//!
//! Source: MongoDB manual, "Log Messages". Severity: a refused login and a refused command are medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Line, Member};
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan, timestamp, token};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "mongodb",
    product: "MongoDB",
    reference: "https://www.mongodb.com/docs/manual/reference/log-messages/",
    marks: &[
        App("mongod"),
        App("mongos"),
        Member("\"$date\""),
        Line(" [conn"),
        Line(" [initandlisten] "),
        Line(" I NETWORK "),
        Line(" I ACCESS "),
        Line(" I CONTROL "),
        Line(" I STORAGE "),
        Line(" I COMMAND "),
        Line(" I INDEX "),
        Line(" I FTDC "),
        Line(" I REPL "),
        Line(" W CONTROL "),
        Line(" W STORAGE "),
        Line(" E STORAGE "),
    ],
    parse,
    samples: &[
        r#"{"t":{"$date":"2026-11-20T06:25:01.123+00:00"},"s":"I","c":"ACCESS","id":20249,"ctx":"conn5","msg":"Authentication failed","attr":{"mechanism":"SCRAM-SHA-256","principalName":"mia","authenticationDatabase":"admin","remote":"203.0.113.77:50123","error":"AuthenticationFailed: SCRAM authentication failed"}}"#,
        "2026-11-20T06:25:02.123+0000 I ACCESS   [conn6] SCRAM-SHA-1 authentication failed for eve on admin from client 203.0.113.78:50124 ; AuthenticationFailed: SCRAM-SHA-1 authentication failed, storedKey mismatch",
        "2026-11-20T06:25:03.123+0000 I NETWORK  [listener] connection accepted from 203.0.113.79:50125 #7 (1 connection now open)",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut filled = record.clone();
    let read =
        if text.starts_with('{') { json(text, &mut filled, context) } else { plain(text.trim_end(), &mut filled, context) };
    if read {
        filled.app = filled.app.or(Some(Cow::Borrowed("mongod")));
        *record = filled;
    }
    read
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{DstIp, Field, SrcIp, Time, User};
    Some(match name {
        "t.$date" => Time, "s" => Field("log.level"), "c" => Field("mongodb.log.component"), "ctx" => Field("mongodb.log.context"),
        "msg" => Field("mongodb.log.message"), "id" => Field("event.code"), "attr.remote" | "attr.client" => SrcIp,
        "attr.principalName" | "attr.user" => User, "attr.authenticationDatabase" | "attr.db" => Field("user.domain"), "attr.local" => DstIp,
        "attr.error" | "attr.result" => Field("error.message"), "attr.mechanism" => Field("mongodb.log.mechanism"),
        _ => return None,
    })
}

fn json<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !fill::object(text, record, slots, context) || record.event_time.is_none() {
        return false;
    }
    let (Some(Value::Str(component)), Some(Value::Str(what))) =
        (record.field("mongodb.log.component"), record.field("mongodb.log.message"))
    else {
        return false;
    };
    let (component, what) = (component.to_string(), what.to_string());
    meaning(&component, &what, record);
    true
}

/// `time [severity component] [context] message`; before 3.0 without the two.
fn plain<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let (when, rest) = match timestamp::iso(text) {
        Ok((rest, reading)) => (reading.instant(context), rest),
        Err(_) if record.app.as_deref().is_some_and(|app| app.starts_with("mongo")) => (None, text),
        Err(_) => return false,
    };
    let rest = rest.trim_start();
    let mut words = rest.splitn(3, ' ');
    let (level, component, after) = match (words.next(), words.next(), words.next()) {
        (Some(level @ ("D" | "I" | "W" | "E" | "F" | "D1" | "D2" | "D3" | "D4" | "D5")), Some(component), Some(after))
            if component == "-" || component.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') =>
        {
            (level, component, after.trim_start())
        }
        _ => ("", "", rest),
    };
    let Some((thread, what)) = after.strip_prefix('[').and_then(|after| scan::cut(after, "] ")) else { return false };
    if level.is_empty() && !(thread.starts_with("conn") || thread == "initandlisten") {
        return false;
    }
    record.event_time = when.or(record.event_time);
    for (name, value) in [("log.level", level), ("mongodb.log.component", component), ("mongodb.log.context", thread)] {
        if !value.is_empty() {
            record.set(name, value);
        }
    }
    // Old envelopes took the severity for a host.
    if record.host.as_deref() == Some(level) {
        record.host = None;
    }
    about(what, record);
    meaning(component, what, record);
    true
}

/// Who and from where: names stand between words that are looked for from the right.
fn about<'a>(what: &'a str, record: &mut LogRecord<'a>) {
    let signs = ["from client ", "connection accepted from ", "end connection ", "metadata from "];
    if let Some((_, rest)) = signs.iter().find_map(|sign| what.rsplit_once(sign))
        && let Some((ip, port)) = token::ip_and_port(rest.split([' ', ';']).next().unwrap_or_default())
    {
        (record.src_ip, record.src_port) = (Some(ip), port);
    }
    let head = what.rsplit_once(" from client ").map_or(what, |(head, _)| head);
    let named = head
        .split_once("authentication failed for ")
        .or_else(|| scan::cut(head, "authenticated as principal "))
        .map(|(_, name)| name.rsplit_once(" on ").map_or((name, ""), |(name, database)| (name, database)));
    let at = head.strip_prefix("Failed to authenticate ").map(|name| {
        let name = scan::cut(name, " with mechanism").map_or(name, |(name, _)| name);
        name.rsplit_once('@').unwrap_or((name, ""))
    });
    if let Some((user, database)) = named.or(at) {
        token::set_user(record, user);
        if !database.is_empty() {
            record.set("user.domain", database.split([' ', ';']).next().unwrap_or(database));
        }
    }
}

fn meaning(component: &str, what: &str, record: &mut LogRecord<'_>) {
    let says = |part: &str| scan::has(what, part);
    if says("Failed to authenticate ") && record.src_ip.is_none() {
        // MongoDB before 3.2 says for whom and not from where: there is nobody to hold it against.
        is(record, "mongodb", EventType::AccessDenied, Severity::Medium);
        record.action = Some("authentication_failed".into());
        record.set("event.outcome", "failure");
        return;
    }
    if says("uthentication failed") || says("ailed to authenticate") {
        return failed(record, "mongodb", "authentication_failed", ToldBy::Service);
    }
    if says("uccessfully authenticated") || says("Authentication succeeded") {
        return succeeded(record, "mongodb", "authentication_succeeded");
    }
    let (event_type, severity) = match component {
        "ACCESS" if says("not authorized") || says("authorization failed") || says("Unauthorized") => {
            (EventType::AccessDenied, Severity::Medium)
        }
        _ if says("onnection accepted") => (EventType::ConnectionAllowed, Severity::Low),
        "CONTROL" | "STORAGE" if says("MongoDB starting") || says("Now exiting") || says("shutting down") || says("hutdown") => {
            (EventType::ServiceChange, Severity::Low)
        }
        _ if what.starts_with("Waiting for connections") || what.starts_with("waiting for connections") => {
            (EventType::ServiceChange, Severity::Low)
        }
        _ => (EventType::Other, Severity::Low),
    };
    is(record, "mongodb", event_type, severity);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn both_spellings() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        use EventType::*;
        for (line, event_type, user, at) in [
            (DIALECT.samples[0], LoginFailed, "mia", "203.0.113.77"),
            (DIALECT.samples[1], LoginFailed, "eve", "203.0.113.78"),
            (DIALECT.samples[2], ConnectionAllowed, "", "203.0.113.79"),
            (
                "2016-11-20T00:24:00.110+0100 [conn5] Failed to authenticate eve@admin with mechanism MONGODB-CR: AuthenticationFailed x",
                AccessDenied,
                "eve",
                "",
            ),
        ] {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record, &context), "{line}");
            let ip = record.src_ip.map(|ip| ip.to_string()).unwrap_or_default();
            assert_eq!((record.event_type, record.username.as_deref().unwrap_or(""), &*ip), (event_type, user, at), "{line}");
            assert!(record.event_time.is_some());
        }
    }
}
