//! Suricata's EVE JSON (Suricata user guide, "EVE JSON Format"), every `event_type`.
//!
//! A signature that names malware is `malware_detected`, any other alert `ids_alert`, a packet dropped by the engine
//! `connection_blocked`; flows and files are `data_transfer`, transactions of other protocols what they are or `other`.
//! `alert.severity`: 1 is high, 2 medium, 3 and 4 low.

use std::borrow::Cow;

use crate::parse::dialect::Dialect;
use crate::parse::dialect::Mark::Member;
use crate::parse::json::{self, Scalar};
use crate::parse::scan;
use crate::record::{EventType, LogRecord, Severity, Value};

pub(super) const DIALECT: Dialect = Dialect {
    name: "suricata",
    product: "Suricata EVE JSON",
    reference: "https://docs.suricata.io/en/latest/output/eve/eve-json-format.html",
    marks: &[Member("\"event_type\"")],
    parse: |text, record, _| looks_like(text) && parse(text, record).unwrap_or(false),
    samples: &[
        r#"{"timestamp":"2026-11-20T06:25:01.250000+0000","flow_id":99,"in_iface":"eth1","event_type":"alert","src_ip":"203.0.113.80","src_port":443,"dest_ip":"192.0.2.7","dest_port":50111,"proto":"TCP","alert":{"action":"blocked","gid":1,"signature_id":2035000,"rev":3,"signature":"ET MALWARE Example Loader Checkin","category":"Malware Command and Control Activity Detected","severity":1}}"#,
    ],
};

/// `text` may be an EVE record: it has the members that every one of them has.
fn looks_like(text: &str) -> bool {
    let has = |name: &str| scan::has(text, name);
    has("\"event_type\"")
        && has("\"timestamp\"")
        && ["\"flow_id\"", "\"dest_ip\"", "\"alert\":{", "\"alert\": {", "\"stats\"", "\"pcap_cnt\""].into_iter().any(has)
}

/// Reads an EVE record. False, and the record untouched, where it is none.
///
/// # Errors
/// The text is not one JSON object; the record may be half filled.
fn parse<'a>(text: &'a str, record: &mut LogRecord<'a>) -> Result<bool, serde_json::Error> {
    let mut kind = None;
    let mut app_proto = None;
    let mut time = None;
    let mut fields: Vec<(Cow<'a, str>, Value<'a>)> = Vec::with_capacity(16);
    let mut source = (None, None);
    let mut destination = (None, None);
    let mut protocol = None;
    let mut alert = None;
    let mut host = None;
    json::members(text, |name, raw| {
        let value = Scalar::of(raw);
        match name.as_ref() {
            "timestamp" => time = value.into_text().and_then(|t| scan::iso_time(&t, None)),
            "event_type" => kind = value.into_text(),
            "src_ip" => source.0 = value.into_text().and_then(|t| scan::ip(&t)),
            "src_port" => source.1 = value.number(),
            "dest_ip" => destination.0 = value.into_text().and_then(|t| scan::ip(&t)),
            "dest_port" => destination.1 = value.number(),
            "proto" => protocol = value.into_text(),
            "app_proto" => app_proto = value.into_text(),
            "alert" => alert = Some(raw),
            "host" => host = value.into_text(),
            "http" => http(raw, &mut fields),
            "dns" => dns(raw, &mut fields),
            "tls" => tls(raw, &mut fields),
            "fileinfo" => file(raw, &mut fields),
            "ether" => ether(raw, &mut fields),
            _ => push(&mut fields, top_name(name), value),
        }
    })?;
    // Our own vocabulary in a member of that name is somebody else's record.
    let Some(kind) = kind.filter(|kind| kind.parse::<EventType>().is_err()) else { return Ok(false) };
    record.event_time = time.or(record.event_time);
    (record.src_ip, record.src_port) = source;
    (record.dst_ip, record.dst_port) = destination;
    record.protocol = protocol.map(|p| match p {
        Cow::Borrowed(p) => scan::protocol(p),
        Cow::Owned(p) => p.to_ascii_lowercase().into(),
    });
    record.host = host.or(record.host.take());
    record.event_type = match kind.as_ref() {
        "alert" => EventType::IdsAlert,
        "drop" => EventType::ConnectionBlocked,
        "http" | "http2" => EventType::HttpRequest,
        "flow" | "netflow" | "fileinfo" | "ftp_data" => EventType::DataTransfer,
        "stats" | "engine" => EventType::System,
        _ => EventType::Other,
    };
    record.severity = Severity::Low;
    if let Some(app_proto) = app_proto.filter(|p| p != "failed") {
        fields.push(("network.protocol".into(), Value::Str(app_proto)));
    }
    fields.push(("event.kind".into(), Value::Str(kind)));
    record.fields.reserve(fields.len() + 8);
    for (name, value) in fields {
        record.set(name, value);
    }
    if let Some(alert) = alert {
        read_alert(alert, record);
    }
    record.format.message = "suricata";
    Ok(true)
}

