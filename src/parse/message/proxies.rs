//! Access logs of Caddy (JSON) and Envoy (its default text, and the JSON that Istio configures).
//!
//! Sources: Caddy documentation, "Logging"; Envoy documentation, "Access logging"; Istio, "Envoy Access Logs". Severity: low; a refused request is a request.

use std::borrow::Cow;

use super::access::request_line;
use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::{Line, Member};
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan, token};
use crate::record::{EventType, LogRecord, Severity};

pub(super) const CADDY: Dialect = Dialect {
    name: "caddy",
    product: "Caddy: access log",
    reference: "https://caddyserver.com/docs/logging",
    marks: &[Member("\"http.log.access"), Member("\"handled request\"")],
    parse: caddy,
    samples: &[
        r#"{"level":"info","ts":1795155901.123,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"203.0.113.77","remote_port":"50123","client_ip":"203.0.113.77","proto":"HTTP/2.0","method":"GET","host":"www.example.org","uri":"/login","headers":{"User-Agent":["curl/8.5.0"]}},"bytes_read":0,"user_id":"mia","duration":0.001,"size":381,"status":401}"#,
    ],
};

pub(super) const ENVOY: Dialect = Dialect {
    name: "envoy",
    product: "Envoy, Istio: access log",
    reference: "https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage",
    marks: &[
        Line("Z] \"GET "),
        Line("Z] \"POST "),
        Line("Z] \"HEAD "),
        Line("Z] \"PUT "),
        Line("Z] \"DELETE "),
        Line("Z] \"OPTIONS "),
        Line("Z] \"PATCH "),
        Line("Z] \"- - -\""),
        Member("\"downstream_remote_address\""),
    ],
    parse: envoy,
    samples: &[
        r#"[2026-11-20T06:25:01.310Z] "POST /api HTTP/2" 204 - 154 0 226 100 "203.0.113.77" "curl/8.5.0" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "www.example.org" "192.0.2.10:80""#,
        r#"{"start_time":"2026-11-20T06:25:02.310Z","method":"GET","path":"/","protocol":"HTTP/1.1","response_code":403,"response_flags":"-","bytes_received":0,"bytes_sent":19,"duration":2,"downstream_remote_address":"203.0.113.77:50123","downstream_local_address":"192.0.2.10:443","upstream_host":"192.0.2.20:8080","user_agent":"curl/8.5.0","authority":"www.example.org","x_forwarded_for":null}"#,
    ],
};

fn caddy<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{Field, Number, SrcIp, SrcPort, Time, User};
        Some(match name {
            "ts" => Time,
            "request.client_ip" => Field("client.ip"),
            "request.remote_ip" | "request.remote_addr" => SrcIp,
            "request.remote_port" => SrcPort,
            "request.method" => Field("http.request.method"),
            "request.uri" => Field("url.original"),
            "request.host" => Field("url.domain"),
            "request.proto" => Field("http.version"),
            "user_id" => User,
            "status" => Number("http.response.status_code"),
            "size" => Number("http.response.body.bytes"),
            "level" => Field("log.level"),
            "logger" => Field("log.logger"),
            _ => return None,
        })
    }
    let mut filled = record.clone();
    if !fill::object(text, &mut filled, slots, context)
        || filled.src_ip.is_none()
        || filled.field("http.request.method").is_none()
    {
        return false;
    }
    filled.app = filled.app.or(Some(Cow::Borrowed("caddy")));
    is(&mut filled, "caddy", EventType::HttpRequest, Severity::Low);
    *record = filled;
    true
}

fn envoy<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let mut filled = record.clone();
    let read = if text.starts_with('{') { istio(text, &mut filled, context) } else { plain(text.trim_end(), &mut filled) };
    if read {
        is(&mut filled, "envoy", EventType::HttpRequest, Severity::Low);
        *record = filled;
    }
    read
}

