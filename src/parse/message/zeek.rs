//! Zeek's logs as JSON (`LogAscii::use_json=T`), as its writers, Corelight and shippers send them: the log is known by `_path` or `@stream`, else by
//! the members that only it has.
//!
//! Source: Zeek documentation, "Zeek log formats and inspection" and the logs' script reference. A notice, an intelligence hit and a signature are
//! alerts (medium), authentication that Zeek saw succeed or fail is a login; connections and transactions are low.

use std::borrow::Cow;

use super::is;
use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::fill::word;
use crate::parse::fill::{self, Slot};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "zeek",
    product: "Zeek (Bro), Corelight",
    reference: "https://docs.zeek.org/en/master/logs/index.html",
    marks: &[
        Member("\"id.orig_h\""),
        Member("\"id_orig_h\""),
        Member("\"_path\""),
        Member("\"@stream\""),
        Member("\"suppress_for\""),
        Member("\"seen.indicator\""),
        Member("\"conn_uids\""),
        Member("\"uids\""),
    ],
    parse,
    samples: &[
        r#"{"ts":1795155901.25,"uid":"CaBcDe1","id.orig_h":"203.0.113.77","id.orig_p":48312,"id.resp_h":"192.0.2.4","id.resp_p":22,"auth_success":false,"auth_attempts":3,"client":"SSH-2.0-Go"}"#,
        r#"{"_path":"notice","ts":"2026-11-20T06:25:01.250000Z","note":"Scan::Port_Scan","msg":"203.0.113.77 scanned at least 15 unique ports of host 192.0.2.4 in 0m1s","src":"203.0.113.77","dst":"192.0.2.4","actions":["Notice::ACTION_LOG"],"suppress_for":3600.0}"#,
        r#"{"ts":1795155902.5,"uid":"CaBcDe2","id.orig_h":"203.0.113.77","id.orig_p":48313,"id.resp_h":"198.51.100.7","id.resp_p":80,"trans_depth":1,"method":"GET","host":"www.example.org","uri":"/","status_code":200}"#,
    ],
};

fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let has = |name: &str| scan::has(text, name);
    if !has("\"ts\"") && !has("\"_write_ts\"") {
        return false;
    }
    let known = has("\"uid\"")
        || has("\"_path\"")
        || has("\"@stream\"")
        || has("\"note\"")
        || has("\"uids\"")
        || has("\"conn_uids\"")
        || has("\"id.resp_h\"");
    let mut read = record.clone();
    read.fields.reserve(24);
    if !known || !fill::object(text, &mut read, slots, context) {
        return false;
    }
    http_host(&mut read);
    let (event_type, severity) = meaning(&read);
    is(&mut read, "zeek", event_type, severity);
    match event_type {
        EventType::LoginFailed => read.set("event.outcome", "failure"),
        EventType::LoginSuccess => read.set("event.outcome", "success"),
        _ => {}
    }
    *record = read;
    true
}

/// `host` is the server that a request names; in the logs of what is known it is an address of the network.
fn http_host(record: &mut LogRecord<'_>) {
    let is_request = record.field("http.request.method").is_some() || record.field("http.response.status_code").is_some();
    if is_request && let Some((name, _)) = record.fields.iter_mut().find(|(name, _)| name == "host") {
        *name = Cow::Borrowed("url.domain");
    }
    // Kerberos clients are `name/REALM`.
    if let Some((user, realm)) = word(record, "client").split_once('/').filter(|_| record.field("request_type").is_some()) {
        let (user, realm) = (user.to_owned(), realm.to_owned());
        if !user.is_empty() {
            record.username = Some(user.into());
            record.set("user.domain", realm);
        }
    }
}

fn meaning(record: &LogRecord<'_>) -> (EventType, Severity) {
    use EventType::{
        AccessDenied, ConnectionAllowed, ConnectionBlocked, DataTransfer, HttpRequest, IdsAlert, LoginFailed, LoginSuccess,
        Other, System,
    };
    let has = |name: &str| record.field(name).is_some();
    let flag = |name: &str| match record.field(name) {
        Some(Value::Bool(flag)) => Some(*flag),
        Some(Value::Str(text)) => match &**text {
            "true" | "T" => Some(true),
            "false" | "F" => Some(false),
            _ => None,
        },
        _ => None,
    };
    let login = |success: Option<bool>| match success {
        Some(true) => (LoginSuccess, Severity::Low),
        Some(false) => (LoginFailed, Severity::Medium),
        None => (Other, Severity::Low),
    };
    let log = match (word(record, "_path"), word(record, "@stream")) {
        ("", stream) => stream,
        (path, _) => path,
    };
    match log {
        "notice" | "intel" | "signatures" => (IdsAlert, Severity::Medium),
        "ssh" => login(flag("auth_success")),
        "ntlm" => login(flag("success")),
        _ if has("rule.name") && (has("suppress_for") || has("actions")) || has("seen.indicator") => (IdsAlert, Severity::Medium),
        _ if has("auth_success") => login(flag("auth_success")),
        // A server's first answer is to ask for more; nobody's password was wrong.
        _ if word(record, "error_msg").ends_with("PREAUTH_REQUIRED") => (AccessDenied, Severity::Low),
        _ if has("request_type") && has("success") => login(flag("success")),
        _ if has("server_nb_computer_name") || has("server_dns_computer_name") || has("domainname") => login(flag("success")),
        "radius" => login(match word(record, "result") {
            "success" => Some(true),
            "failed" => Some(false),
            _ => None,
        }),
        "http" => (HttpRequest, Severity::Low),
        _ if has("trans_depth") && (has("http.response.status_code") || has("http.request.method")) && !has("call_id") => {
            (HttpRequest, Severity::Low)
        }
        _ if has("conn_state") => match word(record, "conn_state") {
            "REJ" => (ConnectionBlocked, Severity::Low),
            "S0" | "SH" | "SHR" | "RSTOS0" | "RSTRH" | "OTH" => (Other, Severity::Low),
            _ => (ConnectionAllowed, Severity::Low),
        },
        "files" => (DataTransfer, Severity::Low),
        "capture_loss" | "stats" | "reporter" | "packet_filter" | "loaded_scripts" | "broker" | "cluster" => {
            (System, Severity::Low)
        }
        _ => (Other, Severity::Low),
    }
}

