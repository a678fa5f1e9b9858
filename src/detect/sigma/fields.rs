//! Field names of rules → values of records.

use std::net::IpAddr;

use crate::record::{EventType, LogRecord, Value};

/// Where the value of a field is.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::detect) enum Field {
    /// In a column.
    Column(Column),
    /// In `fields`, under the first of these names that is there.
    Named(Vec<Box<str>>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::detect) enum Column {
    Host,
    App,
    Pid,
    EventType,
    Severity,
    Username,
    SrcIp,
    SrcPort,
    DstIp,
    DstPort,
    Protocol,
    Action,
    Message,
    /// The address of the remote end, or its name where only that is known.
    SrcAddress,
    /// `event.category`, from the event type.
    Category,
    /// `event.outcome`, likewise.
    Outcome,
}

/// The columns by all names that rules know them by: the column's own, its ECS name, those of Sigma's taxonomy.
const COLUMNS: &[(Column, &[&str])] = &[
    (Column::Host, &["host", "host.name", "hostname", "Hostname", "ComputerName", "Computer"]),
    (Column::App, &["app", "process.name", "program", "ProcessName", "deviceProcessName"]),
    (Column::Pid, &["pid", "process.pid", "ProcessId"]),
    (Column::EventType, &["event_type"]),
    (Column::Severity, &["severity"]),
    (Column::Username, &["username", "user.name", "user_name", "user", "User", "cs-username"]),
    (
        Column::SrcIp,
        &[
            "src_ip",
            "source.ip",
            "client.ip",
            "source_ip",
            "client_ip",
            "SourceIp",
            "SourceIP",
            "c-ip",
            "ClientIP",
            "clientip",
            "IpAddress",
            "id.orig_h",
        ],
    ),
    (Column::SrcPort, &["src_port", "source.port", "client.port", "SourcePort", "c-port", "id.orig_p"]),
    (
        Column::DstIp,
        &[
            "dst_ip",
            "destination.ip",
            "server.ip",
            "destination_ip",
            "DestinationIp",
            "DestinationIP",
            "dest_ip",
            "r-ip",
            "id.resp_h",
        ],
    ),
    (Column::DstPort, &["dst_port", "destination.port", "server.port", "DestinationPort", "dest_port", "r-port", "id.resp_p"]),
    (Column::Protocol, &["protocol", "network.transport", "proto", "Protocol"]),
    (Column::Action, &["action", "event.action"]),
    (Column::Message, &["message", "msg", "Message"]),
    (Column::SrcAddress, &["source.address", "client.address"]),
    (Column::Category, &["event.category"]),
    (Column::Outcome, &["event.outcome"]),
];

/// Names of Sigma's taxonomy (appendix 2.1: web servers, proxies, DNS, processes) for what is in `fields` under ECS names.
const NAMED: &[(&str, &[&str])] = &[
    ("cs-method", &["http.request.method"]),
    ("cs-uri", &["url.original"]),
    ("c-uri", &["url.original"]),
    ("cs-uri-stem", &["url.path", "url.original"]),
    ("cs-uri-query", &["url.query", "url.original"]),
    ("c-uri-query", &["url.query", "url.original"]),
    ("c-uri-stem", &["url.path", "url.original"]),
    ("c-uri-extension", &["url.extension"]),
    ("cs-host", &["url.domain"]),
    ("r-dns", &["url.domain", "destination.domain"]),
    ("sc-status", &["http.response.status_code"]),
    ("sc-bytes", &["http.response.body.bytes"]),
    ("cs-bytes", &["http.request.body.bytes"]),
    ("cs-user-agent", &["user_agent.original"]),
    ("c-useragent", &["user_agent.original"]),
    ("cs-referer", &["http.request.referrer"]),
    ("cs-referrer", &["http.request.referrer"]),
    ("cs-version", &["http.version"]),
    ("query", &["dns.question.name", "query"]),
    ("QueryName", &["dns.question.name"]),
    ("record_type", &["dns.question.type"]),
    ("answer", &["dns.answers.data", "answer"]),
    ("CommandLine", &["process.command_line"]),
    ("Image", &["process.executable"]),
    ("ParentImage", &["process.parent.executable"]),
    ("ParentCommandLine", &["process.parent.command_line"]),
    ("CurrentDirectory", &["process.working_directory"]),
    ("EventID", &["event.code", "winlog.event_id"]),
];

/// A value, as tests look at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::detect) enum Seen<'r> {
    Text(&'r str),
    Int(i64),
    Float(f64),
    Bool(bool),
    Ip(IpAddr),
    Null,
}

impl Seen<'_> {
    /// Calls `f` with the value as text.
    pub(in crate::detect) fn with_text<T>(self, f: impl FnOnce(&str) -> T) -> T {
        match self {
            Seen::Text(text) => f(text),
            Seen::Int(number) => f(&number.to_string()),
            Seen::Float(number) => f(&number.to_string()),
            Seen::Bool(truth) => f(if truth { "true" } else { "false" }),
            Seen::Ip(ip) => f(&ip.to_string()),
            Seen::Null => f(""),
        }
    }
}

