//! Keeps the ledger's open entry: what the transactions of the last minutes took from each input, and which ids they gave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::frame::{Batch, Loss, LossReason};
use crate::record::Timestamp;
use crate::stats::{Counter, Stats};
use crate::store::ledger::{Entry, Range};

/// An entry ends when its frames span this time of receipt. Longer ones are fewer rows; a gap in `logs` is then told less exactly.
const SPAN_MICROS: i64 = 10 * 60 * 1_000_000;
/// … or when it names this many days, or ranges: each transaction writes the days again.
const MAX_DAYS: usize = 500;
const MAX_RANGES: usize = 20_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Keeper {
    open: Entry,
    /// Parts that the transaction in hand changed.
    touched: BTreeSet<(Arc<str>, Arc<str>)>,
    /// Entries that ended in the transaction in hand.
    ended: Vec<Entry>,
}

impl Keeper {
    /// Takes note of a frame that gets this id.
    pub fn frame(&mut self, id: i64, day: i64, received_at: Timestamp) {
        match self.open.ids.last_mut() {
            Some((_, end)) if *end == id => *end += 1,
            _ => self.open.ids.push((id, id + 1)),
        }
        *self.open.days.entry(day).or_default() += 1;
        let (first, last) = self.open.received.unwrap_or((received_at, received_at));
        self.open.received = Some((first.min(received_at), last.max(received_at)));
    }

    /// Before the frames of a batch: ends the open entry if the batch does not go on where the entry got to.
    pub fn begin(&mut self, number: i64, batch: &Batch) {
        let goes_on = |p: &crate::frame::PositionChange| {
            let known = self.open.ranges.get(&(Arc::clone(&p.input), Arc::clone(&p.part)));
            known.is_none_or(|range| range.to == p.from)
        };
        if !batch.positions.iter().all(goes_on) {
            self.end(number);
        }
    }

    /// After them: the batch's ranges, of which the first holds all of its frames.
    pub fn batch(&mut self, number: i64, batch: &Batch, repeated: u64) {
        self.open.last_transaction = number;
        for (n, change) in batch.positions.iter().enumerate() {
            let key = (Arc::clone(&change.input), Arc::clone(&change.part));
            let range = self.open.ranges.entry(key.clone()).or_insert(Range { from: change.from, ..Range::default() });
            range.to = change.to;
            if n == 0 {
                range.frames += batch.frames.len() as u64 - repeated;
                range.repeated += repeated;
                range.cut += batch.frames.iter().filter(|f| f.cut > 0).count() as u64;
            }
            self.touched.insert(key);
        }
    }

    /// The entries that a transaction writes.
    pub fn take(&mut self, number: i64) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut self.ended);
        if !self.touched.is_empty() {
            entries.push(self.touched_part());
        }
        let long = self.open.received.is_some_and(|(first, last)| last.micros_since(first) >= SPAN_MICROS);
        if long || self.open.days.len() > MAX_DAYS || self.open.ranges.len() > MAX_RANGES {
            self.open = Entry { first_transaction: number + 1, ..Entry::default() };
        }
        entries
    }

    /// The next transaction has this number; a daemon begins an entry of its own.
    pub fn starting_at(number: i64) -> Keeper {
        Keeper { open: Entry { first_transaction: number, last_transaction: number, ..Entry::default() }, ..Keeper::default() }
    }

    /// Ends the open entry within the transaction in hand, which the next one begins with again.
    fn end(&mut self, number: i64) {
        if !self.touched.is_empty() {
            let entry = self.touched_part();
            self.ended.push(entry);
        }
        let piece = if self.open.first_transaction == number { self.open.piece + 1 } else { 0 };
        self.open = Entry { first_transaction: number, piece, last_transaction: number, ..Entry::default() };
    }

    fn touched_part(&mut self) -> Entry {
        let touched = std::mem::take(&mut self.touched);
        let ranges: BTreeMap<_, _> =
            touched.into_iter().filter_map(|key| Some((key.clone(), *self.open.ranges.get(&key)?))).collect();
        Entry { ranges, ..self.open.clone() }
    }
}

/// Losses, counted and told: at once when a reason is new, then at most once a minute.
pub struct LossLog {
    stats: Arc<Stats>,
    lost: BTreeMap<(Arc<str>, LossReason), Lost>,
}

struct Lost {
    total: Arc<Counter>,
    frames: Arc<Counter>,
    /// Since it was told last.
    untold: u64,
    untold_frames: u64,
    told_at: Option<Instant>,
}

/// The least time between two lines of the log about one input and reason.
const TELL_EVERY: Duration = Duration::from_secs(60);

impl LossLog {
    pub fn new(stats: Arc<Stats>) -> LossLog {
        LossLog { stats, lost: BTreeMap::new() }
    }

    /// Takes note of losses.
    pub fn note(&mut self, losses: &[Loss]) {
        for loss in losses {
            let lost = self.lost.entry((Arc::clone(&loss.input), loss.reason)).or_insert_with(|| {
                let labels = [("input", &*loss.input), ("reason", loss.reason.as_str())];
                Lost {
                    total: self.stats.counter("losses_total", "Times that something was lost.", &labels),
                    frames: self.stats.counter(
                        "lost_frames_total",
                        "Frames that were lost, where their number is known.",
                        &labels,
                    ),
                    untold: 0,
                    untold_frames: 0,
                    told_at: None,
                }
            });
            lost.total.add(1);
            lost.frames.add(loss.frames.unwrap_or(0));
            lost.untold += 1;
            lost.untold_frames += loss.frames.unwrap_or(0);
        }
    }

    /// Tells what is due.
    pub fn tell(&mut self, now: Instant) {
        for ((input, reason), lost) in &mut self.lost {
            if lost.untold > 0 && lost.told_at.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
                let (times, frames, reason) = (lost.untold, lost.untold_frames, reason.as_str());
                tracing::warn!(%input, reason, times, frames, "something was lost; \"tocsin verify\" tells what");
                (lost.untold, lost.untold_frames, lost.told_at) = (0, 0, Some(now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_once_a_minute_whatever_the_wall_clock_says() {
        let mut log = LossLog::new(Arc::default());
        let start = Instant::now();
        // Each noticed a day before the one before it.
        let mut untold = |day: i64, seconds: u64| {
            let noticed_at = Timestamp::from_secs(1_700_000_000 - day * 86_400);
            let reason = LossReason::KernelDrop;
            log.note(&[Loss { input: "syslog:lan".into(), part: "".into(), range: None, frames: Some(1), reason, noticed_at }]);
            log.tell(start + Duration::from_secs(seconds));
            log.lost.values().map(|lost| lost.untold).sum::<u64>()
        };
        assert_eq!([untold(0, 0), untold(1, 1), untold(2, 59), untold(3, 60), untold(4, 61), untold(5, 120)], [0, 1, 2, 0, 1, 0]);
    }
}
