//! How far behind each input is: bytes that are there and not committed, and for how long.
//!
//! What is there is looked at every few seconds. An input is behind by the age of the first look that saw something which is not
//! committed yet. That holds for whatever the pipeline has not even read, however much that is; of what was there before the start
//! nobody knows more than that, until the pipeline has read when it was received. Only there the wall clock is asked, and only once, at
//! the start: whoever sets it later makes nothing older.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::frame::{Batch, PositionChange};
use crate::http::Behind;
use crate::journal::Journal;
use crate::record::Timestamp;
use crate::stats::{Counter, Stats};

/// The input that the journal is.
const JOURNAL: &str = "journal";
/// Looks that are remembered; when there are more, every second one is forgotten.
const MAX_LOOKS: usize = 1024;

/// What the pipeline's two ends tell of the inputs. Shared.
#[derive(Debug)]
pub struct Progress {
    flows: BTreeMap<String, Flow>,
    /// The start, by both clocks.
    started: (Instant, Timestamp),
    /// What the journal held then ends there.
    started_at: u64,
    /// Where the journal was read to, once the database has told.
    journal: OnceLock<AtomicU64>,
}

/// One input's way through the pipeline.
#[derive(Debug, Default)]
struct Flow {
    passed_bytes: AtomicU64,
    committed_bytes: AtomicU64,
    /// Of each batch of the journal that was there before the start and is not committed, where it ends, and how old its first frame was
    /// at the start.
    under_way: Mutex<VecDeque<(u64, Duration)>>,
}

impl Progress {
    /// For the journal and the file sets of these names; `journal_end`: where the journal ends now.
    pub fn new<'n>(files: impl Iterator<Item = &'n str>, journal_end: u64) -> Progress {
        let names = files.map(|name| format!("files:{name}")).chain([JOURNAL.to_owned()]);
        Progress {
            flows: names.map(|name| (name, Flow::default())).collect(),
            started: (Instant::now(), Timestamp::now()),
            started_at: journal_end,
            journal: OnceLock::new(),
        }
    }

    /// The pipeline starts; the journal was committed up to an offset.
    pub fn begin(&self, journal: u64) {
        let _ = self.journal.set(AtomicU64::new(journal));
    }

    /// A batch enters the pipeline.
    pub fn passed(&self, batch: &Batch) {
        for change in &batch.positions {
            let Some(flow) = self.flows.get(&*change.input) else { continue };
            flow.passed_bytes.fetch_add(change.to.saturating_sub(change.from), Ordering::Relaxed);
            if let (JOURNAL, Some(first)) = (&*change.input, batch.frames.first())
                && change.from < self.started_at
            {
                let age = u64::try_from(self.started.1.micros_since(first.received_at)).unwrap_or(0);
                let mut under_way = flow.under_way.lock().unwrap_or_else(PoisonError::into_inner);
                under_way.push_back((change.to, Duration::from_micros(age)));
            }
        }
    }

    /// A transaction was committed.
    pub fn committed(&self, positions: &[PositionChange]) {
        for change in positions {
            let Some(flow) = self.flows.get(&*change.input) else { continue };
            flow.committed_bytes.fetch_add(change.to.saturating_sub(change.from), Ordering::Relaxed);
            if &*change.input == JOURNAL {
                if let Some(journal) = self.journal.get() {
                    journal.fetch_max(change.to, Ordering::Relaxed);
                }
                let mut under_way = flow.under_way.lock().unwrap_or_else(PoisonError::into_inner);
                while under_way.front().is_some_and(|(to, _)| *to <= change.to) {
                    under_way.pop_front();
                }
            }
        }
    }
}

/// Looks at the inputs from time to time.
#[derive(Debug)]
pub struct Lag {
    progress: Arc<Progress>,
    journal: Arc<Journal>,
    inputs: Vec<Input>,
}

#[derive(Debug)]
struct Input {
    name: String,
    /// Bytes that the tail has not read, for a file set.
    unread: Option<Arc<Counter>>,
    looks: Looks,
    bytes: Arc<Counter>,
    seconds: Arc<Counter>,
}

impl Lag {
    pub fn new(progress: Arc<Progress>, journal: Arc<Journal>, stats: &Stats) -> Lag {
        let input = |name: &String| Input {
            name: name.clone(),
            unread: name
                .strip_prefix("files:")
                .map(|set| stats.gauge("lag_bytes", "Bytes that wait to be read.", &[("source", set)])),
            looks: Looks::default(),
            bytes: stats.gauge("behind_bytes", "Bytes of an input that are there and not committed.", &[("input", name)]),
            seconds: stats.gauge(
                "behind_seconds",
                "For how long something of an input has been waiting to be committed.",
                &[("input", name)],
            ),
        };
        let inputs = progress.flows.keys().map(input).collect();
        Lag { progress, journal, inputs }
    }

