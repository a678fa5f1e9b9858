//! `audit_log` and `audit_head`.

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Executor, Row as _};

use super::StoreError;
use crate::record::Timestamp;

/// A row of `audit_log`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Row {
    pub id: i64,
    pub at: Timestamp,
    pub actor: String,
    pub role: String,
    pub via: String,
    pub address: Option<String>,
    pub action: String,
    pub subject: String,
    pub old: Option<String>,
    pub new: Option<String>,
    pub reason: Option<String>,
    pub previous: Vec<u8>,
    pub hash: Vec<u8>,
}

/// Id and hash of the last row, which nobody else appends to until the transaction has ended.
///
/// # Errors
/// The statement failed.
pub async fn lock_head(connection: &mut PgConnection) -> Result<(i64, Vec<u8>), StoreError> {
    sqlx::query_as("SELECT id, hash FROM audit_head FOR UPDATE")
        .fetch_one(connection)
        .await
        .map_err(StoreError::at("lock the end of the audit log"))
}

/// Makes that the last row.
///
/// # Errors
/// The statement failed.
pub async fn set_head(connection: &mut PgConnection, id: i64, hash: &[u8]) -> Result<(), StoreError> {
    sqlx::query("UPDATE audit_head SET id = $1, hash = $2")
        .bind(id)
        .bind(hash)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("note the end of the audit log"))
}

/// Appends a row.
///
/// # Errors
/// The statement failed.
pub async fn append(connection: &mut PgConnection, row: &Row) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO audit_log (id, at, actor, role, via, address, action, subject, old, new, reason, previous, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::json, $10::text::json, $11, $12, $13)",
    )
    .bind(row.id)
    .bind(row.at)
    .bind(&row.actor)
    .bind(&row.role)
    .bind(&row.via)
    .bind(&row.address)
    .bind(&row.action)
    .bind(&row.subject)
    .bind(&row.old)
    .bind(&row.new)
    .bind(&row.reason)
    .bind(&row.previous)
    .bind(&row.hash)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("write the audit log"))
}

/// Streams the rows in order until `each` says false; returns what the head says. All of it as of one moment.
///
/// # Errors
/// A statement failed.
pub async fn each(
    connection: &mut PgConnection,
    each: &mut (dyn FnMut(&Row) -> bool + Send),
) -> Result<(i64, Vec<u8>), StoreError> {
    let failed = || StoreError::at("read the audit log");
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed())?;
    let head = sqlx::query_as("SELECT id, hash FROM audit_head").fetch_one(&mut *connection).await.map_err(failed())?;
    let mut rows = sqlx::query(
        "SELECT id, at, actor, role, via, address, action, subject, old::text, new::text, reason, \
                previous, hash \
         FROM audit_log ORDER BY id",
    )
    .fetch(&mut *connection);
    while let Some(row) = rows.try_next().await.map_err(failed())? {
        if !each(&read(&row).map_err(failed())?) {
            break;
        }
    }
    drop(rows);
    connection.execute("COMMIT").await.map_err(failed())?;
    Ok(head)
}

/// Which rows to list. `None` leaves nothing out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditFilter {
    /// To this.
    pub subject: Option<String>,
    /// By whom.
    pub actor: Option<String>,
    /// This, or whatever begins with what stands before a `*` at the end.
    pub action: Option<String>,
    /// Then or later.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// The newest rows first, from behind the row with an id on, at most `limit` and about `max_bytes`. By time, and not by id, which is the order
/// of commits, since the indexes on actor, subject and time then all hold the rows of a range in the order in which they are told. True where there are more, which were left: the
/// connection is still at it, and is to be closed.
///
/// # Errors
/// The statement failed.
pub async fn list(
    connection: &mut PgConnection,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: i64,
    max_bytes: usize,
) -> Result<(Vec<Row>, bool), StoreError> {
    let failed = || StoreError::at("list the audit log");
    let (action, beginning) = match filter.action.as_deref().map(|action| (action, action.strip_suffix('*'))) {
        Some((_, Some(beginning))) => (None, Some(beginning)),
        Some((action, None)) => (Some(action), None),
        None => (None, None),
    };
    // Planned for its values, so that what is not asked for is not in the plan.
    let mut rows = sqlx::query(
        "SELECT id, at, actor, role, via, address, action, subject, old::text, new::text, reason, previous, hash FROM audit_log \
         WHERE ($1::bigint IS NULL OR (at, id) < ((SELECT at FROM audit_log WHERE id = $1), $1)) AND ($2::text IS NULL OR subject = $2) AND ($3::text IS NULL OR actor = $3) \
           AND ($4::text IS NULL OR action = $4) AND ($5::text IS NULL OR starts_with(action, $5)) \
           AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at < $7) \
         ORDER BY at DESC, id DESC LIMIT $8",
    )
    .bind(before)
    .bind(&filter.subject)
    .bind(&filter.actor)
    .bind(action)
    .bind(beginning)
    .bind(filter.from)
    .bind(filter.to)
    .bind(limit)
    .persistent(false)
    .fetch(connection);
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await.map_err(failed())? {
        if bytes >= max_bytes {
            return Ok((found, true));
        }
        let row = read(&row).map_err(failed())?;
        bytes += size_of::<Row>() + [&row.old, &row.new].into_iter().flatten().map(String::len).sum::<usize>();
        found.push(row);
    }
    Ok((found, false))
}

