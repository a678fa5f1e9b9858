//! What is there and for how long it has been, and taking it away: whole partitions of `logs`, rows of everything else in batches.

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, FromRow, Row as _, query, query_as, query_scalar};

use super::StoreError;
use crate::record::{Timestamp, civil_from_days, days_from_civil};

/// The key of the advisory lock of whoever takes something away: "tidy" in ASCII.
const KEY: i64 = 0x7469_6479;

/// For how long a drop waits for those that are storing or reading, and whoever comes behind it waits for it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '200ms'";

/// Makes this session the only one that takes something away; false if there is another.
///
/// # Errors
/// The statement failed.
pub async fn lock(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let taken = query_scalar("SELECT pg_try_advisory_lock($1)").bind(KEY).fetch_one(connection).await;
    taken.map_err(StoreError::at("take the lock of maintenance"))
}

/// Lets others.
///
/// # Errors
/// The statement failed.
pub async fn unlock(connection: &mut PgConnection) -> Result<(), StoreError> {
    let left = query("SELECT pg_advisory_unlock($1)").bind(KEY).execute(connection).await;
    left.map(|_| ()).map_err(StoreError::at("leave the lock of maintenance"))
}

/// What the server's clock says.
///
/// # Errors
/// The statement failed.
pub async fn now(connection: &mut PgConnection) -> Result<Timestamp, StoreError> {
    query_scalar("SELECT clock_timestamp()").fetch_one(connection).await.map_err(StoreError::at("ask the server for the time"))
}

/// A partition of `logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its UTC day, in days since 1970; `None` for `logs_archive`.
    pub day: Option<i64>,
    /// Records, as the server's statistics have it.
    pub rows: i64,
    /// With its indexes.
    pub bytes: i64,
}

/// The partitions of `logs`, in the order of time.
///
/// # Errors
/// The statement failed.
pub async fn partitions(connection: &mut PgConnection) -> Result<Vec<Partition>, StoreError> {
    let rows = query(
        "SELECT c.relname::text, greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0), pg_total_relation_size(c.oid) \
         FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'logs'::regclass",
    )
    .fetch_all(connection)
    .await;
    let read = |row: &sqlx::postgres::PgRow| {
        let name: String = row.try_get(0)?;
        let part = Partition { day: day_of(&name), rows: row.try_get(1)?, bytes: row.try_get(2)? };
        // What somebody else attached is theirs.
        Ok((part.day.is_some() || name == "logs_archive").then_some(part))
    };
    let found: Result<Vec<Option<Partition>>, sqlx::Error> = rows.and_then(|rows| rows.iter().map(read).collect());
    let mut found: Vec<Partition> = found.map_err(StoreError::at("list the partitions of logs"))?.into_iter().flatten().collect();
    found.sort_by_key(|partition| partition.day);
    Ok(found)
}

/// `logs_2026_11_20` → days since 1970.
fn day_of(name: &str) -> Option<i64> {
    let mut numbers = name.strip_prefix("logs_")?.split('_').map(|part| part.parse::<u16>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(days_from_civil(i32::from(year), u8::try_from(month).ok()?, u8::try_from(day).ok()?))
}

/// Drops the partition of a day, with what was noted about its records; its records and bytes, or `None` if there is none. In a
/// transaction.
///
/// # Errors
/// The statement failed; [`is_busy`] where somebody stores or reads for longer than this may wait.
pub async fn drop_partition(connection: &mut PgConnection, day: i64) -> Result<Option<(i64, i64)>, StoreError> {
    let failed = || StoreError::at("drop a partition of logs");
    connection.execute(LOCK_TIMEOUT).await.map_err(failed())?;
    let (year, month, day) = civil_from_days(day);
    let dropped = query_as("SELECT records, size FROM drop_log_partition(make_date($1, $2, $3))")
        .bind(year)
        .bind(i32::from(month))
        .bind(i32::from(day))
        .fetch_optional(connection)
        .await;
    dropped.map_err(failed())
}

/// Whether something failed because others were at it for too long (55P03, lock_not_available).
pub fn is_busy(error: &StoreError) -> bool {
    error.sqlstate().as_deref() == Some("55P03")
}

/// What is kept in rows, and taken away in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Records of long ago, which share a partition.
    OldLogs,
    /// Lines that were added by hand, once they are in the journal.
    AddedLines,
    /// Counts by hour.
    Rollups,
    /// Frames that were refused.
    Quarantine,
    /// Tokens of programs that have ended.
    Tokens,
    /// Sessions that have ended.
    Sessions,
}

