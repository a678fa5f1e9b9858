//! A frame that is a JSON object: Suricata's EVE, what journald, docker and log shippers wrap lines in, and JSON lines of any kind.
//!
//! Members are known by their ECS name, dotted (`"source.ip"`) or nested (`{"source":{"ip":…}}`), and by the names that programs
//! commonly give to the same thing. Of two members for one column the better known name wins, whatever their order; the other goes to
//! `fields` with everything else. Text in `message`, `log` or `MESSAGE` is read by the parsers of lines.

use std::borrow::Cow;

use crate::parse::dialect::Mark::Begins;
use crate::parse::dialect::{Dialect, RECOGNISER};
use crate::parse::json::{self, MAX_FIELDS, Name, Scalar};
use crate::parse::message::{Named, Sign, Watch};
use crate::parse::own::{self, Part};
use crate::parse::{Context, scan};
use crate::record::{EventType, LogRecord, Severity, Timestamp, Value, Zone};

pub(crate) const DIALECT: Dialect = Dialect {
    name: "json",
    product: "JSON lines of any kind: ECS, journald, docker, log shippers",
    reference: "https://www.elastic.co/docs/reference/ecs",
    marks: &[Begins("{"), Begins("@cee:")],
    parse: message,
    samples: &[
        r#"{"@timestamp":"2026-11-20T06:25:01Z","host":{"name":"web1"},"event":{"category":["authentication"],"outcome":"failure"},"user":{"name":"mia"},"source":{"ip":"203.0.113.77"}}"#,
    ],
};

/// Reads a frame that starts with `{`. Text that is no JSON object becomes a text record whose `error` names the byte.
pub(crate) fn parse<'a>(text: &'a str, context: &Context<'_>, named: Option<Named>, watch: Watch<'_>) -> LogRecord<'a> {
    let mut record = LogRecord::text(text);
    let text = text.trim_start();
    let tried = |dialect: &'static Dialect, sign: Sign<'_>, record: &mut LogRecord<'a>, watch: Watch<'_>| {
        let understood = (dialect.parse)(text, record, context);
        watch(dialect.name, sign, understood);
        understood
    };
    if named.and_then(Named::dialect).is_some_and(|dialect| tried(dialect, Sign::Named, &mut record, watch))
        || own::read(Part::Object, text, &mut record, named, context, watch)
        || RECOGNISER.of_object(text, &mut |dialect, mark| tried(dialect, Sign::Mark(mark), &mut record, watch))
    {
        return record;
    }
    match fill(text, &mut record, context) {
        Ok(()) => record,
        Err(error) => {
            let mut record = LogRecord::text(text);
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or("not JSON");
            record.error = Some(format!("json: {what} at byte {}", json::offset(text, &error)).into());
            record
        }
    }
}

/// Reads the JSON object that a syslog message consists of, also behind the `@cee:` cookie. What the envelope said of time, host and
/// program stays unless the object says better. False for anything else, and the record is as it was.
fn message<'a>(message: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> bool {
    let text = message.trim_start();
    let text = text.strip_prefix("@cee:").map_or(text, str::trim_start);
    if !text.starts_with('{') {
        return false;
    }
    if RECOGNISER.of_object(text, &mut |dialect, _| (dialect.parse)(text, record, context)) {
        return true;
    }
    fill(text, record, context).is_ok()
}

fn fill<'a>(text: &'a str, record: &mut LogRecord<'a>, context: &Context<'_>) -> Result<(), serde_json::Error> {
    let mut reader = Reader { found: Found::default(), fields: Vec::new(), zone: context.zone };
    json::walk(text, &mut |name, value| reader.member(name, value))?;
    reader.finish(record);
    Ok(())
}

