//! Logs that begin with their time in brackets: Elasticsearch (server, deprecation, slow logs, audit before 7, garbage collection of its virtual
//! machine), Logstash, Icinga 2; and the JSON of Elasticsearch's audit log.
//!
//! Sources: Elasticsearch Reference, "Logging", "Logfile audit output", JEP 158 (unified logging of the JVM); Logstash, "Logging"; Icinga 2, "Logging".
//! Severity: a refused login and a denied access are medium, the rest is low.

use std::borrow::Cow;

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Line, Member};
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan, timestamp, token};
use crate::record::{EventType, LogRecord, Severity, ToldBy};

pub(super) const AUDIT: Dialect = Dialect {
    name: "elasticsearch_audit",
    product: "Elasticsearch: audit log as JSON",
    reference: "https://www.elastic.co/docs/deploy-manage/security/logging-configuration/logfile-audit-output",
    marks: &[Member("\"origin.address\""), Member("\"origin.type\""), Member("\"authentication_failed\"")],
    parse: audit_json,
    samples: &[
        r#"{"type":"audit","timestamp":"2026-11-20T06:25:01,123+0000","node.id":"n1","event.type":"rest","event.action":"authentication_failed","user.name":"mia","origin.type":"rest","origin.address":"203.0.113.77:50123","url.path":"/_cat","realm":"native"}"#,
    ],
};

pub(super) const DIALECT: Dialect = Dialect {
    name: "elastic_stack",
    product: "Elasticsearch, Logstash, Icinga 2: own logs",
    reference: "https://www.elastic.co/docs/deploy-manage/monitor/logging-configuration/elasticsearch-log4j-configuration-self-managed",
    marks: &[
        Line("][INFO"),
        Line("][WARN"),
        Line("][ERROR"),
        Line("][DEBUG"),
        Line("][TRACE"),
        Line("][FATAL"),
        Line("][DEPRECATION"),
        Line("][CRITICAL"),
        Line("][gc"),
        Line("][safepoint"),
        Line("[GC ("),
        Line("[Full GC ("),
        Line("[ParNew"),
        Line("Total time for which application threads"),
        Line("] [rest] ["),
        Line("] [transport] ["),
        Line("] [ip_filter] ["),
        Line("] information/"),
        Line("] warning/"),
        Line("] critical/"),
        Line("] notice/"),
        Line("] debug/"),
    ],
    parse,
    samples: &[
        "[2026-11-20T06:25:01,123][WARN ][o.e.d.c.ParseField       ] [node-1] Deprecated field [inline] used, expected [source] instead",
        "[2026-11-20T06:25:02,123] [rest] [authentication_failed]\torigin_address=[203.0.113.77], principal=[mia], uri=[/_cat], request_body=[]",
        "[2026-11-20T06:25:03.123+0000][811][safepoint    ] Application time: 0,0427365 seconds",
        "[2026-11-20 06:25:04 +0000] information/ApiListener: New client connection from [203.0.113.77]:5665 (no client certificate)",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some((when, rest)) = time(text, context) else { return false };
    let rest = rest.trim_start_matches([' ', '\t']);
    let mut filled = record.clone();
    filled.event_time = Some(when);
    if !(audit(rest, &mut filled) || icinga(rest, &mut filled) || collector(rest, &mut filled) || server(rest, &mut filled)) {
        return false;
    }
    filled.format.message = "elastic_stack";
    *record = filled;
    true
}

/// `[2026-11-20T06:25:01,123]`, or bare as older virtual machines write it: `2026-11-20T06:25:01.123+0000: 0.123: `.
fn time<'a>(text: &'a str, context: &Context<'_>) -> Option<(crate::record::Timestamp, &'a str)> {
    let bracketed = text.strip_prefix('[');
    let (stamp, rest) = match bracketed {
        Some(inside) => inside.split_once(']')?,
        None => scan::cut(text, ": ")?,
    };
    if stamp.len() < 19 || stamp.len() > 40 {
        return None;
    }
    let when = scan::iso_time(stamp, Some(context.zone)).or_else(|| {
        let (rest, reading) = timestamp::reading(stamp).ok()?;
        rest.trim().is_empty().then(|| reading.instant(context)).flatten()
    })?;
    Some((when, rest))
}

