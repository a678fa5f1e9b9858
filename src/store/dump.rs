//! Copies of a whole database: `pg_dump` and `pg_restore`, which come with PostgreSQL, and what a copy is compared by.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _, query_as, query_scalar};

use super::{Servers, StoreError, embedded};

/// What is kept of what a program complains of, in bytes.
const COMPLAINTS_BYTES: u64 = 16 << 10;
/// How often a program is asked whether it has ended.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// What a copy is compared by: it holds as many rows of every table, and ends its audit log with the same row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Contents {
    /// Rows of each table, those of partitions by the partition.
    pub tables: BTreeMap<String, i64>,
    /// Key of the last row of the audit log.
    pub audit_id: i64,
    /// Its hash, in hexadecimal digits.
    pub audit_head: String,
    /// The last migration.
    pub migration: i64,
}

impl Contents {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|n| n.unsigned_abs()).sum()
    }
}

/// Looks at everything in the database.
///
/// # Errors
/// A statement failed, as where there are no tables of tocsin.
pub async fn contents(connection: &mut PgConnection) -> Result<Contents, StoreError> {
    let failed = || StoreError::at("count what is in the database");
    let names: Vec<String> = query_scalar(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' ORDER BY 1",
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(failed())?;
    let mut tables = BTreeMap::new();
    for name in names {
        // A regclass is quoted where it has to be.
        let count = query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {name}"))).fetch_one(&mut *connection).await;
        tables.insert(name, count.map_err(failed())?);
    }
    let (audit_id, audit_head, migration) =
        query_as("SELECT id, encode(hash, 'hex'), (SELECT max(version) FROM _sqlx_migrations) FROM audit_head")
            .fetch_one(connection)
            .await
            .map_err(failed())?;
    Ok(Contents { tables, audit_id, audit_head, migration })
}

/// Whether there is nothing in the database yet.
///
/// # Errors
/// The statement failed.
pub async fn is_empty(connection: &mut PgConnection) -> Result<bool, StoreError> {
    query_scalar("SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = current_schema()::regnamespace)")
        .fetch_one(connection)
        .await
        .map_err(StoreError::at("look whether the database is empty"))
}

/// A moment of the database, which lasts until this is dropped: whoever reads it reads the same.
#[derive(Debug)]
pub struct Snapshot {
    connection: PgConnection,
    name: String,
    /// What is in it.
    pub contents: Contents,
    /// Version of the server, such as `15.8`.
    pub server: String,
}

impl Snapshot {
    /// As things are now.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn take(servers: &Servers) -> Result<Snapshot, StoreError> {
        let failed = || StoreError::at("hold on to a moment of the database");
        let mut connection = servers.connect().await?;
        // It waits here for as long as pg_dump reads.
        connection.execute("SET idle_in_transaction_session_timeout = 0").await.map_err(failed())?;
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed())?;
        let (name, server) = query_as("SELECT pg_export_snapshot(), current_setting('server_version')")
            .fetch_one(&mut connection)
            .await
            .map_err(failed())?;
        let contents = contents(&mut connection).await?;
        Ok(Snapshot { connection, name, contents, server })
    }

    /// Whether the server still knows it: else nobody can say what was dumped.
    ///
    /// # Errors
    /// It does not.
    pub async fn end(mut self) -> Result<(), StoreError> {
        self.connection.execute("COMMIT").await.map(|_| ()).map_err(StoreError::at("let go of a moment of the database"))
    }
}

/// Makes a database beside the one that the servers are asked for.
///
/// # Errors
/// The role may not, or the name is taken.
pub async fn create(servers: &Servers, name: &str) -> Result<Servers, StoreError> {
    let mut connection = servers.connect().await?;
    let made = connection.execute(AssertSqlSafe(format!("CREATE DATABASE \"{name}\" TEMPLATE template0"))).await;
    made.map_err(StoreError::at("make a database to restore into (the role needs CREATEDB)"))?;
    Ok(servers.in_database(name))
}

/// Removes a database, with whoever is connected to it.
///
/// # Errors
/// The statement failed.
pub async fn drop(servers: &Servers, name: &str) -> Result<(), StoreError> {
    let mut connection = servers.connect().await?;
    let gone = connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"))).await;
    gone.map(|_| ()).map_err(StoreError::at("remove the database that was restored into"))
}

