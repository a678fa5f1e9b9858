//! Prepared transactions → PostgreSQL, over two connections in turns: one is copied while the one before it commits. Order is kept
//! by waiting for the one before between copy and commit, and proved by the position row.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::pauses::{Pauses, Waits};
use super::work::Prepared;
use super::{Committed, PipelineError};
use crate::stats::{Counter, Stats};
use crate::store::ledger::day_name;
use crate::store::{Database, Saved, Session, Statements, StoreError, Transaction, Writer};

/// A transaction that takes longer is taken to be lost with its connection. Five thousand rows take a tenth of a second.
const FIRST_PATIENCE: Duration = Duration::from_secs(15);
/// Each time that was not enough it is doubled, since a database that is only slow must get done at last; up to this.
const LONGEST_PATIENCE: Duration = Duration::from_secs(600);

/// What both connections need.
pub struct Shared<D> {
    store: D,
    epoch: i64,
    max_evidence: usize,
    /// Number of the last transaction that is committed.
    last: watch::Sender<i64>,
    /// Days whose partition is there.
    days: Mutex<HashSet<i64>>,
    committed: Committed,
    hard_stop: CancellationToken,
    rows_total: Arc<Counter>,
    commits_total: Arc<Counter>,
    retries_total: Arc<Counter>,
    quarantined_total: Arc<Counter>,
    findings_total: Arc<Counter>,
    database_up: Arc<Counter>,
    lag_seconds: Arc<Counter>,
    waits: Arc<Waits>,
}

/// One of the two connections: open, or not.
struct Line<C> {
    writer: Option<Writer<C>>,
    /// The server's end of one that was lost.
    lost: Option<Session>,
}

impl<D: Database> Shared<D> {
    /// What both connections need.
    pub fn new(
        store: D,
        saved: &Saved,
        max_evidence: usize,
        committed: Committed,
        stats: &Stats,
        waits: Arc<Waits>,
        hard_stop: CancellationToken,
    ) -> Shared<D> {
        Shared {
            store,
            epoch: saved.epoch,
            max_evidence,
            last: watch::Sender::new(saved.transaction),
            days: Mutex::default(),
            committed,
            hard_stop,
            rows_total: stats.counter("rows_committed_total", "Log records stored.", &[]),
            commits_total: stats.counter("commits_total", "Transactions committed.", &[]),
            retries_total: stats.counter("commit_retries_total", "Transactions that had to be tried again.", &[]),
            quarantined_total: stats.counter("quarantined_total", "Rows that PostgreSQL refused.", &[]),
            findings_total: stats.counter("incident_changes_total", "Times that detectors opened or fed an incident.", &[]),
            database_up: stats.gauge("database_up", "1 while the last attempt to reach the database succeeded.", &[]),
            lag_seconds: stats.gauge(
                "commit_lag_seconds",
                "Time from its first frame to the commit of the last transaction, seconds.",
                &[],
            ),
            waits,
        }
    }
}

/// Commits in order until `prepared` is closed and empty.
pub async fn run<D: Database>(shared: Shared<D>, mut prepared: mpsc::Receiver<Prepared>) -> Result<(), PipelineError> {
    let shared = Arc::new(shared);
    shared.database_up.set(1);
    let mut tasks = JoinSet::new();
    let mut turns = Vec::new();
    for _ in 0..2 {
        let (out, work) = mpsc::channel(1);
        turns.push(out);
        tasks.spawn(connection(Arc::clone(&shared), work));
    }
    let mut turn = 0;
    loop {
        // In this order, since what is left to chance could not be played again by a simulation.
        let next = tokio::select! {
            biased;
            () = shared.hard_stop.cancelled() => return Ok(()),
            // A connection ends early only when it cannot go on.
            ended = tasks.join_next() => {
                return match ended { Some(Ok(Err(error))) => Err(error), Some(Ok(Ok(()))) if shared.hard_stop.is_cancelled() => Ok(()), _ => Err(PipelineError::Died) };
            }
            next = prepared.recv() => next,
        };
        let Some(next) = next else { break };
        if turns[turn].send(next).await.is_err() {
            break;
        }
        turn = 1 - turn;
    }
    drop(turns);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap_or(Err(PipelineError::Died))?;
    }
    Ok(())
}

