//! What an incident is, as far as detection opens and feeds it.

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

/// What events of a finding have in common: the detector's group-by fields and their values. Without fields, everything is one group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Group(pub Vec<(&'static str, String)>);

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

/// What a batch of records adds to the incident of one detector and group: the unresolved one, or a new one where there is none.
///
/// Changes add up: an event is counted in exactly one change, so applying each change once counts each event once.
#[derive(Clone, PartialEq, Debug)]
pub struct IncidentChange {
    /// Which detector.
    pub detector: Detector,
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
    /// Ids and event times of the log records that prove it, at most the engine's limit per change.
    pub evidence: Vec<(Timestamp, i64)>,
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