/// The rows of a subject, in order, at most `limit`; and how many there are.
///
/// # Errors
/// A statement failed.
pub async fn of_subject(connection: &mut PgConnection, subject: &str, limit: i64) -> Result<(Vec<Row>, i64), StoreError> {
    let failed = || StoreError::at("read the audit log");
    let rows = sqlx::query(
        "SELECT id, at, actor, role, via, address, action, subject, old::text, new::text, reason, previous, hash \
         FROM audit_log WHERE subject = $1 ORDER BY at, id LIMIT $2",
    );
    let rows = rows.bind(subject).bind(limit).fetch_all(&mut *connection).await.map_err(failed())?;
    let rows = rows.iter().map(read).collect::<Result<_, _>>().map_err(failed())?;
    let count = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE subject = $1").bind(subject).fetch_one(connection).await;
    Ok((rows, count.map_err(failed())?))
}

/// When that was first done to each of these subjects, as far as it was.
///
/// # Errors
/// The statement failed.
pub async fn first_times(
    connection: &mut PgConnection,
    action: &str,
    subjects: &[String],
) -> Result<Vec<(String, Timestamp)>, StoreError> {
    sqlx::query_as("SELECT subject, min(at) FROM audit_log WHERE subject = ANY ($1) AND action = $2 GROUP BY 1")
        .bind(subjects)
        .bind(action)
        .fetch_all(connection)
        .await
        .map_err(StoreError::at("read when something was done"))
}

/// Id and hash of the last row.
///
/// # Errors
/// The statement failed.
pub async fn head(connection: &mut PgConnection) -> Result<(i64, Vec<u8>), StoreError> {
    let head = sqlx::query_as("SELECT id, hash FROM audit_head").fetch_one(connection).await;
    head.map_err(StoreError::at("read the end of the audit log"))
}

/// Hash of the first row, if there is one: no two installations have the same.
///
/// # Errors
/// The statement failed.
pub async fn first_hash(connection: &mut PgConnection) -> Result<Option<Vec<u8>>, StoreError> {
    let hash = sqlx::query_scalar("SELECT hash FROM audit_log WHERE id = 1").fetch_optional(connection).await;
    hash.map_err(StoreError::at("read the beginning of the audit log"))
}

fn read(row: &PgRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        id: row.try_get(0)?,
        at: row.try_get(1)?,
        actor: row.try_get(2)?,
        role: row.try_get(3)?,
        via: row.try_get(4)?,
        address: row.try_get(5)?,
        action: row.try_get(6)?,
        subject: row.try_get(7)?,
        old: row.try_get(8)?,
        new: row.try_get(9)?,
        reason: row.try_get(10)?,
        previous: row.try_get(11)?,
        hash: row.try_get(12)?,
    })
}

/// Somebody who had something in hands.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct Touch {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Through which door.
    pub via: String,
    /// From where, over the network.
    pub address: Option<String>,
    /// What they did with it.
    pub action: String,
    /// What came of it.
    pub new: Option<serde_json::Value>,
}

/// What was done with something, in order: the last so many times.
///
/// # Errors
/// The statement failed.
pub async fn touches(connection: &mut PgConnection, subject: &str, limit: i64) -> Result<Vec<Touch>, StoreError> {
    sqlx::query_as(
        "SELECT at, actor, via, address, action, new FROM \
             (SELECT id, at, actor, via, address, action, new FROM audit_log WHERE subject = $1 ORDER BY at DESC, id DESC LIMIT $2) AS a ORDER BY at, id",
    )
    .bind(subject)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("read what was done"))
}