/// Stores what comes over one of the two connections.
async fn connection<D: Database>(shared: Arc<Shared<D>>, mut work: mpsc::Receiver<Prepared>) -> Result<(), PipelineError> {
    let mut line = Line { writer: None, lost: None };
    loop {
        let next = tokio::select! { biased; () = shared.hard_stop.cancelled() => return Ok(()), next = work.recv() => next };
        let Some(prepared) = next else { break };
        tokio::select! {
            biased;
            () = shared.hard_stop.cancelled() => return Ok(()),
            done = shared.store_until_done(&mut line, &prepared) => done?,
        }
    }
    if let Some(writer) = line.writer {
        writer.close().await;
    }
    Ok(())
}

impl<D: Database> Shared<D> {
    /// Tries until it is stored, however long the database is away.
    async fn store_until_done(&self, line: &mut Line<D::Connection>, prepared: &Prepared) -> Result<(), PipelineError> {
        let mut pauses = Pauses::new(&self.waits);
        let mut patience = FIRST_PATIENCE;
        let mut quarantined = 0;
        let mut first_try = true;
        loop {
            match self.attempt(line, prepared, patience, first_try).await {
                Ok(refused) => {
                    quarantined = quarantined.max(refused);
                    break;
                }
                Err(fatal @ (StoreError::Fenced { .. } | StoreError::Behind { .. })) => return Err(PipelineError::Store(fatal)),
                Err(error) => {
                    if let Some(mut writer) = line.writer.take() {
                        line.lost = Some(writer.connection().session().clone());
                    }
                    // The server may be another by now, or somebody may have dropped a partition.
                    self.days.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    first_try = false;
                    if matches!(error, StoreError::Late) {
                        patience = (2 * patience).min(LONGEST_PATIENCE);
                    }
                    self.retries_total.add(1);
                    self.database_up.set(0);
                    pauses.report(&error, "waiting for the database");
                    tokio::time::sleep(pauses.next_pause()).await;
                }
            }
        }
        pauses.over();
        self.database_up.set(1);
        self.commits_total.add(1);
        self.rows_total.add((prepared.rows.len() - quarantined) as u64);
        self.quarantined_total.add(quarantined as u64);
        self.findings_total.add(prepared.changes.len() as u64);
        if quarantined > 0 {
            tracing::warn!(rows = quarantined, "rows were refused by the database and put in quarantine");
        }
        self.lag_seconds.set(prepared.began.elapsed().as_secs());
        (self.committed)(&prepared.positions);
        self.last.send_replace(prepared.number);
        Ok(())
    }

    async fn attempt(
        &self,
        line: &mut Line<D::Connection>,
        prepared: &Prepared,
        patience: Duration,
        first_try: bool,
    ) -> Result<usize, StoreError> {
        let number = prepared.number;
        let opened = tokio::time::timeout(patience, self.open(line, prepared, first_try));
        let Some(writer) = opened.await.unwrap_or(Err(StoreError::Late))? else { return Ok(0) };
        let transaction = Transaction {
            number,
            epoch: self.epoch,
            floor: prepared.floor,
            rows: &prepared.rows,
            rollups: &prepared.rollups,
            positions: &prepared.positions,
            ledger: &prepared.ledger,
            losses: &prepared.losses,
            deliveries: &prepared.deliveries,
            changes: &prepared.changes,
            max_evidence: self.max_evidence,
            patience,
        };
        let mut last = self.last.subscribe();
        let before = async move {
            // The sender lives in `self`, so waiting cannot fail.
            let _ = last.wait_for(|last| *last >= number - 1).await;
        };
        writer.store(&transaction, &|row| prepared.refused(row), before).await
    }

    /// The connection, with partitions for all that is to be stored; `None` if it was stored by an attempt that seemed to fail.
    async fn open<'l>(
        &self,
        line: &'l mut Line<D::Connection>,
        prepared: &Prepared,
        first_try: bool,
    ) -> Result<Option<&'l mut Writer<D::Connection>>, StoreError> {
        let fresh = line.writer.is_none();
        let writer = match &mut line.writer {
            Some(writer) => writer,
            none => none.insert(Writer::new(self.store.connect().await?)),
        };
        if let Some(lost) = &line.lost {
            writer.connection().end(lost).await?;
            line.lost = None;
        }
        // After an error nobody knows whether the COMMIT went through; the position row does.
        if fresh && !first_try && writer.last_transaction(self.epoch).await? >= prepared.number {
            return Ok(None);
        }
        for day in &prepared.days {
            let known = self.days.lock().unwrap_or_else(PoisonError::into_inner).contains(day);
            if !known {
                self.store.ensure_partition(*day).await?;
                tracing::debug!(day = day_name(*day), "partition of logs is there");
                self.days.lock().unwrap_or_else(PoisonError::into_inner).insert(*day);
            }
        }
        Ok(Some(writer))
    }
}
