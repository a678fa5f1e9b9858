//! `logs` as people read it, with `log_notes`, `archived_logs` and `added_logs`.

use futures_util::TryStreamExt as _;
use serde_json::value::RawValue;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::StoreError;
use super::query::sql::{self, Instant, Sql};
use super::query::{Query, Range};
use crate::record::{EventType, Severity, Timestamp};

/// A row of `logs`, but for the original bytes. What is absent is left out of its JSON.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct LogRow {
    pub id: i64,
    pub event_time: Timestamp,
    pub received_at: Timestamp,
    pub source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pid: Option<i32>,
    #[schema(value_type = EventType)]
    pub event_type: String,
    #[schema(value_type = Severity)]
    pub severity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub src_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub src_port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dst_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub dst_port: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub protocol: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub action: Option<String>,
    pub message: String,
    /// A JSON object, as the database writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
    pub fields: Option<Box<RawValue>>,
}

/// Where a row stands in the order in which rows are listed: by event time, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct Key {
    pub event_time: Timestamp,
    pub id: i64,
}

impl LogRow {
    /// Its place.
    pub fn key(&self) -> Key {
        Key { event_time: self.event_time, id: self.id }
    }
}

/// In the order in which [`log_row`] reads them.
const SELECT: &str = "SELECT l.id, (extract(epoch FROM l.event_time) * 1000000)::bigint, (extract(epoch FROM l.received_at) * 1000000)::bigint, \
     l.source, l.host, l.app, l.pid, l.event_type::text, l.severity::text, l.username, host(l.src_ip), l.src_port, host(l.dst_ip), \
     l.dst_port, l.protocol, l.action, l.message, l.fields::text";

fn log_row(row: &PgRow) -> Result<LogRow, sqlx::Error> {
    let fields: Option<String> = row.try_get(17)?;
    Ok(LogRow {
        id: row.try_get(0)?,
        event_time: Timestamp::from_micros(row.try_get(1)?),
        received_at: Timestamp::from_micros(row.try_get(2)?),
        source: row.try_get(3)?,
        host: row.try_get(4)?,
        app: row.try_get(5)?,
        pid: row.try_get(6)?,
        event_type: row.try_get(7)?,
        severity: row.try_get(8)?,
        username: row.try_get(9)?,
        src_ip: row.try_get(10)?,
        src_port: row.try_get(11)?,
        dst_ip: row.try_get(12)?,
        dst_port: row.try_get(13)?,
        protocol: row.try_get(14)?,
        action: row.try_get(15)?,
        message: row.try_get(16)?,
        fields: fields.map(RawValue::from_string).transpose().map_err(|e| sqlx::Error::Decode(e.into()))?,
    })
}

/// Days whose partitions are named one by one.
const MAX_DAYS: usize = 8;
const DAY_MICROS: i64 = 86_400_000_000;

/// Begins a transaction that sees one moment and whose statements end after 30 s each: what takes longer asks for too much. Compiling
/// a statement would take longer than most of them run.
///
/// # Errors
/// The statement failed.
pub async fn begin_search(connection: &mut PgConnection) -> Result<(), StoreError> {
    let settings = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '30s'; SET LOCAL jit = off";
    connection.execute(settings).await.map(|_| ()).map_err(StoreError::at("begin a search"))
}

/// Rows that were found.
#[derive(Debug, Default)]
pub struct Found {
    /// The rows.
    pub logs: Vec<LogRow>,
    /// There are more, which were left: they are long. The connection is still at it, and is to be closed.
    pub is_cut: bool,
}

/// The rows that a query finds in a range, the newest first, at most `limit` and about `max_bytes` after a place.
///
/// # Errors
/// The statement failed, or took too long ([`StoreError::took_too_long`]).
pub async fn search(
    connection: &mut PgConnection,
    query: &Query,
    range: Range,
    after: Option<Key>,
    limit: i64,
    max_bytes: usize,
) -> Result<Found, StoreError> {
    let mut sql = Sql::default();
    sql.push(SELECT).push(" FROM logs l WHERE true");
    sql::range(&mut sql, range);
    if let Some(Key { event_time, id }) = after {
        // The first condition says nothing new, but leaves out partitions.
        sql.push(" AND l.event_time <= ").bind(Instant(event_time));
        sql.push(" AND (l.event_time, l.id) < (").bind(Instant(event_time)).push(", ").bind(id).push(")");
    }
    sql::terms(&mut sql, query);
    sql.push(" ORDER BY l.event_time DESC, l.id DESC LIMIT ").bind(limit);
    rows(connection, sql, max_bytes, "search the logs").await
}

