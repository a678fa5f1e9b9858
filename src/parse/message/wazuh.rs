//! Alerts of Wazuh and OSSEC: JSON (`alerts.json`), the entries of `alerts.log`, and the line that goes to a syslog server.
//!
//! Sources: Wazuh documentation, "Alert" and "Syslog output"; OSSEC `syslog_output`. Severity follows the rule's level: 12 and more are high, 15 critical, 7 and
//! more medium. What the rule's groups call a login is one; everything else is an alert.

use super::{failed, is, succeeded};
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds, Line, Member};
use crate::parse::fill::{self, Slot};
use crate::parse::token::{ip, port_number};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, ToldBy, Value};

pub(super) const WAZUH: Dialect = Dialect {
    name: "wazuh",
    product: "Wazuh: alerts as JSON",
    reference: "https://documentation.wazuh.com/current/user-manual/manager/alert-management.html",
    marks: &[Member("\"full_log\""), Member("\"firedtimes\""), Member("\"predecoder\"")],
    parse: wazuh,
    samples: &[
        r#"{"timestamp":"2026-11-20T06:25:01.123+0000","rule":{"level":5,"description":"sshd: authentication failed.","id":"5760","firedtimes":3,"mail":false,"groups":["syslog","sshd","authentication_failed"]},"agent":{"id":"001","name":"web1"},"manager":{"name":"wazuh1"},"id":"1795155901.60385","full_log":"Failed password for mia from 203.0.113.77 port 51522 ssh2","predecoder":{"program_name":"sshd","hostname":"web1"},"decoder":{"name":"sshd"},"data":{"srcip":"203.0.113.77","srcport":"51522","dstuser":"mia"},"location":"/var/log/auth.log"}"#,
    ],
};

pub(super) const OSSEC: Dialect = Dialect {
    name: "ossec",
    product: "OSSEC and Wazuh: alerts as text",
    reference: "https://www.ossec.net/docs/docs/manual/output/syslog-output.html",
    marks: &[App("ossec"), Begins("Alert Level: "), Line("** Alert "), Holds("** Alert ")],
    parse: ossec,
    samples: &[
        "<132>Nov 20 06:25:01 wazuh1 ossec: Alert Level: 5; Rule: 5760 - sshd: authentication failed.; Location: (web1) 192.0.2.10->/var/log/auth.log; classification: syslog,sshd,authentication_failed,; srcip: 203.0.113.77; user: mia; Nov 20 06:25:01 web1 sshd[811]: Failed password for mia from 203.0.113.77 port 51522 ssh2",
        "** Alert 1795155901.0: - syslog,sshd,authentication_failed,\n2026 Nov 20 06:25:01 (web1) 192.0.2.10->/var/log/auth.log\nRule: 5760 (level 5) -> 'sshd: authentication failed.'\nSrc IP: 203.0.113.77\nUser: mia\nNov 20 06:25:01 web1 sshd[811]: Failed password for mia from 203.0.113.77 port 51522 ssh2",
    ],
};

fn wazuh<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let has = |name: &str| scan::has(text, name);
    let mut read = record.clone();
    if !has("\"rule\"") || !has("\"level\"") || !has("\"agent\"") || !fill::object(text, &mut read, slots, context) {
        return false;
    }
    let Some(Value::Int(level)) = read.field("rule.level").cloned() else { return false };
    let groups = match read.field("rule.groups") {
        Some(Value::Json(groups)) => groups.clone().into_owned(),
        _ => String::new(),
    };
    mean(&mut read, "wazuh", &groups, level);
    *record = read;
    true
}

fn slots(name: &str) -> Option<Slot> {
    use Slot::{App, DstIp, DstPort, Field, Host, Number, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "timestamp" => Time,
        "agent.name" => Host,
        "predecoder.program_name" => App,
        "data.srcip" | "data.src_ip" | "data.win.eventdata.ipAddress" | "data.aws.sourceIPAddress" => SrcIp,
        "data.srcport" | "data.src_port" => SrcPort,
        "data.dstip" | "data.dest_ip" => DstIp,
        "data.dstport" | "data.dest_port" => DstPort,
        "data.protocol" | "data.proto" => Protocol,
        "data.dstuser" | "data.srcuser" | "data.win.eventdata.targetUserName" => User,
        "rule.level" => Number("rule.level"),
        "rule.description" => Field("rule.name"),
        "rule.id" => Field("rule.id"),
        "id" => Field("event.id"),
        "location" => Field("log.file.path"),
        "full_log" => Field("event.original"),
        "manager.name" => Field("observer.name"),
        _ => return None,
    })
}

