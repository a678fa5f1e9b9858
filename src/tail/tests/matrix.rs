//! Every way of rotating × what the reader does meanwhile × how many files, several generations each.
//!
//! What must come is exact. Content that rotation keeps comes to its last line. Of content that is gone comes what was read before,
//! and what is told to be lost is the rest of what was known to be there, by its bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::Arc;

use super::harness::World;
use crate::frame::LossReason;

/// Rotations in each combination at most; so many generations of content, and one more.
const ROTATIONS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    /// Renamed, and written to a little longer under the new name, before the writer makes a new file.
    Rename,
    /// Renamed, and an empty file made in its place.
    Create,
    CopyTruncate,
    /// With the copy compressed before more is written.
    CopyTruncateGz,
    /// The date behind the name, or before its extension.
    DateExt,
    GzAtOnce,
    /// Compressed at the rotation after.
    GzLater,
    /// The path is a link, and is pointed to the next file.
    SymlinkSwap,
    /// Deleted, and made anew with the same inode number.
    InodeReuse,
    Delete,
    /// Another file is renamed over it.
    RenamedOver,
    /// Other content is written in place.
    Shorter,
    Longer,
    EquallyLong,
}

const WAYS: [Way; 14] = [
    Way::Rename,
    Way::Create,
    Way::CopyTruncate,
    Way::CopyTruncateGz,
    Way::DateExt,
    Way::GzAtOnce,
    Way::GzLater,
    Way::SymlinkSwap,
    Way::InodeReuse,
    Way::Delete,
    Way::RenamedOver,
    Way::Shorter,
    Way::Longer,
    Way::EquallyLong,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    /// All was read and committed, and it waits for more.
    Running,
    /// All was read and committed before it was stopped in an orderly way.
    Stopped,
    /// Killed in the middle of reading.
    Killed,
    /// It has far more to read than is taken from it, while one rotation follows on the other.
    Slow,
}

/// Which names the patterns match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Breadth {
    /// The log itself.
    Narrow,
    /// All its generations.
    Wide,
}

/// What becomes of content that was not read when it was rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// It is there under another name.
    Kept,
    /// It can be read by whoever has the file open.
    IfOpen,
    /// It is gone.
    Gone,
}

impl Way {
    fn unread(self, state: State) -> Unread {
        let is_open = matches!(state, State::Running | State::Slow);
        match self {
            Way::Delete | Way::RenamedOver if is_open => Unread::IfOpen,
            Way::Delete | Way::RenamedOver | Way::InodeReuse | Way::Shorter | Way::Longer | Way::EquallyLong => Unread::Gone,
            _ => Unread::Kept,
        }
    }

    /// Whether a generation that nobody saw in its time can be found later.
    fn is_found_later(self, state: State) -> bool {
        self.unread(state) == Unread::Kept && self != Way::SymlinkSwap
    }

    /// How many lines a generation has that would have `lines` otherwise.
    fn lines(self, lines: usize, generation: usize) -> usize {
        match self {
            Way::Shorter => lines * (ROTATIONS + 1 - generation),
            Way::Longer => lines * (generation + 1),
            _ => lines,
        }
    }

    fn begin(self, world: &World, log: &str, text: &str) {
        if self == Way::SymlinkSwap {
            world.append(&target(log, 0), text);
            symlink(world.path(&target(log, 0)), world.path(log)).unwrap();
        } else {
            world.append(log, text);
        }
    }