/// The columns that members may speak for.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Column {
    Time,
    /// Microseconds in the journal's own clock.
    JournalTime,
    Host,
    App,
    Pid,
    /// `app[pid]:`
    Tag,
    User,
    SrcIp,
    SrcPort,
    DstIp,
    DstPort,
    Protocol,
    Action,
    Message,
    Level,
    Type,
    Method,
    Status,
    Category,
    Outcome,
    /// Which of Zeek's logs it is from.
    Stream,
    /// An event's name in structured logging.
    Event,
}

/// How well `source_ip` is known to be the remote end, and no other name.
const SOURCE_IP: u8 = 2;

/// What a member's name says, and how well it is known to say so: of two, the lower number wins.
#[rustfmt::skip]
fn column(name: &str) -> Option<(Column, u8)> {
    use Column::*;
    Some(match name {
        "@timestamp" => (Time, 0), "timestamp" => (Time, 1), "time" => (Time, 2), "ts" => (Time, 3), "datetime" => (Time, 4),
        "event_time" | "eventTime" | "event.created" | "isotimestamp" | "ISODATE" => (Time, 5), "date" | "Time" | "StartUTC" | "unixTime" => (Time, 6),
        "_SOURCE_REALTIME_TIMESTAMP" => (JournalTime, 1), "__REALTIME_TIMESTAMP" => (JournalTime, 2),
        "host" | "hostname" | "host.name" => (Host, 1), "_HOSTNAME" | "host.hostname" | "hostIdentifier" | "syslog_hostname" | "HOST" => (Host, 2),
        "computer" | "Computer" | "device" | "sensor" | "observer.name" | "@system" => (Host, 3), "beat.hostname" | "agent.hostname" | "logsource" => (Host, 4),
        "kubernetes.host" | "kubernetes.node.name" | "kubernetes.node_name" => (Host, 5),
        "SYSLOG_IDENTIFIER" | "process.name" | "app" | "appname" | "app_name" => (App, 1),
        "program" | "application" | "syslog_program" | "ident" | "programname" | "PROGRAM" => (App, 2),
        "_COMM" | "service" | "service.name" | "daemon" => (App, 3),
        "pid" | "process.pid" | "_PID" => (Pid, 1), "SYSLOG_PID" | "procid" | "PID" => (Pid, 2), "syslogtag" => (Tag, 3),
        "user.name" | "username" | "user_name" | "userName" => (User, 1), "user" | "account" | "login" => (User, 2),
        "remote_user" | "ClientUsername" => (User, 3), "decorations.username" | "identifier" => (User, 4),
        "source.ip" | "src_ip" | "srcip" | "id.orig_h" | "id_orig_h" => (SrcIp, 1), "source_ip" => (SrcIp, SOURCE_IP),
        "client.ip" | "client_ip" | "clientip" | "remote_addr" | "remote_ip" | "ClientHost" | "sourceIPAddress" => (SrcIp, 3),
        "source.address" | "origin.address" | "src" | "src_addr" | "ClientAddr" | "remote" | "req.remoteAddress" => (SrcIp, 4), "ip" => (SrcIp, 5),
        "source.port" | "src_port" | "source_port" | "srcport" | "id.orig_p" | "id_orig_p" => (SrcPort, 1),
        "client.port" | "remote_port" | "ClientPort" => (SrcPort, 2),
        "destination.ip" | "dest_ip" | "dst_ip" | "destination_ip" | "dstip" | "id.resp_h" | "id_resp_h" => (DstIp, 1),
        "destination.address" | "server.ip" | "server_addr" | "dst" | "dst_addr" | "dest" => (DstIp, 2),
        "destination.port" | "dest_port" | "dst_port" | "destination_port" | "dstport" | "id.resp_p" | "id_resp_p" => (DstPort, 1),
        "server.port" | "server_port" => (DstPort, 2),
        "network.transport" | "proto" => (Protocol, 1), "transport" | "protocol" => (Protocol, 2),
        "event.action" | "action" => (Action, 1), "eventid" | "event_action" => (Action, 2),
        "message" | "MESSAGE" => (Message, 1), "msg" | "log" | "short_message" => (Message, 2), "event.original" => (Message, 3),
        // Exports of Splunk, whole or as events.
        "_raw" | "result._raw" | "@message" | "SyslogMessage" | "textPayload" | "jsonPayload.message" => (Message, 4), "result.host" => (Host, 4), "result._time" => (Time, 7),
        "severity" => (Level, 1), "log.level" | "level" | "log_level" | "loglevel" | "lvl" => (Level, 2), "PRIORITY" => (Level, 3),
        "event_type" => (Type, 1),
        "http.request.method" | "request_method" | "RequestMethod" | "method" => (Method, 1),
        "http.response.status_code" | "status" | "status_code" | "statusCode" | "DownstreamStatus" => (Status, 1),
        "event.category" => (Category, 1), "_path" | "@stream" => (Stream, 1), "event" => (Event, 1), "event.outcome" => (Outcome, 1),
        _ => return None,
    })
}

