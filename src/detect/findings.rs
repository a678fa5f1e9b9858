//! Changes summed up over a stretch of records: one finding for each detector, or rule, and group. For whoever wants to know what the
//! detectors find in files or in stored records; the daemon sums up in the database.

use std::collections::{BTreeSet, HashMap};

use super::incidents::title;
use crate::record::Severity;
use crate::record::incident::{Group, IncidentChange, RaisedBy};

/// Accounts, or values, told apart in one finding.
const MAX_NAMES: usize = 100_000;
/// Findings kept.
const MAX_FINDINGS: usize = 1_000_000;
/// Log records that prove them, of all findings together: 16 bytes each.
const MAX_EVIDENCE: usize = 1_000_000;

/// Everything that one detector found for one group.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Its changes in one.
    pub change: IncidentChange,
    /// The severity at its number of events.
    pub severity: Severity,
    /// Accounts and values that were seen, more of them than a change can name.
    pub names: BTreeSet<String>,
}

impl Finding {
    /// One line for people.
    pub fn title(&self) -> String {
        title(&self.change.raised_by, &self.change.group)
    }
}

/// Findings while they are summed up.
#[derive(Debug, Default)]
pub struct Findings {
    found: HashMap<(RaisedBy, Group), Finding>,
    /// Log records that one finding names.
    evidence_each: usize,
    evidence: usize,
    left_out: u64,
}

impl Findings {
    /// Nothing found yet. Each finding will name at most so many of the log records that prove it.
    pub fn new(evidence_each: usize) -> Findings {
        Findings { evidence_each, ..Findings::default() }
    }

    /// Adds changes.
    pub fn add(&mut self, changes: Vec<IncidentChange>) {
        for change in changes {
            let key = (change.raised_by.clone(), change.group.clone());
            if self.found.len() >= MAX_FINDINGS && !self.found.contains_key(&key) {
                self.left_out += 1;
                continue;
            }
            let found = self.found.entry(key).or_insert_with(|| Finding::nothing_of(&change));
            let before = found.change.evidence.len();
            let room = self.evidence_each.saturating_sub(before).min(MAX_EVIDENCE - self.evidence);
            found.add(change, room);
            self.evidence += found.change.evidence.len() - before;
        }
    }

    /// Changes that were left out, since there are too many findings.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The findings in the order in which they began.
    pub fn into_sorted(self) -> Vec<Finding> {
        let mut found: Vec<Finding> = self.found.into_values().collect();
        let order = |f: &Finding| (f.change.first_seen, f.change.raised_by.clone(), f.change.group.clone());
        found.sort_by(|a, b| {
            let ((at, by, group), (other_at, other_by, other_group)) = (order(a), order(b));
            (at, by.order(), group).cmp(&(other_at, other_by.order(), other_group))
        });
        found
    }
}

impl Finding {
    fn nothing_of(change: &IncidentChange) -> Finding {
        let nothing =
            IncidentChange { events: 0, usernames: Vec::new(), values: Vec::new(), evidence: Vec::new(), ..change.clone() };
        Finding { severity: change.severity, change: nothing, names: BTreeSet::new() }
    }

    fn add(&mut self, more: IncidentChange, room_for_evidence: usize) {
        let change = &mut self.change;
        change.events = change.events.saturating_add(more.events);
        change.first_seen = change.first_seen.min(more.first_seen);
        change.last_seen = change.last_seen.max(more.last_seen);
        self.severity = self.severity.max(more.severity_at(change.events));
        change.evidence.extend(more.evidence.iter().take(room_for_evidence));
        for name in &more.usernames {
            if change.usernames.len() < IncidentChange::MAX_USERNAMES && !change.usernames.contains(name) {
                change.usernames.push(name.clone());
            }
        }
        for name in more.usernames.iter().chain(&more.values) {
            if self.names.len() < MAX_NAMES && !self.names.contains(&**name) {
                self.names.insert(name.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::Timestamp;
    use crate::record::incident::Detector;

    #[test]
    fn changes_of_one_group_are_one_finding_with_as_much_evidence_as_there_is_room_for() {
        let change = |address: &str, at: i64, events: u64| IncidentChange {
            raised_by: RaisedBy::Detector(Detector::BruteForce),
            group: Group(vec![("src_ip".into(), address.to_owned())]),
            events,
            first_seen: Timestamp::from_secs(at),
            last_seen: Timestamp::from_secs(at + 9),
            usernames: vec![Arc::from("root"), Arc::from(format!("user{at}"))],
            values: Vec::new(),
            evidence: (0..events as i64).map(|n| (Timestamp::from_secs(at), n, 1)).collect(),
            severity: Severity::Medium,
            escalation: Some((10, Severity::High)),
            window_micros: 1,
            threshold: 5,
        };
        let mut findings = Findings::new(8);
        findings.add(vec![change("192.0.2.2", 50, 5), change("192.0.2.1", 100, 6)]);
        findings.add(vec![change("192.0.2.1", 40, 6)]);
        let found = findings.into_sorted();
        let told: Vec<_> = found
            .iter()
            .map(|f| (f.change.group.to_string(), f.change.events, f.severity, f.change.evidence.len(), f.names.len()))
            .collect();
        assert_eq!(
            told,
            [
                ("src_ip=192.0.2.1".to_owned(), 12, Severity::High, 8, 3),
                ("src_ip=192.0.2.2".to_owned(), 5, Severity::Medium, 5, 2)
            ]
        );
        let (first, last) = (found[0].change.first_seen, found[0].change.last_seen);
        assert_eq!((first, last), (Timestamp::from_secs(40), Timestamp::from_secs(109)));
        assert_eq!(found[0].change.usernames.len(), 3, "each account once");
    }
}
