//! From counted events to [`IncidentChange`]s, and what an incident says of itself.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use smallvec::SmallVec;

use super::attempts::Key;
use super::index::Index;
use super::names::{Name, Names};
use super::options::Options;
use super::window::Point;
use crate::record::incident::{Counted, Detector, Group, IncidentChange, RaisedBy};
use crate::record::text::visible;
use crate::record::{EventType, Remote, Severity, Timestamp};

/// A group, as the engine knows it while it counts.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum GroupRef<'a> {
    All,
    Remote(Remote<'a>),
    Type(EventType),
}

enum OwnedGroup {
    All,
    Remote(Key),
    Type(EventType),
}

impl OwnedGroup {
    fn as_ref(&self) -> GroupRef<'_> {
        match self {
            OwnedGroup::All => GroupRef::All,
            OwnedGroup::Remote(key) => GroupRef::Remote(key.as_remote()),
            OwnedGroup::Type(t) => GroupRef::Type(*t),
        }
    }
}

impl From<GroupRef<'_>> for OwnedGroup {
    fn from(group: GroupRef<'_>) -> OwnedGroup {
        match group {
            GroupRef::All => OwnedGroup::All,
            GroupRef::Remote(remote) => OwnedGroup::Remote(remote.into()),
            GroupRef::Type(t) => OwnedGroup::Type(t),
        }
    }
}

impl From<GroupRef<'_>> for Group {
    fn from(group: GroupRef<'_>) -> Group {
        match group {
            GroupRef::All => Group(Vec::new()),
            GroupRef::Remote(Remote::Ip(ip)) => Group(vec![(SRC_IP.into(), ip.to_string())]),
            GroupRef::Remote(Remote::Name(name)) => Group(vec![(SRC_HOST.into(), name.to_owned())]),
            GroupRef::Type(t) => Group(vec![(EVENT_TYPE.into(), t.as_str().to_owned())]),
        }
    }
}

/// Group key of a remote end of which the address is known.
pub const SRC_IP: &str = "src_ip";
/// Group key of a remote end of which only a host name is known.
pub const SRC_HOST: &str = "src_host";
/// Group key of a rule's events without a remote end: the machine that wrote them.
pub const HOST_NAME: &str = "host.name";
/// Group key of `high_severity_cluster`.
pub const EVENT_TYPE: &str = "event_type";

struct Change {
    detector: Detector,
    /// Position in [`Changes::groups`].
    group: u32,
    events: u64,
    first: i64,
    last: i64,
    users: SmallVec<[Name; 16]>,
    evidence: usize,
}

/// A group of which something was counted, and the positions of its changes, by detector.
struct CountedGroup {
    group: OwnedGroup,
    changes: [Option<u32>; Detector::ALL.len()],
}

/// Where a group's changes were when it was counted last: only a hint, checked against the group.
#[derive(Clone, Copy, Default)]
pub(super) struct Place(u32);

/// Changes since they were taken last, in the order in which their first event was counted.
#[derive(Default)]
pub(super) struct Changes {
    /// From the hash of a group to its position in `groups`.
    index: Index,
    groups: Vec<CountedGroup>,
    list: Vec<Change>,
    /// Of all changes: position in `list`, events, event time, id.
    evidence: Vec<(u32, u32, Timestamp, i64)>,
}

impl Changes {
    /// Adds the events of a point. `hash` is that of the group, `place` what was last said of it here.
    pub(super) fn add(
        &mut self,
        detector: Detector,
        (group, hash): (GroupRef<'_>, u32),
        place: &mut Place,
        (point, events): (&Point, u64),
        names: &mut Names,
        max_evidence: usize,
    ) {
        if self.groups.get(place.0 as usize).is_none_or(|counted| counted.group.as_ref() != group) {
            *place = Place(self.place(group, hash));
        }
        let slot = &mut self.groups[place.0 as usize].changes[detector as usize];
        let number = *slot.get_or_insert_with(|| {
            self.list.push(Change::new(detector, place.0, point.time));
            self.list.len() as u32 - 1
        });
        let change = &mut self.list[number as usize];
        change.events = change.events.saturating_add(events);
        change.first = change.first.min(point.time);
        change.last = change.last.max(point.time);
        if change.evidence < max_evidence {
            change.evidence += 1;
            let events = u32::try_from(events).unwrap_or(u32::MAX);
            self.evidence.push((number, events, Timestamp::from_micros(point.time), point.id));
        }
        if point.user.is_some() && change.users.len() < IncidentChange::MAX_USERNAMES && !change.users.contains(&point.user) {
            change.users.push(names.retain(point.user));
        }
    }

    fn place(&mut self, group: GroupRef<'_>, hash: u32) -> u32 {
        let groups = &self.groups;
        self.index.find(hash, |n| groups[n as usize].group.as_ref() == group).unwrap_or_else(|| {
            let place = self.groups.len() as u32;
            self.index.insert(hash, place);
            self.groups.push(CountedGroup { group: group.into(), changes: [None; Detector::ALL.len()] });
            place
        })
    }

    /// Hands the changes out.
    pub(super) fn take(&mut self, names: &mut Names, options: &Options) -> Vec<IncidentChange> {
        self.index.clear();
        let groups: Vec<Group> = self.groups.drain(..).map(|counted| counted.group.as_ref().into()).collect();
        let mut changes: Vec<IncidentChange> = Vec::with_capacity(self.list.len());
        for (n, change) in self.list.iter().enumerate() {
            // The detectors of one group mostly name the same accounts.
            let usernames = match changes.last() {
                Some(previous) if self.list[n - 1].users == change.users => previous.usernames.clone(),
                _ => change.usernames(names),
            };
            changes.push(change.finish(groups[change.group as usize].clone(), usernames, options));
        }
        for user in self.list.drain(..).flat_map(|change| change.users) {
            names.release(user);
        }
        for (change, events, time, id) in self.evidence.drain(..) {
            changes[change as usize].evidence.push((time, id, events));
        }
        for change in &mut changes {
            change.evidence.sort_unstable();
        }
        changes
    }
}

impl Change {
    fn new(detector: Detector, group: u32, time: i64) -> Change {
        Change { detector, group, events: 0, first: time, last: time, users: SmallVec::new(), evidence: 0 }
    }

