//! IBM's Log Event Extended Format: `LEEF:1.0|vendor|product|version|id|key=value<tab>key=value`; 2.0 names its separator after the id.
//!
//! Source: "QRadar LEEF Guide", predefined attributes. What happened follows from the id, `cat` and the action (see `alert`). Severity: `sev` from
//! 1 to 10, 4–6 medium, 7–8 high, 9–10 critical; connections and logins as everywhere.

use std::borrow::Cow;

use super::alert::{self, Told};
use super::cef::Extension;
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{App, Begins, Holds};
use crate::parse::fill::{self, Slot};
use crate::parse::json::Scalar;
use crate::parse::{Context, scan};
use crate::record::{LogRecord, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "leef",
    product: "Log Event Extended Format (IBM QRadar and many others)",
    reference: "https://www.ibm.com/docs/en/dsm?topic=overview-leef-event-components",
    marks: &[App("LEEF"), Begins("LEEF:"), Holds("LEEF:1.0|"), Holds("LEEF:2.0|")],
    parse,
    samples: &[
        "<134>Nov 20 06:25:01 gw1 LEEF:1.0|Example|Firewall|1.0|deny|devTime=Nov 20 2026 06:25:01\tsrc=203.0.113.77\tdst=192.0.2.4\tsrcPort=48312\tdstPort=23\tproto=TCP\taction=Denied\tsev=3",
        "LEEF:2.0|Example|Portal|2.1|LoginFailed|^|src=203.0.113.77^usrName=CORP\\mia^devTime=2026-11-20 06:25:02^sev=5^cat=Authentication",
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let is_tag = record.app.as_deref() == Some("LEEF");
    let body = match scan::find(text, "LEEF:") {
        Some(at) if at < 256 => &text[at + 5..],
        _ if is_tag => text,
        _ => return false,
    };
    let mut parts = body.trim_start().splitn(6, '|');
    let mut next = || parts.next();
    let (Some(version), Some(vendor), Some(product), Some(device)) = (next(), next(), next(), next()) else { return false };
    let (Some(id), Some(rest)) = (next(), next()) else { return false };
    let (separator, attributes) = match version {
        "1" | "1.0" => ('\t', rest),
        "2" | "2.0" => rest.split_once('|').and_then(|(name, rest)| Some((separator(name)?, rest))).unwrap_or(('\t', rest)),
        _ => return false,
    };
    if is_tag {
        record.app = None;
    }
    record.fields.reserve(24);
    // Some relays make spaces of tabs.
    if separator == '\t' && !attributes.contains('\t') {
        for (key, value) in (Extension { rest: attributes }) {
            file(record, key, value, context);
        }
    } else {
        for (key, value) in attributes.split(separator).filter_map(|pair| pair.split_once('=')) {
            file(record, key.trim(), value.trim(), context);
        }
    }
    let word = |name: &str| match record.field(name) {
        Some(Value::Str(text)) => text.clone().into_owned(),
        _ => String::new(),
    };
    let (severity, category, outcome, message) =
        (word("event.severity"), word("event.category.name"), word("event.outcome"), word("msg"));
    let name = format!("{id} {message}");
    let told = Told {
        name: &name,
        category: &category,
        action: record.action.as_deref().unwrap_or(id),
        outcome: &outcome,
        product: &format!("{vendor} {product}"),
        has_peer: record.src_ip.is_some() || record.dst_ip.is_some(),
        has_url: record.field("url.original").is_some(),
    };
    let (event_type, severity) = alert::event(&told, alert::rated(&severity));
    for (name, value) in
        [("observer.vendor", vendor), ("observer.product", product), ("observer.version", device), ("event.code", id)]
    {
        if !value.is_empty() {
            record.set(name, value);
        }
    }
    is(record, "leef", event_type, severity);
    true
}

/// A character, or its code: `^`, `x5E`, `0x5E`; nothing is a tab.
fn separator(name: &str) -> Option<char> {
    let code = name.strip_prefix("0x").or_else(|| name.strip_prefix('x')).or_else(|| name.strip_prefix("\\x"));
    match code {
        Some(code) if !code.is_empty() => u32::from_str_radix(code, 16).ok().and_then(char::from_u32),
        _ if name.is_empty() || name == "\\t" => Some('\t'),
        _ => name.chars().next().filter(|_| name.chars().count() == 1),
    }
}

fn file<'a>(record: &mut LogRecord<'a>, key: &'a str, value: &'a str, context: &Context<'_>) {
    fill::file(record, slots(key), Cow::Borrowed(key), Scalar::Text(Cow::Borrowed(value)), context);
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Number, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "devTime" => Time, "src" => SrcIp, "dst" => DstIp, "srcPort" => SrcPort, "dstPort" => DstPort, "proto" => Protocol, "usrName" => User,
        "action" | "act" => Action, "sev" => Field("event.severity"), "cat" => Field("event.category.name"), "identHostName" => Field("source.domain"),
        "domain" => Field("user.domain"), "role" => Field("user.roles"), "realm" => Field("user.realm"), "groupID" => Field("user.group.id"),
        "url" => Field("url.original"), "policy" => Field("rule.name"), "resource" => Field("resource.name"), "accountName" => Field("destination.user.name"),
        "srcBytes" => Number("source.bytes"), "dstBytes" => Number("destination.bytes"), "srcPackets" => Number("source.packets"),
        "dstPackets" => Number("destination.packets"), "totalPackets" => Number("network.packets"),
        "srcPreNAT" | "srcPostNAT" => Field("source.nat.ip"), "dstPreNAT" | "dstPostNAT" => Field("destination.nat.ip"),
        "srcPostNATPort" | "srcPreNATPort" => Number("source.nat.port"), "dstPostNATPort" | "dstPreNATPort" => Number("destination.nat.port"),
        "srcMAC" => Field("source.mac"), "dstMAC" => Field("destination.mac"), "devName" | "deviceName" => Host,
        "userAgent" | "useragent" => Field("user_agent.original"), "referer" => Field("http.request.referrer"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EventType, Severity, Timestamp, Zone};

    #[test]
    fn both_versions() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (line, event_type, severity) in [
            ("LEEF:1.0|A|B|1|LoginFailed|src=192.0.2.1\tusrName=mia\tsev=5", EventType::LoginFailed, Severity::Medium),
            ("LEEF:2.0|A|B|1|allow|x5E|src=192.0.2.1^usrName=mia^sev=2", EventType::ConnectionAllowed, Severity::Low),
            ("LEEF:2.0|A|B|1|attack|src=192.0.2.1\tusrName=mia\tsev=9", EventType::IdsAlert, Severity::Critical),
            ("LEEF:1.0|A|B|1|deny|src=192.0.2.1 usrName=mia sev=5", EventType::ConnectionBlocked, Severity::Low),
        ] {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record, &context), "{line}");
            assert_eq!(
                (record.event_type, record.severity, record.username.as_deref()),
                (event_type, severity, Some("mia")),
                "{line}"
            );
            assert_eq!(record.src_ip, "192.0.2.1".parse().ok(), "{line}");
        }
        for line in ["LEEF:", "LEEF:3.0|a|b|c|d|e", "LEEF:1.0|a|b"] {
            let mut record = LogRecord::text(line);
            assert!(!parse(line, &mut record, &context), "{line}");
        }
    }
}
