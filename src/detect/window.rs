//! The sliding windows of one group: which of its events belong to an attack.
//!
//! **Definition.** An event belongs iff some half-open window `[t, t + w)` contains it and at least `k` events (or, for a lane that
//! counts accounts, events of at least `k` distinct accounts). That is a property of the set of events, so their order of arrival
//! does not matter. It is enough to look at windows that start at an event.
//!
//! **State.** Points sorted by time, shared by all lanes (detectors) of the group; per lane a point knows whether it was *counted*
//! and whether it is *linked* to the next one: both lie in one qualifying window. Points that are linked in a row are a *run*.
//!
//! - An event that falls between two linked points shares their window and is counted at once. (It may still help a point beyond the
//!   end of the run into a window, if it falls among the last points before that end.)
//! - An event outside of a run can meet only its ends. Of the first and the last points, those that make up `k − 1` events are enough:
//!   a window that holds them and the new event qualifies, and one that holds fewer of them holds only points that were kept. For
//!   accounts, the earliest (latest) points of the first (last) `k` accounts, since the new event's account may be one of them.
//!   What lies between is implied by the link, so [`Window::tidy`] drops it.
//! - A point that was not counted is kept until it is too old to meet an event: its time is at most the newest − lateness − `w`.
//!   The newest such point stays while it is linked, because the run that it begins may reach over later ones.
//! - Fewer than `k` events fit uncounted into a window, so a lane of events keeps O(k) points. An account that fails again and again
//!   alone stays uncounted in a lane of accounts however often it does: above a limit, its points that fall in the same eighth of a
//!   window are merged at the latest time among them. This is the one approximation: such an event may be counted as if it had
//!   happened up to an eighth of a window later. It does not change whether an attack is found.

use smallvec::SmallVec;

use super::names::{Name, Names};

/// The most lanes of a group.
pub(super) const MAX_LANES: usize = 3;

/// Points below which a window grows rather than tidies.
const SMALL: usize = 8;

const COUNTED: u32 = 25;
const LINKED: u32 = COUNTED + MAX_LANES as u32;
const NAMED_ONLY: u32 = 1 << 31;
const MAX_WEIGHT: u32 = (1 << COUNTED) - 1;

/// The numbers of one detector or rule, as the windows of its groups need them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    /// Counts distinct accounts, and only events that name one.
    pub distinct: bool,
    pub threshold: u32,
    pub window_micros: i64,
}

impl Lane {
    /// The earliest time of an event that shares a window with a later one at `time`.
    fn oldest_beside(&self, time: i64) -> i64 {
        time.saturating_sub(self.window_micros - 1)
    }
}

/// Events of one record: where and when, and the flags of each lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub time: i64,
    pub id: i64,
    pub user: Name,
    /// 25 bits of weight, `COUNTED` and `LINKED` a bit per lane, `NAMED_ONLY`.
    bits: u32,
}

impl Point {
    /// The weight saturates at 2^25 − 1 in what is kept of an event that is not counted yet.
    pub(super) fn new(time: i64, id: i64, user: Name, weight: u32) -> Point {
        Point { time, id, user, bits: weight.min(MAX_WEIGHT) }
    }

    /// Makes it count only for lanes that count accounts.
    pub(super) fn named_only(self) -> Point {
        Point { bits: self.bits | NAMED_ONLY, ..self }
    }

    fn weight(&self) -> u32 {
        self.bits & MAX_WEIGHT
    }

    fn is_in(&self, lane: &Lane) -> bool {
        if lane.distinct { self.user.is_some() } else { self.bits & NAMED_ONLY == 0 }
    }

    fn is_counted(&self, lane: usize) -> bool {
        self.bits & (1 << (COUNTED + lane as u32)) != 0
    }

    fn is_linked(&self, lane: usize) -> bool {
        self.bits & (1 << (LINKED + lane as u32)) != 0
    }

    fn count(&mut self, lane: usize) {
        self.bits |= 1 << (COUNTED + lane as u32);
    }

    fn link(&mut self, lane: usize) {
        self.bits |= 1 << (LINKED + lane as u32);
    }

    fn unlink(&mut self, lane: usize) {
        self.bits &= !(1 << (LINKED + lane as u32));
    }
}

/// How much a window may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Points; beyond, the oldest quarter goes.
    pub points: usize,
    /// Uncounted points of a lane of accounts above which they are merged.
    pub merge_above: usize,
}

