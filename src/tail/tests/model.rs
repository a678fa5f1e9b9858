//! Random sequences of writing, rotating, looking, reading, killing and starting, compared with what was written.
//!
//! Everything happens on one thread: the follower is driven step by step, and the writer's steps come between its accesses to the
//! disk (see [`super::meanwhile`]). A sequence that fails therefore fails again, and quickly, so that it can be made short.

mod named;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::meanwhile;
use crate::frame::{Batch, Source};
use crate::record::Zone;
use crate::stats::Stats;
use crate::tail::follow::Follower;
use crate::tail::watch::Bell;
use crate::tail::{Options, SavedPosition, Tail};

/// What happens. The numbers are accesses to the disk that the tail makes before the writer does each part of the step.
#[derive(Debug, Clone)]
enum Step {
    Append {
        lines: usize,
        unfinished: bool,
        gap: u32,
    },
    Rename {
        gap: u32,
    },
    /// With a line that is written after the copy was made.
    CopyTruncate {
        race: bool,
        gap: u32,
    },
    CloseIdle,
    /// After so many descriptors, the next ones are refused.
    RunOut {
        left: u32,
        refusals: u32,
    },
    Gzip {
        generation: usize,
        gap: u32,
    },
    Look,
    Turns,
    Commit,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let gap = || prop_oneof![3 => Just(0u32), 2 => 0u32..4, 1 => 0u32..30];
    prop_oneof![
        6 => (1usize..12, any::<bool>(), gap()).prop_map(|(lines, unfinished, gap)| Step::Append { lines, unfinished, gap }),
        2 => gap().prop_map(|gap| Step::Rename { gap }),
        2 => (any::<bool>(), gap()).prop_map(|(race, gap)| Step::CopyTruncate { race, gap }),
        2 => Just(Step::CloseIdle),
        1 => (0u32..30, 1u32..30).prop_map(|(left, refusals)| Step::RunOut { left, refusals }),
        2 => (1usize..3, gap()).prop_map(|(generation, gap)| Step::Gzip { generation, gap }),
        6 => Just(Step::Look),
        6 => Just(Step::Turns),
        3 => Just(Step::Commit),
        1 => Just(Step::Kill),
    ]
}

/// Batches handed out and not committed at most.
const ROOM: usize = 4;

/// A generation of the log: the end of its name behind the number.
type End = &'static str;

struct Model {
    dir: tempfile::TempDir,
    options: Options,
    stats: Arc<Stats>,
    follower: Option<Follower>,
    handed_out: VecDeque<Batch>,
    positions: BTreeMap<String, SavedPosition>,
    /// Ranges that were told to be lost.
    told_losses: HashSet<(u64, u64)>,
    committed: Vec<String>,
    written: Vec<String>,
    /// Written between the copy and the truncation of `copytruncate`: lost, unless they happened to be read.
    in_the_gap: Vec<String>,
    /// The last line has no newline yet.
    unfinished: bool,
    /// Of each rotated generation, the youngest first.
    generations: Vec<End>,
}