/// Removes databases whose names begin so and which nobody is connected to: left by one who was stopped.
///
/// # Errors
/// A statement failed.
pub async fn drop_left(servers: &Servers, prefix: &str) -> Result<(), StoreError> {
    let mut connection = servers.connect().await?;
    let left: Vec<String> = query_scalar(
        "SELECT d.datname FROM pg_database d WHERE starts_with(d.datname, $1) AND pg_has_role(d.datdba, 'USAGE') \
         AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)",
    )
    .bind(prefix)
    .fetch_all(&mut connection)
    .await
    .map_err(StoreError::at("look for databases that were left"))?;
    for name in left {
        drop(servers, &name).await?;
    }
    Ok(())
}

/// Tells the planner of what has come in.
///
/// # Errors
/// The statement failed.
pub async fn analyze(connection: &mut PgConnection) -> Result<(), StoreError> {
    connection.execute("ANALYZE").await.map(|_| ()).map_err(StoreError::at("gather statistics"))
}

/// One of PostgreSQL's programs at work. Dropped before its end, it is stopped.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
    complaints: Option<JoinHandle<Vec<u8>>>,
}

impl Program {
    /// Begins to write down a snapshot, in the custom format of `pg_dump`, to its standard output.
    ///
    /// # Errors
    /// It is not there, or cannot be started.
    pub fn dump(servers: &Servers, snapshot: &Snapshot) -> Result<Program, StoreError> {
        let mut command = command("pg_dump", servers)?;
        // Statements of other formats name the owner, who may be another one where it is restored. Level 1 takes a third of the default's
        // time for a tenth more bytes.
        command.args(["--format=custom", "--compress=1", "--no-owner", "--no-privileges", "--no-password"]);
        command.args(["--lock-wait-timeout=60s", &format!("--snapshot={}", snapshot.name)]);
        Program::start("pg_dump", command.stdin(Stdio::null()).stdout(Stdio::piped()))
    }

    /// Begins to restore what `pg_dump` wrote, which is sent to its standard input, into an empty database.
    ///
    /// # Errors
    /// It is not there, or cannot be started.
    pub fn restore(servers: &Servers) -> Result<Program, StoreError> {
        let mut command = command("pg_restore", servers)?;
        command.args(["--format=custom", "--exit-on-error", "--no-owner", "--no-privileges", "--no-password"]);
        Program::start("pg_restore", command.stdin(Stdio::piped()).stdout(Stdio::null()))
    }

    fn start(name: &'static str, command: &mut Command) -> Result<Program, StoreError> {
        let started = command.stderr(Stdio::piped()).spawn();
        let mut child = started.map_err(|e| StoreError::Program(format!("{name} cannot be started: {e}")))?;
        // Read as it comes, or the program would wait for us.
        let complaints = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut kept = Vec::new();
                let _ = (&mut stderr).take(COMPLAINTS_BYTES).read_to_end(&mut kept);
                let _ = io::copy(&mut stderr, &mut io::sink());
                kept
            })
        });
        Ok(Program { name, child, complaints })
    }

    /// What it writes; to be taken once.
    pub fn output(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("taken once, of a program that writes")
    }

    /// What it reads; to be taken once, and dropped at the end.
    pub fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("taken once, of a program that reads")
    }

    /// Waits for its end. It is asked for now and then, so that dropping this stops the program here, too: `pg_restore` makes indexes for
    /// hours after it has read everything.
    ///
    /// # Errors
    /// It failed; what it said is told.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        let name = self.name;
        let failed = |what: String| StoreError::Program(format!("{name}: {what}"));
        let status = loop {
            match self.child.try_wait().map_err(|e| failed(e.to_string()))? {
                Some(status) => break status,
                None => tokio::time::sleep(ASK_EVERY).await,
            }
        };
        let said = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said);
        let said = said.trim().replace('\n', "; ");
        Err(failed(if said.is_empty() { status.to_string() } else { said }))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(name: &'static str, servers: &Servers) -> Result<Command, StoreError> {
    let place = embedded::find_programs(&["pg_dump", "pg_restore"]).ok_or_else(|| {
        let advice =
            "install PostgreSQL's client programs, of the server's version or later (Debian: apt-get install postgresql-client)";
        StoreError::Program(format!("{name} is not installed on this machine; {advice}"))
    })?;
    let mut command = Command::new(place.join(name));
    // Their messages are searched for nothing, but shown; LANGUAGE overrides LC_ALL in gettext.
    command.env("LC_ALL", "C.UTF-8").env_remove("LANGUAGE");
    let (address, password) = servers.for_programs();
    command.arg("--dbname").arg(address);
    // Not among the arguments, which everybody on the machine can read.
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    Ok(command)
}