/// What tidying did beyond the exact, for the counters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tidied {
    pub merged: u64,
    pub cut: u64,
}

/// The points of one group. See the module.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Three are held in place: most remote ends fail no more often.
    points: SmallVec<[Point; 3]>,
}

impl Window {
    /// The time of the newest point.
    pub(super) fn newest(&self) -> Option<i64> {
        self.points.last().map(|p| p.time)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        if self.points.spilled() { self.points.capacity() * size_of::<Point>() } else { 0 }
    }

    /// Gives the names back before the window goes.
    pub(super) fn release(&mut self, names: &mut Names) {
        for point in self.points.drain(..) {
            names.release(point.user);
        }
    }

    /// Whether the next point needs [`Window::tidy`] first.
    pub(super) fn is_full(&self) -> bool {
        self.points.len() == self.points.capacity()
    }

    /// Adds a point (its reference to the name becomes the window's) of `weight` events. Calls `found` with the number of each lane
    /// and each point that belongs to an attack as of now, and its weight; within a lane, earliest first.
    pub(super) fn insert(&mut self, point: Point, weight: u32, lanes: &[Lane], mut found: impl FnMut(usize, &Point, u64)) {
        let at = match self.points.last() {
            Some(last) if last.time > point.time => self.points.partition_point(|p| p.time <= point.time),
            _ => self.points.len(),
        };
        self.points.insert(at, point);
        for (number, lane) in lanes.iter().enumerate() {
            if self.points[at].is_in(lane) {
                self.evaluate(at, number, lane, |here, p| {
                    found(number, p, u64::from(if here == at { weight } else { p.weight() }));
                });
            }
        }
    }

    /// Counts what belongs because of the new point at `at`.
    fn evaluate(&mut self, at: usize, number: usize, lane: &Lane, mut found: impl FnMut(usize, &Point)) {
        let points = &mut self.points[..];
        let before = points[..at].iter().rposition(|p| p.is_in(lane));
        if let Some(before) = before {
            if points[before].is_linked(number) {
                points[at].count(number);
                points[at].link(number);
                found(at, &points[at]);
            }
            // Every window that holds the last point and this one held as many accounts without this one.
            let same = lane.distinct && points[before].user == points[at].user && !points[before].is_counted(number);
            if same && at + 1 == points.len() {
                return;
            }
        }
        let is_last = !points[at + 1..].iter().any(|p| p.is_in(lane));
        let reach = match (is_last, lane.distinct) {
            (true, _) => reach_of_last(points, at, number, lane),
            (false, true) => reach_of_accounts(points, at, lane),
            (false, false) => reach_of_events(points, at, lane),
        };
        let Some((first, end)) = reach else { return };
        let mut previous: Option<usize> = None;
        for here in first..end {
            if !points[here].is_in(lane) {
                continue;
            }
            if !points[here].is_counted(number) {
                points[here].count(number);
                found(here, &points[here]);
            }
            if let Some(previous) = previous {
                points[previous].link(number);
            }
            previous = Some(here);
        }
    }

    /// Makes room for a point: drops what no lane needs, merges, and grows or cuts where that is not enough.
    ///
    /// `settled`: no event before this time is still to come, as far as events are to be counted exactly; `None` where any may.
    pub(super) fn tidy(&mut self, settled: Option<i64>, lanes: &[Lane], limits: Limits, names: &mut Names) -> Tidied {
        let mut tidied = Tidied::default();
        let widest = lanes.iter().map(|l| l.window_micros).max().unwrap_or(0);
        let is_aged = |p: &Point| settled.is_some_and(|s| p.time <= s.saturating_sub(widest));
        if self.points.capacity() < SMALL && !self.points.first().is_some_and(is_aged) {
            // Most groups never see more than a few events: there is nothing to drop yet.
            self.points.grow((self.points.capacity() * 2).min(limits.points));
            return tidied;
        }
        let mut needed: SmallVec<[u8; 64]> = SmallVec::from_elem(0, self.points.len());
        for (number, lane) in lanes.iter().enumerate() {
            mark_needed(&self.points, number, lane, settled, &mut needed);
        }
        for (number, lane) in lanes.iter().enumerate().filter(|(_, l)| l.distinct) {
            tidied.merged += merge(&mut self.points, number, lane, limits.merge_above, &mut needed);
        }
        self.drop_unneeded(lanes, &needed, names);
        let (len, capacity) = (self.points.len(), self.points.capacity());
        // At least half of the room is then free, so that tidying costs O(1) for each point.
        if len * 2 > capacity {
            if capacity >= limits.points {
                let cut = (len / 4).max(1);
                for point in self.points.drain(..cut) {
                    names.release(point.user);
                }
                tidied.cut += cut as u64;
            } else {
                let wanted = (capacity * 2).min(limits.points);
                self.points.grow(wanted);
            }
        }
        tidied
    }

