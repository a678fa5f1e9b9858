//! Random sequences of writing, rotating, looking, reading, killing and starting, compared with what was written.
//!
//! Everything happens on one thread: the follower is driven step by step, and the writer's steps come between its accesses to the
//! disk (see [`super::meanwhile`]). A sequence that fails therefore fails again, and quickly, so that it can be made short.

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
        let source = Arc::new(Source { name: "test".into(), zone: Zone::UTC });
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
        cases: 200, max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default()
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

/// Generations that came while nobody looked: the first is unread, the second compressed.
#[test]
fn generations_that_came_and_went_between_two_looks() {
    let append = |lines| Step::Append { lines, unfinished: false, gap: 0 };
    let gzip = Step::Gzip { generation: 1, gap: 0 };
    let steps = [Step::Rename { gap: 0 }, append(2), gzip, append(2), Step::Rename { gap: 0 }, append(1)];
    for wide in [false, true] {
        for before in 0..steps.len() {
            let mut steps = steps.to_vec();
            steps.insert(before, Step::Look);
            run(&steps, wide, true).unwrap();
        }
    }
}

/// A generation that begins like an older one, and is as short as an early copy of that would be.
#[test]
fn a_short_generation_is_no_copy_of_one_that_begins_alike() {
    let append = |lines| Step::Append { lines, unfinished: false, gap: 0 };
    let copy_truncate = |race, gap| Step::CopyTruncate { race, gap };
    let mut steps = vec![Step::Rename { gap: 0 }, append(2), Step::Look, Step::Turns, Step::Turns, copy_truncate(false, 0)];
    steps.extend([append(1), Step::Commit, copy_truncate(false, 0), copy_truncate(true, 2), Step::Kill, Step::Look]);
    for wide in [false, true] {
        run(&steps, wide, false).unwrap();
    }
}

/// A new log is seen, and is rotated and packed before its first line is read.
#[test]
fn a_file_that_is_packed_before_it_is_read_is_not_lost() {
    let unread = [Step::Rename { gap: 0 }, Step::Append { lines: 3, unfinished: false, gap: 0 }, Step::Look];
    for seen_again in [false, true] {
        let mut steps = unread.to_vec();
        steps.push(Step::Rename { gap: 0 });
        steps.extend(seen_again.then_some(Step::Look));
        steps.push(Step::Gzip { generation: 1, gap: 0 });
        steps.extend(std::iter::repeat_n(Step::Look, 8));
        for wide in [false, true] {
            assert_eq!(run(&steps, wide, false).unwrap(), 0, "said to be lost");
        }
    }
}

/// A line is read that was written between the copy and the truncation; the copy ends before it, and is no new file.
#[test]
fn a_copy_that_is_shorter_than_what_was_read() {
    for accesses in 0..60 {
        let mut steps = vec![Step::CopyTruncate { race: true, gap: accesses }];
        steps.extend([Step::Look, Step::Turns, Step::Commit].into_iter().cycle().take(60));
        for wide in [false, true] {
            run(&steps, wide, false).unwrap();
        }
    }
}

/// Overwritten at any moment of a turn, what was not read of a file is told with the bytes that it had.
#[test]
fn overwritten_content_is_told_with_the_size_that_it_had() {
    for gap in 0..12 {
        let mut model = Model::new(&["app.log"]);
        let log = model.path("app.log");
        model.append(40, false, 0);
        meanwhile::finish();
        model.follower().scan();
        model.turns();
        model.commit();
        let size = log.metadata().unwrap().len();
        let new = log.clone();
        meanwhile::later(gap, move || File::options().write(true).open(log).unwrap().set_len(0).unwrap());
        meanwhile::later(0, move || append(&new, b"other content\n"));
        model.turns();
        meanwhile::finish();
        model.read_everything();
        let (new, old): (Vec<String>, _) = model.committed.iter().cloned().partition(|line| line == "other content");
        assert_eq!(new.len(), 1, "{gap}");
        let whole = old.iter().filter(|line| model.written.contains(line)).count();
        assert!(old.len() <= whole + 1 && whole < 40, "{gap}: {old:?}");
        let read = old.iter().map(String::len).sum::<usize>() + whole;
        assert_eq!(model.told_losses, HashSet::from([(read as u64, size)]), "{gap}");
    }
}

/// A file that was found, and was compressed before its turn came, is read from the compressed one and not told to be lost.
#[test]
fn compressed_before_its_first_turn() {
    let mut model = Model::new(&["app.log"]);
    model.append(1, false, 0);
    meanwhile::finish();
    model.read_everything();
    model.take(&Step::Rename { gap: 0 });
    model.append(20, false, 0);
    meanwhile::finish();
    model.follower().scan();
    model.take(&Step::Rename { gap: 0 });
    model.take(&Step::Gzip { generation: 1, gap: 0 });
    model.append(1, false, 0);
    meanwhile::finish();
    model.read_everything();
    model.check().unwrap();
    let untold = &model.follower().losses;
    assert!(untold.is_empty(), "{untold:?}");
    assert!(model.told_losses.is_empty(), "{:?}", model.told_losses);
}

