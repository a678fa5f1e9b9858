//! A directory, and a stand-in for the pipeline: it commits batches (lines and positions together), and can be killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::frame::{Batch, LossReason, Source};
use crate::record::Zone;
use crate::stats::Stats;
use crate::tail::{Options, SavedPosition, Tail, TailError};

/// Long enough for large sets, which are looked at less often.
const DEADLINE: Duration = Duration::from_secs(30);

pub struct World {
    pub dir: tempfile::TempDir,
    pub options: Options,
    /// Batches handed out and not committed at most.
    pub room: usize,
    pub stats: Arc<Stats>,
    /// What was committed.
    pub positions: BTreeMap<String, SavedPosition>,
    /// What was told to be lost: part, bytes and reason. Told again is told once, as in the `losses` table.
    pub losses: BTreeSet<(Arc<str>, (u64, u64), LossReason)>,
    /// How far each part was committed, also those that are forgotten.
    pub ends: BTreeMap<Arc<str>, u64>,
    pub lines: Vec<Vec<u8>>,
    pub cut: Vec<u32>,
    /// The part that each line is of.
    pub parts: Vec<Arc<str>>,
    runtime: tokio::runtime::Runtime,
    running: Option<Running>,
}

struct Running {
    batches: mpsc::Receiver<Batch>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), TailError>>,
}

/// Thousands of files are open where thousands of logs are renamed at a time; a shell allows 1,024 as Debian comes. The daemon raises its
/// limit, too.
fn allow_many_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

