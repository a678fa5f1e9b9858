//! The writer: owns the active segment. [`run`] gives it a thread, since a sync takes milliseconds and must not hold up a socket; the
//! [`Writer`] itself knows neither thread nor clock, so that the simulation drives the very same code.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};
use tracing::{error, info, warn};

use super::disk::{Access, DiskFile};
use super::format::{self, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader};
use super::handle::{Entry, Message};
use super::{Health, JournalError, Shared, Tail, recovery};

/// What is handed to the kernel at once, in bytes.
const WRITE_BYTES: usize = 1 << 20;
/// How long a closing writer waits for a group that is between the queue and the channel.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks whether there is one.
const CLOSE_PAUSE: Duration = Duration::from_millis(5);

/// A file whose space is given up for a segment when there is none left: on a disk that the journal itself has filled, what is stored in
/// PostgreSQL can be deleted only when a new segment tells which offsets were used.
const RESERVE: &str = "reserve";
/// Some blocks of any file system: for the segment's header, and for its entry in the directory.
const RESERVE_BYTES: usize = 16 << 10;

/// Feeds the writer with messages and time until it is done. Blocks.
pub(super) fn run(mut writer: Writer, messages: &Receiver<Message>) {
    while !writer.is_done(Instant::now()) {
        let first = match writer.patience(Instant::now()) {
            Some(patience) => messages.recv_timeout(patience),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let now = Instant::now();
        match first {
            Ok(message) => writer.take(message, now),
            Err(RecvTimeoutError::Timeout) => {}
            // Nobody is left who could ask for it.
            Err(RecvTimeoutError::Disconnected) => writer.take(Message::Close, now),
        }
        while writer.has_room()
            && let Ok(message) = messages.try_recv()
        {
            writer.take(message, now);
        }
        writer.step(Instant::now());
    }
}

/// The segment that is being written.
#[derive(Debug)]
struct Active {
    file: Box<dyn DiskFile>,
    base: u64,
    salt: u64,
    /// Logical offset up to which it is synced.
    synced: u64,
    /// Logical offset up to which it is written.
    end: u64,
}

/// Takes messages, and does with the disk what follows from them, one [`step`](Writer::step) at a time. When it is dropped, the journal
/// is closed.
pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: Arc<Semaphore>,
    /// All places of the queue.
    places: usize,
    /// What the salts of segments are made from, with their offsets.
    secret: u64,
    /// After a failure it stays, cut back, until there is another one. `None` only at the beginning.
    active: Option<Active>,
    /// What is to be cut off what an earlier process left, as soon as there is a segment behind it.
    tails: Vec<Tail>,
    /// A segment that could not be begun: its file, if there is one, is of no use.
    stillborn: Option<u64>,
    /// Where the next segment begins: behind everything that may ever have been written.
    next_offset: u64,
    /// Groups that are not known to be on disk, in order. They are kept here until they are, so that nothing depends on what a failed
    /// sync left behind. The queue's places that they hold bound them.
    unsynced: VecDeque<Entry>,
    /// How many of them are written to the active segment.
    written: usize,
    /// Places of the queue that they take.
    unsynced_places: usize,
    /// How many of them somebody waits for.
    waiters: usize,
    /// When the first of them came.
    oldest: Option<Instant>,
    flushes: Vec<oneshot::Sender<()>>,
    /// After a failure: when the disk is tried again.
    retry_at: Option<Instant>,
    /// When it was asked to end.
    closing: Option<Instant>,
    /// It was asked to end, and the disk refused the last attempt.
    gave_up: bool,
    out: Vec<u8>,
}

impl Writer {
    /// A writer whose first segment begins at `next_offset`. Where the disk takes none, it tries as after any other failure: what is
    /// in the journal can be read meanwhile, and space comes back when it is released. Nobody who writes log lines may know the `secret`.
    pub(super) fn begin(
        shared: &Arc<Shared>,
        queue: Arc<Semaphore>,
        next_offset: u64,
        tails: Vec<Tail>,
        secret: u64,
        now: Instant,
    ) -> Writer {
        let mut writer = Writer {
            shared: Arc::clone(shared),
            places: queue.available_permits(),
            queue,
            secret,
            active: None,
            tails,
            stillborn: None,
            next_offset,
            unsynced: VecDeque::new(),
            written: 0,
            unsynced_places: 0,
            waiters: 0,
            oldest: None,
            flushes: Vec::new(),
            retry_at: None,
            closing: None,
            gave_up: false,
            out: Vec::new(),
        };
        match writer.begin_segment_at_any_cost().and_then(|()| writer.cut_tails()) {
            Ok(()) => writer.keep_reserve(),
            Err(failure) => writer.fail(&failure, now),
        }
        writer
    }

