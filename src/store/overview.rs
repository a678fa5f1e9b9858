//! How large the database is, and what is in it: for whoever looks after it.

use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query_as, query_scalar};

use super::StoreError;
use crate::record::Timestamp;

/// The database as a whole. Sizes are bytes on disk, with indexes.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize)]
#[allow(missing_docs)]
pub struct Totals {
    pub database_bytes: i64,
    pub log_bytes: i64,
    /// Log records, as the roll-ups count them.
    pub log_records: i64,
    pub oldest: Option<Timestamp>,
    pub newest: Option<Timestamp>,
    pub rollup_rows: i64,
    pub incidents: i64,
    pub incidents_unresolved: i64,
    /// Records that were added by hand and that no daemon has taken yet.
    pub added_waiting: i64,
    /// Rows that PostgreSQL refused.
    pub in_quarantine: i64,
}

/// Everything in one.
///
/// # Errors
/// The statement failed.
pub async fn totals(connection: &mut PgConnection) -> Result<Totals, StoreError> {
    let row = query_as(
        "SELECT pg_database_size(current_database()) AS database_bytes, \
             (SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits WHERE inhparent = 'logs'::regclass) AS log_bytes, \
             (SELECT coalesce(sum(count), 0)::bigint FROM log_rollups) AS log_records, \
             (SELECT min(event_time) FROM logs) AS oldest, (SELECT max(event_time) FROM logs) AS newest, \
             (SELECT count(*) FROM log_rollups) AS rollup_rows, (SELECT count(*) FROM incidents) AS incidents, \
             (SELECT count(*) FROM incidents WHERE status IN ('open', 'investigating', 'contained')) AS incidents_unresolved, \
             (SELECT count(*) FROM added_logs WHERE taken_at IS NULL) AS added_waiting, (SELECT count(*) FROM quarantine) AS in_quarantine",
    );
    row.fetch_one(connection).await.map_err(StoreError::at("measure the database"))
}

/// A partition of `logs`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize)]
#[allow(missing_docs)]
pub struct Partition {
    pub name: String,
    pub bytes: i64,
}

/// The partitions of `logs`, the newest first, at most `limit`; and how many there are.
///
/// # Errors
/// The statement failed.
pub async fn partitions(connection: &mut PgConnection, limit: i64) -> Result<(Vec<Partition>, i64), StoreError> {
    let failed = || StoreError::at("measure the partitions");
    let rows = query_as(
        "SELECT inhrelid::regclass::text AS name, pg_total_relation_size(inhrelid) AS bytes \
         FROM pg_inherits WHERE inhparent = 'logs'::regclass ORDER BY 1 DESC LIMIT $1",
    );
    let rows = rows.bind(limit).fetch_all(&mut *connection).await.map_err(failed())?;
    let count = query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'logs'::regclass").fetch_one(connection).await;
    Ok((rows, count.map_err(failed())?))
}
