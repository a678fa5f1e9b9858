//! The [`Engine`]: which records are events for which detector, and the state of every group.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::attempts::{self, Attempts, Key, Worth};
use super::incidents::{Changes, GroupRef, Place};
use super::names::{Name, Names};
use super::options::Options;
use super::rules::{Progress, RuleState};
use super::sigma::Rules;
use super::stats::EngineStats;
use super::table::{Table, secs};
use super::window::{Lane, Limits, MAX_LANES, Point, Window};
use crate::record::incident::{Detector, IncidentChange};
use crate::record::{EventType, LogRecord, Remote, Severity, Timestamp};

/// How long after it has become irrelevant a remote end is forgotten at the earliest, in microseconds.
const SLACK_MICROS: i64 = 60 * 1_000_000;

/// Remote ends that are forgotten for one event at most where memory is short: more than an event takes.
const EVICTIONS: usize = 8;

/// Records from one look at what can be forgotten to the next, each at twice as many entries.
const SWEEP_EVERY: u32 = 32;

/// The sole owner of detection state. See [the room's page](super).
pub struct Engine {
    hasher: RandomState,
    failure_lanes: Lanes,
    spike_lanes: Lanes,
    cluster_lanes: Lanes,
    remotes: Table<Key, Watched>,
    spike: Watched,
    /// By position in [`EventType::ALL`].
    clusters: Vec<Watched>,
    attempts: Attempts,
    newest: i64,
    /// Records until it is looked again for what can be forgotten.
    until_sweep: u32,
    /// How long before what is settled a remote end may have been seen last for it to be forgotten.
    horizon_micros: i64,
    desk: Desk,
    /// `None` where there are no rules: most of them look at every record.
    rules: Option<Box<RuleState>>,
}

/// What every window needs to take in a point.
struct Desk {
    options: Options,
    limits: Limits,
    names: Names,
    changes: Changes,
    progress: Progress,
    stats: EngineStats,
}

/// The detectors that share the windows of a group.
#[derive(Default)]
struct Lanes {
    numbers: Vec<Lane>,
    /// By lane.
    detectors: Vec<Detector>,
}

/// What is known of a group.
#[derive(Default)]
struct Watched {
    window: Window,
    place: Place,
    /// Bytes of its key on the heap.
    key_bytes: u16,
}

impl Engine {
    /// An engine that has seen nothing, with these rules beside its detectors. The options are taken to be valid ([`Options::validate`]).
    pub fn with_rules(options: Options, rules: Arc<Rules>) -> Engine {
        let rules = (!rules.is_empty()).then(|| Box::new(RuleState::new(rules, &options)));
        Engine { rules, ..Engine::new(options) }
    }

    /// An engine without rules.
    pub fn new(options: Options) -> Engine {
        let lanes = |detectors: &[Detector]| {
            let mut lanes = Lanes::default();
            for &detector in detectors.iter().filter(|d| options.rule(**d).enabled) {
                let rule = options.rule(detector);
                let distinct = detector == Detector::AccountCompromise;
                lanes.numbers.push(Lane { distinct, threshold: rule.threshold, window_micros: rule.window_micros });
                lanes.detectors.push(detector);
            }
            lanes
        };
        let failure_lanes = lanes(&[Detector::LoginFailures, Detector::BruteForce, Detector::AccountCompromise]);
        let spike_lanes = lanes(&[Detector::LoginSpike]);
        let cluster_lanes = lanes(&[Detector::HighSeverityCluster]);
        debug_assert!(failure_lanes.numbers.len() <= MAX_LANES);
        let widest = failure_lanes.numbers.iter().map(|l| l.window_micros).max().unwrap_or(0);
        let largest = Detector::ALL.iter().map(|d| options.rule(*d).threshold as usize).max().unwrap_or(0);
        Engine {
            hasher: RandomState::default(),
            failure_lanes,
            spike_lanes,
            cluster_lanes,
            remotes: Table::new(options.max_keys),
            spike: Watched::default(),
            clusters: EventType::ALL.iter().map(|_| Watched::default()).collect(),
            attempts: Attempts::new(options.max_sessions),
            newest: i64::MIN,
            until_sweep: SWEEP_EVERY,
            horizon_micros: widest.saturating_add(SLACK_MICROS),
            rules: None,
            desk: Desk {
                limits: Limits { points: options.max_points.max(largest * 4), merge_above: options.merge_points_above },
                names: Names::new(options.max_names),
                changes: Changes::default(),
                progress: Progress { floor: Some(i64::MAX), lateness_micros: options.lateness_micros },
                stats: EngineStats::default(),
                options,
            },
        }
    }

