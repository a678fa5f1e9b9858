//! What can go wrong with the database, and whether it passes by itself.

use std::path::PathBuf;

use sqlx::migrate::MigrateError;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is none. The reason repeats nothing of it, since it may hold a password.
    #[error("database.url is not a PostgreSQL URL such as postgres://user@host:5432,otherhost/database: {0}")]
    Url(String),
    /// The server takes no changes: it is a standby, or somebody made it read-only.
    #[error("the server is read-only")]
    ReadOnly,
    /// The server and we do not agree on TLS: it offers none, or one of us does not accept the other.
    #[error("connect to the database with TLS")]
    Tls(#[source] sqlx::Error),
    /// None of several servers can be used.
    #[error("none of the servers can be used{}", each(tried))]
    NoServer {
        /// The servers as people write them, and what was wrong with each.
        tried: Vec<(String, StoreError)>,
    },
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
    /// A program that comes with PostgreSQL failed.
    #[error("{0}")]
    Program(String),
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

    /// Wraps the error of an attempt to connect. A handshake that breaks off is trouble on the way there, as any other; what one side
    /// refuses in it stays refused, and comes as invalid data (rustls::ConnectionCommon::complete_io).
    pub fn connecting(source: sqlx::Error) -> StoreError {
        match &source {
            sqlx::Error::Tls(_) => StoreError::Tls(source),
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => StoreError::Tls(source),
            _ => StoreError::Statement { what: "connect to the database", source },
        }
    }

    /// With its causes, in one line.
    pub fn in_one_line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(c) = cause {
            text.push_str(": ");
            text.push_str(&c.to_string());
            cause = c.source();
        }
        text
    }

    /// What it takes for the same to succeed.
    pub fn remedy(&self) -> Remedy {
        match self {
            StoreError::Late | StoreError::ReadOnly => Remedy::Wait,
            StoreError::Statement { source, .. } => remedy(source),
            StoreError::Migrate(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) => remedy(source),
            // As long as one of them may come back by itself.
            StoreError::NoServer { tried } => {
                let of_each = || tried.iter().map(|(_, error)| error.remedy());
                if of_each().any(|remedy| remedy == Remedy::Wait) {
                    Remedy::Wait
                } else {
                    of_each().next().unwrap_or(Remedy::Unknown)
                }
            }
            StoreError::Url(_) | StoreError::TooOld { .. } | StoreError::Disk { .. } | StoreError::Embedded(_) => Remedy::Act,
            StoreError::Program(_) => Remedy::Unknown,
            StoreError::Tls(_) | StoreError::Migrate(_) | StoreError::Fenced { .. } | StoreError::Behind { .. } => Remedy::Act,
        }
    }

    /// True where waiting and trying again may help.
    pub fn is_transient(&self) -> bool {
        self.remedy() == Remedy::Wait
    }

    /// True where the server refused a row for what is in it: the row will never be accepted, others may be.
    pub fn refuses_row(&self) -> bool {
        matches!(self, StoreError::Statement { .. }) && self.remedy() == Remedy::Quarantine
    }

    /// True where the server ended the statement, as it does when its time is over (57014, query_canceled).
    pub fn took_too_long(&self) -> bool {
        self.sqlstate().as_deref() == Some("57014")
    }

    /// The SQLSTATE, where the server gave one.
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            StoreError::Statement { source, .. }
            | StoreError::Migrate(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) => {
                source.as_database_error().and_then(|e| e.code()).map(|c| c.into_owned())
            }
            StoreError::NoServer { tried } => tried.iter().find_map(|(_, error)| error.sqlstate()),
            _ => None,
        }
    }

    /// What a person can do about it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            StoreError::Tls(_) => {
                return Some(
                    "look at sslmode, sslrootcert and the name of the host in database.url, and at the server's certificate: its name, who \
                     signed it, and until when it is valid",
                );
            }
            StoreError::NoServer { tried } => return tried.iter().find_map(|(_, error)| error.advice()),
            _ => {}
        }
        Some(match self.sqlstate()?.as_str() {
            "28P01" => "the server does not take the password of database.url (or of database.url_file, or of ~/.pgpass)",
            "28000" => "the server does not let this user in: is there such a role, and does pg_hba.conf allow it from here?",
            "3D000" => "there is no such database: make it with createdb, or correct database.url",
            "42501" => {
                "the role lacks a privilege: it must own the database's schema and tables, or have been granted what is refused here"
            }
            "42P01" | "42703" | "42883" | "3F000" => {
                "somebody has changed or dropped what tocsin made: put it back from a copy, or give tocsin an empty database"
            }
            "53100" => "the disk of the database is full: make room there",
            "53300" => "the server has no connection left: raise max_connections, or close others",
            "XX001" | "XX002" => "the database is damaged: look at its log, and restore it from a copy where it cannot be mended",
            _ => return None,
        })
    }
}