/// The rows that a query finds in a range, of those with an id above `after` and up to `last`, in the order of ids, at most `limit` and
/// about `max_bytes`.
///
/// # Errors
/// The statement failed, or took too long.
pub async fn stored_between(
    connection: &mut PgConnection,
    query: &Query,
    range: Range,
    (after, last): (i64, i64),
    limit: i64,
    max_bytes: usize,
) -> Result<Found, StoreError> {
    let mut sql = Sql::default();
    sql.push(SELECT).push(" FROM logs l WHERE l.id > ").bind(after).push(" AND l.id <= ").bind(last);
    sql::range(&mut sql, range);
    sql::terms(&mut sql, query);
    sql.push(" ORDER BY l.id LIMIT ").bind(limit);
    by_ids(connection).await?;
    rows(connection, sql, max_bytes, "look for new records").await
}

/// The highest id above `after` in a range. Transactions of ingestion commit in the order of their ids, so there is nothing below it that
/// will be seen only later.
///
/// # Errors
/// The statement failed, or took too long.
pub async fn last_id(connection: &mut PgConnection, range: Range, after: i64) -> Result<Option<i64>, StoreError> {
    let mut sql = Sql::default();
    sql.push("SELECT max(l.id) FROM logs l WHERE l.id > ").bind(after);
    sql::range(&mut sql, range);
    by_ids(connection).await?;
    let (text, arguments) = sql.into_parts();
    let row = sqlx::query_with(AssertSqlSafe(text), arguments).persistent(false).fetch_one(connection).await;
    row.and_then(|row| row.try_get(0)).map_err(StoreError::at("look for new records"))
}

/// Within this transaction, ids are looked up in their index: without statistics of a fresh partition the planner might read all of it.
async fn by_ids(connection: &mut PgConnection) -> Result<(), StoreError> {
    let set = connection.execute("SET LOCAL enable_seqscan = off").await;
    set.map(|_| ()).map_err(StoreError::at("look for new records"))
}

/// Each statement is planned for its values, and not kept: the next query is another one.
async fn rows(connection: &mut PgConnection, sql: Sql, max_bytes: usize, what: &'static str) -> Result<Found, StoreError> {
    let (text, arguments) = sql.into_parts();
    // What is in the text and what is not: see `query::sql`.
    let mut rows = sqlx::query_with(AssertSqlSafe(text), arguments).persistent(false).fetch(connection);
    let (mut found, mut bytes) = (Found::default(), 0);
    while let Some(row) = rows.try_next().await.map_err(StoreError::at(what))? {
        if bytes >= max_bytes {
            found.is_cut = true;
            break;
        }
        let row = log_row(&row).map_err(StoreError::at(what))?;
        bytes += size_of::<LogRow>() + row.message.len() + row.fields.as_ref().map_or(0, |fields| fields.get().len());
        found.logs.push(row);
    }
    Ok(found)
}

/// A row with its original bytes, where they differ from its message.
///
/// # Errors
/// The statement failed.
pub async fn by_id(connection: &mut PgConnection, id: i64) -> Result<Option<(LogRow, Option<Vec<u8>>)>, StoreError> {
    let days = days_of(connection, id).await?;
    let found = read_by_id(connection, id, &days).await?;
    match found {
        // It may be older than the ledger, or on another day than that thinks.
        None if !days.is_empty() => read_by_id(connection, id, &[]).await,
        found => Ok(found),
    }
}

/// The days that a record of that id may be of, by the ledger, so that not all partitions are looked into; none if that is not known.
async fn days_of(connection: &mut PgConnection, id: i64) -> Result<Vec<Timestamp>, StoreError> {
    let days = sqlx::query_scalar("SELECT DISTINCT jsonb_object_keys(days) FROM ledger WHERE ids @> $1").bind(id);
    let days: Vec<String> = days.fetch_all(connection).await.map_err(StoreError::at("look into the ledger"))?;
    let begins = days.iter().filter_map(|day| Timestamp::parse_rfc3339(&format!("{day}T00:00:00Z")).ok()).collect::<Vec<_>>();
    Ok(if begins.len() == days.len() && days.len() <= MAX_DAYS { begins } else { Vec::new() })
}

async fn read_by_id(
    connection: &mut PgConnection,
    id: i64,
    days: &[Timestamp],
) -> Result<Option<(LogRow, Option<Vec<u8>>)>, StoreError> {
    let mut sql = Sql::default();
    sql.push(SELECT).push(", l.raw FROM logs l WHERE l.id = ").bind(id);
    for (i, day) in days.iter().enumerate() {
        sql.push(if i == 0 { " AND (" } else { " OR " }).push("l.event_time >= ").bind(Instant(*day));
        sql.push(" AND l.event_time < ").bind(Instant(day.plus_micros(DAY_MICROS)));
    }
    sql.push(if days.is_empty() { "" } else { ")" });
    let (text, arguments) = sql.into_parts();
    let row = sqlx::query_with(AssertSqlSafe(text), arguments).persistent(false).fetch_optional(connection).await;
    row.and_then(|row| row.map(|row| Ok((log_row(&row)?, row.try_get(18)?))).transpose())
        .map_err(StoreError::at("read a log record"))
}

