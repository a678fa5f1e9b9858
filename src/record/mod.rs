//! What a log line says, as a value: [`LogRecord`] and the closed vocabularies it is made of.
//!
//! The ground of the program: no file, no socket, no clock, no SQL. A record borrows from the frame that it was parsed from and
//! lives as long as the frame's buffer; it is encoded into its row and forgotten, so a line costs no allocation of its own.

pub mod assets;
pub mod case;
pub mod incident;
pub mod levels;
pub mod observable;
pub mod text;
mod time;
mod vocabulary;

use std::borrow::Cow;
use std::net::IpAddr;

pub use time::{Civil, Timestamp, UnknownZone, Zone, civil_from_days, days_from_civil, days_in_month};
pub use vocabulary::{EventType, Severity, UnknownWord};

/// One typed log record. Names follow the columns of `logs`; what has no column goes to `fields` under its ECS name.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord<'a> {
    /// When it happened, as the line says it; `None` where the line does not tell (it is then filed under its time of receipt).
    pub event_time: Option<Timestamp>,
    /// The machine or device that wrote the line (`host.name`).
    pub host: Option<Cow<'a, str>>,
    /// The program that wrote it (`process.name`, RFC 5424 APP-NAME).
    pub app: Option<Cow<'a, str>>,
    /// Its process id; a PROCID that is no such number goes to `fields["log.syslog.procid"]`.
    pub pid: Option<u32>,
    /// What kind of event it is.
    pub event_type: EventType,
    /// How bad it is.
    pub severity: Severity,
    /// The account that acted or was acted upon (`user.name`).
    pub username: Option<Cow<'a, str>>,
    /// The remote end, or the initiator of a connection. Where only a host name is known it is in `fields["source.domain"]`.
    pub src_ip: Option<IpAddr>,
    /// The initiator's port.
    pub src_port: Option<u16>,
    /// The responder.
    pub dst_ip: Option<IpAddr>,
    /// The responder's port.
    pub dst_port: Option<u16>,
    /// Network or transport protocol, lower case (`network.transport`): `tcp`, `udp`, `icmp` …
    pub protocol: Option<Cow<'a, str>>,
    /// What was done, in the product's own word, lower case (`event.action`).
    pub action: Option<Cow<'a, str>>,
    /// The message: what is left of the line after its envelope. For lines without an envelope, the whole line.
    pub message: Cow<'a, str>,
    /// Everything else the line says, under dotted ECS names. A name occurs once.
    pub fields: Vec<(Cow<'a, str>, Value<'a>)>,
    /// The parser that understood the line: `rfc3164+sshd`, `suricata`, `text` … Never empty.
    pub format: Format,
    /// Why only the text was kept, where that is so.
    pub error: Option<Cow<'static, str>>,
    /// How many events this line stands for: N for "message repeated N times", otherwise 1.
    pub count: u32,
    /// For a line about an attempt to log in of which other lines may tell too: which of them this one is.
    pub told_by: Option<ToldBy>,
}

/// Columns that a line may speak for (see [`LogRecord::filled`]).
pub const COLUMNS: usize = 11;