/// The ECS name of a column's value that lost to a better known one, or that does not fit its column, is its own name; a method and a
/// status always go to fields, under these names.
fn field_name(column: Column) -> Option<&'static str> {
    match column {
        Column::Method => Some("http.request.method"),
        Column::Status => Some("http.response.status_code"),
        Column::Category => Some("event.category"),
        Column::Outcome => Some("event.outcome"),
        _ => None,
    }
}

/// The best value of each column so far, with its rank.
type Best<T> = Option<(u8, T)>;

#[derive(Default)]
struct Found<'a> {
    time: Best<Timestamp>,
    host: Best<Cow<'a, str>>,
    app: Best<Cow<'a, str>>,
    pid: Best<u32>,
    user: Best<Cow<'a, str>>,
    src: Best<(std::net::IpAddr, Option<u16>)>,
    src_port: Best<u16>,
    dst: Best<(std::net::IpAddr, Option<u16>)>,
    dst_port: Best<u16>,
    protocol: Best<Cow<'a, str>>,
    action: Best<Cow<'a, str>>,
    message: Best<Cow<'a, str>>,
    severity: Best<Severity>,
    event_type: Best<EventType>,
    method: bool,
    status: bool,
    authentication: bool,
    notice: bool,
    refused: bool,
    outcome: Option<bool>,
}

struct Reader<'a, 'c> {
    found: Found<'a>,
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
    zone: &'c Zone,
}

