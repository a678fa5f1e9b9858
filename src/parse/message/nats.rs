//! NATS server: `[811] 2026/11/20 06:25:01.250000 [ERR] 203.0.113.77:48312 - cid:7 - authentication error - User "mia"`.
//!
//! Source: NATS documentation, "Logging", and nats-server's `server/log.go`. A failed login is medium, the rest is low.

use std::borrow::Cow;

use super::super::token::set_user;
use super::{failed, is};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Holds, Line};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const DIALECT: Dialect = Dialect {
    name: "nats",
    product: "NATS server",
    reference: "https://docs.nats.io/running-a-nats-service/configuration/logging",
    marks: &[
        Line(" [TRC] "),
        Line(" [DBG] "),
        Line(" [INF] "),
        Line(" [WRN] "),
        Line(" [ERR] "),
        Line(" [FTL] "),
        Holds(" [TRC] "),
        Holds(" [DBG] "),
        Holds(" [INF] "),
        Holds(" [WRN] "),
        Holds(" [ERR] "),
        Holds(" [FTL] "),
    ],
    parse,
    samples: &[r#"[811] 2026/11/20 06:25:01.250000 [ERR] 203.0.113.77:48312 - cid:7 - authentication error - User "mia""#],
};

const FORMAT: &str = "nats";

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((pid, rest)) = text.trim_end().strip_prefix('[').and_then(|rest| scan::cut(rest, "] ")) else { return false };
    let Some((time, rest)) = scan::cut(rest, " [") else { return false };
    let Some((level, rest)) = scan::cut(rest, "] ") else { return false };
    let (Ok(pid), Some(time)) = (pid.parse(), scan::iso_time(time, Some(context.zone))) else { return false };
    if !matches!(level, "TRC" | "DBG" | "INF" | "WRN" | "ERR" | "FTL") {
        return false;
    }
    record.event_time = Some(time);
    record.pid = Some(pid);
    record.app.get_or_insert(Cow::Borrowed("nats-server"));
    let mut what = rest;
    // `192.0.2.1:48312 - cid:7 - …`: a client; `rid` and `gid` are servers.
    if let Some((end, behind)) = scan::cut(rest, " - ") {
        let (host, port) = scan::host_port(end);
        if let Some(ip) = scan::ip(host) {
            (record.src_ip, record.src_port) = (Some(ip), port);
            what = scan::cut(behind, " - ").map_or(behind, |(_, what)| what);
        }
    }
    if what.starts_with("authentication error") {
        failed(record, FORMAT, "connect", ToldBy::Service);
        if let Some((user, _)) = scan::cut(what, "User \"").and_then(|(_, rest)| rest.rsplit_once('"')) {
            set_user(record, user);
        }
    } else if scan::has(what, "uthorization Violation") {
        is(record, FORMAT, EventType::AccessDenied, Severity::Low);
    } else {
        is(record, FORMAT, EventType::Other, Severity::Low);
    }
    record.set("log.level", level);
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use crate::record::EventType::*;
    use crate::record::ToldBy::Service;

    #[test]
    fn lines() {
        check(
            "",
            super::FORMAT,
            &[
                (super::DIALECT.samples[0], LoginFailed, "mia", "203.0.113.77:48312", Some(Service), 1),
                (
                    "[1] 2026/11/20 06:25:01.250000 [TRC] 203.0.113.77:48312 - cid:3 - <<- [PING]",
                    Other,
                    "",
                    "203.0.113.77:48312",
                    None,
                    1,
                ),
            ],
        );
    }
}
