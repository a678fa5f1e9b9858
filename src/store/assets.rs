//! The list of assets, and the incidents that have to be looked at again because of it.

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query, query_as, query_scalar};

use super::StoreError;
use crate::record::Timestamp;
use crate::record::case::Criticality;

/// A row of `assets`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
#[allow(missing_docs)]
pub struct AssetRow {
    #[serde(skip)]
    pub id: i64,
    pub name: String,
    pub matches: Vec<String>,
    #[schema(value_type = Criticality)]
    pub criticality: String,
    pub owner: Option<String>,
    pub comment: Option<String>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// All assets, by name.
///
/// # Errors
/// The statement failed.
pub async fn all(connection: &mut PgConnection) -> Result<Vec<AssetRow>, StoreError> {
    query_as(
        "SELECT id, name, matches, criticality, owner, comment, version, created_at, updated_at FROM assets ORDER BY lower(name)",
    )
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("list assets"))
}

/// An asset by its name, in whatever case; locked where it is to be changed.
///
/// # Errors
/// The statement failed.
pub async fn by_name(connection: &mut PgConnection, name: &str) -> Result<Option<AssetRow>, StoreError> {
    query_as(
        "SELECT id, name, matches, criticality, owner, comment, version, created_at, updated_at FROM assets \
         WHERE lower(name) = lower($1) FOR UPDATE",
    )
    .bind(name)
    .fetch_optional(connection)
    .await
    .map_err(StoreError::at("read an asset"))
}

/// How many there are.
///
/// # Errors
/// The statement failed.
pub async fn count(connection: &mut PgConnection) -> Result<i64, StoreError> {
    query_scalar("SELECT count(*) FROM assets").fetch_one(connection).await.map_err(StoreError::at("count assets"))
}

/// Locks the list and counts a change of it: incidents are looked at again.
///
/// # Errors
/// The statement failed.
pub async fn begin_change(connection: &mut PgConnection) -> Result<(), StoreError> {
    let done = query("UPDATE asset_list SET version = version + 1").execute(connection).await;
    done.map(|_| ()).map_err(StoreError::at("change the list of assets"))
}

/// The version of the list.
///
/// # Errors
/// The statement failed.
pub async fn version(connection: &mut PgConnection) -> Result<i64, StoreError> {
    query_scalar("SELECT version FROM asset_list").fetch_one(connection).await.map_err(StoreError::at("read the list of assets"))
}

/// Enters an asset.
///
/// # Errors
/// The statement failed.
pub async fn insert(connection: &mut PgConnection, asset: &AssetRow) -> Result<(), StoreError> {
    query(
        "INSERT INTO assets (name, matches, criticality, owner, comment, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)",
    )
    .bind(&asset.name)
    .bind(&asset.matches)
    .bind(&asset.criticality)
    .bind(&asset.owner)
    .bind(&asset.comment)
    .bind(asset.updated_at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("enter an asset"))
}

/// Writes what was changed of an asset, and counts the change.
///
/// # Errors
/// The statement failed.
pub async fn update(connection: &mut PgConnection, asset: &AssetRow) -> Result<(), StoreError> {
    query(
        "UPDATE assets SET matches = $2, criticality = $3, owner = $4, comment = $5, updated_at = $6, version = version + 1 WHERE id = $1",
    )
    .bind(asset.id)
    .bind(&asset.matches)
    .bind(&asset.criticality)
    .bind(&asset.owner)
    .bind(&asset.comment)
    .bind(asset.updated_at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("change an asset"))
}

/// Removes an asset.
///
/// # Errors
/// The statement failed.
pub async fn delete(connection: &mut PgConnection, id: i64) -> Result<(), StoreError> {
    let done = query("DELETE FROM assets WHERE id = $1").bind(id).execute(connection).await;
    done.map(|_| ()).map_err(StoreError::at("remove an asset"))
}

/// Incidents that are not over and whose evidence grew since they were looked at, or whose priority was found with another list of assets.
///
/// # Errors
/// The statement failed.
pub async fn to_assess(connection: &mut PgConnection, version: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
    query_scalar(
        "SELECT id FROM incidents WHERE status IN ('open', 'investigating', 'contained') \
             AND (assessed_events <> event_count OR assessed_assets <> $1) ORDER BY id LIMIT $2",
    )
    .bind(version)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("find incidents to look at"))
}

/// An incident that is looked at.
#[derive(Debug, Clone, FromRow)]
#[allow(missing_docs)]
pub struct Assessed {
    pub number: String,
    pub severity: String,
    pub priority: String,
    pub priority_reason: Option<String>,
    pub affected: Vec<String>,
    pub event_count: i64,
    pub assessed_evidence: i64,
}

/// An incident to be looked at; nobody else changes it meanwhile.
///
/// # Errors
/// The statement failed.
pub async fn assess(connection: &mut PgConnection, incident: i64) -> Result<Option<Assessed>, StoreError> {
    query_as(
        "SELECT number, severity::text, priority, priority_reason, affected, event_count, assessed_evidence FROM incidents \
         WHERE id = $1 AND status IN ('open', 'investigating', 'contained') FOR UPDATE",
    )
    .bind(incident)
    .fetch_optional(connection)
    .await
    .map_err(StoreError::at("look at an incident"))
}

/// The systems that an incident's evidence behind a place names, each once, and the place where it ends. A record names the one that
/// something was sent to, otherwise the one that wrote it: a firewall is not what is attacked through it.
///
/// # Errors
/// The statement failed.
pub async fn systems(connection: &mut PgConnection, incident: i64, behind: i64) -> Result<(Vec<String>, i64), StoreError> {
    query_as(
        "SELECT coalesce(array_agg(DISTINCT system) FILTER (WHERE system <> ''), '{}'), coalesce(max(id), $2) \
         FROM (SELECT id, coalesce(host(nullif(record->>'dst_ip', '')::inet), lower(record->>'host')) AS system \
               FROM incident_evidence WHERE incident_id = $1 AND id > $2) AS e",
    )
    .bind(incident)
    .bind(behind)
    .fetch_one(connection)
    .await
    .map_err(StoreError::at("look which systems are affected"))
}

/// What came of it.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Assessment<'a> {
    pub incident: i64,
    pub events: i64,
    pub evidence: i64,
    pub assets: i64,
    pub affected: &'a [String],
    pub priority: &'a str,
    /// Whether affected systems or priority changed, at that time.
    pub changed_at: Option<Timestamp>,
}

/// Writes what came of it.
///
/// # Errors
/// The statement failed.
pub async fn write(connection: &mut PgConnection, found: &Assessment<'_>) -> Result<(), StoreError> {
    query(
        "UPDATE incidents SET assessed_events = $2, assessed_evidence = $3, assessed_assets = $4, affected = $5, priority = $6, \
             updated_at = coalesce($7, updated_at), version = version + CASE WHEN $7::timestamptz IS NULL THEN 0 ELSE 1 END WHERE id = $1",
    )
    .bind(found.incident)
    .bind(found.events)
    .bind(found.evidence)
    .bind(found.assets)
    .bind(found.affected)
    .bind(found.priority)
    .bind(found.changed_at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("write what an incident affects"))
}

/// What was said on the timeline, by whom: for those who want to see what changed.
pub fn shown(asset: &AssetRow) -> Value {
    serde_json::json!({
        "name": asset.name, "matches": asset.matches, "criticality": asset.criticality, "owner": asset.owner, "comment": asset.comment,
    })
}