impl Kept {
    /// All, in the order in which they are taken away.
    pub const ALL: [Kept; 6] = [Kept::OldLogs, Kept::AddedLines, Kept::Rollups, Kept::Quarantine, Kept::Tokens, Kept::Sessions];

    /// The table.
    pub fn table(self) -> &'static str {
        match self {
            Kept::OldLogs => "logs_archive",
            Kept::AddedLines => "added_logs",
            Kept::Rollups => "log_rollups",
            Kept::Quarantine => "quarantine",
            Kept::Tokens => "api_tokens",
            Kept::Sessions => "sessions",
        }
    }

    /// The condition under which a row is due at `$1`, and the time that decides it.
    fn due(self) -> (&'static str, &'static str) {
        match self {
            Kept::OldLogs => ("event_time < $1", "event_time"),
            Kept::AddedLines => ("taken_at < $1", "taken_at"),
            Kept::Rollups => ("hour < $1", "hour"),
            Kept::Quarantine => ("quarantined_at < $1", "quarantined_at"),
            Kept::Tokens => ("least(expires_at, revoked_at) < $1", "least(expires_at, revoked_at)"),
            Kept::Sessions => ("last_used_at < $1", "last_used_at"),
        }
    }
}

/// What there is of something: rows (as the statistics have them), bytes, the earliest time, and how many rows are due at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
#[allow(missing_docs)]
pub struct Holding {
    pub rows: i64,
    pub bytes: i64,
    pub oldest: Option<Timestamp>,
    pub due: i64,
}

/// What there is of something. Without a time nothing is due.
///
/// # Errors
/// The statement failed.
pub async fn holding(connection: &mut PgConnection, what: Kept, before: Option<Timestamp>) -> Result<Holding, StoreError> {
    let (table, (due, time)) = (what.table(), what.due());
    // From words of ours alone.
    let sql = format!(
        "SELECT greatest(c.reltuples::bigint, pg_stat_get_live_tuples(c.oid), 0) AS rows, pg_total_relation_size(c.oid) AS bytes, \
                (SELECT min({time}) FROM {table}) AS oldest, (SELECT count(*) FROM {table} WHERE {due}) AS due \
         FROM pg_class c WHERE c.oid = '{table}'::regclass"
    );
    let found = query_as(AssertSqlSafe(sql)).bind(before).fetch_one(connection).await;
    found.map_err(StoreError::at("look what there is"))
}

/// Takes away at most `limit` rows that are due; how many that were. What is deleted of logs and quarantine is written down.
///
/// # Errors
/// The statement failed.
pub async fn take_away(connection: &mut PgConnection, what: Kept, before: Timestamp, limit: i64) -> Result<i64, StoreError> {
    let (table, (due, time)) = (what.table(), what.due());
    let gone = |returning: &str| {
        format!(
            "WITH gone AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {due} ORDER BY {time} LIMIT $2)) \
             RETURNING {returning})"
        )
    };
    let told = ", told AS (INSERT INTO dropped_logs (dropped_at, rows, ids) \
                SELECT now(), count(*), range_agg(int8range(id, id, '[]')) FROM gone HAVING count(*) > 0)";
    let sql = match what {
        Kept::OldLogs => format!(
            "{}{told}, notes AS (DELETE FROM log_notes WHERE log_id IN (SELECT id FROM gone)), \
             archived AS (DELETE FROM archived_logs WHERE log_id IN (SELECT id FROM gone)) SELECT count(*) FROM gone",
            gone("id")
        ),
        Kept::Quarantine => format!("{}{told} SELECT count(*) FROM gone", gone("log_id AS id")),
        Kept::AddedLines | Kept::Rollups | Kept::Tokens | Kept::Sessions => format!("{} SELECT count(*) FROM gone", gone("1")),
    };
    let taken = query_scalar(AssertSqlSafe(sql)).bind(before).bind(limit).fetch_one(connection).await;
    taken.map_err(StoreError::at("take away what is due"))
}