    /// How long the next [`step`](Writer::step) may wait for a message; `None` for as long as there is none.
    pub(super) fn patience(&self, now: Instant) -> Option<Duration> {
        let due = match self.retry_at {
            Some(at) => Some(at),
            None => self.oldest.map(|oldest| oldest + self.shared.options.sync_interval),
        };
        if self.closing.is_some() { Some(CLOSE_PAUSE) } else { due.map(|due| due.saturating_duration_since(now)) }
    }

    /// Another message may be taken before the next step, without letting a sync wait for long.
    pub(super) fn has_room(&self) -> bool {
        // While the disk refuses, nobody must wait for an answer that is known.
        self.retry_at.is_some() || self.unsynced_places < self.places / 4
    }

    pub(super) fn take(&mut self, message: Message, now: Instant) {
        match message {
            Message::Append(entry) => {
                self.oldest.get_or_insert(now);
                self.unsynced_places += entry.places as usize;
                self.waiters += usize::from(entry.waiter.is_some());
                self.unsynced.push_back(entry);
            }
            Message::Flush(done) => self.flushes.push(done),
            Message::Wake => self.shared.woken.store(false, Ordering::Release),
            Message::Close => {
                self.closing.get_or_insert(now);
            }
        }
    }

    /// Does what is to be done at that time: writes what was taken, syncs it if that is due, and deletes what was released. After a
    /// failure it starts over, at once and then after a pause each, until the rest is on disk.
    pub(super) fn step(&mut self, now: Instant) {
        self.delete_released();
        let done = match self.retry_at {
            None => self.write().and_then(|()| if self.sync_is_due(now) { self.sync() } else { Ok(()) }),
            Some(at) => {
                self.refuse_waiters();
                if at <= now || self.closing.is_some() { self.start_over() } else { Ok(()) }
            }
        };
        if let Err(failure) = done {
            self.fail(&failure, now);
        }
        self.show();
    }

    /// Asked to end, and nobody holds a place in the queue any more (or takes too long between place and channel).
    pub(super) fn is_done(&self, now: Instant) -> bool {
        let Some(since) = self.closing else { return false };
        let quiet = self.queue.available_permits() == self.places || now.saturating_duration_since(since) > CLOSE_PATIENCE;
        let idle = self.retry_at.is_none() && self.unsynced.is_empty() && self.flushes.is_empty();
        self.gave_up || (quiet && idle)
    }

    fn sync_is_due(&self, now: Instant) -> bool {
        let interval = self.shared.options.sync_interval;
        let overdue = self.oldest.is_some_and(|oldest| now.saturating_duration_since(oldest) >= interval);
        overdue
            || self.closing.is_some()
            || !self.flushes.is_empty()
            || self.unsynced_places >= self.places / 4
            || self.waiters > 0
    }

    /// Hands to the kernel what was received, so that it survives this process.
    fn write(&mut self) -> io::Result<()> {
        while self.written < self.unsynced.len() {
            let size = (RECORD_HEADER + self.unsynced[self.written].body.len()) as u64;
            let full = self.active.as_ref().is_none_or(|a| {
                a.end > a.base + SEGMENT_HEADER && a.end - a.base + size > self.shared.options.effective_segment_bytes()
            });
            if full {
                self.put()?;
                self.sync()?;
                // Syncing may have removed entries in front of the next one.
                self.begin_segment()?;
                continue;
            }
            let Some(active) = self.active.as_mut() else { return Err(io::Error::other("no segment")) };
            let Entry { kind, body, .. } = &self.unsynced[self.written];
            self.out.extend_from_slice(&RecordHeader::of(*kind, body).encode(active.salt, active.end));
            self.out.extend_from_slice(body);
            active.end += size;
            self.next_offset = active.end;
            self.written += 1;
            if self.out.len() >= WRITE_BYTES {
                self.put()?;
            }
        }
        self.put()
    }

    fn put(&mut self) -> io::Result<()> {
        if let Some(active) = self.active.as_mut()
            && !self.out.is_empty()
        {
            active.file.write_all(&self.out)?;
        }
        self.out.clear();
        if self.out.capacity() > 2 * WRITE_BYTES {
            self.out = Vec::with_capacity(WRITE_BYTES);
        }
        Ok(())
    }

