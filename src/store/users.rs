//! `users`, `sessions` and `api_tokens`.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Row as _, query};

use super::StoreError;
use crate::record::Timestamp;

/// A row of `users`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct UserRow {
    pub id: i64,
    pub name: String,
    pub display_name: Option<String>,
    pub email: Option<String>,
    pub role: String,
    pub password_hash: String,
    pub must_change: bool,
    pub failed_logins: i32,
    pub locked_until: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Whether a code is asked for, too.
    pub second_factor: bool,
}

macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, display_name, email, role::text, password_hash, must_change, failed_logins, \
                    locked_until, disabled_at, version, created_at, updated_at, \
                    EXISTS (SELECT FROM second_factors f WHERE f.user_id = users.id AND f.confirmed_at IS NOT NULL) \
             FROM users ",
            $rest
        )
    };
}

fn user(row: &PgRow) -> Result<UserRow, sqlx::Error> {
    Ok(UserRow {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        display_name: row.try_get(2)?,
        email: row.try_get(3)?,
        role: row.try_get(4)?,
        password_hash: row.try_get(5)?,
        must_change: row.try_get(6)?,
        failed_logins: row.try_get(7)?,
        locked_until: row.try_get(8)?,
        disabled_at: row.try_get(9)?,
        version: row.try_get(10)?,
        created_at: row.try_get(11)?,
        updated_at: row.try_get(12)?,
        second_factor: row.try_get(13)?,
    })
}

/// All users, by name.
///
/// # Errors
/// The statement failed.
pub async fn all(connection: &mut PgConnection) -> Result<Vec<UserRow>, StoreError> {
    let rows = query(select_users!("ORDER BY name")).fetch_all(connection).await;
    rows.and_then(|rows| rows.iter().map(user).collect()).map_err(StoreError::at("read the users"))
}

/// The user of that name.
///
/// # Errors
/// The statement failed.
pub async fn by_name(connection: &mut PgConnection, name: &str) -> Result<Option<UserRow>, StoreError> {
    let row = query(select_users!("WHERE name = $1")).bind(name).fetch_optional(connection).await;
    row.and_then(|row| row.as_ref().map(user).transpose()).map_err(StoreError::at("read a user"))
}

/// The same, to be changed: whoever else wants to waits until the transaction has ended.
///
/// # Errors
/// The statement failed.
pub async fn by_name_to_change(connection: &mut PgConnection, name: &str) -> Result<Option<UserRow>, StoreError> {
    let row = query(select_users!("WHERE name = $1 FOR UPDATE")).bind(name).fetch_optional(connection).await;
    row.and_then(|row| row.as_ref().map(user).transpose()).map_err(StoreError::at("read a user"))
}

/// How many users there are who may do everything, apart from this one.
///
/// # Errors
/// The statement failed.
pub async fn other_admins(connection: &mut PgConnection, id: i64) -> Result<i64, StoreError> {
    // Locked, so that two admins cannot end each other at one time.
    let rows = query("SELECT id FROM users WHERE role = 'admin' AND disabled_at IS NULL AND id <> $1 FOR UPDATE")
        .bind(id)
        .fetch_all(connection)
        .await;
    rows.map(|rows| rows.len() as i64).map_err(StoreError::at("count the admins"))
}

/// Makes a user; false if there is one of that name.
///
/// # Errors
/// The statement failed.
pub async fn insert(connection: &mut PgConnection, user: &UserRow) -> Result<bool, StoreError> {
    query(
        "INSERT INTO users (name, display_name, email, role, password_hash, must_change, created_at, updated_at) \
         VALUES ($1, $2, $3, $4::user_role, $5, $6, $7, $7) ON CONFLICT (name) DO NOTHING",
    )
    .bind(&user.name)
    .bind(&user.display_name)
    .bind(&user.email)
    .bind(&user.role)
    .bind(&user.password_hash)
    .bind(user.must_change)
    .bind(user.created_at)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::at("make a user"))
}

