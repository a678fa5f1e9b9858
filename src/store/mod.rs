//! PostgreSQL: every statement of the program is here, one per function, parameters bound.
//!
//! [`Store`] is how everything but ingestion reaches the database. Ingestion has connections of its own, a [`Writer`] each, which store
//! a batch in one transaction: rows, positions, deliveries and incidents together, or nothing. [`Servers`] says where the database is.
//! What ingestion asks of it is written down in [`Database`] and [`Statements`], so that a modelled database can stand in for it.
//!
//! Exactly once rests on one row: `positions` with the input `pipeline` holds the number of the last transaction. Each transaction
//! says which number it follows and which epoch it belongs to; if either is not what the row says, it changes nothing.

pub mod assets;
pub mod audit;
pub mod cases;
mod connection;
mod copied;
pub mod copy;
mod database;
pub mod dump;
pub mod embedded;
pub(crate) mod error;
pub mod evidence;
pub mod export;
pub mod files;
pub mod incidents;
pub mod keys;
pub mod ledger;
pub mod levels;
pub mod logs;
pub mod observables;
pub mod overview;
pub mod parties;
mod positions;
pub mod query;
pub mod relations;
pub mod reports;
pub mod retention;
pub mod rollups;
pub mod searches;
pub mod seat;
pub mod second_factors;
mod servers;
pub mod suppressions;
mod time;
pub mod users;
pub mod verify;
pub mod warmup;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _, Row};

pub use connection::Connection;
pub use database::{Database, ID_BLOCK, Session, Statements};
pub use error::{Remedy, StoreError};
pub use positions::{Saved, SavedPosition};
pub use servers::Servers;
pub use warmup::Observed;
pub use writer::{Refused, Transaction, Writer};

use crate::record::Timestamp;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    servers: Servers,
    /// Connections that are kept for the next statement.
    kept: Arc<Mutex<Vec<PgConnection>>>,
}

/// As many connections are kept as there are statements at a time: a block of ids, and whether the database is there.
const MAX_KEPT: usize = 2;

impl Store {
    /// Connects and brings the tables up to date; other daemons that start at the same time wait for each other.
    ///
    /// # Errors
    /// No server can be reached and written to, or it is too old, or refuses. [`StoreError::remedy`] tells whether to try again.
    pub async fn connect(servers: impl Into<Servers>) -> Result<Store, StoreError> {
        let store = Store::over(servers.into());
        let mut connection = store.connection().await?;
        let version: i32 = sqlx::query("SELECT current_setting('server_version_num')::int")
            .fetch_one(&mut connection)
            .await
            .and_then(|row| row.try_get(0))
            .map_err(StoreError::at("ask the server for its version"))?;
        if version < 150_000 {
            return Err(StoreError::TooOld { found: format!("{}", version / 10_000) });
        }
        // `run` takes a connection, too, but its future is not `Send` then (sqlx says so at the definition).
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(StoreError::Migrate)?;
        store.keep(connection);
        Ok(store)
    }

    /// Without a look at its tables: there may be none yet.
    pub fn over(servers: Servers) -> Store {
        Store { servers, kept: Arc::default() }
    }

    /// The servers that it is on.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// A connection for a few statements: one that was kept, or a new one.
    ///
    /// # Errors
    /// No server can be reached and written to.
    pub async fn connection(&self) -> Result<PgConnection, StoreError> {
        let kept = self.kept().pop();
        match kept {
            Some(connection) => Ok(connection),
            None => self.servers.connect().await,
        }
    }

    /// Keeps a connection for the next who asks. One on which something failed is to be dropped instead.
    pub fn keep(&self, connection: PgConnection) {
        let mut kept = self.kept();
        if kept.len() < MAX_KEPT {
            kept.push(connection);
        }
    }

