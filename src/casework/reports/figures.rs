//! The incidents of a period, counted by everything at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::{Attacker, Count, LISTED, Period, Spread, TOP, most_first, worst_first};
use crate::casework::levels::Promises;
use crate::record::Timestamp;
use crate::record::case::{Priority, Status};
use crate::record::levels::{Course, Levels};
use crate::store::reports::Case;

/// Names of remote ends, and of accounts, that are counted in memory: beyond that the database counts them, by way of its disk.
const MAX_NAMES: usize = 100_000;

/// What they come to.
pub(super) struct Figures<'l> {
    severities: Tally,
    categories: Tally,
    detectors: Tally,
    statuses: Tally,
    attack_vectors: Tally,
    /// By the UTC day on which they were opened, in days since 1970.
    pub by_day: BTreeMap<i64, i64>,
    /// From the first event to the incident.
    pub detect: Durations,
    /// From the incident to somebody who took notice.
    pub acknowledge: Durations,
    /// From the incident to its end.
    pub resolve: Durations,
    /// How often what is promised was kept.
    pub promises: Promises<'l>,
    period: Period,
    remotes: Option<HashMap<String, (i64, i64)>>,
    accounts: Option<HashMap<String, i64>>,
    /// The incidents with a lesson that were resolved last, the first of them on top.
    lessons: BinaryHeap<Reverse<(Timestamp, i64)>>,
    /// All that have one.
    pub lessons_total: i64,
}

