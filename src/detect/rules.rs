//! The state of the operator's rules: which events belong to what their correlations look for, and what has been found.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use super::attempts;
use super::incidents::{HOST_NAME, SRC_HOST, SRC_IP};
use super::names::{Name, Names, cut};
use super::options::Options;
use super::sigma::{Correlation, Distinct, Field, Member, Rules};
use super::stats::EngineStats;
use super::table::{Table, secs};
use super::window::{Lane, Limits, Point, Window};
use crate::record::incident::{Counted, Group, IncidentChange, RaisedBy, RuleAbout};
use crate::record::{LogRecord, Remote, Timestamp};

/// The most of a group-by value that tells groups apart, in bytes; of a longer one a checksum follows.
const MAX_VALUE_BYTES: usize = 128;

/// A group of a rule: detections have the numbers from 0, correlations those behind.
type Key = (usize, Box<[Box<str>]>);

/// What an event has in the group-by fields of a rule.
type Values = SmallVec<[Box<str>; 4]>;

/// See the module.
pub(super) struct RuleState {
    rules: Arc<Rules>,
    /// By correlation.
    lanes: Vec<[Lane; 1]>,
    /// By detection, the correlations that count it, and its number among their members.
    counted_by: Vec<Vec<(usize, usize)>>,
    hasher: RandomState,
    groups: Table<Key, Watched>,
    names: Names,
    limits: Limits,
    horizon_micros: i64,
    max_evidence: usize,
    found: Found,
    matched: Vec<usize>,
    /// Bytes of all windows, and of the values of their keys.
    heap_bytes: u64,
    max_heap_bytes: u64,
    /// What it has had to do.
    totals: EngineStats,
}

/// How far events have come: what is late, and what is settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub floor: Option<i64>,
    pub lateness_micros: i64,
}

impl Progress {
    /// No event before that time is to be expected in a group whose newest event is at `newest`, save late ones.
    pub(super) fn settled(self, newest: i64) -> Option<i64> {
        Some(newest.min(self.floor?).saturating_sub(self.lateness_micros))
    }
}

impl RuleState {
    pub(super) fn new(rules: Arc<Rules>, options: &Options) -> RuleState {
        let mut counted_by = vec![Vec::new(); rules.detections.len()];
        let mut lanes = Vec::new();
        for (number, correlation) in rules.correlations.iter().enumerate() {
            for (member, of) in correlation.members.iter().enumerate() {
                counted_by[of.detection].push((number, member));
            }
            let distinct = !matches!(correlation.distinct, Distinct::No);
            lanes.push([Lane { distinct, threshold: correlation.threshold, window_micros: correlation.window_micros }]);
        }
        let (max_groups, max_heap_bytes, max_names) = options.rule_limits();
        let largest = rules.correlations.iter().map(|c| c.threshold as usize).max().unwrap_or(0);
        RuleState {
            lanes,
            counted_by,
            hasher: RandomState::default(),
            groups: Table::new(max_groups),
            names: Names::new(max_names),
            limits: Limits { points: options.max_points.max(largest * 4), merge_above: options.merge_points_above },
            horizon_micros: rules.widest_window_micros().unwrap_or(0),
            max_evidence: options.evidence_per_change,
            found: Found::default(),
            matched: Vec::new(),
            heap_bytes: 0,
            max_heap_bytes: max_heap_bytes as u64,
            totals: EngineStats::default(),
            rules,
        }
    }

    /// Adds what it holds and has had to do.
    pub(super) fn add_to(&self, stats: &mut EngineStats) {
        stats.keys += self.groups.len() as u64;
        stats.names += self.names.len() as u64;
        stats.bytes += self.heap_bytes + (self.groups.bytes() + self.names.bytes()) as u64;
        stats.evicted_idle_total += self.totals.evicted_idle_total;
        stats.evicted_full_total += self.totals.evicted_full_total;
        stats.late_total += self.totals.late_total;
        stats.points_merged_total += self.totals.points_merged_total;
        stats.points_dropped_total += self.totals.points_dropped_total;
        stats.names_unheld_total += self.names.unheld_total;
    }

    /// Holds a record against every rule.
    pub(super) fn observe(&mut self, record: &LogRecord<'_>, id: i64, time: i64, progress: Progress) {
        let rules = Arc::clone(&self.rules);
        let mut matched = std::mem::take(&mut self.matched);
        rules.matching(record, &mut matched);
        for &detection in &matched {
            if rules.detections[detection].is_alone {
                self.count_alone(detection, record, id, time);
            }
            for n in 0..self.counted_by[detection].len() {
                let (correlation, member) = self.counted_by[detection][n];
                self.count(&rules.correlations[correlation], correlation, member, (record, id, time), progress);
            }
        }
        self.matched = matched;
    }

