//! `data_keys`.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row as _, query, query_as, query_scalar};

use super::StoreError;
use crate::record::Timestamp;

/// What a data key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The parties and files of that incident.
    Incident(i64),
    /// To find people by exact values.
    BlindIndex,
    /// The secrets of second factors.
    SecondFactor,
}

impl Owner {
    /// `data_keys.purpose`.
    pub fn purpose(self) -> Option<&'static str> {
        match self {
            Owner::Incident(_) => None,
            Owner::BlindIndex => Some("blind-index"),
            Owner::SecondFactor => Some("second-factor"),
        }
    }

    fn incident(self) -> Option<i64> {
        match self {
            Owner::Incident(id) => Some(id),
            Owner::BlindIndex | Owner::SecondFactor => None,
        }
    }
}

/// A data key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Wrapped {
    /// What it is sealed with.
    pub master_key_id: String,
    /// Itself, sealed.
    pub wrapped: Vec<u8>,
}

/// Nobody changes the file with the master keys until the transaction has ended.
///
/// # Errors
/// The statement failed.
pub async fn share_master_keys(connection: &mut PgConnection) -> Result<(), StoreError> {
    let locked =
        query("SELECT pg_advisory_xact_lock_shared(hashtextextended('tocsin master keys', 0))").execute(connection).await;
    locked.map(|_| ()).map_err(StoreError::at("hold the master keys"))
}

/// Nobody else changes the file with the master keys or seals with one of them until the transaction has ended.
///
/// # Errors
/// The statement failed.
pub async fn lock_master_keys(connection: &mut PgConnection) -> Result<(), StoreError> {
    let locked = query("SELECT pg_advisory_xact_lock(hashtextextended('tocsin master keys', 0))").execute(connection).await;
    locked.map(|_| ()).map_err(StoreError::at("lock the master keys"))
}

/// What is sealed with a master key.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Used {
    /// Which.
    pub master_key_id: String,
    /// Data keys.
    pub data_keys: i64,
    /// Those of incidents.
    pub incidents: i64,
}

/// What is sealed with each master key.
///
/// # Errors
/// The statement failed.
pub async fn by_master_key(connection: &mut PgConnection) -> Result<Vec<Used>, StoreError> {
    query_as("SELECT master_key_id, count(*) AS data_keys, count(incident_id) AS incidents FROM data_keys GROUP BY 1 ORDER BY 1")
        .fetch_all(connection)
        .await
        .map_err(StoreError::at("count the data keys"))
}

/// How many data keys are sealed with another master key than that.
///
/// # Errors
/// The statement failed.
pub async fn sealed_otherwise(connection: &mut PgConnection, master_key_id: &str) -> Result<u64, StoreError> {
    let number = query_scalar::<_, i64>("SELECT count(*) FROM data_keys WHERE master_key_id <> $1").bind(master_key_id);
    number.fetch_one(connection).await.map(i64::unsigned_abs).map_err(StoreError::at("count the data keys"))
}

/// Some of them from behind an id on, to be changed, in the order of ids.
///
/// # Errors
/// The statement failed.
pub async fn sealed_otherwise_to_change(
    connection: &mut PgConnection,
    master_key_id: &str,
    behind: i64,
    limit: i64,
) -> Result<Vec<(i64, Owner, Wrapped)>, StoreError> {
    let rows = query(
        "SELECT id, incident_id, purpose, master_key_id, wrapped FROM data_keys \
         WHERE master_key_id <> $1 AND id > $2 ORDER BY id LIMIT $3 FOR UPDATE",
    )
    .bind(master_key_id)
    .bind(behind)
    .bind(limit)
    .fetch_all(connection)
    .await;
    rows.and_then(|rows| rows.iter().map(owned).collect()).map_err(StoreError::at("read data keys"))
}

fn owned(row: &PgRow) -> Result<(i64, Owner, Wrapped), sqlx::Error> {
    let owner = match (row.try_get(1)?, row.try_get::<Option<&str>, _>(2)?) {
        (Some(incident), _) => Owner::Incident(incident),
        (None, Some("blind-index")) => Owner::BlindIndex,
        (None, Some("second-factor")) => Owner::SecondFactor,
        (None, other) => return Err(sqlx::Error::Decode(format!("a data key for {other:?}, which we do not know").into())),
    };
    Ok((row.try_get(0)?, owner, Wrapped { master_key_id: row.try_get(3)?, wrapped: row.try_get(4)? }))
}

/// The data key of that owner.
///
/// # Errors
/// The statement failed.
pub async fn data_key(connection: &mut PgConnection, owner: Owner) -> Result<Option<Wrapped>, StoreError> {
    query_as("SELECT master_key_id, wrapped FROM data_keys WHERE incident_id = $1 OR purpose = $2")
        .bind(owner.incident())
        .bind(owner.purpose())
        .fetch_optional(connection)
        .await
        .map_err(StoreError::at("read a data key"))
}

/// The same, to be changed.
///
/// # Errors
/// The statement failed.
pub async fn data_key_to_change(connection: &mut PgConnection, owner: Owner) -> Result<Option<Wrapped>, StoreError> {
    query_as("SELECT master_key_id, wrapped FROM data_keys WHERE incident_id = $1 OR purpose = $2 FOR UPDATE")
        .bind(owner.incident())
        .bind(owner.purpose())
        .fetch_optional(connection)
        .await
        .map_err(StoreError::at("read a data key"))
}

/// Keeps a new data key, unless the owner has one.
///
/// # Errors
/// The statement failed.
pub async fn insert(connection: &mut PgConnection, owner: Owner, key: &Wrapped, now: Timestamp) -> Result<(), StoreError> {
    query(
        "INSERT INTO data_keys (incident_id, purpose, master_key_id, wrapped, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(owner.incident())
    .bind(owner.purpose())
    .bind(&key.master_key_id)
    .bind(&key.wrapped)
    .bind(now)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("keep a data key"))
}

/// Keeps the same data key, sealed anew.
///
/// # Errors
/// The statement failed.
pub async fn rewrap(connection: &mut PgConnection, id: i64, key: &Wrapped) -> Result<(), StoreError> {
    query("UPDATE data_keys SET master_key_id = $2, wrapped = $3 WHERE id = $1")
        .bind(id)
        .bind(&key.master_key_id)
        .bind(&key.wrapped)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("seal a data key anew"))
}

/// Keeps another data key in place of the one before.
///
/// # Errors
/// The statement failed.
pub async fn replace(connection: &mut PgConnection, owner: Owner, key: &Wrapped, now: Timestamp) -> Result<(), StoreError> {
    query("UPDATE data_keys SET master_key_id = $3, wrapped = $4, created_at = $5 WHERE incident_id = $1 OR purpose = $2")
        .bind(owner.incident())
        .bind(owner.purpose())
        .bind(&key.master_key_id)
        .bind(&key.wrapped)
        .bind(now)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("replace a data key"))
}
