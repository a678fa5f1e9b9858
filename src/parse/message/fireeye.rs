//! FireEye (Trellix) Network Security: what its sensor saw, as Helix passes it on: an object whose `rawmsg` is an event of Suricata as text.
//!
//! Source: "Event schema" of the Helix documentation; the event inside is that of Suricata's EVE. Severity: an alert has that of its signature (1 high,
//! 2 medium), the rest is low. Alerts in CEF are read as CEF.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::{self, Slot};
use crate::parse::json::{self, Scalar};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "fireeye_nx",
    product: "FireEye (Trellix) Network Security",
    reference: "https://docs.trellix.com/bundle/helix_pg/page/UUID-network-security.html",
    marks: &[Member("\"meta_cbname\""), Member("\"rawmsg\"")],
    parse,
    samples: &[
        r#"{"rawmsg":"{\"timestamp\":\"2026-11-20T06:25:01.991339+0000\",\"event_type\":\"flow\",\"src_ip\":\"203.0.113.77\",\"src_port\":48312,\"dest_ip\":\"192.0.2.4\",\"dest_port\":80,\"proto\":\"TCP\"}\n","meta_sip4":"192.0.2.1","meta_oml":220,"deviceid":"8","meta_cbname":"nx1"}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    if !scan::has(text, "\"rawmsg\"") || !scan::has(text, "\"meta_") {
        return false;
    }
    let mut filled = record.clone();
    let mut inner = None;
    let read = json::members(text, |name, raw| match (&*name, Scalar::of(raw)) {
        ("rawmsg", Scalar::Text(text)) => inner = Some(text),
        (_, value) => fill::file(&mut filled, slots(&name), name, value, context),
    });
    let Some(inner) = inner.filter(|_| read.is_ok()) else { return false };
    // The text had escapes, so its pieces outlive it as copies.
    let read = json::walk(inner.trim(), &mut |name, value| {
        let slot = slots(&name);
        let value = match value {
            Scalar::Text(text) => Scalar::Text(Cow::Owned(text.into_owned())),
            Scalar::Bare(text) => Scalar::Text(Cow::Owned(text.to_owned())),
            _ => return,
        };
        fill::file(&mut filled, slot, (*name).to_owned(), value, context);
    });
    if read.is_err() {
        return false;
    }
    *record = filled;
    let word = |name: &str| match record.field(name) {
        Some(Value::Str(text)) => &**text,
        _ => "",
    };
    let (event_type, severity) = match word("suricata.eve.event_type") {
        "alert" => match word("event.severity") {
            "1" => (EventType::IdsAlert, Severity::High),
            "2" => (EventType::IdsAlert, Severity::Medium),
            _ => (EventType::IdsAlert, Severity::Low),
        },
        "flow" | "netflow" | "fileinfo" => (EventType::DataTransfer, Severity::Low),
        "http" => (EventType::HttpRequest, Severity::Low),
        _ => (EventType::Other, Severity::Low),
    };
    is(record, "fireeye_nx", event_type, severity);
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{DstIp, DstPort, Field, Host, Number, Protocol, SrcIp, SrcPort, Time};
    Some(match name {
        "timestamp" => Time, "src_ip" => SrcIp, "src_port" => SrcPort, "dest_ip" => DstIp, "dest_port" => DstPort, "proto" => Protocol, "event_type" => Field("suricata.eve.event_type"),
        "meta_cbname" => Host, "meta_sip4" => Field("observer.ip"), "deviceid" => Field("observer.serial_number"), "app_proto" => Field("network.protocol"), "flow_id" => Field("network.session.id"),
        "flow.bytes_toserver" => Number("source.bytes"), "flow.bytes_toclient" => Number("destination.bytes"), "flow.pkts_toserver" => Number("source.packets"), "flow.pkts_toclient" => Number("destination.packets"),
        "alert.signature" => Field("rule.name"), "alert.signature_id" => Field("rule.id"), "alert.severity" => Field("event.severity"), "alert.category" => Field("rule.category"),
        "http.hostname" => Field("url.domain"), "http.url" => Field("url.original"), "http.http_method" => Field("http.request.method"), "http.http_user_agent" => Field("user_agent.original"),
        "dns.rrname" => Field("dns.question.name"), "dns.rrtype" => Field("dns.question.type"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn an_event_within() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text("");
        assert!(parse(DIALECT.samples[0], &mut record, &context));
        assert_eq!(
            (record.src_ip, record.dst_port, record.host.as_deref()),
            ("203.0.113.77".parse().ok(), Some(80), Some("nx1"))
        );
        let mut record = LogRecord::text("");
        assert!(!parse(r#"{"rawmsg":"text","meta_oml":1}"#, &mut record, &context));
        assert_eq!(record, LogRecord::text(""));
    }
}