    /// An event that is an incident by itself.
    fn count_alone(&mut self, detection: usize, record: &LogRecord<'_>, id: i64, time: i64) {
        let weight = record.count.max(1);
        let (name, value) = usual_group(record).unzip();
        let values: Values = value.into_iter().collect();
        let user = self.names.hold(record.username.as_deref().unwrap_or(""));
        let point = Point::new(time, id, user, weight);
        let group = || Group(name.into_iter().map(Cow::Borrowed).zip(values.iter().map(|v| v.to_string())).collect());
        self.found.add((detection, &values), group, (&point, weight.into()), &mut self.names, self.max_evidence);
        self.names.release(user);
    }

    /// Adds an event to the group of a correlation that it belongs to; none if it lacks a group-by field.
    fn count(
        &mut self,
        correlation: &Correlation,
        number: usize,
        member: usize,
        (record, id, time): (&LogRecord<'_>, i64, i64),
        progress: Progress,
    ) {
        let Some(values) = group_of(&correlation.members[member], record) else { return };
        let name = match &correlation.distinct {
            Distinct::No => self.names.hold(record.username.as_deref().unwrap_or("")),
            Distinct::Values(field) => match text_of(field, record) {
                Some(value) => self.names.hold(&value),
                None => return,
            },
            Distinct::Rules => {
                let detection = correlation.members[member].detection;
                self.names.hold(&self.rules.detections[detection].about.name)
            }
        };
        let weight = record.count.max(1);
        let rule = self.rules.detections.len() + number;
        let slot = self.slot(rule, &values, time);
        let (Watched { window, .. }, lanes) = (self.groups.at(slot), &self.lanes[number]);
        let newest = window.newest().map_or(time, |t| t.max(time));
        if newest.saturating_sub(time) > progress.lateness_micros {
            self.totals.late_total += 1;
        }
        if window.is_full() {
            let before = window.heap_bytes() as u64;
            let tidied = window.tidy(progress.settled(newest), lanes, self.limits, &mut self.names);
            self.heap_bytes = self.heap_bytes + window.heap_bytes() as u64 - before;
            self.totals.points_merged_total += tidied.merged;
            self.totals.points_dropped_total += tidied.cut;
        }
        let (found, names, most) = (&mut self.found, &mut self.names, self.max_evidence);
        let group = || {
            let names = correlation.group_by.iter().map(|name| Cow::Owned(name.to_string()));
            Group(names.zip(values.iter().map(|v| v.to_string())).collect())
        };
        window.insert(Point::new(time, id, name, weight), weight, lanes, |_, point, events| {
            found.add((rule, &values), group, (point, events), names, most);
        });
    }

    fn slot(&mut self, rule: usize, values: &Values, time: i64) -> super::table::SlotNumber {
        let hash = self.hasher.hash_one((rule, &values[..])) as u32;
        let same = |key: &Key| key.0 == rule && *key.1 == values[..];
        if let Some(slot) = self.groups.find(hash, secs(time), same) {
            return slot;
        }
        // More goes than a group takes, so that the heap stays within its limit.
        for _ in 0..EVICTIONS {
            if !self.groups.is_full() && self.heap_bytes <= self.max_heap_bytes {
                break;
            }
            if let Some(gone) = self.groups.evict() {
                forget(gone, &mut self.heap_bytes, &mut self.names);
                self.totals.evicted_full_total += 1;
            }
        }
        self.heap_bytes += values_bytes(values);
        self.groups.insert(
            hash,
            secs(time),
            (rule, values.to_vec().into()),
            Watched { window: Window::default(), key_bytes: values_bytes(values) },
        )
    }

    /// Forgets those groups, of `steps` that it looks at, that no event can concern any more.
    pub(super) fn sweep(&mut self, steps: usize, settled: i64, slack_micros: i64) {
        let over = settled.saturating_sub(self.horizon_micros).saturating_sub(slack_micros);
        let (totals, bytes, names) = (&mut self.totals, &mut self.heap_bytes, &mut self.names);
        self.groups.sweep(steps, secs(over), |gone| {
            forget(gone, bytes, names);
            totals.evicted_idle_total += 1;
        });
    }

    /// Hands out what has been found since it was asked last.
    pub(super) fn take_changes(&mut self) -> Vec<IncidentChange> {
        let detections = &self.rules.detections;
        self.found.index.clear();
        let mut changes = Vec::with_capacity(self.found.list.len());
        for change in self.found.list.drain(..) {
            let about = match change.rule.checked_sub(detections.len()) {
                None => &detections[change.rule].about,
                Some(number) => &self.rules.correlations[number].about,
            };
            let texts = change.names.iter().filter_map(|&name| self.names.text(name)).cloned().collect();
            for &name in &change.names {
                self.names.release(name);
            }
            changes.push(change.finish(about, texts));
        }
        changes
    }
}

/// A group of a correlation.
struct Watched {
    window: Window,
    /// Bytes of its key on the heap.
    key_bytes: u64,
}

/// Groups that are forgotten for one event at most where memory is short.
const EVICTIONS: usize = 8;

fn values_bytes(values: &Values) -> u64 {
    values.iter().map(|value| (value.len() + size_of::<Box<str>>()) as u64).sum()
}

fn forget(Watched { mut window, key_bytes }: Watched, bytes: &mut u64, names: &mut Names) {
    *bytes -= window.heap_bytes() as u64 + key_bytes;
    window.release(names);
}

/// How events of a rule on single events are grouped: by the remote end, otherwise by the host.
fn usual_group(record: &LogRecord<'_>) -> Option<(&'static str, Box<str>)> {
    match (attempts::remote(record), record.host.as_deref()) {
        (Some(Remote::Ip(ip)), _) => Some((SRC_IP, ip.to_string().into())),
        (Some(Remote::Name(name)), _) => Some((SRC_HOST, name.into())),
        (None, Some(host)) => Some((HOST_NAME, cut(host, 255).into())),
        (None, None) => None,
    }
}

/// What an event has in the group-by fields of a correlation; `None` if it lacks one.
fn group_of(member: &Member, record: &LogRecord<'_>) -> Option<Values> {
    member.group_by.iter().map(|field| text_of(field, record)).collect()
}

/// The first value of a field, as text; `None` if there is none, or an empty one.
fn text_of(field: &Field, record: &LogRecord<'_>) -> Option<Box<str>> {
    let mut found: Option<Box<str>> = None;
    field.any(record, &mut |value| {
        value.with_text(|text| {
            if text.len() <= MAX_VALUE_BYTES {
                found = Some(text.into());
            } else {
                // An attacker chooses what long values begin with.
                let head = cut(text, MAX_VALUE_BYTES - 17);
                let digest = Sha256::digest(text);
                let checksum = digest[..8].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
                found = Some(format!("{head}#{checksum:016x}").into());
            }
        });
        true
    });
    found.filter(|text| !text.is_empty())
}

/// What has been found since it was handed out last, in the order in which the first event of each was counted.
#[derive(Default)]
struct Found {
    index: HashMap<Key, usize, RandomState>,
    list: Vec<Change>,
}

struct Change {
    rule: usize,
    group: Group,
    events: u64,
    first: i64,
    last: i64,
    /// Accounts, or values, or rules.
    names: SmallVec<[Name; 16]>,
    evidence: Vec<(Timestamp, i64, u32)>,
}

impl Found {
    /// Adds the events of a point to what a rule has found in a group.
    fn add(
        &mut self,
        (rule, values): (usize, &Values),
        group: impl FnOnce() -> Group,
        (point, events): (&Point, u64),
        names: &mut Names,
        max_evidence: usize,
    ) {
        let key = (rule, values.to_vec().into_boxed_slice());
        let number = *self.index.entry(key).or_insert_with(|| {
            let (first, last) = (point.time, point.time);
            self.list.push(Change { rule, group: group(), events: 0, first, last, names: SmallVec::new(), evidence: Vec::new() });
            self.list.len() - 1
        });
        let change = &mut self.list[number];
        change.events = change.events.saturating_add(events);
        change.first = change.first.min(point.time);
        change.last = change.last.max(point.time);
        if change.evidence.len() < max_evidence {
            let events = u32::try_from(events).unwrap_or(u32::MAX);
            change.evidence.push((Timestamp::from_micros(point.time), point.id, events));
        }
        if point.user.is_some() && change.names.len() < IncidentChange::MAX_USERNAMES && !change.names.contains(&point.user) {
            change.names.push(names.retain(point.user));
        }
    }
}

impl Change {
    /// The change as others see it.
    fn finish(mut self, about: &Arc<RuleAbout>, mut names: Vec<Arc<str>>) -> IncidentChange {
        self.evidence.sort_unstable();
        names.sort_unstable();
        let counted = about.window.as_ref().map(|w| &w.counted);
        let (usernames, values) = match counted {
            None | Some(Counted::Events | Counted::Accounts) => (names, Vec::new()),
            Some(Counted::Values(_) | Counted::Rules) => (Vec::new(), names),
        };
        IncidentChange {
            raised_by: RaisedBy::Rule(Arc::clone(about)),
            group: self.group,
            events: self.events,
            first_seen: Timestamp::from_micros(self.first),
            last_seen: Timestamp::from_micros(self.last),
            usernames,
            values,
            evidence: self.evidence,
            severity: about.severity,
            escalation: None,
            window_micros: about.window.as_ref().map_or(0, |w| w.micros),
            threshold: about.window.as_ref().map_or(1, |w| w.threshold),
        }
    }
}