/// Writes what somebody changed, and counts the change.
///
/// # Errors
/// The statement failed.
pub async fn update(connection: &mut PgConnection, user: &UserRow, now: Timestamp) -> Result<(), StoreError> {
    query(
        "UPDATE users SET display_name = $2, email = $3, role = $4::user_role, password_hash = $5, must_change = $6, failed_logins = $7, \
             locked_until = $8, disabled_at = $9, version = version + 1, updated_at = $10 \
         WHERE id = $1",
    )
    .bind(user.id)
    .bind(&user.display_name)
    .bind(&user.email)
    .bind(&user.role)
    .bind(&user.password_hash)
    .bind(user.must_change)
    .bind(user.failed_logins)
    .bind(user.locked_until)
    .bind(user.disabled_at)
    .bind(now)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("change a user"))
}

/// Counts a wrong password, or forgets those before a right one. That is no change that anybody made.
///
/// # Errors
/// The statement failed.
pub async fn note_attempt(
    connection: &mut PgConnection,
    id: i64,
    failed_logins: i32,
    locked_until: Option<Timestamp>,
) -> Result<(), StoreError> {
    query("UPDATE users SET failed_logins = $2, locked_until = $3 WHERE id = $1")
        .bind(id)
        .bind(failed_logins)
        .bind(locked_until)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("count a wrong password"))
}

/// Whoever holds a token, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Holder {
    pub user_id: i64,
    pub name: String,
    pub role: String,
    pub must_change: bool,
    pub last_used_at: Option<Timestamp>,
}

fn holder(row: &PgRow) -> Result<Holder, sqlx::Error> {
    Ok(Holder {
        user_id: row.try_get(0)?,
        name: row.try_get(1)?,
        role: row.try_get(2)?,
        must_change: row.try_get(3)?,
        last_used_at: row.try_get(4)?,
    })
}

/// Begins a session.
///
/// # Errors
/// The statement failed.
pub async fn begin_session(
    connection: &mut PgConnection,
    token_hash: &[u8],
    user_id: i64,
    now: Timestamp,
    address: Option<std::net::IpAddr>,
    user_agent: Option<&str>,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO sessions (token_hash, user_id, created_at, last_used_at, address, user_agent) \
         VALUES ($1, $2, $3, $3, $4::inet, $5)",
    )
    .bind(token_hash)
    .bind(user_id)
    .bind(now)
    .bind(address.map(|a| a.to_string()))
    .bind(user_agent)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("begin a session"))
}

/// Whose session it is, if it was begun after one time and used after another, and its user is not disabled.
///
/// # Errors
/// The statement failed.
pub async fn session(
    connection: &mut PgConnection,
    token_hash: &[u8],
    begun_after: Timestamp,
    used_after: Timestamp,
) -> Result<Option<Holder>, StoreError> {
    let row = query(
        "SELECT u.id, u.name, u.role::text, u.must_change, s.last_used_at \
         FROM sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.token_hash = $1 AND u.disabled_at IS NULL AND s.created_at > $2 AND s.last_used_at > $3",
    )
    .bind(token_hash)
    .bind(begun_after)
    .bind(used_after)
    .fetch_optional(connection)
    .await;
    row.and_then(|row| row.as_ref().map(holder).transpose()).map_err(StoreError::at("look for a session"))
}

/// Notes that a session was used.
///
/// # Errors
/// The statement failed.
pub async fn touch_session(connection: &mut PgConnection, token_hash: &[u8], now: Timestamp) -> Result<(), StoreError> {
    query("UPDATE sessions SET last_used_at = $2 WHERE token_hash = $1")
        .bind(token_hash)
        .bind(now)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("note that a session was used"))
}

/// Ends a session; false if there is none.
///
/// # Errors
/// The statement failed.
pub async fn end_session(connection: &mut PgConnection, token_hash: &[u8]) -> Result<bool, StoreError> {
    let done = query("DELETE FROM sessions WHERE token_hash = $1").bind(token_hash).execute(connection).await;
    done.map(|done| done.rows_affected() == 1).map_err(StoreError::at("end a session"))
}

/// Ends every session of a user; returns how many those were.
///
/// # Errors
/// The statement failed.
pub async fn end_sessions_of(connection: &mut PgConnection, user_id: i64) -> Result<u64, StoreError> {
    let done = query("DELETE FROM sessions WHERE user_id = $1").bind(user_id).execute(connection).await;
    done.map(|done| done.rows_affected()).map_err(StoreError::at("end the sessions of a user"))
}