fn mean(record: &mut LogRecord<'_>, format: &'static str, groups: &str, level: i64) {
    let has = |group: &str| scan::has(groups, group);
    if has("authentication_fail") || has("invalid_login") {
        failed(record, format, "alert", ToldBy::Service);
    } else if has("authentication_success") {
        succeeded(record, format, "alert");
    } else {
        is(record, format, EventType::IdsAlert, severity(level));
    }
}

fn severity(level: i64) -> Severity {
    match level {
        15.. => Severity::Critical,
        12..=14 => Severity::High,
        7..=11 => Severity::Medium,
        _ => Severity::Low,
    }
}

fn ossec<'a>(text: &'a str, record: &mut LogRecord<'a>, _: &Context<'_>) -> bool {
    if let Some(rest) = text.strip_prefix("Alert Level: ") {
        return syslog(rest, record);
    }
    entry(text, record)
}

/// `5; Rule: 5760 - description; Location: (agent) 192.0.2.10->/var/log/auth.log; classification: groups,; srcip: 203.0.113.77; user: mia; line`
fn syslog<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((level, rest)) = scan::cut(text, "; Rule: ") else { return false };
    let (Ok(level), Some((rule, rest))) = (level.parse::<i64>(), scan::cut(rest, "; Location: ")) else { return false };
    let Some((id, description)) = scan::cut(rule, " - ") else { return false };
    let (location, mut rest) = scan::cut(rest, "; ").unwrap_or((rest, ""));
    let mut groups = "";
    // The line itself comes last, and may hold anything.
    while let Some((name, value)) = scan::cut(rest, ": ") {
        let (value, behind) = scan::cut(value, "; ").unwrap_or((value, ""));
        match name {
            "classification" => groups = value,
            "srcip" => record.src_ip = ip(value),
            "srcport" => record.src_port = port_number(value),
            "dstip" => record.dst_ip = ip(value),
            "dstport" => record.dst_port = port_number(value),
            "user" => fill::account(record, value.into()),
            "protocol" => record.protocol = Some(scan::protocol(value)),
            _ => break,
        }
        rest = behind;
    }
    rule_fields(record, id, description, location, level);
    mean(record, "ossec", groups, level);
    true
}

/// `** Alert 1795155901.0: mail - groups,`, a line of time and place, `Rule: …`, `Src IP: …`, `User: …`, and the line itself.
fn entry<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((id, rest)) = text.strip_prefix("** Alert ").and_then(|rest| rest.split_once(':')) else { return false };
    let mut lines = rest.lines();
    let groups = lines.next().unwrap_or("");
    let location = lines.next().unwrap_or("");
    let Some(rule) = lines.next().and_then(|line| line.strip_prefix("Rule: ")) else { return false };
    let Some((number, rest)) = scan::cut(rule, " (level ") else { return false };
    let Some((level, description)) = scan::cut(rest, ") -> '") else { return false };
    let Ok(level) = level.parse::<i64>() else { return false };
    for line in lines {
        match scan::cut(line, ": ") {
            Some(("Src IP", value)) => record.src_ip = ip(value.trim()),
            Some(("Src Port", value)) => record.src_port = port_number(value.trim()),
            Some(("Dst IP", value)) => record.dst_ip = ip(value.trim()),
            Some(("Dst Port", value)) => record.dst_port = port_number(value.trim()),
            Some(("User", value)) => fill::account(record, value.trim().into()),
            _ => break,
        }
    }
    record.event_time = id.parse().ok().and_then(scan::epoch).or(record.event_time);
    rule_fields(record, number, description.trim_end_matches('\''), location, level);
    mean(record, "ossec", groups, level);
    true
}

fn rule_fields<'a>(record: &mut LogRecord<'a>, id: &'a str, description: &'a str, location: &'a str, level: i64) {
    record.set("rule.id", id);
    record.set("rule.name", description);
    record.set("rule.level", level);
    record.set("log.file.path", location.rsplit_once("->").map_or(location, |(_, path)| path));
    if let Some((agent, _)) = location.split_once('(').and_then(|(_, rest)| rest.split_once(')')) {
        record.set("agent.name", agent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn alerts_in_three_spellings() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let alert = OSSEC.samples[0].split_once("ossec: ").unwrap().1;
        for (dialect, text) in [(&WAZUH, WAZUH.samples[0]), (&OSSEC, alert), (&OSSEC, OSSEC.samples[1])] {
            let mut record = LogRecord::text("");
            assert!((dialect.parse)(text, &mut record, &context), "{text}");
            assert_eq!((record.event_type, record.username.as_deref()), (EventType::LoginFailed, Some("mia")), "{text}");
            assert_eq!((record.src_ip, record.field("rule.id")), ("203.0.113.77".parse().ok(), Some(&"5760".into())), "{text}");
        }
    }
}