impl World {
    /// Follows `globs` in a new directory, with everything that takes time made short.
    pub fn new(globs: &[&str]) -> World {
        allow_many_files();
        let dir = tempfile::tempdir().unwrap();
        let source = Arc::new(Source { name: "test".into(), zone: Zone::UTC, format: None });
        let paths = globs.iter().map(|g| dir.path().join(g).to_str().unwrap().to_owned()).collect();
        let mut options = Options::new("test", paths, source);
        options.poll_interval = Duration::from_millis(10);
        options.settle = Duration::from_millis(30);
        options.batch_bytes = 100;
        World {
            dir,
            options,
            room: 1,
            stats: Arc::new(Stats::default()),
            positions: BTreeMap::new(),
            losses: BTreeSet::new(),
            ends: BTreeMap::new(),
            lines: Vec::new(),
            cut: Vec::new(),
            parts: Vec::new(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            running: None,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub fn copy(&self, from: &str, to: &str) {
        fs::write(self.path(to), fs::read(self.path(from)).unwrap()).unwrap();
    }

    /// Empties the file and leaves its inode.
    pub fn truncate(&self, name: &str) {
        OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(0).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// As gzip does it: the compressed file first, then the plain one goes.
    pub fn gzip(&self, name: &str) {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(&fs::read(self.path(name)).unwrap()).unwrap();
        fs::write(self.path(&format!("{name}.gz")), out.finish().unwrap()).unwrap();
        self.remove(name);
    }

    pub fn start(&mut self) {
        assert!(self.running.is_none());
        let saved = self.positions.values().cloned().collect();
        let tail = Tail::new(self.options.clone(), saved, Arc::clone(&self.stats)).unwrap();
        let (out, batches) = mpsc::channel(self.room);
        let stop = CancellationToken::new();
        let task = self.runtime.spawn(tail.run(out, stop.clone()));
        self.running = Some(Running { batches, stop, task });
    }

    /// Stops in an orderly way. What was not committed is not committed any more.
    pub fn stop(&mut self) {
        let Running { batches, stop, task } = self.running.take().unwrap();
        stop.cancel();
        let done = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(1), task).await });
        done.expect("stops within a second").unwrap().unwrap();
        drop(batches);
    }

    /// Takes one more batch, throws it away, and stops as at a kill: nobody commits anything any more.
    pub fn kill(&mut self) {
        let Running { mut batches, task, stop } = self.running.take().unwrap();
        self.runtime.block_on(async {
            let _ = tokio::time::timeout(Duration::from_millis(1), batches.recv()).await;
            drop(batches);
            stop.cancel();
            let _ = tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
        });
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Commits the next batch.
    pub fn commit_one(&mut self) -> Batch {
        let running = self.running.as_mut().unwrap();
        let next = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, running.batches.recv()).await });
        let batch = next.unwrap_or_else(|_| panic!("no batch comes; so far: {}", text(&self.lines))).expect("the tail lives");
        self.commit(&batch);
        batch
    }

    fn commit(&mut self, batch: &Batch) {
        for frame in &batch.frames {
            self.lines.push(batch.bytes_of(frame).to_vec());
            self.cut.push(frame.cut);
            // Batches with frames are of one file.
            self.parts.push(Arc::clone(&batch.positions[0].part));
        }
        self.losses.extend(batch.losses.iter().filter_map(|l| Some((Arc::clone(&l.part), l.range?, l.reason))));
        for change in &batch.positions {
            assert_eq!(&*change.input, "files:test");
            // Ranges follow on each other: what `tocsin verify` relies on.
            if let Some(known) = self.positions.get(&*change.part) {
                let told = |(part, range, _): &(Arc<str>, _, _)| *part == change.part && *range == (change.from, known.position);
                assert!(change.from == known.position || self.losses.iter().any(told), "{change:?}");
            }
            self.ends.insert(Arc::clone(&change.part), change.to);
            match change.detail.clone() {
                Some(detail) => drop(self.positions.insert(
                    change.part.to_string(),
                    SavedPosition { part: change.part.to_string(), position: change.to, detail },
                )),
                None => drop(self.positions.remove(&*change.part)),
            }
        }
    }

    /// Commits until so many lines are there.
    pub fn commit_lines(&mut self, lines: usize) {
        while self.lines.len() < lines {
            self.commit_one();
        }
    }

    /// Commits whatever comes until the condition holds; it must hold a while after the last batch at the latest.
    pub fn commit_until(&mut self, what: &str, mut done: impl FnMut(&World) -> bool) {
        let mut end = Instant::now() + DEADLINE;
        while !done(self) {
            assert!(Instant::now() < end, "{what} does not come; so far: {}", text(&self.lines));
            let running = self.running.as_mut().unwrap();
            let next = running.batches.try_recv().or_else(|_| {
                let soon = async { tokio::time::timeout(Duration::from_millis(5), running.batches.recv()).await };
                self.runtime.block_on(soon).map(|batch| batch.expect("the tail lives"))
            });
            if let Ok(batch) = next {
                self.commit(&batch);
                end = Instant::now() + DEADLINE;
            }
        }
    }

    /// Asserts that exactly these lines come, in any order, and that neither a restart nor more lines bring one of them again.
    pub fn expect_exactly(&mut self, context: &str, last: &str, expected: &[String]) {
        let mut expected = expected.to_vec();
        for round in ["running", "restarted"] {
            if !self.is_running() {
                self.start();
            }
            let sentinel = format!("sentinel {round} of {context}");
            self.append(last, format!("{sentinel}\n"));
            expected.push(sentinel);
            self.commit_until(context, |w| w.lines.len() >= expected.len());
            let (mut got, mut want) = (self.texts(), expected.clone());
            got.sort();
            want.sort();
            assert_eq!(got, want, "{context}, {round}");
            self.stop();
        }
    }

    pub fn texts(&self) -> Vec<String> {
        self.lines.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect()
    }
}

/// The last of so many lines.
fn text(lines: &[Vec<u8>]) -> String {
    lines[lines.len().saturating_sub(50)..].iter().map(|l| String::from_utf8_lossy(l)).collect::<Vec<_>>().join(" | ")
}

/// Numbered lines, as text and one by one.
pub fn numbered(what: &str, numbers: std::ops::Range<usize>) -> (String, Vec<String>) {
    let lines: Vec<String> = numbers.map(|n| format!("Jan  2 03:04:05 host app[1]: {what} line {n}")).collect();
    (lines.iter().map(|l| format!("{l}\n")).collect(), lines)
}
