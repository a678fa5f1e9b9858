//! osquery: results of its scheduled queries, one row an object.
//!
//! Source: osquery documentation, "Logging". Severity is low: what a row means, its query knows.

use super::audit_json::read;
use super::is;
use crate::parse::Context;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::Slot;
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "osquery",
    product: "osquery: results",
    reference: "https://osquery.readthedocs.io/en/stable/deployment/logging/",
    marks: &[Member("\"hostIdentifier\"")],
    parse,
    samples: &[
        r#"{"name":"pack_it_services","hostIdentifier":"mac1.example.org","calendarTime":"Fri Nov 20 06:25:01 2026 UTC","unixTime":"1795155901","epoch":"0","counter":"0","decorations":{"host_uuid":"4AB2","username":"mia"},"columns":{"process":"ftpd","pid":"811"},"action":"added"}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{Action, App, Field, Host, Pid, Time, User};
        Some(match name {
            "hostIdentifier" => Host,
            "unixTime" => Time,
            "decorations.username" => User,
            "name" => Field("rule.name"),
            "action" => Action,
            "columns.process" => App,
            "columns.pid" => Pid,
            "decorations.host_uuid" => Field("host.id"),
            "columns.cmdline" => Field("process.command_line"),
            "columns.path" => Field("file.path"),
            _ => return None,
        })
    }
    read(text, record, slots, context, |record| {
        if record.field("rule.name").is_none() || record.action.is_none() || record.event_time.is_none() {
            return false;
        }
        is(record, "osquery", EventType::System, Severity::Low);
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn a_row() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text("");
        assert!(parse(DIALECT.samples[0], &mut record, &context));
        assert_eq!((record.host.as_deref(), record.username.as_deref()), (Some("mac1.example.org"), Some("mia")));
        assert_eq!((record.app.as_deref(), record.event_time), (Some("ftpd"), Some(Timestamp::from_secs(1_795_155_901))));
    }
}
