//! A disk that does what real ones do only once in a while. It keeps what would survive a power cut apart from what is in the page cache.
//!
//! - A power cut keeps, drops or tears each change that was not synced, each by chance and regardless of the others; of a hole in a file
//!   zeros are left. So with names that were created, renamed or removed since the directory was synced. A killed process loses nothing.
//! - A failed write or change of a name may have been carried out, in part or whole.
//! - A failed sync may leave what was written dirty, or, as Linux does, drop it: then the cache has it (or not, if the page was evicted),
//!   and a later sync finds nothing to do and succeeds. Directories and the lengths of cut files stay dirty, since a file system that
//!   cannot write its log refuses everything from then on.
//! - A segment that begins where the process has written before, or tried to, is a bug.
//! - A crash can come before, in the middle of or after any operation; the process finds out by an error, and is to be buried.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Chance;
use crate::journal::disk::{Access, Disk, DiskFile};
use crate::journal::format;

/// How often operations fail, in thousandths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    pub write: u32,
    pub short: u32,
    pub sync: u32,
    pub read: u32,
    /// Creating, opening, renaming, removing, cutting and listing files.
    pub names: u32,
    /// There is no space but what is taken now.
    pub full: bool,
    /// Remounted: nothing can be changed, everything can be read and, as there is nothing to write, synced.
    pub read_only: bool,
}

/// When in an operation a crash comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Before,
    /// Of writes; other operations have been carried out.
    Midway,
    After,
}

/// What a crash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// The process is killed: the page cache stays.
    Kill,
    /// The power is cut.
    PowerCut,
}

/// The disk as one process has it. Once that has died, no operation has any effect.
#[derive(Debug, Clone)]
pub struct ModelDisk {
    state: Arc<Mutex<State>>,
    life: u64,
}

#[derive(Debug)]
struct State {
    chance: Chance,
    faults: Faults,
    /// Bytes that all files together may have.
    room: usize,
    /// Syncs succeed and do nothing.
    lies: bool,
    life: u64,
    dead: bool,
    crash: Option<(u64, Moment)>,
    /// A failed sync has dropped what was dirty.
    dropped: bool,
    /// The names of all operations so far.
    operations: Vec<&'static str>,
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    /// Behind every logical offset that the process found or wrote, or tried to.
    used_to: u64,
}

#[derive(Debug, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// What is in the cache and not yet durable, in order.
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Clone)]
enum NameChange {
    Added(String, usize),
    Removed(String),
    Renamed(String, String, usize),
}

impl ModelDisk {
    pub fn new(chance: Chance) -> ModelDisk {
        let state = State {
            chance,
            faults: Faults::default(),
            room: usize::MAX,
            lies: false,
            life: 0,
            dead: false,
            crash: None,
            dropped: false,
            operations: Vec::new(),
            contents: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            used_to: 0,
        };
        ModelDisk { state: Arc::new(Mutex::new(state)), life: 0 }
    }

    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.state();
        state.faults = faults;
        state.room = if faults.full { state.taken() } else { usize::MAX };
    }

    /// From now on syncs succeed and do nothing, which no journal can survive.
    pub fn lie(&self) {
        self.state().lies = true;
    }

    /// Lets the process die in the operation after so many others.
    pub fn crash_after(&self, operations: u64, moment: Moment) {
        self.state().crash = Some((operations, moment));
    }

    pub fn forget_crash(&self) {
        self.state().crash = None;
    }

    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// A failed sync has dropped what was dirty, so that a later one can succeed and leave something in the cache only.
    pub fn has_dropped(&self) -> bool {
        self.state().dropped
    }

    /// The names of all operations so far.
    pub fn operations(&self) -> Vec<&'static str> {
        self.state().operations.clone()
    }

    /// Ends the process that had the disk, and returns it for the next one.
    pub fn reborn(&self, death: Death) -> ModelDisk {
        let mut state = self.state();
        state.life += 1;
        state.dead = false;
        if death == Death::PowerCut {
            state.cut_power();
        }
        let ends = |(name, &i): (&String, &usize)| Some(format::segment_base(name)? + state.contents[i].cached.len() as u64);
        state.used_to = state.names.iter().filter_map(ends).max().unwrap_or(0);
        ModelDisk { state: Arc::clone(&self.state), life: state.life }
    }

    /// Names of segments and their bytes as a process would read them, without its faults.
    pub fn segments(&self) -> Vec<(u64, Vec<u8>)> {
        let state = self.state();
        let segment = |(name, &i): (&String, &usize)| Some((format::segment_base(name)?, state.contents[i].cached.clone()));
        state.names.iter().filter_map(segment).collect()
    }

    /// Flips a bit of a file, in the cache and on the disk.
    pub fn flip(&self, name: &str, at: usize, bit: u8) {
        let mut state = self.state();
        let Some(&i) = state.names.get(name) else { return };
        let content = &mut state.contents[i];
        for bytes in [&mut content.cached, &mut content.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out an operation, with whatever crash is due in it.
    fn operate<T>(&self, name: &'static str, act: impl FnOnce(&mut State, bool) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        if state.dead || state.life != self.life {
            return Err(io::Error::other("this process is dead"));
        }
        debug_assert!(super::STEPS.contains(&name), "{name}");
        state.operations.push(name);
        let crash = state.crash.take_if(|(left, _)| *left == 0).map(|(_, moment)| moment);
        if let Some((left, _)) = &mut state.crash {
            *left -= 1;
        }
        let done = match crash {
            Some(Moment::Before) => None,
            moment => Some(act(&mut state, moment == Some(Moment::Midway))),
        };
        state.dead = crash.is_some();
        done.filter(|_| crash.is_none()).unwrap_or_else(|| Err(io::Error::other("the process dies here")))
    }

    /// An operation on names, which may fail and be carried out nevertheless.
    fn operate_on_names<T>(&self, name: &'static str, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.operate(name, |state, _| {
            let Some(failure) = state.failure(state.faults.names) else { return act(state) };
            if state.chance.one_in(2) {
                let _ = act(state);
            }
            Err(failure)
        })
    }
}

