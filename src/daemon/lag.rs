//! How far behind each input is: bytes and records that are there and not committed, and for how long.
//!
//! What is there is looked at every few seconds. An input is behind by the age of the first look that saw something which is not
//! committed yet. That holds for whatever the pipeline has not even read, however much that is; of what was there before the start
//! nobody knows more than that, until the pipeline has read when it was received. Only there the wall clock is asked, and only once, at
//! the start: whoever sets it later makes nothing older.
//!
//! What was not read was not split into records either. How many there are is reckoned from the mean length of those of the same input
//! that the pipeline has seen; for the journal, of those that the doors have put into it since the start, if they have.

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
/// What a record takes beside its own bytes, in bytes: a place in a group of the journal, or the end of a line; and the most that it can
/// take, as the only one of its group.
const BESIDE_A_RECORD: std::ops::RangeInclusive<u64> = 1..=256;
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
    seen: Mutex<Seen>,
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
        let frames = batch.frames.len() as u64;
        let own: u64 = batch.frames.iter().map(|f| u64::from(f.end - f.start) + u64::from(f.cut)).sum();
        let (least, most) = (own + frames * BESIDE_A_RECORD.start(), own + frames * BESIDE_A_RECORD.end());
        for change in &batch.positions {
            let Some(flow) = self.flows.get(&*change.input) else { continue };
            let bytes = change.to.saturating_sub(change.from);
            flow.passed_bytes.fetch_add(bytes, Ordering::Relaxed);
            // More than that is a gap: a first segment does not begin at 0, a damaged one is skipped, a file is begun at its end.
            let of_records = if bytes <= most { bytes } else { least };
            flow.seen.lock().unwrap_or_else(PoisonError::into_inner).add(frames, of_records);
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

/// How long records are.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    records: u64,
    bytes: u64,
}

impl Seen {
    fn add(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
    }

    /// How many there are in that many bytes; `None` where none was seen.
    fn records_in(self, bytes: u64) -> Option<u64> {
        if bytes == 0 {
            return Some(0);
        }
        let seen = u128::from(self.bytes);
        let records = (u128::from(bytes) * u128::from(self.records) + seen / 2).checked_div(seen)?;
        (self.records > 0).then(|| u64::try_from(records).unwrap_or(u64::MAX).max(1))
    }
}

/// What the doors put into the journal.
#[derive(Debug)]
struct Arrivals {
    frames: u64,
    dropped: u64,
    end: u64,
    seen: Seen,
}

impl Arrivals {
    fn look(&mut self, stats: &Stats, end: u64) {
        let (frames, dropped) = (stats.total("frames_total"), stats.total("dropped_total"));
        // Of frames that were received some may not be in the journal, where any were dropped meanwhile.
        if dropped == self.dropped {
            self.seen.add(frames - self.frames, end.saturating_sub(self.end));
        }
        *self = Arrivals { frames, dropped, end, seen: self.seen };
    }
}

/// Looks at the inputs from time to time.
#[derive(Debug)]
pub struct Lag {
    progress: Arc<Progress>,
    journal: Arc<Journal>,
    stats: Arc<Stats>,
    arrivals: Arrivals,
    inputs: Vec<Input>,
}

#[derive(Debug)]
struct Input {
    name: String,
    /// Bytes that the tail has not read, for a file set.
    unread: Option<Arc<Counter>>,
    looks: Looks,
    bytes: Arc<Counter>,
    records: Arc<Counter>,
    seconds: Arc<Counter>,
}

impl Lag {
    /// Before the doors open.
    pub fn new(progress: Arc<Progress>, journal: Arc<Journal>, stats: Arc<Stats>) -> Lag {
        let input = |name: &String| {
            Input {
            name: name.clone(),
            unread: name
                .strip_prefix("files:")
                .map(|set| stats.gauge("lag_bytes", "Bytes that wait to be read.", &[("source", set)])),
            looks: Looks::default(),
            bytes: stats.gauge("behind_bytes", "Bytes of an input that are there and not committed.", &[("input", name)]),
            records: stats.gauge(
                "behind_records",
                "Records of an input that are there and not committed, reckoned from the mean length of those seen; 0 while none was.",
                &[("input", name)],
            ),
            seconds: stats.gauge(
                "behind_seconds",
                "For how long something of an input has been waiting to be committed.",
                &[("input", name)],
            ),
        }
        };
        let inputs = progress.flows.keys().map(input).collect();
        let arrivals = Arrivals { frames: 0, dropped: 0, end: journal.synced(), seen: Seen::default() };
        Lag { progress, journal, stats, arrivals, inputs }
    }

