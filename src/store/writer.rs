//! One transaction of ingestion: rows, positions, deliveries and incidents together, or nothing.

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};

use super::copy::{COPY_LOGS, HEADER, Rows, TRAILER};
use super::ledger::{self, Entry};
use super::{Servers, StoreError, incidents, positions};
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

/// A connection that stores transactions.
#[derive(Debug)]
pub struct Writer {
    connection: PgConnection,
    session: Session,
}

/// The server's end of a connection.
#[derive(Debug, Clone)]
pub struct Session {
    pid: i32,
    /// When it began, since process numbers come again.
    began: String,
}

impl Writer {
    pub(super) async fn connect(servers: &Servers) -> Result<Writer, StoreError> {
        let mut connection = servers.connect().await?;
        let failed = StoreError::at("set up a connection");
        let set_up = async {
            // Its few queries look up rows by key; without statistics of a fresh partition the planner might not see that.
            connection
                .execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; SET timezone = 'UTC'; \
                     SET plan_cache_mode = force_custom_plan")
                .await?;
            let own = "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
            let row = sqlx::query(own).fetch_one(&mut connection).await?;
            Ok(Session { pid: row.try_get(0)?, began: row.try_get(1)? })
        };
        let session = set_up.await.map_err(failed)?;
        Ok(Writer { connection, session })
    }

    /// The server's end of this connection.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Ends the server's end of a connection that is lost for us. Where the network swallowed our going away, it would hold its
    /// locks until somebody notices. Behind a pooler the session may serve another client by now, so only one of ours is ended.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn end(&mut self, lost: &Session) -> Result<(), StoreError> {
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid = $1 AND backend_start::text = $2 AND application_name = 'tocsin' AND usename = current_user",
        )
        .bind(lost.pid)
        .bind(&lost.began)
        .execute(&mut self.connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("end a session that was lost"))
    }

    /// Number of the last transaction in the database. To be asked after an error: if the error came with the COMMIT, this alone
    /// tells whether it went through.
    ///
    /// # Errors
    /// The statement failed, or another daemon has taken over.
    pub async fn last_transaction(&mut self, epoch: i64) -> Result<i64, StoreError> {
        let (last, theirs) = positions::current(&mut self.connection).await?;
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
        let stored = tokio::time::timeout(work.patience, self.finish(work));
        // Of what had been stored before, nothing was refused now.
        Ok(if stored.await.unwrap_or(Err(StoreError::Late))? { quarantined } else { 0 })
    }

    /// Begins and copies the rows. Returns the number of those that were refused.
    async fn copy(&mut self, work: &Transaction<'_>, refused: &(dyn Fn(usize) -> Refused + Sync)) -> Result<usize, StoreError> {
        let connection = &mut self.connection;
        begin(connection).await?;
        match copy(connection, work.rows, 0..work.rows.len()).await {
            Ok(()) => Ok(0),
            Err(error) if error.refuses_row() => {
                rollback(connection).await?;
                begin(connection).await?;
                isolate(connection, work.rows, refused).await
            }
            Err(error) => Err(error),
        }
    }

    /// Everything after the rows, and the commit. False if this transaction had been committed before.
    async fn finish(&mut self, work: &Transaction<'_>) -> Result<bool, StoreError> {
        let connection = &mut self.connection;
        if !positions::follow_on(connection, work.number, work.epoch, work.floor.map(Timestamp::as_micros)).await? {
            rollback(connection).await?;
            let last = self.last_transaction(work.epoch).await?;
            // A transaction of ours that seemed to have failed went through after all, and what was refused now was stored then.
            return if last >= work.number { Ok(false) } else { Err(StoreError::Behind { ours: work.number - 1, theirs: last }) };
        }
        positions::write(connection, work.positions).await?;
        ledger::write(connection, work.epoch, work.ledger).await?;
        ledger::losses(connection, work.number, work.losses).await?;
        deliveries(connection, work.deliveries).await?;
        incidents::apply(connection, work.changes, work.max_evidence).await?;
        connection.execute("COMMIT").await.map_err(StoreError::at("commit"))?;
        Ok(true)
    }

    /// Closes the connection.
    pub async fn close(self) {
        let _ = self.connection.close().await;
    }
}

async fn begin(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.execute("BEGIN").await.map(|_| ()).map_err(StoreError::at("begin"))
}

async fn rollback(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.execute("ROLLBACK").await.map(|_| ()).map_err(StoreError::at("roll back"))
}

async fn copy(connection: &mut PgConnection, rows: &Rows, range: std::ops::Range<usize>) -> Result<(), StoreError> {
    if range.is_empty() {
        return Ok(());
    }
    let failed = StoreError::at("copy rows into logs");
    let done = async {
        let mut copy = connection.copy_in_raw(COPY_LOGS).await?;
        copy.send(HEADER).await?;
        // Large messages save calls; the server holds a whole one in memory.
        for chunk in rows.slice(range).chunks(256 * 1024) {
            copy.send(chunk).await?;
        }
        copy.send(TRAILER).await?;
        copy.finish().await
    };
    done.await.map(|_| ()).map_err(failed)
}

/// Copies in halves until the rows that are refused stand alone; those go to `quarantine`. Returns their number.
async fn isolate(
    connection: &mut PgConnection,
    rows: &Rows,
    refused: &(dyn Fn(usize) -> Refused + Sync),
) -> Result<usize, StoreError> {
    let mut quarantined = 0;
    let mut todo: Vec<std::ops::Range<usize>> = std::iter::once(0..rows.len()).collect();
    while let Some(range) = todo.pop() {
        connection.execute("SAVEPOINT part").await.map_err(StoreError::at("set a savepoint"))?;
        match copy(connection, rows, range.clone()).await {
            Ok(()) => {
                connection.execute("RELEASE SAVEPOINT part").await.map_err(StoreError::at("release a savepoint"))?;
            }
            Err(error) if error.refuses_row() => {
                connection
                    .execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part")
                    .await
                    .map_err(StoreError::at("roll back to a savepoint"))?;
                if range.len() == 1 {
                    quarantine(connection, &refused(range.start), &error).await?;
                    quarantined += 1;
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

async fn quarantine(connection: &mut PgConnection, row: &Refused, why: &StoreError) -> Result<(), StoreError> {
    let reason = match why {
        StoreError::Statement { source: sqlx::Error::Database(e), .. } => e.message().to_owned(),
        other => other.to_string(),
    };
    sqlx::query(
        "INSERT INTO quarantine (log_id, received_at, source, raw, sqlstate, reason) \
         VALUES ($1, timestamptz 'epoch' + $2 * interval '1 microsecond', $3, $4, $5, $6)",
    )
    .bind(row.id)
    .bind(row.received_at.as_micros())
    .bind(&row.source)
    .bind(&row.raw)
    .bind(why.sqlstate().unwrap_or_default())
    .bind(reason)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("put a row in quarantine"))
}

async fn deliveries(connection: &mut PgConnection, deliveries: &[(String, String)]) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let (sources, ids): (Vec<&str>, Vec<&str>) = deliveries.iter().map(|(s, d)| (s.as_str(), d.as_str())).unzip();
    sqlx::query(
        "INSERT INTO deliveries (source, delivery_id) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
    )
    .bind(sources)
    .bind(ids)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("write the deliveries"))
}
