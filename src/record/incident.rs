//! What an incident is, as far as detection opens and feeds it.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Severity, Timestamp};

/// The detectors that are always there (their windows and thresholds are options of the engine).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Detector {
    /// Several failed logins from one remote end in a short time.
    LoginFailures,
    /// Many failed logins from one remote end over a longer time.
    BruteForce,
    /// Failed logins for several accounts from one remote end.
    AccountCompromise,
    /// Unusually many logins, failed or not.
    LoginSpike,
    /// Several events of high severity of one type.
    HighSeverityCluster,
}

impl Detector {
    /// Every detector, in the order of their keys in the configuration.
    pub const ALL: [Detector; 5] = [
        Detector::LoginFailures,
        Detector::BruteForce,
        Detector::AccountCompromise,
        Detector::LoginSpike,
        Detector::HighSeverityCluster,
    ];

    /// Its name in configuration, database and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Detector::LoginFailures => "login_failures",
            Detector::BruteForce => "brute_force",
            Detector::AccountCompromise => "account_compromise",
            Detector::LoginSpike => "login_spike",
            Detector::HighSeverityCluster => "high_severity_cluster",
        }
    }

    /// The detector of that name.
    pub fn from_name(name: &str) -> Option<Detector> {
        Detector::ALL.into_iter().find(|d| d.as_str() == name)
    }

    /// The ATT&CK technique that its findings point to (MITRE ATT&CK v16, Enterprise).
    pub const fn technique(self) -> Option<&'static str> {
        match self {
            Detector::LoginFailures | Detector::BruteForce => Some("T1110.001"),
            Detector::AccountCompromise => Some("T1110.003"),
            Detector::LoginSpike => Some("T1110"),
            Detector::HighSeverityCluster => None,
        }
    }
}

/// What the incidents of a rule that an operator wrote say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleAbout {
    /// Its name in database and output: Sigma's `name`, otherwise made from the title. No two rules share one.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// What it detects, as its author tells it; may be empty.
    pub description: String,
    /// Severity of its incidents.
    pub severity: Severity,
    /// The first ATT&CK technique among its tags, such as `T1110.001`.
    pub technique: Option<String>,
    /// Category of its incidents in the Reference Security Incident Taxonomy, by the ATT&CK tactics among its tags.
    pub category: &'static str,
    /// What must come together for it to fire; `None` where a single event is enough.
    pub window: Option<RuleWindow>,
}

/// What a correlation rule counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleWindow {
    /// From how many on it fires.
    pub threshold: u32,
    /// Within how long, in microseconds; half-open.
    pub micros: i64,
    /// What is counted.
    pub counted: Counted,
}

/// What a window counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// Events (`event_count`).
    Events,
    /// Different accounts (`value_count` over the account).
    Accounts,
    /// Different values of another field, named here (`value_count`).
    Values(String),
    /// Rules that matched (`temporal`).
    Rules,
}

/// Who raised an incident: a detector that is always there, or a rule.
#[derive(Debug, Clone)]
pub enum RaisedBy {
    /// One of the five.
    Detector(Detector),
    /// An operator's rule.
    Rule(Arc<RuleAbout>),
}

impl RaisedBy {
    /// The name in database and output; it tells detectors and rules apart.
    pub fn name(&self) -> &str {
        match self {
            RaisedBy::Detector(detector) => detector.as_str(),
            RaisedBy::Rule(about) => &about.name,
        }
    }

    /// The detector, if it is none of an operator's rules.
    pub fn detector(&self) -> Option<Detector> {
        match self {
            RaisedBy::Detector(detector) => Some(*detector),
            RaisedBy::Rule(_) => None,
        }
    }

    /// For sorting: the detectors in the order of their keys, then the rules by name.
    pub fn order(&self) -> (bool, Option<Detector>, &str) {
        (self.detector().is_none(), self.detector(), self.name())
    }

    /// The ATT&CK technique that it points to.
    pub fn technique(&self) -> Option<&str> {
        match self {
            RaisedBy::Detector(detector) => detector.technique(),
            RaisedBy::Rule(about) => about.technique.as_deref(),
        }
    }

    /// The category of its incidents in the Reference Security Incident Taxonomy (RSIT, machine names of 2024).
    pub fn category(&self) -> &'static str {
        match self {
            RaisedBy::Detector(Detector::HighSeverityCluster) => "intrusions",
            RaisedBy::Detector(_) => "intrusion-attempts",
            RaisedBy::Rule(about) => about.category,
        }
    }
}

/// Two are the same if their names are: no rule is named like another or like a detector.
impl PartialEq for RaisedBy {
    fn eq(&self, other: &RaisedBy) -> bool {
        self.name() == other.name()
    }
}

impl Eq for RaisedBy {}

impl std::hash::Hash for RaisedBy {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

/// What events of a finding have in common: the group-by fields and their values. Without fields, everything is one group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Group(pub Vec<(Cow<'static, str>, String)>);

/// `src_ip=192.0.2.1`; several are joined by commas; `all` for the group of everything. This is the group key in the database.
impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("all");
        }
        for (i, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={value}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// What a batch of records adds to the incident of one detector (or rule) and group: the unresolved one, or a new one where there is none.
///
/// Changes add up: an event is counted in exactly one change, so applying each change once counts each event once.
#[derive(Clone, PartialEq, Debug)]
pub struct IncidentChange {
    /// Who found it.
    pub raised_by: RaisedBy,
    /// Which group.
    pub group: Group,
    /// Events added by this change, at least 1.
    pub events: u64,
    /// Event time of the earliest of them.
    pub first_seen: Timestamp,
    /// Event time of the latest of them.
    pub last_seen: Timestamp,
    /// For `account_compromise`, accounts seen in this change; sorted, each once, at most [`IncidentChange::MAX_USERNAMES`].
    /// Other detectors name the accounts too where records have them, for the description.
    pub usernames: Vec<Arc<str>>,
    /// For a rule that counts the values of a field other than the account: those seen in this change, likewise.
    pub values: Vec<Arc<str>>,
    /// The log records that prove it, at most the engine's limit per change: event time, id, and the events that each stands for.
    pub evidence: Vec<(Timestamp, i64, u32)>,
    /// The severity at any count.
    pub severity: Severity,
    /// The severity from a total of that many events on.
    pub escalation: Option<(u64, Severity)>,
    /// Length of the detector's window in microseconds, for the description.
    pub window_micros: i64,
    /// The detector's threshold, for the description.
    pub threshold: u32,
}

impl IncidentChange {
    /// The most account names that one incident lists.
    pub const MAX_USERNAMES: usize = 100;

    /// The severity of an incident with `events` events in all.
    pub fn severity_at(&self, events: u64) -> Severity {
        match self.escalation {
            Some((from, severity)) if events >= from => severity.max(self.severity),
            _ => self.severity,
        }
    }
}
