//! `incident_parties`.

use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query, query_as, query_scalar};

use super::StoreError;
use crate::record::Timestamp;
use crate::record::case::{PartyRole, Status};

/// A row of `incident_parties`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
#[allow(missing_docs)]
pub struct PartyRow {
    pub id: i64,
    pub incident_id: i64,
    pub role: String,
    pub sealed: Option<Vec<u8>>,
    pub tokens: Vec<Vec<u8>>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: i64,
    pub erased_at: Option<Timestamp>,
    pub erased_by: Option<String>,
}

macro_rules! select_parties {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, p.incident_id, p.role, p.sealed, p.tokens, p.created_by, p.created_at, p.updated_at, p.version, p.erased_at, \
                    p.erased_by \
             FROM incident_parties p ",
            $rest
        )
    };
}

/// A party with the data key of its incident, both as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SealedParty {
    /// The party.
    #[sqlx(flatten)]
    pub party: PartyRow,
    /// What the data key is sealed with.
    pub master_key_id: Option<String>,
    /// The data key, sealed.
    pub wrapped: Option<Vec<u8>>,
}

/// Parties of an incident from behind an id on, in order, with its data key.
///
/// # Errors
/// The statement failed.
pub async fn sealed_of(
    connection: &mut PgConnection,
    incident: i64,
    behind: i64,
    limit: i64,
) -> Result<Vec<SealedParty>, StoreError> {
    query_as(
        "SELECT p.id, p.incident_id, p.role, p.sealed, p.tokens, p.created_by, p.created_at, p.updated_at, p.version, p.erased_at, \
                p.erased_by, k.master_key_id, k.wrapped \
         FROM incident_parties p LEFT JOIN data_keys k ON k.incident_id = p.incident_id \
         WHERE p.incident_id = $1 AND p.id > $2 ORDER BY p.id LIMIT $3",
    )
    .bind(incident)
    .bind(behind)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("read the parties of an incident"))
}

/// The same without the key, for who has locked the incident.
///
/// # Errors
/// The statement failed.
pub async fn of(connection: &mut PgConnection, incident: i64, behind: i64, limit: i64) -> Result<Vec<PartyRow>, StoreError> {
    query_as(select_parties!("WHERE p.incident_id = $1 AND p.id > $2 ORDER BY p.id LIMIT $3"))
        .bind(incident)
        .bind(behind)
        .bind(limit)
        .fetch_all(connection)
        .await
        .map_err(StoreError::at("read the parties of an incident"))
}

/// A party of an incident.
///
/// # Errors
/// The statement failed.
pub async fn by_id(connection: &mut PgConnection, incident: i64, id: i64) -> Result<Option<PartyRow>, StoreError> {
    let row =
        query_as(select_parties!("WHERE p.incident_id = $1 AND p.id = $2")).bind(incident).bind(id).fetch_optional(connection);
    row.await.map_err(StoreError::at("read a party"))
}

/// How many parties an incident has.
///
/// # Errors
/// The statement failed.
pub async fn count(connection: &mut PgConnection, incident: i64) -> Result<i64, StoreError> {
    let number = query_scalar("SELECT count(*) FROM incident_parties WHERE incident_id = $1").bind(incident);
    number.fetch_one(connection).await.map_err(StoreError::at("count the parties of an incident"))
}

/// An id for a party that is to be added: what is sealed of it says so.
///
/// # Errors
/// The statement failed.
pub async fn next_id(connection: &mut PgConnection) -> Result<i64, StoreError> {
    let id = query_scalar("SELECT nextval(pg_get_serial_sequence('incident_parties', 'id'))").fetch_one(connection).await;
    id.map_err(StoreError::at("take an id"))
}

/// Adds a party.
///
/// # Errors
/// The statement failed.
pub async fn insert(connection: &mut PgConnection, party: &PartyRow) -> Result<(), StoreError> {
    query(
        "INSERT INTO incident_parties (id, incident_id, role, sealed, tokens, created_by, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
    )
    .bind(party.id)
    .bind(party.incident_id)
    .bind(&party.role)
    .bind(&party.sealed)
    .bind(&party.tokens)
    .bind(&party.created_by)
    .bind(party.created_at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("add a party"))
}

/// Writes what somebody changed of a party, and counts the change.
///
/// # Errors
/// The statement failed.
pub async fn update(connection: &mut PgConnection, party: &PartyRow) -> Result<(), StoreError> {
    query(
        "UPDATE incident_parties SET role = $2, sealed = $3, tokens = $4, updated_at = $5, erased_at = $6, erased_by = $7, \
             version = version + 1 \
         WHERE id = $1",
    )
    .bind(party.id)
    .bind(&party.role)
    .bind(&party.sealed)
    .bind(&party.tokens)
    .bind(party.updated_at)
    .bind(party.erased_at)
    .bind(&party.erased_by)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("change a party"))
}

/// Writes what was sealed anew, for that incident; nothing else is changed.
///
/// # Errors
/// The statement failed.
pub async fn reseal(connection: &mut PgConnection, id: i64, incident: i64, sealed: Option<&[u8]>) -> Result<(), StoreError> {
    let statement =
        query("UPDATE incident_parties SET incident_id = $2, sealed = $3 WHERE id = $1").bind(id).bind(incident).bind(sealed);
    statement.execute(connection).await.map(|_| ()).map_err(StoreError::at("seal a party anew"))
}

/// A party that was found, without who it is.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct FoundParty {
    /// Number of the incident.
    pub incident: String,
    /// What the incident is called.
    pub title: String,
    /// Its status.
    #[schema(value_type = Status)]
    pub status: String,
    /// Of the party.
    pub id: i64,
    /// What they have to do with the incident.
    #[schema(value_type = PartyRole)]
    pub role: String,
}

/// Parties with any of these tokens, those of the newest incidents first.
///
/// # Errors
/// The statement failed.
pub async fn with_tokens(connection: &mut PgConnection, tokens: &[Vec<u8>], limit: i64) -> Result<Vec<FoundParty>, StoreError> {
    query_as(
        "SELECT i.number AS incident, i.title, i.status::text AS status, p.id, p.role \
         FROM incident_parties p JOIN incidents i ON i.id = p.incident_id WHERE p.tokens && $1 ORDER BY i.id DESC, p.id LIMIT $2",
    )
    .bind(tokens)
    .bind(limit)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("look for parties"))
}