/// What it takes for a statement that failed to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Time: it is tried again.
    Wait,
    /// Doing without the row: what is in it will never be accepted.
    Quarantine,
    /// A person: configuration, privileges, tables, or the server's disk are not what they have to be.
    Act,
    /// Nobody knows.
    Unknown,
}

fn remedy(error: &sqlx::Error) -> Remedy {
    match error {
        sqlx::Error::Database(e) => match e.code().as_deref() {
            // Raised by COPY where a partition is missing; it is made before the next attempt.
            Some("23514") if e.constraint().is_none() => Remedy::Wait,
            Some(code) => of_sqlstate(code),
            None => Remedy::Wait,
        },
        // Trouble on the way there.
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => Remedy::Wait,
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => Remedy::Act,
        _ => Remedy::Unknown,
    }
}

/// By SQLSTATE (PostgreSQL 15, appendix A).
fn of_sqlstate(code: &str) -> Remedy {
    match code {
        // Read-only for now, as a standby is; a transaction that failed or was left idle before; a prepared statement that is gone, as
        // behind a pooler.
        "25006" | "25P02" | "25P03" | "25P04" | "26000" => Remedy::Wait,
        // Parameters that cannot be changed, and damaged files, stay so.
        "55P02" | "XX001" | "XX002" => Remedy::Act,
        _ => match code.get(..2).unwrap_or_default() {
            // Connection trouble; rolled back for others' sake; out of something; locked or not ready; stopped from outside; the system
            // around it; its own inner trouble.
            "08" | "40" | "53" | "55" | "57" | "58" | "XX" => Remedy::Wait,
            // Data exceptions; integrity constraints; program limits such as an index row too large; what a trigger raises.
            "22" | "23" | "54" | "P0" => Remedy::Quarantine,
            // Features that a table does not support, such as COPY into a view or under row-level security; authentication; unknown
            // database or schema; privileges, tables, columns; the server's configuration file.
            "0A" | "28" | "3D" | "3F" | "42" | "F0" => Remedy::Act,
            _ => Remedy::Unknown,
        },
    }
}