    fn drop_unneeded(&mut self, lanes: &[Lane], needed: &[u8], names: &mut Names) {
        let points = &mut self.points;
        let mut last_kept = [None::<usize>; MAX_LANES];
        let mut kept = 0;
        for here in 0..points.len() {
            let point = points[here];
            let keep = needed[here] != 0;
            for (number, _) in lanes.iter().enumerate().filter(|(_, l)| point.is_in(l)) {
                if keep {
                    last_kept[number] = Some(kept);
                } else if let (Some(last), false) = (last_kept[number], point.is_linked(number)) {
                    // Linked to its new neighbour only if every step between was linked.
                    points[last].unlink(number);
                }
            }
            if keep {
                points[kept] = point;
                kept += 1;
            } else {
                names.release(point.user);
            }
        }
        points.truncate(kept);
    }
}

/// The points from the first to one past the last that the one at `at` makes belong or links, where no later one is in the lane:
/// the usual case, which costs O(threshold).
///
/// It need not look beyond a link. Say that `a` and the point after it are linked, so both lie in a qualifying window V, and that
/// `e` before `a` is still in reach. Either V begins at or before `e`, so it holds `e`; or it begins after, and then all of V lies in
/// the window that begins at `e`. So `e` is counted, and linked as far as `a`, already.
fn reach_of_last(points: &[Point], at: usize, number: usize, lane: &Lane) -> Option<(usize, usize)> {
    let oldest = lane.oldest_beside(points[at].time);
    let reach = |end: usize| points[..end].iter().enumerate().rev().take_while(move |(_, p)| p.time >= oldest);
    let in_lane = |end: usize| reach(end).filter(|(_, p)| p.is_in(lane));
    let qualifies = if lane.distinct {
        let mut accounts: SmallVec<[Name; 16]> = SmallVec::new();
        in_lane(at + 1).any(|(_, point)| {
            if !accounts.contains(&point.user) {
                accounts.push(point.user);
            }
            accounts.len() >= lane.threshold as usize
        })
    } else {
        let mut events = 0;
        in_lane(at + 1).any(|(_, point)| {
            events += u64::from(point.weight());
            events >= u64::from(lane.threshold)
        })
    };
    let first = || in_lane(at).take_while(|(_, p)| !p.is_linked(number)).last().map_or(at, |(here, _)| here);
    qualifies.then(|| (first(), at + 1))
}

/// The points from the first to one past the last that share a qualifying window with the one at `at`.
fn reach_of_events(points: &[Point], at: usize, lane: &Lane) -> Option<(usize, usize)> {
    let weight = |p: &Point| if p.is_in(lane) { u64::from(p.weight()) } else { 0 };
    let from = first_in_reach(points, at, lane);
    let (mut first, mut end, mut sum) = (None, from, 0);
    for start in from..=at {
        while end < points.len() && points[end].time.saturating_sub(points[start].time) < lane.window_micros {
            sum += weight(&points[end]);
            end += 1;
        }
        if sum >= u64::from(lane.threshold) {
            first.get_or_insert((start, end)).1 = end;
        }
        sum -= weight(&points[start]);
    }
    first
}

/// The same, for a lane that counts accounts.
fn reach_of_accounts(points: &[Point], at: usize, lane: &Lane) -> Option<(usize, usize)> {
    let mut accounts: SmallVec<[(Name, u32); 16]> = SmallVec::new();
    let from = first_in_reach(points, at, lane);
    let (mut first, mut end) = (None, from);
    for start in from..=at {
        while end < points.len() && points[end].time.saturating_sub(points[start].time) < lane.window_micros {
            if points[end].is_in(lane) {
                match accounts.iter_mut().find(|(user, _)| *user == points[end].user) {
                    Some((_, times)) => *times += 1,
                    None => accounts.push((points[end].user, 1)),
                }
            }
            end += 1;
        }
        if accounts.len() >= lane.threshold as usize {
            first.get_or_insert((start, end)).1 = end;
        }
        if let Some(n) = accounts.iter().position(|(user, _)| *user == points[start].user) {
            accounts[n].1 -= 1;
            if accounts[n].1 == 0 {
                accounts.swap_remove(n);
            }
        }
    }
    first
}

