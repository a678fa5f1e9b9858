//! One transaction of ingestion: rows, positions, deliveries and incidents together, or nothing.

use std::ops::Range;
use std::time::Duration;

use super::StoreError;
use super::copy::Rows;
use super::database::Statements;
use super::ledger::Entry;
use super::rollups::Rollups;
use crate::frame::{Loss, PositionChange};
use crate::record::Timestamp;
use crate::record::incident::IncidentChange;

/// What a transaction stores.
#[derive(Debug)]
pub struct Transaction<'t> {
    /// Its number: one more than that of the transaction it follows.
    pub number: i64,
    /// The epoch of the daemon.
    pub epoch: i64,
    /// Event time from which the detectors need records, after this.
    pub floor: Option<Timestamp>,
    /// The rows of `logs`.
    pub rows: &'t Rows,
    /// How many rows there are of which kind.
    pub rollups: &'t Rollups,
    /// Where the inputs got to.
    pub positions: &'t [PositionChange],
    /// The entries of the ledger that it changes.
    pub ledger: &'t [Entry],
    /// What it tells to be lost.
    pub losses: &'t [Loss],
    /// Source and id of the deliveries in it.
    pub deliveries: &'t [(String, String)],
    /// What it does to incidents.
    pub changes: &'t [IncidentChange],
    /// Log records that are copied to one incident at most.
    pub max_evidence: usize,
    /// How long copying the rows may take, and again everything after it.
    pub patience: Duration,
}

/// A row that PostgreSQL refused, for `quarantine`.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The id it would have had.
    pub id: i64,
    /// When its frame was received.
    pub received_at: Timestamp,
    /// The source of its frame.
    pub source: String,
    /// Its frame.
    pub raw: Vec<u8>,
}

/// Stores transactions, one after the other, over a connection.
#[derive(Debug)]
pub struct Writer<C> {
    connection: C,
}

impl<C: Statements> Writer<C> {
    /// A writer over that connection.
    pub fn new(connection: C) -> Writer<C> {
        Writer { connection }
    }

    /// The connection.
    pub fn connection(&mut self) -> &mut C {
        &mut self.connection
    }

    /// Number of the last transaction in the database. To be asked after an error: if the error came with the COMMIT, this alone
    /// tells whether it went through.
    ///
    /// # Errors
    /// The statement failed, or another daemon has taken over.
    pub async fn last_transaction(&mut self, epoch: i64) -> Result<i64, StoreError> {
        let (last, theirs) = self.connection.last().await?;
        if theirs == epoch { Ok(last) } else { Err(StoreError::Fenced { ours: epoch, theirs }) }
    }

    /// Stores a transaction. The rows are copied at once; what comes after waits until `before`, the transaction that this one
    /// follows, has been committed. Returns the number of rows that were refused and put in quarantine.
    ///
    /// # Errors
    /// A statement failed and nothing was stored, except when the error came with the COMMIT: then nobody can tell but
    /// [`Writer::last_transaction`]. The connection may be unusable after an error.
    pub async fn store(
        &mut self,
        work: &Transaction<'_>,
        refused: &(dyn Fn(usize) -> Refused + Sync),
        before: impl Future<Output = ()>,
    ) -> Result<usize, StoreError> {
        let copied = tokio::time::timeout(work.patience, self.copy(work, refused));
        let quarantined = copied.await.unwrap_or(Err(StoreError::Late))?;
        before.await;
        let stored = tokio::time::timeout(work.patience, self.finish(work, &quarantined));
        // Of what had been stored before, nothing was refused now.
        Ok(if stored.await.unwrap_or(Err(StoreError::Late))? { quarantined.len() } else { 0 })
    }

    /// Begins and copies the rows. Returns those that were refused.
    async fn copy(
        &mut self,
        work: &Transaction<'_>,
        refused: &(dyn Fn(usize) -> Refused + Sync),
    ) -> Result<Vec<usize>, StoreError> {
        self.connection.begin().await?;
        match self.connection.copy(work.rows, 0..work.rows.len()).await {
            Ok(()) => Ok(Vec::new()),
            Err(error) if error.refuses_row() => {
                self.connection.roll_back().await?;
                self.connection.begin().await?;
                self.isolate(work.rows, refused).await
            }
            Err(error) => Err(error),
        }
    }

    /// Copies in halves until the rows that are refused stand alone; those go to `quarantine`, and are returned.
    async fn isolate(&mut self, rows: &Rows, refused: &(dyn Fn(usize) -> Refused + Sync)) -> Result<Vec<usize>, StoreError> {
        let connection = &mut self.connection;
        let mut quarantined = Vec::new();
        let mut todo: Vec<Range<usize>> = std::iter::once(0..rows.len()).collect();
        while let Some(range) = todo.pop() {
            connection.savepoint().await?;
            match connection.copy(rows, range.clone()).await {
                Ok(()) => connection.release().await?,
                Err(error) if error.refuses_row() => {
                    connection.roll_back_to_savepoint().await?;
                    if range.len() == 1 {
                        connection.quarantine(&refused(range.start), &error).await?;
                        quarantined.push(range.start);
                    } else {
                        let middle = range.start + range.len() / 2;
                        todo.push(middle..range.end);
                        todo.push(range.start..middle);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(quarantined)
    }

    /// Everything after the rows, and the commit. False if this transaction had been committed before.
    async fn finish(&mut self, work: &Transaction<'_>, quarantined: &[usize]) -> Result<bool, StoreError> {
        let connection = &mut self.connection;
        if !connection.follow_on(work.number, work.epoch, work.floor).await? {
            connection.roll_back().await?;
            let last = self.last_transaction(work.epoch).await?;
            // A transaction of ours that seemed to have failed went through after all, and what was refused now was stored then.
            return if last >= work.number { Ok(false) } else { Err(StoreError::Behind { ours: work.number - 1, theirs: last }) };
        }
        connection.write_positions(work.positions).await?;
        connection.write_ledger(work.epoch, work.ledger).await?;
        connection.write_losses(work.number, work.losses).await?;
        connection.write_deliveries(work.deliveries).await?;
        connection.write_rollups(&work.rollups.without(quarantined)).await?;
        connection.change_incidents(work.changes, work.max_evidence).await?;
        connection.commit().await?;
        Ok(true)
    }

    /// Closes the connection.
    pub async fn close(self) {
        self.connection.close().await;
    }
}