fn each(tried: &[(String, StoreError)]) -> String {
    tried.iter().map(|(server, error)| format!("; {server}: {}", error.in_one_line())).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::borrow::Cow;

    use super::*;

    #[derive(Debug)]
    struct Said(&'static str, Option<&'static str>);

    impl std::fmt::Display for Said {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("said")
        }
    }

    impl std::error::Error for Said {}

    impl sqlx::error::DatabaseError for Said {
        fn message(&self) -> &str {
            "said"
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(self.0.into())
        }
        fn constraint(&self) -> Option<&str> {
            self.1
        }
        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }

    /// What a server says with that SQLSTATE.
    pub(crate) fn said(code: &'static str) -> StoreError {
        StoreError::at("try")(sqlx::Error::Database(Box::new(Said(code, Some("a_check")))))
    }

    #[test]
    fn every_sqlstate_has_its_remedy() {
        use Remedy::{Act, Quarantine, Unknown, Wait};
        for (code, want, what) in [
            ("08000", Wait, "connection_exception"),
            ("08006", Wait, "connection_failure"),
            ("08P01", Wait, "protocol_violation"),
            ("57P01", Wait, "admin_shutdown"),
            ("57P02", Wait, "crash_shutdown"),
            ("57P03", Wait, "cannot_connect_now"),
            ("57P05", Wait, "idle_session_timeout"),
            ("57014", Wait, "query_canceled: statement_timeout, or somebody's pg_cancel_backend"),
            ("53000", Wait, "insufficient_resources"),
            ("53100", Wait, "disk_full"),
            ("53200", Wait, "out_of_memory"),
            ("53300", Wait, "too_many_connections"),
            ("40001", Wait, "serialization_failure"),
            ("40P01", Wait, "deadlock_detected"),
            ("55000", Wait, "object_not_in_prerequisite_state: the database takes no connections for now"),
            ("55P03", Wait, "lock_not_available"),
            ("58030", Wait, "io_error"),
            ("XX000", Wait, "internal_error: tuple concurrently updated"),
            ("25006", Wait, "read_only_sql_transaction"),
            ("25P02", Wait, "in_failed_sql_transaction"),
            ("25P03", Wait, "idle_in_transaction_session_timeout"),
            ("26000", Wait, "invalid_sql_statement_name"),
            ("22021", Quarantine, "character_not_in_repertoire"),
            ("22P03", Quarantine, "invalid_binary_representation"),
            ("23514", Quarantine, "check_violation of a constraint with a name"),
            ("23505", Quarantine, "unique_violation"),
            ("54000", Quarantine, "program_limit_exceeded: index row size"),
            ("P0001", Quarantine, "raise_exception"),
            ("28000", Act, "invalid_authorization_specification"),
            ("28P01", Act, "invalid_password"),
            ("3D000", Act, "invalid_catalog_name"),
            ("3F000", Act, "invalid_schema_name"),
            ("42501", Act, "insufficient_privilege"),
            ("42P01", Act, "undefined_table"),
            ("42703", Act, "undefined_column"),
            ("0A000", Act, "feature_not_supported: COPY with row-level security, which would put every row in quarantine"),
            ("55P02", Act, "cant_change_runtime_param"),
            ("F0000", Act, "config_file_error"),
            ("XX001", Act, "data_corrupted"),
            ("XX002", Act, "index_corrupted"),
            ("2F000", Unknown, "sql_routine_exception"),
            ("", Unknown, "none"),
        ] {
            let error = said(code);
            assert_eq!(error.remedy(), want, "{code} {what}");
            assert_eq!((error.is_transient(), error.refuses_row()), (want == Wait, want == Quarantine), "{code} {what}");
        }
        let no_partition = StoreError::at("copy")(sqlx::Error::Database(Box::new(Said("23514", None))));
        assert_eq!(no_partition.remedy(), Wait, "the partition is made before the next attempt");
        let refused = || StoreError::at("connect")(sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()));
        assert_eq!(refused().remedy(), Wait);
        let migrating =
            StoreError::Migrate(MigrateError::ExecuteMigration(sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into()), 1));
        assert_eq!(migrating.remedy(), Wait, "the server went away in the middle of a migration");

        let several =
            |tried: Vec<StoreError>| StoreError::NoServer { tried: tried.into_iter().map(|e| ("a:5432".into(), e)).collect() };
        assert_eq!(several(vec![said("28P01"), refused()]).remedy(), Wait, "the other one may come back");
        let wrong = several(vec![said("28P01"), said("28P01")]);
        assert_eq!((wrong.remedy(), wrong.advice().is_some()), (Act, true));
        assert_eq!(several(vec![StoreError::ReadOnly, said("3D000")]).remedy(), Wait);
    }

    #[test]
    fn what_is_refused_in_a_handshake_takes_a_person_and_one_that_breaks_off_takes_time() {
        use std::io::{Error, ErrorKind};
        let connecting = |error: Error| StoreError::connecting(sqlx::Error::Io(error));
        for refused in [
            StoreError::connecting(sqlx::Error::Tls("server does not support TLS".into())),
            connecting(Error::new(ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer")),
            connecting(Error::new(ErrorKind::InvalidData, "received fatal alert: CertificateRequired")),
        ] {
            assert_eq!(refused.remedy(), Remedy::Act, "{refused:?}");
            assert!(refused.advice().is_some_and(|advice| advice.contains("sslrootcert")), "{refused:?}");
            let several = StoreError::NoServer { tried: vec![("a:5432".into(), refused)] };
            assert!(several.remedy() == Remedy::Act && several.advice().is_some(), "{several:?}");
        }
        for kind in [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe, ErrorKind::TimedOut] {
            let broken = connecting(kind.into());
            assert_eq!((broken.remedy(), broken.advice()), (Remedy::Wait, None), "{kind}");
        }
        // On a connection that stood it is the wire that is bad.
        let later = StoreError::at("commit")(sqlx::Error::Io(ErrorKind::InvalidData.into()));
        assert_eq!(later.remedy(), Remedy::Wait);
    }
}
