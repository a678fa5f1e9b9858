//! Microsoft SQL Server's error log: `2026-11-20 06:25:01.02 Logon       Login failed for user 'mia'. Reason: … [CLIENT: 203.0.113.77]`.
//!
//! Source: Microsoft, "MSSQLSERVER_18456". Severity: a refused login is medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Line};
use crate::parse::{Context, scan, timestamp, token};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "mssql",
    product: "Microsoft SQL Server: error log",
    reference: "https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/mssqlserver-18456-database-engine-error",
    marks: &[
        App("MSSQLSERVER"),
        App("sqlservr"),
        Line(" Logon  "),
        Line(" Server  "),
        Line(" Backup  "),
        Line(" spid"),
        Begins("Login failed for user '"),
        Begins("Login succeeded for user '"),
    ],
    parse,
    samples: &[
        "2026-11-20 06:25:01.02 Logon       Login failed for user 'mia'. Reason: Password did not match that for the login provided. [CLIENT: 203.0.113.77]",
        "2026-11-20 06:25:02.02 spid51      Configuration option 'xp_cmdshell' changed from 0 to 1. Run the RECONFIGURE statement to install.",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = text.trim_end();
    if text.starts_with("Login failed for user '") || text.starts_with("Login succeeded for user '") {
        return text.ends_with(']') && login(text, record);
    }
    let Ok((rest, reading)) = timestamp::iso(text) else { return false };
    let (Some(when), Some(rest)) = (reading.instant(context), rest.strip_prefix(' ')) else { return false };
    let Some((source, what)) = rest.split_once(' ') else { return false };
    let session =
        source.strip_prefix("spid").is_some_and(|id| !id.is_empty() && id.bytes().take(4).all(|b| b.is_ascii_alphanumeric()));
    // The source is padded with blanks: a program's name in syslog's place is not.
    if !(matches!(source, "Logon" | "Server" | "Backup") && what.starts_with(' ') || session && what.starts_with(' ')) {
        return false;
    }
    let what = what.trim_start();
    record.event_time = Some(when);
    record.app = record.app.take().or(Some(Cow::Borrowed("sqlservr")));
    record.set("mssql.source", source);
    if login(what, record) {
        return true;
    }
    let (event_type, severity) = if what.starts_with("Configuration option '") {
        (EventType::ConfigChange, Severity::Medium)
    } else if what.starts_with("SQL Server is now ready")
        || what.starts_with("SQL Server is terminating")
        || what.starts_with("SQL Server is starting")
    {
        (EventType::ServiceChange, Severity::Low)
    } else {
        (EventType::Other, Severity::Low)
    };
    is(record, "mssql", event_type, severity);
    true
}

/// A name may hold anything: what follows it is looked for from the right.
fn login<'a>(what: &'a str, record: &mut LogRecord<'a>) -> bool {
    let (refused, rest) = match (what.strip_prefix("Login failed for user '"), what.strip_prefix("Login succeeded for user '")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return false,
    };
    let (rest, client) = rest.rsplit_once(" [CLIENT: ").map_or((rest, ""), |(rest, client)| (rest, client.trim_end_matches(']')));
    let (user, reason) = rest.rsplit_once("'. Reason: ").or_else(|| rest.rsplit_once("'. Connection")).unwrap_or((rest, ""));
    let user = user.trim_end_matches('.').trim_end_matches('\'');
    crate::parse::fill::account(record, Cow::Borrowed(user));
    match scan::ip(client) {
        Some(ip) => record.src_ip = Some(ip),
        None if !client.starts_with('<') => {
            token::set_remote(record, client);
        }
        None => {}
    }
    if !reason.is_empty() {
        record.set("event.reason", reason);
    }
    if refused {
        failed(record, "mssql", "login_failed", ToldBy::Service)
    } else {
        succeeded(record, "mssql", "login_succeeded")
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn logins() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (line, user, ip) in [
            (DIALECT.samples[0], "mia", "203.0.113.77"),
            (
                "2026-11-20 06:25:01.02 Logon       Login failed for user 'x'. Reason: y [CLIENT: 192.0.2.9]'. Reason: Could not find a login. [CLIENT: 192.0.2.1]",
                "x'. Reason: y [CLIENT: 192.0.2.9]",
                "192.0.2.1",
            ),
        ] {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record, &context), "{line}");
            assert_eq!(
                (record.event_type, record.username.as_deref(), record.src_ip),
                (EventType::LoginFailed, Some(user), ip.parse().ok())
            );
        }
        let line =
            "2026-11-20 06:25:01.02 Wrong data received: Logon       Login failed for user 'test'. Reason: x [CLIENT: 192.0.2.5]";
        let mut record = LogRecord::text(line);
        assert!(!parse(line, &mut record, &context));
    }
}
