//! The journal: what arrived from the network, on disk, so that it can be read again.
//!
//! Listeners append [`Group`]s of frames; a [`Reader`] hands them to the pipeline as [`Batch`](crate::frame::Batch)es; when PostgreSQL
//! has committed them, [`Journal::release`] deletes what is no longer needed.
//!
//! ```text
//!  udp ──try_append──▶ ┌───────┐        ┌────────┐ write, fdatasync ┌──────────┐ synced only  ┌────────┐
//!  tcp ──append──────▶ │ queue │ ─────▶ │ writer │ ───────────────▶ │ segments │ ───────────▶ │ reader │ ─Batch─▶ pipeline
//!  http─append_and_wait│ (one  │        │ thread │ ◀── release ───┐ └──────────┘              └────────┘             │
//!       ◀── answered ──│ for   │        └────────┘                └───────────────────────────── committed offset ◀───┘
//!           when synced│ all)  │
//!                      └───────┘
//! ```
//!
//! # On disk
//!
//! Everything has one address space: the *logical offset*, a `u64` that is never used twice. Segments are files named by the logical
//! offset of their first byte, `00000000000001048576.journal`. Between the end of a segment and the beginning of the next there may be
//! a gap: every start and every failed write begins a new segment behind everything that may ever have been written. Numbers are
//! little-endian.
//!
//! ```text
//! segment   ┌───────────────────────────────┬───────────────────────────────┬────────┬────────┬──
//!           │ header                     32 │ the same header again      32 │ record │ record │ …
//!           └───────────────────────────────┴───────────────────────────────┴────────┴────────┴──
//! header    magic "tocsinJ\n" 8 │ version u32 = 1 │ base offset u64 │ salt u64 │ crc32 of these 28 bytes
//!
//! record    magic F5 54 52 FA │ kind u32 │ length u32 │ crc32 of the body │ crc32 of (salt, own offset, these 16 bytes) │ body
//!
//! body      received_at i64 (µs since 1970, UTC)
//!  kind 1   source:   length u8, UTF-8
//!           delivery: length u8, UTF-8; length 0 for none
//!           peers:    count u16; each: 4 and 4 bytes, or 6 and 16 bytes
//!           frames:   count u32; each: length u32, cut u32, peer u16 (0 unknown, otherwise 1 + index)
//!           the bytes of all frames, one after the other
//!  kind 2   input:    length u8, UTF-8; what a door had to drop
//!           reason:   length u8, UTF-8
//!           frames:   u64
//! ```
//!
//! A record's header has a checksum of its own, so that a damaged body costs exactly its record, and a damaged header is got over by
//! looking for the next header. The salt is random for each segment: a log line that contains something like a record does not pass.
//!
//! # Promises
//!
//! - A reader sees only what has been synced. What it has seen stays readable until it is released, unless the disk loses it.
//!   (A start syncs what a process that died had written. If that died between a failed sync and its repair, the kernel may by then take
//!   for written what never was: such records are readable and not on disk, but they were never acknowledged.)
//! - [`JournalHandle::append_and_wait`] returns `Ok` only after `fdatasync` has succeeded for its record. After `Err` the group is not in
//!   the journal, except where the process dies before it could cut the file back.
//! - A failed write or sync leaves the file in an unknown state (Linux drops dirty pages after a failed fsync and reports the error
//!   once): the writer stops acknowledging, cuts the segment back to what was synced before, reads that back, and writes what it still
//!   holds into a new segment. It retries without end, once a second. So does a start: what the journal holds can be read and stored while
//!   nothing can be written, and where the disk is full of it, space comes back that way.
//! - Nothing is dropped without being counted.
//!
//! These promises are kept under test by `simulation`: from a seed it plays lives of the journal on a modelled disk, where anything
//! fails, processes die in any step and the power is cut, and it keeps the books. `TOCSIN_SIM_SEEDS` says how many lives there are to
//! be, `TOCSIN_SIM_SEED` plays a single one and tells what happens. So the journal touches files only through [`disk::Disk`], and the
//! writer is told the time.

pub mod disk;
pub mod format;
mod group;
mod handle;
mod loss;
mod reader;
pub mod recovery;
#[cfg(test)]
pub(crate) mod simulation;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use disk::{Access, Directory, Disk};
use handle::Message;
use writer::Writer;

pub use group::{Group, GroupFrame, GroupView};
pub use handle::{JournalHandle, Rejected};
pub use loss::DoorLoss;
pub use reader::{Reader, Sources};