/// Forgets sessions that have ended by themselves.
///
/// # Errors
/// The statement failed.
pub async fn forget_sessions(
    connection: &mut PgConnection,
    begun_after: Timestamp,
    used_after: Timestamp,
) -> Result<(), StoreError> {
    query(
        "DELETE FROM sessions WHERE created_at <= $1 \
         OR last_used_at <= $2",
    )
    .bind(begun_after)
    .bind(used_after)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(StoreError::at("forget sessions"))
}

/// A row of `api_tokens`, without its hash: what anybody may see of a token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct TokenRow {
    /// What it is for.
    pub name: String,
    /// On whose behalf it acts.
    pub user: String,
    /// What it may do, unless its user may do less.
    #[schema(pattern = "^(viewer|analyst|admin)$")]
    pub role: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is accepted.
    pub expires_at: Timestamp,
    /// When it was last used, within a minute.
    pub last_used_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

/// Makes a token; false if the user has one of that name.
///
/// # Errors
/// The statement failed.
pub async fn insert_token(
    connection: &mut PgConnection,
    token: &TokenRow,
    token_hash: &[u8],
    user_id: i64,
) -> Result<bool, StoreError> {
    query(
        "INSERT INTO api_tokens (name, token_hash, user_id, role, created_at, expires_at) \
         VALUES ($1, $2, $3, $4::user_role, $5, \
                 $6) ON CONFLICT (user_id, name) DO NOTHING",
    )
    .bind(&token.name)
    .bind(token_hash)
    .bind(user_id)
    .bind(&token.role)
    .bind(token.created_at)
    .bind(token.expires_at)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::at("make a token"))
}

/// Whose token it is, with the lesser of its role and theirs, if it is valid at that time.
///
/// # Errors
/// The statement failed.
pub async fn token(connection: &mut PgConnection, token_hash: &[u8], now: Timestamp) -> Result<Option<Holder>, StoreError> {
    let row = query(
        "SELECT u.id, u.name, least(t.role, u.role)::text, u.must_change, t.last_used_at \
         FROM api_tokens t JOIN users u ON u.id = t.user_id \
         WHERE t.token_hash = $1 AND u.disabled_at IS NULL AND t.revoked_at IS NULL \
           AND t.expires_at > $2",
    )
    .bind(token_hash)
    .bind(now)
    .fetch_optional(connection)
    .await;
    row.and_then(|row| row.as_ref().map(holder).transpose()).map_err(StoreError::at("look for a token"))
}

/// Notes that a token was used.
///
/// # Errors
/// The statement failed.
pub async fn touch_token(connection: &mut PgConnection, token_hash: &[u8], now: Timestamp) -> Result<(), StoreError> {
    query("UPDATE api_tokens SET last_used_at = $2 WHERE token_hash = $1")
        .bind(token_hash)
        .bind(now)
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(StoreError::at("note that a token was used"))
}

/// All tokens, by user and name.
///
/// # Errors
/// The statement failed.
pub async fn tokens(connection: &mut PgConnection) -> Result<Vec<TokenRow>, StoreError> {
    let rows = query(
        "SELECT t.name, u.name, t.role::text, t.created_at, \
                t.expires_at, t.last_used_at, \
                t.revoked_at \
         FROM api_tokens t JOIN users u ON u.id = t.user_id ORDER BY u.name, t.name",
    )
    .fetch_all(connection)
    .await;
    let read = |row: &PgRow| {
        Ok(TokenRow {
            name: row.try_get(0)?,
            user: row.try_get(1)?,
            role: row.try_get(2)?,
            created_at: row.try_get(3)?,
            expires_at: row.try_get(4)?,
            last_used_at: row.try_get(5)?,
            revoked_at: row.try_get(6)?,
        })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(StoreError::at("read the tokens"))
}

/// Refuses a token from now on; false if the user has none of that name that is not refused already.
///
/// # Errors
/// The statement failed.
pub async fn revoke_token(connection: &mut PgConnection, user_id: i64, name: &str, now: Timestamp) -> Result<bool, StoreError> {
    query(
        "UPDATE api_tokens SET revoked_at = $3 \
         WHERE user_id = $1 AND name = $2 AND revoked_at IS NULL",
    )
    .bind(user_id)
    .bind(name)
    .bind(now)
    .execute(connection)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(StoreError::at("revoke a token"))
}