    /// Looks at every input.
    pub fn look(&mut self, now: Instant) -> Vec<Behind> {
        let journal = self.progress.journal.get().map(|offset| offset.load(Ordering::Relaxed));
        let each = self.inputs.iter_mut().map(|input| {
            let flow = &self.progress.flows[&input.name];
            let committed = flow.committed_bytes.load(Ordering::Relaxed);
            let (end, done, behind) = match &input.unread {
                None => {
                    let done = journal.unwrap_or(0);
                    (self.journal.synced(), done, Some(self.journal.bytes_behind(done)))
                }
                // Nobody has looked at the files before the database told where to begin.
                Some(_) if journal.is_none() => (1, 0, None),
                Some(unread) => {
                    let under_way = flow.passed_bytes.load(Ordering::Relaxed).saturating_sub(committed);
                    let behind = unread.get() + under_way;
                    (committed + behind, committed, Some(behind))
                }
            };
            let waiting = if behind == Some(0) { input.looks.nothing() } else { input.looks.look(now, end, done) };
            let oldest = flow.under_way.lock().unwrap_or_else(PoisonError::into_inner).front().map(|(_, age)| *age);
            let received = oldest.map_or(Duration::ZERO, |age| age + now.duration_since(self.progress.started.0));
            let seconds = waiting.max(received).as_secs();
            input.bytes.set(behind.unwrap_or(0));
            input.seconds.set(seconds);
            Behind { input: input.name.clone(), bytes: behind, seconds }
        });
        each.collect()
    }
}

/// When an input was seen to reach where.
#[derive(Debug, Default)]
struct Looks(VecDeque<(Instant, u64)>);

impl Looks {
    /// Everything is committed.
    fn nothing(&mut self) -> Duration {
        self.0.clear();
        Duration::ZERO
    }

    /// The input reaches to `end` now and is committed up to `done`: for how long has something been waiting?
    fn look(&mut self, now: Instant, end: u64, done: u64) -> Duration {
        // A file that was truncated reaches less far than it did.
        for (_, reached) in self.0.iter_mut().rev().take_while(|(_, reached)| *reached > end) {
            *reached = end;
        }
        if self.0.back().is_none_or(|(_, reached)| *reached < end) {
            self.0.push_back((now, end));
        }
        while self.0.front().is_some_and(|(_, reached)| *reached <= done) {
            self.0.pop_front();
        }
        if self.0.len() > MAX_LOOKS {
            let mut nth = 0;
            self.0.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
        self.0.front().map_or(Duration::ZERO, |(at, _)| now.duration_since(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_the_start_is_as_old_as_it_was_then() {
        use crate::frame::FrameSpan;
        let progress = Progress::new(std::iter::empty(), 100);
        let batch = |from, to, received_at| {
            let change = PositionChange { input: JOURNAL.into(), part: "".into(), from, to, detail: None };
            let frames = vec![FrameSpan { start: 0, end: 0, origin: 0, cut: 0, received_at }];
            Batch { positions: vec![change], frames, ..Batch::default() }
        };
        let before = |seconds: i64| progress.started.1.plus_micros(-seconds * 1_000_000);
        let batches = [batch(0, 50, before(70)), batch(50, 100, before(-3_600)), batch(100, 150, before(31_536_000))];
        batches.iter().for_each(|batch| progress.passed(batch));
        let ages = || progress.flows[JOURNAL].under_way.lock().unwrap().iter().map(|(_, age)| age.as_secs()).collect::<Vec<_>>();
        assert_eq!(ages(), [70, 0], "the clock was set back before the start; what came after it is not asked for its time");
        progress.committed(&batches[0].positions);
        assert_eq!(ages(), [0]);
    }

    #[test]
    fn the_first_look_at_what_is_not_committed_tells_the_age() {
        let start = Instant::now();
        let mut looks = Looks::default();
        let mut look = |second: u64, end, done| looks.look(start + Duration::from_secs(second), end, done).as_secs();
        assert_eq!(look(0, 100, 100), 0);
        assert_eq!(look(2, 150, 100), 0);
        assert_eq!(look(4, 300, 100), 2);
        assert_eq!(look(6, 300, 149), 4, "a byte of the first is left");
        assert_eq!(look(8, 300, 150), 4, "the second came at 4");
        assert_eq!(look(10, 200, 150), 6, "truncated");
        assert_eq!(look(12, 200, 200), 0);
        assert_eq!(look(14, 201, 200), 0);
        assert_eq!(look(20, 201, 200), 6);
        for second in 21..10_000 {
            look(second, second * 10, 200);
        }
        assert_eq!(look(10_000, 100_000, 200), 9_986, "still the first, after a long outage");
        assert!(look(10_001, 100_000, 50_000) < 5_010);
        assert!(looks.0.len() <= MAX_LOOKS);
        assert_eq!(looks.nothing(), Duration::ZERO);
    }
}
