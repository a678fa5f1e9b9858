//! `second_factors` and `recovery_codes`.

use sqlx::postgres::PgConnection;
use sqlx::{FromRow, query, query_as};

use super::StoreError;
use crate::record::Timestamp;

/// A row of `second_factors`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
#[allow(missing_docs)]
pub struct FactorRow {
    pub secret: Vec<u8>,
    pub last_step: i64,
    pub confirmed_at: Option<Timestamp>,
}

/// The second factor of a user, who is locked, so that no code is accepted twice.
///
/// # Errors
/// The statement failed.
pub async fn of(connection: &mut PgConnection, user: i64) -> Result<Option<FactorRow>, StoreError> {
    query_as("SELECT secret, last_step, confirmed_at FROM second_factors WHERE user_id = $1")
        .bind(user)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::at("read a second factor"))
}

/// Begins a second factor, in place of one that was never confirmed.
///
/// # Errors
/// The statement failed.
pub async fn begin(connection: &mut PgConnection, user: i64, secret: &[u8], now: Timestamp) -> Result<(), StoreError> {
    query(
        "INSERT INTO second_factors (user_id, secret, last_step, begun_at) VALUES ($1, $2, 0, $3) \
         ON CONFLICT (user_id) DO UPDATE SET secret = $2, last_step = 0, begun_at = $3 WHERE second_factors.confirmed_at IS NULL",
    )
    .bind(user)
    .bind(secret)
    .bind(now)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("begin a second factor"))
}

/// From now on it is asked for.
///
/// # Errors
/// The statement failed.
pub async fn confirm(connection: &mut PgConnection, user: i64, now: Timestamp) -> Result<(), StoreError> {
    let done =
        query("UPDATE second_factors SET confirmed_at = $2 WHERE user_id = $1").bind(user).bind(now).execute(connection).await;
    done.map(|_| ()).map_err(StoreError::at("confirm a second factor"))
}

/// The code of that time step was accepted.
///
/// # Errors
/// The statement failed.
pub async fn accepted(connection: &mut PgConnection, user: i64, step: i64) -> Result<(), StoreError> {
    let done =
        query("UPDATE second_factors SET last_step = $2 WHERE user_id = $1").bind(user).bind(step).execute(connection).await;
    done.map(|_| ()).map_err(StoreError::at("note a time step"))
}

/// Removes a second factor with its recovery codes; false if there is none.
///
/// # Errors
/// The statement failed.
pub async fn remove(connection: &mut PgConnection, user: i64) -> Result<bool, StoreError> {
    let done = query("DELETE FROM second_factors WHERE user_id = $1").bind(user).execute(connection).await;
    done.map(|done| done.rows_affected() == 1).map_err(StoreError::at("remove a second factor"))
}

/// Keeps recovery codes.
///
/// # Errors
/// The statement failed.
pub async fn add_recovery_codes(connection: &mut PgConnection, user: i64, hashes: &[Vec<u8>]) -> Result<(), StoreError> {
    query("INSERT INTO recovery_codes (user_id, code_hash) SELECT $1, unnest($2::bytea[])")
        .bind(user)
        .bind(hashes)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("keep recovery codes"))
}

/// Uses a recovery code up; false if it is none, or was used.
///
/// # Errors
/// The statement failed.
pub async fn use_recovery_code(
    connection: &mut PgConnection,
    user: i64,
    hash: &[u8],
    now: Timestamp,
) -> Result<bool, StoreError> {
    query("UPDATE recovery_codes SET used_at = $3 WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL")
        .bind(user)
        .bind(hash)
        .bind(now)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() == 1)
        .map_err(StoreError::at("use a recovery code"))
}