use crate::random;
use crate::stats::{Counter, Stats};

/// How large the journal may grow and how often it is synced.
#[derive(Debug, Clone)]
pub struct Options {
    /// A segment is closed at this size, in bytes; at most a quarter of `limit_bytes` is used. Space comes back a segment at a time.
    pub segment_bytes: u64,
    /// The size of all segments and of what waits to be written, in bytes. At the limit nothing more is accepted.
    pub limit_bytes: u64,
    /// How long something may stay unsynced when nobody waits for it.
    pub sync_interval: Duration,
    /// Memory for groups on their way to the disk, in bytes. They leave it when they are synced, so it holds what arrives in a
    /// `sync_interval`, and absorbs a slow sync.
    pub queue_bytes: usize,
    /// The number of such groups.
    pub queue_groups: usize,
    /// The pause between attempts to write to a disk that refuses.
    pub retry_pause: Duration,
}

impl Default for Options {
    /// 64 MiB segments, 4 GiB in all, synced every 100 ms, 32 MiB or 4,096 groups in memory, a second between attempts.
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            limit_bytes: 4 << 30,
            sync_interval: Duration::from_millis(100),
            queue_bytes: 32 << 20,
            queue_groups: 4096,
            retry_pause: Duration::from_secs(1),
        }
    }
}

impl Options {
    /// The longest body of a record, in bytes. A quarter of the limit, so that a group fits beside an active segment.
    pub fn max_body_bytes(&self) -> usize {
        usize::try_from(self.limit_bytes / 4).unwrap_or(usize::MAX).min(format::MAX_BODY)
    }

    fn effective_segment_bytes(&self) -> u64 {
        self.segment_bytes.min(self.limit_bytes / 4)
    }
}

/// What went wrong with the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory cannot be made, locked or read.
    #[error("cannot open the journal in {}", dir.display())]
    Open {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process writes to this directory.
    #[error("the journal in {} is in use by another process", dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The position to go on from is beyond what can be addressed.
    #[error("journal position {0} is out of range")]
    Position(u64),
    /// A segment cannot be read.
    #[error("cannot read the journal segment at offset {base}")]
    Read {
        /// Where the segment begins.
        base: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A record holds no group, although its checksum is right.
    #[error("a journal record is malformed")]
    Malformed,
    /// The size limit is reached. Space comes back when PostgreSQL has committed more.
    #[error("the journal is full")]
    Full,
    /// The disk does not take what is written to it. The group is not in the journal.
    #[error("the journal cannot be written: {0}")]
    Unavailable(Arc<str>),
    /// The group is larger than a record may be.
    #[error("a group of {bytes} bytes is larger than a journal record may be ({limit} bytes)")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

/// Whether the disk takes what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Good,
    /// It does not; what is appended waits in memory, nothing is acknowledged.
    Failing(Arc<str>),
    /// The journal was closed.
    Closed,
}

/// What the start found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Segments that were there.
    pub segments: usize,
    /// Bytes of a torn record that are cut off the end of the last one.
    pub torn_bytes: u64,
    /// Where new records begin.
    pub next_offset: u64,
}

/// An open journal. One process at a time has it open for writing; a lock file sees to that.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    handle: JournalHandle,
    opened: Opened,
    identity: Arc<str>,
    /// Keeps other processes out; a modelled disk has none.
    _lock: Option<File>,
}

impl Journal {
    /// Opens the journal in `dir`, which is made if it is missing, cuts a torn tail and starts the writer's thread. New records have
    /// offsets at or after `at_least`.
    ///
    /// A journal has an identity, kept in the file `id` beside the segments: positions in one journal mean nothing in another.
    ///
    /// Blocks on the disk for as long as it takes to read the last segment.
    ///
    /// # Errors
    /// [`JournalError::Open`], [`JournalError::InUse`] or [`JournalError::Position`].
    pub fn open(dir: &Path, options: Options, at_least: u64, stats: &Stats) -> Result<Journal, JournalError> {
        let failed = |source| JournalError::Open { dir: dir.to_owned(), source };
        if at_least > format::MAX_OFFSET {
            return Err(JournalError::Position(at_least));
        }
        let disk = Directory::new(dir);
        disk.make().map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let secret = RandomState::new().hash_one(dir);
        let mut journal = Journal::start(Arc::new(disk), options, at_least, secret, stats).map_err(failed)?;
        journal._lock = Some(lock);
        Ok(journal)
    }

