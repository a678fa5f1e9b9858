//! What can go wrong with the database, and whether it passes by itself.

use std::path::PathBuf;

use sqlx::migrate::MigrateError;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is none.
    #[error("database.url is not a PostgreSQL URL such as postgres://user@host/database")]
    Url(#[source] sqlx::Error),
    /// A statement failed.
    #[error("{what}")]
    Statement {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
    /// The migrations could not be applied.
    #[error("bring the database's tables up to date")]
    Migrate(#[source] MigrateError),
    /// The server is too old.
    #[error("PostgreSQL {found} is too old; 15 or later is needed")]
    TooOld {
        /// The server's version.
        found: String,
    },
    /// Another daemon has taken over.
    #[error("another tocsin has taken over this database (its epoch is {theirs}, ours is {ours}); only one can write at a time")]
    Fenced {
        /// Our epoch.
        ours: i64,
        /// The epoch in the database.
        theirs: i64,
    },
    /// The server did not answer in time.
    #[error("the database does not answer")]
    Late,
    /// The database has lost what it had committed.
    #[error(
        "the database knows {theirs} transactions, but had committed {ours}: it is behind itself, as after a failover to a server that \
         had not received everything; a restart goes on from what it knows"
    )]
    Behind {
        /// The transaction that it had committed.
        ours: i64,
        /// The last one that it knows.
        theirs: i64,
    },
    /// The private PostgreSQL could not be started.
    #[error("private PostgreSQL: {0}")]
    Embedded(String),
    /// Something on disk is in the way.
    #[error("{what} {}", path.display())]
    Disk {
        /// What was attempted.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl StoreError {
    /// Wraps the error of a statement.
    pub fn at(what: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
        move |source| StoreError::Statement { what, source }
    }

    /// True where waiting and trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            StoreError::Late => true,
            StoreError::Statement { source, .. } => is_transient(source),
            StoreError::Migrate(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) => {
                is_transient(source)
            }
            _ => false,
        }
    }

    /// True where the server refused a row for what is in it: the row will never be accepted, others may be.
    pub fn refuses_row(&self) -> bool {
        matches!(self, StoreError::Statement { source, .. } if refuses_row(source))
    }

    /// The SQLSTATE, where the server gave one.
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            StoreError::Statement { source, .. } => source.as_database_error().and_then(|e| e.code()).map(|c| c.into_owned()),
            _ => None,
        }
    }
}

/// By SQLSTATE class (PostgreSQL 15, appendix A): connection trouble (08), rolled back for others' sake (40), out of something (53),
/// locked or not ready (55), stopped from outside (57), the system around it (58), its own inner trouble (XX), and a server that
/// is read-only for now because it was a standby (25006). What has no SQLSTATE is trouble on the way there.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(e) => match e.code().as_deref() {
            // Raised by COPY where a partition is missing; it is made before the next attempt.
            Some("23514") if e.constraint().is_none() => true,
            Some("25006" | "25P02" | "25P03") => true,
            Some(code) => ["08", "40", "53", "55", "57", "58", "XX"].iter().any(|class| code.starts_with(class)),
            None => true,
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Tls(_) => true,
        _ => false,
    }
}

/// Data exceptions (22), integrity constraints (23), program limits such as an index row too large (54), features not supported
/// for this value (0A), and what a trigger raises (P0).
fn refuses_row(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(e) => {
            !is_transient(error)
                && e.code().is_some_and(|code| ["22", "23", "54", "0A", "P0"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}
