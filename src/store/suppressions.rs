//! Suppressions: what opens no incidents for a time. The commits of ingestion count what they leave out (`store::incidents`).

use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query, query_as, query_scalar};

use super::StoreError;
use crate::record::Timestamp;

/// A row of `suppressions`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct SuppressionRow {
    pub id: i64,
    pub detector: String,
    pub group_key: String,
    pub until: Timestamp,
    pub reason: String,
    pub incident: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub ended_by: Option<String>,
    pub ended_at: Option<Timestamp>,
    pub events: i64,
    pub first_seen: Option<Timestamp>,
    pub last_seen: Option<Timestamp>,
}

macro_rules! select_suppressions {
    ($rest:literal) => {
        concat!(
            "SELECT id, detector, group_key, until, reason, incident, created_by, created_at, ended_by, ended_at, events, first_seen, last_seen \
             FROM suppressions ",
            $rest
        )
    };
}

/// Suppressions with an id below a place, the newest first; those that nobody ended and whose time is not over, or all.
///
/// # Errors
/// The statement failed.
pub async fn list(
    connection: &mut PgConnection,
    in_force_at: Option<Timestamp>,
    below: Option<i64>,
    limit: i64,
) -> Result<Vec<SuppressionRow>, StoreError> {
    query_as(select_suppressions!(
        "WHERE ($1::timestamptz IS NULL OR ended_at IS NULL AND until > $1) AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"
    ))
    .bind(in_force_at)
    .bind(below)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("list suppressions"))
}

/// A suppression, to be changed.
///
/// # Errors
/// The statement failed.
pub async fn by_id(connection: &mut PgConnection, id: i64) -> Result<Option<SuppressionRow>, StoreError> {
    let row = query_as(select_suppressions!("WHERE id = $1 FOR UPDATE")).bind(id).fetch_optional(connection).await;
    row.map_err(StoreError::at("read a suppression"))
}

/// The one that nobody has ended for a detector and group, if there is one.
///
/// # Errors
/// The statement failed.
pub async fn not_ended(connection: &mut PgConnection, detector: &str, group: &str) -> Result<Option<SuppressionRow>, StoreError> {
    query_as(select_suppressions!("WHERE detector = $1 AND group_key = $2 AND ended_at IS NULL FOR UPDATE"))
        .bind(detector)
        .bind(group)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::at("look for a suppression"))
}

/// Begins one; returns its id.
///
/// # Errors
/// The statement failed; a unique violation where another one is in force.
pub async fn insert(connection: &mut PgConnection, row: &SuppressionRow) -> Result<i64, StoreError> {
    query_scalar(
        "INSERT INTO suppressions (detector, group_key, until, reason, incident, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         RETURNING id",
    )
    .bind(&row.detector)
    .bind(&row.group_key)
    .bind(row.until)
    .bind(&row.reason)
    .bind(&row.incident)
    .bind(&row.created_by)
    .bind(row.created_at)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("begin a suppression"))
}

/// Ends one.
///
/// # Errors
/// The statement failed.
pub async fn end(connection: &mut PgConnection, id: i64, by: &str, at: Timestamp) -> Result<(), StoreError> {
    let done = query("UPDATE suppressions SET ended_by = $2, ended_at = $3 WHERE id = $1")
        .bind(id)
        .bind(by)
        .bind(at)
        .execute(connection)
        .await;
    done.map(|_| ()).map_err(StoreError::at("end a suppression"))
}