impl State {
    fn failure(&mut self, per_mille: u32) -> Option<io::Error> {
        const EIO: i32 = 5;
        self.chance.per_mille(per_mille).then(|| io::Error::from_raw_os_error(EIO))
    }

    /// Fails where nothing can be changed.
    fn writable(&self) -> io::Result<()> {
        const EROFS: i32 = 30;
        if self.faults.read_only { Err(io::Error::from_raw_os_error(EROFS)) } else { Ok(()) }
    }

    fn no_space() -> io::Error {
        const ENOSPC: i32 = 28;
        io::Error::from_raw_os_error(ENOSPC)
    }

    /// Bytes that the files have.
    fn taken(&self) -> usize {
        self.names.values().map(|&file| self.contents[file].cached.len()).sum()
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    fn change(&mut self, file: usize, change: Change) {
        let content = &mut self.contents[file];
        change.apply(&mut content.cached);
        content.unsynced.push(change);
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        if self.lies {
            return Ok(());
        }
        let failure = self.failure(self.faults.sync);
        let content = &mut self.contents[file];
        if let Some(failure) = failure {
            if self.chance.one_in(3) {
                return Err(failure);
            }
            self.dropped |= !content.unsynced.is_empty();
            let mut kept = Vec::new();
            for change in std::mem::take(&mut content.unsynced) {
                match change {
                    Change::Length(_) => kept.push(change),
                    Change::Write(..) if self.chance.one_in(3) => change.apply(&mut content.durable),
                    Change::Write(..) => {}
                }
            }
            if self.chance.one_in(2) {
                content.cached.clone_from(&content.durable);
                kept.iter().for_each(|length| length.apply(&mut content.cached));
            }
            content.unsynced = kept;
            return Err(failure);
        }
        for change in std::mem::take(&mut content.unsynced) {
            change.apply(&mut content.durable);
        }
        Ok(())
    }

    fn cut_power(&mut self) {
        // Some disks had time for everything, some for nothing.
        let kept = [0, 200, 500, 800, 1000][self.chance.below(5) as usize];
        let torn = [0, 300][self.chance.below(2) as usize];
        for content in &mut self.contents {
            for change in std::mem::take(&mut content.unsynced) {
                if self.chance.per_mille(torn) {
                    change.torn(&mut self.chance).apply(&mut content.durable);
                } else if self.chance.per_mille(kept) {
                    change.apply(&mut content.durable);
                }
            }
            content.cached.clone_from(&content.durable);
        }
        for change in std::mem::take(&mut self.unsynced_names) {
            if self.chance.per_mille(kept) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names.clone_from(&self.durable_names);
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(at, new) => {
                let end = at + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(new);
            }
            Change::Length(length) => bytes.resize(*length, 0),
        }
    }

    /// A part of it: the beginning, the end or the middle.
    fn torn(self, chance: &mut Chance) -> Change {
        match self {
            Change::Write(at, new) => {
                let from = if chance.one_in(2) { 0 } else { chance.below(new.len() as u64 + 1) as usize };
                let to = if chance.one_in(3) { new.len() } else { from + chance.below((new.len() - from) as u64 + 1) as usize };
                Change::Write(at + from, new[from..to].to_vec())
            }
            length => length,
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Added(name, file) => {
                names.insert(name.clone(), *file);
            }
            NameChange::Removed(name) => {
                names.remove(name);
            }
            NameChange::Renamed(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}

impl Disk for ModelDisk {
    fn make(&self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.operate_on_names("list", |state| {
            Ok(state.names.iter().map(|(name, &i)| (name.clone(), state.contents[i].cached.len() as u64)).collect())
        })
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = self.operate_on_names(step(name, ["create segment", "create reserve", "create id"]), |state| {
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.writable()?;
            if state.taken() >= state.room && state.chance.one_in(2) {
                return Err(State::no_space());
            }
            let base = format::segment_base(name).unwrap_or(u64::MAX);
            assert!(base >= state.used_to, "a segment begins at {base}, and offsets up to {} are used", state.used_to);
            state.contents.push(Content::default());
            let file = state.contents.len() - 1;
            state.change_name(NameChange::Added(name.to_owned(), file));
            Ok(file)
        })?;
        Ok(Box::new(ModelFile { disk: self.clone(), file, name: name.to_owned(), end: 0 }))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = self.operate_on_names(step(name, ["open segment", "open reserve", "open id"]), |state| {
            let file = state.find(name)?;
            if access == Access::Write { state.writable().map(|()| file) } else { Ok(file) }
        })?;
        Ok(Box::new(ModelFile { disk: self.clone(), file, name: name.to_owned(), end: 0 }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.operate_on_names("rename id", |state| {
            let file = state.find(from)?;
            state.writable()?;
            state.change_name(NameChange::Renamed(from.to_owned(), to.to_owned(), file));
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operate_on_names(step(name, ["remove segment", "remove reserve", "remove id"]), |state| {
            state.find(name)?;
            state.writable()?;
            state.change_name(NameChange::Removed(name.to_owned()));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.operate("sync directory", |state, _| {
            if state.lies {
                return Ok(());
            }
            if let Some(failure) = state.failure(state.faults.sync) {
                return Err(failure);
            }
            for change in std::mem::take(&mut state.unsynced_names) {
                change.apply(&mut state.durable_names);
            }
            Ok(())
        })
    }
}

/// What is done to a file: a segment, the reserve, or the identity.
fn step(name: &str, [segment, reserve, identity]: [&'static str; 3]) -> &'static str {
    match name {
        "reserve" => reserve,
        _ if format::segment_base(name).is_some() => segment,
        _ => identity,
    }
}

#[derive(Debug)]
struct ModelFile {
    disk: ModelDisk,
    file: usize,
    name: String,
    /// Where the next write goes.
    end: usize,
}

impl DiskFile for ModelFile {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.disk.operate("read", |state, _| {
            if let Some(failure) = state.failure(state.faults.read) {
                return Err(failure);
            }
            let cached = &state.contents[self.file].cached;
            let there = &cached[cached.len().min(at as usize)..];
            let mut length = there.len().min(into.len());
            if state.chance.per_mille(state.faults.short) {
                length = length.div_ceil(2);
            }
            into[..length].copy_from_slice(&there[..length]);
            Ok(length)
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (file, base, end) = (self.file, format::segment_base(&self.name), self.end);
        let segment = if end == 0 { "write segment header" } else { "write records" };
        let name = step(&self.name, [segment, "write reserve", "write id"]);
        let (taken, failure) = self.disk.operate(name, |state, midway| {
            if let Some(base) = base {
                state.used_to = state.used_to.max(base + (end + bytes.len()) as u64);
            }
            let room = if state.room == usize::MAX { usize::MAX } else { state.room.saturating_sub(state.taken()) };
            let failure = if let Err(refused) = state.writable() {
                Some(refused)
            } else if room == 0 {
                Some(State::no_space())
            } else {
                state.failure(state.faults.write)
            };
            let part = failure.is_some() || midway || state.chance.per_mille(state.faults.short);
            // At least a byte, as `write` promises where it does not fail.
            let taken = if part { 1 + state.chance.below(bytes.len() as u64) as usize } else { bytes.len() };
            let nothing = state.faults.read_only || failure.is_some() && state.chance.one_in(2);
            let taken = if nothing { 0 } else { taken.min(room) };
            state.change(file, Change::Write(end, bytes[..taken].to_vec()));
            Ok((taken, failure))
        })?;
        self.end += taken;
        failure.map_or(Ok(taken), Err)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.operate("sync records", |state, _| state.sync(self.file))
    }

    fn sync_all(&self) -> io::Result<()> {
        let segment = if self.end == 0 { "sync segment" } else { "sync segment header" };
        let name = step(&self.name, [segment, "sync reserve", "sync id"]);
        self.disk.operate(name, |state, _| state.sync(self.file))
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.operate_on_names("cut segment", |state| {
            state.writable()?;
            state.change(self.file, Change::Length(length as usize));
            Ok(())
        })
    }
}