    /// Ends a generation and begins the next with `new`. Writers that have the file open still add `late`.
    fn rotate(self, world: &World, state: State, log: &str, generation: usize, late: &str, new: &str) {
        let first = format!("{log}.1");
        if self != Way::Rename {
            world.append(log, late);
        }
        match self {
            Way::Rename => {
                shift(world, log);
                world.rename(log, &first);
                world.append(&first, late);
                world.append(log, new);
            }
            Way::Create => {
                shift(world, log);
                world.rename(log, &first);
                world.append(log, "");
                world.append(log, new);
            }
            Way::CopyTruncate | Way::CopyTruncateGz => {
                shift(world, log);
                world.copy(log, &first);
                world.truncate(log);
                if self == Way::CopyTruncateGz {
                    world.gzip(&first);
                }
                world.append(log, new);
            }
            Way::DateExt => {
                let date = format!("2026010{generation}");
                let dated = if generation.is_multiple_of(2) {
                    format!("{log}-{date}")
                } else {
                    log.replace(".log", &format!("-{date}.log"))
                };
                world.rename(log, &dated);
                world.append(log, new);
            }
            Way::GzAtOnce => {
                shift(world, log);
                world.rename(log, &first);
                world.append(log, new);
                world.gzip(&first);
            }
            Way::GzLater => {
                shift(world, log);
                if world.path(&format!("{log}.2")).exists() {
                    world.gzip(&format!("{log}.2"));
                }
                world.rename(log, &first);
                world.append(log, new);
            }
            Way::SymlinkSwap => {
                let next = target(log, generation + 1);
                world.append(&next, new);
                symlink(world.path(&next), world.path("link")).unwrap();
                world.rename("link", log);
            }
            Way::InodeReuse => reuse_inode(world, state, log, generation, new),
            Way::Delete => {
                world.remove(log);
                world.append(log, new);
            }
            Way::RenamedOver => {
                world.append("new", new);
                world.rename("new", log);
            }
            Way::Shorter | Way::Longer | Way::EquallyLong => fs::write(world.path(log), new).unwrap(),
        }
    }
}

/// Where a log that is a link leads to.
fn target(log: &str, generation: usize) -> String {
    format!("data/{generation}-{}", log.replace('/', "-"))
}

/// Gives each rotated generation the next number, the oldest first.
fn shift(world: &World, log: &str) {
    for n in (1..=ROTATIONS).rev() {
        for end in ["", ".gz"] {
            if world.path(&format!("{log}.{n}{end}")).exists() {
                world.rename(&format!("{log}.{n}{end}"), &format!("{log}.{}{end}", n + 1));
            }
        }
    }
}

/// Makes files until one has the inode number of the deleted log, as file systems do that hand out the lowest free one; it differs
/// in its time of birth. Where none comes in so many attempts, a new inode must do.
///
/// No number is free while the reader has the file open. Then, and in every other generation, the inode is kept by a second name and
/// gets its new content there: the same inode in everything but its content.
fn reuse_inode(world: &World, state: State, log: &str, generation: usize, new: &str) {
    if matches!(state, State::Running | State::Slow) || generation % 2 == 1 {
        fs::hard_link(world.path(log), world.path("kept")).unwrap();
        world.remove(log);
        world.truncate("kept");
        world.append("kept", new);
        world.rename("kept", log);
        return;
    }
    let inode = |name: &str| world.path(name).metadata().unwrap().ino();
    let number = inode(log);
    world.remove(log);
    let mut candidates: Vec<String> = Vec::new();
    while candidates.len() < 10 && candidates.last().is_none_or(|last| inode(last) != number) {
        candidates.push(format!("candidate-{}", candidates.len()));
        world.append(&candidates[candidates.len() - 1], "");
    }
    let last = candidates.pop().unwrap();
    candidates.iter().for_each(|name| world.remove(name));
    world.append(&last, new);
    world.rename(&last, log);
}

/// A generation of a log.
type Generation = (usize, usize);

/// What was written to a generation.
#[derive(Debug, Default)]
struct Written {
    text: String,
    /// Bytes that the reader had seen to be there when the generation ended.
    known: usize,
    unread: Option<Unread>,
}

/// A combination at work.
struct Run {
    name: String,
    way: Way,
    state: State,
    files: usize,
    lines: usize,
    world: World,
    written: BTreeMap<Generation, Written>,
    /// Lines that must come, at least.
    due: usize,
    ledger: Ledger,
}

/// What was committed, by generation.
#[derive(Default)]
struct Ledger {
    looked_at: usize,
    of_part: HashMap<Arc<str>, Generation>,
    committed: BTreeMap<Generation, (Arc<str>, Vec<String>)>,
    /// Files of which a line was committed, by the number of the generation.
    begun: [usize; ROTATIONS + 1],
}

