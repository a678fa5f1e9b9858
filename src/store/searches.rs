//! `saved_searches`.

use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query, query_as, query_scalar};

use super::StoreError;
use crate::record::Timestamp;
use crate::record::case::SearchKind;

/// A row of `saved_searches`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[schema(as = SavedSearch)]
#[allow(missing_docs)]
pub struct SavedRow {
    pub id: i64,
    pub owner: String,
    #[schema(value_type = SearchKind)]
    pub kind: String,
    pub name: String,
    pub query: String,
    pub shared: bool,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

macro_rules! select_searches {
    ($rest:literal) => {
        concat!("SELECT id, owner, kind, name, query, shared, version, created_at, updated_at FROM saved_searches ", $rest)
    };
}

/// Those of one owner, and those that are shared, or all of them for nobody in particular; by id, from behind one on.
///
/// # Errors
/// The statement failed.
pub async fn list(
    connection: &mut PgConnection,
    owner: Option<&str>,
    kind: Option<&str>,
    behind: i64,
    limit: i64,
) -> Result<Vec<SavedRow>, StoreError> {
    let rows = query_as(select_searches!(
        "WHERE ($1::text IS NULL OR owner = $1 OR shared) AND ($2::text IS NULL OR kind = $2) AND id > $3 ORDER BY id LIMIT $4"
    ))
    .bind(owner)
    .bind(kind)
    .bind(behind)
    .bind(limit)
    .fetch_all(connection)
    .await;
    rows.map_err(StoreError::at("list saved searches"))
}

/// A search by its id, which nobody else changes until the transaction has ended.
///
/// # Errors
/// The statement failed.
pub async fn by_id(connection: &mut PgConnection, id: i64) -> Result<Option<SavedRow>, StoreError> {
    let row = query_as(select_searches!("WHERE id = $1 FOR UPDATE")).bind(id).fetch_optional(connection).await;
    row.map_err(StoreError::at("read a saved search"))
}

/// Those of that name: one's own, and those that others share.
///
/// # Errors
/// The statement failed.
pub async fn by_name(connection: &mut PgConnection, owner: &str, kind: &str, name: &str) -> Result<Vec<SavedRow>, StoreError> {
    let rows = query_as(select_searches!("WHERE kind = $2 AND name = $3 AND (owner = $1 OR shared) ORDER BY owner <> $1, id"))
        .bind(owner)
        .bind(kind)
        .bind(name)
        .fetch_all(connection)
        .await;
    rows.map_err(StoreError::at("read a saved search"))
}

/// How many somebody has.
///
/// # Errors
/// The statement failed.
pub async fn count(connection: &mut PgConnection, owner: &str) -> Result<i64, StoreError> {
    let count = query_scalar("SELECT count(*) FROM saved_searches WHERE owner = $1").bind(owner).fetch_one(connection).await;
    count.map_err(StoreError::at("count saved searches"))
}

/// Makes one; returns its id.
///
/// # Errors
/// The statement failed; a unique violation where the owner has one of that kind and name.
pub async fn insert(connection: &mut PgConnection, row: &SavedRow) -> Result<i64, StoreError> {
    query_scalar(
        "INSERT INTO saved_searches (owner, kind, name, query, shared, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) \
         RETURNING id",
    )
    .bind(&row.owner)
    .bind(&row.kind)
    .bind(&row.name)
    .bind(&row.query)
    .bind(row.shared)
    .bind(row.created_at)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("save a search"))
}

/// Writes what somebody changed, and counts the change.
///
/// # Errors
/// As of [`insert`].
pub async fn update(connection: &mut PgConnection, row: &SavedRow) -> Result<(), StoreError> {
    query("UPDATE saved_searches SET name = $2, query = $3, shared = $4, updated_at = $5, version = version + 1 WHERE id = $1")
        .bind(row.id)
        .bind(&row.name)
        .bind(&row.query)
        .bind(row.shared)
        .bind(row.updated_at)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("change a saved search"))
}

/// Deletes one.
///
/// # Errors
/// The statement failed.
pub async fn delete(connection: &mut PgConnection, id: i64) -> Result<(), StoreError> {
    let done = query("DELETE FROM saved_searches WHERE id = $1").bind(id).execute(connection).await;
    done.map(|_| ()).map_err(StoreError::at("delete a saved search"))
}