    /// Takes note of a record: `id` is its row in `logs`, `time` the event time that it is filed under.
    pub fn observe(&mut self, record: &LogRecord<'_>, id: i64, time: Timestamp) {
        let time = time.as_micros();
        self.newest = self.newest.max(time);
        let count = record.count.max(1);
        match record.event_type {
            EventType::LoginFailed => self.observe_failure(record, id, time, count),
            EventType::LoginSuccess => self.observe_login(record, id, time, count),
            _ => {}
        }
        if record.severity >= Severity::High && !self.cluster_lanes.numbers.is_empty() {
            let place = record.event_type as usize;
            let group = (GroupRef::Type(record.event_type), place as u32);
            let point = Point::new(time, id, self.desk.names.hold(account(record)), count);
            self.desk.put(&mut self.clusters[place], &self.cluster_lanes, group, point, count);
        }
        if let Some(rules) = &mut self.rules {
            rules.observe(record, id, time, self.desk.progress);
        }
        self.forget();
    }

    fn observe_login(&mut self, record: &LogRecord<'_>, id: i64, time: i64, count: u32) {
        if !self.spike_lanes.numbers.is_empty() {
            let point = Point::new(time, id, self.desk.names.hold(account(record)), count);
            self.desk.put(&mut self.spike, &self.spike_lanes, (GroupRef::All, 0), point, count);
        }
    }

    fn observe_failure(&mut self, record: &LogRecord<'_>, id: i64, time: i64, count: u32) {
        let remote = attempts::remote(record).map(|remote| (remote, hash_of(&self.hasher, remote)));
        if let Some((_, hash)) = remote {
            self.remotes.touch(hash);
        }
        let worth = match record.told_by {
            Some(by) => self.attempts.tell(record, by, time, &mut self.desk.names),
            None => {
                let user = self.desk.names.hold(account(record));
                let remote = if remote.is_some() { count } else { 0 };
                Worth { any: count, remote, named: if user.is_some() { remote } else { 0 }, inherited: None, user }
            }
        };
        if worth.any > 0 && !self.spike_lanes.numbers.is_empty() {
            let point = Point::new(time, id, self.desk.names.retain(worth.user), worth.any);
            self.desk.put(&mut self.spike, &self.spike_lanes, (GroupRef::All, 0), point, worth.any);
        }
        let inherited = worth.inherited.as_ref().map(Key::as_remote);
        let remote = remote.or_else(|| inherited.map(|remote| (remote, hash_of(&self.hasher, remote))));
        if let Some(remote) = remote
            && worth.remote.max(worth.named) > 0
            && !self.failure_lanes.numbers.is_empty()
        {
            self.put_failures(remote, id, time, &worth);
        }
        self.desk.names.release(worth.user);
    }