/// Makes room within a table of which much was taken away, and tells the planner. Not in a transaction.
///
/// # Errors
/// The statement failed.
pub async fn tidy(connection: &mut PgConnection, table: &'static str) -> Result<(), StoreError> {
    let done = connection.execute(AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"))).await;
    done.map(|_| ()).map_err(StoreError::at("tidy up a table"))
}

/// Incidents that are over and archived, and ended before a time: how many of them nothing holds, and how many are under legal hold.
///
/// # Errors
/// The statement failed.
pub async fn due_incidents(connection: &mut PgConnection, before: Option<Timestamp>) -> Result<(i64, i64), StoreError> {
    query_as(
        "SELECT count(*) FILTER (WHERE legal_hold_since IS NULL), count(*) FILTER (WHERE legal_hold_since IS NOT NULL) FROM incidents \
         WHERE archived_at IS NOT NULL AND status IN ('resolved', 'false_positive') AND resolved_at < $1",
    )
    .bind(before)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("look which incidents are due"))
}

/// The next incident that is due, to be removed; one that others are part of comes after those.
///
/// # Errors
/// The statement failed.
pub async fn next_due_incident(connection: &mut PgConnection, before: Timestamp) -> Result<Option<(i64, String)>, StoreError> {
    query_as(
        "SELECT id, number FROM incidents WHERE archived_at IS NOT NULL AND status IN ('resolved', 'false_positive') AND resolved_at < $1 \
             AND legal_hold_since IS NULL AND NOT EXISTS (SELECT FROM incidents p WHERE p.merged_into = incidents.id) \
         ORDER BY resolved_at, id LIMIT 1 FOR UPDATE",
    )
    .bind(before)
    .fetch_optional(connection)
    .await
    .map_err(StoreError::at("find an incident that is due"))
}

/// Size of the database, bytes; and of all incidents with what belongs to them.
///
/// # Errors
/// The statement failed.
pub async fn sizes(connection: &mut PgConnection) -> Result<(i64, i64, i64), StoreError> {
    query_as(
        "SELECT pg_database_size(current_database()), coalesce(sum(pg_total_relation_size(oid)), 0)::bigint, (SELECT count(*) FROM incidents) \
         FROM pg_class WHERE relkind = 'r' AND relname LIKE 'incident%' AND relnamespace = 'public'::regnamespace",
    )
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("measure the database"))
}

/// Notes that what was due was taken away.
///
/// # Errors
/// The statement failed.
pub async fn ran(
    connection: &mut PgConnection,
    began: Timestamp,
    ended: Timestamp,
    actor: &str,
    complete: bool,
    done: &Value,
) -> Result<(), StoreError> {
    query("INSERT INTO maintenance_runs (began_at, ended_at, actor, complete, done) VALUES ($1, $2, $3, $4, $5)")
        .bind(began)
        .bind(ended)
        .bind(actor)
        .bind(complete)
        .bind(done)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("note a run of maintenance"))
}

/// When the last run began that left nothing over, and who ran it.
///
/// # Errors
/// The statement failed.
pub async fn last_run(connection: &mut PgConnection) -> Result<Option<(Timestamp, String)>, StoreError> {
    query_as("SELECT began_at, actor FROM maintenance_runs WHERE complete ORDER BY began_at DESC LIMIT 1")
        .fetch_optional(connection)
        .await
        .map_err(StoreError::at("read when maintenance ran"))
}

#[cfg(test)]
mod tests {
    use super::day_of;
    use crate::store::ledger::day_name;

    #[test]
    fn partitions_tell_their_day() {
        assert_eq!(day_of("logs_2026_11_20").map(day_name).as_deref(), Some("2026-11-20"));
        assert_eq!([day_of("logs_archive"), day_of("others_2026_11_20"), day_of("logs_2026_11")], [None; 3]);
    }
}