    /// Looks at every input.
    pub fn look(&mut self, now: Instant) -> Vec<Behind> {
        let journal = self.progress.journal.get().map(|offset| offset.load(Ordering::Relaxed));
        self.arrivals.look(&self.stats, self.journal.synced());
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
            let seen = match self.arrivals.seen {
                arrived if input.unread.is_none() && arrived.records > 0 => arrived,
                _ => *flow.seen.lock().unwrap_or_else(PoisonError::into_inner),
            };
            let records = behind.and_then(|bytes| seen.records_in(bytes));
            input.bytes.set(behind.unwrap_or(0));
            input.records.set(records.unwrap_or(0));
            input.seconds.set(seconds);
            Behind { input: input.name.clone(), bytes: behind, records, seconds }
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
    use crate::frame::FrameSpan;
    use crate::journal::Group;

    fn batch(input: &str, from: u64, to: u64, lengths: &[u32]) -> Batch {
        let mut batch = Batch::default();
        for length in lengths {
            let start = batch.bytes.len() as u32;
            batch.bytes.resize((start + length) as usize, b'x');
            batch.frames.push(FrameSpan { start, end: start + length, origin: 0, cut: 0, received_at: Timestamp::MIN });
        }
        batch.positions.push(PositionChange { input: input.into(), part: "p".into(), from, to, detail: None });
        batch
    }

    #[tokio::test]
    async fn records_are_reckoned_from_those_that_were_seen() {
        let (dir, stats) = (tempfile::tempdir().unwrap(), Arc::new(Stats::default()));
        let journal = Arc::new(Journal::open(dir.path(), Default::default(), 1 << 60, &stats).unwrap());
        let progress = Arc::new(Progress::new(["auth"].into_iter(), 0));
        let mut lag = Lag::new(Arc::clone(&progress), Arc::clone(&journal), Arc::clone(&stats));
        let mut look = || {
            let behind = lag.look(Instant::now());
            let of = |input: &str| behind.iter().find(|b| b.input == input).map(|b| (b.bytes, b.records)).unwrap();
            (of(JOURNAL), of("files:auth"))
        };
        // The database has not said yet where to go on.
        assert_eq!(look(), ((Some(0), Some(0)), (None, None)));
        let received = stats.counter("frames_total", "", &[("source", "lan")]);
        let dropped = stats.counter("dropped_total", "", &[("source", "lan"), ("reason", "journal full")]);
        let arrive = async |frames: u64| {
            let mut group = Group::new("lan", Timestamp::now());
            (0..frames).for_each(|_| group.push(None, b"forty bytes of a line that has forty bytes", 0));
            journal.handle().append_and_wait(&group).await.unwrap();
            received.add(frames);
        };
        arrive(100).await;
        let ((bytes, records), files) = look();
        assert!(bytes.unwrap() > 4_000);
        assert_eq!((records, files), (Some(100), (None, None)), "the doors know");
        received.add(1_000_000);
        dropped.add(1_000_000);
        assert_eq!(look().0, (bytes, Some(100)), "what was dropped is not behind");
        arrive(100).await;
        let records = look().0.1.unwrap();
        assert!((195..=205).contains(&records), "{records}");

        progress.begin(0);
        let unread = stats.gauge("lag_bytes", "", &[("source", "auth")]);
        unread.set(5_000);
        assert_eq!(look().1, (Some(5_000), None), "nobody has read any of it");
        let (first, second) = (batch("files:auth", 0, 1_000, &[99; 10]), batch("files:auth", 1_000, 2_010, &[100; 10]));
        progress.passed(&first);
        progress.passed(&second);
        unread.set(2_990);
        assert_eq!(look().1, (Some(5_000), Some(50)), "100.5 bytes each; what is under way counts");
        progress.committed(&first.positions);
        progress.committed(&second.positions);
        unread.set(1);
        assert_eq!(look().1, (Some(1), Some(1)), "no part of a record is none");
        unread.set(0);
        assert_eq!(look().1, (Some(0), Some(0)));
        let text = stats.render();
        assert!(
            text.contains("tocsin_behind_records{input=\"journal\"} 2")
                && text.contains("tocsin_behind_records{input=\"files:auth\"} 0")
        );
        journal.close().await;

        // A journal that begins far from 0, of which the doors have put in nothing since the start.
        let stats = Arc::new(Stats::default());
        drop((lag, journal));
        let journal = Arc::new(Journal::open(dir.path(), Default::default(), 0, &stats).unwrap());
        let progress = Arc::new(Progress::new([].into_iter(), 0));
        let mut lag = Lag::new(Arc::clone(&progress), Arc::clone(&journal), stats);
        let mut records = || lag.look(Instant::now())[0].records;
        assert_eq!(records(), None, "nobody has read any of it");
        progress.begin(0);
        progress.passed(&batch(JOURNAL, 0, journal.synced(), &[42; 200]));
        let reckoned = records().unwrap();
        assert!((200..=300).contains(&reckoned), "{reckoned}");
        journal.close().await;
    }

    #[test]
    fn what_was_there_before_the_start_is_as_old_as_it_was_then() {
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