impl<'l> Figures<'l> {
    pub fn new(levels: &'l Levels, period: Period, now: Timestamp) -> Figures<'l> {
        Figures {
            severities: Tally::default(),
            categories: Tally::default(),
            detectors: Tally::default(),
            statuses: Tally::default(),
            attack_vectors: Tally::default(),
            by_day: BTreeMap::new(),
            detect: Durations::default(),
            acknowledge: Durations::default(),
            resolve: Durations::default(),
            promises: Promises::new(levels, now),
            period,
            remotes: Some(HashMap::new()),
            accounts: Some(HashMap::new()),
            lessons: BinaryHeap::new(),
            lessons_total: 0,
        }
    }

    pub fn add(&mut self, incident: &Case<'_>) {
        if let Some(resolved_at) = incident.resolved_at.filter(|at| incident.has_lesson && self.period.holds(*at)) {
            self.lessons_total += 1;
            self.lessons.push(Reverse((resolved_at, incident.id)));
            if self.lessons.len() > LISTED as usize {
                self.lessons.pop();
            }
        }
        if self.period.holds(incident.created_at) {
            self.add_opened(incident);
        }
    }

    fn add_opened(&mut self, incident: &Case<'_>) {
        let Case { created_at, first_seen, acknowledged_at, resolved_at, .. } = *incident;
        self.severities.add(incident.severity);
        self.categories.add(incident.category);
        self.detectors.add(incident.detector.unwrap_or("reported by people"));
        self.statuses.add(incident.status);
        self.attack_vectors.add(incident.attack_vector.unwrap_or("unknown"));
        *self.by_day.entry(created_at.day()).or_default() += 1;
        // What became part of another incident is no incident of its own here.
        if !incident.is_merged {
            self.detect.add(first_seen, Some(created_at));
            self.acknowledge.add(Some(created_at), acknowledged_at);
            self.resolve.add(Some(created_at), resolved_at);
        }
        // Both have a constraint.
        let priority = incident.priority.parse().unwrap_or(Priority::P4);
        let status = incident.status.parse().unwrap_or(Status::Open);
        self.promises.add(&Course { priority, status, created_at, acknowledged_at, resolved_at });
        if let Some(remote) = incident.remote {
            count(&mut self.remotes, remote, |(incidents, events)| {
                *incidents += 1;
                *events += incident.events;
            });
        }
        for name in incident.usernames {
            count(&mut self.accounts, name, |incidents| *incidents += 1);
        }
    }

    /// The remote ends with most incidents; `None` where there were too many to be counted here.
    pub fn attackers(&mut self) -> Option<Vec<Attacker>> {
        let all = self.remotes.take()?.into_iter();
        let mut all: Vec<Attacker> = all.map(|(remote, (incidents, events))| Attacker { remote, incidents, events }).collect();
        all.sort_unstable_by(|a, b| (b.incidents, b.events, &a.remote).cmp(&(a.incidents, a.events, &b.remote)));
        all.truncate(TOP as usize);
        Some(all)
    }

    /// The accounts that most incidents name; `None` where there were too many to be counted here.
    pub fn top_accounts(&mut self) -> Option<Vec<Count>> {
        let mut all: Vec<Count> = self.accounts.take()?.into_iter().map(|(name, count)| Count { name, count }).collect();
        all.sort_unstable_by(|a, b| (b.count, &a.name).cmp(&(a.count, &b.name)));
        all.truncate(TOP as usize);
        Some(all)
    }

    /// The ids of the incidents whose lessons are listed.
    pub fn lessons(&self) -> Vec<i64> {
        self.lessons.iter().map(|Reverse((_, id))| *id).collect()
    }

    pub fn by_severity(&self) -> Vec<Count> {
        worst_first(&self.severities.0)
    }

    pub fn by_category(&self) -> Vec<Count> {
        most_first(&self.categories.0)
    }

    pub fn by_detector(&self) -> Vec<Count> {
        most_first(&self.detectors.0)
    }

    pub fn by_status(&self) -> Vec<Count> {
        most_first(&self.statuses.0)
    }

    pub fn by_attack_vector(&self) -> Vec<Count> {
        most_first(&self.attack_vectors.0)
    }
}

/// Counts a name, unless there are too many: then none is counted any more.
fn count<T: Default>(counts: &mut Option<HashMap<String, T>>, name: &str, add: impl FnOnce(&mut T)) {
    let Some(known) = counts else { return };
    if let Some(so_far) = known.get_mut(name) {
        add(so_far);
    } else if known.len() < MAX_NAMES {
        add(known.entry(name.to_owned()).or_default());
    } else {
        *counts = None;
    }
}

/// How often each of some words occurred.
#[derive(Default)]
struct Tally(BTreeMap<String, i64>);

impl Tally {
    fn add(&mut self, word: &str) {
        match self.0.get_mut(word) {
            Some(count) => *count += 1,
            None => _ = self.0.insert(word.to_owned(), 1),
        }
    }
}

/// How long something took, each time.
#[derive(Default)]
pub(super) struct Durations(Vec<f64>);

impl Durations {
    /// What ended before it began, says a clock, took no time.
    fn add(&mut self, from: Option<Timestamp>, to: Option<Timestamp>) {
        if let (Some(from), Some(to)) = (from, to) {
            self.0.push(to.micros_since(from).max(0) as f64 / 1e6);
        }
    }

    pub fn spread(mut self) -> Spread {
        self.0.sort_unstable_by(f64::total_cmp);
        Spread {
            incidents: i64::try_from(self.0.len()).unwrap_or(i64::MAX),
            median_secs: quantile(&self.0, 0.5),
            p90_secs: quantile(&self.0, 0.9),
        }
    }
}

/// Between two values where need be, as `percentile_cont` of SQL:2003. `None` of nothing.
fn quantile(sorted: &[f64], fraction: f64) -> Option<f64> {
    let at = fraction * (sorted.len().checked_sub(1)? as f64);
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_limit_is_not_counted_here() {
        let mut counts: Option<HashMap<String, i64>> = Some(HashMap::new());
        for n in 0..MAX_NAMES {
            count(&mut counts, &n.to_string(), |c| *c += 1);
        }
        count(&mut counts, "7", |c| *c += 1);
        assert_eq!(counts.as_ref().unwrap()["7"], 2);
        count(&mut counts, "one more", |c| *c += 1);
        assert!(counts.is_none());
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.9), Some(7.0));
        assert_eq!(quantile(&[1.0, 2.0, 4.0, 10.0], 0.5), Some(3.0));
        assert!((quantile(&[0.0, 10.0, 20.0], 0.9).unwrap() - 18.0).abs() < 1e-9);
    }
}
