//! What the tests share: a private PostgreSQL, a database of their own for each test, and waiting for conditions.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};
use tocsin::casework::{Casework, Settings};
use tocsin::store::Store;
use tocsin::store::embedded::Embedded;

/// How long tests wait for something that should happen soon, on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A PostgreSQL server that stops when the last test that uses it is done.
pub struct Server {
    pub embedded: Embedded,
    dir: PathBuf,
    _own: Option<tempfile::TempDir>,
}

impl Server {
    /// A server of one's own, to be stopped and crashed at will.
    pub fn start() -> Server {
        let dir = state_dir();
        let mut server = Server::within(dir.path());
        server._own = Some(dir);
        server
    }

    /// One whose files somebody else removes, or keeps.
    pub fn within(dir: &Path) -> Server {
        let embedded = Embedded::start(&dir.join("postgres")).expect("PostgreSQL starts");
        Server { embedded, dir: dir.to_owned(), _own: None }
    }

    /// Its first process.
    pub fn postmaster(&self) -> nix::unistd::Pid {
        let file = std::fs::read_to_string(self.dir.join("postgres/data/postmaster.pid")).unwrap();
        nix::unistd::Pid::from_raw(file.lines().next().unwrap().parse().unwrap())
    }

    /// A streaming standby of the server behind a socket.
    pub fn standby_of(socket: &Path) -> Server {
        let dir = state_dir();
        let data = dir.path().join("postgres/data");
        std::fs::create_dir(dir.path().join("postgres")).unwrap();
        let run = |mut command: std::process::Command| {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let mut copy = std::process::Command::new("pg_basebackup");
        copy.args(["--username", "tocsin", "--checkpoint", "fast", "--write-recovery-conf", "--host"])
            .arg(socket)
            .arg("--pgdata")
            .arg(&data);
        run(copy);
        if nix::unistd::geteuid().is_root() {
            // The server's user, to whom the socket's directory belongs.
            let mut give = std::process::Command::new("chown");
            give.arg("--recursive").arg("--reference").arg(socket).arg(&data);
            run(give);
        }
        let embedded = Embedded::start(&dir.path().join("postgres")).expect("the standby starts");
        Server { embedded, dir: dir.path().to_owned(), _own: Some(dir) }
    }

    /// The server that tests share.
    pub fn shared() -> Arc<Server> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Server::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.embedded.crash();
    }
}

/// A directory that the server's unprivileged user can pass through.
pub fn state_dir() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::Builder::new().prefix("tocsin-test-").permissions(std::fs::Permissions::from_mode(0o711)).tempdir();
    dir.expect("a temporary directory")
}

/// An empty database.
#[derive(Clone)]
pub struct Database {
    pub server: Arc<Server>,
    pub options: PgConnectOptions,
    pub pool: PgPool,
}

impl Database {
    pub async fn new() -> Database {
        let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
        Database::on(server).await
    }

