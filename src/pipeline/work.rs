//! The work of the pipeline's one thread: batches in, prepared transactions out.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::deliveries::Deliveries;
use super::floor::Floor;
use super::ledger::{Keeper, LossLog};
use super::pauses::{Pauses, Waits};
use super::steady::SteadyClock;
use crate::detect::Engine;
use crate::frame::{Batch, Loss, PositionChange};
use crate::parse::{self, Context};
use crate::record::incident::IncidentChange;
use crate::record::{EventType, LogRecord, Timestamp};
use crate::stats::{Counter, Stats};
use crate::store::copy::{self, RowMeta, Rows};
use crate::store::ledger::Entry;
use crate::store::{Refused, Saved, Store, StoreError};

/// Everything that one transaction will store.
#[derive(Debug)]
pub struct Prepared {
    /// Its number in the order of transactions.
    pub number: i64,
    pub rows: Rows,
    /// UTC days that the rows fall on.
    pub days: BTreeSet<i64>,
    pub positions: Vec<PositionChange>,
    pub ledger: Vec<Entry>,
    pub losses: Vec<Loss>,
    pub deliveries: Vec<(String, String)>,
    pub changes: Vec<IncidentChange>,
    pub floor: Option<Timestamp>,
    /// When its first batch came.
    pub began: Instant,
    /// The frames, should a row be refused.
    batches: Vec<Batch>,
    /// For each row its id, batch and frame.
    frames: Vec<(i64, u32, u32)>,
}