impl Ledger {
    /// Takes in what was committed since the last time. The first line of a part says which generation it is.
    fn update(&mut self, world: &World) {
        for (line, part) in world.lines.iter().zip(&world.parts).skip(self.looked_at) {
            let line = String::from_utf8(line.clone()).unwrap();
            let generation = *self.of_part.entry(Arc::clone(part)).or_insert_with(|| generation_of(&line));
            let (of, lines) = self.committed.entry(generation).or_insert_with(|| {
                self.begun[generation.1] += 1;
                (Arc::clone(part), Vec::new())
            });
            assert_eq!(of, part, "{generation:?} comes under two parts: {line}");
            lines.push(line);
        }
        self.looked_at = world.lines.len();
    }

    fn lines(&self, generation: &Generation) -> usize {
        self.committed.get(generation).map_or(0, |(_, lines)| lines.len())
    }

    fn bytes(&self, generation: &Generation) -> usize {
        self.committed.get(generation).map_or(0, |(_, lines)| lines.iter().map(|l| l.len() + 1).sum())
    }
}

fn line(file: usize, generation: usize, text: &str) -> String {
    format!("Jan  2 03:04:05 host app[1]: {file:04} {generation} {text}\n")
}

fn generation_of(line: &str) -> Generation {
    let mut words = line.split_ascii_whitespace().skip(5).map(|w| w.parse().unwrap());
    (words.next().unwrap(), words.next().unwrap())
}

/// A hundred logs to a directory.
fn log(file: usize) -> String {
    format!("{:02}/app{:02}.log", file / 100, file % 100)
}

fn run(way: Way, state: State, breadth: Breadth, files: usize) {
    let name = format!("{way:?} while {state:?}, {breadth:?}, {files} files");
    let mut world = World::new(match breadth {
        Breadth::Narrow => &["??/app??.log"],
        Breadth::Wide => &["??/app*", "data/*"],
    });
    world.room = if state == State::Slow { 1 } else { 20 };
    // Rotated generations are followed, too.
    world.options.max_files *= 2;
    fs::create_dir(world.path("data")).unwrap();
    (0..files.div_ceil(100)).for_each(|directory| fs::create_dir(world.path(&format!("{directory:02}"))).unwrap());
    let (lines, rotations) = match files {
        1 => (20, ROTATIONS),
        _ => (3, 2),
    };
    // Where nobody stops in the middle, small batches would only take time.
    let in_the_middle = files == 1 || matches!(state, State::Killed | State::Slow);
    world.options.batch_bytes = if in_the_middle { 100 } else { 1_000 };
    let (written, ledger) = (BTreeMap::new(), Ledger::default());
    let mut run = Run { name, way, state, files, lines, world, written, due: 0, ledger };
    for file in 0..files {
        let text = run.write(file, 0);
        way.begin(&run.world, &log(file), &text);
    }
    run.world.start();
    for generation in 0..rotations {
        run.read(generation);
        for file in 0..files {
            run.rotate(file, generation);
        }
        if !run.world.is_running() {
            run.world.start();
        }
    }
    for round in ["a line after all rotations", "a line after a restart"] {
        for file in 0..files {
            let text = line(file, rotations, round);
            run.world.append(&log(file), &text);
            run.written.get_mut(&(file, rotations)).unwrap().text.push_str(&text);
            run.due += 1;
        }
        run.read_to_the_end();
        run.check();
        run.world.stop();
        run.world.start();
    }
    run.world.stop();
}

impl Run {
    /// The content with which a generation begins.
    fn write(&mut self, file: usize, generation: usize) -> String {
        let lines = self.way.lines(self.lines, generation);
        let text: String = (0..lines).map(|n| line(file, generation, &format!("line {n:03}"))).collect();
        self.due += lines;
        self.written.insert((file, generation), Written { text: text.clone(), ..Written::default() });
        text
    }

    /// Reads as far as the state of the reader says.
    fn read(&mut self, generation: usize) {
        // A path is known from the first batch of it on, and content that is gone can be missed only by one who saw it.
        if generation == 0 || !self.way.is_found_later(self.state) {
            let what = format!("the beginning of generation {generation} of {}", self.name);
            let Run { world, ledger, files, .. } = self;
            world.commit_until(&what, |w| {
                ledger.update(w);
                ledger.begun[generation] == *files
            });
        }
        match self.state {
            State::Running => self.commit_lines(self.due),
            State::Stopped => {
                self.commit_lines(self.due);
                self.world.stop();
            }
            State::Killed => {
                let mut hasher = DefaultHasher::new();
                (&self.name, generation).hash(&mut hasher);
                let more = self.due.saturating_sub(self.world.lines.len());
                self.commit_lines(self.world.lines.len() + hasher.finish() as usize % (more + 1));
                self.world.kill();
            }
            State::Slow => drop(self.world.commit_one()),
        }
        self.ledger.update(&self.world);
    }