    pub async fn on(server: Arc<Server>) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = sqlx::PgConnection::connect_with(&server.embedded.options()).await.unwrap();
        connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        connection.close().await.unwrap();
        Database::existing(server, &name)
    }

    /// One that is there already.
    pub fn existing(server: Arc<Server>, name: &str) -> Database {
        let options = server.embedded.options().database(name).application_name("tests").disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(3).acquire_timeout(PATIENCE).connect_lazy_with(options.clone());
        Database { server, options, pool }
    }

    /// Drops it, with whoever is still connected.
    pub async fn remove(self) {
        self.pool.close().await;
        let mut connection = sqlx::PgConnection::connect_with(&self.server.embedded.options()).await.unwrap();
        let name = self.options.get_database().unwrap();
        connection.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
        connection.close().await.unwrap();
    }

    /// As `database.url` takes it.
    pub fn url(&self) -> String {
        let socket = self.options.get_socket().unwrap().to_string_lossy().replace('/', "%2F");
        format!("postgres://tocsin@{socket}/{}", self.options.get_database().unwrap())
    }

    /// One number, such as a count.
    pub async fn number(&self, sql: &str) -> i64 {
        self.try_number(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    pub async fn try_number(&self, sql: &str) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(format!("SELECT ({sql})::bigint"))).fetch_one(&self.pool).await
    }

    /// The first column of each row as text.
    pub async fn column(&self, sql: &str) -> Vec<String> {
        let all = format!("SELECT coalesce(x::text, 'NULL') FROM ({sql}) AS q (x)");
        sqlx::query_scalar(sqlx::AssertSqlSafe(all)).fetch_all(&self.pool).await.unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// Waits until a number is what it should be.
    pub async fn wait_for(&self, sql: &str, want: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let got = self.try_number(sql).await;
            if matches!(got, Ok(n) if n == want) {
                return;
            }
            assert!(Instant::now() < deadline, "{sql}: want {want}, have {got:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Number of kinds of records that the roll-ups count otherwise than somebody who counts the records.
pub const MISCOUNTED: &str = "SELECT count(*) FROM \
     (SELECT hour, source, host, event_type, severity, count FROM log_rollups) r FULL JOIN \
     (SELECT date_trunc('hour', event_time, 'UTC') AS hour, source, coalesce(host, '') AS host, event_type, severity, count(*) \
      FROM logs GROUP BY 1, 2, 3, 4, 5) l USING (hour, source, host, event_type, severity) \
     WHERE r.count IS DISTINCT FROM l.count";

/// Waits until `condition` holds.
pub async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The binary under test.
pub fn tocsin() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_tocsin")).to_owned()
}

/// The daemon as a process.
pub struct Daemon {
    child: std::process::Child,
    /// Lines of its log, one JSON object each.
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    /// Starts it with a configuration and waits until its doors are open. `state_dir`, HTTP on a free port and a machine-readable log are
    /// added to the configuration.
    pub async fn start(state_dir: &Path, configuration: &str) -> Daemon {
        Daemon::start_with_http(state_dir, configuration, "").await
    }

    /// The same with more settings of `[http]`.
    pub async fn start_with_http(state_dir: &Path, configuration: &str, http: &str) -> Daemon {
        Daemon::start_in(state_dir, configuration, http, &[]).await
    }

    /// The same with more variables of the environment.
    pub async fn start_in(state_dir: &Path, configuration: &str, http: &str, environment: &[(&str, OsString)]) -> Daemon {
        let daemon = Daemon::spawn_with(state_dir, configuration, http, &[], environment);
        wait_until("the doors open", async || {
            assert!(!daemon.has_ended(), "the daemon ended: {:#?}", daemon.log());
            daemon.log().iter().any(|line| line.contains("listening for HTTP"))
        })
        .await;
        daemon
    }

    pub fn spawn(state_dir: &Path, configuration: &str) -> Daemon {
        Daemon::spawn_with(state_dir, configuration, "", &[], &[])
    }

    /// One that stands by.
    pub fn spawn_standby(state_dir: &Path, configuration: &str) -> Daemon {
        Daemon::spawn_with(state_dir, configuration, "", &["--standby"], &[])
    }

    fn spawn_with(
        state_dir: &Path,
        configuration: &str,
        http: &str,
        arguments: &[&str],
        environment: &[(&str, OsString)],
    ) -> Daemon {
        let path = state_dir.join("tocsin.toml");
        let common = format!(
            "state_dir = {:?}\n{configuration}\n[http]\nlisten = \"127.0.0.1:0\"\n{http}[log]\nlevel = \"info\"\nformat = \"json\"\n",
            state_dir.join("state")
        );
        std::fs::write(&path, common).unwrap();
        let mut child = std::process::Command::new(tocsin())
            .args(["run", "--config"])
            .arg(&path)
            .args(arguments)
            .env_remove("RUST_BACKTRACE")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, stderr) = (Arc::clone(&log), child.stderr.take().unwrap());
        let mut kept = std::fs::File::options().create(true).append(true).open(state_dir.join("daemon.log")).unwrap();
        let reader = std::thread::spawn(move || {
            for line in std::io::BufRead::lines(std::io::BufReader::new(stderr)).map_while(Result::ok) {
                // For people, where a failed test keeps its directory.
                let _ = writeln!(kept, "{line}");
                lines.lock().unwrap().push(line);
            }
        });
        Daemon { child, log, reader: Some(reader) }
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The address that it said it listens on: `"syslog on udp"`, `"syslog on tcp"`, `"HTTP on"`.
    pub fn address(&self, what: &str) -> std::net::SocketAddr {
        let log = self.log();
        let after = |line: &String| line.split_once(&format!("listening for {what} ")).map(|(_, rest)| rest.to_owned());
        let rest = log.iter().find_map(after).unwrap_or_else(|| panic!("no {what} in {log:#?}"));
        let end = rest.find('"').unwrap_or(rest.len());
        rest[..end].trim_start_matches("http://").parse().unwrap()
    }

    pub fn udp(&self) -> std::net::SocketAddr {
        self.address("syslog on udp")
    }

    pub fn tcp(&self) -> std::net::SocketAddr {
        self.address("syslog on tcp")
    }

    pub fn http(&self) -> std::net::SocketAddr {
        self.address("HTTP on")
    }

    pub fn has_ended(&self) -> bool {
        let status = nix::sys::wait::waitid(
            nix::sys::wait::Id::Pid(self.pid()),
            nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOHANG | nix::sys::wait::WaitPidFlag::WNOWAIT,
        );
        !matches!(status, Ok(nix::sys::wait::WaitStatus::StillAlive))
    }

    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// SIGKILL, and gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; its exit code and how long it took to end.
    pub async fn stop(mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        self.signal(nix::sys::signal::Signal::SIGTERM);
        wait_until("the daemon stops", async || self.has_ended()).await;
        (self.child.wait().unwrap().code(), began.elapsed())
    }

    /// Waits for its end; its exit code.
    pub async fn ended(mut self) -> (Option<i32>, Vec<String>) {
        wait_until("the daemon ends", async || self.has_ended()).await;
        let code = self.child.wait().unwrap().code();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (code, self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `tocsin verify`: its exit code and what it says as JSON (null for nothing), with the configuration that the daemon had.
pub fn verify(state: &Path, more: &[&str]) -> (i32, serde_json::Value) {
    let mut command = std::process::Command::new(tocsin());
    let output = command.args(["verify", "--json", "--config"]).arg(state.join("tocsin.toml")).args(more).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let object = if text.is_empty() { serde_json::Value::Null } else { serde_json::from_str(&text).unwrap() };
    (output.status.code().unwrap(), object)
}

/// The texts of what it found.
pub fn findings(object: &serde_json::Value) -> Vec<String> {
    object["findings"].as_array().unwrap().iter().map(|f| f["text"].as_str().unwrap().to_owned()).collect()
}

/// What an HTTP server answered.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: String,
}

/// One HTTP request over a connection of its own. An error where the connection broke before the answer was complete.
pub async fn request(
    to: std::net::SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(to).await?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes()).await?;
    stream.write_all(body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let code = head.split(' ').nth(1).and_then(|c| c.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Answer { code, head: head.to_owned(), body: body.to_owned() })
}

/// Sends over TCP and waits until the daemon has closed its half, too: everything is in the journal then.
pub async fn send_tcp(to: std::net::SocketAddr, bytes: &[u8]) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(to).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    stream.read_to_end(&mut Vec::new()).await.map(|_| ())
}

/// `Nov 20 10:00:00` for a number of seconds after a fixed moment of today.
pub fn bsd_time(base: tocsin::record::Timestamp, seconds: i64) -> String {
    let at = jiff::Timestamp::from_microsecond(base.plus_micros(seconds * 1_000_000).as_micros()).unwrap();
    at.strftime("%b %e %H:%M:%S").to_string()
}

/// Casework over a database of a test.
pub async fn casework(database: &Database) -> Casework {
    Casework::new(Store::connect(database.options.clone()).await.unwrap(), Settings::default())
}

/// The same with master keys, in a file within a directory.
pub async fn casework_with_keys(database: &Database, dir: &Path) -> Casework {
    let settings = Settings { key_file: dir.join("keys/master.key"), ..Settings::default() };
    let casework = Casework::new(Store::connect(database.options.clone()).await.unwrap(), settings);
    casework.prepare_keys().await.unwrap();
    casework
}
