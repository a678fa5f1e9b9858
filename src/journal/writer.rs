//! The writer: one thread that owns the active segment. Blocking on purpose: a sync takes milliseconds, and must not hold up a socket.

use std::collections::VecDeque;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot, watch};
use tracing::{error, info, warn};

use super::format::{self, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader};
use super::handle::{Entry, JournalHandle, Message};
use super::{Health, JournalError, Shared, recovery};

/// What is handed to the kernel at once, in bytes.
const WRITE_BYTES: usize = 1 << 20;
/// How long a closing writer waits for a group that is between the queue and the channel.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Begins a segment at `next_offset` and starts the thread. The receiver becomes true when the thread has ended.
pub(super) fn start(shared: &Arc<Shared>, next_offset: u64) -> io::Result<(JournalHandle, watch::Receiver<bool>)> {
    let (sender, receiver) = sync_channel(JournalHandle::channel_capacity(shared));
    let handle = JournalHandle::new(shared, sender);
    let places = handle.queue().available_permits();
    let mut writer = Writer {
        shared: Arc::clone(shared),
        receiver,
        queue: handle.queue(),
        places,
        active: None,
        next_offset,
        unsynced: VecDeque::new(),
        written: 0,
        unsynced_places: 0,
        waiters: 0,
        oldest: None,
        flushes: Vec::new(),
        closing: None,
        out: Vec::with_capacity(WRITE_BYTES),
    };
    writer.begin_segment()?;
    let (ended, done) = watch::channel(false);
    std::thread::Builder::new().name("journal".into()).spawn(move || {
        writer.run();
        drop(writer);
        ended.send_replace(true);
    })?;
    Ok((handle, done))
}

/// The segment that is being written.
#[derive(Debug)]
struct Active {
    file: File,
    base: u64,
    salt: u64,
    /// Logical offset up to which it is synced.
    synced: u64,
    /// Logical offset up to which it is written.
    end: u64,
}

struct Writer {
    shared: Arc<Shared>,
    receiver: Receiver<Message>,
    queue: Arc<Semaphore>,
    /// All places of the queue.
    places: usize,
    /// `None` only after a failure, until there is a segment again.
    active: Option<Active>,
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
    /// When it was asked to end.
    closing: Option<Instant>,
    out: Vec<u8>,
}

impl Writer {
    fn run(&mut self) {
        loop {
            self.receive();
            self.delete_released();
            if let Err(error) = self.write().and_then(|()| if self.sync_is_due() { self.sync() } else { Ok(()) })
                && !self.repair(error)
            {
                break;
            }
            self.show();
            if self.is_finished() {
                break;
            }
        }
        let lost: u64 = self.unsynced.iter().map(|e| e.frames).sum();
        if lost > 0 {
            self.shared.counters.lost.add(lost);
            error!(frames = lost, "the journal was closed while its disk refused; frames are lost");
        }
        self.shared.health.send_replace(Health::Closed);
        self.shared.space.notify_waiters();
    }

    /// Waits for something to do, and takes what there is without letting a sync wait for long.
    fn receive(&mut self) {
        let due = self.oldest.map(|oldest| oldest + self.shared.options.sync_interval);
        let first = match (self.closing, due) {
            (Some(_), _) => self.receiver.recv_timeout(Duration::from_millis(5)),
            (None, Some(due)) => self.receiver.recv_timeout(due.saturating_duration_since(Instant::now())),
            (None, None) => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match first {
            Ok(message) => self.take(message),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => self.begin_closing(),
        }
        while self.unsynced_places < self.places / 4
            && let Ok(message) = self.receiver.try_recv()
        {
            self.take(message);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Append(entry) => {
                self.oldest.get_or_insert_with(Instant::now);
                self.unsynced_places += entry.places as usize;
                self.waiters += usize::from(entry.waiter.is_some());
                self.unsynced.push_back(entry);
            }
            Message::Flush(done) => self.flushes.push(done),
            Message::Wake => self.shared.woken.store(false, Ordering::Release),
            Message::Close => self.begin_closing(),
        }
    }

    fn begin_closing(&mut self) {
        self.closing.get_or_insert_with(Instant::now);
    }

    /// Asked to end, and nobody holds a place in the queue any more (or takes too long between place and channel).
    fn is_finished(&self) -> bool {
        let Some(since) = self.closing else { return false };
        let quiet = self.queue.available_permits() == self.places || since.elapsed() > CLOSE_PATIENCE;
        quiet && self.unsynced.is_empty() && self.flushes.is_empty()
    }

    fn sync_is_due(&self) -> bool {
        let overdue = self.oldest.is_some_and(|oldest| oldest.elapsed() >= self.shared.options.sync_interval);
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
            let body = &self.unsynced[self.written].body;
            self.out.extend_from_slice(&RecordHeader::of(body).encode(active.salt, active.end));
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
            #[cfg(test)]
            if self.shared.failing_syncs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                return Err(io::Error::other("a test's failing sync"));
            }
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
        let (base, dir) = (self.next_offset, &self.shared.dir);
        let path = format::segment_path(dir, base);
        let header = SegmentHeader { base, salt: RandomState::new().hash_one(base) };
        let made = (|| {
            let mut file = File::options().write(true).create_new(true).open(&path)?;
            file.write_all(&header.encode())?;
            file.sync_all()?;
            File::open(dir)?.sync_all()?;
            Ok(file)
        })();
        // Whatever happens, no other segment begins here.
        self.next_offset = base + SEGMENT_HEADER;
        let file = made.inspect_err(|e: &io::Error| {
            if e.kind() != io::ErrorKind::AlreadyExists {
                let _ = std::fs::remove_file(&path);
            }
        })?;
        self.shared.used.fetch_add(SEGMENT_HEADER, Ordering::Relaxed);
        let end = base + SEGMENT_HEADER;
        self.shared.segments().insert(base, end);
        self.shared.synced.send_replace(end);
        self.active = Some(Active { file, base, salt: header.salt, synced: end, end });
        Ok(())
    }

