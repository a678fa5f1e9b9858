//! The reader: what is synced, as batches for the pipeline.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;

use super::recovery::{self, Found, Scanner};
use super::{DoorLoss, GroupView, Health, Journal, JournalError, Shared, format};
use crate::frame::{Batch, Delivery, FrameSpan, Loss, LossReason, Origin, PositionChange, Source};
use crate::record::{Timestamp, Zone};

/// The input that positions in the journal belong to.
const INPUT: &str = "journal";

/// A batch is closed when it has this many frames …
const BATCH_FRAMES: usize = 5_000;
/// … or that many bytes. A single larger group comes alone.
const BATCH_BYTES: usize = 4 << 20;
/// Origins that are remembered from batch to batch.
const MAX_ORIGINS: usize = 8_192;

/// The configured sources. A name that is not among them (its source was taken out of the configuration while frames of it were in the
/// journal) gets a source of that name with the default zone.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The configured sources by name.
    pub known: HashMap<String, Arc<Source>>,
    /// The zone for the others.
    pub default_zone: Zone,
}

/// Reads the journal from a position on, once, in order, over damaged places, which are counted. Reads happen on tokio's blocking threads, a batch at a time.
#[derive(Debug)]
pub struct Reader {
    synced: watch::Receiver<u64>,
    health: watch::Receiver<Health>,
    /// `None` while it is out reading.
    cursor: Option<Box<Cursor>>,
    /// A read that is under way. It survives a dropped `next`, and the following one goes on waiting for it.
    reading: Option<JoinHandle<Read>>,
}

type Read = (Box<Cursor>, Result<Option<Batch>, JournalError>);

impl Reader {
    /// A reader that begins at the logical offset `from`: a position that an earlier batch carried, or 0 for the beginning.
    pub fn new(journal: &Journal, from: u64, sources: Sources) -> Reader {
        let (synced, health) = (journal.shared.synced.subscribe(), journal.health());
        Reader { synced, health, cursor: Some(Box::new(Cursor::new(journal, from, sources))), reading: None }
    }

    /// The next batch; waits until something is synced. `None` when the journal is closed and everything has been read.
    ///
    /// The future may be dropped at any time; nothing is lost by that.
    ///
    /// # Errors
    /// [`JournalError::Read`]: the disk failed. The position has not moved; the call may be repeated.
    pub async fn next(&mut self) -> Result<Option<Batch>, JournalError> {
        loop {
            if self.reading.is_none()
                && let Some(mut cursor) = self.cursor.take()
            {
                // What is synced from here on wakes the wait below.
                self.synced.borrow_and_update();
                let closed = *self.health.borrow() == Health::Closed;
                if !cursor.has_more() {
                    self.cursor = Some(cursor);
                    if closed {
                        return Ok(None);
                    }
                    tokio::select! {
                        _ = self.synced.changed() => {}
                        _ = self.health.wait_for(|h| *h == Health::Closed) => {}
                    }
                    continue;
                }
                self.reading = Some(tokio::task::spawn_blocking(move || {
                    let batch = cursor.read();
                    (cursor, batch)
                }));
            }
            let Some(reading) = self.reading.as_mut() else { return Err(JournalError::Closed) };
            let read = reading.await;
            self.reading = None;
            // The task fails only when the runtime goes down; the cursor is gone with it.
            let (cursor, batch) = read.map_err(|_| JournalError::Closed)?;
            self.cursor = Some(cursor);
            if let Some(batch) = batch? {
                return Ok(Some(batch));
            }
        }
    }
}

impl Shared {
    /// Something that was synced lies behind `position`.
    fn has_more(&self, position: u64) -> bool {
        let first_record = |base: u64| base + format::SEGMENT_HEADER;
        self.segments().iter().rev().any(|(base, end)| *end > position.max(first_record(*base)))
    }

