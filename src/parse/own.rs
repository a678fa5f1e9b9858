//! Formats that operators describe in the configuration, without a new build: a pattern with named captures, or what the members of a
//! JSON object mean.
//!
//! They are tried before the formats that are built in, since whoever wrote them knows the device. Several descriptions may share a name: each
//! is then one kind of line of the same product, and the first that fits reads the line.
//!
//! Patterns run on an engine whose time is linear in the line (the `regex` crate), so no line makes one hang. `%{IP:src_ip}`, as Logstash's grok
//! filter writes it, is short for a named capture of what the name stands for; the names are those of grok's own collection.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Mutex;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::fill::{self, Slot};
use super::json::{self, Scalar};
use super::message::{Named, Sign, Watch};
use super::{Context, prose, scan};
use crate::record::{EventType, LogRecord, Severity, Timestamp, Value, Zone};

/// A compiled pattern may take so many bytes.
const MAX_PATTERN_BYTES: usize = 4 << 20;

/// A format as the configuration describes it: `[[format]]`. See `config/tocsin.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// What it is called in `format`; `tocsin parse` tells it.
    pub name: String,
    /// Only what this program writes.
    pub app: Option<String>,
    /// A regular expression with named captures, or with grok's names.
    pub pattern: Option<String>,
    /// What the pattern is matched with: `message` (without the envelope) or `line` (as it came in).
    pub reads: Reads,
    /// Members of a JSON object, dotted where they are nested, and the column or field that each goes to.
    pub json: BTreeMap<String, String>,
    /// Members that have to have these values; `*` stands for any.
    pub when: BTreeMap<String, String>,
    /// The order of the parts of a date that is not written year first.
    pub date: Option<DateOrder>,
    /// What such a line is about, unless it says so itself.
    pub event_type: Option<String>,
    /// How bad it is, unless it says so itself.
    pub severity: Option<String>,
    /// What was done, unless it says so itself.
    pub action: Option<String>,
    /// Lines of it, and what is to be read from them.
    pub samples: Vec<Sample>,
}

/// A line, and what is to be read from it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// As it comes in.
    pub line: String,
    /// Column or field, and its value as text; empty for one that is to have none.
    pub expect: BTreeMap<String, String>,
}

/// What a pattern is matched with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// What is left of a line without its envelope.
    #[default]
    Message,
    /// The whole line.
    Line,
}

/// Which part of a date stands where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// Day, month, year.
    Dmy,
    /// Month, day, year.
    Mdy,
}

/// A format of the configuration, ready to read lines.
#[derive(Debug)]
pub struct Own {
    name: &'static str,
    app: Option<String>,
    how: How,
    date: Option<DateOrder>,
    event_type: EventType,
    severity: Option<Severity>,
    action: Option<String>,
}