    fn commit_lines(&mut self, lines: usize) {
        self.world.commit_until(&self.name, |w| w.lines.len() >= lines);
    }

    fn rotate(&mut self, file: usize, generation: usize) {
        let unread = self.way.unread(self.state);
        let new = self.write(file, generation + 1);
        let written = self.written.get_mut(&(file, generation)).unwrap();
        written.known = written.text.len();
        written.unread = Some(unread);
        // What is written at the last moment before it is overwritten may be read or not.
        let late = match (unread, self.state) {
            (Unread::Gone, State::Running | State::Slow) => String::new(),
            _ => line(file, generation, "at the last moment"),
        };
        if unread == Unread::Gone {
            let committed = self.ledger.lines(&(file, generation));
            self.due -= written.text.lines().count() - committed;
        } else {
            written.text.push_str(&late);
            self.due += late.lines().count();
        }
        self.way.rotate(&self.world, self.state, &log(file), generation, &late, &new);
    }

    fn read_to_the_end(&mut self) {
        let (due, name) = (self.due, self.name.clone());
        let Run { world, ledger, written, .. } = self;
        world.commit_until(&name, |w| {
            ledger.update(w);
            w.lines.len() >= due && written.iter().all(|(g, written)| is_accounted_for(g, written, ledger, w))
        });
    }

    /// Each generation came as far as its part was committed, in order and once; and what did not come was told, and nothing else.
    fn check(&self) {
        let mut lost = BTreeSet::new();
        for (generation, written) in &self.written {
            let (part, committed) = &self.ledger.committed[generation];
            let end = self.world.ends[part] as usize;
            let expected: Vec<&str> = written.text[..end].lines().collect();
            assert_eq!(*committed, expected, "{generation:?} of {}", self.name);
            if end < written.known {
                lost.insert((Arc::clone(part), (end as u64, written.known as u64), LossReason::TruncatedUnread));
            }
            match (written.unread, self.state) {
                (Some(Unread::Gone), State::Killed | State::Slow) => {}
                (Some(Unread::Gone), _) => assert_eq!(end, written.known, "{generation:?} of {}", self.name),
                _ => assert_eq!(end, written.text.len(), "{generation:?} of {}", self.name),
            }
        }
        assert_eq!(self.world.losses, lost, "losses of {}", self.name);
    }
}

/// All of it came, or what did not come was told to be lost.
fn is_accounted_for(generation: &Generation, written: &Written, ledger: &Ledger, world: &World) -> bool {
    let Some((part, _)) = ledger.committed.get(generation) else { return false };
    let end = world.ends[part];
    match written.unread {
        Some(Unread::Gone) => {
            let loss = (Arc::clone(part), (end, written.known as u64), LossReason::TruncatedUnread);
            end >= written.known as u64 || world.losses.contains(&loss)
        }
        _ => ledger.bytes(generation) == written.text.len(),
    }
}

fn all_ways(state: State) {
    for way in WAYS {
        run(way, state, Breadth::Narrow, 1);
        run(way, state, Breadth::Wide, 1);
        run(way, state, Breadth::Narrow, 100);
    }
}

#[test]
fn rotated_while_running() {
    all_ways(State::Running);
}

#[test]
fn rotated_while_stopped() {
    all_ways(State::Stopped);
}

#[test]
fn rotated_after_a_kill() {
    all_ways(State::Killed);
}

#[test]
fn rotated_while_the_reader_is_slow() {
    all_ways(State::Slow);
}

#[test]
fn three_thousand_files_are_rotated_while_running() {
    run(Way::Rename, State::Running, Breadth::Narrow, 3_000);
}

#[test]
fn three_thousand_files_are_rotated_after_a_kill() {
    run(Way::GzAtOnce, State::Killed, Breadth::Narrow, 3_000);
}

#[test]
fn three_thousand_files_are_rotated_while_the_reader_is_slow() {
    run(Way::Create, State::Slow, Breadth::Narrow, 3_000);
}
