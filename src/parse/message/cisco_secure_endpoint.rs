//! Events of Cisco Secure Endpoint (AMP for Endpoints) as its API hands them out: JSON, with or without the page (`version`, `metadata`,
//! `data`) around an event.
//!
//! Source: Secure Endpoint API, `GET /v1/events`. The computer is the host, the process that brought a file in is the program. Severity is the
//! event's own; events that have none are routine.

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "cisco_secure_endpoint",
    product: "Cisco Secure Endpoint (AMP)",
    reference: "https://developer.cisco.com/docs/secure-endpoint/v1-api-reference-event/",
    marks: &[Member("\"connector_guid\"")],
    parse,
    samples: &[
        r#"{"version":"v1.2.0","metadata":{"results":{"total":1}},"data":{"id":71,"timestamp":1795155901,"timestamp_nanoseconds":250000000,"date":"2026-11-20T06:25:01+00:00","event_type":"Threat Quarantined","event_type_id":553648143,"detection":"W32.Example.RET","connector_guid":"5a1f","severity":"Medium","computer":{"connector_guid":"5a1f","hostname":"pc7","external_ip":"192.0.2.4","user":"mia@EXAMPLE","active":true},"file":{"disposition":"Malicious","file_name":"a.exe","file_path":"\\\\?\\C:\\a.exe","identity":{"sha256":"9f2c"},"parent":{"process_id":811,"disposition":"Clean","file_name":"explorer.exe"}}}}"#,
        r#"{"id":72,"timestamp":1795155961,"timestamp_nanoseconds":0,"date":"2026-11-20T06:26:01+00:00","event_type":"DFC Threat Detected","event_type_id":1090519084,"detection":"DFC.CustomIPList","connector_guid":"5a1f","severity":"High","computer":{"connector_guid":"5a1f","hostname":"pc7","user":"mia@EXAMPLE"},"network_info":{"remote_ip":"203.0.113.77","remote_port":443,"local_ip":"192.0.2.4","local_port":50122,"nfm":{"direction":"Outgoing connection from","protocol":"TCP"}}}"#,
        r#"{"id":73,"timestamp":1795156021,"date":"2026-11-20T06:27:01+00:00","event_type":"Policy Update","event_type_id":553648130,"connector_guid":"5a1f","computer":{"connector_guid":"5a1f","hostname":"pc7"}}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let has = |name: &str| scan::has(text, name);
    if !has("\"event_type_id\"") || !has("\"computer\"") {
        return false;
    }
    let mut read = record.clone();
    if !fill::object(text, &mut read, slots, context) {
        return false;
    }
    let Some(kind) = word(&read, "event.action") else { return false };
    let event_type = event_type(kind);
    let severity = match word(&read, "event.severity_name") {
        Some("Critical") => Severity::Critical,
        Some("High") => Severity::High,
        Some("Medium") => Severity::Medium,
        _ => Severity::Low,
    };
    read.action = Some(kind.to_ascii_lowercase().into());
    if word(&read, "network.direction").is_some_and(|direction| direction.starts_with("Incoming")) {
        std::mem::swap(&mut read.src_ip, &mut read.dst_ip);
        std::mem::swap(&mut read.src_port, &mut read.dst_port);
    }
    is(&mut read, "cisco_secure_endpoint", event_type, severity);
    *record = read;
    true
}

fn word<'r>(record: &'r LogRecord<'_>, name: &str) -> Option<&'r str> {
    match record.field(name) {
        Some(Value::Str(text)) => Some(text),
        _ => None,
    }
}