/// `[WARN ][o.e.d.c.ParseField ] [node] message`.
fn server<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((level, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) else { return false };
    let level = level.trim_end();
    if level != "DEPRECATION" && scan::level(level).is_none() {
        return false;
    }
    let Some((logger, rest)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')) else { return false };
    record.set("log.level", level);
    record.set("log.logger", logger.trim_end());
    if let Some((node, _)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'))
        && token::is_host_name(node)
    {
        record.set("elasticsearch.node.name", node);
    }
    let started = rest.ends_with("started")
        || rest.ends_with("stopped")
        || rest.ends_with("starting ...")
        || rest.ends_with("stopping ...");
    is(record, "elastic_stack", if started { EventType::ServiceChange } else { EventType::Other }, Severity::Low);
    true
}

/// `[rest] [authentication_failed]\torigin_address=[192.0.2.1], principal=[mia], …`, with the node's name in front where it is configured.
fn audit<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let mut rest = text;
    let mut words = ["", "", ""];
    let mut count = 0;
    while let (Some((word, after)), Some(slot)) =
        (rest.strip_prefix('[').and_then(|rest| rest.split_once(']')), words.get_mut(count))
    {
        *slot = word;
        count += 1;
        rest = after.trim_start();
    }
    let Some(layer) = words.iter().position(|word| matches!(*word, "rest" | "transport" | "ip_filter")) else { return false };
    let Some(event) = words.get(layer + 1).filter(|event| !event.is_empty()) else { return false };
    let value = |name: &str| {
        let (_, after) = rest.split_once(name)?;
        after.strip_prefix("=[")?.split_once(']').map(|(value, _)| value)
    };
    if layer == 1 {
        record.set("elasticsearch.node.name", words[0]);
    }
    record.set("elasticsearch.audit.layer", words[layer]);
    if let Some(address) = value("origin_address") {
        let (host, port) = scan::host_port(address.trim_start_matches('/'));
        (record.src_ip, record.src_port) = (scan::ip(host), port);
    }
    if let Some(user) = value("principal") {
        token::set_user(record, user);
    }
    for (name, ecs) in [
        ("origin_type", "elasticsearch.audit.origin.type"),
        (" action", "elasticsearch.audit.action"),
        (" request", "elasticsearch.audit.request.name"),
        ("uri", "url.original"),
        ("realm", "elasticsearch.audit.realm"),
    ] {
        if let Some(value) = value(name) {
            record.set(ecs, value);
        }
    }
    outcome(event, "elastic_stack", record);
    record.action = Some(Cow::Borrowed(event));
    true
}

/// One object an event, since 6.5: the words are those of the text.
fn audit_json<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{Action, Field, Host, SrcIp, Time, User};
        Some(match name {
            "timestamp" | "@timestamp" => Time,
            "event.action" => Action,
            "user.name" => User,
            "origin.address" => SrcIp,
            "host.name" => Host,
            "node.name" => Field("elasticsearch.node.name"),
            "url.path" => Field("url.path"),
            "origin.type" => Field("elasticsearch.audit.origin.type"),
            "action" => Field("elasticsearch.audit.action"),
            _ => return None,
        })
    }
    let mut filled = record.clone();
    if !fill::object(text, &mut filled, slots, context) || filled.field("event.type").is_none() || filled.event_time.is_none() {
        return false;
    }
    let Some(action) = filled.action.clone() else { return false };
    outcome(&action, "elasticsearch_audit", &mut filled);
    filled.action = Some(action);
    *record = filled;
    true
}