    /// Makes sure that everything written is on disk, shows it to readers and answers those who wait.
    fn sync(&mut self) -> io::Result<()> {
        let Some(active) = self.active.as_mut() else { return Err(io::Error::other("no segment")) };
        if active.end > active.synced {
            active.file.sync_data()?;
            self.shared.counters.syncs.add(1);
            active.synced = active.end;
            self.shared.segments().insert(active.base, active.end);
            self.shared.synced.send_replace(active.end);
        }
        for entry in self.unsynced.drain(..self.written) {
            self.unsynced_places -= entry.places as usize;
            entry.space.used();
            if let Some(waiter) = entry.waiter {
                self.waiters -= 1;
                // Whoever waited may have gone away.
                let _ = waiter.send(Ok(()));
            }
            self.shared.counters.records.add(1);
        }
        self.written = 0;
        if self.unsynced.is_empty() {
            self.oldest = None;
            for done in self.flushes.drain(..) {
                let _ = done.send(());
            }
        }
        Ok(())
    }

    /// Begins a segment at `next_offset`. The one before, if any, must be synced.
    fn begin_segment(&mut self) -> io::Result<()> {
        let (base, disk) = (self.next_offset, &self.shared.disk);
        let header = SegmentHeader { base, salt: salt(self.secret, base) };
        // Whatever happens, no other segment begins here.
        self.next_offset = base + SEGMENT_HEADER;
        let created = disk.create(&format::segment_name(base));
        // Somebody else's file is left alone.
        if !matches!(&created, Err(e) if e.kind() == io::ErrorKind::AlreadyExists) {
            self.stillborn = Some(base);
        }
        let mut file = created?;
        file.write_all(&header.encode())?;
        file.sync_all()?;
        disk.sync()?;
        self.stillborn = None;
        self.shared.used.fetch_add(SEGMENT_HEADER, Ordering::Relaxed);
        let end = base + SEGMENT_HEADER;
        self.shared.segments().insert(base, end);
        self.shared.synced.send_replace(end);
        self.active = Some(Active { file, base, salt: header.salt, synced: end, end });
        Ok(())
    }

