//! A connection to PostgreSQL for ingestion: the statements that [`Statements`] names.

use std::ops::Range;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor, Row};

use super::copy::{COPY_LOGS, HEADER, Rows, TRAILER};
use super::database::{Session, Statements};
use super::ledger::{self, Entry};
use super::rollups::{self, Kind};
use super::{Refused, Servers, StoreError, incidents, positions};
use crate::frame::{Loss, PositionChange};
use crate::record::Timestamp;
use crate::record::incident::IncidentChange;

/// See the module.
#[derive(Debug)]
pub struct Connection {
    inner: PgConnection,
    session: Session,
}

impl Connection {
    pub(super) async fn open(servers: &Servers) -> Result<Connection, StoreError> {
        let mut inner = servers.connect().await?;
        let failed = StoreError::at("set up a connection");
        let set_up = async {
            // Its few queries look up rows by key; without statistics of a fresh partition the planner might not see that.
            inner
                .execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off; SET timezone = 'UTC'; \
                     SET plan_cache_mode = force_custom_plan")
                .await?;
            let own = "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()";
            let row = sqlx::query(own).fetch_one(&mut inner).await?;
            Ok(Session { pid: row.try_get(0)?, began: row.try_get(1)? })
        };
        let session = set_up.await.map_err(failed)?;
        Ok(Connection { inner, session })
    }

    async fn run(&mut self, sql: &'static str, what: &'static str) -> Result<(), StoreError> {
        self.inner.execute(sql).await.map(|_| ()).map_err(StoreError::at(what))
    }
}

impl Statements for Connection {
    fn session(&self) -> &Session {
        &self.session
    }

    async fn end(&mut self, lost: &Session) -> Result<(), StoreError> {
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid = $1 AND backend_start::text = $2 AND application_name = 'tocsin' AND usename = current_user",
        )
        .bind(lost.pid)
        .bind(&lost.began)
        .execute(&mut self.inner)
        .await
        .map(|_| ())
        .map_err(StoreError::at("end a session that was lost"))
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        self.run("BEGIN", "begin").await
    }

    async fn copy(&mut self, rows: &Rows, range: Range<usize>) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let failed = StoreError::at("copy rows into logs");
        let done = async {
            let mut copy = self.inner.copy_in_raw(COPY_LOGS).await?;
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

    async fn savepoint(&mut self) -> Result<(), StoreError> {
        self.run("SAVEPOINT part", "set a savepoint").await
    }

    async fn release(&mut self) -> Result<(), StoreError> {
        self.run("RELEASE SAVEPOINT part", "release a savepoint").await
    }

    async fn roll_back_to_savepoint(&mut self) -> Result<(), StoreError> {
        self.run("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part", "roll back to a savepoint").await
    }

    async fn quarantine(&mut self, row: &Refused, why: &StoreError) -> Result<(), StoreError> {
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
        .execute(&mut self.inner)
        .await
        .map(|_| ())
        .map_err(StoreError::at("put a row in quarantine"))
    }

    async fn follow_on(&mut self, number: i64, epoch: i64, floor: Option<Timestamp>) -> Result<bool, StoreError> {
        positions::follow_on(&mut self.inner, number, epoch, floor.map(Timestamp::as_micros)).await
    }

    async fn last(&mut self) -> Result<(i64, i64), StoreError> {
        positions::current(&mut self.inner).await
    }

    async fn write_positions(&mut self, changes: &[PositionChange]) -> Result<(), StoreError> {
        positions::write(&mut self.inner, changes).await
    }

    async fn write_ledger(&mut self, epoch: i64, entries: &[Entry]) -> Result<(), StoreError> {
        ledger::write(&mut self.inner, epoch, entries).await
    }

    async fn write_losses(&mut self, number: i64, losses: &[Loss]) -> Result<(), StoreError> {
        ledger::losses(&mut self.inner, number, losses).await
    }

    async fn write_deliveries(&mut self, deliveries: &[(String, String)]) -> Result<(), StoreError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let (sources, ids): (Vec<&str>, Vec<&str>) = deliveries.iter().map(|(s, d)| (s.as_str(), d.as_str())).unzip();
        sqlx::query(
            "INSERT INTO deliveries (source, delivery_id) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
        )
        .bind(sources)
        .bind(ids)
        .execute(&mut self.inner)
        .await
        .map(|_| ())
        .map_err(StoreError::at("write the deliveries"))
    }

    async fn write_rollups(&mut self, counts: &[(Kind, i64)]) -> Result<(), StoreError> {
        rollups::write(&mut self.inner, counts).await
    }

    async fn change_incidents(&mut self, changes: &[IncidentChange], max_evidence: usize) -> Result<(), StoreError> {
        incidents::apply(&mut self.inner, changes, max_evidence).await
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.run("COMMIT", "commit").await
    }

    async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.run("ROLLBACK", "roll back").await
    }

    async fn close(self) {
        let _ = self.inner.close().await;
    }
}