#[derive(Debug)]
enum How {
    /// What each of the groups is, by its number.
    Pattern { reads: Reads, pattern: Regex, groups: Vec<Option<(&'static str, Goal)>> },
    /// What each member is, and those that have to have a value (`None`: any).
    Members { goals: HashMap<String, (&'static str, Goal)>, when: Vec<(String, Option<String>)> },
}

/// Where a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Slot(Slot),
    EventType,
    Severity,
}

/// What stands before the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A line as it came in.
    Line,
    /// What is left of a line without its envelope.
    Message,
    /// A JSON object that is all of a line: both.
    Object,
}

/// Reads a text by the first of the configuration's formats that it fits, those of the name that was asked for before the others. False: it
/// fits none, and the record is as it was.
pub(super) fn read<'a>(
    part: Part,
    text: &'a str,
    record: &mut LogRecord<'a>,
    named: Option<Named>,
    context: &Context<'_>,
    watch: Watch<'_>,
) -> bool {
    let is_named = |own: &&Own| named.is_some_and(|named| named.name() == own.name);
    let (first, rest) = (context.own.iter().filter(is_named), context.own.iter().filter(|own| !is_named(own)));
    first.chain(rest).filter(|own| own.reads(part)).any(|own| {
        let understood = own.understands(text, record, part, context);
        watch(own.name, if is_named(&own) { Sign::Named } else { Sign::Own }, understood);
        understood
    })
}

impl Own {
    /// Makes a format of its description.
    ///
    /// # Errors
    /// Every key that is wrong, and why.
    pub fn new(description: &Description) -> Result<Own, Vec<(&'static str, String)>> {
        let mut wrong = Vec::new();
        let mut note = |key, what: String| wrong.push((key, what));
        let event_type = word(description.event_type.as_deref()).unwrap_or_else(|what| {
            note("event_type", what);
            None
        });
        let severity = word(description.severity.as_deref()).unwrap_or_else(|what| {
            note("severity", what);
            None
        });
        let how = match &description.pattern {
            Some(pattern) => compile(pattern).map_err(|what| note("pattern", what)).ok().map(|(pattern, groups)| How::Pattern {
                reads: description.reads,
                pattern,
                groups,
            }),
            None => Some(members(description)),
        };
        if description.reads == Reads::Line && description.app.is_some() {
            note("app", "is only known where an envelope was read: leave out reads = \"line\", or app".into());
        }
        let has_members = !description.json.is_empty() || !description.when.is_empty();
        match (&description.pattern, has_members) {
            (Some(_), true) => note("pattern", "a format has a pattern, or json and when, not both".into()),
            (None, false) => note("", "says nothing: add pattern = '…' or a table json with the members of an object".into()),
            _ => {}
        }
        match how.filter(|_| wrong.is_empty()) {
            Some(how) => Ok(Own {
                name: lasting(&description.name),
                app: description.app.clone(),
                how,
                date: description.date,
                event_type: event_type.unwrap_or(EventType::Other),
                severity,
                action: description.action.clone(),
            }),
            None => Err(wrong),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// It is meant for texts of that kind.
    fn reads(&self, part: Part) -> bool {
        match (&self.how, part) {
            (_, Part::Object) => true,
            (How::Pattern { reads, .. }, Part::Line) => *reads == Reads::Line,
            (How::Pattern { reads, .. }, Part::Message) => *reads == Reads::Message,
            (How::Members { .. }, part) => part == Part::Message,
        }
    }

    /// Reads a text into a record. False: it is not of this format, and the record is as it was.
    fn understands<'a>(&self, text: &'a str, record: &mut LogRecord<'a>, part: Part, context: &Context<'_>) -> bool {
        let is_app = |record: &LogRecord<'_>| self.app.is_none() || self.app.as_deref() == record.app.as_deref();
        // An object says itself which program it is from.
        if part != Part::Object && !is_app(record) {
            return false;
        }
        let filled = match &self.how {
            How::Pattern { pattern, groups, .. } => self.captures(pattern, groups, text, record, context),
            How::Members { goals, when } => self.members(goals, when, text, record, context),
        };
        let Some((mut filled, said)) = filled.filter(|(filled, _)| is_app(filled)) else { return false };
        self.mean(&mut filled, said);
        *record = filled;
        true
    }

    fn captures<'a>(
        &self,
        pattern: &Regex,
        groups: &[Option<(&'static str, Goal)>],
        text: &'a str,
        record: &LogRecord<'a>,
        context: &Context<'_>,
    ) -> Option<(LogRecord<'a>, Said)> {
        // Most lines are of none of the formats: they cost the search and no more.
        let captures = pattern.captures(text)?;
        let (mut filled, mut said) = (record.clone(), Said::default());
        for (group, goal) in captures.iter().zip(groups) {
            if let (Some(found), Some((name, goal))) = (group, goal) {
                let value = Scalar::Text(Cow::Borrowed(found.as_str()));
                self.file(*goal, Cow::Borrowed(*name), value, &mut filled, &mut said, context);
            }
        }
        Some((filled, said))
    }

    fn members<'a>(
        &self,
        goals: &HashMap<String, (&'static str, Goal)>,
        when: &[(String, Option<String>)],
        text: &'a str,
        record: &LogRecord<'a>,
        context: &Context<'_>,
    ) -> Option<(LogRecord<'a>, Said)> {
        let text = text.trim_start();
        let text = text.strip_prefix("@cee:").map_or(text, str::trim_start);
        if !text.starts_with('{') {
            return None;
        }
        let (mut filled, mut said) = (record.clone(), Said::default());
        let mut met = vec![false; when.len()];
        let mut found = 0;
        let walked = json::walk(text, &mut |name, value| {
            for (met, (_, wanted)) in met.iter_mut().zip(when).filter(|(_, (member, _))| **member == *name) {
                *met |= match (wanted, &value) {
                    (None, _) => true,
                    (Some(wanted), Scalar::Text(text)) => text == wanted,
                    (Some(wanted), Scalar::Bare(text)) => text == wanted,
                    (Some(_), _) => false,
                };
            }
            match goals.get(&*name) {
                Some((goal_name, goal)) => {
                    found += 1;
                    self.file(*goal, Cow::Borrowed(*goal_name), value, &mut filled, &mut said, context);
                }
                None => fill::file(&mut filled, None, name, value, context),
            }
        });
        // With nothing said of when, it is what has all its members.
        let fits = if when.is_empty() { found >= goals.len() } else { met.iter().all(|met| *met) };
        (walked.is_ok() && fits).then_some((filled, said))
    }

    fn file<'a>(
        &self,
        goal: Goal,
        name: Cow<'a, str>,
        value: Scalar<'a>,
        record: &mut LogRecord<'a>,
        said: &mut Said,
        context: &Context<'_>,
    ) {
        let text = match &value {
            Scalar::Text(text) => text,
            Scalar::Bare(text) => *text,
            _ => "",
        };
        match goal {
            Goal::EventType => said.event_type = text.parse().ok().or(said.event_type),
            Goal::Severity => said.severity = severity(text).or(said.severity),
            Goal::Slot(Slot::Time) if let Some(order) = self.date => {
                let order = if order == DateOrder::Dmy { "dmy" } else { "mdy" };
                record.event_time = prose::date(text, order, context.zone).map(|(_, time)| time).or(record.event_time);
                return;
            }
            Goal::Slot(slot) => return fill::file(record, Some(slot), name, value, context),
        }
        // What is none of our words is told as it was.
        fill::file(record, None, name, value, context);
    }

    fn mean(&self, record: &mut LogRecord<'_>, said: Said) {
        record.format.message = self.name;
        record.event_type = said.event_type.unwrap_or(self.event_type);
        let usual = if record.event_type == EventType::LoginFailed { Severity::Medium } else { record.severity };
        record.severity = said.severity.or(self.severity).unwrap_or(usual);
        if record.action.is_none() {
            record.action = self.action.clone().map(Cow::Owned);
        }
        let outcome = match record.event_type {
            EventType::LoginFailed => "failure",
            EventType::LoginSuccess => "success",
            _ => return,
        };
        if record.field("event.outcome").is_none() {
            record.set("event.outcome", outcome);
        }
    }
}

/// What a line says of itself.
#[derive(Default)]
struct Said {
    event_type: Option<EventType>,
    severity: Option<Severity>,
}

/// One of our words.
fn word<T: std::str::FromStr<Err = crate::record::UnknownWord>>(text: Option<&str>) -> Result<Option<T>, String> {
    text.map(str::parse).transpose().map_err(|e: crate::record::UnknownWord| e.to_string())
}

/// Our own words, syslog's names and numbers.
fn severity(text: &str) -> Option<Severity> {
    let own = Severity::ALL.iter().find(|own| own.as_str().eq_ignore_ascii_case(text)).copied();
    let level = || scan::level(text).or_else(|| text.parse().ok()).filter(|level| *level <= 7);
    own.or_else(|| level().map(Severity::from_syslog))
}

fn members(description: &Description) -> How {
    let goal = |(member, target): (&String, &String)| (member.clone(), (lasting(target), goal(target)));
    let wanted = |(member, value): (&String, &String)| (member.clone(), (value != "*").then(|| value.clone()));
    How::Members { goals: description.json.iter().map(goal).collect(), when: description.when.iter().map(wanted).collect() }
}

/// Where what is called so goes: a column by its own or its ECS name, otherwise `fields`.
fn goal(name: &str) -> Goal {
    Goal::Slot(match name {
        "event_time" | "@timestamp" => Slot::Time,
        "host" | "host.name" => Slot::Host,
        "app" | "process.name" => Slot::App,
        "pid" | "process.pid" => Slot::Pid,
        "username" | "user.name" => Slot::User,
        "src_ip" | "source.ip" => Slot::SrcIp,
        "src_port" | "source.port" => Slot::SrcPort,
        "dst_ip" | "destination.ip" => Slot::DstIp,
        "dst_port" | "destination.port" => Slot::DstPort,
        "protocol" | "network.transport" => Slot::Protocol,
        "action" | "event.action" => Slot::Action,
        "message" => Slot::Message,
        "event_type" => return Goal::EventType,
        "severity" => return Goal::Severity,
        _ => Slot::Field(lasting(name)),
    })
}

/// A name that lives as long as the program: records of any line refer to it. There are as many as the configuration has ever had.
fn lasting(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    names.get(name).copied().unwrap_or_else(|| {
        let lasting: &'static str = Box::leak(name.into());
        names.insert(lasting);
        lasting
    })
}

type Compiled = (Regex, Vec<Option<(&'static str, Goal)>>);

fn compile(pattern: &str) -> Result<Compiled, String> {
    let expanded = expand(pattern)?;
    let built = RegexBuilder::new(&expanded).size_limit(MAX_PATTERN_BYTES).build();
    let pattern = built.map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => format!("is too large: compiled, it takes more than {MAX_PATTERN_BYTES} bytes"),
        e => {
            let text = e.to_string();
            text.rsplit_once("error: ").map_or(text.as_str(), |(_, what)| what).trim().to_owned()
        }
    })?;
    let groups = pattern.capture_names().map(|name| name.map(|name| (lasting(name), goal(name)))).collect();
    Ok((pattern, groups))
}

/// Replaces `%{NAME}` and `%{NAME:column}`.
fn expand(pattern: &str) -> Result<String, String> {
    let mut expanded = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, behind)) = rest.split_once("%{") {
        let (inside, after) = behind.split_once('}').ok_or("has a \"%{\" without its \"}\"")?;
        let (name, target) = inside.split_once(':').unwrap_or((inside, ""));
        let Some((_, meaning)) = GROK.iter().find(|(known, _)| *known == name) else {
            let near = GROK.iter().max_by(|a, b| strsim::jaro_winkler(a.0, name).total_cmp(&strsim::jaro_winkler(b.0, name)));
            let near = near.map_or("", |(known, _)| known);
            return Err(format!("there is no %{{{name}}}; did you mean %{{{near}}}?"));
        };
        expanded += before;
        // Writing to a String cannot fail.
        let _ = if target.is_empty() { write!(expanded, "(?:{meaning})") } else { write!(expanded, "(?<{target}>{meaning})") };
        rest = after;
    }
    Ok(expanded + rest)
}