/// `alert`, which stands in records of kind `alert` and, with the rule that dropped it, `drop`.
fn read_alert<'a>(raw: &'a str, record: &mut LogRecord<'a>) {
    let mut malware = false;
    // What stands inside was checked with the record.
    json::inner_members(raw, |name, raw| {
        let value = Scalar::of(raw);
        match name.as_ref() {
            "signature" => {
                if let Some(text) = value.into_text() {
                    malware |= is_malware(&text, "");
                    record.message = text.clone();
                    record.set("rule.name", text);
                }
            }
            "category" => {
                if let Some(text) = value.into_text() {
                    malware |= is_malware("", &text);
                    record.set("rule.category", text);
                }
            }
            "severity" => {
                record.severity = match value.number::<u8>() {
                    Some(1) => Severity::High,
                    Some(2) => Severity::Medium,
                    _ => Severity::Low,
                }
            }
            "action" => record.action = value.into_text(),
            "signature_id" => put(record, "rule.id", value),
            "gid" => put(record, "rule.ruleset", value),
            "rev" => put(record, "rule.version", value),
            "metadata" => {
                json::inner_members(raw, |name, raw| match name.as_ref() {
                    "mitre_technique_id" => put(record, "threat.technique.id", first(raw)),
                    "mitre_technique_name" => put(record, "threat.technique.name", first(raw)),
                    "mitre_tactic_id" => put(record, "threat.tactic.id", first(raw)),
                    "mitre_tactic_name" => put(record, "threat.tactic.name", first(raw)),
                    "malware_family" => put(record, "threat.software.name", first(raw)),
                    _ => {}
                });
                put(record, "suricata.alert.metadata", value);
            }
            _ => {}
        }
    });
    if malware && record.event_type == EventType::IdsAlert {
        record.event_type = EventType::MalwareDetected;
    }
}

/// Whether a rule of that name and class says that a host runs malware.
pub(super) fn is_malware(signature: &str, category: &str) -> bool {
    names_malware(signature) || category.contains("Trojan") || category.contains("Malware") || category.contains("Used for C2")
}

/// Rules whose name, by Emerging Threats' naming, says that the host runs malware.
fn names_malware(signature: &str) -> bool {
    ["ET MALWARE ", "ET TROJAN ", "ETPRO MALWARE ", "ETPRO TROJAN ", "ET WORM ", "ET MOBILE_MALWARE "]
        .iter()
        .any(|prefix| signature.starts_with(prefix))
}

fn http<'a>(raw: &'a str, fields: &mut Vec<(Cow<'a, str>, Value<'a>)>) {
    json::inner_members(raw, |name, raw| {
        let name = match name.as_ref() {
            "hostname" => "url.domain",
            "url" => "url.original",
            "http_method" => "http.request.method",
            "status" => "http.response.status_code",
            "length" => "http.response.body.bytes",
            "http_user_agent" => "user_agent.original",
            "http_refer" => "http.request.referrer",
            "http_content_type" => "http.response.mime_type",
            _ => return,
        };
        push(fields, name.into(), Scalar::of(raw));
    });
}

