//! ModSecurity's audit log as JSON, of versions 2 and 3.
//!
//! Source: ModSecurity Reference Manual, `SecAuditLogFormat`. What was stopped is a refusal of medium severity, everything else a request.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan, timestamp};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "modsecurity",
    product: "ModSecurity: audit log",
    reference: "https://github.com/owasp-modsecurity/ModSecurity/wiki/Reference-Manual-(v3.x)",
    marks: &[Member("{\"transaction\":{"), Member("\"transaction\": {")],
    parse,
    samples: &[
        r#"{"transaction":{"time":"20/Nov/2026:06:25:01 +0000","transaction_id":"Yj2W","remote_address":"203.0.113.77","remote_port":50123,"local_address":"192.0.2.10","local_port":443},"request":{"request_line":"GET /?id=1%27 HTTP/1.1","headers":{"Host":"www.example.org","User-Agent":"curl/8.5.0"}},"response":{"protocol":"HTTP/1.1","status":403},"audit_data":{"messages":["Access denied with code 403"],"action":{"intercepted":true,"phase":2}}}"#,
        r#"{"transaction":{"client_ip":"203.0.113.77","time_stamp":"Fri Nov 20 06:25:02 2026","server_id":"c062","client_port":50124,"host_ip":"192.0.2.10","host_port":443,"unique_id":"162","request":{"method":"GET","http_version":1.1,"uri":"/","headers":{"Host":"www.example.org"}},"response":{"http_code":200},"messages":[]}}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut filled = record.clone();
    if !fill::object(text, &mut filled, slots, context) || filled.src_ip.is_none() {
        return false;
    }
    let Some(Value::Str(stamp)) = filled.field("transaction.stamp") else { return false };
    let when = super::access::clf_time(stamp, Some(context.zone)).or_else(|| {
        let (rest, reading) = timestamp::reading(stamp).ok()?;
        rest.trim().is_empty().then(|| reading.instant(context)).flatten()
    });
    let Some(when) = when else { return false };
    filled.event_time = Some(when);
    filled.fields.retain(|(name, _)| name != "transaction.stamp");
    if let Some(Value::Str(Cow::Borrowed(line))) = filled.field("request.request_line") {
        let line = *line;
        super::access::request_line(line, &mut filled);
    }
    let stopped = matches!(filled.field("audit_data.action.intercepted"), Some(Value::Bool(true)));
    let (event_type, severity) =
        if stopped { (EventType::AccessDenied, Severity::Medium) } else { (EventType::HttpRequest, Severity::Low) };
    is(&mut filled, "modsecurity", event_type, severity);
    if let Some(rule) = rule(&filled) {
        filled.set("rule.id", rule);
    }
    *record = filled;
    true
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{DstIp, DstPort, Field, Number, SrcIp, SrcPort};
    Some(match name {
        "transaction.time" | "transaction.time_stamp" => Field("transaction.stamp"),
        "transaction.remote_address" | "transaction.client_ip" => SrcIp, "transaction.remote_port" | "transaction.client_port" => SrcPort,
        "transaction.local_address" | "transaction.host_ip" => DstIp, "transaction.local_port" | "transaction.host_port" => DstPort,
        "transaction.transaction_id" | "transaction.id" | "transaction.unique_id" => Field("event.id"),
        "transaction.request.method" => Field("http.request.method"), "transaction.request.uri" => Field("url.original"),
        "request.headers.Host" | "transaction.request.headers.Host" => Field("url.domain"),
        "request.headers.User-Agent" | "transaction.request.headers.User-Agent" => Field("user_agent.original"),
        "response.status" | "transaction.response.http_code" => Number("http.response.status_code"),
        "transaction.request.http_version" => Field("http.version"),
        _ => return None,
    })
}

/// The first rule that spoke: `[id "942100"]`, `"ruleId":"942100"`.
fn rule(record: &LogRecord<'_>) -> Option<String> {
    let messages =
        record.fields.iter().find(|(name, _)| matches!(name.as_ref(), "audit_data.messages" | "transaction.messages"))?;
    let Value::Json(messages) = &messages.1 else { return None };
    let (_, rest) = scan::cut(messages, "[id \\\"").or_else(|| scan::cut(messages, "\"ruleId\":\""))?;
    let id: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!id.is_empty() && !scan::has(&id, " ")).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn both_versions() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (sample, event_type, port) in
            [(DIALECT.samples[0], EventType::AccessDenied, 50123), (DIALECT.samples[1], EventType::HttpRequest, 50124)]
        {
            let mut record = LogRecord::text(sample);
            assert!(parse(sample, &mut record, &context));
            assert_eq!((record.event_type, record.src_port, record.dst_port), (event_type, Some(port), Some(443)));
            assert!(record.event_time.is_some());
        }
    }
}