    /// Deletes segments that lie wholly below the released offset, never the active one.
    fn delete_released(&mut self) {
        let released = self.shared.released.load(Ordering::Relaxed);
        let active = self.active.as_ref().map(|a| a.base);
        let mut deleted = false;
        loop {
            let oldest = self.shared.segments().first_key_value().map(|(base, end)| (*base, *end));
            let Some((base, end)) = oldest.filter(|(base, end)| *end <= released && Some(*base) != active) else { break };
            match std::fs::remove_file(format::segment_path(&self.shared.dir, base)) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    self.shared.counters.errors.add(1);
                    warn!(segment = base, error = %e, "cannot delete a journal segment");
                    break;
                }
            }
            self.forget(base, end);
            deleted = true;
        }
        // A deletion that is lost in a power cut only leaves a segment that is released again.
        if deleted && let Err(e) = File::open(&self.shared.dir).and_then(|dir| dir.sync_all()) {
            self.shared.counters.errors.add(1);
            warn!(error = %e, "cannot sync the journal's directory");
        }
    }

    /// A segment's file is gone.
    fn forget(&self, base: u64, end: u64) {
        if self.shared.segments().remove(&base).is_some() {
            self.shared.give_back_space(end - base);
        }
    }

    /// After a failure: stops acknowledging, refuses those who wait, and tries until the rest is on disk. False: asked to end instead.
    fn repair(&mut self, mut failure: io::Error) -> bool {
        error!(error = %failure, "the journal cannot be written; nothing is acknowledged until it can");
        loop {
            self.shared.counters.errors.add(1);
            self.shared.health.send_replace(Health::Failing(failure.to_string().into()));
            self.refuse_waiters();
            self.show();
            self.delete_released();
            let closing = self.closing.is_some();
            match self.start_over() {
                Ok(()) => break,
                Err(_) if closing => return false,
                Err(again) => failure = again,
            }
            self.pause();
        }
        self.shared.health.send_replace(Health::Good);
        info!("the journal is written again");
        true
    }

    /// Cuts the segment back to what was synced, reads that back, and writes what is held into a new one.
    fn start_over(&mut self) -> io::Result<()> {
        self.out.clear();
        self.written = 0;
        let dir = &self.shared.dir;
        if let Some(broken) = &self.active {
            let path = format::segment_path(dir, broken.base);
            if !path.try_exists()? {
                error!(segment = broken.base, "the journal's active segment is gone");
                self.shared.counters.damaged_bytes.add(broken.synced - broken.base);
                self.forget(broken.base, broken.synced);
            } else if broken.synced == broken.base + SEGMENT_HEADER {
                // Nothing in it is of use, and every attempt would leave another one.
                std::fs::remove_file(&path)?;
                self.forget(broken.base, broken.synced);
            } else {
                let file = File::options().write(true).open(&path)?;
                file.set_len(broken.synced - broken.base)?;
                file.sync_all()?;
                let readable = recovery::end_of_records(dir, broken.base, broken.synced - broken.base)?;
                if readable != Some(broken.synced) {
                    // The reader will come to the place and count it.
                    error!(segment = broken.base, "the disk lost what it had confirmed");
                }
            }
        }
        self.active = None;
        std::fs::create_dir_all(dir)?;
        self.begin_segment()?;
        self.write()?;
        self.sync()
    }

    /// Those who wait for their group are told that it is not in the journal, and it is dropped: they will send it again.
    fn refuse_waiters(&mut self) {
        let why: Arc<str> = match &*self.shared.health.borrow() {
            Health::Failing(why) => Arc::clone(why),
            _ => return,
        };
        self.written = 0;
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

    /// Waits between two attempts; takes messages meanwhile.
    fn pause(&mut self) {
        let until = Instant::now() + self.shared.options.retry_pause;
        while self.closing.is_none() {
            match self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(message) => {
                    self.take(message);
                    self.refuse_waiters();
                    self.delete_released();
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => self.begin_closing(),
            }
        }
    }

    fn show(&self) {
        let counters = &self.shared.counters;
        counters.bytes.set(self.shared.used.load(Ordering::Relaxed));
        counters.segments.set(self.shared.segments().len() as u64);
        counters.synced_offset.set(*self.shared.synced.borrow());
    }
}