    /// Opens the journal on a disk, and starts the writer's thread.
    fn start(disk: Arc<dyn Disk>, options: Options, at_least: u64, secret: u64, stats: &Stats) -> io::Result<Journal> {
        let (journal, writer, messages) = Journal::on(disk, options, at_least, secret, Instant::now(), stats)?;
        std::thread::Builder::new().name("journal".into()).spawn(move || writer::run(writer, &messages))?;
        Ok(journal)
    }

    /// Opens the journal on a disk. Who calls this drives the writer.
    fn on(
        disk: Arc<dyn Disk>,
        options: Options,
        at_least: u64,
        secret: u64,
        now: Instant,
        stats: &Stats,
    ) -> io::Result<(Journal, Writer, Receiver<Message>)> {
        let identity = identity(&*disk)?;
        let counters = Counters::new(stats);
        let (segments, opened, tails) = survey(&*disk, at_least)?;
        let shared = Arc::new(Shared::new(Arc::clone(&disk), options, segments, counters));
        let (sender, messages) = sync_channel(JournalHandle::channel_capacity(&shared));
        let handle = JournalHandle::new(&shared, sender);
        let writer = Writer::begin(&shared, handle.queue(), opened.next_offset, tails, secret, now);
        Ok((Journal { shared, handle, opened, identity, _lock: None }, writer, messages))
    }

    /// Which journal this is: 32 hexadecimal digits.
    pub fn identity(&self) -> &Arc<str> {
        &self.identity
    }

    /// What was found when it was opened.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Where listeners append.
    pub fn handle(&self) -> JournalHandle {
        self.handle.clone()
    }

    /// Deletes whole segments below `offset`, which PostgreSQL has committed. Returns at once; the writer's thread does it.
    pub fn release(&self, offset: u64) {
        self.shared.released.fetch_max(offset, Ordering::Relaxed);
        self.handle.wake();
    }

    /// Everything before this logical offset is on disk.
    pub fn synced(&self) -> u64 {
        *self.shared.synced.borrow()
    }

    /// Bytes of records between `offset` and the end of what is on disk.
    pub fn bytes_behind(&self, offset: u64) -> u64 {
        let segments = self.shared.segments();
        segments.iter().map(|(base, end)| end.saturating_sub(offset.max(base + format::SEGMENT_HEADER))).sum()
    }