    /// Closes the connections that are kept.
    pub async fn close(&self) {
        let kept = std::mem::take(&mut *self.kept());
        for connection in kept {
            let _ = connection.close().await;
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first id of the next block of [`ID_BLOCK`] ids.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn next_id_block(&self) -> Result<i64, StoreError> {
        let mut connection = self.connection().await?;
        let row = sqlx::query("SELECT nextval('logs_id_seq')").fetch_one(&mut connection).await;
        let first = row.and_then(|row| row.try_get(0)).map_err(StoreError::at("take a block of ids"))?;
        self.keep(connection);
        Ok(first)
    }

    /// Makes the partition of a UTC day (days since 1970-01-01), unless it is there.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn ensure_partition(&self, day: i64) -> Result<(), StoreError> {
        let (year, month, day_of_month) = crate::record::civil_from_days(day);
        let mut connection = self.connection().await?;
        sqlx::query("SELECT ensure_log_partition(make_date($1, $2, $3))")
            .bind(year)
            .bind(i32::from(month))
            .bind(i32::from(day_of_month))
            .execute(&mut connection)
            .await
            .map_err(StoreError::at("make a partition of logs"))?;
        self.keep(connection);
        Ok(())
    }

    /// A connection for ingestion.
    ///
    /// # Errors
    /// The server cannot be reached or refuses.
    pub async fn writer(&self) -> Result<Writer<Connection>, StoreError> {
        Connection::open(&self.servers).await.map(Writer::new)
    }

    /// Asks whether the database is there and can be written to.
    ///
    /// # Errors
    /// It is not, or cannot be.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        let row = sqlx::query("SELECT current_setting('transaction_read_only') = 'on'").fetch_one(&mut connection).await;
        if row.and_then(|row| row.try_get(0)).map_err(StoreError::at("ask whether the database is there"))? {
            return Err(StoreError::ReadOnly);
        }
        self.keep(connection);
        Ok(())
    }

    /// Streams source and id of the deliveries that are not forgotten yet, the newest first, at most `most`.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn recent_deliveries(&self, most: usize, each: &mut (dyn FnMut(&str, &str) + Send)) -> Result<(), StoreError> {
        let failed = || StoreError::at("read the deliveries");
        let mut connection = self.connection().await?;
        let mut rows = sqlx::query("SELECT source, delivery_id FROM deliveries ORDER BY stored_at DESC LIMIT $1")
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch(&mut connection);
        while let Some(row) = rows.try_next().await.map_err(failed())? {
            each(row.try_get(0).map_err(failed())?, row.try_get(1).map_err(failed())?);
        }
        drop(rows);
        self.keep(connection);
        Ok(())
    }

    /// Forgets deliveries of more than seven days ago, but for the newest hundred thousand: where the server's clock was set to another
    /// week, those of a minute ago are of long ago.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn forget_old_deliveries(&self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        sqlx::query(
            "DELETE FROM deliveries WHERE stored_at < now() - interval '7 days' \
             AND stored_at < (SELECT stored_at FROM deliveries ORDER BY stored_at DESC OFFSET 99999 LIMIT 1)",
        )
        .execute(&mut connection)
        .await
        .map_err(StoreError::at("forget old deliveries"))?;
        self.keep(connection);
        Ok(())
    }
}

/// Begins a transaction.
///
/// # Errors
/// The statement failed.
pub async fn begin(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.execute("BEGIN").await.map(|_| ()).map_err(StoreError::at("begin"))
}

/// Commits it.
///
/// # Errors
/// The statement failed, and nobody knows whether it went through.
pub async fn commit(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.execute("COMMIT").await.map(|_| ()).map_err(StoreError::at("commit"))
}

impl Database for Store {
    type Connection = Connection;

    async fn take_over(&self) -> Result<Saved, StoreError> {
        Store::take_over(self).await
    }

    async fn each_observed(&self, from: Timestamp, each: &mut (dyn FnMut(Observed) + Send)) -> Result<u64, StoreError> {
        Store::each_observed(self, from, each).await
    }

    async fn each_stored(
        &self,
        from: Timestamp,
        all_from: Timestamp,
        each: &mut (dyn FnMut(Observed) + Send),
    ) -> Result<u64, StoreError> {
        Store::each_stored(self, from, all_from, each).await
    }

    async fn recent_deliveries(&self, most: usize, each: &mut (dyn FnMut(&str, &str) + Send)) -> Result<(), StoreError> {
        Store::recent_deliveries(self, most, each).await
    }

    async fn next_id_block(&self) -> Result<i64, StoreError> {
        Store::next_id_block(self).await
    }

    async fn ensure_partition(&self, day: i64) -> Result<(), StoreError> {
        Store::ensure_partition(self, day).await
    }

    async fn connect(&self) -> Result<Connection, StoreError> {
        Connection::open(&self.servers).await
    }
}