/// What grok's names stand for, <https://www.elastic.co/docs/reference/logstash/plugins/plugins-filters-grok>. Those for addresses are wide: what is
/// none does not get into its column.
const GROK: &[(&str, &str)] = &[
    ("BASE10NUM", r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"),
    ("BASE16NUM", r"[+-]?(?:0x)?[0-9A-Fa-f]+"),
    ("DATA", r".*?"),
    ("DATE_EU", r"[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}"),
    ("DATE_US", r"[0-9]{1,2}[/-][0-9]{1,2}[/-][0-9]{2,4}"),
    ("EMAILADDRESS", r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[0-9A-Za-z.:\[\]-]+"),
    ("GREEDYDATA", r".*"),
    ("HOSTNAME", r"[0-9A-Za-z](?:[0-9A-Za-z_.-]{0,252}[0-9A-Za-z_])?\.?"),
    ("HOSTPORT", r"[0-9A-Za-z.:_\[\]-]+:[0-9]+"),
    ("HTTPDATE", r"[0-9]{1,2}/[A-Za-z]{3}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}"),
    ("INT", r"[+-]?[0-9]+"),
    ("IP", r"[0-9A-Fa-f:.]*[0-9A-Fa-f:](?:%[0-9A-Za-z]+)?"),
    ("IPORHOST", r"[0-9A-Za-z:][0-9A-Za-z.:_%-]*"),
    ("IPV4", r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}"),
    ("IPV6", r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[0-9A-Za-z]+)?"),
    (
        "LOGLEVEL",
        r"(?i:alert|trace|debug|notice|info(?:rmation)?|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|emerg(?:ency)?)",
    ),
    ("MAC", r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{4}(?:\.[0-9A-Fa-f]{4}){2}"),
    ("MONTH", r"[A-Z][a-z]{2,8}"),
    ("MONTHDAY", r"[0-9]{1,2}"),
    ("NONNEGINT", r"[0-9]+"),
    ("NOTSPACE", r"\S+"),
    ("NUMBER", r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"),
    ("PATH", r"(?:/|[A-Za-z]:\\|\\\\)\S*"),
    ("POSINT", r"[1-9][0-9]*"),
    ("PROG", r"[!-Z\\^-~]+"),
    ("QS", r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"#),
    ("QUOTEDSTRING", r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"#),
    ("SPACE", r"\s*"),
    ("SYSLOGHOST", r"[0-9A-Za-z:][0-9A-Za-z.:_%-]*"),
    ("SYSLOGTIMESTAMP", r"[A-Z][a-z]{2} {1,2}[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2}"),
    ("TIME", r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?"),
    (
        "TIMESTAMP_ISO8601",
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?: ?(?:Z|[+-][0-9]{2}:?[0-9]{2}))?",
    ),
    ("URI", r"[A-Za-z][A-Za-z0-9+.-]*://\S+"),
    ("URIPATH", r"/[^?\s]*"),
    ("URIPATHPARAM", r"/\S*"),
    ("USER", r"[0-9A-Za-z._-]+"),
    ("USERNAME", r"[0-9A-Za-z._-]+"),
    ("UUID", r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    ("WORD", r"\w+"),
    ("YEAR", r"[0-9]{4}|[0-9]{2}"),
];

/// What is wrong with how a line is read by the formats of the configuration: it is to be of the format `name`, with what is expected. The zone of
/// times that name none is UTC here.
pub fn differences(own: &[Own], name: &str, sample: &Sample, now: Timestamp) -> Option<String> {
    let context = Context { now, zone: &Zone::UTC, own };
    let record = super::parse(&sample.line, &context);
    if record.format.message != name {
        return Some(format!("is read as {:?}, not by this format", record.format.to_string()));
    }
    let wrong: Vec<String> = (sample.expect.iter())
        .filter_map(|(name, wanted)| {
            let got = value(&record, name).unwrap_or_default();
            (got != *wanted).then(|| format!("{name} is {got:?}, not {wanted:?}"))
        })
        .collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// What a column or field has, as text.
fn value(record: &LogRecord<'_>, name: &str) -> Option<String> {
    let r = record;
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let slot = match goal(name) {
        Goal::EventType => return Some(r.event_type.to_string()),
        Goal::Severity => return Some(r.severity.to_string()),
        Goal::Slot(slot) => slot,
    };
    match slot {
        Slot::Time => r.event_time.map(|time| time.to_string()),
        Slot::Host => text(&r.host),
        Slot::App => text(&r.app),
        Slot::Pid => r.pid.map(|pid| pid.to_string()),
        Slot::User => text(&r.username),
        Slot::SrcIp => r.src_ip.map(|ip| ip.to_string()),
        Slot::SrcPort => r.src_port.map(|port| port.to_string()),
        Slot::DstIp => r.dst_ip.map(|ip| ip.to_string()),
        Slot::DstPort => r.dst_port.map(|port| port.to_string()),
        Slot::Protocol => text(&r.protocol),
        Slot::Action => text(&r.action),
        Slot::Message => Some(r.message.to_string()),
        Slot::Field(_) | Slot::Number(_) | Slot::Nothing => r.field(name).map(|value| match value {
            Value::Str(text) | Value::Json(text) => text.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(toml: &str) -> Own {
        Own::new(&toml::from_str(toml).unwrap()).unwrap()
    }

    fn read<'a>(own: &[Own], text: &'a str) -> LogRecord<'a> {
        super::super::parse(text, &Context { now: Timestamp::from_secs(1_795_155_901), zone: &Zone::UTC, own })
    }

    #[test]
    fn a_pattern_reads_what_an_envelope_leaves() {
        let own = [own(r#"
            name = "shop"
            app = "shop"
            pattern = '^login (?<outcome>ok|refused) for %{DATA:username} from %{IP:src_ip} port %{INT:source.port} in (?<shop.room>\S+)$'
            event_type = "login_failed"
            action = "shop_login"
        "#)];
        let line = "<38>Nov 20 06:25:01 web1 shop[77]: login refused for a from 192.0.2.1 from 203.0.113.77 port 48312 in hall-2";
        let record = read(&own, line);
        assert_eq!(record.format.to_string(), "rfc3164+shop");
        assert_eq!((record.event_type, record.severity), (EventType::LoginFailed, Severity::Medium));
        assert_eq!((record.username.as_deref(), record.src_port), (Some("a from 192.0.2.1"), Some(48_312)));
        assert_eq!((record.host.as_deref(), record.pid, record.action.as_deref()), (Some("web1"), Some(77), Some("shop_login")));
        assert_eq!(record.field("shop.room"), Some(&"hall-2".into()));
        assert_eq!(record.field("event.outcome"), Some(&"failure".into()));
        let others = [
            "<38>Nov 20 06:25:01 web1 shop[77]: login",
            "<38>Nov 20 06:25:01 web1 mall[77]: login ok for a from 203.0.113.77 port 1 in x",
        ];
        for other in others {
            assert_eq!(read(&own, other).format.message, "text");
        }
    }

    #[test]
    fn what_is_built_in_gives_way() {
        let line = "<38>Nov 20 06:25:01 web1 sshd[712]: Failed password for root from 203.0.113.77 port 40022 ssh2";
        let own = [own("name = 'door'\napp = 'sshd'\npattern = '^Failed password for %{USER:username}'")];
        assert_eq!(read(&[], line).format.message, "sshd");
        let record = read(&own, line);
        assert_eq!((record.format.message, record.src_ip), ("door", None));
        let context = Context { now: Timestamp::from_secs(0), zone: &Zone::UTC, own: &own };
        assert_eq!(super::super::explain(line, &context, None).1[0].because, "the configuration describes it");
        // Unless the other was asked for.
        let sshd = Named::find("sshd", &own).ok();
        assert_eq!(super::super::explain(line, &context, sshd).0.format.message, "sshd");
    }

    #[test]
    fn whole_lines_with_dates_of_their_own() {
        let own = [own(r#"
            name = "till"
            reads = "line"
            date = "dmy"
            event_type = "system"
            pattern = '^(?<event_time>\S+ \S+) \[%{WORD:severity}\] %{GREEDYDATA:message}'
        "#)];
        let record = read(&own, "03/12/2026 01:11:04 [ERROR] drawer is open");
        assert_eq!(record.event_time, Timestamp::parse_rfc3339("2026-12-03T01:11:04Z").ok());
        assert_eq!(
            (record.severity, &*record.message, record.event_type),
            (Severity::Medium, "drawer is open", EventType::System)
        );
    }

    #[test]
    fn members_of_an_object() {
        let login = own(r#"
            name = "shop_json"
            event_type = "login_failed"
            json = { "at" = "event_time", "who.name" = "username", "who.ip" = "source.ip", "room" = "shop.room" }
            when = { "kind" = "login", "ok" = "false", "shop" = "*" }
        "#);
        let own = [login, own("name = 'shop_json'\njson = { 'kind' = 'action', 'room' = 'shop.room' }")];
        let text = r#"{"kind":"login","ok":false,"shop":7,"at":1795155901,"who":{"name":"CORP\\mia","ip":"203.0.113.77"},"room":["a"],"more":1}"#;
        for before in ["", "<38>Nov 20 06:25:01 web1 shop[77]: ", "<38>Nov 20 06:25:01 web1 shop[77]: @cee:"] {
            let line = format!("{before}{text}");
            let record = read(&own, &line);
            assert_eq!((record.format.message, record.event_type), ("shop_json", EventType::LoginFailed), "{line}");
            assert_eq!((record.username.as_deref(), record.src_ip), (Some("mia"), "203.0.113.77".parse().ok()));
            assert_eq!(record.event_time, Some(Timestamp::from_secs(1_795_155_901)));
            assert_eq!(record.field("more"), Some(&Value::Int(1)));
            assert_eq!(record.field("shop.room"), Some(&Value::Json(r#"["a"]"#.into())));
        }
        let record = read(&own, r#"{"kind":"login","ok":true,"shop":7,"room":"b"}"#);
        assert_eq!((record.event_type, record.action.as_deref()), (EventType::Other, Some("login")));
        assert_eq!(read(&own, r#"{"kind":"login"}"#).format.message, "json");
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (toml, key, what) in [
            ("name = 'a'", "", "says nothing"),
            ("name = 'a'\npattern = '('", "pattern", "unclosed group"),
            ("name = 'a'\npattern = '%{IPP:src_ip}'", "pattern", "did you mean %{IP}?"),
            ("name = 'a'\npattern = '%{IP'", "pattern", "without its"),
            ("name = 'a'\npattern = '\\w{999}{999}'", "pattern", "too large"),
            ("name = 'a'\npattern = 'x'\nwhen = { a = 'b' }", "pattern", "not both"),
            ("name = 'a'\npattern = 'x'\nevent_type = 'login'", "event_type", "is not one of"),
            ("name = 'a'\npattern = 'x'\nseverity = 'bad'", "severity", "is not one of"),
            ("name = 'a'\npattern = 'x'\napp = 'b'\nreads = 'line'", "app", "envelope"),
        ] {
            let wrong = Own::new(&toml::from_str(toml).unwrap()).unwrap_err();
            assert_eq!(wrong[0].0, key, "{toml}: {wrong:?}");
            assert!(wrong[0].1.contains(what), "{toml}: {wrong:?}");
        }
    }

    #[test]
    fn every_name_of_grok_is_a_pattern() {
        for (name, text) in [
            ("IP", "2001:db8::1"),
            ("IP", "192.0.2.1"),
            ("IPORHOST", "web-1.example.org"),
            ("TIMESTAMP_ISO8601", "2026-11-20T06:25:01.250+0100"),
            ("HTTPDATE", "20/Nov/2026:06:25:01 +0100"),
            ("SYSLOGTIMESTAMP", "Nov  2 06:25:01"),
            ("NUMBER", "-1.5"),
            ("QS", r#""a \" b""#),
            ("MAC", "00:11:22:aa:bb:cc"),
            ("UUID", "00112233-4455-6677-8899-aabbccddeeff"),
            ("LOGLEVEL", "WARNING"),
            ("URIPATHPARAM", "/a?b=c"),
        ] {
            let (pattern, _) = compile(&format!("^%{{{name}}}$")).unwrap();
            assert!(pattern.is_match(text), "{name} {text}");
        }
        for (name, _) in GROK {
            let (_, groups) = compile(&format!("%{{{name}:some.name}}")).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(groups[1].map(|(name, _)| name), Some("some.name"), "{name}");
        }
    }

    #[test]
    fn samples_are_held_to_what_is_expected() {
        let own = [own("name = 'door'\npattern = '^open %{INT:pid} %{WORD:door.side}$'")];
        let differ = |line: &str, expect: &[(&str, &str)]| {
            let expect = expect.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            differences(&own, "door", &Sample { line: line.to_owned(), expect }, Timestamp::from_secs(0))
        };
        assert_eq!(
            differ("open 7 left", &[("pid", "7"), ("door.side", "left"), ("username", ""), ("event_type", "other")]),
            None
        );
        assert_eq!(differ("open 7 left", &[("pid", "8")]).as_deref(), Some("pid is \"7\", not \"8\""));
        assert!(differ("shut 7 left", &[]).unwrap().contains("is read as \"text\""));
    }
}