    /// The segment to read at `position`: where it begins, and up to where it may be read. Where the position lies in none, the next one.
    fn segment_at(&self, position: u64) -> Option<(u64, u64)> {
        let segments = self.segments();
        let here = segments.range(..=position).next_back().filter(|(_, end)| **end > position);
        here.or_else(|| segments.range(position.saturating_add(1)..).next()).map(|(base, end)| (*base, *end))
    }
}

/// What reads, a batch at a time, without waiting for anything but the disk.
#[derive(Debug)]
pub(super) struct Cursor {
    shared: Arc<Shared>,
    identity: Arc<str>,
    position: u64,
    /// The position that the last batch told.
    told: u64,
    /// Damaged places since then.
    losses: Vec<Loss>,
    scanner: Option<Scanner>,
    origins: Origins,
}

impl Cursor {
    pub(super) fn new(journal: &Journal, from: u64, sources: Sources) -> Cursor {
        Cursor {
            shared: Arc::clone(&journal.shared),
            identity: Arc::clone(journal.identity()),
            position: from,
            told: from,
            losses: Vec::new(),
            scanner: None,
            origins: Origins { sources, entries: HashMap::new(), batch: 0 },
        }
    }

    /// Something that was synced is still to be read.
    pub(super) fn has_more(&self) -> bool {
        self.shared.has_more(self.position)
    }

    /// Reads a batch of what is synced; `None` when there is nothing, or only damage.
    pub(super) fn read(&mut self) -> Result<Option<Batch>, JournalError> {
        let mut batch = Batch::default();
        self.origins.begin_batch();
        loop {
            let before = self.position;
            match self.step(&mut batch) {
                Ok(true) => {}
                Ok(false) => break,
                // What has been read so far goes out first; the error comes back with the next call.
                Err(_) if !batch.frames.is_empty() => {
                    self.position = before;
                    self.scanner = None;
                    break;
                }
                Err(error) => {
                    self.scanner = None;
                    return Err(error);
                }
            }
        }
        if batch.frames.is_empty() && self.losses.is_empty() {
            return Ok(None);
        }
        batch.losses = std::mem::take(&mut self.losses);
        batch.positions = vec![PositionChange {
            input: INPUT.into(),
            part: Arc::clone(&self.identity),
            from: std::mem::replace(&mut self.told, self.position),
            to: self.position,
            detail: Some(serde_json::Value::Object(serde_json::Map::new())),
        }];
        Ok(Some(batch))
    }

    /// Adds a group to the batch. False when there is none, or the batch has enough.
    fn step(&mut self, batch: &mut Batch) -> Result<bool, JournalError> {
        if batch.frames.len() >= BATCH_FRAMES || batch.bytes.len() >= BATCH_BYTES {
            return Ok(false);
        }
        let Some((base, end)) = self.shared.segment_at(self.position) else { return Ok(false) };
        if self.position <= base && end <= base + format::SEGMENT_HEADER {
            // A segment without a record: the active one, or one that a failure left behind.
            let last = self.shared.segments().last_key_value().is_none_or(|(last, _)| *last <= base);
            self.position = if last { self.position } else { end.max(self.position) };
            return Ok(!last);
        }
        let failed = |source: io::Error| JournalError::Read { base, source };
        if self.scanner.as_ref().is_none_or(|s| s.base() != base) {
            self.scanner = match recovery::open(&*self.shared.disk, base, self.position) {
                Ok(scanner) => scanner,
                // Somebody deleted the file. It will not come back, so waiting for it would be waiting for ever.
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(failed(e)),
            };
        }
        let Some(scanner) = self.scanner.as_mut() else {
            self.count_damage(base, self.position.max(base), end);
            return Ok(true);
        };
        let at = scanner.position();
        match scanner.next(end).map_err(failed)? {
            Found::Record { kind, body } => {
                if kind == format::KIND_GROUP
                    && let Ok(group) = GroupView::decode(body)
                {
                    if !batch.frames.is_empty()
                        && (batch.frames.len() + group.frame_count > BATCH_FRAMES
                            || batch.bytes.len() + group.bytes.len() > BATCH_BYTES)
                    {
                        // It begins the next batch.
                        scanner.seek(at);
                        return Ok(false);
                    }
                    self.origins.add(batch, &group);
                    self.position = scanner.position();
                } else if kind == format::KIND_LOSS
                    && let Some(loss) = DoorLoss::decode(body)
                {
                    self.losses.push(Loss {
                        input: loss.input.into(),
                        part: "".into(),
                        range: None,
                        frames: Some(loss.frames),
                        reason: loss.reason,
                        noticed_at: loss.noticed_at,
                    });
                    self.position = scanner.position();
                } else {
                    let next = scanner.position();
                    self.count_damage(base, at, next);
                }
            }
            Found::Damaged(bytes) => self.count_damage(base, at, at + bytes),
            Found::End(bytes) => {
                self.scanner = None;
                if bytes > 0 { self.count_damage(base, at, end) } else { self.position = end }
            }
        }
        Ok(true)
    }