impl Field {
    /// The field that a rule names.
    pub(super) fn named(name: &str) -> Field {
        if let Some((column, _)) = COLUMNS.iter().find(|(_, names)| names.contains(&name)) {
            return Field::Column(*column);
        }
        let names = NAMED.iter().find(|(known, _)| *known == name).map_or(std::slice::from_ref(&name), |(_, names)| *names);
        Field::Named(names.iter().map(|n| (*n).into()).collect())
    }

    /// Whether it is the account.
    pub(in crate::detect) fn is_account(&self) -> bool {
        *self == Field::Column(Column::Username)
    }

    /// Whether a record has it, be it empty.
    pub(super) fn exists(&self, record: &LogRecord<'_>) -> bool {
        let mut exists = false;
        self.any(record, &mut |_| {
            exists = true;
            true
        });
        exists
    }

    /// Whether `test` holds for a value of the field; a list has several. Not called where the record has none.
    pub(in crate::detect) fn any(&self, record: &LogRecord<'_>, test: &mut dyn FnMut(Seen<'_>) -> bool) -> bool {
        match self {
            Field::Column(column) => value_of(*column, record).is_some_and(test),
            Field::Named(names) => names.iter().find_map(|name| record.field(name)).is_some_and(|value| any_in(value, test)),
        }
    }
}

fn value_of<'r>(column: Column, record: &'r LogRecord<'_>) -> Option<Seen<'r>> {
    let text = |t: &'r Option<std::borrow::Cow<'_, str>>| t.as_deref().map(Seen::Text);
    match column {
        Column::Host => text(&record.host),
        Column::App => text(&record.app),
        Column::Pid => record.pid.map(|n| Seen::Int(n.into())),
        Column::EventType => Some(Seen::Text(record.event_type.as_str())),
        Column::Severity => Some(Seen::Text(record.severity.as_str())),
        Column::Username => text(&record.username),
        Column::SrcIp => record.src_ip.map(Seen::Ip),
        Column::SrcPort => record.src_port.map(|n| Seen::Int(n.into())),
        Column::DstIp => record.dst_ip.map(Seen::Ip),
        Column::DstPort => record.dst_port.map(|n| Seen::Int(n.into())),
        Column::Protocol => text(&record.protocol),
        Column::Action => text(&record.action),
        Column::Message => Some(Seen::Text(&record.message)),
        Column::SrcAddress => record.src_ip.map(Seen::Ip).or_else(|| match record.field("source.domain") {
            Some(Value::Str(name)) => Some(Seen::Text(name)),
            _ => None,
        }),
        Column::Category => category(record.event_type).map(Seen::Text),
        Column::Outcome => outcome(record.event_type).map(Seen::Text),
    }
}

/// `event.category` (ECS 8.17, allowed values).
const fn category(event_type: EventType) -> Option<&'static str> {
    match event_type {
        EventType::LoginSuccess | EventType::LoginFailed | EventType::Logout | EventType::PrivilegeUse => Some("authentication"),
        EventType::AccountChange => Some("iam"),
        EventType::ConnectionAllowed | EventType::ConnectionBlocked | EventType::DataTransfer => Some("network"),
        EventType::IdsAlert => Some("intrusion_detection"),
        EventType::MalwareDetected => Some("malware"),
        EventType::HttpRequest => Some("web"),
        EventType::ConfigChange => Some("configuration"),
        EventType::ServiceChange | EventType::System => Some("host"),
        EventType::AccessDenied | EventType::Other => None,
    }
}

/// `event.outcome`, where the event type tells it.
const fn outcome(event_type: EventType) -> Option<&'static str> {
    match event_type {
        EventType::LoginSuccess | EventType::ConnectionAllowed => Some("success"),
        EventType::LoginFailed | EventType::AccessDenied | EventType::ConnectionBlocked => Some("failure"),
        _ => None,
    }
}

fn any_in(value: &Value<'_>, test: &mut dyn FnMut(Seen<'_>) -> bool) -> bool {
    match value {
        Value::Str(text) => test(Seen::Text(text)),
        Value::Int(number) => test(Seen::Int(*number)),
        Value::Float(number) => test(Seen::Float(*number)),
        Value::Bool(truth) => test(Seen::Bool(*truth)),
        Value::Json(text) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Array(list)) => list.iter().any(|v| json(v, test)),
            Ok(value) => json(&value, test),
            Err(_) => test(Seen::Text(text)),
        },
    }
}

fn json(value: &serde_json::Value, test: &mut dyn FnMut(Seen<'_>) -> bool) -> bool {
    use serde_json::Value as Json;
    match value {
        Json::Null => test(Seen::Null),
        Json::Bool(truth) => test(Seen::Bool(*truth)),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => test(Seen::Int(whole)),
            None => test(Seen::Float(number.as_f64().unwrap_or(f64::NAN))),
        },
        Json::String(text) => test(Seen::Text(text)),
        Json::Array(_) | Json::Object(_) => test(Seen::Text(&value.to_string())),
    }
}

/// Whether `test` holds for any text of a record: the message, and every field that is text. What keywords are looked for in.
pub(super) fn any_text(record: &LogRecord<'_>, test: &mut dyn FnMut(&str) -> bool) -> bool {
    test(&record.message)
        || [&record.username, &record.action, &record.host, &record.app].into_iter().flatten().any(|text| test(text))
        || record.fields.iter().any(|(_, value)| match value {
            Value::Str(text) | Value::Json(text) => test(text),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => false,
        })
}
