//! What the pipeline asks of a database. PostgreSQL answers it with [`Store`](super::Store) and [`Connection`](super::Connection); the other
//! answer is a model that fails from a seed, crashes and leaves commits in doubt. It lives with the pipeline's tests.

use std::fmt::Debug;
use std::ops::Range;

use super::copy::Rows;
use super::ledger::Entry;
use super::rollups::Kind;
use super::{Observed, Refused, Saved, StoreError};
use crate::frame::{Loss, PositionChange};
use crate::record::Timestamp;
use crate::record::incident::IncidentChange;

/// What is asked once, or from time to time, over whichever connection is free. Each method fails with what the database said.
pub trait Database: Debug + Clone + Send + Sync + 'static {
    /// A connection for ingestion.
    type Connection: Statements;

    /// Raises the epoch, which ends the write access of any daemon before, and reads where it got to.
    fn take_over(&self) -> impl Future<Output = Result<Saved, StoreError>> + Send;

    /// Streams, in the order of processing, what detectors look at from an event time on; returns how many records that were.
    fn each_observed(
        &self,
        from: Timestamp,
        each: &mut (dyn FnMut(Observed) + Send),
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Likewise every record from the event time `all_from` on, and before it, from `from` on, what detectors look at.
    fn each_stored(
        &self,
        from: Timestamp,
        all_from: Timestamp,
        each: &mut (dyn FnMut(Observed) + Send),
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Streams source and id of the deliveries that are not forgotten yet, the newest first, at most `most`.
    fn recent_deliveries(
        &self,
        most: usize,
        each: &mut (dyn FnMut(&str, &str) + Send),
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The first id of the next block of [`ID_BLOCK`] ids, which nobody else gets.
    fn next_id_block(&self) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Makes the partition of a UTC day (days since 1970-01-01), unless it is there.
    fn ensure_partition(&self, day: i64) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// A connection for ingestion.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, StoreError>> + Send;
}

/// Ids in a block; the increment of `logs_id_seq`.
pub const ID_BLOCK: i64 = 65_536;

/// The statements of a transaction of ingestion, on a connection of its own. Each fails with what the database said; after an error the
/// transaction can only be rolled back, and where the connection is lost, nobody knows what became of the statement.
pub trait Statements: Debug + Send + 'static {
    /// The server's end of this connection.
    fn session(&self) -> &Session;

    /// Ends the server's end of a connection that is lost for us. Where the network swallowed our going away, it would hold its
    /// locks until somebody notices. Behind a pooler the session may serve another client by now, so only one of ours is ended.
    fn end(&mut self, lost: &Session) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Begins a transaction.
    fn begin(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Copies some of the rows into `logs`.
    fn copy(&mut self, rows: &Rows, range: Range<usize>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Sets a savepoint, to which an error may be rolled back.
    fn savepoint(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps what was done since the savepoint.
    fn release(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Undoes what was done since the savepoint, which is gone.
    fn roll_back_to_savepoint(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Puts a row in quarantine.
    fn quarantine(&mut self, row: &Refused, why: &StoreError) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes `number` the last transaction if the one before is, and `epoch` is in force; false if not. Waits for whoever is about to
    /// do the same.
    fn follow_on(
        &mut self,
        number: i64,
        epoch: i64,
        floor: Option<Timestamp>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Number of the last transaction and the epoch that is in force.
    fn last(&mut self) -> impl Future<Output = Result<(i64, i64), StoreError>> + Send;

    /// Writes where inputs got to; forgets the parts that are done.
    fn write_positions(&mut self, changes: &[PositionChange]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes the entries of the ledger that a transaction changes.
    fn write_ledger(&mut self, epoch: i64, entries: &[Entry]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes what a transaction tells to be lost.
    fn write_losses(&mut self, number: i64, losses: &[Loss]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes source and id of deliveries.
    fn write_deliveries(&mut self, deliveries: &[(String, String)]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds counts to the roll-ups. Each kind is there once.
    fn write_rollups(&mut self, counts: &[(Kind, i64)]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Feeds incidents or opens them. At most `max_evidence` log records are copied to one.
    fn change_incidents(
        &mut self,
        changes: &[IncidentChange],
        max_evidence: usize,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Commits. After an error nobody knows whether it went through.
    fn commit(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Undoes everything since the transaction began.
    fn roll_back(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Closes the connection.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// The server's end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The process that serves it.
    pub pid: i32,
    /// When it began, as the server writes it: process numbers come again.
    pub began: String,
}
