//! `evidence_files` and `evidence_chunks`.

use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query, query_as, query_scalar};

use super::StoreError;
use crate::record::Timestamp;

/// A file that is evidence, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct FileRow {
    /// Its key.
    pub id: i64,
    /// What it was called where it came from.
    pub name: String,
    /// What it is, as whoever added it says.
    pub media_type: String,
    /// In bytes.
    pub size: i64,
    /// SHA-256 of what is in it, in hexadecimal digits.
    pub sha256: String,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: Timestamp,
    /// Since when it is out of sight.
    pub archived_at: Option<Timestamp>,
    /// By whom.
    pub archived_by: Option<String>,
}

/// A file with its key, and the data key of its incident, as of one moment.
#[derive(Debug, Clone, FromRow)]
pub struct SealedFile {
    /// The file.
    #[sqlx(flatten)]
    pub file: FileRow,
    /// In how many chunks it is.
    pub chunks: i32,
    /// Its key, sealed.
    pub file_key: Vec<u8>,
    /// What the data key is sealed with.
    pub master_key_id: Option<String>,
    /// The data key, sealed.
    pub wrapped: Option<Vec<u8>>,
}

/// The files of an incident that are there whole, in order.
///
/// # Errors
/// The statement failed.
pub async fn of(connection: &mut PgConnection, incident: i64) -> Result<Vec<FileRow>, StoreError> {
    query_as(
        "SELECT id, name, media_type, size, encode(sha256, 'hex') AS sha256, added_by, added_at, archived_at, archived_by \
         FROM evidence_files WHERE incident_id = $1 AND added_at IS NOT NULL ORDER BY id",
    )
    .bind(incident)
    .fetch_all(connection)
    .await
    .map_err(StoreError::at("read the files of an incident"))
}

/// A file of an incident that is there whole.
///
/// # Errors
/// The statement failed.
pub async fn sealed(connection: &mut PgConnection, incident: i64, id: i64) -> Result<Option<SealedFile>, StoreError> {
    query_as(
        "SELECT f.id, f.name, f.media_type, f.size, encode(f.sha256, 'hex') AS sha256, f.added_by, f.added_at, f.archived_at, f.archived_by, \
                f.chunks, f.file_key, k.master_key_id, k.wrapped \
         FROM evidence_files f LEFT JOIN data_keys k ON k.incident_id = f.incident_id \
         WHERE f.incident_id = $1 AND f.id = $2 AND f.added_at IS NOT NULL",
    )
    .bind(incident)
    .bind(id)
    .fetch_optional(connection)
    .await
    .map_err(StoreError::at("read a file"))
}

/// How many files an incident has, those on their way included.
///
/// # Errors
/// The statement failed.
pub async fn count(connection: &mut PgConnection, incident: i64) -> Result<i64, StoreError> {
    let number = query_scalar("SELECT count(*) FROM evidence_files WHERE incident_id = $1").bind(incident);
    number.fetch_one(connection).await.map_err(StoreError::at("count the files of an incident"))
}

/// An id for a file that is to be added: its key is bound to it.
///
/// # Errors
/// The statement failed.
pub async fn next_id(connection: &mut PgConnection) -> Result<i64, StoreError> {
    let id = query_scalar("SELECT nextval(pg_get_serial_sequence('evidence_files', 'id'))").fetch_one(connection).await;
    id.map_err(StoreError::at("take an id"))
}

/// A file that is to come.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct NewFile<'a> {
    pub id: i64,
    pub incident_id: i64,
    pub name: &'a str,
    pub media_type: &'a str,
    pub file_key: &'a [u8],
    pub added_by: &'a str,
    pub begun_at: Timestamp,
}

/// Begins a file.
///
/// # Errors
/// The statement failed.
pub async fn begin(connection: &mut PgConnection, new: &NewFile<'_>) -> Result<(), StoreError> {
    query(
        "INSERT INTO evidence_files (id, incident_id, name, media_type, file_key, added_by, begun_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(new.id)
    .bind(new.incident_id)
    .bind(new.name)
    .bind(new.media_type)
    .bind(new.file_key)
    .bind(new.added_by)
    .bind(new.begun_at)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("begin a file"))
}