/// Overwritten at any moment between the look that finds it and the end of its first turn, a file is told to be lost with the bytes that it
/// had and that were not read.
#[test]
fn overwritten_before_its_first_turn() {
    for lines in [1, 40, 60] {
        for gap in 0..12 {
            let mut model = Model::new(&["app.log"]);
            let log = model.path("app.log");
            model.append(40, false, 0);
            meanwhile::finish();
            let size = log.metadata().unwrap().len();
            model.follower().scan();
            let new: Vec<String> = (0..lines).map(|n| format!("other content, number {n:02}")).collect();
            let text: String = new.iter().map(|line| format!("{line}\n")).collect();
            meanwhile::later(gap, move || fs::write(log, text).unwrap());
            model.turns();
            meanwhile::finish();
            model.read_everything();
            let (got, old): (Vec<String>, Vec<String>) =
                model.committed.iter().cloned().partition(|line| line.starts_with("other"));
            assert_eq!(got, new, "{gap}");
            // The last of the old lines may be the beginning of one.
            let whole = old.iter().zip(&model.written).take_while(|(line, written)| line == written).count();
            assert!(old.len() <= whole + 1, "{gap}: {old:?}");
            let read = (old.iter().map(String::len).sum::<usize>() + whole) as u64;
            let lost = if read < size { HashSet::from([(read, size)]) } else { HashSet::new() };
            assert_eq!(model.told_losses, lost, "{lines} lines, {gap}");
        }
    }
}

/// Of more files than may be open, those that have something to read are held open, and what the others had is told when they are deleted.
#[test]
fn deleted_before_they_are_read() {
    let mut model = Model::new(&["*.log"]);
    model.options.max_open_files = 4;
    let paths: Vec<PathBuf> = (0..10).map(|n| model.path(&format!("{n}.log"))).collect();
    paths.iter().for_each(|path| append(path, b"one\n"));
    model.read_everything();
    // Others are open, and have nothing more to read.
    for path in &paths[4..] {
        append(path, b"two\n");
    }
    model.follower().scan();
    paths[4..].iter().for_each(|path| fs::remove_file(path).unwrap());
    model.read_everything();
    let count = |text: &str| model.committed.iter().filter(|line| *line == text).count();
    assert_eq!((count("one"), count("two")), (10, 4));
    let losses = model.stats.total("truncated_unread_bytes_total");
    assert_eq!((losses, &model.told_losses), (2 * 4, &HashSet::from([(4, 8)])));
}

/// Of more files than are followed, the newest are; the others are counted, and read when there is room.
#[test]
fn more_files_than_are_followed() {
    let mut model = Model::new(&["*.log"]);
    model.options.max_files = 3;
    model.options.forget_after = std::time::Duration::ZERO;
    let now = std::time::SystemTime::now();
    for n in 0..5 {
        append(&model.path(&format!("{n}.log")), format!("{n}\n").as_bytes());
        let file = File::options().append(true).open(model.path(&format!("{n}.log"))).unwrap();
        file.set_modified(now - Duration::from_secs(100 - n)).unwrap();
    }
    model.read_everything();
    assert_eq!(model.committed, ["2", "3", "4"]);
    assert_eq!(model.stats.total("files_left_out"), 2);
    fs::remove_file(model.path("3.log")).unwrap();
    fs::remove_file(model.path("4.log")).unwrap();
    model.read_everything();
    assert_eq!(model.committed, ["2", "3", "4", "0", "1"]);
    assert_eq!(model.stats.total("files_left_out"), 0);
}

/// The clock is set back by a year while the daemon is down, and the log is rotated twice: what is rotated then is modified before what was
/// there when the log was first found, and that alone is not read.
#[test]
fn generations_of_a_year_before_the_elder() {
    let mut model = Model::new(&["app.log"]);
    let year = Duration::from_secs(365 * 86_400);
    elder(&mut model, false);
    model.append(2, false, 0);
    meanwhile::finish();
    model.read_everything();
    model.take(&Step::Kill);
    for _ in 0..2 {
        model.take(&Step::Rename { gap: 0 });
        model.append(2, false, 0);
        meanwhile::finish();
        let file = File::options().append(true).open(model.path("app.log")).unwrap();
        file.set_modified(std::time::SystemTime::now() - year).unwrap();
    }
    model.take(&Step::Gzip { generation: 3, gap: 0 });
    meanwhile::finish();
    model.read_everything();
    model.check().unwrap();
}
