//! The work of the pipeline's one thread: batches in, prepared transactions out. It waits only between batches.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::deliveries::Deliveries;
use super::floor::Floor;
use super::ledger::{Keeper, LossLog};
use super::pauses::{Pauses, Waits};
use super::rollups::Hosts;
use super::steady::SteadyClock;
use crate::detect::Engine;
use crate::frame::{Batch, Loss, PositionChange};
use crate::parse::{self, Context};
use crate::record::incident::IncidentChange;
use crate::record::{EventType, LogRecord, Timestamp};
use crate::stats::{Counter, Stats};
use crate::store::copy::{self, RowMeta, Rows};
use crate::store::ledger::Entry;
use crate::store::rollups::{self, Counted, Rollups};
use crate::store::{Database, ID_BLOCK, Refused, StoreError};

/// Everything that one transaction will store.
#[derive(Debug)]
pub struct Prepared {
    /// Its number in the order of transactions.
    pub number: i64,
    pub rows: Rows,
    pub rollups: Rollups,
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
            rollups: Rollups::default(),
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

/// What a worker goes on with where another one ended.
pub struct Resumed {
    pub engine: Engine,
    pub floor: Floor,
    pub steady: SteadyClock,
    pub deliveries: Deliveries,
    /// Number of the last transaction.
    pub transaction: i64,
}

pub struct Worker<D> {
    options: Options,
    engine: Engine,
    floor: Floor,
    steady: SteadyClock,
    deliveries: Deliveries,
    hosts: Hosts,
    ledger: Keeper,
    loss_log: LossLog,
    /// Number of the last transaction.
    number: i64,
    ids: Ids<D>,
    parsed_total: Arc<Counter>,
    unparsed_total: Arc<Counter>,
    repeated_total: Arc<Counter>,
    panics_total: Arc<Counter>,
    detector_keys: Arc<Counter>,
    hard_stop: CancellationToken,
}

impl<D: Database> Worker<D> {
    pub fn new(options: Options, resumed: Resumed, ids: Ids<D>, stats: &Arc<Stats>, hard_stop: CancellationToken) -> Worker<D> {
        let Resumed { engine, floor, steady, deliveries, transaction } = resumed;
        Worker {
            options,
            engine,
            floor,
            steady,
            deliveries,
            hosts: Hosts::new(stats),
            ledger: Keeper::starting_at(transaction + 1),
            loss_log: LossLog::new(Arc::clone(stats)),
            number: transaction,
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
    pub async fn run(mut self, mut batches: mpsc::Receiver<Batch>, out: mpsc::Sender<Prepared>) {
        let mut held = None;
        loop {
            let Some(first) = (match held.take() {
                Some(held) => Some(held),
                None => batches.recv().await,
            }) else {
                return;
            };
            self.number += 1;
            let mut prepared = Prepared::new(self.number);
            if self.ids.reserve(first.frames.len(), &self.hard_stop).await.is_none() {
                return;
            }
            self.add(&mut prepared, first);
            // What waits is stored in the same transaction; a batch that would make it too large waits for the next.
            while let Ok(next) = batches.try_recv() {
                if prepared.rows.len() + next.frames.len() > self.options.max_rows
                    || prepared.bytes() + next.bytes.len() > MAX_BYTES
                {
                    held = Some(next);
                    break;
                }
                if self.ids.reserve(next.frames.len(), &self.hard_stop).await.is_none() {
                    return;
                }
                self.add(&mut prepared, next);
            }
            prepared.changes = self.engine.take_changes();
            prepared.floor = self.floor.get();
            prepared.ledger = self.ledger.take(self.number);
            self.loss_log.tell(Instant::now().into_std());
            self.detector_keys.set(self.engine.stats().keys);
            if out.send(prepared).await.is_err() {
                return;
            }
        }
    }

    /// Adds a batch, for each of whose frames there is an id.
    fn add(&mut self, prepared: &mut Prepared, mut batch: Batch) {
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
            let id = self.ids.take();
            let origin = &batch.origins[frame.origin as usize];
            let bytes = batch.bytes_of(frame);
            let text = parse::text(bytes);
            let context = Context { now: frame.received_at, zone: &origin.source.zone, own: &self.options.formats };
            // A parser that fails on a line must not fail on it again and again.
            let parsed = std::panic::catch_unwind(AssertUnwindSafe(|| match origin.source.format {
                Some(format) => parse::parse_as(&text, &context, format),
                None => parse::parse(&text, &context),
            }));
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
            self.count(prepared, &record, &meta);
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

    /// Counts a row for the roll-ups.
    fn count(&mut self, prepared: &mut Prepared, record: &LogRecord<'_>, meta: &RowMeta<'_>) {
        let row = Counted {
            event_time: meta.event_time,
            source: meta.source,
            host: &rollups::host(record.host.as_deref()),
            event_type: record.event_type,
            severity: record.severity,
        };
        prepared.rollups.count(&row, |row| self.hosts.admit(row));
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
pub struct Ids<D> {
    /// Those that are left, ascending.
    left: VecDeque<Range<i64>>,
    store: D,
    waits: Arc<Waits>,
}

impl<D: Database> Ids<D> {
    pub fn new(store: D, waits: Arc<Waits>) -> Ids<D> {
        Ids { left: VecDeque::new(), store, waits }
    }

    /// Sees to it that there are so many; waits for the database where a new block is needed. `None` when told to stop meanwhile.
    async fn reserve(&mut self, wanted: usize, hard_stop: &CancellationToken) -> Option<()> {
        let left = |ids: &VecDeque<Range<i64>>| ids.iter().map(|range| (range.end - range.start) as usize).sum::<usize>();
        while left(&self.left) < wanted {
            tokio::select! {
                biased;
                () = hard_stop.cancelled() => return None,
                first = next_block(&self.store, &self.waits) => self.left.push_back(first..first + ID_BLOCK),
            }
        }
        Some(())
    }

    /// The next one of those that were reserved.
    fn take(&mut self) -> i64 {
        let range = self.left.front_mut().expect("as many are reserved as are taken");
        let id = range.start;
        range.start += 1;
        if range.is_empty() {
            self.left.pop_front();
        }
        id
    }
}

/// The first id of a new block, however long that takes.
async fn next_block(store: &impl Database, waits: &Arc<Waits>) -> i64 {
    let mut pauses = Pauses::new(waits);
    loop {
        match tokio::time::timeout(ID_PATIENCE, store.next_id_block()).await.unwrap_or(Err(StoreError::Late)) {
            Ok(first) => return first,
            Err(error) => {
                pauses.report(&error, "waiting for the database to hand out ids");
                tokio::time::sleep(pauses.next_pause()).await;
            }
        }
    }
}