/// Version 1 and 2 name the question at the top; version 3 in `queries`.
fn dns<'a>(raw: &'a str, fields: &mut Vec<(Cow<'a, str>, Value<'a>)>) {
    json::inner_members(raw, |name, raw| match name.as_ref() {
        "type" => push(fields, "dns.type".into(), Scalar::of(raw)),
        "id" => push(fields, "dns.id".into(), Scalar::of(raw)),
        "rrname" => push(fields, "dns.question.name".into(), Scalar::of(raw)),
        "rrtype" => push(fields, "dns.question.type".into(), Scalar::of(raw)),
        "rcode" => push(fields, "dns.response_code".into(), Scalar::of(raw)),
        "queries" | "query" => {
            let mut question = None;
            json::elements(raw, |element| question = question.or(Some(element)));
            json::inner_members(question.unwrap_or("{}"), |name, raw| match name.as_ref() {
                "rrname" => push(fields, "dns.question.name".into(), Scalar::of(raw)),
                "rrtype" => push(fields, "dns.question.type".into(), Scalar::of(raw)),
                _ => {}
            });
        }
        "answers" | "grouped" => push(fields, "dns.answers".into(), Scalar::of(raw)),
        _ => {}
    });
}

fn tls<'a>(raw: &'a str, fields: &mut Vec<(Cow<'a, str>, Value<'a>)>) {
    json::inner_members(raw, |name, raw| {
        let name = match name.as_ref() {
            "sni" => "tls.client.server_name",
            "version" => "tls.version",
            "subject" => "tls.server.subject",
            "issuerdn" => "tls.server.issuer",
            "fingerprint" => "tls.server.hash.sha1",
            "ja3" | "ja3s" | "ja4" => {
                if let (Scalar::Object(ja3), "ja3") = (Scalar::of(raw), name.as_ref()) {
                    json::inner_members(ja3, |name, raw| {
                        if name == "hash" {
                            push(fields, "tls.client.ja3".into(), Scalar::of(raw));
                        }
                    });
                }
                return;
            }
            _ => return,
        };
        push(fields, name.into(), Scalar::of(raw));
    });
}

fn file<'a>(raw: &'a str, fields: &mut Vec<(Cow<'a, str>, Value<'a>)>) {
    json::inner_members(raw, |name, raw| {
        let name = match name.as_ref() {
            "filename" => "file.name",
            "size" => "file.size",
            "md5" => "file.hash.md5",
            "sha1" => "file.hash.sha1",
            "sha256" => "file.hash.sha256",
            "magic" | "mimetype" => "file.mime_type",
            _ => return,
        };
        push(fields, name.into(), Scalar::of(raw));
    });
}

fn ether<'a>(raw: &'a str, fields: &mut Vec<(Cow<'a, str>, Value<'a>)>) {
    json::inner_members(raw, |name, raw| match name.as_ref() {
        "src_mac" => push(fields, "source.mac".into(), Scalar::of(raw)),
        "dest_mac" => push(fields, "destination.mac".into(), Scalar::of(raw)),
        _ => {}
    });
}

/// The field that a member of the record goes to.
fn top_name(name: Cow<'_, str>) -> Cow<'_, str> {
    let known = match name.as_ref() {
        "flow_id" => "suricata.flow_id",
        "in_iface" => "observer.ingress.interface.name",
        "community_id" => "network.community_id",
        "vlan" => "network.vlan.id",
        "flow" => "suricata.flow",
        "tx_id" => "suricata.tx_id",
        "icmp_type" => "icmp.type",
        "icmp_code" => "icmp.code",
        "pcap_cnt" => "suricata.pcap_cnt",
        "payload_printable" => "suricata.payload_printable",
        "stream" => "suricata.stream",
        "direction" => "suricata.direction",
        _ => return format!("suricata.{name}").into(),
    };
    known.into()
}

/// Appends a field; there are never more of them than a record has members, and their number is capped like theirs.
fn push<'a>(fields: &mut Vec<(Cow<'a, str>, Value<'a>)>, name: Cow<'a, str>, value: Scalar<'a>) {
    if fields.len() < json::MAX_FIELDS
        && let Some(value) = value.into_value()
    {
        fields.push((name, value));
    }
}

fn put<'a>(record: &mut LogRecord<'a>, name: &'static str, value: Scalar<'a>) {
    if let Some(value) = value.into_value() {
        record.set(name, value);
    }
}

/// The first element of an array, or the value itself.
fn first(raw: &str) -> Scalar<'_> {
    let mut found = None;
    json::elements(raw, |element| found = found.or(Some(element)));
    Scalar::of(found.unwrap_or(raw))
}
