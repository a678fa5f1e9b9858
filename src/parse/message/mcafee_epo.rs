//! McAfee (Trellix) ePolicy Orchestrator: events of endpoints as XML behind an RFC 5424 header: `<EPOevent><MachineInfo><MachineName>…`.
//!
//! Source: "Configure syslog server" of the ePO product guide and its table of threat events. Only elements that hold text and nothing else are
//! read. Severity: malware is high, what was blocked otherwise is medium, updates and the like are low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Holds};
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value, Zone};

pub(super) const DIALECT: Dialect = Dialect {
    name: "mcafee_epo",
    product: "McAfee (Trellix) ePolicy Orchestrator",
    reference: "https://docs.trellix.com/bundle/trellix-epolicy-orchestrator-on-prem-5.10.0-product-guide",
    marks: &[App("EPOEvents"), Holds("<EPOevent>"), Holds("<EPOEvent>")],
    parse,
    samples: &[
        r#"<29>1 2026-11-20T06:25:03.0Z epo1 EPOEvents - EventFwd [agentInfo@3401 tenantId="1"] <?xml version="1.0" encoding="UTF-8"?><EPOevent><MachineInfo><MachineName>PC7</MachineName><IPAddress>192.0.2.30</IPAddress><UserName>CORP\mia</UserName></MachineInfo><SoftwareInfo ProductName="Endpoint Security"><Event><EventID>1278</EventID><Severity>3</Severity><GMTTime>2026-11-20T06:25:01</GMTTime><CommonFields><ThreatCategory>av.detect</ThreatCategory><ThreatName>EICAR test file</ThreatName><ThreatActionTaken>deleted</ThreatActionTaken></CommonFields></Event></SoftwareInfo></EPOevent>"#,
    ],
};

/// Elements that have text and nothing else.
struct Leaves<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Leaves<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (_, tag) = self.rest.split_once('<')?;
            let (name, behind) = tag.split_once('>')?;
            self.rest = behind;
            let (value, closing) = behind.split_once('<')?;
            let closes =
                closing.strip_prefix('/').and_then(|closing| closing.strip_prefix(name)).is_some_and(|end| end.starts_with('>'));
            if closes {
                self.rest = &behind[value.len()..];
                return Some((name, value));
            }
        }
    }
}

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let Some(at) = scan::find(text, "<EPOevent>").or_else(|| scan::find(text, "<EPOEvent>")) else { return false };
    if !scan::has(text, "<MachineName>") {
        return false;
    }
    record.fields.reserve(32);
    // Its times are UTC and say so in their names.
    let utc = Context { now: context.now, zone: &Zone::UTC, own: &[] };
    for (name, value) in (Leaves { rest: &text[at..] }) {
        fill::file(record, slots(name), Cow::Borrowed(name), Scalar::Text(plain(value.trim())), &utc);
    }
    let word = |name: &str| match record.field(name) {
        Some(Value::Str(text)) => text.to_ascii_lowercase(),
        _ => String::new(),
    };
    let category = word("event.category.name");
    let (event_type, severity) = if category.starts_with("av") || category.contains("malware") {
        (EventType::MalwareDetected, Severity::High)
    } else if category.starts_with("hip")
        || category.starts_with("ips")
        || category.contains("attack")
        || category.starts_with("ops.fw")
    {
        (EventType::IdsAlert, Severity::Medium)
    } else if category.starts_with("ops") || category.is_empty() {
        (EventType::System, Severity::Low)
    } else {
        (EventType::Other, Severity::Low)
    };
    is(record, "mcafee_epo", event_type, severity);
    true
}

/// Without the five escapes of XML.
fn plain(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'&', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Cow::Owned(text.replace("&amp;", "&"))
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "DetectedUTC" | "GMTTime" => Time, "MachineName" => Host, "IPAddress" => Field("host.ip"), "TargetUserName" => Field("destination.user.name"), "UserName" => User,
        "SourceIPV4" | "SourceIPV6" => SrcIp, "TargetIPV4" | "TargetIPV6" => DstIp, "SourcePort" => SrcPort, "TargetPort" => DstPort, "TargetProtocol" => Protocol,
        "ThreatActionTaken" => Action, "ThreatName" => Field("threat.indicator.name"), "ThreatCategory" => Field("event.category.name"), "ThreatType" => Field("mcafee.threat_type"), "EventID" => Field("event.code"),
        "Severity" | "ThreatSeverity" => Field("event.severity"), "SourceProcessName" => Field("process.executable"), "TargetFileName" => Field("file.path"), "TargetProcessName" => Field("destination.process.name"),
        "SourceUserName" => Field("source.user.name"), "TargetHostName" => Field("destination.domain"), "SourceHostName" => Field("source.domain"), "AnalyzerName" => Field("observer.product"), "AnalyzerVersion" => Field("observer.version"),
        "RawMACAddress" => Field("host.mac"), "OSName" => Field("host.os.full"), "TargetHash" => Field("file.hash.md5"), "SourceURL" => Field("url.original"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::record::Timestamp;

    #[test]
    fn an_event() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let record = parse::parse(DIALECT.samples[0], &context);
        assert_eq!((record.event_type, record.severity), (EventType::MalwareDetected, Severity::High));
        assert_eq!((record.host.as_deref(), record.username.as_deref()), (Some("PC7"), Some("mia")));
        assert_eq!(record.event_time.map(|time| time.to_string()).as_deref(), Some("2026-11-20T06:25:01Z"));
        let leaves: Vec<_> = Leaves { rest: "<a><b>x</b><c d=\"e\">y</c><f></f></a>" }.collect();
        assert_eq!(leaves, [("b", "x"), ("f", "")]);
    }
}