    fn usernames(&self, names: &Names) -> Vec<Arc<str>> {
        let mut usernames: Vec<Arc<str>> = self.users.iter().filter_map(|&u| names.text(u)).cloned().collect();
        usernames.sort_unstable();
        usernames
    }

    /// The change as others see it, with room for its evidence.
    fn finish(&self, group: Group, usernames: Vec<Arc<str>>, options: &Options) -> IncidentChange {
        let (severity, escalation) = match self.detector {
            Detector::LoginFailures | Detector::AccountCompromise | Detector::HighSeverityCluster => (Severity::High, None),
            Detector::BruteForce => (Severity::Medium, Some((options.brute_force_high_from, Severity::High))),
            Detector::LoginSpike => (Severity::Medium, None),
        };
        let rule = options.rule(self.detector);
        IncidentChange {
            raised_by: RaisedBy::Detector(self.detector),
            group,
            events: self.events,
            first_seen: Timestamp::from_micros(self.first),
            last_seen: Timestamp::from_micros(self.last),
            usernames,
            values: Vec::new(),
            evidence: Vec::with_capacity(self.evidence),
            severity,
            escalation,
            window_micros: rule.window_micros,
            threshold: rule.threshold,
        }
    }
}

/// An incident's title: what is happening, and where from.
pub fn title(raised_by: &RaisedBy, group: &Group) -> String {
    let what = match raised_by {
        RaisedBy::Detector(Detector::LoginFailures) => "Repeated failed logins",
        RaisedBy::Detector(Detector::BruteForce) => "Brute-force login attack",
        RaisedBy::Detector(Detector::AccountCompromise) => "Failed logins to several accounts",
        RaisedBy::Detector(Detector::LoginSpike) => "Unusually many logins",
        RaisedBy::Detector(Detector::HighSeverityCluster) => "Cluster of severe events",
        RaisedBy::Rule(about) => &about.title,
    };
    match &group.0[..] {
        [] => what.to_owned(),
        [(name, value)] if name == EVENT_TYPE => format!("{what}: {}", visible(value)),
        [(name, value)] if is_remote(name) => format!("{what} from {}", visible(value)),
        [(name, value)] if is_host(name) => format!("{what} on {}", visible(value)),
        values => format!("{what}: {}", named_values(values)),
    }
}

/// A group key that says where from.
fn is_remote(name: &str) -> bool {
    matches!(name, SRC_IP | SRC_HOST | "source.ip")
}

/// A group key that says where.
fn is_host(name: &str) -> bool {
    matches!(name, HOST_NAME | "host")
}

fn named_values(values: &[(Cow<'static, str>, String)]) -> String {
    values.iter().map(|(name, value)| format!("{name} {}", visible(value))).collect::<Vec<_>>().join(", ")
}

/// What an incident has come to, so far.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Who found it.
    pub raised_by: &'a RaisedBy,
    /// Which group.
    pub group: &'a Group,
    /// Events in all.
    pub events: u64,
    /// Event time of the earliest.
    pub first_seen: Timestamp,
    /// Event time of the latest.
    pub last_seen: Timestamp,
    /// Accounts that are known, sorted; more than a few are not all named.
    pub usernames: &'a [String],
    /// Length of the detector's window in microseconds; unused for a rule, which knows its own.
    pub window_micros: i64,
    /// The detector's threshold, likewise.
    pub threshold: u32,
}

/// An incident's description in plain English: addresses, counts, accounts, times, and the rule that it broke. What came from
/// outside has its control characters escaped.
pub fn description(account: &Account<'_>) -> String {
    const NAMED: usize = 10;
    let what = match account.raised_by {
        RaisedBy::Detector(Detector::LoginFailures | Detector::BruteForce) => "failed login",
        RaisedBy::Detector(Detector::AccountCompromise) => "failed login to several accounts",
        RaisedBy::Detector(Detector::LoginSpike) => "login, failed or not",
        RaisedBy::Detector(Detector::HighSeverityCluster) => "event of high or critical severity",
        RaisedBy::Rule(_) => "event",
    };
    let what =
        if account.events == 1 { what.to_owned() } else { what.replacen("login", "logins", 1).replacen("event", "events", 1) };
    let mut text = format!("{} {what}", account.events);
    match &account.group.0[..] {
        [] => {}
        [(name, value)] if name == EVENT_TYPE => {
            let _ = write!(text, " of type {}", visible(value));
        }
        [(name, value)] if is_remote(name) => {
            let _ = write!(text, " from {}", visible(value));
        }
        [(name, value)] if is_host(name) => {
            let _ = write!(text, " on {}", visible(value));
        }
        values => {
            let _ = write!(text, " with {}", named_values(values));
        }
    }
    if account.first_seen == account.last_seen {
        let _ = write!(text, " at {}.", account.first_seen);
    } else {
        let _ = write!(text, " between {} and {}.", account.first_seen, account.last_seen);
    }
    if !account.usernames.is_empty() {
        let named: Vec<String> = account.usernames.iter().take(NAMED).map(|u| visible(u)).collect();
        let _ = write!(text, " Accounts: {}", named.join(", "));
        let _ = match account.usernames.len().saturating_sub(NAMED) {
            0 => write!(text, "."),
            // The list itself ends there, so how many more there are is not known.
            _ if account.usernames.len() >= IncidentChange::MAX_USERNAMES => write!(text, " and many more."),
            more => write!(text, " and {more} more."),
        };
    }
    text.push_str(&why(account));
    text
}

/// The last sentence: at how much of what it fires; of a rule, also what its author says of it.
fn why(account: &Account<'_>) -> String {
    let window =
        |threshold: u32, unit: &str, micros: i64| format!(" Raised at {threshold} {unit} or more within {}.", duration(micros));
    match account.raised_by {
        RaisedBy::Detector(detector) => {
            let unit = if *detector == Detector::AccountCompromise { "different accounts" } else { "events" };
            window(account.threshold, unit, account.window_micros)
        }
        RaisedBy::Rule(about) => {
            let mut text = match &about.window {
                None => " Raised at each.".to_owned(),
                Some(rule) => match &rule.counted {
                    Counted::Events => window(rule.threshold, "events", rule.micros),
                    Counted::Accounts => window(rule.threshold, "different accounts", rule.micros),
                    Counted::Values(field) => window(rule.threshold, &format!("different values of {field}"), rule.micros),
                    Counted::Rules => window(rule.threshold, "different rules", rule.micros),
                },
            };
            if !about.description.is_empty() {
                text.push(' ');
                text.push_str(&about.description);
            }
            text
        }
    }
}

/// A length of time in its largest whole unit.
fn duration(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let (n, unit) = match seconds {
        s if s > 0 && s % 86_400 == 0 && s > 86_400 => (s / 86_400, "day"),
        s if s > 0 && s % 3600 == 0 && s > 3600 => (s / 3600, "hour"),
        s if s > 0 && s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_says_what_happened() {
        let by = RaisedBy::Detector;
        let group = Group(vec![(SRC_IP.into(), "192.0.2.7".to_owned())]);
        let usernames = ["admin".to_owned(), "ro\u{1b}[2Jot\u{202e}".to_owned()];
        let account = Account {
            raised_by: &by(Detector::AccountCompromise),
            group: &group,
            events: 4,
            first_seen: Timestamp::from_secs(1_767_323_045),
            last_seen: Timestamp::from_secs(1_767_323_105),
            usernames: &usernames,
            window_micros: 30 * 60 * 1_000_000,
            threshold: 3,
        };
        assert_eq!(title(account.raised_by, &group), "Failed logins to several accounts from 192.0.2.7");
        assert_eq!(
            description(&account),
            "4 failed logins to several accounts from 192.0.2.7 between 2026-01-02T03:04:05Z and 2026-01-02T03:05:05Z. \
             Accounts: admin, ro\\u{1b}[2Jot\\u{202e}. Raised at 3 different accounts or more within 30 minutes."
        );
        let many: Vec<String> = (0..100).map(|n| format!("user{n:03}")).collect();
        assert!(description(&Account { usernames: &many, ..account }).contains("user009 and many more."));
        assert_eq!(title(&by(Detector::LoginSpike), &Group::default()), "Unusually many logins");
        let cluster = Group(vec![(EVENT_TYPE.into(), "ids_alert".to_owned())]);
        assert_eq!(title(&by(Detector::HighSeverityCluster), &cluster), "Cluster of severe events: ids_alert");
        let day =
            Account { raised_by: &by(Detector::HighSeverityCluster), group: &cluster, window_micros: 86_400_000_000, ..account };
        assert!(description(&day).starts_with("4 events of high or critical severity of type ids_alert between "));
        assert!(description(&day).ends_with("Raised at 3 events or more within 24 hours."));
    }
}