    /// Begins a segment; where there is no space for it, in that of the reserve.
    fn begin_segment_at_any_cost(&mut self) -> io::Result<()> {
        match self.begin_segment() {
            Err(e) if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                self.bury()?;
                self.shared.disk.remove_if_there(RESERVE)?;
                self.begin_segment()
            }
            done => done,
        }
    }

    /// Removes the file of a segment that could not be begun.
    fn bury(&mut self) -> io::Result<()> {
        if let Some(base) = self.stillborn {
            self.shared.disk.remove_if_there(&format::segment_name(base))?;
            self.stillborn = None;
        }
        Ok(())
    }

    /// Sees to it that there is a reserve. Without one the journal works as well, until its disk is full.
    fn keep_reserve(&self) {
        let disk = &self.shared.disk;
        let made = disk.create(RESERVE).and_then(|mut file| {
            // A file system might keep zeros without taking space for them.
            file.write_all(&[b'.'; RESERVE_BYTES])?;
            file.sync_all()
        });
        match made {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                warn!(error = %e, "the journal has no reserve of space");
                let _ = disk.remove_if_there(RESERVE);
            }
            _ => {}
        }
    }

    /// Cuts off torn records that an earlier process left, and removes segments that hold none. Not before there is a segment behind
    /// them: a process that dies in between must not forget which offsets were used.
    fn cut_tails(&mut self) -> io::Result<()> {
        let disk = &self.shared.disk;
        for Tail { base, length, .. } in &self.tails {
            let name = format::segment_name(*base);
            match length.map(|length| (length, disk.open(&name, Access::Write))) {
                Some((length, Ok(file))) => {
                    file.set_len(length)?;
                    file.sync_all()?;
                }
                // Released meanwhile.
                Some((_, Err(e))) if e.kind() == io::ErrorKind::NotFound => {}
                Some((_, Err(e))) => return Err(e),
                None => disk.remove_if_there(&name)?,
            }
        }
        disk.sync()?;
        self.shared.counters.torn_bytes.add(self.tails.drain(..).map(|tail| tail.torn).sum());
        Ok(())
    }

    /// Deletes segments that lie wholly below the released offset, never the active one, nor the last one while there is none.
    fn delete_released(&mut self) {
        let released = self.shared.released.load(Ordering::Relaxed);
        let last = || self.shared.segments().last_key_value().map(|(base, _)| *base);
        let active = self.active.as_ref().map(|a| a.base).or_else(last);
        let mut deleted = false;
        loop {
            let oldest = self.shared.segments().first_key_value().map(|(base, end)| (*base, *end));
            let Some((base, end)) = oldest.filter(|(base, end)| *end <= released && Some(*base) != active) else { break };
            if !self.delete(base, end) {
                break;
            }
            deleted = true;
        }
        // A deletion that is lost in a power cut only leaves a segment that is released again.
        if deleted && let Err(e) = self.shared.disk.sync() {
            self.shared.counters.errors.add(1);
            warn!(error = %e, "cannot sync the journal's directory");
        }
    }

    /// Deletes a segment; false if the disk refuses.
    fn delete(&self, base: u64, end: u64) -> bool {
        if let Err(e) = self.shared.disk.remove_if_there(&format::segment_name(base)) {
            self.shared.counters.errors.add(1);
            warn!(segment = base, error = %e, "cannot delete a journal segment");
            return false;
        }
        self.forget(base, end);
        true
    }

    /// A segment's file is gone. True if that is news.
    fn forget(&self, base: u64, end: u64) -> bool {
        let known = self.shared.segments().remove(&base).is_some();
        if known {
            self.shared.give_back_space(end - base);
        }
        known
    }

    /// Stops acknowledging, and refuses those who wait.
    fn fail(&mut self, failure: &io::Error, now: Instant) {
        let pause = match self.retry_at {
            None => {
                error!(error = %failure, "the journal cannot be written; nothing is acknowledged until it can");
                Duration::ZERO
            }
            Some(_) => self.shared.options.retry_pause,
        };
        self.gave_up = self.retry_at.is_some() && self.closing.is_some();
        self.retry_at = Some(now + pause);
        self.shared.counters.errors.add(1);
        self.shared.health.send_replace(Health::Failing(failure.to_string().into()));
        self.refuse_waiters();
    }

    /// Cuts the segment back to what was synced, reads that back, and writes what is held into a new one.
    fn start_over(&mut self) -> io::Result<()> {
        self.out.clear();
        self.written = 0;
        self.shared.disk.make()?;
        self.bury()?;
        let broken = self.active.as_ref().map(|active| (active.base, active.synced));
        if let Some((base, synced)) = broken {
            self.cut_back(base, synced)?;
        }
        self.begin_segment_at_any_cost()?;
        self.cut_tails()?;
        // Only now, so that there is always a segment that tells which offsets were used. One without a record is of no use, and every
        // attempt would leave another one; if it cannot be removed, it goes when it is released.
        if let Some((base, synced)) = broken.filter(|(base, synced)| *synced == base + SEGMENT_HEADER) {
            self.delete(base, synced);
        }
        self.write()?;
        self.sync()?;
        self.keep_reserve();
        self.retry_at = None;
        self.shared.health.send_replace(Health::Good);
        info!("the journal is written again");
        Ok(())
    }

    /// Cuts a segment to what was synced of it.
    fn cut_back(&self, base: u64, synced: u64) -> io::Result<()> {
        let disk = &*self.shared.disk;
        let file = match disk.open(&format::segment_name(base), Access::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                error!(segment = base, "the journal's active segment is gone");
                if self.forget(base, synced) {
                    self.shared.counters.damaged_bytes.add(synced - base - SEGMENT_HEADER);
                }
                return Ok(());
            }
            file => file?,
        };
        file.set_len(synced - base)?;
        file.sync_all()?;
        if recovery::end_of_records(disk, base, synced - base)? != Some(synced) {
            // The reader will come to the place and count it.
            error!(segment = base, "the disk lost what it had confirmed");
        }
        Ok(())
    }

    /// Those who wait for their group are told that it is not in the journal, and it is dropped: they will send it again.
    fn refuse_waiters(&mut self) {
        self.written = 0;
        if self.waiters == 0 {
            return;
        }
        let why: Arc<str> = match &*self.shared.health.borrow() {
            Health::Failing(why) => Arc::clone(why),
            _ => return,
        };
        let mut kept = VecDeque::with_capacity(self.unsynced.len());
        for mut entry in self.unsynced.drain(..) {
            match entry.waiter.take() {
                Some(waiter) => {
                    let _ = waiter.send(Err(JournalError::Unavailable(Arc::clone(&why))));
                }
                None => kept.push_back(entry),
            }
        }
        self.unsynced_places = kept.iter().map(|e| e.places as usize).sum();
        self.waiters = 0;
        self.unsynced = kept;
    }

    fn show(&self) {
        let counters = &self.shared.counters;
        counters.bytes.set(self.shared.used.load(Ordering::Relaxed));
        counters.segments.set(self.shared.segments().len() as u64);
        counters.synced_offset.set(*self.shared.synced.borrow());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let lost: u64 = self.unsynced.iter().map(|e| e.frames).sum();
        if lost > 0 {
            self.shared.counters.lost.add(lost);
            error!(frames = lost, "the journal was closed while its disk refused; frames are lost");
        }
        self.shared.health.send_replace(Health::Closed);
        self.shared.space.notify_waiters();
    }
}

fn salt(secret: u64, base: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (secret, base).hash(&mut hasher);
    hasher.finish()
}