impl<'a> LogRecord<'a> {
    /// A record of kind `other` that has only its text.
    pub fn text(message: impl Into<Cow<'a, str>>) -> LogRecord<'a> {
        LogRecord {
            event_time: None,
            host: None,
            app: None,
            pid: None,
            event_type: EventType::Other,
            severity: Severity::Low,
            username: None,
            src_ip: None,
            src_port: None,
            dst_ip: None,
            dst_port: None,
            protocol: None,
            action: None,
            message: message.into(),
            fields: Vec::new(),
            format: Format { envelope: "", message: "text" },
            error: None,
            count: 1,
            told_by: None,
        }
    }

    /// The columns that a line may speak for, and whether this one did.
    pub fn filled(&self) -> [(&'static str, bool); COLUMNS] {
        [
            ("event_time", self.event_time.is_some()),
            ("host", self.host.is_some()),
            ("app", self.app.is_some()),
            ("pid", self.pid.is_some()),
            ("username", self.username.is_some()),
            ("src_ip", self.src_ip.is_some()),
            ("src_port", self.src_port.is_some()),
            ("dst_ip", self.dst_ip.is_some()),
            ("dst_port", self.dst_port.is_some()),
            ("protocol", self.protocol.is_some()),
            ("action", self.action.is_some()),
        ]
    }

    /// Adds a field under its dotted ECS name; replaces the value if the name is there already.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        self.put(name.into(), value.into());
    }

    fn put(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        if let Some(slot) = self.fields.iter_mut().find(|(n, _)| *n == name) {
            slot.1 = value;
            return;
        }
        if self.fields.capacity() == 0 {
            // Most lines have some: not to grow twice.
            self.fields.reserve(8);
        }
        self.fields.push((name, value));
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&Value<'a>> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The same record with text of its own, for one that must outlive what it was parsed from.
    pub fn into_owned(self) -> LogRecord<'static> {
        fn own(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        LogRecord {
            event_time: self.event_time,
            host: self.host.map(own),
            app: self.app.map(own),
            pid: self.pid,
            event_type: self.event_type,
            severity: self.severity,
            username: self.username.map(own),
            src_ip: self.src_ip,
            src_port: self.src_port,
            dst_ip: self.dst_ip,
            dst_port: self.dst_port,
            protocol: self.protocol.map(own),
            action: self.action.map(own),
            message: own(self.message),
            fields: self.fields.into_iter().map(|(name, value)| (own(name), value.into_owned())).collect(),
            format: self.format,
            error: self.error,
            count: self.count,
            told_by: self.told_by,
        }
    }

    /// The remote end as detectors group by it: the address, else the host name in `fields["source.domain"]`.
    pub fn remote(&self) -> Option<Remote<'_>> {
        match self.src_ip {
            Some(ip) => Some(Remote::Ip(ip)),
            None => match self.field("source.domain") {
                Some(Value::Str(name)) => Some(Remote::Name(name)),
                _ => None,
            },
        }
    }
}

/// Who is at the other end of an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Remote<'a> {
    /// An address. IPv4-mapped IPv6 addresses are written as IPv4 by every parser.
    Ip(IpAddr),
    /// A host name, where the line gives no address.
    Name(&'a str),
}

/// A value in `fields`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Str(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// A piece of valid JSON, as it stood in the line.
    Json(Cow<'a, str>),
}

impl Value<'_> {
    /// The same value with text of its own.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::Str(text) => Value::Str(Cow::Owned(text.into_owned())),
            Value::Int(number) => Value::Int(number),
            Value::Float(number) => Value::Float(number),
            Value::Bool(truth) => Value::Bool(truth),
            Value::Json(text) => Value::Json(Cow::Owned(text.into_owned())),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(v: &'a str) -> Self {
        Value::Str(Cow::Borrowed(v))
    }
}
impl From<String> for Value<'_> {
    fn from(v: String) -> Self {
        Value::Str(Cow::Owned(v))
    }
}
impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(v: Cow<'a, str>) -> Self {
        Value::Str(v)
    }
}
impl From<i64> for Value<'_> {
    fn from(v: i64) -> Self {
        Value::Int(v)
    }
}
impl From<u32> for Value<'_> {
    fn from(v: u32) -> Self {
        Value::Int(i64::from(v))
    }
}
impl From<f64> for Value<'_> {
    fn from(v: f64) -> Self {
        Value::Float(v)
    }
}
impl From<bool> for Value<'_> {
    fn from(v: bool) -> Self {
        Value::Bool(v)
    }
}

/// The names of the parsers that understood a line: the envelope's (`rfc5424`, `rfc3164`, empty for none) and the message's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Format {
    /// `rfc5424`, `rfc3164`, `cri`, `json`, or empty; of several around each other the outermost.
    pub envelope: &'static str,
    /// `sshd`, `netfilter`, `suricata` …, `text` where no message parser applied.
    pub message: &'static str,
}

/// `rfc3164+sshd`; only `sshd` without an envelope; only `rfc3164` where the message is plain text.
impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.envelope, self.message) {
            ("", message) => f.write_str(message),
            (envelope, "text") => f.write_str(envelope),
            (envelope, message) => write!(f, "{envelope}+{message}"),
        }
    }
}

/// Which of the lines that tell of one attempt to log in a line is. `sshd`, say, writes "Invalid user", a PAM failure and
/// "Failed password" for a single attempt: all are stored, one counts. The number of attempts that a session made is the largest
/// number that any one of these tellers names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ToldBy {
    /// The service names the account before any secret was checked: sshd "Invalid user", "not allowed because".
    Announcement,
    /// A PAM module reports the failure.
    Pam,
    /// The service reports the failure: sshd "Failed password".
    Service,
    /// The service ends the session for its failures: "Too many authentication failures".
    Closing,
}