impl<'a> Reader<'a, '_> {
    fn member(&mut self, name: Name<'a, '_>, value: Scalar<'a>) {
        let Some((column, rank)) = column(&name) else { return self.keep(name.into(), value) };
        let found = &mut self.found;
        let left = match column {
            Column::Time => {
                let time = match (&value, value.number::<f64>()) {
                    (_, Some(number)) => scan::epoch(number),
                    (Scalar::Text(text), None) => scan::iso_time(text, Some(self.zone)),
                    _ => None,
                };
                place(&mut found.time, rank, time, value)
            }
            Column::JournalTime => {
                let time = value.number().map(Timestamp::from_micros).filter(|t| *t <= Timestamp::MAX && *t >= Timestamp::MIN);
                place(&mut found.time, rank + 100, time, value)
            }
            Column::Host => text(&mut found.host, rank, value),
            Column::App => text(&mut found.app, rank, value),
            Column::User => match &value {
                Scalar::Text(user) if user == "-" => None,
                _ => text(&mut found.user, rank, value),
            },
            Column::Action => text(&mut found.action, rank, value),
            Column::Message => match &value {
                // journald writes what is no UTF-8 as a list of bytes.
                Scalar::Array(list) if &*name == "MESSAGE" => {
                    let line = serde_json::from_str::<Vec<u8>>(list).ok().map(|bytes| crate::parse::text(&bytes).into_owned());
                    place(&mut found.message, rank, line.map(Cow::Owned), value)
                }
                _ => text(&mut found.message, rank, value),
            },
            Column::Protocol => text(&mut found.protocol, rank, value),
            Column::Tag => {
                if let Scalar::Text(Cow::Borrowed(tag)) = &value {
                    let (app, pid) = tag.trim_end_matches([':', ']']).split_once('[').unwrap_or((tag.trim_end_matches(':'), ""));
                    place(&mut found.pid, rank, pid.parse().ok(), Scalar::Nothing);
                    text(&mut found.app, rank, Scalar::Text(Cow::Borrowed(app)));
                }
                Some(value)
            }
            Column::Pid => place(&mut found.pid, rank, value.number(), value),
            Column::SrcIp => place(&mut found.src, rank, address(&value), value),
            Column::DstIp => place(&mut found.dst, rank, address(&value), value),
            Column::SrcPort => place(&mut found.src_port, rank, value.number(), value),
            Column::DstPort => place(&mut found.dst_port, rank, value.number(), value),
            Column::Level => {
                place(&mut found.severity, rank, severity(&value), value.clone());
                Some(value)
            }
            Column::Type => {
                let kind = match &value {
                    Scalar::Text(word) => word.parse().ok(),
                    _ => None,
                };
                place(&mut found.event_type, rank, kind, value)
            }
            Column::Method | Column::Status | Column::Category | Column::Outcome | Column::Stream | Column::Event => {
                match (column, &value) {
                    (Column::Method, Scalar::Text(_)) => found.method = true,
                    (Column::Status, _) => found.status |= value.number::<u16>().is_some_and(|s| (100..600).contains(&s)),
                    // The line that a forwarder of Splunk took; in structured logging, the message.
                    (Column::Event, Scalar::Text(line)) if line.contains(' ') || line.starts_with('{') => {
                        let line = line.clone();
                        return if let Some(value) = text(&mut found.message, 5, Scalar::Text(line)) {
                            self.keep(name.into(), value);
                        };
                    }
                    (Column::Event, Scalar::Text(word)) => {
                        found.refused |=
                            matches!(word.as_ref(), "invalid_login" | "login_failed" | "failed_login" | "login.failed");
                    }
                    (Column::Stream, Scalar::Text(word)) => found.notice |= word == "notice",
                    (Column::Category, Scalar::Text(word)) => found.authentication |= word == "authentication",
                    (Column::Category, Scalar::Array(list)) => found.authentication |= scan::has(list, "\"authentication\""),
                    (Column::Outcome, Scalar::Text(word)) => {
                        found.outcome = match word.as_ref() {
                            "success" => Some(true),
                            "failure" => Some(false),
                            _ => None,
                        }
                    }
                    _ => {}
                }
                Some(value)
            }
        };
        if let Some(value) = left {
            self.keep(field_name(column).map_or_else(|| name.into(), Cow::Borrowed), value);
        }
    }

    /// Into `fields`, as long as there is room.
    fn keep(&mut self, name: Cow<'a, str>, value: Scalar<'a>) {
        if self.fields.len() < MAX_FIELDS
            && let Some(value) = value.into_value()
        {
            self.fields.push((name, value));
        }
    }

    fn finish(self, record: &mut LogRecord<'a>) {
        let Found {
            time,
            host,
            app,
            pid,
            user,
            src,
            src_port,
            dst,
            dst_port,
            protocol,
            action,
            message,
            severity,
            event_type,
            ..
        } = self.found;
        record.event_time = time.map(|t| t.1).or(record.event_time);
        record.host = host.map(|h| h.1).or(record.host.take());
        record.app = app.map(|a| a.1).or(record.app.take());
        record.pid = pid.map(|p| p.1).or(record.pid);
        record.username = user.map(|u| u.1);
        // Vector names whoever sent it a line, which is a relay or the device, in the way in which others name an attacker.
        let is_vector = self.fields.iter().any(|(name, _)| name == "source_type");
        let src = src.filter(|(rank, (ip, _))| {
            let is_sender = is_vector && *rank == SOURCE_IP;
            if is_sender {
                record.set("log.source.address", ip.to_string());
            }
            !is_sender
        });
        record.src_ip = src.as_ref().map(|s| s.1.0);
        record.src_port = src_port.map(|p| p.1).or(src.and_then(|s| s.1.1));
        record.dst_ip = dst.as_ref().map(|d| d.1.0);
        record.dst_port = dst_port.map(|p| p.1).or(dst.and_then(|d| d.1.1));
        record.protocol = protocol.map(|p| match p.1 {
            Cow::Borrowed(p) => scan::protocol(p),
            Cow::Owned(p) => p.to_ascii_lowercase().into(),
        });
        record.action = action.map(|a| a.1);
        record.severity = severity.map_or(record.severity, |s| s.1);
        record.format.message = "json";
        let told = event_type.map(|t| t.1);
        record.fields.reserve(self.fields.len());
        for (name, value) in self.fields {
            record.set(name, value);
        }
        let action = record.action.as_deref().unwrap_or_default();
        record.event_type = match (told, self.found.authentication, self.found.outcome) {
            (Some(kind), ..) => kind,
            _ if self.found.refused || matches!(action, "login_failed" | "cowrie.login.failed") => EventType::LoginFailed,
            _ if action == "cowrie.login.success" => EventType::LoginSuccess,
            (_, true, _) if action.contains("logout") || action.contains("logoff") => EventType::Logout,
            (_, true, Some(true)) => EventType::LoginSuccess,
            (_, true, Some(false)) => EventType::LoginFailed,
            _ if self.found.notice => EventType::IdsAlert,
            _ if self.found.method && self.found.status || action == "http_request" => EventType::HttpRequest,
            _ => EventType::Other,
        };
        if let Some((_, message)) = message {
            // docker's json-file driver keeps the newline of every line.
            record.message = match message {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(['\n', '\r'])),
                Cow::Owned(text) => Cow::Owned(text.trim_end_matches(['\n', '\r']).to_owned()),
            };
        }
    }
}