/// What an event of the audit log means.
fn outcome(event: &str, format: &'static str, record: &mut LogRecord<'_>) {
    let (event_type, severity) = match event {
        "authentication_failed" | "realm_authentication_failed" => {
            return failed(record, format, "authentication_failed", ToldBy::Service);
        }
        "authentication_success" => return succeeded(record, format, "authentication_success"),
        "access_denied" | "anonymous_access_denied" | "tampered_request" | "run_as_denied" => {
            (EventType::AccessDenied, Severity::Medium)
        }
        "connection_denied" => (EventType::ConnectionBlocked, Severity::Low),
        "connection_granted" => (EventType::ConnectionAllowed, Severity::Low),
        "put_user" | "change_password" | "delete_user" | "put_role" | "delete_role" | "create_apikey" | "invalidate_apikeys" => {
            (EventType::AccountChange, Severity::Medium)
        }
        _ => (EventType::Other, Severity::Low),
    };
    is(record, format, event_type, severity);
}

/// `information/ApiListener: message`.
fn icinga<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((head, what)) = scan::cut(text, ": ") else { return false };
    let Some((level, facility)) = head.split_once('/') else { return false };
    if !matches!(level, "information" | "warning" | "critical" | "notice" | "debug") || facility.contains(' ') {
        return false;
    }
    record.set("log.level", level);
    record.set("icinga.facility", facility);
    record.app = Some(Cow::Borrowed("icinga2"));
    if let Some((_, address)) = scan::cut(what, " from [")
        && let Some((address, port)) = address.split_once(']')
        && let Some(ip) = scan::ip(address)
    {
        record.src_ip = Some(ip);
        record.src_port = port.strip_prefix(':').and_then(|port| port.split([' ', ',', ')']).next()?.parse().ok());
    }
    let refused = what.starts_with("Invalid credentials") || scan::has(what, "Unauthorized");
    is(
        record,
        "elastic_stack",
        if refused { EventType::AccessDenied } else { EventType::Other },
        if refused { Severity::Medium } else { Severity::Low },
    );
    true
}

/// `[811][gc,start     ] GC(0) …`; `0.123: [GC (Allocation Failure) …`.
fn collector<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let unified = text
        .strip_prefix('[')
        .and_then(|rest| scan::cut(rest, "]["))
        .filter(|(pid, rest)| token::whole_number(pid).is_some() && (rest.starts_with("gc") || rest.starts_with("safepoint")));
    if let Some((pid, _)) = unified {
        record.pid = token::whole_number(pid);
    } else {
        let Some((uptime, rest)) = scan::cut(text, ": ") else { return false };
        let shows = rest.starts_with("[GC (")
            || rest.starts_with("[Full GC (")
            || rest.contains("[ParNew")
            || rest.starts_with("Total time for which application threads")
            || rest.starts_with("Application time: ");
        if uptime.parse::<f64>().is_err() || !shows {
            return false;
        }
    }
    is(record, "elastic_stack", EventType::System, Severity::Low);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn the_audit_log() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text("");
        assert!(audit_json(AUDIT.samples[0], &mut record, &context));
        assert_eq!(
            (record.event_type, record.username.as_deref(), record.src_port),
            (EventType::LoginFailed, Some("mia"), Some(50123))
        );
        assert_eq!(record.action.as_deref(), Some("authentication_failed"));
    }

    #[test]
    fn kinds() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        use EventType::*;
        for (line, event_type, user, ip) in [
            (DIALECT.samples[0], Other, "", ""),
            (DIALECT.samples[1], LoginFailed, "mia", "203.0.113.77"),
            (DIALECT.samples[2], System, "", ""),
            (DIALECT.samples[3], Other, "", "203.0.113.77"),
            (
                "2026-11-20T06:25:01.123+0000: 12.5: Total time for which application threads were stopped: 0.1 seconds",
                System,
                "",
                "",
            ),
            (
                "[2026-11-20T06:25:01,123] [node-1] [transport] [access_denied]\torigin_type=[rest], origin_address=[192.0.2.1], principal=[mia], action=[x]",
                AccessDenied,
                "mia",
                "192.0.2.1",
            ),
        ] {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record, &context), "{line}");
            let at = record.src_ip.map(|ip| ip.to_string()).unwrap_or_default();
            assert_eq!((record.event_type, record.username.as_deref().unwrap_or(""), &*at), (event_type, user, ip), "{line}");
        }
    }
}