    /// Bytes on disk and on the way there.
    pub fn used_bytes(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// True where there is no room for that many bytes more.
    pub fn is_full(&self, bytes: u64) -> bool {
        self.used_bytes().saturating_add(bytes) > self.shared.options.limit_bytes
    }

    /// Whether the disk takes what is written; changes can be waited for.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Writes and syncs what was appended, and ends the writer's thread. Later appends fail with [`JournalError::Closed`], readers end
    /// when they have read everything. On a disk that refuses, one last attempt is made; what is lost then is counted.
    pub async fn close(&self) {
        self.handle.close();
        // The sender lives as long as we do, so this cannot fail.
        let _ = self.health().wait_for(|health| *health == Health::Closed).await;
    }
}

/// The identity in the directory; made up by the kernel's chance at the first start.
fn identity(disk: &dyn Disk) -> io::Result<Arc<str>> {
    match disk.open("id", Access::Read) {
        Ok(file) => {
            let mut text = Vec::new();
            file.read_up_to(&mut text, 0, 64)?;
            let id = std::str::from_utf8(&text).map(str::trim).ok().filter(|id| id.len() == 32);
            // With another identity, everything would be stored a second time.
            return id.map(Into::into).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its file `id` is damaged"));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let id = random::hex(16)?;
    disk.remove_if_there("id.new")?;
    let mut file = disk.create("id.new")?;
    file.write_all(id.as_bytes())?;
    file.sync_all()?;
    disk.rename("id.new", "id")?;
    disk.sync()?;
    Ok(id.into())
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// What writer, readers and handles share.
#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    options: Options,
    /// Segments by where they begin; the value is the logical offset up to which they may be read.
    segments: Mutex<BTreeMap<u64, u64>>,
    /// Bytes of all segment files, and of what was admitted but is not written yet.
    used: AtomicU64,
    /// Told whenever `used` has become smaller.
    space: Notify,
    /// Everything before this offset is committed in PostgreSQL.
    released: AtomicU64,
    /// A wake-up is on its way to the writer.
    woken: AtomicBool,
    /// Everything before this offset is on disk. Set after `segments`.
    synced: watch::Sender<u64>,
    health: watch::Sender<Health>,
    counters: Counters,
}

impl Shared {
    fn new(disk: Arc<dyn Disk>, options: Options, segments: BTreeMap<u64, u64>, counters: Counters) -> Shared {
        let used = segments.iter().map(|(base, end)| end - base).sum();
        let synced = segments.last_key_value().map_or(0, |(_, end)| *end);
        Shared {
            disk,
            options,
            segments: Mutex::new(segments),
            used: AtomicU64::new(used),
            space: Notify::new(),
            released: AtomicU64::new(0),
            woken: AtomicBool::new(false),
            synced: watch::Sender::new(synced),
            health: watch::Sender::new(Health::Good),
            counters,
        }
    }

    fn segments(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes space for `bytes` more, if the limit leaves room for them.
    fn take_space(&self, bytes: u64) -> bool {
        let room = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.options.limit_bytes);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    fn give_back_space(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.space.notify_waiters();
    }
}

/// The journal's figures.
#[derive(Debug)]
struct Counters {
    bytes: Arc<Counter>,
    segments: Arc<Counter>,
    records: Arc<Counter>,
    syncs: Arc<Counter>,
    synced_offset: Arc<Counter>,
    errors: Arc<Counter>,
    torn_bytes: Arc<Counter>,
    damaged_bytes: Arc<Counter>,
    lost: Arc<Counter>,
}

impl Counters {
    fn new(stats: &Stats) -> Counters {
        Counters {
            bytes: stats.gauge("journal_bytes", "Size of the journal, with what waits to be written.", &[]),
            segments: stats.gauge("journal_segments", "Files that the journal consists of.", &[]),
            records: stats.counter("journal_records_total", "Groups of frames written to the journal.", &[]),
            syncs: stats.counter("journal_syncs_total", "Times that the journal was synced to disk.", &[]),
            synced_offset: stats.gauge("journal_synced_offset", "Everything before this offset of the journal is on disk.", &[]),
            errors: stats.counter("journal_errors_total", "Failed writes, syncs and deletions of journal files.", &[]),
            torn_bytes: stats.counter("journal_torn_bytes_total", "Bytes of unfinished records cut off at the start.", &[]),
            damaged_bytes: stats.counter("journal_damaged_bytes_total", "Bytes of the journal that could not be read back.", &[]),
            lost: stats.counter(
                "dropped_total",
                "Frames that were received and not kept.",
                &[("source", "journal"), ("reason", "closed while the disk refused")],
            ),
        }
    }
}

/// A segment at the end of what an earlier process left.
#[derive(Debug)]
struct Tail {
    base: u64,
    /// How many bytes of it are to stay; `None`: it holds no record.
    length: Option<u64>,
    /// How many bytes of records that were never finished go.
    torn: u64,
}

/// Finds the segments, whole, and what is to be done to the last of them. Syncs these, and changes nothing.
fn survey(disk: &dyn Disk, at_least: u64) -> io::Result<(BTreeMap<u64, u64>, Opened, Vec<Tail>)> {
    let mut segments = format::segments(disk)?;
    // A tail's offsets are not used again: they may have been read by somebody before the disk lost them.
    let behind = segments.last().map_or(0, |(base, length)| base + length.max(&1));
    let mut opened = Opened { segments: segments.len(), torn_bytes: 0, next_offset: at_least.max(behind) };
    let mut tails = Vec::new();
    // A process that died at its start may have left segments without a record behind the one that is torn.
    while let Some((base, length)) = segments.pop() {
        let empty = base + format::SEGMENT_HEADER;
        // A process that dies while it cuts a segment leaves a length that is not on disk; the next segment must not begin inside of it.
        disk.open(&format::segment_name(base), Access::Write)?.sync_all()?;
        match recovery::end_of_records(disk, base, length)? {
            Some(end) if end > empty => {
                tails.push(Tail { base, length: Some(end - base), torn: base + length - end });
                segments.push((base, end - base));
                break;
            }
            None if length > format::SEGMENT_HEADER => {
                // The header cannot be read: readers will count it as damaged.
                segments.push((base, length));
                break;
            }
            // Perhaps not even the header was finished.
            None => tails.push(Tail { base, length: None, torn: length }),
            Some(_) => tails.push(Tail { base, length: None, torn: (base + length).checked_sub(empty).unwrap_or(length) }),
        }
    }
    opened.torn_bytes = tails.iter().map(|tail| tail.torn).sum();
    Ok((segments.into_iter().map(|(base, length)| (base, base + length)).collect(), opened, tails))
}