impl Model {
    fn new(patterns: &[&str]) -> Model {
        meanwhile::finish();
        let dir = tempfile::tempdir().unwrap();
        let source = Arc::new(Source { name: "test".into(), zone: Zone::UTC, format: None });
        let paths = patterns.iter().map(|p| dir.path().join(p).to_str().unwrap().to_owned()).collect();
        let mut options = Options::new("test", paths, source);
        options.settle = Duration::ZERO;
        options.close_idle_after = Duration::ZERO;
        options.batch_bytes = 100;
        Model {
            dir,
            options,
            stats: Arc::new(Stats::default()),
            follower: None,
            handed_out: VecDeque::new(),
            positions: BTreeMap::new(),
            told_losses: HashSet::new(),
            committed: Vec::new(),
            written: Vec::new(),
            in_the_gap: Vec::new(),
            unfinished: false,
            generations: Vec::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append { lines, unfinished, gap } => self.append(lines, unfinished, gap),
            // Writers end their line before the file is rotated.
            Step::Rename { .. } | Step::CopyTruncate { .. } if self.unfinished => {}
            Step::Rename { gap } => {
                self.shift(gap);
                let (log, first) = (self.path("app.log"), self.path("app.log.1"));
                let new = log.clone();
                meanwhile::later(gap, move || fs::rename(log, first).unwrap());
                meanwhile::later(gap, move || append(&new, b""));
            }
            Step::CopyTruncate { race, gap } => {
                self.shift(gap);
                let (log, first) = (self.path("app.log"), self.path("app.log.1"));
                for half in [1, 2] {
                    let (log, first) = (log.clone(), first.clone());
                    meanwhile::later(gap, move || append_half(&first, &fs::read(log).unwrap(), half));
                }
                if race {
                    let line = format!("a line in the gap, number {}", self.in_the_gap.len());
                    let (log, text) = (log.clone(), format!("{line}\n"));
                    self.in_the_gap.push(line);
                    meanwhile::later(gap, move || append(&log, text.as_bytes()));
                }
                meanwhile::later(gap, move || OpenOptions::new().write(true).open(log).unwrap().set_len(0).unwrap());
            }
            Step::Gzip { generation, gap } => self.gzip(generation, gap),
            Step::Look => self.follower().scan(),
            Step::RunOut { left, refusals } => meanwhile::run_out(left, refusals),
            Step::CloseIdle => self.follower().close_idle(),
            Step::Turns => self.turns(),
            Step::Commit => self.commit(),
            Step::Kill => {
                self.follower = None;
                self.handed_out.clear();
            }
        }
    }

    fn append(&mut self, lines: usize, unfinished: bool, gap: u32) {
        let mut text = String::new();
        if std::mem::take(&mut self.unfinished) {
            text.push_str(" and the rest\n");
            self.written.last_mut().unwrap().push_str(" and the rest");
        }
        for _ in 0..lines {
            let line = format!("a line that is number {}", self.written.len());
            text.push_str(&format!("{line}\n"));
            self.written.push(line);
        }
        if unfinished {
            text.pop();
            self.unfinished = true;
        }
        let log = self.path("app.log");
        meanwhile::later(gap, move || append(&log, text.as_bytes()));
    }

    /// Gives each rotated generation the next number, the oldest first.
    fn shift(&mut self, gap: u32) {
        for (n, end) in self.generations.iter().enumerate().rev() {
            let (from, to) = (self.path(&format!("app.log.{}{end}", n + 1)), self.path(&format!("app.log.{}{end}", n + 2)));
            meanwhile::later(gap, move || fs::rename(from, to).unwrap());
        }
        self.generations.insert(0, "");
    }

    /// As gzip does it: the compressed file first, with the time of the plain one, then the plain one goes.
    fn gzip(&mut self, generation: usize, gap: u32) {
        let Some(end) = self.generations.get_mut(generation - 1).filter(|end| end.is_empty()) else { return };
        *end = ".gz";
        let (from, to) = (self.path(&format!("app.log.{generation}")), self.path(&format!("app.log.{generation}.gz")));
        for half in [1, 2] {
            let (from, to) = (from.clone(), to.clone());
            meanwhile::later(gap, move || {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(&fs::read(&from).unwrap()).unwrap();
                append_half(&to, &out.finish().unwrap(), half);
                let modified = from.metadata().unwrap().modified().unwrap();
                OpenOptions::new().append(true).open(&to).unwrap().set_modified(modified).unwrap();
            });
        }
        meanwhile::later(gap, move || fs::remove_file(from).unwrap());
    }

    fn follower(&mut self) -> &mut Follower {
        let (options, stats) = (&self.options, &self.stats);
        let saved = &self.positions;
        self.follower.get_or_insert_with(|| {
            let saved = saved.values().cloned().collect();
            let tail = Tail::new(options.clone(), saved, Arc::clone(stats)).unwrap();
            Follower::new(tail.options, tail.patterns, tail.saved, stats, &Arc::new(Bell::default()))
        })
    }

    /// One round, while there is room for batches.
    fn turns(&mut self) {
        let room = ROOM - self.handed_out.len();
        let follower = self.follower();
        let turns = follower.turns();
        let batches: Vec<Batch> = turns.into_iter().filter_map(|i| follower.turn(i)).take(room).collect();
        self.handed_out.extend(batches);
    }