/// The first point that can share a window with the one at `at`.
fn first_in_reach(points: &[Point], at: usize, lane: &Lane) -> usize {
    let oldest = lane.oldest_beside(points[at].time);
    points[..at].iter().rposition(|p| p.time < oldest).map_or(0, |n| n + 1)
}

/// Sets the lane's bit for each point that it needs.
fn mark_needed(points: &[Point], number: usize, lane: &Lane, settled: Option<i64>, needed: &mut [u8]) {
    let here: SmallVec<[u32; 64]> = (0..points.len() as u32).filter(|&n| points[n as usize].is_in(lane)).collect();
    let point = |n: u32| &points[n as usize];
    let cut = settled.map(|s| s.saturating_sub(lane.window_micros));
    let aged = cut.map_or(0, |cut| here.partition_point(|&n| point(n).time <= cut));
    // The newest aged point stays while it is linked to one that is not.
    let from = if aged > 0 && point(here[aged - 1]).is_linked(number) { aged - 1 } else { aged };
    let mut start = 0;
    while start < here.len() {
        let mut last = start;
        while last + 1 < here.len() && point(here[last]).is_linked(number) {
            last += 1;
        }
        let run = &here[start..=last];
        let mut mark = |n: u32, position: usize| {
            if start + position >= from {
                needed[n as usize] |= 1 << number;
            }
        };
        if last >= from {
            mark_end(points, lane, run.iter().copied().enumerate(), &mut mark);
            mark_end(points, lane, run.iter().copied().enumerate().rev(), &mut mark);
            if from > start {
                mark(here[from], from - start);
            }
        }
        start = last + 1;
    }
}

/// Marks the points at one end of a run that an event beyond that end may need.
fn mark_end(points: &[Point], lane: &Lane, run: impl Iterator<Item = (usize, u32)>, mark: &mut impl FnMut(u32, usize)) {
    if lane.distinct {
        let mut accounts: SmallVec<[Name; 16]> = SmallVec::new();
        for (position, n) in run {
            let user = points[n as usize].user;
            if !accounts.contains(&user) {
                mark(n, position);
                accounts.push(user);
                if accounts.len() >= lane.threshold as usize {
                    return;
                }
            }
        }
    } else {
        let mut sum = 0u64;
        for (position, n) in run {
            mark(n, position);
            sum += u64::from(points[n as usize].weight());
            if sum + 1 >= u64::from(lane.threshold) {
                return;
            }
        }
    }
}

/// Merges uncounted points of one account that only this lane needs, where there are more than `above`.
fn merge(points: &mut [Point], number: usize, lane: &Lane, above: usize, needed: &mut [u8]) -> u64 {
    let only = 1u8 << number;
    let is_pending = |p: &Point, need: u8| need == only && !p.is_counted(number);
    if points.iter().zip(&*needed).filter(|(p, n)| is_pending(p, **n)).count() <= above {
        return 0;
    }
    let bucket_of = |p: &Point| p.time.div_euclid((lane.window_micros / 8).max(1));
    let mut bucket = i64::MAX;
    let mut latest: SmallVec<[(Name, usize); 16]> = SmallVec::new();
    let mut merged = 0;
    for here in (0..points.len()).rev() {
        let point = points[here];
        if !is_pending(&point, needed[here]) {
            continue;
        }
        if bucket_of(&point) != bucket {
            bucket = bucket_of(&point);
            latest.clear();
        }
        match latest.iter().find(|(user, _)| *user == point.user) {
            Some(&(_, into)) => {
                let weight = (points[into].weight() + point.weight()).min(MAX_WEIGHT);
                points[into].bits = points[into].bits & !MAX_WEIGHT | weight;
                needed[here] = 0;
                merged += 1;
            }
            None => latest.push((point.user, here)),
        }
    }
    merged
}
