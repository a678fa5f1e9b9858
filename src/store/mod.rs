//! PostgreSQL: every statement of the program is here, one per function, parameters bound.
//!
//! [`Store`] is how everything but ingestion reaches the database, through a pool. Ingestion has connections of its own, a [`Writer`]
//! each, which store a batch in one transaction: rows, positions, deliveries and incidents together, or nothing.
//!
//! Exactly once rests on one row: `positions` with the input `pipeline` holds the number of the last transaction. Each transaction
//! says which number it follows and which epoch it belongs to; if either is not what the row says, it changes nothing.

pub mod copy;
pub mod embedded;
mod error;
mod incidents;
pub mod ledger;
mod positions;
pub mod seat;
pub mod verify;
mod warmup;
mod writer;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Row};

pub use error::StoreError;
pub use positions::{Saved, SavedPosition};
pub use warmup::Observed;
pub use writer::{Refused, Transaction, Writer};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    options: PgConnectOptions,
    pool: PgPool,
}

/// Reads a database URL.
///
/// # Errors
/// It is none. The error does not repeat it, since it may hold a password.
pub fn options_from_url(url: &str) -> Result<PgConnectOptions, StoreError> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(StoreError::Url(sqlx::Error::Configuration("the scheme is not postgres".into())));
    }
    url.parse::<PgConnectOptions>().map_err(StoreError::Url)
}

impl Store {
    /// Connects and brings the tables up to date; other daemons that start at the same time wait for each other.
    ///
    /// # Errors
    /// The server cannot be reached, is too old, or refuses. [`StoreError::is_transient`] tells whether to try again.
    pub async fn connect(options: PgConnectOptions) -> Result<Store, StoreError> {
        let options = options.application_name("tocsin").log_statements(tracing::log::LevelFilter::Off);
        let pool = PgPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(10))
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(options.clone());
        let mut connection = PgConnection::connect_with(&options).await.map_err(StoreError::at("connect to the database"))?;
        let version: i32 = sqlx::query("SELECT current_setting('server_version_num')::int")
            .fetch_one(&mut connection)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(StoreError::at("ask the server for its version"))?;
        if version < 150_000 {
            return Err(StoreError::TooOld { found: format!("{}", version / 10_000) });
        }
        MIGRATIONS.run(&pool).await.map_err(StoreError::Migrate)?;
        let _ = connection.close().await;
        Ok(Store { options, pool })
    }

    /// The pool, for queries.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes every connection of the pool.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The first id of the next block of [`Store::ID_BLOCK`] ids.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn next_id_block(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT nextval('logs_id_seq')").fetch_one(&self.pool).await;
        row.and_then(|row| row.try_get(0)).map_err(StoreError::at("take a block of ids"))
    }

    /// Ids in a block; the increment of `logs_id_seq`.
    pub const ID_BLOCK: i64 = 65_536;

    /// Makes the partition of a UTC day (days since 1970-01-01), unless it is there.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn ensure_partition(&self, day: i64) -> Result<(), StoreError> {
        let (year, month, day_of_month) = crate::record::civil_from_days(day);
        sqlx::query("SELECT ensure_log_partition(make_date($1, $2, $3))")
            .bind(year)
            .bind(i32::from(month))
            .bind(i32::from(day_of_month))
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(StoreError::at("make a partition of logs"))
    }

    /// A connection of one's own.
    async fn plain_connection(&self) -> Result<PgConnection, StoreError> {
        PgConnection::connect_with(&self.options).await.map_err(StoreError::at("connect to the database"))
    }

    /// A connection for ingestion.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn writer(&self) -> Result<Writer, StoreError> {
        Writer::connect(&self.options).await
    }

    /// True if the database answers.
    pub async fn is_alive(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// Deliveries stored within the last days, at most the newest million.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn recent_deliveries(&self) -> Result<Vec<(String, String)>, StoreError> {
        sqlx::query_as(
            "SELECT source, delivery_id FROM deliveries WHERE stored_at > now() - interval '7 days' ORDER BY stored_at DESC LIMIT 1000000",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::at("read the deliveries"))
    }

    /// Forgets deliveries of more than seven days ago.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn forget_old_deliveries(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM deliveries WHERE stored_at < now() - interval '7 days'")
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(StoreError::at("forget old deliveries"))
    }
}
