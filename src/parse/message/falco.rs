//! Falco's alerts as JSON (`json_output: true`): a rule, what it saw, and the fields that it is written with.
//!
//! Source: Falco documentation, "Formatting alerts for containers and Kubernetes" and "Supported fields". Severity follows `priority`: emergency,
//! alert and critical are high, error and warning medium, the rest low. ATT&CK techniques stand among the tags of the rules that have some.

use super::is;
use crate::parse::Context;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::{self, Slot};
use crate::parse::{json, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "falco",
    product: "Falco",
    reference: "https://falco.org/docs/reference/rules/supported-fields/",
    marks: &[Member("\"output_fields\"")],
    parse,
    samples: &[
        r#"{"hostname":"node1","output":"06:25:01.250000000: Notice A shell was spawned in a container (user=root container=web)","output_fields":{"container.id":"3ad7b26ded6d","container.name":"web","evt.time":1795155901250000000,"proc.cmdline":"sh -i","proc.name":"sh","proc.pid":811,"user.name":"root"},"priority":"Notice","rule":"Terminal shell in container","source":"syscall","tags":["T1059","container","mitre_execution","shell"],"time":"2026-11-20T06:25:01.250000000Z"}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let has = |name: &str| scan::has(text, name);
    if !has("\"rule\"") || !has("\"priority\"") || !fill::object(text, record, slots, context) {
        return false;
    }
    let severity = match record.field("log.level") {
        Some(Value::Str(level)) => match scan::level(&level.to_ascii_lowercase()) {
            Some(0..=2) => Severity::High,
            Some(3..=4) => Severity::Medium,
            _ => Severity::Low,
        },
        _ => Severity::Low,
    };
    if let Some(Value::Json(tags)) = record.field("tags") {
        let mut technique = None;
        let tags = tags.clone().into_owned();
        json::elements(&tags, |tag| {
            let tag = json::string(tag);
            if technique.is_none() && is_technique(&tag) {
                technique = Some(tag.into_owned());
            }
        });
        if let Some(technique) = technique {
            record.set("threat.technique.id", technique);
        }
    }
    is(record, "falco", EventType::IdsAlert, severity);
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{App, DstIp, DstPort, Field, Host, Message, Nothing, Pid, SrcIp, SrcPort, Time, User};
    Some(match name {
        "time" => Time, "hostname" => Host, "priority" => Field("log.level"), "rule" => Field("rule.name"), "output" => Message,
        "output_fields.proc.name" => App, "output_fields.proc.pid" => Pid, "output_fields.user.name" => User,
        "output_fields.proc.cmdline" => Field("process.command_line"), "output_fields.proc.pname" => Field("process.parent.name"),
        "output_fields.container.id" => Field("container.id"), "output_fields.container.name" => Field("container.name"),
        "output_fields.container.image.repository" => Field("container.image.name"), "output_fields.fd.name" => Field("file.path"),
        "output_fields.k8s.ns.name" => Field("orchestrator.namespace"), "output_fields.k8s.pod.name" => Field("orchestrator.resource.name"),
        "output_fields.fd.cip" => SrcIp, "output_fields.fd.cport" => SrcPort, "output_fields.fd.sip" => DstIp, "output_fields.fd.sport" => DstPort,
        "output_fields.evt.time" => Nothing,
        _ => return None,
    })
}

/// `T1059`, `T1059.004`: an ATT&CK technique.
fn is_technique(tag: &str) -> bool {
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    tag.strip_prefix('T').is_some_and(|number| match number.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(number, 4),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn an_alert() {
        let mut record = LogRecord::text("");
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        assert!(parse(DIALECT.samples[0], &mut record, &context));
        assert_eq!((record.event_type, record.severity), (EventType::IdsAlert, Severity::Low));
        assert_eq!((record.host.as_deref(), record.app.as_deref(), record.pid), (Some("node1"), Some("sh"), Some(811)));
        assert_eq!(record.username.as_deref(), Some("root"));
        assert_eq!(record.field("threat.technique.id"), Some(&"T1059".into()));
        assert_eq!(record.field("output_fields.evt.time"), None);
        assert!(record.message.ends_with("(user=root container=web)"), "{}", record.message);
    }
}
