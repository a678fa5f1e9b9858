//! The loop of a file set: look around, let files take turns, hand out batches, wait.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::RandomState;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::content::{CHUNK_BYTES, Limits};
use super::counts::Counts;
use super::elders::Elders;
use super::file::{Budget, Followed, Place};
use super::fingerprint::Stat;
use super::kin::family;
use super::names::Pattern;
use super::watch::{Bell, Watch};
use super::{Options, ReadFrom, Saved, TailError};
use crate::frame::{Batch, Loss};
use crate::stats::Stats;

/// How long lines may gather after the first sign of them, so that a busy file does not wake us for each.
const GATHER: Duration = Duration::from_millis(3);

/// A look around costs at most one part in this many of the time.
const SCAN_SHARE: u32 = 100;

/// The same, where directories tell that something happened.
const HURRIED_SCAN_SHARE: u32 = 10;

/// A file set at work.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) options: Options,
    pub(super) limits: Limits,
    pub(super) patterns: Vec<Pattern>,
    pub(super) files: Vec<Followed>,
    pub(super) watch: Watch,
    pub(super) counts: Counts,
    /// Paths of which it was said why they are not read.
    pub(super) complained: HashSet<PathBuf>,
    /// Of each path that was found: [`Followed::elders`].
    pub(super) elders: BTreeMap<PathBuf, Arc<Elders>>,
    pub(super) input: Arc<str>,
    bell: Arc<Bell>,
    chunk: Vec<u8>,
    by_path: HashMap<PathBuf, usize>,
    /// Of this round: files that are open.
    open_files: usize,
    /// Of this round: files that have something to read and of which nothing was handed out yet.
    unread_files: usize,
    pub(super) next_order: u64,
    pub(super) random: RandomState,
    /// The very first look of a set that is to be read from the end.
    pub(super) skip_existing: bool,
    /// Something is not what it was: look around soon.
    pub(super) look_again: bool,
    /// Not everything could be looked at for want of descriptors or memory.
    pub(super) was_short: bool,
    /// When it was told that files are left out.
    pub(super) told_left_out: Option<Instant>,
    /// What was found to be lost since the last batch.
    pub(super) losses: Vec<Loss>,
}

impl Follower {
    pub(super) fn new(options: Options, patterns: Vec<Pattern>, saved: Vec<Saved>, stats: &Stats, bell: &Arc<Bell>) -> Follower {
        let mut follower = Follower {
            limits: Limits { line: options.max_line_bytes, head: options.fingerprint_bytes },
            input: format!("files:{}", options.name).into(),
            counts: Counts::new(stats, &options.source.name),
            watch: Watch::new(bell),
            bell: Arc::clone(bell),
            chunk: vec![0; CHUNK_BYTES.min(options.batch_bytes.max(1))],
            skip_existing: options.read_from == ReadFrom::End && saved.is_empty(),
            options,
            patterns,
            files: Vec::new(),
            complained: HashSet::new(),
            elders: BTreeMap::new(),
            by_path: HashMap::new(),
            open_files: 0,
            unread_files: 0,
            next_order: 0,
            random: RandomState::new(),
            look_again: false,
            was_short: false,
            told_left_out: None,
            losses: Vec::new(),
        };
        let mut saved: Vec<Saved> = saved.into_iter().filter(|s| s.detail.is_some()).collect();
        saved.sort_by_key(|s| s.detail.as_ref().map(|d| d.mtime));
        for Saved { part, lane, position, detail } in saved {
            let Some((detail, print)) = detail.and_then(|d| d.print().map(|p| (d, p))) else { continue };
            let stat = Stat { size: detail.size, mtime: detail.mtime, ctime: 0 };
            let mut file = follower.followed(lane, PathBuf::from(&detail.path), PathBuf::from(&detail.real), detail.ident());
            file.part = part.into();
            file.gzip = detail.gzip;
            (file.position, file.told) = (position, position);
            file.print = print;
            file.prefixes = detail.prefixes();
            (file.stat, file.observed_bytes) = (stat, stat.size);
            let elders = Elders { until: detail.since, times: detail.elders };
            let known = follower.elders.entry(file.path.clone()).or_insert_with(|| Arc::new(elders.clone()));
            if **known == elders {
                file.elders = Arc::clone(known);
            } else {
                file.elders = Arc::new(elders);
                // A path that was found twice: from the first time on it was followed.
                let earlier = [&*known, &file.elders].into_iter().min_by_key(|e| (e.until, e.times.last().copied()));
                *known = Arc::clone(earlier.unwrap_or(known));
            }
            file.saved = true;
            follower.files.push(file);
        }
        follower
    }