    fn put_failures(&mut self, (remote, hash): (Remote<'_>, u32), id: i64, time: i64, worth: &Worth) {
        let secs = secs(time);
        for _ in 0..EVICTIONS {
            if self.desk.stats.bytes <= self.desk.options.max_heap_bytes as u64 {
                break;
            }
            self.evict();
        }
        let slot = match self.remotes.find(hash, secs, |key| key.as_remote() == remote) {
            Some(slot) => slot,
            None => {
                if self.remotes.is_full() {
                    self.evict();
                }
                let key_bytes = match remote {
                    Remote::Ip(_) => 0,
                    Remote::Name(name) => name.len() as u16, // at most 255, see `attempts::remote`
                };
                self.desk.stats.bytes += u64::from(key_bytes);
                self.remotes.insert(hash, secs, remote.into(), Watched { key_bytes, ..Watched::default() })
            }
        };
        let watched = self.remotes.at(slot);
        let mut put = |weight: u32, user: Name, named_only: bool| {
            if weight > 0 {
                let point = Point::new(time, id, self.desk.names.retain(user), weight);
                let point = if named_only { point.named_only() } else { point };
                self.desk.put(watched, &self.failure_lanes, (GroupRef::Remote(remote), hash), point, weight);
            }
        };
        let both = worth.remote.min(worth.named);
        put(both, worth.user, false);
        put(worth.remote - both, Name::NONE, false);
        // Attempts that were counted when their account was not known yet: only who counts accounts still needs them.
        put(worth.named - both, worth.user, true);
    }

    /// Forgets a remote end that was not seen for long.
    fn evict(&mut self) {
        if let Some(gone) = self.remotes.evict() {
            self.desk.forget(gone);
            self.desk.stats.evicted_full_total += 1;
        }
    }

    /// Now and then forgets those remote ends and sessions, of a few, that no event can concern any more.
    fn forget(&mut self) {
        self.until_sweep -= 1;
        if self.until_sweep > 0 {
            return;
        }
        self.until_sweep = SWEEP_EVERY;
        let Some(settled) = self.desk.progress.settled(self.newest) else { return };
        let steps = SWEEP_EVERY as usize * 2;
        self.attempts.sweep(steps, settled, &mut self.desk.names);
        let desk = &mut self.desk;
        self.remotes.sweep(steps, secs(settled.saturating_sub(self.horizon_micros)), |gone| {
            desk.forget(gone);
            desk.stats.evicted_idle_total += 1;
        });
        if let Some(rules) = &mut self.rules {
            rules.sweep(steps, settled, SLACK_MICROS);
        }
    }

    /// Tells how far every input has been read: no event before `floor` is still to come, but for lateness. `None` while that is
    /// not known (an input is still being caught up with): nothing is then forgotten for its age, only for lack of room.
    /// A new engine goes by the events alone.
    pub fn set_floor(&mut self, floor: Option<Timestamp>) {
        self.desk.progress.floor = floor.map(Timestamp::as_micros);
    }

    /// What has been found since it was asked last. Every event that belongs to an attack is in exactly one change.
    pub fn take_changes(&mut self) -> Vec<IncidentChange> {
        let mut changes = self.desk.changes.take(&mut self.desk.names, &self.desk.options);
        if let Some(rules) = &mut self.rules {
            changes.append(&mut rules.take_changes());
        }
        changes
    }

    /// The options it works with.
    pub fn options(&self) -> &Options {
        &self.desk.options
    }

    /// What it holds and has done. Cheap: the points are not walked through.
    pub fn stats(&self) -> EngineStats {
        let stats = &self.desk.stats;
        let mut stats = EngineStats {
            keys: self.remotes.len() as u64,
            sessions: self.attempts.len() as u64,
            names: self.desk.names.len() as u64,
            bytes: stats.bytes + (self.remotes.bytes() + self.attempts.bytes() + self.desk.names.bytes()) as u64,
            sessions_evicted_total: self.attempts.evicted_total,
            names_unheld_total: self.desk.names.unheld_total,
            ..*stats
        };
        if let Some(rules) = &self.rules {
            rules.add_to(&mut stats);
        }
        stats
    }
}

impl Desk {
    /// Adds a point to a window and notes what it makes count.
    fn put(&mut self, watched: &mut Watched, lanes: &Lanes, group: (GroupRef<'_>, u32), point: Point, weight: u32) {
        let Watched { window, place, .. } = watched;
        let newest = window.newest().map_or(point.time, |t| t.max(point.time));
        if newest.saturating_sub(point.time) > self.progress.lateness_micros {
            self.stats.late_total += 1;
        }
        if window.is_full() {
            let before = window.heap_bytes() as u64;
            let tidied = window.tidy(self.progress.settled(newest), &lanes.numbers, self.limits, &mut self.names);
            self.stats.bytes = self.stats.bytes + window.heap_bytes() as u64 - before;
            self.stats.points_merged_total += tidied.merged;
            self.stats.points_dropped_total += tidied.cut;
        }
        let (changes, names, most) = (&mut self.changes, &mut self.names, self.options.evidence_per_change);
        window.insert(point, weight, &lanes.numbers, |lane, point, events| {
            changes.add(lanes.detectors[lane], group, place, (point, events), names, most);
        });
    }

    fn forget(&mut self, Watched { mut window, key_bytes, .. }: Watched) {
        self.stats.bytes -= window.heap_bytes() as u64 + u64::from(key_bytes);
        window.release(&mut self.names);
    }
}

fn account<'r>(record: &'r LogRecord<'_>) -> &'r str {
    record.username.as_deref().unwrap_or("")
}

fn hash_of(hasher: &RandomState, remote: Remote<'_>) -> u32 {
    let hash = match remote {
        Remote::Ip(IpAddr::V4(ip)) => hasher.hash_one(u32::from(ip)),
        Remote::Ip(IpAddr::V6(ip)) => hasher.hash_one(u128::from(ip)),
        Remote::Name(name) => hasher.hash_one(name),
    };
    hash as u32
}