    fn count_damage(&mut self, segment: u64, from: u64, to: u64) {
        warn!(segment, from, bytes = to - from, "a damaged place in the journal was skipped");
        self.shared.counters.damaged_bytes.add(to - from);
        self.losses.push(Loss {
            input: INPUT.into(),
            part: Arc::clone(&self.identity),
            range: Some((from, to)),
            frames: None,
            reason: LossReason::DamagedRecord,
            noticed_at: Timestamp::now(),
        });
        self.position = to;
    }
}

/// Origins by source and peer, so that a device that sends all day has one.
#[derive(Debug)]
struct Origins {
    sources: Sources,
    entries: HashMap<(Box<str>, Option<IpAddr>), Known>,
    batch: u64,
}

#[derive(Debug)]
struct Known {
    origin: Arc<Origin>,
    /// The batch that it was last used in, and its index there.
    batch: u64,
    index: u32,
}

impl Origins {
    fn begin_batch(&mut self) {
        self.batch += 1;
        if self.entries.len() > MAX_ORIGINS {
            self.entries.clear();
        }
    }

    /// Appends a group's frames to a batch.
    fn add(&mut self, batch: &mut Batch, group: &GroupView<'_>) {
        // By the group's peer number; most groups have one or two.
        let mut indices: Vec<Option<u32>> = vec![None; group.peers.len() + 1];
        let first = batch.frames.len();
        let mut start = batch.bytes.len() as u32;
        batch.bytes.extend_from_slice(group.bytes);
        for (frame, _) in group.frames() {
            let origin = match indices[usize::from(frame.peer)] {
                Some(index) => index,
                None => *indices[usize::from(frame.peer)].insert(self.index(batch, group.source, group.peer_of(frame))),
            };
            let end = start + frame.length;
            batch.frames.push(FrameSpan { start, end, origin, cut: frame.cut, received_at: group.received_at });
            start = end;
        }
        if let Some(id) = group.delivery {
            let frames = first..batch.frames.len();
            batch.deliveries.push(Delivery { source: group.source.to_owned(), id: id.to_owned(), frames });
        }
    }

    fn index(&mut self, batch: &mut Batch, source: &str, peer: Option<IpAddr>) -> u32 {
        let sources = &mut self.sources;
        let known = self.entries.entry((source.into(), peer)).or_insert_with(|| {
            let unknown = || Arc::new(Source { name: source.to_owned(), zone: sources.default_zone.clone(), format: None });
            let source = sources.known.get(source).cloned().unwrap_or_else(unknown);
            Known { origin: Arc::new(Origin { source, peer, path: None }), batch: 0, index: 0 }
        });
        if known.batch != self.batch {
            known.batch = self.batch;
            known.index = batch.origins.len() as u32;
            batch.origins.push(Arc::clone(&known.origin));
        }
        known.index
    }
}