/// Adds a chunk.
///
/// # Errors
/// The statement failed.
pub async fn add_chunk(connection: &mut PgConnection, file: i64, number: i32, sealed: &[u8]) -> Result<(), StoreError> {
    query("INSERT INTO evidence_chunks (file_id, number, sealed) VALUES ($1, $2, $3)")
        .bind(file)
        .bind(number)
        .bind(sealed)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("write a file"))
}

/// A chunk.
///
/// # Errors
/// The statement failed.
pub async fn chunk(connection: &mut PgConnection, file: i64, number: i32) -> Result<Option<Vec<u8>>, StoreError> {
    query_scalar("SELECT sealed FROM evidence_chunks WHERE file_id = $1 AND number = $2")
        .bind(file)
        .bind(number)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::at("read a file"))
}

/// The file is there whole; false if it was removed meanwhile.
///
/// # Errors
/// The statement failed.
pub async fn finish(
    connection: &mut PgConnection,
    file: i64,
    size: i64,
    chunks: i32,
    sha256: &[u8],
    at: Timestamp,
) -> Result<bool, StoreError> {
    query("UPDATE evidence_files SET size = $2, chunks = $3, sha256 = $4, added_at = $5 WHERE id = $1 AND added_at IS NULL")
        .bind(file)
        .bind(size)
        .bind(chunks)
        .bind(sha256)
        .bind(at)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(StoreError::at("finish a file"))
}

/// Takes a file out of sight; false if it is already.
///
/// # Errors
/// The statement failed.
pub async fn archive(connection: &mut PgConnection, file: i64, by: &str, at: Timestamp) -> Result<bool, StoreError> {
    query("UPDATE evidence_files SET archived_at = $2, archived_by = $3 WHERE id = $1 AND archived_at IS NULL")
        .bind(file)
        .bind(at)
        .bind(by)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(StoreError::at("archive a file"))
}

/// Removes a file that will never be whole.
///
/// # Errors
/// The statement failed.
pub async fn abandon(connection: &mut PgConnection, file: i64) -> Result<(), StoreError> {
    let done = query("DELETE FROM evidence_files WHERE id = $1 AND added_at IS NULL").bind(file).execute(connection).await;
    done.map(|_| ()).map_err(StoreError::at("remove an unfinished file"))
}

/// Removes the files that were begun before and are not there whole; returns how many.
///
/// # Errors
/// The statement failed.
pub async fn sweep(connection: &mut PgConnection, before: Timestamp) -> Result<u64, StoreError> {
    let done =
        query("DELETE FROM evidence_files WHERE added_at IS NULL AND begun_at < $1").bind(before).execute(connection).await;
    done.map(|done| done.rows_affected()).map_err(StoreError::at("remove unfinished files"))
}

/// The keys of the files of an incident, those on their way included, sealed.
///
/// # Errors
/// The statement failed.
pub async fn keys_of(connection: &mut PgConnection, incident: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let rows = query_as("SELECT id, file_key FROM evidence_files WHERE incident_id = $1 ORDER BY id").bind(incident);
    rows.fetch_all(connection).await.map_err(StoreError::at("read the keys of files"))
}

/// Keeps the key of a file, sealed anew, for that incident.
///
/// # Errors
/// The statement failed.
pub async fn rewrap(connection: &mut PgConnection, file: i64, incident: i64, file_key: &[u8]) -> Result<(), StoreError> {
    let statement = query("UPDATE evidence_files SET incident_id = $2, file_key = $3 WHERE id = $1").bind(file).bind(incident);
    let done = statement.bind(file_key).execute(connection).await;
    done.map(|_| ()).map_err(StoreError::at("seal the key of a file anew"))
}