fn istio<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    fn slots(name: &str) -> Option<Slot> {
        use Slot::{DstIp, Field, Number, SrcIp, Time};
        Some(match name {
            "start_time" => Time,
            "downstream_remote_address" => SrcIp,
            "downstream_local_address" => DstIp,
            "method" => Field("http.request.method"),
            "path" => Field("url.original"),
            "authority" => Field("url.domain"),
            "user_agent" => Field("user_agent.original"),
            "response_code" => Number("http.response.status_code"),
            "bytes_sent" => Number("http.response.body.bytes"),
            "x_forwarded_for" => Field("client.forwarded_for"),
            "request_id" => Field("http.request.id"),
            _ => return None,
        })
    }
    fill::object(text, record, slots, context) && record.src_ip.is_some() && record.event_time.is_some()
}

/// `[time] "request" status flags bytes bytes ms ms "forwarded for" "agent" "id" "authority" "upstream"`, to which Istio adds words and addresses.
fn plain<'a>(text: &'a str, record: &mut LogRecord<'a>) -> bool {
    let Some((stamp, rest)) = text.strip_prefix('[').and_then(|rest| scan::cut(rest, "] \"")) else { return false };
    let Some(when) = scan::iso_time(stamp, None) else { return false };
    // The request ends before a status: who asks may put quotes into it.
    let Some(end) = memchr::memmem::find_iter(rest.as_bytes(), b"\" ").find(|at| status(rest, *at).is_some()) else {
        return false;
    };
    let Some((request, after)) = rest.get(..end).zip(rest.get(end + 2..)) else { return false };
    if after.split(' ').take(6).count() < 6 {
        return false;
    }
    record.event_time = Some(when);
    request_line(request, record);
    if let Some(status) = status(rest, end).filter(|status| *status > 0) {
        record.set("http.response.status_code", i64::from(status));
    }
    let mut quoted = after.split('"').skip(1).step_by(2).filter(|part| !part.is_empty());
    // Istio has the reason of an upstream's failure here, in quotes as well.
    let mut first = quoted.next().unwrap_or("-");
    while first == "-" || scan::ip(first.split(',').next().unwrap_or_default()).is_none() {
        match quoted.next() {
            Some(next) if first == "-" => first = next,
            _ => break,
        }
    }
    record.src_ip = scan::ip(first.split(',').next().unwrap_or_default().trim());
    if record.src_ip.is_none() {
        // `… inbound|80|| 127.0.0.1:4711 192.0.2.10:80 203.0.113.77:50123 …`: upstream's local, downstream's local, downstream's remote.
        let ends: smallvec::SmallVec<[_; 4]> =
            after.rsplit('"').next().unwrap_or_default().split(' ').filter_map(token::ip_and_port).collect();
        if let Some((ip, port)) = ends.last().filter(|_| ends.len() >= 2) {
            (record.src_ip, record.src_port) = (Some(*ip), *port);
        }
    }
    true
}

fn status(text: &str, at: usize) -> Option<u16> {
    let word = text.get(at + 2..)?.split(' ').next()?;
    (word == "0" || word.len() == 3).then(|| word.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Value, Zone};

    #[test]
    fn requests() {
        let context = Context { now: Timestamp::from_secs(1_780_000_000), zone: &Zone::UTC, own: &[] };
        for (parse, line, code) in [
            (CADDY.parse, CADDY.samples[0], 401),
            (ENVOY.parse, ENVOY.samples[0], 204),
            (ENVOY.parse, ENVOY.samples[1], 403),
            (
                ENVOY.parse,
                r#"[2026-11-20T06:25:01.310Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 5 1 0 "-" "curl/8" "id" "web" "192.0.2.20:80" inbound|80|| 127.0.0.6:4711 192.0.2.20:80 203.0.113.77:50123 - default"#,
                200,
            ),
        ] {
            let mut record = LogRecord::text(line);
            assert!(parse(line, &mut record, &context), "{line}");
            assert_eq!(
                (record.src_ip, record.field("http.response.status_code")),
                ("203.0.113.77".parse().ok(), Some(&Value::Int(code))),
                "{line}"
            );
            assert!(record.event_time.is_some());
        }
    }
}