    /// Lines and positions together.
    fn commit(&mut self) {
        let Some(batch) = self.handed_out.pop_front() else { return };
        self.committed.extend(batch.frames.iter().map(|f| String::from_utf8(batch.bytes_of(f).to_vec()).unwrap()));
        self.told_losses.extend(batch.losses.iter().filter_map(|l| l.range));
        for change in batch.positions {
            let part = change.part.to_string();
            let follows = |known: &SavedPosition| {
                known.position == change.from || self.told_losses.contains(&(change.from, known.position))
            };
            assert!(self.positions.get(&part).is_none_or(follows), "{change:?}");
            match change.detail {
                Some(detail) => drop(self.positions.insert(part.clone(), SavedPosition { part, position: change.to, detail })),
                None => drop(self.positions.remove(&part)),
            }
        }
    }

    /// Looks and reads until nothing more comes.
    fn read_everything(&mut self) {
        let (mut quiet, mut rounds) = (0, 0);
        while quiet < 8 {
            let before = self.committed.len();
            self.follower().scan();
            let told: Vec<_> =
                self.follower().losses.extract_if(.., |loss| loss.range.is_some()).filter_map(|l| l.range).collect();
            self.told_losses.extend(told);
            loop {
                while !self.handed_out.is_empty() {
                    self.commit();
                }
                if self.follower().turns().is_empty() {
                    break;
                }
                self.turns();
                rounds += 1;
                assert!(rounds < 10_000, "it does not come to rest");
            }
            quiet = if self.committed.len() == before { quiet + 1 } else { 0 };
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let (mut got, mut want) = (self.committed.clone(), self.written.clone());
        got.sort();
        want.sort();
        let missing: Vec<&String> = want.iter().filter(|l| got.binary_search(l).is_err()).collect();
        prop_assert!(missing.is_empty(), "missing: {missing:?}");
        let extra: Vec<&String> = got.iter().filter(|l| want.binary_search(l).is_err() && !self.in_the_gap.contains(l)).collect();
        prop_assert!(extra.is_empty(), "never written: {extra:?}");
        let repeated: Vec<&String> = got.windows(2).filter(|w| w[0] == w[1]).map(|w| &w[0]).collect();
        prop_assert!(repeated.is_empty(), "repeated: {repeated:?}");
        Ok(())
    }
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn append_half(path: &Path, bytes: &[u8], half: usize) {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    append(path, if half == 1 { first } else { second });
}

/// A generation that was there before, last written to long ago.
fn elder(model: &mut Model, wide: bool) {
    let path = model.path("app.log.1");
    append(&path, b"elder\n");
    let old = std::time::SystemTime::now() - Duration::from_secs(3_600);
    File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    model.generations.push("");
    // A file that was rotated before its log was ever seen is none of ours.
    if wide {
        model.written.push("elder".into());
    }
}

/// Returns how many bytes were said to be lost.
fn run(steps: &[Step], wide: bool, with_elder: bool) -> Result<u64, TestCaseError> {
    let mut model = Model::new(if wide { &["app.log*"] } else { &["app.log"] });
    if with_elder {
        elder(&mut model, wide);
    }
    // The set is known from the first commit on.
    append(&model.path("app.log"), b"the first line of them all\n");
    model.written.push("the first line of them all".into());
    model.read_everything();
    for step in steps {
        model.take(step);
    }
    if model.unfinished {
        let log = model.path("app.log");
        meanwhile::later(0, move || append(&log, b"\n"));
    }
    meanwhile::finish();
    model.read_everything();
    model.check()?;
    model.follower = None;
    model.read_everything();
    model.check()?;
    Ok(model.stats.total("truncated_unread_bytes_total"))
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default()
    })]
    #[test]
    fn whatever_happens_each_line_comes_once(
        steps in prop::collection::vec(step(), 1..60),
        wide in any::<bool>(),
        with_elder in any::<bool>(),
    ) {
        run(&steps, wide, with_elder)?;
    }
}
