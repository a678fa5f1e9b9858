//! Access logs of AWS load balancers: application (`http 2026-… app/lb/…`) and classic (`2026-… lb …`).
//!
//! Source: AWS, "Access logs for your Application Load Balancer" and "… Classic Load Balancer", column by column. Severity: low; a refused request is a request.

use std::borrow::Cow;

use super::access::request_line;
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Line;
use crate::parse::{Context, scan, token};
use crate::record::{EventType, LogRecord, Severity};

pub(super) const DIALECT: Dialect = Dialect {
    name: "aws_alb",
    product: "AWS load balancers: access logs",
    reference: "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html",
    marks: &[
        Line(" app/"),
        Line(" \"GET http"),
        Line(" \"POST http"),
        Line(" \"HEAD http"),
        Line(" \"PUT http"),
        Line(" \"OPTIONS http"),
        Line(" \"- http"),
    ],
    parse,
    samples: &[
        r#"https 2026-11-20T06:25:01.123456Z app/shop/50dc6c495c0c9188 203.0.113.77:50123 192.0.2.10:80 0.000 0.001 0.000 401 401 34 366 "GET https://www.example.org:443/login HTTP/1.1" "curl/8.5.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/web/73e2d6bc24d8a067 "Root=1-58337262-36d228ad5d99923122bbe354" "www.example.org" "-" 0 2026-11-20T06:25:01.120000Z "forward" "-" "-" "192.0.2.10:80" "401" "-" "-""#,
        r#"2026-11-20T06:25:01.123456Z shop 203.0.113.77:50123 192.0.2.10:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://www.example.org:80/ HTTP/1.1" "curl/8.5.0" - -"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, _context: &Context<'_>) -> bool {
    let kinds = ["http ", "https ", "h2 ", "grpcs ", "ws ", "wss "];
    let kind = kinds.iter().find(|kind| text.starts_with(**kind));
    let rest = kind.map_or(text, |kind| text.get(kind.len()..).unwrap_or_default());
    let Some((front, tail)) = scan::cut(rest, " \"") else { return false };
    let words: smallvec::SmallVec<[&str; 11]> = front.split(' ').collect();
    let [time, balancer, client, target, _, _, _, status, _, received, sent] = words.as_slice() else { return false };
    let (Some(written), Some((ip, port))) = (scan::iso_time(time, None), token::ip_and_port(client)) else { return false };
    if kind.is_some() && !balancer.starts_with("app/") {
        return false;
    }
    // Who asks ends its request itself: the version and the quote are what it cannot do without.
    let Some((request, tail)) = scan::cut(tail, "\" \"") else { return false };
    let (agent, tail) = scan::cut(tail, "\" ").unwrap_or((tail, ""));
    record.event_time = Some(created(tail).unwrap_or(written));
    (record.src_ip, record.src_port) = (Some(ip), port);
    if let Some((ip, port)) = token::ip_and_port(target) {
        record.set("aws.elb.backend.ip", ip.to_string());
        if let Some(port) = port {
            record.set("aws.elb.backend.port", u32::from(port));
        }
    }
    record.set("aws.elb.name", *balancer);
    if let Some(kind) = kind {
        record.set("aws.elb.type", kind.trim_end());
    }
    for (name, value) in [("http.response.status_code", status), ("http.request.bytes", received), ("http.response.bytes", sent)]
    {
        if let Ok(number) = value.parse::<i64>() {
            record.set(name, number);
        }
    }
    request_line(request, record);
    if agent != "-" {
        record.set("user_agent.original", agent);
    }
    let mut tls = tail.split(' ');
    for name in ["tls.cipher", "tls.version"] {
        if let Some(value) = tls.next().filter(|value| !matches!(*value, "-" | "")) {
            record.set(name, value);
        }
    }
    is(record, "aws_alb", EventType::HttpRequest, Severity::Low);
    if let Some(action) = actions(tail) {
        record.action = Some(Cow::Borrowed(action));
        if action.starts_with("waf-failed") || status.starts_with("403") && action.contains("waf") {
            record.event_type = EventType::AccessDenied;
        }
    }
    true
}

/// When the request came in: the line is written when the answer is out.
fn created(tail: &str) -> Option<crate::record::Timestamp> {
    tail.split(' ')
        .find(|word| word.ends_with('Z') && word.len() > 19 && word.as_bytes()[4] == b'-')
        .and_then(|word| scan::iso_time(word, None))
}

/// The quoted value behind that time: `forward`, `waf,forward`.
fn actions(tail: &str) -> Option<&str> {
    let (_, rest) = scan::cut(tail, "Z \"")?;
    rest.split('"').next().filter(|action| !matches!(*action, "" | "-") && action.len() < 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Value, Zone};

    #[test]
    fn columns() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        let mut record = LogRecord::text("");
        assert!(parse(DIALECT.samples[0], &mut record, &context));
        assert_eq!((record.src_ip, record.src_port), ("203.0.113.77".parse().ok(), Some(50123)));
        assert_eq!(record.event_time.map(|t| t.to_string()).as_deref(), Some("2026-11-20T06:25:01.12Z"));
        assert_eq!(
            (record.field("http.response.status_code"), record.action.as_deref()),
            (Some(&Value::Int(401)), Some("forward"))
        );
        let mut record = LogRecord::text("");
        assert!(parse(DIALECT.samples[1], &mut record, &context));
        assert!(!parse("http 2026-11-20T06:25:01Z x", &mut record, &context));
    }
}