/// Whether there is a row of that id.
///
/// # Errors
/// The statement failed.
pub async fn exists(connection: &mut PgConnection, id: i64) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar("SELECT EXISTS (SELECT FROM logs WHERE id = $1)").bind(id).fetch_one(connection).await;
    found.map_err(StoreError::at("look for a log record"))
}

/// A row of `log_notes`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = LogNote)]
#[allow(missing_docs)]
pub struct NoteRow {
    pub id: i64,
    pub author: String,
    pub at: Timestamp,
    pub body: String,
}

/// The notes about a record, in order.
///
/// # Errors
/// The statement failed.
pub async fn notes(connection: &mut PgConnection, log_id: i64) -> Result<Vec<NoteRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, author, (extract(epoch FROM at) * 1000000)::bigint, body FROM log_notes WHERE log_id = $1 ORDER BY id",
    )
    .bind(log_id)
    .fetch_all(connection)
    .await;
    let read = |row: &PgRow| {
        let at = Timestamp::from_micros(row.try_get(2)?);
        Ok(NoteRow { id: row.try_get(0)?, author: row.try_get(1)?, at, body: row.try_get(3)? })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(StoreError::at("read the notes about a log record"))
}

/// Adds a note.
///
/// # Errors
/// The statement failed.
pub async fn insert_note(
    connection: &mut PgConnection,
    log_id: i64,
    author: &str,
    at: Timestamp,
    body: &str,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO log_notes (log_id, author, at, body) VALUES ($1, $2, $3, $4)")
        .bind(log_id)
        .bind(author)
        .bind(Instant(at))
        .bind(body)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("note something about a log record"))
}

/// A row of `archived_logs`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Archived)]
#[allow(missing_docs)]
pub struct ArchivedRow {
    pub at: Timestamp,
    pub actor: String,
    pub reason: Option<String>,
}

/// Who archived a record, if somebody did.
///
/// # Errors
/// The statement failed.
pub async fn archived(connection: &mut PgConnection, log_id: i64) -> Result<Option<ArchivedRow>, StoreError> {
    let row = sqlx::query(
        "SELECT (extract(epoch FROM archived_at) * 1000000)::bigint, actor, reason FROM archived_logs WHERE log_id = $1",
    )
    .bind(log_id)
    .fetch_optional(connection)
    .await;
    let read = |row: PgRow| {
        Ok(ArchivedRow { at: Timestamp::from_micros(row.try_get(0)?), actor: row.try_get(1)?, reason: row.try_get(2)? })
    };
    row.and_then(|row| row.map(read).transpose()).map_err(StoreError::at("read whether a log record is archived"))
}

/// Archives a record; false if it is already.
///
/// # Errors
/// The statement failed.
pub async fn archive(
    connection: &mut PgConnection,
    log_id: i64,
    actor: &str,
    at: Timestamp,
    reason: Option<&str>,
) -> Result<bool, StoreError> {
    sqlx::query("INSERT INTO archived_logs (log_id, archived_at, actor, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
        .bind(log_id)
        .bind(Instant(at))
        .bind(actor)
        .bind(reason)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(StoreError::at("archive a log record"))
}

/// Puts a record back in sight; false if it is there already.
///
/// # Errors
/// The statement failed.
pub async fn unarchive(connection: &mut PgConnection, log_id: i64) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM archived_logs WHERE log_id = $1").bind(log_id).execute(connection).await;
    done.map(|done| done.rows_affected() == 1).map_err(StoreError::at("put a log record back in sight"))
}

/// Adds a line, for the daemon to take; returns its id.
///
/// # Errors
/// The statement failed.
pub async fn add(connection: &mut PgConnection, actor: &str, at: Timestamp, line: &str) -> Result<i64, StoreError> {
    sqlx::query_scalar("INSERT INTO added_logs (actor, added_at, line) VALUES ($1, $2, $3) RETURNING id")
        .bind(actor)
        .bind(Instant(at))
        .bind(line)
        .fetch_one(connection)
        .await
        .map_err(StoreError::at("add a line"))
}

/// Lines that were added and not taken yet, with their ids, in order.
///
/// # Errors
/// The statement failed.
pub async fn added(connection: &mut PgConnection, limit: i64) -> Result<Vec<(i64, String)>, StoreError> {
    sqlx::query_as("SELECT id, line FROM added_logs WHERE taken_at IS NULL ORDER BY id LIMIT $1")
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(StoreError::at("look for lines that were added"))
}

/// Notes that a line was taken.
///
/// # Errors
/// The statement failed.
pub async fn taken(connection: &mut PgConnection, id: i64) -> Result<(), StoreError> {
    let done = sqlx::query("UPDATE added_logs SET taken_at = now() WHERE id = $1").bind(id).execute(connection).await;
    done.map(|_| ()).map_err(StoreError::at("note that a line was taken"))
}
