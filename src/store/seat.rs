//! The seat of the active daemon: a lock that its connection holds, so that it is free as soon as the daemon, or its machine, is dead.
//!
//! The seat is no fence. Who writes is decided by the epoch in `positions`, in each transaction; the seat only tells a daemon that stands
//! by when it is wanted.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};

use super::{Store, StoreError};

/// The key of the advisory lock: "tocsin" in ASCII.
const KEY: i64 = 0x746f_6373_696e;

/// Taken, as long as it is not dropped and its connection lives.
#[derive(Debug)]
pub struct Seat {
    connection: PgConnection,
}

impl Store {
    /// Takes the seat if it is free.
    ///
    /// # Errors
    /// The server cannot be reached, or a statement failed.
    pub async fn try_seat(&self) -> Result<Option<Seat>, StoreError> {
        let failed = |source| StoreError::at("take the seat of the active daemon")(source);
        let mut connection = self.servers.connect().await?;
        // The server notices within some five seconds that a machine is gone, rather than within two hours.
        connection
            .execute("SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 4000")
            .await
            .map_err(failed)?;
        let row = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(KEY).fetch_one(&mut connection).await.map_err(failed)?;
        let is_ours: bool = row.try_get(0).map_err(failed)?;
        if is_ours {
            return Ok(Some(Seat { connection }));
        }
        let _ = connection.close().await;
        Ok(None)
    }

    /// The epoch that is in force: each daemon that takes over raises it.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn epoch(&self) -> Result<i64, StoreError> {
        let mut connection = self.connection().await?;
        let row =
            sqlx::query("SELECT epoch FROM positions WHERE input = 'pipeline' AND part = ''").fetch_one(&mut connection).await;
        let epoch = row.and_then(|row| row.try_get(0)).map_err(StoreError::at("read the epoch"))?;
        self.keep(connection);
        Ok(epoch)
    }
}

impl Seat {
    /// Whether it is still ours.
    pub async fn is_held(&mut self) -> bool {
        self.connection.execute("SELECT 1").await.is_ok()
    }

    /// Gives it up.
    pub async fn leave(self) {
        let _ = self.connection.close().await;
    }
}
