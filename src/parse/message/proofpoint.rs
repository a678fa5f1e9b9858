//! Proofpoint TAP: messages and clicks with a threat, as its SIEM interface gives them out.
//!
//! Source: "SIEM API" of the Proofpoint threat insight dashboard. A message or a click that was stopped looks like one that was not: only a
//! quarantine tells. Severity: what was let through is high where it is malware or phishing, else medium.

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "proofpoint_tap",
    product: "Proofpoint Targeted Attack Protection",
    reference: "https://help.proofpoint.com/Threat_Insight_Dashboard/API_Documentation/SIEM_API",
    marks: &[Member("\"clickIP\""), Member("\"phishScore\""), Member("\"threatsInfoMap\"")],
    parse,
    samples: &[
        r#"{"url":"https://example.com/x","classification":"phish","clickTime":"2026-11-20T06:25:01.000Z","userAgent":"Mozilla/5.0","clickIP":"192.0.2.30","sender":"a@example.org","recipient":"mia@example.net","senderIP":"203.0.113.77","threatStatus":"active","id":"7"}"#,
        r#"{"spamScore":10,"phishScore":100,"malwareScore":0,"threatsInfoMap":[{"classification":"phish","threatType":"url"}],"messageTime":"2026-11-20T06:25:02.000Z","subject":"x","quarantineFolder":"Phish","recipient":["mia@example.net"],"senderIP":"203.0.113.77","sender":"a@example.org"}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let is_click = scan::has(text, "\"clickIP\"") && scan::has(text, "\"clickTime\"");
    let is_message = scan::has(text, "\"messageTime\"") && scan::has(text, "\"threatsInfoMap\"");
    if !(is_click || is_message) || !fill::object(text, record, slots, context) {
        return false;
    }
    let is_quarantined = record.field("proofpoint.quarantine").is_some();
    let harm = match record.field("event.category.name") {
        Some(Value::Str(word)) => word.eq_ignore_ascii_case("malware") || word.eq_ignore_ascii_case("phish"),
        _ => false,
    };
    let severity = if harm { Severity::High } else { Severity::Medium };
    let (event_type, severity) =
        if is_quarantined { (EventType::AccessDenied, Severity::Low) } else { (EventType::IdsAlert, severity) };
    is(record, "proofpoint_tap", event_type, severity);
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{DstIp, Field, SrcIp, Time};
    Some(match name {
        "clickTime" | "messageTime" => Time, "senderIP" => SrcIp, "clickIP" => DstIp, "url" => Field("url.original"), "userAgent" => Field("user_agent.original"),
        "sender" => Field("email.from.address"), "recipient" => Field("email.to.address"), "subject" => Field("email.subject"), "classification" => Field("event.category.name"),
        "quarantineFolder" => Field("proofpoint.quarantine"), "messageID" => Field("email.message_id"), "id" | "GUID" => Field("event.id"), "threatURL" => Field("threat.indicator.reference"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn clicks_and_messages() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (line, event_type) in [(DIALECT.samples[0], EventType::IdsAlert), (DIALECT.samples[1], EventType::AccessDenied)] {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record, &context));
            assert_eq!((record.event_type, record.src_ip), (event_type, "203.0.113.77".parse().ok()));
        }
    }
}
