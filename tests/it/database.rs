//! The database is away, slow, half-dead, read-only, full, or somebody else by now: normal states. Everything is stored once all the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{ConnectOptions, Executor};
use tocsin::record::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Daemon, Database, PATIENCE, Server, findings, request, send_tcp, state_dir, tocsin, verify, wait_until};
use crate::wire::{Fault, Wire};

#[tokio::test]
async fn doors_are_open_while_the_database_is_away_and_what_came_is_stored_when_it_is_back() {
    let server = Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap());
    let (database, state) = (Database::on(Arc::clone(&server)).await, state_dir());
    server.embedded.stop().unwrap();
    let configuration = format!(
        "[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n[[webhook]]\nname = \"hook\"\nunauthenticated = true\n",
        database.url()
    );
    let daemon = Daemon::start(state.path(), &configuration).await;
    send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:00 fw app: while it was away\n").await.unwrap();
    let posted = request(daemon.http(), "POST", "/ingest/hook", &[], b"{\"message\":\"answered\"}").await.unwrap();
    assert_eq!(posted.code, 200, "{posted:?}");
    let ready = request(daemon.http(), "GET", "/health/ready", &[], b"").await.unwrap();
    assert_eq!(ready.code, 503, "{ready:?}");
    assert!(ready.body.contains("waiting for the database") || ready.body.contains("connecting"), "{ready:?}");
    // Stopping works all the same, and takes nothing with it.
    let (code, took) = daemon.stop().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");

    let daemon = Daemon::start(state.path(), &configuration).await;
    server.embedded.start_again().unwrap();
    database.wait_for("SELECT count(*) FROM logs", 2).await;
    wait_until("it says that it is ready", async || {
        request(daemon.http(), "GET", "/health/ready", &[], b"").await.is_ok_and(|answer| answer.code == 200)
    })
    .await;
    // And once more, while it runs.
    server.embedded.crash().unwrap();
    send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:01 fw app: in the middle\n").await.unwrap();
    wait_until("it notices", async || {
        request(daemon.http(), "GET", "/health/ready", &[], b"").await.is_ok_and(|answer| answer.code == 503)
    })
    .await;
    server.embedded.start_again().unwrap();
    database.wait_for("SELECT count(*) FROM logs", 3).await;
    assert_eq!(daemon.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_row_that_the_database_refuses_does_not_stop_the_others() {
    let (database, state) = (Database::new().await, state_dir());
    let configuration = format!("[database]\nurl = {:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n", database.url());
    let daemon = Daemon::start(state.path(), &configuration).await;
    send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:00 fw app: first\n").await.unwrap();
    database.wait_for("SELECT count(*) FROM logs", 1).await;
    database.pool.execute("ALTER TABLE logs ADD CHECK (message NOT LIKE '%poison%')").await.unwrap();
    send_tcp(
        daemon.tcp(),
        b"<13>Nov 20 10:00:01 fw app: before\n<13>Nov 20 10:00:01 fw app: poison\n<13>Nov 20 10:00:01 fw app: after\n",
    )
    .await
    .unwrap();
    database.wait_for("SELECT count(*) FROM logs", 3).await;
    assert_eq!(
        database.column("SELECT source || '|' || encode(raw, 'escape') FROM quarantine").await,
        ["lan|<13>Nov 20 10:00:01 fw app: poison"]
    );
    let metrics = request(daemon.http(), "GET", "/metrics", &[], b"").await.unwrap().body;
    assert!(metrics.contains("\ntocsin_quarantined_total 1\n"), "{metrics}");
    assert_eq!(daemon.stop().await.0, Some(0));
}

/// A stream of log lines with an attack in it, appended to a file while the database fails, and what must have become of it.
struct Story {
    log: PathBuf,
    base: Timestamp,
    lines: usize,
}

impl Story {
    fn new(state: &Path) -> Story {
        let base = Timestamp::from_secs(Timestamp::now().as_micros() / 1_000_000 - 3_600);
        let story = Story { log: state.join("auth.log"), base, lines: 0 };
        std::fs::write(&story.log, "").unwrap();
        story
    }

    fn configuration(&self, url: &str) -> String {
        format!("[database]\nurl = {url:?}\n[[files]]\nname = \"auth\"\npaths = [{:?}]\npoll_interval = \"20 ms\"\n", self.log)
    }

    /// Appends lines at once.
    fn goes_on(&mut self, lines: usize) {
        let text: String = (self.lines..self.lines + lines)
            .map(|i| {
                let time = self.base.plus_micros(i as i64 * 20_000);
                match i % 25 {
                    0 => format!("<38>1 {time} srv sshd {i} - - Failed password for root from 192.0.2.{} port 22 ssh2\n", i % 3),
                    _ => format!("<38>1 {time} srv app {i} - - routine {i}\n"),
                }
            })
            .collect();
        let mut file = std::fs::File::options().append(true).open(&self.log).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        self.lines += lines;
    }

    /// Waits until everything is stored, ends the daemon, and proves that everything is stored once, with the incidents that the
    /// detectors find in the file itself.
    async fn ends_well(self, database: &Database, daemon: Daemon, state: &Path) {
        database.wait_for("SELECT count(*) FROM logs", self.lines as i64).await;
        assert_eq!(daemon.stop().await.0, Some(0));
        assert_eq!(database.number("SELECT count(DISTINCT pid) FROM logs").await, self.lines as i64);
        assert_eq!(database.number("SELECT count(*) FROM quarantine").await, 0);
        let (code, verdict) = verify(state, &[]);
        assert_eq!((code, findings(&verdict)), (0, vec![]), "{verdict}");
        assert_eq!(verdict["stored_once"], self.lines);
        let replayed = std::process::Command::new(tocsin()).args(["replay", "--json"]).arg(&self.log).output().unwrap();
        let mut want: Vec<String> = String::from_utf8(replayed.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|found| format!("{} {}", found["detector"].as_str().unwrap(), found["event_count"]))
            .collect();
        want.sort();
        assert!(want.len() > 5, "the story has an attack: {want:?}");
        let mut got = database.column("SELECT detector || ' ' || event_count FROM incidents").await;
        got.sort();
        assert_eq!(got, want);
    }
}

/// What `/health/ready` says.
async fn ready(daemon: &Daemon) -> (u16, Value) {
    let answer = request(daemon.http(), "GET", "/health/ready", &[], b"").await.unwrap();
    (answer.code, serde_json::from_str(&answer.body).unwrap())
}

/// Waits until `/health/ready` is not ready, for a reason that contains `why`.
async fn waits_for(daemon: &Daemon, why: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, said) = ready(daemon).await;
        if code == 503 && said["database_error"].as_str().is_some_and(|error| error.contains(why)) {
            return said;
        }
        assert!(!daemon.has_ended(), "{:#?}", daemon.log());
        assert!(Instant::now() < deadline, "want {why}, have {said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn is_ready(daemon: &Daemon) {
    wait_until("it is ready", async || ready(daemon).await.0 == 200).await;
}

async fn execute(database: &Database, sql: &str) {
    database.pool.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

async fn own_server() -> Arc<Server> {
    Arc::new(tokio::task::spawn_blocking(Server::start).await.unwrap())
}

/// Kills the postmaster; its children end when they notice.
async fn kill_postmaster(database: &Database) {
    let dir = database.column("SELECT setting FROM pg_settings WHERE name = 'data_directory'").await.remove(0);
    let pid_file = std::fs::read_to_string(Path::new(&dir).join("postmaster.pid")).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid_file.lines().next().unwrap().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_crashed_and_killed_at_full_rate_it_has_everything_once() {
    let (server, state) = (own_server().await, state_dir());
    let database = Database::on(Arc::clone(&server)).await;
    let mut story = Story::new(state.path());
    let daemon = Daemon::start(state.path(), &story.configuration(&database.url())).await;
    is_ready(&daemon).await;
    for round in 0..6 {
        let before = story.lines as i64;
        story.goes_on(12_000);
        wait_until("it is storing", async || database.try_number("SELECT count(*) FROM logs").await.is_ok_and(|n| n > before))
            .await;
        match round % 3 {
            0 => server.embedded.stop().unwrap(),
            1 => server.embedded.crash().unwrap(),
            _ => kill_postmaster(&database).await,
        }
        // After a kill it starts only when the last child is gone.
        let server = Arc::clone(&server);
        wait_until("the server starts", async || server.embedded.start_again().is_ok()).await;
    }
    let metrics = request(daemon.http(), "GET", "/metrics", &[], b"").await.unwrap().body;
    let retries = metrics.lines().find_map(|line| line.strip_prefix("tocsin_commit_retries_total ")).unwrap();
    assert_ne!(retries, "0", "it was hit in the middle");
    story.ends_well(&database, daemon, state.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_around_commit_loses_and_repeats_nothing() {
    let (database, state) = (Database::new().await, state_dir());
    let wire = Wire::to(&database).await;
    let mut story = Story::new(state.path());
    let daemon = Daemon::start(state.path(), &story.configuration(&wire.url(&database))).await;
    is_ready(&daemon).await;
    let faults = [Fault::CutWithAnswer, Fault::CutBefore, Fault::CutBehind, Fault::CutWithAnswer, Fault::CutWithAnswer];
    for (round, fault) in faults.iter().cycle().take(15).enumerate() {
        wire.expect(&[*fault]);
        story.goes_on(if round % 2 == 0 { 10 } else { 6_000 });
        wait_until("the COMMIT", async || wire.happened() == round + 1).await;
    }
    story.ends_well(&database, daemon, state.path()).await;
}

/// A connection that stays open and says nothing more, with the transaction open on the server, or committed.
async fn falls_silent(fault: Fault) {
    let (database, state) = (Database::new().await, state_dir());
    let wire = Wire::to(&database).await;
    let mut story = Story::new(state.path());
    let daemon = Daemon::start(state.path(), &story.configuration(&wire.url(&database))).await;
    is_ready(&daemon).await;
    story.goes_on(1_000);
    database.wait_for("SELECT count(*) FROM logs", 1_000).await;
    wire.expect(&[fault]);
    story.goes_on(500);
    wait_until("the COMMIT", async || wire.happened() == 1).await;
    story.goes_on(20_000);
    story.ends_well(&database, daemon, state.path()).await;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tocsin' AND datname = current_database()";
    database.wait_for(left, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_never_answered_is_not_waited_for_without_end() {
    falls_silent(Fault::Swallow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_lost_with_its_locks_does_not_hold_up_the_next() {
    falls_silent(Fault::Hold).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nothing_gets_through_it_tells_how_far_behind_each_input_is() {
    let (database, state) = (Database::new().await, state_dir());
    let wire = Wire::to(&database).await;
    let mut story = Story::new(state.path());
    let more = "[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n";
    let daemon = Daemon::start(state.path(), &(story.configuration(&wire.url(&database)) + more)).await;
    story.goes_on(1_000);
    database.wait_for("SELECT count(*) FROM logs", 1_000).await;
    let behind = |said: &Value, input: &str| {
        let of = said["inputs"].as_array().unwrap().iter().find(|b| b["input"] == input).cloned();
        of.and_then(|b| Some((b["bytes"].as_u64()?, b["seconds"].as_u64()?)))
    };
    let records = |said: &Value| -> Vec<u64> {
        said["inputs"].as_array().unwrap().iter().map(|b| b["records"].as_u64().unwrap()).collect()
    };
    wait_until("nothing is behind", async || {
        let (code, said) = ready(&daemon).await;
        code == 200 && behind(&said, "journal") == Some((0, 0)) && behind(&said, "files:auth") == Some((0, 0))
    })
    .await;
    wire.stall(true);
    story.goes_on(60_000);
    let size = std::fs::metadata(&story.log).unwrap().len();
    let line = "<13>Nov 20 10:00:00 fw app: waiting\n";
    send_tcp(daemon.tcp(), line.repeat(100).as_bytes()).await.unwrap();
    wait_until("both are behind by seconds", async || {
        let (code, said) = ready(&daemon).await;
        let (journal, files) = (behind(&said, "journal").unwrap(), behind(&said, "files:auth").unwrap());
        let full = journal.0 > 100 * 30 && journal.1 >= 4 && files.0 > size / 2 && files.0 <= size && files.1 >= 4;
        assert!(!full || (code == 503 && said["database_since"].is_string()), "{said}");
        // Files first; its lines have become longer with the numbers in them.
        assert!(!full || matches!(records(&said)[..], [30_000..=75_000, 95..=105]), "{said}");
        full
    })
    .await;
    let said = waits_for(&daemon, "the database does not answer").await;
    assert_eq!(said["database"], "waiting for the database");
    let metrics = request(daemon.http(), "GET", "/metrics", &[], b"").await.unwrap().body;
    for gauge in [
        "tocsin_behind_bytes{input=\"journal\"}",
        "tocsin_behind_records{input=\"journal\"}",
        "tocsin_behind_records{input=\"files:auth\"}",
        "tocsin_behind_seconds{input=\"files:auth\"}",
        "tocsin_database_waiting_seconds",
    ] {
        let value =
            metrics.lines().find_map(|line| line.strip_prefix(gauge)).unwrap_or_else(|| panic!("no {gauge} in {metrics}"));
        assert!(value.trim().parse::<u64>().unwrap() > 0, "{gauge}{value}");
    }
    wire.stall(false);
    database.wait_for("SELECT count(*) FROM logs", 61_100).await;
    wait_until("nothing is behind", async || {
        let (code, said) = ready(&daemon).await;
        code == 200 && behind(&said, "journal") == Some((0, 0)) && behind(&said, "files:auth") == Some((0, 0))
    })
    .await;
    assert_eq!(daemon.stop().await.0, Some(0));
    let (code, verdict) = verify(state.path(), &[]);
    assert_eq!((code, findings(&verdict)), (0, vec![]), "{verdict}");
}

#[tokio::test]
async fn a_server_that_was_made_read_only_is_waited_for() {
    let (server, state) = (own_server().await, state_dir());
    let database = Database::on(Arc::clone(&server)).await;
    let mut story = Story::new(state.path());
    let daemon = Daemon::start(state.path(), &story.configuration(&database.url())).await;
    story.goes_on(1_000);
    database.wait_for("SELECT count(*) FROM logs", 1_000).await;
    execute(&database, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    execute(&database, "SELECT pg_reload_conf()").await;
    waits_for(&daemon, "read-only").await;
    story.goes_on(9_000);
    waits_for(&daemon, "read-only").await;
    execute(&database, "ALTER SYSTEM RESET default_transaction_read_only").await;
    execute(&database, "SELECT pg_reload_conf()").await;
    story.ends_well(&database, daemon, state.path()).await;
}

#[tokio::test]
async fn the_roles_statement_timeout_does_not_stop_every_attempt() {
    let (database, state) = (Database::new().await, state_dir());
    let name = database.options.get_database().unwrap();
    execute(&database, &format!("CREATE ROLE hasty_{name} LOGIN; ALTER DATABASE {name} OWNER TO hasty_{name}")).await;
    execute(&database, &format!("ALTER ROLE hasty_{name} SET statement_timeout = '20ms'")).await;
    execute(&database, &format!("ALTER ROLE hasty_{name} SET idle_in_transaction_session_timeout = '1ms'")).await;
    let mut story = Story::new(state.path());
    let url = database.url().replace("tocsin@", &format!("hasty_{name}@"));
    let daemon = Daemon::start(state.path(), &story.configuration(&url)).await;
    story.goes_on(10);
    database.wait_for("SELECT count(*) FROM logs", 10).await;
    let slow = "CREATE FUNCTION wait_a_moment() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END'; \
                CREATE TRIGGER slow AFTER INSERT ON logs FOR EACH STATEMENT EXECUTE FUNCTION wait_a_moment()";
    execute(&database, slow).await;
    story.goes_on(10_000);
    story.ends_well(&database, daemon, state.path()).await;
}

#[tokio::test]
async fn the_victim_of_a_deadlock_tries_again() {
    let (database, state) = (Database::new().await, state_dir());
    let mut story = Story::new(state.path());
    let daemon = Daemon::start(state.path(), &story.configuration(&database.url())).await;
    story.goes_on(2_000);
    database.wait_for("SELECT count(*) FROM logs", 2_000).await;
    let mut other = database.options.connect().await.unwrap();
    // The other one does not look for deadlocks, so it is ours that finds this one, and gives way.
    other.execute("SET deadlock_timeout = '1h'; BEGIN; SELECT * FROM incidents FOR UPDATE").await.unwrap();
    story.goes_on(2_000);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tocsin' AND datname = current_database() \
                   AND wait_event_type = 'Lock' AND query LIKE '%FROM incidents%'";
    database.wait_for(waiting, 1).await;
    other.execute("UPDATE positions SET updated_at = now() WHERE input = 'pipeline'; ROLLBACK").await.unwrap();
    wait_until("it tells of the deadlock", async || daemon.log().iter().any(|line| line.contains("deadlock detected"))).await;
    story.ends_well(&database, daemon, state.path()).await;
}

#[tokio::test]
async fn a_server_without_a_connection_left_is_waited_for() {
    let (server, state) = (own_server().await, state_dir());
    let database = Database::on(Arc::clone(&server)).await;
    database.number("SELECT 1").await;
    let mut others = Vec::new();
    while let Ok(connection) = database.options.connect().await {
        others.push(connection);
    }
    let mut story = Story::new(state.path());
    story.goes_on(5_000);
    let daemon = Daemon::start(state.path(), &story.configuration(&database.url())).await;
    waits_for(&daemon, "too many clients").await;
    assert!(daemon.log().iter().any(|line| line.contains("raise max_connections")), "{:#?}", daemon.log());
    others.clear();
    story.ends_well(&database, daemon, state.path()).await;
}

/// On a small file system of its own where we may mount one; elsewhere the server is made to say what it says then.
#[tokio::test]
async fn a_full_disk_is_waited_for_and_puts_nothing_in_quarantine() {
    let (server, state, disk) = (own_server().await, state_dir(), SmallDisk::mount());
    let database = Database::on(Arc::clone(&server)).await;
    if let Some(disk) = &disk {
        disk.give_to_owner_of(database.options.get_socket().unwrap());
        let mut elsewhere = server.embedded.options().connect().await.unwrap();
        let name = database.options.get_database().unwrap();
        let place = format!("CREATE TABLESPACE small LOCATION '{}'", disk.path().display());
        elsewhere.execute(sqlx::AssertSqlSafe(place)).await.unwrap();
        elsewhere.execute(sqlx::AssertSqlSafe(format!("ALTER DATABASE {name} SET TABLESPACE small"))).await.unwrap();
    }
    let mut story = Story::new(state.path());
    let daemon = Daemon::start(state.path(), &story.configuration(&database.url())).await;
    story.goes_on(100);
    database.wait_for("SELECT count(*) FROM logs", 100).await;
    match &disk {
        Some(disk) => disk.fill(),
        None => {
            eprintln!("no right to mount a file system: the server only says that its disk is full");
            let full = "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$; \
                        CREATE TRIGGER full_disk AFTER INSERT ON logs FOR EACH STATEMENT EXECUTE FUNCTION fill()";
            execute(&database, full).await;
        }
    }
    story.goes_on(10_000);
    waits_for(&daemon, "No space left on device").await;
    assert!(daemon.log().iter().any(|line| line.contains("make room there")), "{:#?}", daemon.log());
    match &disk {
        Some(disk) => disk.make_room(),
        None => execute(&database, "DROP TRIGGER full_disk ON logs").await,
    }
    story.ends_well(&database, daemon, state.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_that_is_refused_takes_a_person_and_a_handshake_that_breaks_off_takes_time() {
    let (server, state) = (own_server().await, state_dir());
    let database = Database::on(Arc::clone(&server)).await;
    let configuration = |at: String, parameters: &str| {
        let url = format!("postgres://tocsin@{at}/{}?{parameters}", database.options.get_database().unwrap());
        format!("[database]\nurl = {url:?}\n[[syslog]]\nname = \"lan\"\ntcp = \"127.0.0.1:0\"\n")
    };
    let refused = async |configuration: &str, why: &str| {
        let (code, log) = Daemon::spawn(state.path(), configuration).ended().await;
        assert_eq!(code, Some(1), "{log:#?}");
        let told = |line: &String| line.contains("look at sslmode, sslrootcert") && line.contains(why);
        assert!(log.iter().any(told), "{why}: {log:#?}");
    };

    // One that is not there yet, or dies in the middle: it says that it will, and is gone.
    let breaking = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = breaking.local_addr().unwrap().to_string();
    let breaks_off = tokio::spawn(async move {
        while let Ok((mut stream, _)) = breaking.accept().await {
            let mut request = [0; 8];
            if stream.read_exact(&mut request).await.is_ok() && stream.write_all(b"S").await.is_ok() {
                let _ = stream.read(&mut request).await;
            }
            stream.set_zero_linger().unwrap();
        }
    });
    let daemon = Daemon::start(state.path(), &configuration(at, "sslmode=require")).await;
    waits_for(&daemon, "connect to the database").await;
    assert_eq!(daemon.stop().await.0, Some(0));
    breaks_off.abort();

    // One that offers none: over its Unix socket PostgreSQL does not.
    let wire = Wire::to(&database).await;
    refused(&configuration(wire.address.to_string(), "sslmode=require"), "does not support TLS").await;

    let Some(tls) = Tls::start(&server, &database, state.path()).await else {
        eprintln!("no openssl to make a certificate with: nobody is shown a wrong one");
        return;
    };
    let root = format!("sslmode=verify-full&sslrootcert={}", tls.certificate.display());
    refused(&configuration(format!("localhost:{}", tls.port), "sslmode=verify-full"), "UnknownIssuer").await;
    refused(&configuration(format!("127.0.0.1:{}", tls.port), &root), "certificate not valid for name").await;
    let daemon = Daemon::start(state.path(), &configuration(format!("localhost:{}", tls.port), &root)).await;
    is_ready(&daemon).await;
    send_tcp(daemon.tcp(), b"<13>Nov 20 10:00:00 fw app: sealed\n").await.unwrap();
    wait_until("it is stored", async || {
        let metrics = request(daemon.http(), "GET", "/metrics", &[], b"").await.unwrap().body;
        metrics.contains("\ntocsin_rows_committed_total 1\n")
    })
    .await;
    assert_eq!(daemon.stop().await.0, Some(0));
}

/// The server, started again with TLS on a port of this machine, and a certificate for `localhost` that it has signed itself.
struct Tls {
    port: u16,
    certificate: PathBuf,
}

impl Tls {
    /// `None` without openssl.
    async fn start(server: &Server, database: &Database, dir: &Path) -> Option<Tls> {
        use std::os::unix::fs::MetadataExt;
        use std::os::unix::process::CommandExt;
        let data =
            PathBuf::from(database.column("SELECT setting FROM pg_settings WHERE name = 'data_directory'").await.remove(0));
        let program = std::fs::read_link(format!("/proc/{}/exe", server.postmaster())).unwrap();
        let owner = std::fs::metadata(&data).unwrap();
        let run = |program: &Path, arguments: &[&str]| {
            let mut command = std::process::Command::new(program);
            command.args(arguments).current_dir(&data).env("LC_ALL", "C.UTF-8").env_remove("LANGUAGE");
            if nix::unistd::geteuid().is_root() {
                command.uid(owner.uid()).gid(owner.gid());
            }
            command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            command.status()
        };
        let certificate = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.crt -days 2 \
                           -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE";
        let made = run(Path::new("openssl"), &certificate.split_whitespace().collect::<Vec<_>>());
        if made.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return None;
        }
        // Others may read it; the key stays where it is.
        let root = dir.join("root.crt");
        std::fs::copy(data.join("server.crt"), &root).unwrap();
        server.embedded.stop().unwrap();
        let rules = std::fs::read_to_string(data.join("pg_hba.conf")).unwrap();
        std::fs::write(data.join("pg_hba.conf"), format!("hostssl all all localhost trust\n{rules}")).unwrap();
        // The server takes no port 0: somebody else may be quicker.
        for _ in 0..10 {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let options = format!("-k '' -c listen_addresses=localhost -c port={port} -c ssl=on");
            let start = ["-D", ".", "-l", "server.log", "-o", &options, "-w", "-t", "60", "start"];
            if run(&program.with_file_name("pg_ctl"), &start).unwrap().success() {
                return Some(Tls { port, certificate: root });
            }
        }
        panic!("the server does not start: {}", std::fs::read_to_string(data.join("server.log")).unwrap());
    }
}

/// A file system of 64 MiB in memory.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` without the right to mount it.
    fn mount() -> Option<SmallDisk> {
        let disk = SmallDisk(state_dir());
        let point = disk.0.path().join("disk");
        std::fs::create_dir(&point).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&point).stderr(std::process::Stdio::null());
        let mounted = nix::unistd::geteuid().is_root() && mount.status().is_ok_and(|status| status.success());
        if mounted {
            std::fs::create_dir(disk.path()).unwrap();
            return Some(disk);
        }
        None
    }

    /// The directory on it for the server.
    fn path(&self) -> PathBuf {
        self.0.path().join("disk/server")
    }

    fn give_to_owner_of(&self, other: &Path) {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata(other).unwrap();
        std::os::unix::fs::chown(self.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("disk/ballast")
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        let full = loop {
            if let Err(error) = std::io::Write::write_all(&mut file, &[1; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The server may still have files open on it.
        let point = self.0.path().join("disk");
        let _ = std::process::Command::new("umount").arg("--lazy").arg(point).stderr(std::process::Stdio::null()).status();
    }
}

#[tokio::test]
async fn what_somebody_has_to_mend_is_said_and_tried_again_until_it_is_mended() {
    let (database, state) = (Database::new().await, state_dir());
    let mut story = Story::new(state.path());
    let daemon = Daemon::start(state.path(), &story.configuration(&database.url())).await;
    story.goes_on(100);
    database.wait_for("SELECT count(*) FROM logs", 100).await;
    execute(&database, "ALTER TABLE logs RENAME TO logs_away").await;
    story.goes_on(10_000);
    let said = waits_for(&daemon, "relation \"logs\" does not exist").await;
    assert!(said["database"].as_str().unwrap().contains("somebody has to act"), "{said}");
    execute(&database, "ALTER TABLE logs_away RENAME TO logs").await;
    story.ends_well(&database, daemon, state.path()).await;
}

/// A role with a password on a server of its own, and its database.
async fn with_password() -> (Database, String) {
    let database = Database::on(own_server().await).await;
    let name = database.options.get_database().unwrap();
    execute(&database, "CREATE ROLE guarded LOGIN PASSWORD 'right'").await;
    execute(&database, &format!("ALTER DATABASE {name} OWNER TO guarded")).await;
    let hba = database.column("SELECT setting FROM pg_settings WHERE name = 'hba_file'").await.remove(0);
    let rules = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, format!("local all guarded scram-sha-256\n{rules}")).unwrap();
    execute(&database, "SELECT pg_reload_conf()").await;
    let url = database.url().replace("tocsin@", "guarded:right@");
    // The reload has arrived when a wrong password is refused.
    let wrong = database.options.clone().username("guarded").password("wrong");
    wait_until("passwords are asked for", async || wrong.connect().await.is_err()).await;
    (database, url)
}

#[tokio::test]
async fn a_wrong_password_database_or_privilege_at_the_start_is_told_and_ends_it() {
    let (database, url) = with_password().await;
    let name = database.options.get_database().unwrap();
    execute(&database, "CREATE ROLE stranger LOGIN").await;
    for (url, want) in [
        (url.replace("right", "s3cret"), "does not take the password of database.url"),
        (url.replace(name, "elsewhere"), "there is no such database"),
        (database.url().replace("tocsin@", "nobody_at_all@"), "is there such a role"),
        (database.url().replace("tocsin@", "stranger@"), "the role lacks a privilege"),
    ] {
        let state = state_dir();
        let daemon = Daemon::spawn(state.path(), &Story::new(state.path()).configuration(&url));
        let (code, log) = daemon.ended().await;
        assert_eq!(code, Some(1), "{log:#?}");
        let last = log.last().unwrap();
        assert!(last.starts_with("tocsin: database: ") && last.contains(want), "{log:#?}");
        assert!(!log.iter().any(|line| line.contains("s3cret")), "{log:#?}");
    }
}

#[tokio::test]
async fn a_password_that_changes_while_it_runs_is_waited_for_without_spinning() {
    let ((database, url), state) = (with_password().await, state_dir());
    let mut story = Story::new(state.path());
    let daemon = Daemon::start(state.path(), &story.configuration(&url)).await;
    story.goes_on(1_000);
    database.wait_for("SELECT count(*) FROM logs", 1_000).await;
    execute(&database, "ALTER ROLE guarded PASSWORD 'another'").await;
    execute(&database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guarded'").await;
    story.goes_on(10_000);
    let said = waits_for(&daemon, "password authentication failed").await;
    assert!(said["database"].as_str().unwrap().contains("somebody has to act"), "{said}");
    wait_until("some attempts", async || {
        let metrics = request(daemon.http(), "GET", "/metrics", &[], b"").await.unwrap().body;
        metrics
            .lines()
            .find_map(|line| line.strip_prefix("tocsin_commit_retries_total "))
            .is_some_and(|n| n.parse::<u64>().unwrap() >= 12)
    })
    .await;
    let told = daemon.log().iter().filter(|line| line.contains("password authentication failed")).count();
    assert!((1..=4).contains(&told), "told {told} times: {:#?}", daemon.log());
    execute(&database, "ALTER ROLE guarded PASSWORD 'right'").await;
    story.ends_well(&database, daemon, state.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_standby_takes_over_it_goes_on_there() {
    let (primary, state) = (own_server().await, state_dir());
    let database = Database::on(Arc::clone(&primary)).await;
    let standby = {
        let socket = database.options.get_socket().unwrap().clone();
        Arc::new(tokio::task::spawn_blocking(move || Server::standby_of(&socket)).await.unwrap())
    };
    let name = database.options.get_database().unwrap();
    let there = Database::existing(Arc::clone(&standby), name);
    // First one that is not there, then the standby: it lets us in, but can only be read.
    let host = |database: &Database| database.options.get_socket().unwrap().to_string_lossy().replace('/', "%2F");
    let url = format!("postgres://tocsin@127.0.0.1:1,{},{}/{name}", host(&there), host(&database));
    let mut story = Story::new(state.path());
    let daemon = Daemon::start(state.path(), &story.configuration(&url)).await;
    story.goes_on(5_000);
    there.wait_for("SELECT count(*) FROM logs", 5_000).await;
    story.goes_on(10_000);
    wait_until("it is storing", async || database.try_number("SELECT count(*) FROM logs").await.is_ok_and(|n| n > 5_000)).await;
    // In order, so that the standby has everything that was committed.
    primary.embedded.stop().unwrap();
    waits_for(&daemon, "none of the servers can be used").await;
    execute(&there, "SELECT pg_promote()").await;
    story.ends_well(&there, daemon, state.path()).await;
}

#[test]
fn a_wrong_url_is_told_without_its_password() {
    let state = state_dir();
    let path = state.path().join("tocsin.toml");
    std::fs::write(&path, "[database]\nurl = \"postgres://tocsin:s3cret@a:5432,b:port/tocsin\"\n").unwrap();
    let output = std::process::Command::new(tocsin()).args(["check", "--config"]).arg(&path).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("tocsin.toml:2: database.url: ") && said.contains("host 2 of the list: invalid port number"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}