    /// Works until `stop` is cancelled.
    pub(super) fn run(mut self, handle: &Handle, out: &Sender<Batch>, stop: &CancellationToken) -> Result<(), TailError> {
        let reserve = || {
            handle.block_on(async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => Ok(None),
                    permit = out.reserve() => permit.map(Some).map_err(|_| TailError::Closed),
                }
            })
        };
        let (mut structure, mut scanned) = (true, None::<(Instant, Duration)>);
        while !stop.is_cancelled() {
            if scanned.is_none_or(|s| self.is_scan_due(s, structure)) {
                let start = Instant::now();
                (structure, self.look_again) = (false, false);
                let started = self.look();
                scanned = Some((Instant::now(), start.elapsed()));
                if let Some(batch) = started {
                    let Some(permit) = reserve()? else { return Ok(()) };
                    permit.send(batch);
                }
            }
            if !self.losses.is_empty() {
                let Some(permit) = reserve()? else { return Ok(()) };
                permit.send(Batch { losses: std::mem::take(&mut self.losses), ..Batch::default() });
            }
            let mut worked = false;
            for i in self.turns() {
                let Some(permit) = reserve()? else { return Ok(()) };
                worked = true;
                if let Some(batch) = self.turn(i) {
                    permit.send(batch);
                }
            }
            self.close_idle();
            self.gauge();
            let timeout = if worked { Duration::ZERO } else { self.pause(scanned, structure) };
            let mut changes = self.bell.wait(timeout);
            if !worked && !changes.written.is_empty() {
                std::thread::sleep(GATHER);
                changes.written.extend(self.bell.wait(Duration::ZERO).written);
            }
            structure |= changes.structure;
            for path in changes.written {
                if let Some(i) = self.by_path.get(&path) {
                    self.files[*i].ready = true;
                }
            }
        }
        Ok(())
    }

    /// Looks around; says after the first look of a set that is read from its end where that is.
    pub(super) fn look(&mut self) -> Option<Batch> {
        self.was_short = false;
        self.scan();
        if !self.skip_existing {
            return None;
        }
        if self.was_short {
            // What could not be looked at has an end, too: it all begins anew.
            self.files.clear();
            self.elders.clear();
            return None;
        }
        self.skip_existing = false;
        Some(self.start_positions())
    }

    fn is_scan_due(&self, (last, cost): (Instant, Duration), structure: bool) -> bool {
        last.elapsed() >= self.scan_interval(cost, structure)
    }

    fn scan_interval(&self, cost: Duration, structure: bool) -> Duration {
        match structure || self.look_again {
            true => cost * HURRIED_SCAN_SHARE,
            false => self.options.poll_interval.max(cost * SCAN_SHARE),
        }
    }

    fn pause(&self, scanned: Option<(Instant, Duration)>, structure: bool) -> Duration {
        scanned.map_or(Duration::ZERO, |(last, cost)| self.scan_interval(cost, structure).saturating_sub(last.elapsed()))
    }

    /// Whose turn it is in this round: of each log the oldest generation that has something to read, the oldest log first.
    pub(super) fn turns(&mut self) -> Vec<usize> {
        let settle = self.options.settle;
        (self.open_files, self.unread_files) = (0, 0);
        for file in &mut self.files {
            self.open_files += usize::from(file.content.is_some());
            self.unread_files += usize::from(file.is_unread());
            let over = match file.place {
                Place::Home => file.holds_event(),
                Place::Away => file.pending_bytes() > 0,
                Place::Gone { .. } => file.content.is_some(),
            };
            if over && !file.ready && !file.replaced && file.last_read.elapsed() >= settle {
                file.last_line_is_due = true;
            }
        }
        let mut order: Vec<usize> = (0..self.files.len())
            .filter(|i| {
                let f = &self.files[*i];
                !f.done && (f.forget || (!f.replaced && (f.ready || f.last_line_is_due || f.row_is_stale)))
            })
            .collect();
        order.sort_by_key(|i| self.files[*i].order);
        let mut busy = HashSet::new();
        order.retain(|i| self.files[*i].forget || busy.insert(family(&self.files[*i].path)));
        order
    }

    /// Lets a file hand out one batch, if it has something to hand out. It stays open if there is room.
    pub(super) fn turn(&mut self, i: usize) -> Option<Batch> {
        let file = &self.files[i];
        let before = (file.content.is_some(), file.is_unread());
        let batch = self.read_batch(i);
        let file = &mut self.files[i];
        self.open_files = self.open_files + usize::from(file.content.is_some()) - usize::from(before.0);
        // One that is gone or overwritten can be read here only, an unfinished line in a rotated one and an unfinished event are handed out
        // soon, and a compressed one would be read from its first byte again.
        let must_stay = file.gzip || file.replaced || file.place != Place::Home || file.holds_event();
        if file.content.is_some() && !must_stay && self.open_files > self.options.max_open_files {
            self.open_files -= 1;
            file.content = None;
        }
        self.unread_files = self.unread_files + usize::from(file.is_unread()) - usize::from(before.1);
        let unread_files = self.unread_files as u32;
        batch.map(|batch| Batch { unread_files, ..batch })
    }

    fn read_batch(&mut self, i: usize) -> Option<Batch> {
        let file = &mut self.files[i];
        let mut batch = Batch::default();
        let before = file.position;
        if file.forget {
            file.finish(&mut batch);
            file.content = None;
            file.done = true;
            self.look_again = true;
            if !file.saved && batch.frames.is_empty() {
                return None;
            }
        } else {
            let due = std::mem::take(&mut file.last_line_is_due);
            let budget = Budget { bytes: self.options.batch_bytes, lines: self.options.batch_lines };
            let turn = file.read(&mut batch, &mut self.chunk, budget, self.limits);
            self.look_again |= turn.moved;
            self.counts.cut.add(turn.cut);
            if let Some(error) = turn.error {
                self.counts.errors.add(1);
                if !file.complained {
                    file.complained = true;
                    tracing::warn!(path = %file.real.display(), %error, "cannot read file, trying again at each poll");
                }
            }
            if due && !file.ready && !file.replaced && batch.frames.is_empty() {
                match file.place {
                    Place::Home => file.finish_event(&mut batch),
                    _ => file.finish(&mut batch),
                }
                if matches!(file.place, Place::Gone { .. }) {
                    file.content = None;
                    self.look_again = true;
                }
            }
            if file.position == before && (!file.row_is_stale || file.replaced) {
                return None;
            }
        }
        batch.origins.push(Arc::clone(&file.origin));
        batch.positions.push(file.change(&self.input));
        batch.losses.extend(self.losses.extract_if(.., |loss| loss.part == file.part));
        file.delivered = true;
        file.saved = true;
        file.row_is_stale = false;
        Some(batch)
    }

    pub(super) fn index(&mut self) {
        self.by_path.clear();
        for (i, file) in self.files.iter().enumerate() {
            if file.place == Place::Home {
                self.by_path.insert(file.path.clone(), i);
            }
            self.by_path.insert(file.real.clone(), i);
        }
    }

    /// Makes room for so many more open files, as far as others are idle; says for how many there is room.
    pub(super) fn make_room(&mut self, wanted: usize) -> usize {
        let limit = self.options.max_open_files;
        self.close(limit.saturating_sub(wanted));
        limit.saturating_sub(self.files.iter().filter(|f| f.content.is_some()).count())
    }

    /// Closes files that were idle for long, and the longest idle ones where too many are open. Their identity stays.
    pub(super) fn close_idle(&mut self) {
        self.close(self.options.max_open_files);
    }

    /// The same, until no more than `limit` are open.
    fn close(&mut self, limit: usize) {
        let has_nothing = |f: &Followed| !f.ready || !f.gzip && f.unread_bytes() == 0;
        let is_idle =
            |f: &Followed| f.content.is_some() && has_nothing(f) && !f.replaced && !matches!(f.place, Place::Gone { .. });
        let open = self.files.iter().filter(|f| f.content.is_some()).count();
        let mut held = self.files.iter().filter(|f| f.content.is_some()).map(Followed::pending_bytes).sum::<u64>();
        let mut excess = open.saturating_sub(limit);
        let mut idle: Vec<usize> = (0..self.files.len()).filter(|i| is_idle(&self.files[*i])).collect();
        // Those that have something to read are closed last: what is not open is lost with its name.
        idle.sort_by_key(|i| (self.files[*i].unread_bytes() > 0, self.files[*i].last_read));
        for i in idle {
            let file = &mut self.files[i];
            // Its unfinished last line, or its unfinished event, is handed out soon.
            if file.place == Place::Away && file.pending_bytes() > 0 || file.holds_event() {
                continue;
            }
            let old = file.last_read.elapsed() >= self.options.close_idle_after;
            if old || excess > 0 || held > self.options.held_bytes && file.pending_bytes() > 0 {
                held = held.saturating_sub(file.pending_bytes());
                excess = excess.saturating_sub(1);
                file.content = None;
            }
        }
    }

    fn gauge(&self) {
        let alive = self.files.iter().filter(|f| f.is_alive());
        self.counts.followed.set(alive.count() as u64);
        let lag = |f: &Followed| if f.gzip { 0 } else { f.stat.size.max(f.tried.size).saturating_sub(f.position) };
        self.counts.lag.set(self.files.iter().filter(|f| f.is_alive()).map(lag).sum());
    }
}