/// Puts a value into its column if it fits and is better known than what is there; gives back what has to go to `fields`.
fn place<'a, T>(slot: &mut Best<T>, rank: u8, parsed: Option<T>, value: Scalar<'a>) -> Option<Scalar<'a>> {
    match (parsed, &*slot) {
        (Some(_), Some((best, _))) if *best <= rank => Some(value),
        (Some(parsed), _) => {
            // What it replaces was of less standing; its text is in `logs.raw`.
            *slot = Some((rank, parsed));
            None
        }
        (None, _) => Some(value),
    }
}

/// [`place`] for text.
fn text<'a>(slot: &mut Best<Cow<'a, str>>, rank: u8, value: Scalar<'a>) -> Option<Scalar<'a>> {
    match value {
        Scalar::Text(text) => place(slot, rank, Some(text.clone()), Scalar::Text(text)),
        Scalar::Nothing => None,
        other => Some(other),
    }
}

/// An address, alone or with a port.
fn address(value: &Scalar<'_>) -> Option<(std::net::IpAddr, Option<u16>)> {
    let Scalar::Text(text) = value else { return None };
    let (host, port) = scan::host_port(text);
    scan::ip(host).map(|ip| (ip, port))
}

/// Our own words, syslog's names and numbers.
fn severity(value: &Scalar<'_>) -> Option<Severity> {
    if let Scalar::Text(word) = value
        && let Some(own) = Severity::ALL.iter().find(|own| own.as_str().eq_ignore_ascii_case(word))
    {
        // "critical" is syslog's word too, and there it means far less than an incident.
        return Some(if *own == Severity::Critical { Severity::High } else { *own });
    }
    let level = match value {
        Scalar::Text(word) => scan::level(word).or_else(|| word.parse().ok()),
        _ => value.number(),
    }?;
    (level <= 7).then(|| Severity::from_syslog(level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn context() -> Context<'static> {
        Context { now: Timestamp::parse_rfc3339("2026-03-01T12:00:00Z").unwrap(), zone: &Zone::UTC, own: &[] }
    }

    fn read(text: &str) -> LogRecord<'_> {
        crate::parse::parse(text, &context())
    }

    fn at(text: &str) -> Option<Timestamp> {
        Some(Timestamp::parse_rfc3339(text).unwrap())
    }

    #[test]
    fn eve_alert() {
        let record = read(
            r#"{"timestamp":"2026-02-11T08:15:30.250000+0100","flow_id":99,"in_iface":"eth1","event_type":"alert","src_ip":"203.0.113.80","src_port":443,"dest_ip":"192.0.2.7","dest_port":50111,"proto":"TCP","alert":{"action":"blocked","gid":1,"signature_id":2035000,"rev":3,"signature":"ET MALWARE Example Loader Checkin","category":"Malware Command and Control Activity Detected","severity":1,"metadata":{"mitre_technique_id":["T1071"],"tag":["a"]}},"tls":{"sni":"bad.example","version":"TLS 1.2"},"app_proto":"tls"}"#,
        );
        assert_eq!(record.format.to_string(), "suricata");
        assert_eq!((record.event_type, record.severity), (EventType::MalwareDetected, Severity::High));
        assert_eq!(record.event_time, at("2026-02-11T07:15:30.25Z"));
        assert_eq!((record.src_ip, record.src_port), ("203.0.113.80".parse().ok(), Some(443)));
        assert_eq!((record.dst_ip, record.dst_port), ("192.0.2.7".parse().ok(), Some(50111)));
        assert_eq!(record.message, "ET MALWARE Example Loader Checkin");
        assert_eq!((record.action.as_deref(), record.protocol.as_deref()), (Some("blocked"), Some("tcp")));
        assert_eq!(record.field("threat.technique.id"), Some(&"T1071".into()));
        assert_eq!(record.field("tls.client.server_name"), Some(&"bad.example".into()));
        assert_eq!(record.field("rule.id"), Some(&Value::Int(2_035_000)));
    }

    #[test]
    fn eve_of_other_kinds() {
        use EventType::*;
        for (kind, body, want) in [
            ("flow", r#""flow":{"bytes_toserver":120}"#, DataTransfer),
            ("http", r#""http":{"hostname":"a.example","url":"/","status":200}"#, HttpRequest),
            ("dns", r#""dns":{"version":3,"type":"request","queries":[{"rrname":"a.example","rrtype":"A"}]}"#, Other),
            ("drop", r#""drop":{"len":40,"reason":"rules"}"#, ConnectionBlocked),
            ("stats", r#""stats":{"uptime":5}"#, System),
            ("alert", r#""alert":{"severity":3,"signature":"SURICATA STREAM x","category":""}"#, IdsAlert),
        ] {
            let line = format!(
                r#"{{"timestamp":"2026-02-11T08:15:30.25+0000","flow_id":1,"event_type":"{kind}","src_ip":"::1","dest_ip":"::1",{body}}}"#
            );
            let record = read(&line);
            assert_eq!((record.event_type, record.severity), (want, Severity::Low), "{line}");
            assert_eq!(record.format.message, "suricata");
        }
        let line = r#"{"timestamp":"2026-02-11T08:15:30+0000","flow_id":1,"event_type":"dns","dns":{"queries":[{"rrname":"a.example"}]}}"#;
        assert_eq!(read(line).field("dns.question.name"), Some(&"a.example".into()));
    }

    #[test]
    fn members_by_any_name() {
        #[rustfmt::skip]
        let table = [
            r#"{"@timestamp":"2026-02-11T08:15:30Z","host":{"name":"web1"},"process":{"name":"shop","pid":7},"user":{"name":"eve"},"source":{"ip":"192.0.2.9","port":4000},"destination":{"ip":"192.0.2.1","port":"443"},"network":{"transport":"TCP"},"message":"m"}"#,
            r#"{"ts":1770797730.0,"hostname":"web1","app":"shop","pid":"7","username":"eve","src_ip":"192.0.2.9","src_port":4000,"dst_ip":"192.0.2.1","dst_port":443,"proto":"tcp","msg":"m"}"#,
            r#"{"time":1770797730000,"host":"web1","service":"shop","process.pid":7,"user":"eve","source.ip":"::ffff:192.0.2.9","source.port":4000,"destination.ip":"192.0.2.1","destination.port":443,"network.transport":"tcp","log":"m\n"}"#,
            r#"{"__REALTIME_TIMESTAMP":"1770797730000000","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"shop","_PID":"7","user":"eve","client_ip":"192.0.2.9:4000","dest":"192.0.2.1:443","proto":"tcp","MESSAGE":"m"}"#,
        ];
        for line in table {
            let record = read(line);
            assert_eq!(record.event_time, at("2026-02-11T08:15:30Z"), "{line}");
            assert_eq!(
                (record.host.as_deref(), record.app.as_deref(), record.pid),
                (Some("web1"), Some("shop"), Some(7)),
                "{line}"
            );
            assert_eq!((record.username.as_deref(), record.message.as_ref()), (Some("eve"), "m"), "{line}");
            assert_eq!((record.src_ip, record.src_port), ("192.0.2.9".parse().ok(), Some(4000)), "{line}");
            assert_eq!((record.dst_ip, record.dst_port), ("192.0.2.1".parse().ok(), Some(443)), "{line}");
            assert_eq!(record.protocol.as_deref(), Some("tcp"), "{line}");
        }
    }

    #[test]
    fn the_better_known_name_wins_in_any_order() {
        for line in [r#"{"ip":"192.0.2.1","source.ip":"192.0.2.2"}"#, r#"{"source.ip":"192.0.2.2","ip":"192.0.2.1"}"#] {
            assert_eq!(read(line).src_ip, "192.0.2.2".parse().ok(), "{line}");
        }
    }

    #[test]
    fn what_has_no_column_goes_to_fields() {
        let record = read(r#"{"a":{"b":{"c":1.5}},"ok":true,"list":[1,{"x":2}],"empty":{},"none":null,"src_ip":"gateway"}"#);
        assert_eq!(record.field("a.b.c"), Some(&Value::Float(1.5)));
        assert_eq!(record.field("ok"), Some(&Value::Bool(true)));
        assert_eq!(record.field("list"), Some(&Value::Json(r#"[1,{"x":2}]"#.into())));
        assert_eq!(record.field("src_ip"), Some(&"gateway".into()));
        assert_eq!(record.fields.len(), 4);
        let many = format!("{{{}}}", (0..500).map(|i| format!("\"k{i}\":{i}")).collect::<Vec<_>>().join(","));
        assert_eq!(read(&many).fields.len(), MAX_FIELDS);
    }

    #[test]
    fn logins_are_told_by_category_and_outcome() {
        for (line, want) in [
            (r#"{"event":{"category":["authentication"],"outcome":"failure"}}"#, EventType::LoginFailed),
            (r#"{"event.category":"authentication","event.outcome":"success"}"#, EventType::LoginSuccess),
            (r#"{"event.category":"authentication","event.outcome":"unknown"}"#, EventType::Other),
            (r#"{"event.category":"web","event.outcome":"failure"}"#, EventType::Other),
            (r#"{"event_type":"login_failed","src_ip":"192.0.2.1"}"#, EventType::LoginFailed),
            (r#"{"event_type":"login_failed","timestamp":"2026-02-11T08:15:30Z","dest_ip":"192.0.2.1"}"#, EventType::LoginFailed),
            (r#"{"action":"invalid_identifier","event":"invalid_login","identifier":"eve"}"#, EventType::LoginFailed),
            (r#"{"eventid":"cowrie.login.failed"}"#, EventType::LoginFailed),
            (r#"{"_path":"notice","id.orig_h":"192.0.2.1","note":"Scan::Port_Scan"}"#, EventType::IdsAlert),
            (r#"{"method":"GET","status":403}"#, EventType::HttpRequest),
            (r#"{"message":"authentication failure"}"#, EventType::Other),
        ] {
            assert_eq!(read(line).event_type, want, "{line}");
        }
    }

    #[test]
    fn broken_json_is_kept_as_text() {
        let record = read(r#"{"a":1,"b"}"#);
        assert_eq!(record.message, r#"{"a":1,"b"}"#);
        assert_eq!(record.format.message, "text");
        assert_eq!(record.error.as_deref(), Some("json: expected `:` at byte 10"));
    }

    #[test]
    fn json_in_a_syslog_message() {
        let mut record = LogRecord::text("x");
        record.host = Some("fw1".into());
        assert!(message(r#"@cee: {"msg":"hello","uid":5}"#, &mut record, &context()));
        assert_eq!((record.host.as_deref(), record.message.as_ref()), (Some("fw1"), "hello"));
        assert!(!message(r#"@cee: {"msg":"#, &mut record, &context()));
        assert!(!message("plain", &mut record, &context()));
    }

    #[test]
    fn lines_inside_are_read() {
        let docker = read(
            r#"{"log":"192.0.2.7 - eve [11/Feb/2026:08:15:30 +0000] \"GET / HTTP/1.1\" 200 5\n","stream":"stdout","time":"2026-02-11T08:15:31.5Z"}"#,
        );
        assert_eq!((docker.event_type, docker.username.as_deref()), (EventType::HttpRequest, Some("eve")));
        assert_eq!(docker.event_time, at("2026-02-11T08:15:30Z"));
        assert_eq!(docker.format.to_string(), "json+access");
        let journal = read(
            r#"{"__REALTIME_TIMESTAMP":"1770797730000000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"sshd","_PID":"7","PRIORITY":"6","MESSAGE":"Failed password for root from 192.0.2.9 port 4000 ssh2"}"#,
        );
        assert_eq!((journal.event_type, journal.username.as_deref()), (EventType::LoginFailed, Some("root")));
        assert_eq!((journal.src_ip, journal.host.as_deref()), ("192.0.2.9".parse().ok(), Some("h")));
        let beat = read(r#"{"@timestamp":"2026-02-11T08:16:00Z","message":"<13>1 2026-02-11T08:15:30Z web1 shop 7 - - hello"}"#);
        assert_eq!(
            (beat.event_time, beat.host.as_deref(), beat.message.as_ref()),
            (at("2026-02-11T08:15:30Z"), Some("web1"), "hello")
        );
    }

    #[test]
    fn what_a_collector_says_of_itself() {
        let vector = read(r#"{"host":"h","message":"hello","source_ip":"198.51.100.9","source_type":"syslog"}"#);
        assert_eq!((vector.src_ip, vector.field("log.source.address")), (None, Some(&"198.51.100.9".into())));
        let journal = read(r#"{"_HOSTNAME":"h","SYSLOG_IDENTIFIER":"shop","MESSAGE":[104,105,255,27]}"#);
        assert_eq!(journal.message, "hi\\xFF\u{1b}");
        let rsyslog = read(r#"{"syslogtag":"sshd[7]:","message":"Failed password for root from 192.0.2.9 port 4000 ssh2"}"#);
        assert_eq!((rsyslog.app.as_deref(), rsyslog.pid, rsyslog.format.message), (Some("sshd"), Some(7), "sshd"));
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "[{](\\PC{0,20}|\"event_type\":|\"timestamp\":\"|\"flow_id\":1,|[{}\\[\\],:\"\\\\u0d8]){0,20}") {
            read(&text);
        }

        #[test]
        fn any_object_is_read(key in "\\PC{1,12}", number: f64, word in "\\PC{0,12}") {
            let text = serde_json::json!({ key.clone(): { "n": number, "w": word }, "message": word }).to_string();
            prop_assert_eq!(read(&text).error, None);
        }
    }
}