impl Prepared {
    fn new(number: i64) -> Prepared {
        Prepared {
            number,
            rows: Rows::default(),
            days: BTreeSet::new(),
            positions: Vec::new(),
            ledger: Vec::new(),
            losses: Vec::new(),
            deliveries: Vec::new(),
            changes: Vec::new(),
            floor: None,
            began: Instant::now(),
            batches: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Bytes of frames and rows.
    fn bytes(&self) -> usize {
        self.rows.bytes() + self.batches.iter().map(|batch| batch.bytes.len()).sum::<usize>()
    }

    /// What goes to quarantine when a row is refused.
    pub fn refused(&self, row: usize) -> Refused {
        let (id, batch, frame) = self.frames[row];
        let batch = &self.batches[batch as usize];
        let frame = &batch.frames[frame as usize];
        Refused {
            id,
            received_at: frame.received_at,
            source: batch.origins[frame.origin as usize].source.name.clone(),
            raw: batch.bytes_of(frame).to_vec(),
        }
    }
}

/// Frames and rows of a transaction, unless a single batch has more: what waits is in memory several times over.
const MAX_BYTES: usize = 8 << 20;

pub struct Worker {
    options: Options,
    engine: Engine,
    floor: Floor,
    steady: SteadyClock,
    deliveries: Deliveries,
    ledger: Keeper,
    loss_log: LossLog,
    /// Number of the last transaction.
    number: i64,
    ids: Ids,
    parsed_total: Arc<Counter>,
    unparsed_total: Arc<Counter>,
    repeated_total: Arc<Counter>,
    panics_total: Arc<Counter>,
    detector_keys: Arc<Counter>,
    hard_stop: CancellationToken,
}

impl Worker {
    pub fn new(
        options: Options,
        engine: Engine,
        deliveries: Deliveries,
        ids: Ids,
        saved: &Saved,
        stats: &Arc<Stats>,
        hard_stop: CancellationToken,
    ) -> Worker {
        Worker {
            options,
            engine,
            floor: Floor::resumed(saved, Instant::now()),
            steady: SteadyClock::since(saved.last_received),
            deliveries,
            ledger: Keeper::starting_at(saved.transaction + 1),
            loss_log: LossLog::new(Arc::clone(stats)),
            number: saved.transaction,
            ids,
            parsed_total: stats.counter("parsed_total", "Frames that the pipeline parsed.", &[]),
            unparsed_total: stats.counter("unparsed_total", "Frames of which only the text was kept.", &[]),
            repeated_total: stats.counter("repeated_deliveries_total", "Webhook deliveries that had been stored before.", &[]),
            panics_total: stats.counter("parser_panics_total", "Frames on which a parser failed: a bug.", &[]),
            detector_keys: stats.gauge("detector_keys", "Keys that detectors keep in memory.", &[]),
            hard_stop,
        }
    }

    /// Until `batches` is closed and empty, or nobody wants what comes out.
    pub fn run(mut self, mut batches: mpsc::Receiver<Batch>, out: &mpsc::Sender<Prepared>, handle: &Handle) {
        let mut held = None;
        while let Some(first) = held.take().or_else(|| batches.blocking_recv()) {
            self.number += 1;
            let mut prepared = Prepared::new(self.number);
            self.add(&mut prepared, first, handle);
            // What waits is stored in the same transaction; a batch that would make it too large waits for the next.
            while let Ok(next) = batches.try_recv() {
                if prepared.rows.len() + next.frames.len() > self.options.max_rows
                    || prepared.bytes() + next.bytes.len() > MAX_BYTES
                {
                    held = Some(next);
                    break;
                }
                self.add(&mut prepared, next, handle);
            }
            if self.hard_stop.is_cancelled() {
                return;
            }
            prepared.changes = self.engine.take_changes();
            prepared.floor = self.floor.get();
            prepared.ledger = self.ledger.take(self.number);
            self.loss_log.tell(Instant::now());
            self.detector_keys.set(self.engine.stats().keys);
            if out.blocking_send(prepared).is_err() {
                return;
            }
        }
    }

    fn add(&mut self, prepared: &mut Prepared, mut batch: Batch, handle: &Handle) {
        let repeated = self.repeated(&mut batch, prepared);
        let batch_index = prepared.batches.len() as u32;
        self.floor.note_unread(&batch);
        self.ledger.begin(self.number, &batch);
        let (now, steady_now) = (Instant::now(), self.steady.now());
        let mut repeated_frames = 0;
        for (i, frame) in batch.frames.iter().enumerate() {
            if repeated.iter().any(|range| range.contains(&i)) {
                repeated_frames += 1;
                continue;
            }
            let Some(id) = self.ids.take(handle, &self.hard_stop) else { return };
            let origin = &batch.origins[frame.origin as usize];
            let bytes = batch.bytes_of(frame);
            let text = parse::text(bytes);
            let context = Context { now: frame.received_at, zone: &origin.source.zone };
            // A parser that fails on a line must not fail on it again and again.
            let parsed = std::panic::catch_unwind(AssertUnwindSafe(|| parse::parse(&text, &context)));
            let mut record = parsed.unwrap_or_else(|_| {
                self.panics_total.add(1);
                LogRecord { error: Some("the parser failed".into()), ..LogRecord::text(&*text) }
            });
            if record.event_type == EventType::Other && record.format.envelope.is_empty() && record.format.message == "text" {
                self.unparsed_total.add(1);
            }
            if record.host.is_none() {
                record.host = origin.peer.map(|peer| peer.to_canonical().to_string().into());
            }
            if let Some(path) = &origin.path {
                record.set("log.file.path", &**path);
            }
            if frame.cut > 0 {
                record.set("tocsin.cut_bytes", i64::from(frame.cut));
            }
            copy::fit(&mut record);
            let event_time = self.filed_under(&mut record, frame.received_at, steady_now);
            if self.floor.note(event_time, now) {
                self.engine.set_floor(self.floor.get());
            }
            self.engine.observe(&record, id, event_time);
            prepared.days.insert(event_time.day());
            self.ledger.frame(id, event_time.day(), frame.received_at);
            let meta = RowMeta { id, event_time, received_at: frame.received_at, source: &origin.source.name, frame: bytes };
            prepared.rows.push(&record, &meta);
            prepared.frames.push((id, batch_index, i as u32));
        }
        self.parsed_total.add(batch.frames.len() as u64);
        self.engine.set_floor(self.floor.get());
        self.ledger.batch(self.number, &batch, repeated_frames);
        self.loss_log.note(&batch.losses);
        prepared.losses.append(&mut batch.losses);
        prepared.positions.append(&mut batch.positions);
        prepared.batches.push(batch);
    }

    /// The time that a record is filed under: its own, unless it has none or an absurd one; that claim is kept as a field. Absurd is what
    /// both clocks of ours say is absurd: when somebody sets the wall clock, senders' clocks are as right as they were before.
    fn filed_under(&self, record: &mut LogRecord<'_>, received_at: Timestamp, steady_now: Timestamp) -> Timestamp {
        let Some(claimed) = record.event_time else { return received_at };
        let span = -self.options.max_past_micros..=self.options.max_future_micros;
        if [received_at, steady_now].iter().any(|now| span.contains(&claimed.micros_since(*now))) {
            return claimed;
        }
        record.set("tocsin.claimed_time", claimed.to_string());
        received_at
    }

    /// Ranges of frames that belong to deliveries that were stored before; new ones are noted.
    fn repeated(&mut self, batch: &mut Batch, prepared: &mut Prepared) -> Vec<std::ops::Range<usize>> {
        let mut repeated = Vec::new();
        for delivery in batch.deliveries.drain(..) {
            if self.deliveries.remember(&delivery.source, &delivery.id) {
                prepared.deliveries.push((delivery.source, delivery.id));
            } else {
                self.repeated_total.add(1);
                repeated.push(delivery.frames);
            }
        }
        repeated
    }
}

/// How long to wait for a block of ids before asking again.
const ID_PATIENCE: Duration = Duration::from_secs(20);

/// Ids from blocks of the sequence.
pub struct Ids {
    next: i64,
    end: i64,
    store: Store,
    waits: Arc<Waits>,
}

impl Ids {
    pub fn new(store: Store, waits: Arc<Waits>) -> Ids {
        Ids { next: 0, end: 0, store, waits }
    }

    /// The next id; waits for the database where a new block is needed. `None` when told to stop meanwhile.
    fn take(&mut self, handle: &Handle, hard_stop: &CancellationToken) -> Option<i64> {
        if self.next == self.end {
            self.take_block(handle, hard_stop)?;
        }
        let id = self.next;
        self.next += 1;
        Some(id)
    }

    fn take_block(&mut self, handle: &Handle, hard_stop: &CancellationToken) -> Option<()> {
        let mut pauses = Pauses::new(&self.waits);
        loop {
            let answer = handle.block_on(async { tokio::time::timeout(ID_PATIENCE, self.store.next_id_block()).await });
            match answer.unwrap_or(Err(StoreError::Late)) {
                Ok(first) => {
                    (self.next, self.end) = (first, first + Store::ID_BLOCK);
                    return Some(());
                }
                Err(error) => {
                    pauses.report(&error, "waiting for the database to hand out ids");
                    let stopped = handle.block_on(async {
                        tokio::select! { () = tokio::time::sleep(pauses.next_pause()) => false, () = hard_stop.cancelled() => true }
                    });
                    if stopped {
                        return None;
                    }
                }
            }
        }
    }
}