#[rustfmt::skip]
fn slots(name: &str) -> Option<Slot> {
    use Slot::{Action, DstIp, DstPort, Field, Host, Number, Protocol, SrcIp, SrcPort, Time, User};
    Some(match name {
        "ts" => Time, "@system" | "_system_name" | "system_name" => Host,
        "id.orig_h" | "id_orig_h" | "src" | "client_addr" => SrcIp, "id.orig_p" | "id_orig_p" => SrcPort,
        "id.resp_h" | "id_resp_h" | "dst" | "server_addr" => DstIp, "id.resp_p" | "id_resp_p" | "p" => DstPort,
        "proto" => Protocol, "action" => Action, "user" | "username" => User, "domainname" => Field("domainname"),
        "uid" => Field("zeek.uid"), "service" => Field("network.protocol"), "orig_bytes" => Number("source.bytes"), "resp_bytes" => Number("destination.bytes"),
        "orig_pkts" => Number("source.packets"), "resp_pkts" => Number("destination.packets"),
        "orig_l2_addr" | "mac" => Field("source.mac"), "resp_l2_addr" => Field("destination.mac"),
        "note" => Field("rule.name"), "msg" => Field("event.reason"), "method" => Field("http.request.method"), "uri" => Field("url.original"),
        "status_code" => Number("http.response.status_code"), "user_agent" => Field("user_agent.original"), "referrer" => Field("http.request.referrer"),
        "query" => Field("dns.question.name"), "qtype_name" => Field("dns.question.type"), "rcode_name" => Field("dns.response_code"),
        "server_name" => Field("tls.client.server_name"), "version" => Field("version"), "ja3" => Field("tls.client.ja3"), "ja3s" => Field("tls.server.ja3s"),
        "filename" => Field("file.name"), "mime_type" => Field("file.mime_type"), "md5" => Field("file.hash.md5"), "sha1" => Field("file.hash.sha1"),
        "sha256" => Field("file.hash.sha256"), "community_id" => Field("network.community_id"), "host_name" => Field("source.domain"),
        "mailfrom" => Field("email.from.address"), "subject" => Field("email.subject"), "vlan" => Number("network.vlan.id"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Timestamp, Zone};

    #[test]
    fn logs() {
        use EventType::*;
        #[rustfmt::skip]
        let table = [
            (DIALECT.samples[0].to_owned(), LoginFailed, ""),
            (DIALECT.samples[1].to_owned(), IdsAlert, ""),
            (DIALECT.samples[2].to_owned(), HttpRequest, ""),
            (r#"{"ts":1795155901.25,"uid":"C1","id.orig_h":"203.0.113.77","id.resp_h":"192.0.2.4","request_type":"AS","client":"mia/EXAMPLE.ORG","success":false,"error_msg":"KDC_ERR_PREAUTH_FAILED"}"#.to_owned(), LoginFailed, "mia"),
            (r#"{"ts":1795155901.25,"uid":"C1","id.orig_h":"203.0.113.77","id.resp_h":"192.0.2.4","request_type":"AS","client":"mia/EXAMPLE.ORG","success":false,"error_msg":"KDC_ERR_PREAUTH_REQUIRED"}"#.to_owned(), AccessDenied, "mia"),
            (r#"{"_path":"ntlm","ts":1795155901.25,"uid":"C1","id.orig_h":"203.0.113.77","username":"mia","domainname":"CORP","success":true}"#.to_owned(), LoginSuccess, "mia"),
            (r#"{"ts":1795155901.25,"uid":"C1","id.orig_h":"203.0.113.77","proto":"tcp","conn_state":"REJ"}"#.to_owned(), ConnectionBlocked, ""),
        ];
        for (line, event_type, user) in table {
            let mut record = LogRecord::text("");
            assert!(parse(&line, &mut record, &Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own: &[] }), "{line}");
            assert_eq!((record.event_type, record.username.as_deref().unwrap_or("")), (event_type, user), "{line}");
            assert_eq!(record.src_ip, "203.0.113.77".parse().ok(), "{line}");
        }
    }
}
