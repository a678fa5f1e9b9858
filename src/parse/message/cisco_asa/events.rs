//! FTD's security events 430001 (intrusion), 430002 and 430003 (connection start and end), 430004 (file), 430005 (file malware):
//! `Name: value, Name: value` ("Security Event Syslog Messages", Secure Firewall Threat Defense Syslog Messages).

use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity};

/// Fills the record from an event's fields.
pub(super) fn read<'a>(id: u32, text: &'a str, record: &mut LogRecord<'a>) {
    let mut disposition = "";
    let mut file_action = "";
    let mut rest = text;
    while let Some((name, after)) = scan::cut(rest, ": ").or_else(|| rest.split_once(':')) {
        let end = value_end(after);
        let value = after[..end].trim();
        rest = after[end..].trim_start_matches([',', ' ']);
        if value.is_empty() {
            continue;
        }
        match name.trim() {
            "SrcIP" | "InitiatorIP" => record.src_ip = scan::ip(value),
            "DstIP" | "ResponderIP" => record.dst_ip = scan::ip(value),
            "SrcPort" => record.src_port = value.parse().ok(),
            "DstPort" => record.dst_port = value.parse().ok(),
            "Protocol" => {
                let known = value.parse().ok().and_then(scan::protocol_number);
                record.protocol = Some(known.map_or_else(|| scan::protocol(value), Into::into));
            }
            // "Unknown" and "No Authentication Required" stand for nobody.
            "User" if value != "Unknown" && !value.starts_with("No Auth") && !value.starts_with("Not Found") => {
                record.username = Some(value.rsplit(['\\', '/']).next().unwrap_or(value).into());
            }
            "AccessControlRuleAction" => {
                record.event_type = if value.starts_with("Block") || value.starts_with("Interactive Block") {
                    EventType::ConnectionBlocked
                } else {
                    EventType::ConnectionAllowed
                };
                record.action = Some(value.to_ascii_lowercase().into());
            }
            "InlineResult" => record.action = Some(value.to_ascii_lowercase().into()),
            "AccessControlRuleName" => record.set("rule.name", value),
            "IngressInterface" => record.set("observer.ingress.interface.name", value),
            "EgressInterface" => record.set("observer.egress.interface.name", value),
            "SID" => record.set("rule.id", value),
            "Classification" => record.set("rule.category", value),
            "Priority" => {
                record.severity = match value {
                    "1" | "high" | "High" => Severity::High,
                    "2" | "medium" | "Medium" => Severity::Medium,
                    _ => Severity::Low,
                }
            }
            "Message" => record.message = value.trim_matches('"').into(),
            "URL" => record.set("url.original", value),
            "NAT_InitiatorIP" => record.set("source.nat.ip", value),
            "NAT_ResponderIP" => record.set("destination.nat.ip", value),
            "NAT_InitiatorPort" => count("source.nat.port", value, record),
            "NAT_ResponderPort" => count("destination.nat.port", value, record),
            "UserAgent" => record.set("user_agent.original", value),
            "ConnectionDuration" => count("event.duration_seconds", value, record),
            "ApplicationProtocol" => record.set("network.protocol", value),
            "FileName" => record.set("file.name", value),
            "FileSHA256" => record.set("file.hash.sha256", value),
            "ThreatName" => record.set("threat.software.name", value),
            "FileAction" => file_action = value,
            "SHA_Disposition" => disposition = value,
            "InitiatorBytes" => count("source.bytes", value, record),
            "ResponderBytes" => count("destination.bytes", value, record),
            "HTTPResponse" => count("http.response.status_code", value, record),
            "DNSQuery" => record.set("dns.question.name", value),
            _ => {}
        }
    }
    if matches!(id, 430_004 | 430_005) {
        let malware = disposition == "Malware" || file_action.starts_with("Malware");
        (record.event_type, record.severity) = if malware && disposition != "Clean" {
            (EventType::MalwareDetected, Severity::High)
        } else {
            (EventType::DataTransfer, Severity::Low)
        };
        if !file_action.is_empty() {
            record.action = Some(file_action.to_ascii_lowercase().into());
        }
    }
}

/// Where a value ends: at the next `, Name: `. A value may hold commas of its own (a URL, a rule's message).
fn value_end(text: &str) -> usize {
    for comma in memchr::memmem::find_iter(text.as_bytes(), b", ") {
        let next = &text[comma + 2..];
        let word = next.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b' ' | b'-')).count();
        if next.as_bytes().get(word) == Some(&b':') && next.as_bytes()[0].is_ascii_uppercase() {
            return comma;
        }
    }
    text.len()
}

fn count(name: &'static str, value: &str, record: &mut LogRecord<'_>) {
    if let Ok(number) = value.parse::<i64>() {
        record.set(name, number);
    }
}