/// What an event of that name is about. The list of names grows with every version, so what they have in common decides.
fn event_type(kind: &str) -> EventType {
    if kind.starts_with("Policy Update") || kind.starts_with("Policy update") {
        return EventType::ConfigChange;
    }
    if kind.starts_with("Scan ") && !kind.ends_with("With Detections") {
        return EventType::System;
    }
    const SERVICE: [&str; 8] =
        ["Install ", "Uninstall", "Update", "Product Update", "Reboot", "Computer ", "Endpoint Isolation", "Orbital "];
    if SERVICE.iter().any(|start| kind.starts_with(start)) {
        return EventType::ServiceChange;
    }
    const MALWARE: [&str; 8] =
        ["Threat", "Malware", "malware", "Retrospective", "Quarantine", "Malicious", "Detections", "Rootkit"];
    if scan::has_any(kind, &MALWARE) {
        return EventType::MalwareDetected;
    }
    const ALERT: [&str; 7] = ["IOC", "Exploit", "Indication", "Detect", "Vulnerable", "Suspicious", "Prevent"];
    if scan::has_any(kind, &ALERT) { EventType::IdsAlert } else { EventType::Other }
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{App, DstIp, DstPort, Field, Host, Nothing, Number, Pid, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name.strip_prefix("data.").unwrap_or(name) {
        "date" => Time, "timestamp" => Nothing, "timestamp_nanoseconds" => Nothing, "id" => Field("event.id"),
        "event_type" => Field("event.action"), "event_type_id" => Number("event.code"), "severity" => Field("event.severity_name"),
        "computer.hostname" => Host, "computer.user" => User, "computer.external_ip" => Field("host.external_ip"),
        "connector_guid" => Field("agent.id"), "computer.connector_guid" => Nothing, "computer.network_addresses" => Field("host.network_addresses"),
        "detection" => Field("threat.software.name"), "detection_id" => Field("detection.id"),
        "cloud_ioc.short_description" => Field("rule.name"), "cloud_ioc.description" => Field("rule.description"),
        "bp_data.name" => Field("rule.name"),
        "file.file_name" => Field("file.name"), "file.file_path" => Field("file.path"), "file.disposition" => Field("file.disposition"),
        "file.identity.sha256" => Field("file.hash.sha256"), "file.identity.sha1" => Field("file.hash.sha1"), "file.identity.md5" => Field("file.hash.md5"),
        "file.parent.file_name" | "network_info.parent.file_name" => App, "file.parent.process_id" | "network_info.parent.process_id" => Pid,
        "file.parent.identity.sha256" | "network_info.parent.identity.sha256" => Field("process.hash.sha256"),
        "file.parent.identity.sha1" | "network_info.parent.identity.sha1" => Field("process.hash.sha1"),
        "file.parent.identity.md5" | "network_info.parent.identity.md5" => Field("process.hash.md5"),
        "network_info.local_ip" => SrcIp, "network_info.local_port" => SrcPort, "network_info.remote_ip" => DstIp, "network_info.remote_port" => DstPort,
        "network_info.nfm.protocol" => Protocol, "network_info.nfm.direction" => Field("network.direction"), "network_info.dirty_url" => Field("url.original"),
        "command_line.arguments" => Field("process.command_line"), "error.description" => Field("error.message"), "error.error_code" => Field("error.code"),
        "tactics" => Field("threat.tactic.id"), "techniques" => Field("threat.technique.id"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn events() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let read = |index: usize| {
            let mut record = LogRecord::text("");
            assert!(parse(DIALECT.samples[index], &mut record, &context));
            record
        };
        let file = read(0);
        assert_eq!((file.event_type, file.severity), (EventType::MalwareDetected, Severity::Medium));
        assert_eq!((file.host.as_deref(), file.app.as_deref(), file.pid), (Some("pc7"), Some("explorer.exe"), Some(811)));
        assert_eq!((file.username.as_deref(), file.action.as_deref()), (Some("mia"), Some("threat quarantined")));
        assert_eq!(file.field("file.path"), Some(&r"\\?\C:\a.exe".into()));
        assert_eq!(file.event_time, Timestamp::parse_rfc3339("2026-11-20T06:25:01Z").ok());
        let net = read(1);
        assert_eq!((net.src_port, net.dst_port, net.protocol.as_deref()), (Some(50122), Some(443), Some("tcp")));
        assert_eq!(net.dst_ip, "203.0.113.77".parse().ok());
        assert_eq!(read(2).event_type, EventType::ConfigChange);
        let incoming = DIALECT.samples[1].replace("Outgoing connection from", "Incoming connection from");
        let mut record = LogRecord::text("");
        assert!(parse(&incoming, &mut record, &context));
        assert_eq!((record.src_ip, record.dst_port), ("203.0.113.77".parse().ok(), Some(50122)));
        assert!(!parse(r#"{"connector_guid":"x","computer":{},"event_type_id":1}"#, &mut LogRecord::text(""), &context));
    }

    #[test]
    fn names_of_events() {
        use EventType::*;
        for (kind, want) in [
            ("Cloud IOC", IdsAlert),
            ("Exploit Prevention", IdsAlert),
            ("Executed malware", MalwareDetected),
            ("Quarantine Failure", MalwareDetected),
            ("Scan Completed, No Detections", System),
            ("Scan Completed With Detections", MalwareDetected),
            ("Scan Started", System),
            ("Install Started", ServiceChange),
            ("Something New", Other),
        ] {
            assert_eq!(event_type(kind), want, "{kind}");
        }
    }
}
